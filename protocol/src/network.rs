//! The managed network, as host and server speak of it over a line of its own.
//!
//! The server's part is a *plan*: a set of records, each known by its kind and [key](NetworkGone). What the host says is what it
//! brings along ([`NetworkHello`]), which containers it has joined, and how its peers are reached. Private keys are never
//! part of it.

pub mod probe;
pub mod relay;

use crate::id::{EngineId, HostId};
use crate::limits;
use core::fmt;
use core::net::Ipv4Addr;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// A range of IPv4 addresses, such as 10.42.0.0/16.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Prefix {
    /// The first address, as a number: 10.42.0.0 is 0x0a2a0000. Bits beyond the length are zero.
    pub first: u32,
    /// Bits that all addresses have in common: 0 to 32.
    pub length: u8,
}

impl Prefix {
    /// Reads `10.42.0.0/16`. Bits beyond the length have to be zero.
    pub fn parse(text: &str) -> Option<Prefix> {
        let (address, length) = text.split_once('/')?;
        let digits = !length.is_empty() && length.len() <= 2 && length.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = Prefix {
            first: address.parse::<Ipv4Addr>().ok()?.to_bits(),
            length: digits.then(|| length.parse().ok())??,
        };
        prefix.is_valid().then_some(prefix)
    }

    /// Whether it is one: what comes from elsewhere need not be.
    pub fn is_valid(&self) -> bool {
        self.length <= 32 && self.first & !self.mask() == 0
    }

    /// Addresses in it, the first and the last one included.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.length.min(32)))
    }

    /// The last address.
    pub fn last(&self) -> u32 {
        self.first | !self.mask()
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: u32) -> bool {
        address & self.mask() == self.first
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: Prefix) -> bool {
        self.length <= other.length && self.contains(other.first)
    }

    /// Whether any address is in both.
    pub fn overlaps(&self, other: Prefix) -> bool {
        self.covers(other) || other.covers(*self)
    }

    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.length.min(32))).unwrap_or(0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Agent to server, first on a line and again when something of it has changed: what the host brings along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkHello<'a> {
    /// Its WireGuard public key.
    pub key: [u8; 32],
    /// The UDP port that it listens on.
    pub port: u16,
    /// The range that its operator has accepted: what is outside is refused.
    pub accepted: Prefix,
    /// `ADDRESS:PORT` by which everybody reaches that UDP port, if its operator has said so; else empty.
    pub endpoint: &'a str,
    /// Whether others may send through it.
    pub relays: bool,
    /// Addresses of its own interfaces by which others on the same LAN may reach it, without ports.
    #[serde(borrow)]
    pub addresses: Vec<&'a str, { limits::NETWORK_ADDRESSES }>,
    /// How many blocks it needs for the containers that it has; at least 1.
    pub blocks: u8,
    /// The [`sum()`] of the plan that it holds; 0 if it holds none.
    pub sum: u64,
}

/// Agent to server: a container that has the label. All of them behind a hello; then each that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkMember<'a> {
    /// The container.
    pub container: EngineId,
    /// Its name, without the slash.
    pub name: &'a str,
    /// A number of [`MemberState`].
    pub state: u8,
    /// Its address; 0 if it has none.
    pub address: u32,
    /// Why it has not joined, in one line; else empty.
    pub reason: &'a str,
}

/// Agent to server: how a peer is reached. Each that has changed, at most twice a minute; amounts alone seldom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPath<'a> {
    /// The peer.
    pub host: HostId,
    /// A number of [`Way`].
    pub way: u8,
    /// The address and port that packets are sent to; empty if none.
    pub endpoint: &'a str,
    /// Seconds since the last handshake; `u32::MAX`: there was none.
    pub handshake_s: u32,
    /// Bytes of packets received from it since the network process started.
    pub received: u64,
    /// Sent likewise.
    pub sent: u64,
}

/// Agent to server: what came of a [`NetworkProbe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkEcho {
    /// Of the probe.
    pub number: u32,
    /// Microseconds until the peer answered through the tunnel; `u32::MAX`: it did not within five seconds.
    pub took_us: u32,
}

