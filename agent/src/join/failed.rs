//! What a join that has failed comes to: the exit code, what to say, and when it is worth another try.

use super::{Again, GET_STRING, NotJoined};
use crate::command::exit::{Exit, Trouble, one_line};
use muster_dial::{Address, Failure};
use serde::Deserialize;
use std::path::Path;

/// Of the server's reasons, as they are printed.
const REASON: usize = 300;

/// The state directory's identity is one of another fleet.
pub(super) fn of_another_server(directory: &Path) -> Trouble {
    let what = format!("{} belongs to another server", directory.display());
    let advice = format!("remove {} first if this host shall leave that server", directory.display());
    Trouble::new(Exit::Failed, what, "its identity and the join string have no pin in common", advice)
}

/// The exit code for a request that got no answer.
pub(crate) fn exit_of(failure: &Failure) -> Exit {
    match failure {
        Failure::PinMismatch { .. } | Failure::Outdated { .. } => Exit::PinMismatch,
        _ => Exit::Unreachable,
    }
}

/// No address gave an answer that says whether this host has joined. The most telling failure is named.
pub(super) fn no_answer(failures: Vec<(Address, Failure)>, asked: bool) -> NotJoined {
    let others = failures.len().saturating_sub(1);
    let telling = |(_, failure): &(Address, Failure)| exit_of(failure) == Exit::PinMismatch;
    let position = failures.iter().position(telling).unwrap_or(0);
    let Some((address, failure)) = failures.into_iter().nth(position) else {
        let why = "the join string names no address";
        return NotJoined::here(Trouble::new(Exit::Usage, "cannot join", why, GET_STRING));
    };
    let why = match others {
        0 => failure.to_string(),
        1 => format!("{failure} (nor did another address answer)"),
        _ => format!("{failure} (nor did {others} other addresses answer)"),
    };
    let exit = exit_of(&failure);
    let advice = match exit {
        _ if asked => "the server may have registered this host, so its identity was kept: repeat the same command",
        Exit::PinMismatch => {
            "is it the right address? A new join string, by `muster join-command`, has the server's pin"
        }
        _ => "see that `muster serve` runs there and that its port can be reached from here, then repeat the command",
    };
    let again = if exit == Exit::PinMismatch { Again::Seldom } else { Again::Soon };
    NotJoined {
        trouble: Trouble::new(exit, format!("cannot join at {address}"), why, advice),
        is_revoked: false,
        again,
    }
}

/// The server has answered with another status than 200.
pub(super) fn refused(server: &Address, status: u16, reason: &str, directory: &Path) -> NotJoined {
    let remove = format!("to let it join as a new host, remove {} first", directory.display());
    let (exit, again, advice) = match status {
        401 | 403 => (Exit::Refused, Again::Seldom, "`muster join-command` on the server makes a new join string"),
        410 => (Exit::Removed, Again::Seldom, remove.as_str()),
        429 | 500..=599 => (Exit::Unavailable, Again::Soon, "look at the server's log, and repeat the command later"),
        _ => (Exit::Failed, Again::Seldom, "are agent and server of about the same version?"),
    };
    // The server may know better what to do.
    let (reason, advice) = reason.split_once("; ").unwrap_or((reason, advice));
    let why = format!("the server refuses ({status}){}{reason}", if reason.is_empty() { "" } else { ": " });
    let trouble = Trouble::new(exit, format!("cannot join at {server}"), why, advice);
    NotJoined { trouble, is_revoked: status == 401, again }
}

/// What a server says beside a status: the detail of a problem document, or a line of text.
pub(crate) fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let text = serde_json::from_slice(body).map(|problem: Problem| problem.detail);
    one_line(&text.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned()), REASON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_short_line() {
        assert_eq!(reason(br#"{"title":"t","status":403,"detail":"used\nup"}"#), "used up");
        assert_eq!(reason(b"used up\n"), "used up");
        assert_eq!(reason(b""), "");
        assert!(reason(&[b'x'; 5000]).len() <= REASON);
        assert!(!reason(b"\xff\x1b[2J").contains('\x1b'));
    }

    #[test]
    fn a_wrong_pin_tells_more_than_a_closed_port() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let mismatch = Failure::PinMismatch { expected: "x".into(), got: "y".into() };
        let failures = vec![(address("a:1"), Failure::TimedOut), (address("b:1"), mismatch)];
        let not_joined = no_answer(failures, false);
        assert_eq!((not_joined.trouble.exit, not_joined.again), (Exit::PinMismatch, Again::Seldom));
        assert!(not_joined.trouble.what.contains("b:1"));
        let asked = no_answer(vec![(address("a:1"), Failure::TimedOut)], true);
        assert_eq!((asked.trouble.exit, asked.again), (Exit::Unreachable, Again::Soon));
        assert!(asked.trouble.advice.contains("repeat the same command"));
    }

    #[test]
    fn the_servers_advice_takes_the_place_of_ours() {
        let address: Address = "a:1".parse().unwrap();
        let of = |reason| refused(&address, 403, reason, Path::new("/x")).trouble.to_string();
        assert_eq!(of("used up; ask Ann"), "cannot join at a:1: the server refuses (403): used up; ask Ann");
        assert!(of("used up").ends_with("(403): used up; `muster join-command` on the server makes a new join string"));
    }
}
