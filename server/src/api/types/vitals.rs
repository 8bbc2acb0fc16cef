//! How hosts and containers do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a host does: the newest of what it said. What it cannot measure is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostVitals {
    /// When it last said something of it, by the server's clock.
    pub as_of: String,
    /// Of all its processors together, in percent, 0 to 100, between the last two readings.
    pub cpu_percent: Option<f64>,
    /// Seconds of processor time spent not idle since its start, all processors together.
    pub cpu_seconds: Option<f64>,
    /// Processors.
    pub cpus: Option<u64>,
    /// Load average of one minute.
    pub load: Option<f64>,
    /// Bytes of memory.
    pub memory_total: Option<u64>,
    /// Bytes of it that programs can have without swapping.
    pub memory_available: Option<u64>,
    /// Bytes of swap.
    pub swap_total: Option<u64>,
    /// Bytes of it in use.
    pub swap_used: Option<u64>,
    /// Seconds since its start.
    pub uptime: Option<u64>,
    /// Of its hottest processor, in degrees Celsius.
    pub temperature: Option<f64>,
    /// What a Pi's firmware says of its power.
    pub power: Option<Power>,
    /// Seconds by which its clock was ahead of the server's when that came in; negative: behind. How long the message
    /// was under way makes it look as far behind.
    pub clock_offset: Option<f64>,
    /// Its file systems, by path.
    pub disks: Vec<DiskVitals>,
}

/// What a Pi's firmware says of its power.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Power {
    /// The voltage is too low now.
    pub under_voltage: bool,
    /// The frequency is capped now.
    pub capped: bool,
    /// The processor is throttled now.
    pub throttled: bool,
    /// The soft temperature limit is reached now.
    pub hot: bool,
    /// The voltage was too low at some time since the start.
    pub was_under_voltage: bool,
    /// The processor was throttled at some time since the start.
    pub was_throttled: bool,
}

/// How a file system of a host does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiskVitals {
    /// Where it is mounted.
    pub path: String,
    /// Bytes.
    pub total: Option<u64>,
    /// Bytes of it that are free for programs.
    pub free: Option<u64>,
    /// Of it in use, in percent.
    pub used_percent: Option<f64>,
    /// Of its inodes in use, in percent.
    pub inodes_used_percent: Option<u64>,
    /// Of its flash worn, in percent, as the device estimates it.
    pub worn_percent: Option<u64>,
}

/// How a container does: the newest of what its host said. What cannot be measured is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerVitals {
    /// When its host last said something of its vitals, by the server's clock.
    pub as_of: String,
    /// In percent of one processor, as `docker stats` has it, between the last two readings.
    pub cpu_percent: Option<f64>,
    /// Seconds of processor time since its start.
    pub cpu_seconds: Option<f64>,
    /// Bytes of memory in use, without what is only cached.
    pub memory: Option<u64>,
    /// Bytes that it may use at most; null without a limit.
    pub memory_limit: Option<u64>,
    /// Bytes that it can use: its limit, or without one its host's memory.
    pub memory_max: Option<u64>,
    /// In percent of that.
    pub memory_percent: Option<f64>,
    /// Bytes received since its start.
    pub received: Option<u64>,
    /// Bytes sent since its start.
    pub sent: Option<u64>,
    /// Bytes read from block devices since its start.
    pub read: Option<u64>,
    /// Bytes written to block devices since its start.
    pub written: Option<u64>,
    /// Bytes received a second, between the last two readings.
    pub receiving: Option<u64>,
    /// Bytes sent a second likewise.
    pub sending: Option<u64>,
    /// Bytes read from block devices a second likewise.
    pub reading: Option<u64>,
    /// Bytes written to block devices a second likewise.
    pub writing: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Seconds for which its processor limit held it back since its start.
    pub throttled_seconds: Option<f64>,
}

/// The busiest containers, and their hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Top {
    /// Hosts, the busiest first.
    pub hosts: Vec<TopHost>,
    /// Containers that run, the busiest first.
    pub containers: Vec<TopContainer>,
    /// How many containers run on these hosts, shown or not.
    pub running: u64,
}

/// A host in [`Top`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopHost {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `active`, `reconnecting` or `disconnected`.
    pub state: String,
    /// How it does; absent if it never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<HostVitals>,
}

/// A container in [`Top`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its host's name.
    pub host: String,
    /// Its host's id.
    pub host_id: String,
    /// Its state.
    pub state: String,
    /// Its host or engine has not been heard lately.
    pub stale: bool,
    /// How it does; absent if its host never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<ContainerVitals>,
}

/// How a host did over a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostHistory {
    /// The host's id.
    pub host_id: String,
    /// Seconds that each point covers.
    pub step: u64,
    /// Oldest first. There is none for a time in which the host said nothing.
    pub items: Vec<HostPoint>,
}

/// How a host did in one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostPoint {
    /// The beginning of the step, by the server's clock.
    pub time: String,
    /// Mean, of all its processors together, 0 to 100.
    pub cpu_percent: Option<f64>,
    /// The highest reading.
    pub cpu_percent_max: Option<f64>,
    /// Mean of the load average.
    pub load: Option<f64>,
    /// Bytes of memory.
    pub memory_total: Option<u64>,
    /// Mean, in bytes.
    pub memory_used: Option<u64>,
    /// Mean, in bytes.
    pub swap_used: Option<u64>,
    /// The highest, in degrees Celsius.
    pub temperature: Option<f64>,
    /// Of its fullest file system, the highest.
    pub disk_used_percent: Option<f64>,
    /// The last one, in seconds.
    pub clock_offset: Option<f64>,
    /// What a Pi's firmware said of its power at any time of it.
    pub power: Option<Power>,
}

/// How a container did over a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerHistory {
    /// Its host's id.
    pub host_id: String,
    /// Its id.
    pub id: String,
    /// Seconds that each point covers.
    pub step: u64,
    /// Since when its host has been watched: nothing is kept of earlier times.
    pub begins: String,
    /// Oldest first.
    pub items: Vec<ContainerPoint>,
}

/// How a container did in one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerPoint {
    /// The beginning of the step, by the server's clock.
    pub time: String,
    /// Mean, in percent of one processor.
    pub cpu_percent: Option<f64>,
    /// The highest, in bytes.
    pub memory: Option<u64>,
    /// Bytes received since its start, at the end of it.
    pub received: Option<u64>,
    /// Bytes sent likewise.
    pub sent: Option<u64>,
    /// Bytes read from block devices likewise.
    pub read: Option<u64>,
    /// Bytes written likewise.
    pub written: Option<u64>,
    /// The most processes and threads.
    pub pids: Option<u64>,
}
