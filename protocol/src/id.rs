//! Identifiers, as short on the wire as they can be.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The engine's 64 hexadecimal digits, as 32 bytes: a container, a network or an image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct EngineId(pub [u8; 32]);

impl EngineId {
    /// Reads 64 hexadecimal digits, with or without `sha256:` in front.
    pub fn parse(text: &str) -> Option<EngineId> {
        let mut bytes = [0; 32];
        unhex(text.strip_prefix("sha256:").unwrap_or(text), &mut bytes)?;
        Some(EngineId(bytes))
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0[..6], f)
    }
}

/// A host, as the server numbers it: 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct HostId(pub [u8; 8]);

impl HostId {
    /// Reads 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<HostId> {
        let mut bytes = [0; 8];
        unhex(text, &mut bytes)?;
        Some(HostId(bytes))
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// One life of an agent process: random at its start.
pub type RunId = [u8; 16];

/// What the board itself is, whatever card is in it: a hash of its serial number. Zero when unknown.
pub type Fingerprint = [u8; 16];

/// An event's identity within its host: a hash of everything that the engine said of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct EventIdentity(pub u64, pub u64);

impl EventIdentity {
    /// Of an encoded [`crate::event::Event`] (without its sequence number).
    pub fn of(body: &[u8]) -> EventIdentity {
        let hash = xxhash_rust::xxh3::xxh3_128(body);
        EventIdentity((hash >> 64) as u64, hash as u64)
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn unhex(text: &str, out: &mut [u8]) -> Option<()> {
    if text.len() != out.len() * 2 || !text.is_ascii() {
        return None;
    }
    for (pair, byte) in text.as_bytes().chunks_exact(2).zip(out) {
        let high = (pair[0] as char).to_digit(16)?;
        let low = (pair[1] as char).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(())
}