/// Server to agent: the host's own place. A plan has exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan<'a> {
    /// The whole network.
    pub range: Prefix,
    /// Containers with this label belong to it: `KEY=VALUE`.
    pub label: &'a str,
    /// Whether names are answered inside the labelled containers.
    pub names: bool,
    /// The largest packet inside the network, in bytes.
    pub mtu: u16,
    /// The host's number on relays.
    pub slot: u32,
    /// A number of [`NoPlace`]: why it has no place; 0 if it has one.
    pub refused: u8,
    /// The host's addresses. The first address behind the first one's network address is the host's own.
    pub blocks: Vec<Prefix, { limits::NETWORK_BLOCKS }>,
}

/// Server to agent: another host of the network. Its key in the plan is `host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPeer<'a> {
    /// Which one.
    pub host: HostId,
    /// Its name.
    pub name: &'a str,
    /// Its WireGuard public key.
    pub key: [u8; 32],
    /// Its number on relays.
    pub slot: u32,
    /// Whether somebody behind a NAT has to keep the way to it open: seconds between keepalives, 0 for none.
    pub keepalive_s: u16,
    /// What is routed to it.
    pub blocks: Vec<Prefix, { limits::NETWORK_BLOCKS }>,
    /// A number of [`Reach`] and `ADDRESS:PORT`, to be tried in this order before a relay.
    #[serde(borrow)]
    pub endpoints: Vec<(u8, &'a str), { limits::NETWORK_ENDPOINTS }>,
}

/// Server to agent: who forwards for it. Its key in the plan is `host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRelay<'a> {
    /// The host that relays; all zero: the server.
    pub host: HostId,
    /// `ADDRESS:PORT`. Without an address (`:PORT`), the one that this line goes to.
    pub endpoint: &'a str,
    /// Proves the agent to the relay. A secret.
    pub secret: [u8; 16],
}

/// Server to an agent that relays: for whom. Its key in the plan is `host`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkGuest {
    /// For whom.
    pub host: HostId,
    /// Its number.
    pub slot: u32,
    /// Proves it. A secret.
    pub secret: [u8; 16],
}

/// Server to agent: what a name stands for. Its key in the plan is `host` and `name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkName<'a> {
    /// The host that the container is on.
    pub host: HostId,
    /// The host's name as a label of the domain name system.
    pub host_label: &'a str,
    /// The container's name likewise.
    pub name: &'a str,
    /// Its address.
    pub address: u32,
}

/// Server to agent: a record is not part of the plan any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkGone<'a> {
    /// The record's kind.
    pub kind: u8,
    /// Of its key.
    pub host: HostId,
    /// Of its key; empty for kinds that have no name in theirs.
    pub name: &'a str,
}

/// Server to agent, behind changes of the plan: what it is now. The agent takes over all changes since the last one if its
/// own sum is this one; else it says hello with the sum 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSum {
    /// Whether the records before it are all of the plan. Otherwise they are changes.
    pub whole: bool,
    /// See [`sum`].
    pub sum: u64,
}

/// Server to agent: send an echo through the tunnel to a peer, and tell how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkProbe {
    /// Tells it from others.
    pub number: u32,
    /// The peer.
    pub host: HostId,
}

/// What one record adds to the sum of a plan: the sum is that of all of its records, wrapping, so their order does not
/// matter. `payload` is the record's, as it is on the wire.
pub fn sum(kind: u8, payload: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(payload, kind.into())
}

/// How a container is in the network. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MemberState {
    /// It is not there any more, or does not have the label.
    Gone = 0,
    /// It has its address.
    Joined = 1,
    /// It cannot join, for the reason that is told.
    Refused = 2,
}

/// How packets go to a peer. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Way {
    /// Not at all.
    None = 0,
    /// To an address that everybody reaches.
    Direct = 1,
    /// To an address on the same LAN.
    Lan = 2,
    /// Through a relay.
    Relayed = 3,
    /// Not at all, or not to all of its addresses: the host has refused what the plan says of it.
    Refused = 4,
}

/// What kind of endpoint it is. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reach {
    /// Reached by those on the same LAN.
    Lan = 1,
    /// Reached by everybody.
    Public = 2,
}

/// Why a host has no place in the network. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NoPlace {
    /// It has one.
    HasOne = 0,
    /// The network is not enabled on the server.
    NotEnabled = 1,
    /// The network's range is not within the one that the host accepts.
    NotAccepted = 2,
    /// All blocks are taken.
    Full = 3,
    /// The host's key is not the one that was seen first, and no operator has accepted the new one.
    KeyChanged = 4,
    /// Another host has this key. A copied card has to make another one.
    KeyTaken = 5,
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
