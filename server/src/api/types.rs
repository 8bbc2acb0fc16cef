//! The objects of the API. The command line prints the same ones with `--format json`.
//!
//! Times are RFC 3339 in UTC, or null.

mod alerts;
mod changes;
mod docker_clients;
mod fleet;
mod keys;
mod network;
mod sign_in;
mod tokens;
mod vitals;

pub use alerts::*;
pub use changes::*;
pub use docker_clients::*;
pub use fleet::*;
pub use keys::*;
pub use network::*;
pub use sign_in::*;
pub use tokens::*;
pub use vitals::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A list, or a page of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; null at the end.
    pub next: Option<String>,
}

/// A page of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Oldest first.
    pub items: Vec<Event>,
    /// What to give as `cursor` for the next page; null at the end.
    pub next: Option<String>,
    /// When the oldest event that is kept was received, if older ones have been deleted; null if none have.
    pub history_begins: Option<String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Host {
    /// 16 hexadecimal digits.
    pub id: String,
    /// Unique among hosts.
    pub name: String,
    /// `active`, `reconnecting`, `disconnected` or `removed`.
    pub state: String,
    /// When it entered that state.
    pub since: String,
    /// From its join token.
    pub labels: BTreeMap<String, String>,
    /// When it was last heard.
    pub last_seen: Option<String>,
    /// Seconds between its reports, as its agent says.
    pub interval: f64,
    /// What operators have set of that, in force once its agent has heard of it; null: what the agent was started with.
    #[serde(default)]
    pub interval_set: Option<f64>,
    /// Its engine.
    pub engine: Engine,
    /// The version of its agent.
    pub agent_version: Option<String>,
    /// Such as `linux`.
    pub os: Option<String>,
    /// Such as `aarch64`.
    pub arch: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// How many containers it has.
    pub containers: ContainerCounts,
    /// Containers beyond the limit of what is reported.
    pub hidden: u32,
    /// Events that its agent had to drop.
    pub events_dropped: u64,
    /// Another agent uses its credential: the card was copied.
    pub conflict: bool,
    /// What is known of its containers could not be proven equal to what it has, though all of it was sent.
    #[serde(default)]
    pub sync_error: bool,
    /// `valid`; `renewing`: its agent is to make a new one; `revoked`: it has to join again.
    #[serde(default)]
    pub credential: String,
    /// What operators have set of the seconds between looks at its vitals; 0: never; null: what its agent was started
    /// with.
    #[serde(default)]
    pub vitals_interval_set: Option<f64>,
    /// How it does, as it was last heard; absent if it never said. That it changes is no change of the host: the stream
    /// does not tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<HostVitals>,
}

/// A host's Docker engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Engine {
    /// `ok`, `not_answering`, `absent`; null if it was never heard of.
    pub state: Option<String>,
    /// When it entered that state.
    pub since: Option<String>,
    /// The engine's version.
    pub version: Option<String>,
    /// The API version in use.
    pub api_version: Option<String>,
}

/// How many containers a host has that have ever started.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerCounts {
    /// Running, paused or restarting.
    pub running: u32,
    /// Of these, those that are paused.
    #[serde(default)]
    pub paused: u32,
    /// Of these, those that wait for their restart policy: `docker info` counts them as stopped.
    #[serde(default)]
    pub restarting: u32,
    /// All others.
    pub stopped: u32,
    /// Both.
    pub total: u32,
    /// Not among them: those that were created and never started. `docker info` counts them as stopped.
    #[serde(default)]
    pub created: u32,
}

