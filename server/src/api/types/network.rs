//! The managed network.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The managed network: what is set, and its hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ManagedNetwork {
    /// Whether it is enabled.
    pub enabled: bool,
    /// All of its addresses.
    pub cidr: String,
    /// The length of hosts' blocks, in bits.
    pub block: u8,
    /// Containers with this label belong to it.
    pub label: String,
    /// Whether names are answered inside these containers.
    pub names: bool,
    /// The largest packet inside, in bytes.
    pub mtu: u16,
    /// The UDP port of the server's relay; null while it does not listen.
    pub relay_port: Option<u16>,
    /// Why the relay does not listen though the network is enabled; else null.
    pub relay_problem: Option<String>,
    /// Blocks that the range has.
    pub blocks: u32,
    /// Blocks that hosts have.
    pub blocks_used: u32,
    /// A page of its hosts, by name.
    pub hosts: Vec<NetworkHost>,
    /// What to give as `cursor` for the next page; null at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// A host of the managed network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkHost {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `joined`, or why it has no place: `not_enabled`, `not_accepted`, `full`, `key_changed`, `key_taken`.
    pub state: String,
    /// Why it has no place and what to do, in one line; else null.
    pub reason: Option<String>,
    /// Whether its network process is connected to the server.
    pub connected: bool,
    /// Its addresses.
    pub blocks: Vec<String>,
    /// Blocks that it needs for its containers beyond these, and that are not left.
    pub blocks_missing: u32,
    /// The range that its operator accepts; null if it never got so far.
    pub accepted: Option<String>,
    /// Its WireGuard public key, as it was seen first or accepted.
    pub key: Option<String>,
    /// Another one that it has come with, and that is not accepted; else null.
    pub new_key: Option<String>,
    /// The address that its packets come from, as the server's relay sees it; null if it was never seen.
    pub observed: Option<String>,
    /// `ADDRESS:PORT` by which everybody reaches it, if its operator has said so.
    pub endpoint: Option<String>,
    /// Addresses of its interfaces.
    pub addresses: Vec<String>,
    /// Whether others may send through it.
    pub relays: bool,
    /// Its containers that are in the network.
    pub containers: u32,
    /// Its labelled containers that are not.
    pub refused: Vec<NetworkRefusal>,
    /// Why its containers have no names inside the network, though names are answered, and what to do, in one line; else null.
    pub names_refused: Option<String>,
    /// How many others it reaches in which way, as it has said last.
    pub ways: NetworkWays,
}

/// A labelled container that is not in the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkRefusal {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Why, in one line.
    pub reason: String,
}

/// How many hosts are reached in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkWays {
    /// At an address that everybody reaches.
    pub direct: u32,
    /// On the same LAN.
    pub lan: u32,
    /// Through a relay.
    pub relayed: u32,
    /// Not at all, or not tried yet.
    pub none: u32,
}

/// How one host reaches another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkPath {
    /// The name of the host that says so.
    pub from: String,
    /// Its id.
    pub from_id: String,
    /// The name of the other one.
    pub to: String,
    /// Its id.
    pub to_id: String,
    /// `direct`, `lan`, `relayed` or `none`.
    pub way: String,
    /// `ADDRESS:PORT` that packets are sent to; null if there is none.
    pub endpoint: Option<String>,
    /// Seconds since the last handshake; null if there was none.
    pub handshake: Option<u64>,
    /// Bytes of packets received from the other one since the host's network process started.
    pub received: u64,
    /// Sent likewise.
    pub sent: u64,
}

/// Enables the managed network, or changes it. What is left out stays as it is, at first as it is by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnableNetwork {
    /// All of its addresses; 10.42.0.0/16 by default.
    #[serde(default)]
    pub cidr: Option<String>,
    /// The length of hosts' blocks, in bits; 26 by default: 64 addresses.
    #[serde(default)]
    pub block: Option<u8>,
    /// Containers with this label belong to it: `KEY=VALUE`; `io.rancher.container.network=true` by default.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether names are answered inside these containers; false by default.
    #[serde(default)]
    pub names: Option<bool>,
    /// The largest packet inside, in bytes; 1280 by default.
    #[serde(default)]
    pub mtu: Option<u16>,
    /// The UDP port of the server's relay; 0, as by default: the number of the server's TCP port.
    #[serde(default)]
    pub relay_port: Option<u16>,
    /// Change range or blocks though hosts have addresses: all of their containers get new ones.
    #[serde(default)]
    pub force: bool,
}

/// Asks one host whether it reaches another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PingNetwork {
    /// The id or name of the one that is to ask.
    pub from: String,
    /// And of the other.
    pub to: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkPing {
    /// The name of the one that has asked.
    pub from: String,
    /// And of the other.
    pub to: String,
    /// Whether it answered through the tunnel.
    pub answered: bool,
    /// How long that took; null if it did not.
    pub milliseconds: Option<f64>,
}

/// Accepts the key that a host of the network has come with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptNetworkKey {
    /// `new_key` of the host: if it has come with another one by now, nothing is accepted.
    pub key: String,
}
