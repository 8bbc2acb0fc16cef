//! A container as the host sees it.

use crate::id::EngineId;
use crate::limits;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Everything that leaves the host of one container. Environment variables are not among it.
///
/// Its encoded bytes are what the server keeps and compares, so equal containers must encode equally: labels
/// are sorted by key, ports, networks and mounts in the order of their fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container<'a> {
    /// The engine's full id.
    pub id: EngineId,
    /// Without the engine's leading slash.
    pub name: &'a str,
    /// As the engine lists it.
    pub image: &'a str,
    /// What the reference meant when the container was created.
    pub image_id: Option<EngineId>,
    /// As the engine lists it: path and arguments.
    pub command: &'a str,
    /// [`State`] as a number, so that a later one does not spoil the record.
    pub state: u8,
    /// [`Health`] as a number.
    pub health: u8,
    /// Of the last run; `None` while running or if never started.
    pub exit_code: Option<i32>,
    /// Whether the engine says that the last run ended for lack of memory.
    pub oom_killed: bool,
    /// How often the engine's restart policy started it again.
    pub restart_count: u32,
    /// Milliseconds since 1970 by the host's clock.
    pub created_ms: i64,
    /// Milliseconds since 1970 by the host's clock; `None` if never.
    pub started_ms: Option<i64>,
    /// Milliseconds since 1970 by the host's clock; `None` if it never ended.
    pub finished_ms: Option<i64>,
    /// Sorted by key.
    #[serde(borrow)]
    pub labels: Vec<(&'a str, &'a str), { limits::LABELS }>,
    /// Sorted.
    #[serde(borrow)]
    pub ports: Vec<Port<'a>, { limits::PORTS }>,
    /// Sorted by name.
    #[serde(borrow)]
    pub networks: Vec<Network<'a>, { limits::NETWORKS }>,
    /// Sorted by destination.
    #[serde(borrow)]
    pub mounts: Vec<Mount<'a>, { limits::MOUNTS }>,
    /// One bit for each field that a limit cut: see [`cut`].
    pub truncated: u16,
}

impl Container<'_> {
    /// Whether every text keeps to its limit, and those of each list together to theirs.
    pub fn is_within_limits(&self) -> bool {
        let labels = self.labels.iter().all(|(k, v)| k.len() <= limits::LABEL_KEY && v.len() <= limits::LABEL_VALUE);
        let ports = self
            .ports
            .iter()
            .all(|port| port.protocol.len() <= limits::PORT_PROTOCOL && port.address.len() <= limits::ADDRESS);
        let networks = self.networks.iter().all(|network| {
            let addresses = [network.ipv4, network.ipv6];
            network.name.len() <= limits::PATH && addresses.iter().all(|text| text.len() <= limits::ADDRESS)
        });
        let mounts = self.mounts.iter().all(|mount| {
            let paths = [mount.destination, mount.source];
            mount.kind.len() <= limits::MOUNT_KIND && paths.iter().all(|path| path.len() <= limits::PATH)
        });
        let labels_bytes: usize = self.labels.iter().map(|(k, v)| k.len() + v.len()).sum();
        let networks_bytes: usize = self.networks.iter().map(|n| n.name.len() + n.ipv4.len() + n.ipv6.len()).sum();
        let mounts_bytes: usize = self.mounts.iter().map(|m| m.destination.len() + m.kind.len() + m.source.len()).sum();
        self.name.len() <= limits::NAME
            && self.image.len() <= limits::IMAGE
            && self.command.len() <= limits::COMMAND
            && labels
            && ports
            && networks
            && mounts
            && labels_bytes <= limits::LABELS_BYTES
            && networks_bytes <= limits::NETWORKS_BYTES
            && mounts_bytes <= limits::MOUNTS_BYTES
    }
}

/// The beginning of an encoded [`Container`]. Where many containers are looked at, their lists need not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Summary<'a> {
    /// As all fields: see [`Container`].
    pub id: EngineId,
    /// Without the engine's leading slash.
    pub name: &'a str,
    /// As the engine lists it.
    pub image: &'a str,
    /// What the reference meant when the container was created.
    pub image_id: Option<EngineId>,
    /// As the engine lists it.
    pub command: &'a str,
    /// [`State`] as a number.
    pub state: u8,
    /// [`Health`] as a number.
    pub health: u8,
    /// Of the last run.
    pub exit_code: Option<i32>,
    /// Whether the last run ended for lack of memory.
    pub oom_killed: bool,
    /// How often it was restarted.
    pub restart_count: u32,
    /// Milliseconds since 1970 by the host's clock.
    pub created_ms: i64,
    /// Milliseconds since 1970 by the host's clock; `None` if never.
    pub started_ms: Option<i64>,
}

