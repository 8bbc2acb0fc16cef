//! What people type: passwords, which are not shown.

use super::exit::{Exit, Failure};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};

/// The longest line that is taken, in bytes.
const LINE: u64 = 4096;

/// The first line of standard input.
pub fn first_line() -> Result<String, Failure> {
    read_line(io::stdin().lock())
}

/// Asks twice for a new password, at the terminal.
pub fn new_password() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        let what = "there is no terminal to ask at: give the password to standard input, with --password-stdin";
        return Err(Failure::new(Exit::Usage, what));
    }
    let first = hidden("Password: ")?;
    let second = hidden("The same again: ")?;
    if first == second { Ok(first) } else { Err(Failure::new(Exit::Usage, "these were two different passwords")) }
}

fn failed(error: io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("cannot ask for a password: {error}"))
}

/// A line from the terminal, which does not show it.
fn hidden(question: &str) -> Result<String, Failure> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(failed)?;
    let before = termios::tcgetattr(&terminal).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    (&terminal).write_all(question.as_bytes()).map_err(failed)?;
    termios::tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let restored = Restored { terminal: &terminal, before: &before };
    let line = read_line(io::BufReader::new(&terminal));
    drop(restored);
    // The end of the line was not shown either.
    let _ = (&terminal).write_all(b"\n");
    line
}

/// Lets the terminal show again what is typed.
struct Restored<'a> {
    terminal: &'a File,
    before: &'a Termios,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Flush, self.before);
    }
}

fn read_line(input: impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input.take(LINE).read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_line_is_cut() {
        for (text, line) in [("a b \n c", "a b "), ("x\r\n", "x"), ("no end", "no end"), ("", "")] {
            assert_eq!(read_line(text.as_bytes()).as_deref(), Ok(line));
        }
        assert!(read_line(&b"\xff\n"[..]).is_err());
        assert_eq!(read_line("y".repeat(100_000).as_bytes()).map(|line| line.len()), Ok(4096));
    }
}
