//! Why a request got no answer.

use crate::join_string::Address;
use std::{error, fmt, io};
use ureq::Error;

/// Longest text taken over from elsewhere into a failure, in bytes.
const TEXT_LIMIT: usize = 300;

/// Why a request got no answer. An answer of the server, whatever its status, is none of these.
///
/// Each prints as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it was lost before the answer was complete: which, and why.
    Unreachable(String),
    /// Something answers there that is not the server that was pinned.
    PinMismatch {
        /// The pins, separated by spaces.
        expected: String,
        /// What was presented instead.
        got: String,
    },
    /// The pinned server's key vouches for what answers there, but with a certificate that is no longer accepted.
    Outdated {
        /// The least generation that is.
        least: u64,
        /// What was presented.
        got: u64,
    },
    /// TLS could not be agreed on, or broke later: why.
    Tls(String),
    /// A time limit passed.
    TimedOut,
    /// The answer is larger than the limit that was given.
    TooLarge,
    /// It is no HTTP, or the request could not be written as HTTP: why.
    Protocol(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unreachable(why) => write!(f, "the server cannot be reached: {why}"),
            Failure::PinMismatch { expected, got } => {
                write!(f, "this is not the pinned server: expected {expected}, got {got}")
            }
            Failure::Outdated { least, got } => write!(
                f,
                "this is not the pinned server as it is now: its certificate has generation {got}, \
                 and none below {least} is accepted"
            ),
            Failure::Tls(why) => write!(f, "no secure connection to the server: {why}"),
            Failure::TimedOut => f.write_str("the server did not answer in time"),
            Failure::TooLarge => f.write_str("the server's answer is larger than expected"),
            Failure::Protocol(why) => write!(f, "the server's answer makes no sense: {why}"),
        }
    }
}

impl error::Error for Failure {}

impl Failure {
    /// Of a call to `address`.
    pub(crate) fn of(error: Error, address: &Address) -> Failure {
        match error {
            Error::Other(inner) => match inner.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(other) => Failure::Protocol(one_line(&other)),
            },
            Error::Timeout(_) => Failure::TimedOut,
            Error::Io(error) => Failure::of_io(error, address),
            Error::HostNotFound => Failure::Unreachable(format!("{address}: no such host")),
            Error::ConnectionFailed => Failure::Unreachable(address.to_string()),
            Error::LargeResponseHeader(..) => Failure::TooLarge,
            Error::TlsRequired => Failure::Tls("it was not established".to_string()),
            other => Failure::Protocol(one_line(&other)),
        }
    }

    /// Of reading the body of an answer from `address`.
    pub(crate) fn of_io(error: io::Error, address: &Address) -> Failure {
        match error.downcast::<Error>() {
            Ok(inner) => Failure::of(inner, address),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Failure::TimedOut,
            Err(error) if is_cut(&error) => {
                Failure::Unreachable(format!("{address} closed the connection ({})", one_line(&error)))
            }
            Err(error) => Failure::Unreachable(format!("{address}: {}", one_line(&error))),
        }
    }

    /// The kind of I/O error that is nearest.
    pub(crate) fn io_kind(&self) -> io::ErrorKind {
        match self {
            Failure::Unreachable(_) => io::ErrorKind::ConnectionAborted,
            Failure::PinMismatch { .. } => io::ErrorKind::PermissionDenied,
            Failure::TimedOut => io::ErrorKind::TimedOut,
            Failure::Outdated { .. } | Failure::Tls(_) | Failure::TooLarge | Failure::Protocol(_) => {
                io::ErrorKind::InvalidData
            }
        }
    }
}

/// The other end went away, as a kept connection does whose server was restarted.
pub(crate) fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected)
}

/// Text from elsewhere, fit for a terminal: no control characters, not endless.
pub(crate) fn one_line(text: &dyn fmt::Display) -> String {
    let mut line: String = text.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > TEXT_LIMIT {
        let end = (0..=TEXT_LIMIT).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
        line.truncate(end);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(one_line(&"a\nb\x1b[2J"), "a b [2J");
        let long = "é".repeat(TEXT_LIMIT);
        assert!(one_line(&long).len() <= TEXT_LIMIT);
    }

    #[test]
    fn failures_survive_the_way_through_ureq() {
        let address: Address = "a:1".parse().unwrap();
        let wrapped = Error::Other(Box::new(Failure::TooLarge)).into_io();
        assert_eq!(Failure::of_io(wrapped, &address), Failure::TooLarge);
        assert_eq!(Failure::of_io(Error::Timeout(ureq::Timeout::PerRead).into_io(), &address), Failure::TimedOut);
        let refused = Failure::of(Error::Io(io::ErrorKind::ConnectionRefused.into()), &address);
        assert!(matches!(refused, Failure::Unreachable(why) if why.contains("a:1")));
    }
}
