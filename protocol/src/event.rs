//! Events, and what stands for those that are missing.

use crate::id::EngineId;
use crate::limits;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// One event as the engine said it. Its encoded bytes, hashed, are its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// The engine's `timeNano`: nanoseconds since 1970 by the host's clock. Shown, never used for order.
    pub time_nano: i64,
    /// [`Subject`] as a number.
    pub subject: u8,
    /// Docker's name of it, such as `die` or `health_status: healthy`.
    pub action: &'a str,
    /// The container, or the network for [`Subject::Network`].
    pub actor: EngineId,
    /// For a network's event, the container that it is about.
    pub container: Option<EngineId>,
    /// Sorted by key. A network event's `container` is taken out and stands above.
    #[serde(borrow)]
    pub attributes: Vec<(&'a str, &'a str), { limits::ATTRIBUTES }>,
    /// Bits of [`crate::container::cut`].
    pub truncated: u16,
}

impl Event<'_> {
    /// The container that it is about.
    pub fn container_id(&self) -> Option<EngineId> {
        if self.subject == Subject::Container as u8 { Some(self.actor) } else { self.container }
    }

    /// Whether every text keeps to its limit, and the attributes together to theirs.
    pub fn is_within_limits(&self) -> bool {
        let mut bytes = 0;
        self.action.len() <= limits::ACTION
            && self.attributes.iter().all(|(key, value)| {
                bytes += key.len() + value.len();
                key.len() <= limits::ATTRIBUTE_KEY && value.len() <= limits::ATTRIBUTE_VALUE
            })
            && bytes <= limits::ATTRIBUTES_BYTES
    }
}

/// What an event is about: Docker's `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Subject {
    /// A container.
    Container = 1,
    /// A container's place on a network.
    Network = 2,
}

/// Events are missing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// [`Cause`] as a number.
    pub cause: u8,
    /// How many at most; `None` if nobody can know.
    pub count: Option<u32>,
    /// The engine's time of the last event before it, in nanoseconds since 1970; 0 if unknown.
    pub from_nano: i64,
    /// The engine's time of the first event after it, or of the last one missing; 0 if unknown.
    pub to_nano: i64,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// A cause that this version has no name for.
    Unknown = 0,
    /// The server was away for longer than the agent's queue could hold.
    QueueFull = 1,
    /// The agent was down, and the engine no longer has what happened meanwhile.
    AgentDown = 2,
    /// The engine restarted: its memory of events is empty, and what happened around it is unknown.
    EngineRestarted = 3,
    /// The stream of events broke, and the engine no longer has what came meanwhile.
    StreamLost = 4,
    /// The server came back with an older history than it had acknowledged.
    ServerRestored = 5,
    /// Events that were too large to keep.
    TooLarge = 6,
}

impl Cause {
    /// All, with the word that the API has for each.
    pub const WORDS: [(Cause, &'static str); 7] = [
        (Cause::Unknown, "unknown"),
        (Cause::QueueFull, "queue_full"),
        (Cause::AgentDown, "agent_down"),
        (Cause::EngineRestarted, "engine_restarted"),
        (Cause::StreamLost, "stream_lost"),
        (Cause::ServerRestored, "server_restored"),
        (Cause::TooLarge, "too_large"),
    ];

    /// From the number on the wire.
    pub fn from_number(number: u8) -> Cause {
        Cause::WORDS.into_iter().map(|(cause, _)| cause).find(|c| *c as u8 == number).unwrap_or(Cause::Unknown)
    }

    /// The API's word.
    pub fn word(self) -> &'static str {
        Cause::WORDS.into_iter().find(|(cause, _)| *cause == self).map_or("unknown", |(_, word)| word)
    }
}
