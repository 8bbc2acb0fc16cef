//! `muster-agent network`: hands over to the program of the managed network, which not every host has.

use crate::command::exit::{Exit, Trouble};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The program's name.
const PROGRAM: &str = "muster-network";
/// The command that stands for it. It comes first: what follows is the other program's.
const WORD: &str = "network";

/// The other program's arguments, if it is meant.
pub fn asked_for(arguments: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut arguments = arguments.into_iter();
    arguments.next().filter(|word| word == WORD)?;
    Some(arguments.collect())
}

/// Becomes that program: the one beside this, else the one in `PATH`. Returns only if there is none.
pub fn hand_over(arguments: Vec<OsString>) -> Trouble {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)).filter(|path| path.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
    let error = Command::new(&program).args(arguments).exec();
    let (exit, why) = match error.kind() {
        ErrorKind::NotFound => {
            (Exit::NotFound, format!("{PROGRAM} is not installed; it gives containers addresses that cross hosts"))
        }
        _ => (Exit::Failed, format!("{}: {error}", program.display())),
    };
    let advice =
        "install the package muster-network, or run the line of `muster join-command --install --network` here";
    Trouble::new(exit, "network", why, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_word_hands_over() {
        let of = |line: &str| asked_for(line.split_whitespace().map(OsString::from));
        assert_eq!(of("network up --port 1"), Some(vec!["up".into(), "--port".into(), "1".into()]));
        assert_eq!(of("network"), Some(Vec::new()));
        for other in ["", "status network", "--log debug network", "networks"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
