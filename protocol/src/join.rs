//! Joining: once in a host's life.
//!
//! The credential travels in the `Authorization` header, as in every later request. The agent makes and stores
//! it before it sends, so that a join that is repeated with it finds the same host.

use crate::id::{Fingerprint, HostId};
use serde::{Deserialize, Serialize};

/// Agent to server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join<'a> {
    /// From the join string.
    pub token: &'a str,
    /// What the host calls itself; the server makes it unique.
    pub name: &'a str,
    /// Of the board.
    pub fingerprint: Fingerprint,
}

/// Server to agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined<'a> {
    /// The host's id from now on.
    pub host: HostId,
    /// The name that the server gave it.
    pub name: &'a str,
}
