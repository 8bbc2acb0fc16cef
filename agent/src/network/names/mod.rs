//! Names inside containers: an answerer for `muster.internal`, and the line in a container's `resolv.conf` that leads to
//! it.
//!
//! The answerer refuses all other names at once, so that a resolver goes on to the servers that were there before: they
//! stay in the file behind it.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

/// A container's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The container's, as a label of the domain name system.
    pub name: String,
    /// Its host's likewise.
    pub host_label: String,
    /// Its address.
    pub address: u32,
}

/// Answers questions on UDP port 53 of one address, in a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Answerer {}

impl Answerer {
    /// Starts it, with no names.
    ///
    /// # Errors
    /// The address is not the host's (yet), the port is taken, or there can be no thread.
    pub fn start(_gateway: Ipv4Addr) -> io::Result<Answerer> {
        Ok(Answerer {})
    }

    /// The names from now on.
    pub fn set(&self, _names: Vec<Name>) {}
}

/// Lets a container ask the answerer first: its line stands before the others of the `resolv.conf` at `path`, which the
/// engine wrote. Returns whether it had to be written.
///
/// # Errors
/// The file cannot be read or written, or is not what an engine writes.
pub fn list_first(_path: &Path, _gateway: Ipv4Addr) -> io::Result<bool> {
    Ok(false)
}

/// Takes the line out again, and nothing else. Returns whether there was one.
///
/// # Errors
/// As [`list_first`]. A file that is not there is no error.
pub fn unlist(_path: &Path, _gateway: Ipv4Addr) -> io::Result<bool> {
    Ok(false)
}
