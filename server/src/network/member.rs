//! A host of the managed network, as it is known.

use muster_protocol::id::{EngineId, HostId};
use muster_protocol::network::Prefix;
use std::net::{IpAddr, SocketAddr};

/// A host of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which one.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// Its number on relays. Never given twice.
    pub slot: u32,
    /// Its WireGuard public key: the one that was seen first, or that an operator has accepted.
    pub key: [u8; 32],
    /// Another key that it has come with, and that nobody has accepted.
    pub other_key: Option<[u8; 32]>,
    /// What it says of itself.
    pub offer: Offer,
    /// The address that its packets come from, as the relay sees it; `None` if it was never seen.
    pub observed: Option<IpAddr>,
    /// Its blocks, by their index, in the order in which they were given.
    pub blocks: Vec<u32>,
    /// Its labelled containers, in the order in which it told of them.
    pub containers: Vec<Container>,
}

/// What a host says of itself: a [hello](muster_protocol::network::NetworkHello) without key and sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The UDP port that it listens on.
    pub port: u16,
    /// The range that its operator accepts.
    pub accepted: Prefix,
    /// By which everybody reaches it, if its operator has said so.
    pub endpoint: Option<SocketAddr>,
    /// Whether others may send through it.
    pub relays: bool,
    /// Addresses of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// How many blocks it needs.
    pub blocks: u8,
}

/// A container that has the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: EngineId,
    /// Its name.
    pub name: String,
    /// Its address, or why it could not be joined.
    pub joined: Result<u32, String>,
}

impl Member {
    /// How many of its containers are in the network.
    pub fn joined(&self) -> usize {
        self.containers.iter().filter(|container| container.joined.is_ok()).count()
    }

    /// Those of its containers that could not be joined, and why.
    pub fn refusals(&self) -> impl Iterator<Item = (&Container, &str)> {
        self.containers.iter().filter_map(|it| Some((it, it.joined.as_ref().err()?.as_str())))
    }
}
