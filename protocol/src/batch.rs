//! What goes back and forth within an epoch.

use crate::id::EngineId;
use crate::limits;
use serde::{Deserialize, Serialize};

/// The first record of every message of an agent after its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// From the server's welcome.
    pub epoch: u64,
    /// This message's own number in the sequence.
    pub seq: u64,
    /// The agent knows that everything up to here is stored.
    pub base: u64,
    /// Every event above `base` and up to here is in this message.
    pub through: u64,
    /// Events that this host has lost since the agent's start.
    pub events_dropped: u64,
}

/// At this number the engine had no such container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The reading's number.
    pub seq: u64,
    /// The container.
    pub id: EngineId,
}

/// The end of a reading of all containers: those that were not in it do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEnd {
    /// The reading's number, which each of its containers carried.
    pub seq: u64,
    /// How many containers carried it, in records of the kind [`crate::record::Kind::Listed`].
    pub total: u32,
    /// How many more the host has, beyond the limit.
    pub hidden: u32,
}

/// Proves that the server's copy is what a reading showed. Alone it ends a reading of all containers of which only
/// the changes were sent: the server takes what it holds for the rest if, and only if, that gives this sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The reading's number.
    pub seq: u64,
    /// How many containers the host has, without the hidden ones.
    pub total: u32,
    /// How many more it has, beyond the limit.
    pub hidden: u32,
    /// [`sum`] over all of them, lowest byte first.
    pub sum: [u8; 8],
}

/// What an encoded [`crate::container::Container`] adds to a [`Digest`]; the order does not matter, for sums wrap.
pub fn sum(body: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(body)
}

/// Server to agent, behind an answer: what it holds does not give a digest's sum, so all containers are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// The reading's number.
    pub seq: u64,
}

/// How the engine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine<'a> {
    /// [`EngineState`] as a number.
    pub state: u8,
    /// For how long, in milliseconds by the host's monotonic clock.
    pub for_ms: u64,
    /// The engine's version; empty if it was never heard.
    pub version: &'a str,
    /// The API version in use; empty if it was never heard.
    pub api_version: &'a str,
}

/// Whether the engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EngineState {
    /// It answers.
    Ok = 1,
    /// Its socket is there, and it does not answer in time.
    NotAnswering = 2,
    /// Nobody listens.
    Absent = 3,
}

impl EngineState {
    /// From the number on the wire; an unknown one does not answer.
    pub fn from_number(number: u8) -> EngineState {
        match number {
            1 => EngineState::Ok,
            3 => EngineState::Absent,
            _ => EngineState::NotAnswering,
        }
    }

    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            EngineState::Ok => "ok",
            EngineState::NotAnswering => "not_answering",
            EngineState::Absent => "absent",
        }
    }
}

/// Server to agent: what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The epoch that this is about.
    pub epoch: u64,
    /// Every event up to here is stored.
    pub acknowledged: u64,
    /// The number of the last reading of all containers that took effect; 0 for none in this epoch.
    pub listed: u64,
    /// Differences that no event explains and the next reading will confirm or not.
    pub unexplained: u32,
}

/// Server to agent: what it did not take. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// [`Reason`] as a number.
    pub reason: u8,
    /// The server's epoch of this stream.
    pub epoch: u64,
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A reason that this version has no name for: try again later.
    Unknown = 0,
    /// The message is of an older epoch.
    StaleEpoch = 1,
    /// The server does not know this epoch, or not so much of it: say hello.
    HelloFirst = 2,
    /// Another run of this host's agent is active.
    Superseded = 3,
    /// The store cannot keep anything now: try again later.
    Store = 4,
    /// It does not decode.
    Malformed = 5,
    /// More messages than this host may send: try again later.
    TooMany = 6,
    /// Another board is active with the same credential: this one is its clone, and has to join as a host of its own.
    Clone = 7,
    /// Another board was heard with the same credential, and it is not known yet whether it still is there: try again
    /// later.
    Undecided = 8,
}

impl Reason {
    /// From the number on the wire.
    pub fn from_number(number: u8) -> Reason {
        match number {
            1 => Reason::StaleEpoch,
            2 => Reason::HelloFirst,
            3 => Reason::Superseded,
            4 => Reason::Store,
            5 => Reason::Malformed,
            6 => Reason::TooMany,
            7 => Reason::Clone,
            8 => Reason::Undecided,
            _ => Reason::Unknown,
        }
    }
}

/// A message has to hold its header, its events and its readings at once.
const _: () = assert!(limits::EVENTS_IN_MESSAGE + limits::READINGS + 1024 <= limits::MESSAGE);
