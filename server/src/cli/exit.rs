//! How a command ends.

use crate::api::types::Problem;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// Exit codes: part of the interface, so that scripts can tell apart what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It could not be done, for a reason that has no code of its own.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server does not answer.
    Unreachable = 3,
    /// The credential or token is refused, or there is none.
    Refused = 4,
    /// What answers is not the pinned server.
    PinMismatch = 5,
    /// There is no such host, container or token.
    NotFound = 6,
    /// The host was removed.
    HostRemoved = 7,
    /// The store or the engine is not available, or the server has no place for one more client.
    Unavailable = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For the process.
    pub exit: Exit,
    /// `what: why; what to do`, on one line; empty if there is nothing to say.
    pub message: String,
}

impl Failure {
    /// With an exit code and one line.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// Whoever read our output has seen enough, which is no error.
    pub fn reader_gone() -> Failure {
        Failure::new(Exit::Ok, "")
    }

    /// The server answered with an error.
    pub fn of_problem(problem: &Problem) -> Failure {
        let exit = match problem.status {
            401 | 403 => Exit::Refused,
            404 => Exit::NotFound,
            410 => Exit::HostRemoved,
            429 | 503 => Exit::Unavailable,
            _ => Exit::Failure,
        };
        let mut message = problem.detail.clone();
        if !problem.candidates.is_empty() {
            message = format!("{message}; it could be {}", problem.candidates.join(", "));
        }
        Failure::new(exit, message)
    }

    /// Puts in front what was tried.
    pub fn while_doing(mut self, what: impl fmt::Display) -> Failure {
        if !self.message.is_empty() {
            self.message = format!("{what}: {}", self.message);
        }
        self
    }
}

impl From<muster_dial::Failure> for Failure {
    fn from(failure: muster_dial::Failure) -> Failure {
        use muster_dial::Failure as Dial;
        let (exit, advice) = match &failure {
            Dial::Unreachable(_) => {
                (Exit::Unreachable, "is `muster serve` running there, and can it be reached from here?")
            }
            Dial::TimedOut => (Exit::Unreachable, "try again, or look at the server's log"),
            Dial::Tls(_) => (Exit::Unreachable, "check the address and port"),
            Dial::PinMismatch { .. } | Dial::Outdated { .. } => (Exit::PinMismatch, "check MUSTER_URL and MUSTER_PIN"),
            Dial::TooLarge | Dial::Protocol(_) => {
                (Exit::Failure, "are the server and this command of the same version?")
            }
        };
        Failure::new(exit, format!("{failure}; {advice}"))
    }
}

impl From<io::Error> for Failure {
    /// Of writing to standard output: nothing else fails with it here.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::new(Exit::Failure, format!("standard output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16) -> Problem {
        Problem { title: String::new(), status, detail: "it is so".into(), candidates: Vec::new() }
    }

    #[test]
    fn problems_have_the_promised_codes() {
        for (status, code) in
            [(400, 1), (401, 4), (403, 4), (404, 6), (409, 1), (410, 7), (422, 1), (429, 8), (500, 1), (503, 8)]
        {
            assert_eq!(Failure::of_problem(&problem(status)).exit as u8, code, "{status}");
        }
        let several = Problem { candidates: vec!["a/web".into(), "b/web".into()], ..problem(409) };
        assert_eq!(Failure::of_problem(&several).message, "it is so; it could be a/web, b/web");
    }

    #[test]
    fn connections_have_the_promised_codes() {
        use muster_dial::Failure as Dial;
        let mismatch = Dial::PinMismatch { expected: "a".into(), got: "b".into() };
        for (failure, code) in [
            (Dial::Unreachable("x".into()), 3),
            (Dial::TimedOut, 3),
            (Dial::Tls("x".into()), 3),
            (mismatch, 5),
            (Dial::TooLarge, 1),
        ] {
            let failure = Failure::from(failure);
            assert_eq!(failure.exit as u8, code);
            assert!(!failure.message.contains('\n'));
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).while_doing("ps");
        assert_eq!(failure, Failure::reader_gone());
    }
}
