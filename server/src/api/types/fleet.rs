//! The fleet at a glance, and lists that can be jumped about in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A part of a list, and how long all of it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listed<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; null at the end, and in orders other than by name.
    pub next: Option<String>,
    /// How many there are in all of the list as it is now; left out with a `cursor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetSummary {
    /// Hosts that are not removed.
    pub hosts: FleetHosts,
    /// Their engines.
    pub engines: FleetEngines,
    /// Their containers, those that never started too.
    pub containers: FleetContainers,
    /// Alerts.
    pub alerts: FleetAlerts,
    /// The id of the newest event of the history.
    pub newest_event: u64,
    /// The server's clock.
    pub time: String,
    /// The server's version.
    pub version: String,
}

/// How many hosts are in which state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetHosts {
    /// All.
    pub total: u64,
    /// Those that report.
    pub active: u64,
    /// Those whose reports are overdue.
    pub reconnecting: u64,
    /// Those that were not heard for long.
    pub disconnected: u64,
    /// Those whose credential another agent uses; they are also in one of the others.
    pub conflict: u64,
}

/// How many engines are in which state, as was last heard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetEngines {
    /// They answer.
    pub ok: u64,
    /// They do not.
    pub not_answering: u64,
    /// There is none.
    pub absent: u64,
}

/// How many containers are in which state, as was last heard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetContainers {
    /// All.
    pub total: u64,
    /// In this state.
    pub running: u64,
    /// In this state.
    pub exited: u64,
    /// In this state.
    pub paused: u64,
    /// In this state.
    pub restarting: u64,
    /// In this state: never started.
    pub created: u64,
    /// In this state: the engine could not remove them.
    pub dead: u64,
    /// Those that run, and whose health check fails.
    pub unhealthy: u64,
}

/// Alerts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetAlerts {
    /// Those that are not over.
    pub firing: u64,
}

/// What hosts were like lately, in as few numbers as a small plot takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sparklines {
    /// In the order in which they were asked for; a host that is not known is left out.
    pub items: Vec<Sparkline>,
}

/// What a host was like lately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sparkline {
    /// The host's id.
    pub host_id: String,
    /// Seconds that one number covers.
    pub step_s: u64,
    /// When the last number's time ends.
    pub end: String,
    /// Percent of all its processors, the oldest first; null where nothing is known.
    pub cpu: Vec<Option<f64>>,
    /// Percent of its memory.
    pub memory: Vec<Option<f64>>,
}
