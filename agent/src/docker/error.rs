//! Why the engine could not be asked, in words for whoever runs the host.

use super::address::EngineAddress;
use super::request::ApiVersion;
use std::fmt;
use std::io;

/// Why the engine gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineError {
    /// DOCKER_HOST is no address that can be used. Holds what it is.
    Address(String),
    /// Nobody listens at the socket.
    Absent {
        /// Where.
        at: EngineAddress,
        /// There is such a place, but nobody listens.
        refused: bool,
    },
    /// Connected or not, no answer came in time.
    NotAnswering,
    /// This user may not connect.
    Denied {
        /// The socket.
        at: EngineAddress,
    },
    /// The engine answered with an error.
    Refused {
        /// HTTP's.
        status: u16,
        /// The engine's own words, on one line.
        message: String,
    },
    /// The answer is not what an engine says. Holds what is wrong with it.
    Malformed(&'static str),
    /// The answer is larger than it may be.
    TooLarge,
    /// The connection broke in the midst, as when the engine restarts.
    Lost(io::ErrorKind),
    /// The engine speaks no API as new as the oldest that is spoken here.
    TooOld {
        /// Its newest.
        newest: ApiVersion,
    },
    /// The engine speaks no API as old as the newest that is spoken here.
    TooNew {
        /// Its oldest.
        oldest: ApiVersion,
    },
}

impl EngineError {
    /// Whether nobody is there to answer.
    pub fn is_absence(&self) -> bool {
        matches!(self, EngineError::Absent { .. })
    }

    /// Whether the call is not allowed at all, by a filtering proxy or the like: it will not be in a second either.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, EngineError::Refused { status: 401 | 403 | 405, .. })
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Address(given) => {
                write!(
                    f,
                    "cannot use the Docker host {given:?}: give unix:///path, or tcp://HOST:PORT of a filtering proxy"
                )
            }
            EngineError::Absent { at, refused: false } => {
                write!(f, "no container engine: {at} does not exist; start Docker or set DOCKER_HOST")
            }
            EngineError::Absent { at, refused: true } => {
                write!(f, "no container engine: nobody listens at {at}; start Docker")
            }
            EngineError::NotAnswering => {
                write!(f, "the container engine does not answer in time; look at its log or restart it")
            }
            EngineError::Denied { at } => {
                write!(f, "may not connect to {at}: add this user to the docker group, or run as root")
            }
            EngineError::Refused { status, message } if message.is_empty() => {
                write!(f, "the container engine refused with status {status} and no reason; look at its log")
            }
            EngineError::Refused { status, message } => {
                write!(f, "the container engine refused ({status}): {message}")
            }
            EngineError::Malformed(what) => {
                write!(f, "what answers at the engine's socket is not understood: {what}; is it a container engine?")
            }
            EngineError::TooLarge => {
                write!(
                    f,
                    "the container engine's answer is larger than this agent reads; remove what makes it so large, such as labels"
                )
            }
            EngineError::Lost(kind) => {
                write!(f, "the connection to the container engine broke ({kind}); trying again helps if it restarts")
            }
            EngineError::TooOld { newest } => write!(
                f,
                "the container engine is too old: it speaks API {newest} at most, and {} is needed; update it",
                ApiVersion::OLDEST
            ),
            EngineError::TooNew { oldest } => write!(
                f,
                "the container engine is too new: it speaks no API below {oldest}, and this agent none above {}; \
                 update the agent",
                ApiVersion::NEWEST
            ),
        }
    }
}

impl std::error::Error for EngineError {}
