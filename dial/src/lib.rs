//! How Muster's clients reach its server: [join strings](join_string) say where it is and how it is recognised,
//! [pinned TLS](pinned) recognises it, a [proxy](Proxies) may lead to it, the [client] asks it.
//!
//! Used by the agent and by the command line. It blocks, and needs one thread: no executor.
#![forbid(unsafe_code)]

pub mod client;
mod crypto;
mod failure;
pub mod generation;
pub mod join_string;
pub mod line;
pub mod pinned;
mod proxy;
mod socket;
mod tcp;
mod trust;
pub mod verify;

pub use client::{Client, Settings, Status, Stream};
pub use failure::Failure;
pub use join_string::{Address, JoinString, JoinStringError, Pin};
pub use line::{Line, Opened};
pub use proxy::Proxies;
pub use trust::Trust;
