//! The rows of a store. Times are milliseconds since 1970 by the server's clock unless a field says otherwise.

use muster_protocol::event::{Event, Gap};
use muster_protocol::id::{EngineId, EventIdentity, Fingerprint, HostId, RunId};
use muster_protocol::network::Prefix;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRow {
    /// Its key.
    pub id: HostId,
    /// Unique among hosts that are not removed.
    pub name: String,
    /// From the join token.
    pub labels: BTreeMap<String, String>,
    /// SHA-256 of its credential.
    pub credential: [u8; 32],
    /// Of its board.
    pub fingerprint: Fingerprint,
    /// When it joined.
    pub joined_ms: i64,
    /// [`crate::fleet`]'s host state as the API's word.
    pub state: String,
    /// When it entered that state.
    pub since_ms: i64,
    /// When it was last heard; written with other changes only.
    pub last_seen_ms: Option<i64>,
    /// What it announced, in milliseconds.
    pub interval_ms: u32,
    /// What its agent said of itself.
    pub facts: HostFacts,
    /// What was last known of its engine.
    pub engine: EngineRow,
    /// Containers beyond the limit.
    pub hidden: u32,
    /// Events that its agent had to drop, over all of its lives.
    pub events_dropped: u64,
    /// Another agent uses its credential.
    pub conflict: bool,
    /// Of `events_dropped`, those of runs before the newest: a run counts its own from its start, whoever
    /// restarts meanwhile.
    pub dropped_before: u64,
    /// When its last whole list took effect; written with other changes only.
    pub listed_ms: Option<i64>,
    /// What operators want of it, and how far it has come.
    pub orders: HostOrders,
    /// The server's copy of its containers could not be proven equal, though all were sent.
    pub sync_error: bool,
}

/// What operators want of a host, and how far it has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostOrders {
    /// Milliseconds between reports, if operators have set it.
    pub interval_ms: Option<u32>,
    /// The revision of [`FleetRow`] that the agent has on its disk.
    pub trust_revision: u64,
    /// How often operators have asked for a new credential.
    pub renew: u32,
    /// The last of those times that is done: what was made then is in use.
    pub renewed: u32,
    /// SHA-256 of the credential that the agent made then; it counts beside the old one until it is first used.
    pub next_credential: Option<[u8; 32]>,
    /// Its credential is not accepted any more; the host stays, and may join again.
    pub revoked: bool,
    /// Milliseconds between looks at its vitals, if operators have set it; `u32::MAX`: never.
    pub vitals_ms: Option<u32>,
}

/// Where the server is reached and what it is recognised by: what agents hold, beyond what they joined with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetRow {
    /// Grows with every change of this row.
    pub revision: u64,
    /// The least generation of a serving certificate that agents are to accept.
    pub generation: u64,
    /// `HOST:PORT`, the best one first; empty: what the server was started with.
    pub addresses: Vec<String>,
    /// SHA-256 of public keys.
    pub pins: Vec<[u8; 32]>,
}

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its key. Grows by one; given by the store.
    pub id: u64,
    /// When.
    pub time_ms: i64,
    /// The id of the API token that was used, or `admin`.
    pub token: String,
    /// What that token is for, as it was named.
    pub name: String,
    /// Where the request came from.
    pub peer: String,
    /// Such as `host.rename`.
    pub action: String,
    /// Whom or what it was done to: a host's, token's or address's name or id.
    pub target: String,
    /// Details; never a secret.
    pub attributes: BTreeMap<String, String>,
}

/// What an agent says of itself at hello.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The agent's version.
    pub agent_version: String,
    /// Such as `linux`.
    pub os: String,
    /// Such as `aarch64`.
    pub arch: String,
    /// The kernel's release.
    pub kernel: String,
}

/// What was last known of a host's engine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineRow {
    /// [`muster_protocol::batch::EngineState`] as a number; 0 if never heard.
    pub state: u8,
    /// When it entered that state, if it was ever heard.
    pub since_ms: Option<i64>,
    /// The engine's version.
    pub version: String,
    /// The API version in use.
    pub api_version: String,
}

/// A stream's place: what the mirror must not forget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamRow {
    /// Its key, with `stream`.
    pub host: HostId,
    /// [`muster_protocol::hello::Stream`] as a number.
    pub stream: u8,
    /// The newest epoch.
    pub epoch: u64,
    /// What of it is stored.
    pub acknowledged: u64,
    /// The last event of the engine that is stored.
    pub last_event: Option<EventIdentity>,
    /// The newest runs and the epoch of each, oldest first.
    pub runs: Vec<(RunId, u64)>,
    /// Whether a whole list was ever taken: before it, containers are imported and not events.
    pub imported: bool,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRow {
    /// Its key, with `id`.
    pub host: HostId,
    /// The engine's id: several hosts can have the same.
    pub id: EngineId,
    /// The epoch of the reading that `body` is from.
    pub epoch: u64,
    /// The number of that reading.
    pub seq: u64,
    /// What the events say of it: opaque to the store.
    pub story: Vec<u8>,
    /// The encoded [`muster_protocol::container::Container`]; empty if only events were heard of it.
    pub body: Vec<u8>,
    /// When that reading came.
    pub as_of_ms: i64,
}

/// An event. Ids grow by one, fleet-wide, in the order in which events were stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its key.
    pub id: u64,
    /// When it came.
    pub received_ms: i64,
    /// Whose it is.
    pub host: HostId,
    /// Its place in the host's order; 0 for what the server itself noticed.
    pub epoch: u64,
    /// Its place in the host's order.
    pub seq: u64,
    /// What it says.
    pub body: EventBody,
}

