//! A list's element -> the protocol's container. What the list does not say comes from an
//! [inspect](super::inspect).

use super::dialect;
use super::inspect::Details;
use super::json::{Entries, Pairs, ParseError, Text, nullable};
use muster_protocol::container::{Container, Mount, Network, Port, State, cut, cut_text};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use serde::Deserialize;
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3Default;

/// A container as the list has it. Everything is sorted, so that equal containers are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListElement<'a> {
    /// The engine's full id.
    pub id: EngineId,
    /// Without the leading slash; empty if the engine has none any more.
    pub name: Cow<'a, str>,
    /// As listed.
    pub image: Cow<'a, str>,
    /// `None` if the engine says none.
    pub image_id: Option<EngineId>,
    /// As listed: path and arguments.
    pub command: Cow<'a, str>,
    /// As listed.
    pub state: State,
    /// Milliseconds since 1970; the list has seconds.
    pub created_ms: i64,
    /// For people: `Up 3 minutes (healthy)`.
    status: Cow<'a, str>,
    labels: Pairs<'a>,
    ports: Vec<ListPort<'a>>,
    networks: Vec<ListNetwork<'a>>,
    mounts: Vec<ListMount<'a>>,
}

/// Fields in the order of [`Port`], by which they are sorted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ListPort<'a> {
    private: u16,
    protocol: Cow<'a, str>,
    public: Option<u16>,
    address: Cow<'a, str>,
}

/// Fields in the order of [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ListNetwork<'a> {
    name: Cow<'a, str>,
    ipv4: Cow<'a, str>,
    ipv6: Cow<'a, str>,
}

/// Fields in the order of [`Mount`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ListMount<'a> {
    destination: Cow<'a, str>,
    kind: Cow<'a, str>,
    source: Cow<'a, str>,
    writable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawElement<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    names: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    image: Text<'a>,
    #[serde(borrow, default, rename = "ImageID", deserialize_with = "nullable")]
    image_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    command: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    created: i64,
    #[serde(borrow, default, deserialize_with = "nullable")]
    ports: Vec<RawPort<'a>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    labels: Entries<'a, Option<Text<'a>>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    state: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    status: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    network_settings: RawNetworks<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    mounts: Vec<RawMount<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPort<'a> {
    #[serde(borrow, default, rename = "IP", deserialize_with = "nullable")]
    ip: Text<'a>,
    private_port: u16,
    #[serde(default, deserialize_with = "nullable")]
    public_port: u16,
    #[serde(borrow, default, rename = "Type", deserialize_with = "nullable")]
    protocol: Text<'a>,
}

#[derive(Deserialize, Default)]
struct RawNetworks<'a> {
    #[serde(borrow, default, rename = "Networks", deserialize_with = "nullable")]
    networks: Entries<'a, Option<RawNetwork<'a>>>,
}

#[derive(Deserialize, Default)]
struct RawNetwork<'a> {
    #[serde(borrow, default, rename = "IPAddress", deserialize_with = "nullable")]
    ipv4: Text<'a>,
    #[serde(borrow, default, rename = "GlobalIPv6Address", deserialize_with = "nullable")]
    ipv6: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawMount<'a> {
    #[serde(borrow, default, rename = "Type", deserialize_with = "nullable")]
    kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    source: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    destination: Text<'a>,
    #[serde(default, rename = "RW", deserialize_with = "nullable")]
    writable: bool,
}

/// Reads one element of the list of containers.
pub fn parse_list_element(json: &[u8]) -> Result<ListElement<'_>, ParseError> {
    let raw: RawElement<'_> = serde_json::from_slice(json).map_err(|_| ParseError::Json)?;
    let mut ports: Vec<ListPort<'_>> = raw.ports.into_iter().map(ListPort::from).collect();
    ports.sort_unstable();
    ports.dedup();
    let mut networks: Vec<ListNetwork<'_>> =
        raw.network_settings.networks.0.into_iter().map(ListNetwork::from).collect();
    networks.sort_unstable();
    let mut mounts: Vec<ListMount<'_>> = raw.mounts.into_iter().map(ListMount::from).collect();
    mounts.sort_unstable();
    Ok(ListElement {
        id: EngineId::parse(&raw.id).ok_or(ParseError::Id)?,
        name: own_name(raw.names),
        image: raw.image.0,
        image_id: EngineId::parse(&raw.image_id.0),
        command: raw.command.0,
        state: dialect::state(&raw.state.0),
        created_ms: raw.created.saturating_mul(1000),
        status: raw.status.0,
        labels: raw.labels.into_sorted(),
        ports,
        networks,
        mounts,
    })
}

