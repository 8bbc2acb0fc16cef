//! One alert, as it is stored.

use super::rules::Rule;
use crate::store::{AlertRow, Write};
use muster_protocol::id::{EngineId, HostId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The host.
    #[serde(serialize_with = "shown", deserialize_with = "host_id")]
    pub host: HostId,
    /// The container, if it is about one.
    #[serde(default, serialize_with = "shown_if_any", deserialize_with = "container_id")]
    pub container: Option<EngineId>,
    /// Which part of the host: a file system's path; else empty.
    #[serde(default)]
    pub part: String,
}

impl Subject {
    /// A host.
    pub fn host(host: HostId) -> Subject {
        Subject { host, container: None, part: String::new() }
    }

    /// A container.
    pub fn container(host: HostId, container: EngineId) -> Subject {
        Subject { host, container: Some(container), part: String::new() }
    }

    /// A file system.
    pub fn disk(host: HostId, path: &str) -> Subject {
        Subject { host, container: None, part: path.to_owned() }
    }
}

/// How far an alert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is so, but not for long enough; nobody sees it.
    Pending,
    /// It is so.
    Firing,
    /// It is over.
    Ended,
}

/// To whom a notice went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The target's name.
    pub to: String,
    /// The newest notice, by its id.
    pub notice: u64,
    /// That notice was given up.
    #[serde(default)]
    pub lost: bool,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its key.
    pub id: u64,
    /// Its rule.
    pub rule: Rule,
    /// What it is about.
    pub subject: Subject,
    /// The host's name.
    pub host: String,
    /// The container's name, if it is about one.
    #[serde(default)]
    pub container: Option<String>,
    /// The labels that the host and the container had.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Details.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// When it began, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it was over.
    #[serde(default)]
    pub until_ms: Option<i64>,
    /// How far it has come.
    pub stage: Stage,
    /// The event that it is from, if it is from one.
    #[serde(default)]
    pub event: u64,
    /// That event came late: what it tells may be over.
    #[serde(default)]
    pub late: bool,
    /// Nobody was told yet that it began.
    #[serde(default)]
    pub untold_begin: bool,
    /// Nobody was told yet that it is over.
    #[serde(default)]
    pub untold_end: bool,
    /// Quiet hours have kept it from being told.
    #[serde(default)]
    pub held: bool,
    /// A silence keeps it from being told.
    #[serde(default)]
    pub silenced: bool,
    /// Who was told that it began.
    #[serde(default)]
    pub told: Vec<Told>,
    /// Since when it is pending, or well again while it fires, by the monotonic clock. A start of the server begins
    /// that time anew.
    #[serde(skip)]
    pub timer: Option<u64>,
}

impl Alert {
    /// Whether it fires.
    pub fn is_firing(&self) -> bool {
        self.stage == Stage::Firing
    }

    /// Nothing of it is to be told any more.
    pub fn said(&mut self) {
        (self.untold_begin, self.untold_end, self.held) = (false, false, false);
    }

    /// To be stored.
    pub fn write(&self) -> Write {
        // Of these types everything can be written.
        Write::Alert(AlertRow { id: self.id, json: serde_json::to_vec(self).unwrap_or_default() })
    }

    /// As it was stored; `None` if it cannot be read.
    pub fn read(row: &AlertRow) -> Option<Alert> {
        let mut alert: Alert = serde_json::from_slice(&row.json).ok().filter(|alert: &Alert| alert.id == row.id)?;
        // The time before the start does not count.
        alert.timer = (alert.stage == Stage::Pending).then_some(0);
        Some(alert)
    }
}

fn shown<S: Serializer>(id: &HostId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn shown_if_any<S: Serializer>(id: &Option<EngineId>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

fn host_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HostId, D::Error> {
    let text = String::deserialize(deserializer)?;
    HostId::parse(&text).ok_or_else(|| serde::de::Error::custom("no host's id"))
}

fn container_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EngineId>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| EngineId::parse(&text).ok_or_else(|| serde::de::Error::custom("no container's id"))).transpose()
}
