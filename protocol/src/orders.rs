//! What a server wants of an agent, and what the agent says of it. None of it is ever needed to report: it goes along
//! behind a welcome or an answer, and is repeated until it is confirmed.

use crate::limits;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Stands for a credential on one run's requests: made by the server at a hello, forgotten when it restarts.
/// A secret like the credential itself.
pub type Session = [u8; 12];

/// Server to agent: how to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Milliseconds between reports; 0: what the agent was started with.
    pub interval_ms: u32,
}

/// Server to agent: where the server is reached, and what it is recognised by, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust<'a> {
    /// Grows with every change; an agent ignores what is not above what it holds.
    pub revision: u64,
    /// The least generation of a serving certificate that is accepted from now on.
    pub generation: u64,
    /// `HOST:PORT`, the best one first.
    #[serde(borrow)]
    pub addresses: Vec<&'a str, { limits::ADDRESSES }>,
    /// SHA-256 of public keys.
    pub pins: Vec<[u8; 32], { limits::PINS }>,
}

/// Agent to server, behind its hello or in a report: this revision of [`Trust`] is on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// 0: what it joined with.
    pub revision: u64,
}

/// Server to agent: make a new credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// Which time this is, so that a repeated wish is not done twice.
    pub number: u32,
}

/// Agent to server, behind its hello: the new credential is on its disk, and has this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Of the wish.
    pub number: u32,
    /// SHA-256 of the credential's 64 hexadecimal digits.
    pub hash: [u8; 32],
}
