//! What is asked of the fleet, and why it may be refused.

use crate::store::StoreError;

/// Which containers are wanted. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerSelect {
    /// Those that never started, too.
    pub all: bool,
    /// Names or ids of hosts.
    pub hosts: Vec<String>,
    /// States, by the engine's words.
    pub states: Vec<String>,
    /// `key` or `key=value`; all of them must match.
    pub labels: Vec<String>,
    /// Parts of names.
    pub names: Vec<String>,
}

/// Which containers are wanted, by more than the command line asks. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFind {
    /// What the command line asks.
    pub select: ContainerSelect,
    /// The API's words for their health; `none` for those without a health check.
    pub health: Vec<String>,
    /// Parts of their images' names.
    pub images: Vec<String>,
    /// Compose projects.
    pub projects: Vec<String>,
}

/// Which hosts are wanted, and in what order. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSelect {
    /// Removed ones, too.
    pub removed: bool,
    /// Parts of names.
    pub names: Vec<String>,
    /// States, by the API's words.
    pub states: Vec<String>,
    /// States of engines, by the API's words.
    pub engines: Vec<String>,
    /// `key` or `key=value`; all of them must match.
    pub labels: Vec<String>,
    /// Their order.
    pub order: HostOrder,
}

/// An order of hosts; what is the same by it is in the order of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostOrder {
    /// What it goes by.
    pub by: HostKey,
    /// The other way round.
    pub backwards: bool,
}

/// What hosts can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostKey {
    /// Their names.
    #[default]
    Name,
    /// When they were last heard, the longest ago first.
    LastSeen,
    /// How many containers they have, the fewest first.
    Containers,
    /// Those that need attention most are first.
    Attention,
}

/// Which events are wanted. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventSelect {
    /// Not before this time by the host's clock, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Not after this time by the host's clock, in milliseconds since 1970.
    pub until_ms: Option<i64>,
    /// Names or ids of hosts.
    pub hosts: Vec<String>,
    /// Names or ids (or their beginnings) of containers.
    pub containers: Vec<String>,
    /// Actions. `health_status` also means `health_status: healthy`.
    pub actions: Vec<String>,
    /// `container`, `network`, `host`, `gap`.
    pub subjects: Vec<String>,
    /// `key` or `key=value` among the attributes; all of them must match.
    pub labels: Vec<String>,
}

/// What an operator asked for cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such host, container or token: one line.
    NotFound(String),
    /// It means several: one line, and which.
    Ambiguous(String, Vec<String>),
    /// It would collide with what there is: one line.
    Conflict(String),
    /// The request does not make sense: one line.
    Invalid(String),
    /// The store cannot keep it now.
    Store(StoreError),
}