impl<'a> Summary<'a> {
    /// Reads the beginning of a container's encoded bytes; `None` if they are none.
    pub fn of(body: &'a [u8]) -> Option<Summary<'a>> {
        postcard::take_from_bytes(body).ok().map(|(summary, _)| summary)
    }
}

/// Bits of [`Container::truncated`] and [`crate::event::Event::truncated`].
pub mod cut {
    /// The name was longer.
    pub const NAME: u16 = 1;
    /// The image reference was longer.
    pub const IMAGE: u16 = 1 << 1;
    /// The command was longer.
    pub const COMMAND: u16 = 1 << 2;
    /// There are more labels, or longer ones.
    pub const LABELS: u16 = 1 << 3;
    /// There are more ports.
    pub const PORTS: u16 = 1 << 4;
    /// There are more networks, or longer names.
    pub const NETWORKS: u16 = 1 << 5;
    /// There are more mounts, or longer paths.
    pub const MOUNTS: u16 = 1 << 6;
    /// An event's attributes: there are more, or longer ones.
    pub const ATTRIBUTES: u16 = 1 << 7;
    /// Inspect did not answer: times, exit code and restarts are those of the list or of before.
    pub const DETAILS: u16 = 1 << 8;
    /// The names of the bits, lowest first, as the API shows them.
    pub const NAMES: [&str; 9] =
        ["name", "image", "command", "labels", "ports", "networks", "mounts", "attributes", "details"];
}

/// Docker's container states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Never started.
    Created = 1,
    /// Running.
    Running = 2,
    /// Frozen by `docker pause`.
    Paused = 3,
    /// Between two runs of a restart policy.
    Restarting = 4,
    /// Being removed.
    Removing = 5,
    /// Has run, and ended.
    Exited = 6,
    /// Could not be removed or started; only the engine's operator can mend it.
    Dead = 7,
    /// A state that this version has no name for.
    Unknown = 0,
}

impl State {
    /// All, with the engine's word for each.
    pub const WORDS: [(State, &'static str); 8] = [
        (State::Created, "created"),
        (State::Running, "running"),
        (State::Paused, "paused"),
        (State::Restarting, "restarting"),
        (State::Removing, "removing"),
        (State::Exited, "exited"),
        (State::Dead, "dead"),
        (State::Unknown, "unknown"),
    ];

    /// From the number on the wire.
    pub fn from_number(number: u8) -> State {
        State::WORDS.into_iter().map(|(state, _)| state).find(|state| *state as u8 == number).unwrap_or(State::Unknown)
    }

    /// From the engine's word.
    pub fn from_word(word: &str) -> State {
        State::WORDS.into_iter().find(|(_, name)| *name == word).map_or(State::Unknown, |(state, _)| state)
    }

    /// The engine's word.
    pub fn word(self) -> &'static str {
        State::WORDS.into_iter().find(|(state, _)| *state == self).map_or("unknown", |(_, word)| word)
    }

    /// Whether a process of it exists.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Paused | State::Restarting)
    }
}

/// What the container's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// It has no check.
    None = 0,
    /// Within the start period, or not checked yet.
    Starting = 1,
    /// The last checks passed.
    Healthy = 2,
    /// The last checks failed.
    Unhealthy = 3,
}

impl Health {
    /// All, with the engine's word for each.
    pub const WORDS: [(Health, &'static str); 4] = [
        (Health::None, "none"),
        (Health::Starting, "starting"),
        (Health::Healthy, "healthy"),
        (Health::Unhealthy, "unhealthy"),
    ];

    /// From the number on the wire.
    pub fn from_number(number: u8) -> Health {
        Health::WORDS.into_iter().map(|(health, _)| health).find(|h| *h as u8 == number).unwrap_or(Health::None)
    }

    /// From the engine's word; an empty or unknown one is no check.
    pub fn from_word(word: &str) -> Health {
        Health::WORDS.into_iter().find(|(_, name)| *name == word).map_or(Health::None, |(health, _)| health)
    }

    /// The engine's word.
    pub fn word(self) -> &'static str {
        Health::WORDS.into_iter().find(|(health, _)| *health == self).map_or("none", |(_, word)| word)
    }
}

/// A port of a container, published or only exposed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Port<'a> {
    /// In the container.
    pub private: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'a str,
    /// On the host; `None` if it is only exposed.
    pub public: Option<u16>,
    /// The host's address that it is published on; empty if it is only exposed.
    pub address: &'a str,
}

/// A container's place on one network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Network<'a> {
    /// The network's name.
    pub name: &'a str,
    /// Empty while the container does not run.
    pub ipv4: &'a str,
    /// Empty if it has none.
    pub ipv6: &'a str,
}

/// A volume or directory in a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mount<'a> {
    /// In the container.
    pub destination: &'a str,
    /// `bind`, `volume`, `tmpfs` or `npipe`.
    pub kind: &'a str,
    /// A volume's name, else the host's path.
    pub source: &'a str,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// Cuts a text to at most `limit` bytes at a character's boundary; says in `truncated` if it did.
pub fn cut_text<'a>(text: &'a str, limit: usize, bit: u16, truncated: &mut u16) -> &'a str {
    if text.len() <= limit {
        return text;
    }
    *truncated |= bit;
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
