//! What commands print: tables for people, one JSON object a line for programs.

use super::exit::Failure;
use clap::ValueEnum;
use serde::Serialize;
use std::io::Write;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One object a line: the same as the API's.
    Json,
}

/// One object on one line.
pub fn json_line(out: &mut dyn Write, object: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(object).map_err(std::io::Error::other)?;
    Ok(writeln!(out, "{line}")?)
}

/// Spaces between columns, and the least width of one with them: as Docker's tables have it.
const PADDING: usize = 3;
const LEAST: usize = 10;

/// Rows of cells under headings.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|heading| heading.to_string()).collect()] }
    }

    /// Appends a row. What hosts say of themselves cannot move the cursor: control characters are replaced.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// Prints it with its headings.
    pub fn print(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let widest = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            (widest.unwrap_or(0) + PADDING).max(LEAST)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if column + 1 < row.len() {
                    let missing = widths.get(column).copied().unwrap_or(0).saturating_sub(cell.chars().count());
                    line.extend(std::iter::repeat_n(' ', missing));
                }
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// Text from elsewhere, fit for a terminal and for one line.
pub fn printable(text: &str) -> String {
    crate::alerts::clean(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&["NAME", "STATE", "END"]);
        table.row(vec!["é".repeat(12), "x".into(), "last".into()]);
        table.row(vec!["a".into(), String::new(), String::new()]);
        let mut out = Vec::new();
        table.print(&mut out).expect("printed");
        let expected = "NAME           STATE     END\néééééééééééé   x         last\na                        \n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn hosts_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable("a\u{202e}b"), "a\u{fffd}b");
    }
}
