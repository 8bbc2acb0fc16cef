//! How the agent ends, and how it says why.

use std::fmt;
use std::process::ExitCode;

/// Exit codes. They are part of the interface: scripts tell apart by them what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It could not be done, for a reason that has no code of its own; or this host has not joined.
    Failed = 1,
    /// A flag, a variable or a line of the file is wrong.
    Usage = 2,
    /// The server does not answer, or not so that it can be understood.
    Unreachable = 3,
    /// The server refuses the credential or the token.
    Refused = 4,
    /// What answers is not the pinned server.
    PinMismatch = 5,
    /// There is no such thing: a program that is not installed, a peer that was never seen.
    NotFound = 6,
    /// The host was removed on the server.
    Removed = 7,
    /// The container engine, or the server's store, is not available.
    Unavailable = 8,
    /// `doctor`: it works, and something should be done.
    Warned = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Something that could not be done. Prints as one line: `what: why; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What the process ends with if nothing better is known to do.
    pub exit: Exit,
    /// What was tried, or where the error stands.
    pub what: String,
    /// Why it failed.
    pub why: String,
    /// What the reader can do.
    pub advice: String,
}

impl Trouble {
    /// From its parts.
    pub fn new(exit: Exit, what: impl fmt::Display, why: impl fmt::Display, advice: impl fmt::Display) -> Trouble {
        Trouble { exit, what: what.to_string(), why: why.to_string(), advice: advice.to_string() }
    }

    /// Prints it on stderr with the program's name in front, and gives the exit code.
    pub fn complain(&self) -> ExitCode {
        eprintln!("muster-agent: {self}");
        self.exit.into()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.advice)
    }
}

impl std::error::Error for Trouble {}

/// Text from elsewhere, fit for a line of a terminal or a log: no control characters, at most `limit` bytes.
pub fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    // Also between control characters: what came out once comes out the same again.
    let text = text.trim_matches(|c: char| c.is_control() || c.is_whitespace());
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() > limit {
            break;
        }
        line.push(c);
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_one_line_with_three_parts() {
        let trouble = Trouble::new(Exit::Failed, "cannot join", "it rains", "wait");
        assert_eq!(trouble.to_string(), "cannot join: it rains; wait");
    }

    #[test]
    fn a_line_stays_what_it_is() {
        for text in ["\u{1d}pi-7", " \u{7} \u{1d} pi 7\0\u{3000}\0", "pi-\0\0\0x", "ab cd"] {
            for limit in 0..8 {
                let line = one_line(text, limit);
                assert_eq!(one_line(&line, limit), line, "{text:?} {limit}");
            }
        }
        assert_eq!(one_line("\u{1d}pi-7 \0", 64), "pi-7");
    }

    #[test]
    fn foreign_text_is_cut_between_characters() {
        assert_eq!(one_line(" a\r\nb\x1b[2J\n", 80), "a  b [2J");
        assert_eq!(one_line("ééé", 5), "éé");
    }
}
