//! Names inside containers: an answerer for `muster.internal`, and the line in a container's `resolv.conf` that leads to
//! it.
//!
//! The answerer refuses all other names at once, so that a resolver goes on to the servers that were there before: they
//! stay in the file behind it. So they do when nothing listens any more: the kernel says at once that the port is closed.

mod answerer;
pub mod message;
mod resolv;
pub mod table;

pub use answerer::Answerer;
pub use resolv::{list_first, unlist};

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
