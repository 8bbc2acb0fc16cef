//! The start of a stream: who speaks, and from where the sequence goes on.

use crate::id::{EventIdentity, Fingerprint, RunId};
use crate::limits;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// The streams of one host. Each has epochs and a sequence of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Events and reports.
    Report = 1,
}

/// Agent to server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// This life of the agent.
    pub run: RunId,
    /// [`Stream`] as a number.
    pub stream: u8,
    /// Of the board.
    pub fingerprint: Fingerprint,
    /// The highest epoch of this stream that the agent has seen; 0 for none.
    pub highest_epoch: u64,
    /// Milliseconds between reports.
    pub interval_ms: u32,
    /// The agent's version.
    pub agent_version: &'a str,
    /// Such as `linux`.
    pub os: &'a str,
    /// As Rust names it, such as `aarch64`.
    pub arch: &'a str,
    /// The kernel's release.
    pub kernel: &'a str,
}

/// Server to agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The epoch of this run: persisted before it was sent.
    pub epoch: u64,
    /// What of this epoch is stored: 0 for a new one.
    pub acknowledged: u64,
    /// The last event of the engine that is stored of this host, of whatever epoch.
    pub last_event: Option<EventIdentity>,
    /// Numbers of the kinds of records that the server understands.
    pub kinds: Vec<u8, { limits::KINDS }>,
}
