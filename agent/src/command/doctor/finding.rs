//! One line of what was found.

use crate::command::exit::{Exit, Trouble};
use serde_json::{Value, json};
use std::fmt;

/// What is looked at, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// What the agent was told.
    Settings,
    /// The engine's socket, and whether the agent's user may use it.
    Socket,
    /// Whether the engine answers, and which one it is.
    Engine,
    /// Whether all that the agent asks for is answered: filtering proxies refuse some.
    Calls,
    /// Whether the kernel accounts the memory of containers.
    Memory,
    /// This host's clock.
    Clock,
    /// Whether the server can be reached, at each of its addresses.
    Server,
    /// Whether it is the pinned one.
    Pin,
    /// Whether it knows this host.
    Credential,
    /// The agent's state directory.
    State,
    /// What waits on the disk for the server.
    Spool,
    /// Room for the engine's data.
    Disk,
    /// Whether an agent runs.
    Agent,
}

impl Check {
    /// As lines and JSON have it.
    pub fn word(self) -> &'static str {
        match self {
            Check::Settings => "settings",
            Check::Socket => "socket",
            Check::Engine => "engine",
            Check::Calls => "calls",
            Check::Memory => "memory",
            Check::Clock => "clock",
            Check::Server => "server",
            Check::Pin => "pin",
            Check::Credential => "credential",
            Check::State => "state",
            Check::Spool => "spool",
            Check::Disk => "disk",
            Check::Agent => "agent",
        }
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Well.
    Okay,
    /// It works, and something should be done.
    Warning,
    /// It does not work. With what this alone would end the command.
    Failure(Exit),
    /// Another line says why this could not be looked at.
    Skipped,
}

impl State {
    /// Four letters at most.
    fn short(self) -> &'static str {
        match self {
            State::Okay => "ok",
            State::Warning => "warn",
            State::Failure(_) => "fail",
            State::Skipped => "skip",
        }
    }

    /// As JSON has it.
    fn word(self) -> &'static str {
        match self {
            State::Okay => "ok",
            State::Warning => "warning",
            State::Failure(_) => "failure",
            State::Skipped => "skipped",
        }
    }
}

/// What was found. Prints as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub what: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    pub(super) fn okay(check: Check, what: impl Into<String>) -> Finding {
        Finding { check, state: State::Okay, what: what.into(), advice: None }
    }

    pub(super) fn skipped(check: Check, why: impl Into<String>) -> Finding {
        Finding { check, state: State::Skipped, what: why.into(), advice: None }
    }

    pub(super) fn warning(check: Check, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, state: State::Warning, what: what.into(), advice: Some(advice.into()) }
    }

    pub(super) fn failure(check: Check, exit: Exit, what: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, state: State::Failure(exit), what: what.into(), advice: Some(advice.into()) }
    }

    pub(super) fn of_trouble(check: Check, trouble: &Trouble) -> Finding {
        let what =
            if trouble.why.is_empty() { trouble.what.clone() } else { format!("{}: {}", trouble.what, trouble.why) };
        Finding::failure(check, trouble.exit, what, trouble.advice.clone())
    }

    /// From a line of the form `what; what to do`.
    pub(super) fn of_line(check: Check, exit: Exit, line: &str) -> Finding {
        match line.split_once("; ") {
            Some((what, advice)) => Finding::failure(check, exit, what, advice),
            None => Finding { check, state: State::Failure(exit), what: line.to_owned(), advice: None },
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "check": self.check.word(),
            "state": self.state.word(),
            "what": self.what,
            "advice": self.advice,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<10} {:<4} {}", self.check.word(), self.state.short(), self.what)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        assert_eq!(Finding::okay(Check::Pin, "it matches").to_string(), "pin        ok   it matches");
        let failed = Finding::of_line(Check::Engine, Exit::Unavailable, "it is away; start Docker");
        assert_eq!(failed.to_string(), "engine     fail it is away; start Docker");
        assert_eq!(failed.to_json()["advice"], "start Docker");
        let trouble = Trouble::new(Exit::Usage, "--name", "it is empty", "give one");
        assert_eq!(
            Finding::of_trouble(Check::Settings, &trouble).to_string(),
            "settings   fail --name: it is empty; give one"
        );
    }
}
