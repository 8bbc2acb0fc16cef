//! `muster audit`

use super::connection::Server;
use super::exit::Failure;
use super::output::{Format, Table, json_line};
use crate::api::types::{Audit, Page};
use crate::time;
use clap::Args;
use std::io::Write;

/// Items asked for at a time: the most that the API gives.
const PAGE: usize = 500;

/// Flags of `muster audit`.
#[derive(Debug, Args)]
pub struct AuditLog {
    /// Not before this, by the server's clock: RFC 3339, seconds since 1970, or a duration before now such as 7d
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    since: Option<i64>,
    /// Not after this: as --since
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    until: Option<i64>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn read_time(text: &str) -> Result<i64, String> {
    time::parse_when(text, time::now_ms())
}

/// Runs it.
pub fn run(flags: &AuditLog, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let rows = newest(flags, |path| server.get(path))?;
    match flags.format {
        Format::Json => rows.iter().try_for_each(|row| json_line(out, row)),
        Format::Table => table(&rows).print(out),
    }
}

/// The newest rows, newest first.
fn newest(flags: &AuditLog, get: impl Fn(&str) -> Result<Page<Audit>, Failure>) -> Result<Vec<Audit>, Failure> {
    let wanted = flags.limit as usize;
    let mut rows: Vec<Audit> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut path = format!("/api/v1/audit?limit={}", (wanted - rows.len()).min(PAGE));
        for (key, time) in [("since", flags.since), ("until", flags.until)] {
            path.extend(time.map(|ms| format!("&{key}={}", time::format_ms(ms))));
        }
        path.extend(cursor.map(|cursor| format!("&cursor={cursor}")));
        let page = get(&path)?;
        rows.extend(page.items);
        cursor = page.next;
        if rows.len() >= wanted || cursor.is_none() {
            return Ok(rows);
        }
    }
}

fn table(rows: &[Audit]) -> Table {
    let mut table = Table::new(&["TIME", "BY", "FROM", "ACTION", "TARGET", "DETAILS"]);
    for row in rows {
        let details: Vec<String> = row.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        table.row(vec![
            row.time.clone(),
            if row.name.is_empty() { row.token.clone() } else { format!("{} ({})", row.name, row.token) },
            row.peer.clone(),
            row.action.clone(),
            row.target.clone(),
            if details.is_empty() { "-".to_string() } else { details.join(" ") },
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn row(id: u64) -> Audit {
        Audit {
            id,
            time: "2026-11-22T10:00:00.000Z".into(),
            token: "admin".into(),
            name: String::new(),
            peer: "127.0.0.1".into(),
            action: "host.rename".into(),
            target: "attic".into(),
            attributes: [("to".to_string(), "cellar".to_string())].into(),
        }
    }

    #[test]
    fn the_newest_are_asked_for_page_by_page() {
        let flags = AuditLog { since: Some(0), until: None, limit: 501, format: Format::Json };
        let asked = RefCell::new(Vec::new());
        let rows = newest(&flags, |path| {
            asked.borrow_mut().push(path.to_string());
            let items = if asked.borrow().len() == 1 { (2..502).rev().map(row).collect() } else { vec![row(1)] };
            Ok(Page { items, next: Some("c".into()) })
        });
        assert_eq!(rows.expect("rows").len(), 501);
        assert_eq!(asked.borrow()[0], "/api/v1/audit?limit=500&since=1970-01-01T00:00:00.000Z");
        assert!(asked.borrow()[1].starts_with("/api/v1/audit?limit=1&") && asked.borrow()[1].ends_with("&cursor=c"));
    }

    #[test]
    fn a_line_says_who_did_what() {
        let mut out = Vec::new();
        table(&[row(1)]).print(&mut out).expect("printed");
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.lines().nth(1).is_some_and(|line| line.contains("admin") && line.ends_with("to=cellar")),
            "{text}"
        );
    }
}