impl EventRow {
    /// When it happened, in milliseconds since 1970: by the host's clock where that is known, else when it came.
    pub fn time_ms(&self) -> i64 {
        let nanos = match &self.body {
            EventBody::Engine(body) => postcard::from_bytes::<Event<'_>>(body).ok().map(|event| event.time_nano),
            EventBody::Gap(body) => {
                postcard::from_bytes::<Gap>(body).ok().map(|gap| gap.to_nano).filter(|nanos| *nanos != 0)
            }
            EventBody::Derived { .. } | EventBody::Host { .. } => None,
        };
        nanos.map_or(self.received_ms, |nanos| nanos.div_euclid(1_000_000))
    }
}

/// A time from one moment to another, both included, in milliseconds since 1970; `None`: without a bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub since_ms: Option<i64>,
    /// Its end.
    pub until_ms: Option<i64>,
}

impl Span {
    /// What some events cover, by their hosts' clocks and by the server's; `None` of none.
    pub fn of(events: &[&EventRow]) -> Option<Span> {
        let times = || events.iter().flat_map(|event| [event.time_ms(), event.received_ms]);
        Some(Span { since_ms: Some(times().min()?), until_ms: Some(times().max()?) })
    }

    /// Whether a moment can be in both.
    pub fn meets(&self, other: Span) -> bool {
        let ends_before = |until: Option<i64>, since: Option<i64>| until.zip(since).is_some_and(|(u, s)| u < s);
        !ends_before(self.until_ms, other.since_ms) && !ends_before(other.until_ms, self.since_ms)
    }
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum EventBody {
    /// The encoded [`muster_protocol::event::Event`].
    Engine(Vec<u8>),
    /// The encoded [`muster_protocol::event::Gap`].
    Gap(Vec<u8>),
    /// What only a list showed, in the engine's words.
    Derived {
        /// The container.
        container: EngineId,
        /// Docker's name of what must have happened.
        action: String,
        /// As Docker would have sent them, as far as they are known.
        attributes: BTreeMap<String, String>,
    },
    /// What became of the host itself.
    Host {
        /// Such as `host_disconnected`.
        action: String,
        /// Details.
        attributes: BTreeMap<String, String>,
    },
}

/// A join token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JoinTokenRow {
    /// Its key: made from the token, and shows nothing of it.
    pub id: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// How many hosts may still join with it; `None`: any number.
    pub uses_left: Option<u32>,
    /// How many have.
    pub used: u32,
    /// Given to hosts that join with it.
    pub labels: BTreeMap<String, String>,
    /// Given to the host that joins with it.
    pub name: Option<String>,
}

/// An API token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiTokenRow {
    /// Its key: made from the token, and shows nothing of it.
    pub id: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// `admin` or `viewer`.
    pub role: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_ms: i64,
}

/// A client of the Docker API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DockerClientRow {
    /// Its key: the beginning of the fingerprint, in hexadecimal digits.
    pub id: String,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
    /// `viewer`.
    pub role: String,
    /// What its docker context is called.
    pub name: String,
    /// The name or address that it reaches the server by: part of the server's certificate.
    pub host: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
}

/// What operators have set of alerts, or how far alerts have come: by its key. The store does not look into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertSettingRow {
    /// Its key, such as `target/NAME`.
    pub key: String,
    /// JSON, of which unknown fields are passed over.
    pub json: Vec<u8>,
}

/// An alert. The store does not look into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// Its key. Grows by one.
    pub id: u64,
    /// JSON, of which unknown fields are passed over.
    pub json: Vec<u8>,
}

/// A notice that waits to be delivered. The store does not look into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoticeRow {
    /// Its key. Grows by one.
    pub id: u64,
    /// JSON, of which unknown fields are passed over.
    pub json: Vec<u8>,
}

/// The managed network: what operators have set, and what must not be given twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkRow {
    /// Whether there is one.
    pub enabled: bool,
    /// All of its addresses.
    pub range: Prefix,
    /// The length of a host's blocks, in bits.
    pub block_length: u8,
    /// The label of containers that belong to it.
    pub label: String,
    /// Whether names are answered.
    pub names: bool,
    /// The largest packet, in bytes.
    pub mtu: u16,
    /// The UDP port of the server's relay; `None`: as the TCP port.
    pub relay_port: Option<u16>,
    /// The next host's number on relays.
    pub next_slot: u32,
    /// The lowest block that was never given, by its index.
    pub next_block: u32,
    /// Blocks that were given back, the oldest first.
    pub freed: Vec<u32>,
}

/// A host of the managed network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkMemberRow {
    /// Its key.
    pub host: HostId,
    /// Its number on relays.
    pub slot: u32,
    /// Its WireGuard public key.
    pub key: [u8; 32],
    /// Another one that it has come with, and that is not accepted.
    pub other_key: Option<[u8; 32]>,
    /// Where it listens.
    pub port: u16,
    /// The range that it accepts.
    pub accepted: Prefix,
    /// By which everybody reaches it.
    pub endpoint: Option<SocketAddr>,
    /// Whether others may send through it.
    pub relays: bool,
    /// Of its interfaces.
    pub addresses: Vec<IpAddr>,
    /// How many blocks it needs.
    pub wanted: u8,
    /// The address that its packets were last seen to come from.
    pub observed: Option<IpAddr>,
    /// Its blocks, by their index.
    pub blocks: Vec<u32>,
    /// Its containers that are in the network: id, name, address.
    pub containers: Vec<(EngineId, String, u32)>,
}
