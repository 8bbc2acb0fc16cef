//! Backups: one file with everything that a server needs to go on elsewhere.
//!
//! A backup is the line `MAGIC` and then parts: `kind` (one byte), `length` (four bytes, the highest first) and as
//! many bytes. Kinds that are not known make it unreadable, as nothing in it may be missing.
//!
//! | Kind | What | Bytes |
//! |---|---|---|
//! | 1 | about it: always first | JSON, `About` |
//! | 2 | a file of the data directory | its number in `FILES`, and its content |
//! | 3 | a row | the number of its table ([`Table`]), and the row as it is stored, with its version |
//! | 254 | it could not be finished | why, as text |
//! | 255 | the end | SHA-256 of all bytes before this part |
//!
//! Rows, and not the database's files: so a backup is whole whatever the store does meanwhile, has no empty pages, and
//! can be read by newer servers as long as rows can. The server sends it without files: its keys never leave its
//! machine through the API. `muster backup` adds them where it can read them.

mod give;
mod reader;
pub mod restore;
pub mod save;
mod writer;

pub use give::give;

use crate::access::{admin, docker_ca, fleet_key};
use crate::store::copying::Table;
use serde::{Deserialize, Serialize};

/// What a backup begins with. The number is the version of its format.
pub(crate) const MAGIC: &[u8] = b"muster backup 1\n";

/// The files that a backup can hold. The number of each is its place here: append only. The backup fleet key is not
/// among them, and must never be: it is kept apart so that it survives whatever happens to server and backups.
pub(crate) const FILES: [&str; 3] = [fleet_key::FILE, admin::FILE, docker_ca::FILE];

/// Bytes of one part: a row is at most some 30 KiB.
const PART: usize = 1024 * 1024;

/// About a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Of the server that made it.
    pub version: String,
    /// When, in RFC 3339.
    pub made_at: String,
    /// The id of the newest event that the server had stored then.
    pub newest_event: u64,
    /// Whether the history is in it.
    pub with_history: bool,
}

/// A part of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// About it.
    About(About),
    /// One of [`FILES`].
    File(&'static str, Vec<u8>),
    /// A row.
    Row(Table, Vec<u8>),
}

const ABOUT: u8 = 1;
const FILE: u8 = 2;
const ROW: u8 = 3;
const FAILED: u8 = 254;
const END: u8 = 255;

#[cfg(test)]
mod tests;
