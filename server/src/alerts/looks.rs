//! The fleet as alerts look at it: what is so now, beside what the history tells.

use muster_protocol::id::{EngineId, HostId};
use std::collections::BTreeMap;

/// A place in what a host tells: the run of its agent, and the number in that.
pub type Place = (u64, u64);

/// Where to look.
pub trait World {
    /// A host; `None` if it was removed, or never was.
    fn host(&self, id: HostId) -> Option<HostLook>;

    /// One of its containers.
    fn container(&self, host: HostId, id: &EngineId) -> ContainerLook;
}

/// A host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostLook {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is there.
    pub presence: Presence,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it was last heard, likewise.
    pub last_seen_ms: Option<i64>,
    /// Two agents use its credential.
    pub conflict: bool,
    /// Events up to this one tell of the time before it joined; `None`: all that there are.
    pub imported: Option<Place>,
    /// By how much its clock is ahead of the server's, in milliseconds; 0 if that is not known.
    pub ahead_ms: i64,
    /// How it does; `None` if that is not known now.
    pub vitals: Option<VitalsLook>,
}

impl Default for HostLook {
    /// One that is there, and of which nothing is known.
    fn default() -> HostLook {
        HostLook {
            name: String::new(),
            labels: BTreeMap::new(),
            presence: Presence::There,
            since_ms: 0,
            last_seen_ms: None,
            conflict: false,
            imported: Some((0, 0)),
            ahead_ms: 0,
            vitals: None,
        }
    }
}

/// Whether a host is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presence {
    /// It reports.
    #[default]
    There,
    /// Its reports are overdue, and the grace is not over; or it was never heard.
    Silent,
    /// The grace is over.
    Away,
}

/// How a host does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VitalsLook {
    /// How full its file systems are, in percent, by where they are mounted.
    pub disks: Vec<(String, f64)>,
    /// The hottest part, in degrees Celsius.
    pub temperature: Option<f64>,
    /// Whether it gets too little voltage now.
    pub undervoltage: Option<bool>,
}

/// A container.
#[derive(Debug, Clone, PartialEq)]
pub enum ContainerLook {
    /// Its host or engine is away: what was last known may be old.
    Unknown,
    /// Its host does not have it.
    Gone,
    /// Its host has it.
    There(Container),
}

/// A container that its host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// It runs, or is paused.
    pub runs: bool,
    /// It waits for its restart policy.
    pub restarts: bool,
    /// Of its last run.
    pub exit_code: Option<i32>,
    /// Its health check fails.
    pub unhealthy: bool,
}