/// The name without a second slash: the others are links, `/web/db`.
fn own_name<'a>(names: Vec<Text<'a>>) -> Cow<'a, str> {
    let is_own = |name: &Text<'_>| !name.0.strip_prefix('/').unwrap_or(&name.0).contains('/');
    let own = names.iter().position(is_own).unwrap_or(0);
    match names.into_iter().nth(own).unwrap_or_default().0 {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix('/').unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.strip_prefix('/').map(str::to_owned).unwrap_or(name)),
    }
}

impl<'a> From<RawPort<'a>> for ListPort<'a> {
    fn from(raw: RawPort<'a>) -> Self {
        let public = (raw.public_port != 0).then_some(raw.public_port);
        ListPort { private: raw.private_port, protocol: raw.protocol.0, public, address: raw.ip.0 }
    }
}

impl<'a> From<(Cow<'a, str>, Option<RawNetwork<'a>>)> for ListNetwork<'a> {
    fn from((name, raw): (Cow<'a, str>, Option<RawNetwork<'a>>)) -> Self {
        let raw = raw.unwrap_or_default();
        ListNetwork { name, ipv4: raw.ipv4.0, ipv6: raw.ipv6.0 }
    }
}

impl<'a> From<RawMount<'a>> for ListMount<'a> {
    fn from(raw: RawMount<'a>) -> Self {
        let source = if raw.kind.0 == "volume" && !raw.name.0.is_empty() { raw.name.0 } else { raw.source.0 };
        ListMount { destination: raw.destination.0, kind: raw.kind.0, source, writable: raw.writable }
    }
}

impl<'a> ListElement<'a> {
    /// A hash of every fact in it. Two lists of an unchanged container give the same; what changes by the mere
    /// passing of time (`Up 3 minutes`) is left out.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Facts(Xxh3Default::new());
        hash.bytes(&self.id.0);
        hash.bytes(self.image_id.as_ref().map_or(&[][..], |id| &id.0));
        for text in [&self.name, &self.image, &self.command] {
            hash.text(text);
        }
        let status = self.details_from_status();
        hash.number(i64::from(status.state as u8));
        hash.number(i64::from(status.health as u8));
        hash.number(status.exit_code.map_or(i64::MIN, i64::from));
        hash.number(self.created_ms);
        hash.number(self.labels.len() as i64);
        for (key, value) in &self.labels {
            hash.text(key);
            hash.text(value);
        }
        hash.number(self.ports.len() as i64);
        for port in &self.ports {
            hash.number(i64::from(port.private));
            hash.text(&port.protocol);
            hash.number(port.public.map_or(0, i64::from));
            hash.text(&port.address);
        }
        hash.number(self.networks.len() as i64);
        for network in &self.networks {
            hash.text(&network.name);
            hash.text(&network.ipv4);
            hash.text(&network.ipv6);
        }
        hash.number(self.mounts.len() as i64);
        for mount in &self.mounts {
            hash.text(&mount.destination);
            hash.text(&mount.kind);
            hash.text(&mount.source);
            hash.number(i64::from(mount.writable));
        }
        hash.0.digest()
    }

    /// What the list alone says of the last run, for when no inspect answered.
    pub fn details_from_status(&self) -> Details {
        Details {
            state: self.state,
            health: dialect::health_in_status(&self.status),
            exit_code: dialect::exit_code_in_status(&self.status),
            oom_killed: false,
            restart_count: 0,
            started_ms: None,
            finished_ms: None,
            pid: 0,
        }
    }
}