impl ContainerCounts {
    /// Those that run and are not paused: what `docker info` calls running.
    pub fn up(&self) -> u32 {
        self.running.saturating_sub(self.paused).saturating_sub(self.restarting)
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Container {
    /// 64 hexadecimal digits. Several hosts can have the same.
    pub id: String,
    /// Without a slash in front.
    pub name: String,
    /// The host's name.
    pub host: String,
    /// The host's id.
    pub host_id: String,
    /// As the engine lists it.
    pub image: String,
    /// What that meant at its creation: `sha256:` and 64 hexadecimal digits.
    pub image_id: Option<String>,
    /// As the engine lists it.
    pub command: String,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub state: String,
    /// `starting`, `healthy`, `unhealthy`; null without a health check.
    pub health: Option<String>,
    /// Of the last run; null while it runs and if it never did.
    pub exit_code: Option<i32>,
    /// Whether the last run ended for lack of memory.
    pub oom_killed: bool,
    /// How often its restart policy started it again.
    pub restart_count: u32,
    /// By the host's clock.
    pub created_at: Option<String>,
    /// By the host's clock.
    pub started_at: Option<String>,
    /// By the host's clock.
    pub finished_at: Option<String>,
    /// As set at its creation.
    pub labels: BTreeMap<String, String>,
    /// Published and exposed ports.
    pub ports: Vec<Port>,
    /// Networks that it is on.
    pub networks: Vec<Network>,
    /// Volumes and directories.
    pub mounts: Vec<Mount>,
    /// Fields that a limit cut.
    pub truncated: Vec<String>,
    /// Its host or engine has not been heard lately: this is what was last known.
    pub stale: bool,
    /// When the host last said so.
    pub as_of: Option<String>,
    /// How it does, as it was last heard; absent if it does not run, or its host never said. That it changes is no change
    /// of the container: the stream does not tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<ContainerVitals>,
    /// Why it is not in the managed network though it has the network's label, in one line; absent if it is, or has not.
    /// The stream does not tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_refused: Option<String>,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// In the container.
    pub private: u16,
    /// On the host; null if it is only exposed.
    pub public: Option<u16>,
    /// The host's address; null if it is only exposed.
    pub address: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A container's place on one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// The network's name.
    pub name: String,
    /// Null while the container does not run.
    pub ipv4: Option<String>,
    /// Null if it has none.
    pub ipv6: Option<String>,
}

/// A volume or directory in a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// A volume's name, else the host's path.
    pub source: String,
    /// In the container.
    pub destination: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows with every event of the fleet.
    pub id: u64,
    /// By the host's clock.
    pub time: Option<String>,
    /// When the server had it.
    pub received_at: String,
    /// The host's name.
    pub host: String,
    /// The host's id.
    pub host_id: String,
    /// What it is about: `container`, `network`, `host`, or `gap`.
    #[serde(rename = "type")]
    pub subject: String,
    /// The container's name, if it is about one and the name is known.
    pub container: Option<String>,
    /// The container's full id, if it is about one.
    pub container_id: Option<String>,
    /// The network's full id, for what happened on one.
    pub network_id: Option<String>,
    /// Docker's name of it; `gap` where events are missing; `host_...` for what became of the host.
    pub action: String,
    /// As Docker sent them; for a gap `cause`, `count`, `from`, `to`.
    pub attributes: BTreeMap<String, Option<String>>,
    /// With `seq`, its place in the host's order; null for what the server itself noticed.
    pub epoch: Option<u64>,
    /// With `epoch`, its place in the host's order.
    pub seq: Option<u64>,
    /// The engine did not say it: it was concluded from a list, or is about the host itself.
    pub derived: bool,
    /// Fields that a limit cut.
    pub truncated: Vec<String>,
}

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// Grows by one.
    pub id: u64,
    /// When.
    pub time: String,
    /// The id of the API token that was used; `admin` for the one of the data directory.
    pub token: String,
    /// What that token is for.
    pub name: String,
    /// The address that the request came from: perhaps a proxy's.
    pub peer: String,
    /// Such as `host.rename`; `denied` for what the token did not allow.
    pub action: String,
    /// Whom or what it was done to.
    pub target: String,
    /// Details.
    pub attributes: BTreeMap<String, String>,
}

/// How the server does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Healthz {
    /// `ok` or `failing`.
    pub status: String,
    /// What is wrong, in one line; null if nothing is.
    pub problem: Option<String>,
    /// What is missing or damaged and does not keep the server from working, in one line; null if nothing is known.
    pub warning: Option<String>,
    /// The server's version.
    pub version: String,
    /// The server's clock, RFC 3339: hosts compare theirs with it.
    #[serde(default)]
    pub time: String,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of thing happened.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do: one line.
    pub detail: String,
    /// For 409 on a container's id: the containers that it could mean, as `HOST/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

/// A change, as `/api/v1/stream` sends it: `event:` is the kind, `data:` the object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", content = "object", rename_all = "snake_case")]
pub enum Change {
    /// A host is new or changed, `removed` too.
    Host(Host),
    /// A container is new or changed.
    Container(Container),
    /// A container is gone.
    ContainerGone {
        /// The host's id.
        host_id: String,
        /// The container's id.
        id: String,
    },
    /// An event is new.
    Event(Event),
    /// An alert began, changed, or is over.
    Alert(Alert),
}

impl Change {
    /// The stream's word for it: `host`, `container`, `container_gone`, `event` or `alert`.
    pub fn kind(&self) -> &'static str {
        match self {
            Change::Host(_) => "host",
            Change::Container(_) => "container",
            Change::ContainerGone { .. } => "container_gone",
            Change::Event(_) => "event",
            Change::Alert(_) => "alert",
        }
    }

    /// The id of the host that it is about; empty if it is about none.
    pub fn host_id(&self) -> &str {
        match self {
            Change::Host(host) => &host.id,
            Change::Container(container) => &container.host_id,
            Change::ContainerGone { host_id, .. } => host_id,
            Change::Event(event) => &event.host_id,
            Change::Alert(alert) => &alert.host_id,
        }
    }

    /// The object alone, as JSON on one line.
    pub fn object_json(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Change::Host(host) => serde_json::to_vec(host),
            Change::Container(container) => serde_json::to_vec(container),
            Change::ContainerGone { host_id, id } => {
                serde_json::to_vec(&serde_json::json!({ "host_id": host_id, "id": id }))
            }
            Change::Event(event) => serde_json::to_vec(event),
            Change::Alert(alert) => serde_json::to_vec(alert),
        }
    }

    /// From what the stream sent. `None` if it is not an object of that kind, or the kind is unknown.
    pub fn parse(kind: &str, object: &str) -> Option<Change> {
        let object: serde_json::Value = serde_json::from_str(object).ok()?;
        serde_json::from_value(serde_json::json!({ "kind": kind, "object": object })).ok()
    }
}
