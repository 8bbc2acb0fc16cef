//! Packets to other hosts: a TUN device, WireGuard for each peer, one UDP socket. One thread of its own.

use muster_protocol::id::HostId;
use muster_protocol::network::{Prefix, Reach, Way};
use std::net::SocketAddr;

/// What a tunnel is made with.
#[derive(Clone)]
pub struct Settings {
    /// The WireGuard private key. Never leaves this host.
    pub key: [u8; 32],
    /// The UDP port to listen on, on all addresses; 0: any.
    pub port: u16,
    /// The name of the TUN device.
    pub device: String,
    /// The largest packet inside, in bytes.
    pub mtu: u16,
}

/// Who the peers are and how they are reached. The whole of it: what is not in it is forgotten; peers that stay with the
/// same key keep their sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// This host's number on relays.
    pub slot: u32,
    /// This host's own addresses: packets to others are not taken from the tunnel.
    pub own: Vec<Prefix>,
    /// The peers.
    pub peers: Vec<Peer>,
    /// Who forwards for this host, the best one first.
    pub relays: Vec<Relay>,
    /// For whom this host forwards.
    pub guests: Vec<Guest>,
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Which one.
    pub host: HostId,
    /// Its WireGuard public key.
    pub key: [u8; 32],
    /// Its number on relays.
    pub slot: u32,
    /// Seconds between keepalives, 0 for none.
    pub keepalive_s: u16,
    /// What is sent to it, and what it may send from.
    pub blocks: Vec<Prefix>,
    /// Where to try it, in this order, before a relay.
    pub endpoints: Vec<(Reach, SocketAddr)>,
}

/// Forwards for this host.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// The host that relays; all zero: the server.
    pub host: HostId,
    /// Where it is.
    pub address: SocketAddr,
    /// Proves this host to it.
    pub secret: [u8; 16],
}

/// For whom this host forwards.
#[derive(Clone, PartialEq, Eq)]
pub struct Guest {
    /// The host.
    pub host: HostId,
    /// Its number.
    pub slot: u32,
    /// Proves it.
    pub secret: [u8; 16],
}

/// How a peer is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The peer.
    pub host: HostId,
    /// In which way.
    pub way: Way,
    /// Where packets are sent to.
    pub endpoint: Option<SocketAddr>,
    /// Seconds since the last handshake.
    pub handshake_s: Option<u32>,
    /// Bytes of packets received from it.
    pub received: u64,
    /// Sent to it.
    pub sent: u64,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("host", &self.host).field("address", &self.address).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("host", &self.host).field("slot", &self.slot).finish_non_exhaustive()
    }
}