/// The protocol's container, every field cut to its limit. `details_missing`: no inspect answered, so that the
/// details are those of before or of the list's status.
pub fn to_container<'a>(element: &'a ListElement<'_>, details: &Details, details_missing: bool) -> Container<'a> {
    let mut truncated = if details_missing { cut::DETAILS } else { 0 };
    let mut container = Container {
        id: element.id,
        name: cut_text(&element.name, limits::NAME, cut::NAME, &mut truncated),
        image: cut_text(&element.image, limits::IMAGE, cut::IMAGE, &mut truncated),
        image_id: element.image_id,
        command: cut_text(&element.command, limits::COMMAND, cut::COMMAND, &mut truncated),
        state: details.state as u8,
        health: details.health as u8,
        exit_code: details.exit_code,
        oom_killed: details.oom_killed,
        restart_count: details.restart_count,
        created_ms: element.created_ms,
        started_ms: details.started_ms,
        finished_ms: details.finished_ms,
        labels: heapless::Vec::new(),
        ports: heapless::Vec::new(),
        networks: heapless::Vec::new(),
        mounts: heapless::Vec::new(),
        truncated: 0,
    };
    let mut room = Room::new(limits::LABELS_BYTES, cut::LABELS, &mut truncated);
    for (key, value) in &element.labels {
        let pair = (room.text(key, limits::LABEL_KEY), room.text(value, limits::LABEL_VALUE));
        room.push(&mut container.labels, pair, pair.0.len() + pair.1.len());
    }
    let mut room = Room::new(usize::MAX, cut::PORTS, &mut truncated);
    for port in &element.ports {
        let protocol = room.text(&port.protocol, limits::PORT_PROTOCOL);
        let address = room.text(&port.address, limits::ADDRESS);
        room.push(&mut container.ports, Port { private: port.private, protocol, public: port.public, address }, 0);
    }
    let mut room = Room::new(limits::NETWORKS_BYTES, cut::NETWORKS, &mut truncated);
    for network in &element.networks {
        let name = room.text(&network.name, limits::PATH);
        let ipv4 = room.text(&network.ipv4, limits::ADDRESS);
        let ipv6 = room.text(&network.ipv6, limits::ADDRESS);
        room.push(&mut container.networks, Network { name, ipv4, ipv6 }, name.len() + ipv4.len() + ipv6.len());
    }
    let mut room = Room::new(limits::MOUNTS_BYTES, cut::MOUNTS, &mut truncated);
    for mount in &element.mounts {
        let destination = room.text(&mount.destination, limits::PATH);
        let kind = room.text(&mount.kind, limits::MOUNT_KIND);
        let source = room.text(&mount.source, limits::PATH);
        let size = destination.len() + kind.len() + source.len();
        room.push(&mut container.mounts, Mount { destination, kind, source, writable: mount.writable }, size);
    }
    // Cutting may have changed the order.
    container.labels.sort_unstable();
    container.ports.sort_unstable();
    container.networks.sort_unstable();
    container.mounts.sort_unstable();
    container.truncated = truncated;
    container
}

/// What a list of things may still take; sets the bit if something does not fit.
pub(super) struct Room<'t> {
    left: usize,
    bit: u16,
    truncated: &'t mut u16,
}

impl<'t> Room<'t> {
    pub fn new(bytes: usize, bit: u16, truncated: &'t mut u16) -> Room<'t> {
        Room { left: bytes, bit, truncated }
    }

    pub fn text<'a>(&mut self, text: &'a str, limit: usize) -> &'a str {
        cut_text(text, limit, self.bit, self.truncated)
    }

    /// Adds it if there is room for one more and for its bytes.
    pub fn push<T, const N: usize>(&mut self, list: &mut heapless::Vec<T, N>, item: T, size: usize) {
        if size <= self.left && list.push(item).is_ok() {
            self.left -= size;
        } else {
            *self.truncated |= self.bit;
        }
    }
}

/// Hashes facts so that no two sequences of them run into each other.
struct Facts(Xxh3Default);

impl Facts {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as i64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: i64) {
        self.0.update(&number.to_le_bytes());
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
