//! Rows and records as the API's objects.

use crate::alerts::clean;
use crate::api::types;
use crate::store::{EventBody, EventRow};
use crate::time::{format_ms, format_nanos};
use muster_protocol::container::{Container, Health, State, cut};
use muster_protocol::event::{Cause, Event, Gap, Subject};
use muster_protocol::id::EngineId;
use std::collections::BTreeMap;

/// The host that a container or event is of, as the API names it.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// The host's id.
    pub id: &'a str,
    /// The host's name.
    pub name: &'a str,
}

/// A container, without its vitals. `None` if its bytes are of no version that this server knows.
pub fn container(of: Of<'_>, body: &[u8], stale: bool, as_of_ms: i64) -> Option<types::Container> {
    let it: Container<'_> = postcard::from_bytes(body).ok()?;
    let health = Health::from_number(it.health);
    Some(types::Container {
        id: it.id.to_string(),
        name: clean(it.name).into_owned(),
        host: of.name.into(),
        host_id: of.id.into(),
        image: clean(it.image).into_owned(),
        image_id: it.image_id.map(|id| format!("sha256:{id}")),
        command: it.command.into(),
        state: State::from_number(it.state).word().into(),
        health: (health != Health::None).then(|| health.word().into()),
        exit_code: it.exit_code,
        oom_killed: it.oom_killed,
        restart_count: it.restart_count,
        created_at: Some(format_ms(it.created_ms)),
        started_at: it.started_ms.map(format_ms),
        finished_at: it.finished_ms.map(format_ms),
        labels: it.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        ports: it.ports.iter().map(port).collect(),
        networks: it.networks.iter().map(network).collect(),
        mounts: it.mounts.iter().map(mount).collect(),
        truncated: cut_names(it.truncated),
        stale,
        as_of: Some(format_ms(as_of_ms)),
        vitals: None,
        network_refused: None,
    })
}

fn port(port: &muster_protocol::container::Port<'_>) -> types::Port {
    types::Port {
        private: port.private,
        public: port.public,
        address: filled(port.address),
        protocol: clean(port.protocol).into_owned(),
    }
}

fn network(network: &muster_protocol::container::Network<'_>) -> types::Network {
    types::Network { name: clean(network.name).into_owned(), ipv4: filled(network.ipv4), ipv6: filled(network.ipv6) }
}

fn mount(mount: &muster_protocol::container::Mount<'_>) -> types::Mount {
    types::Mount {
        kind: clean(mount.kind).into_owned(),
        source: clean(mount.source).into_owned(),
        destination: clean(mount.destination).into_owned(),
        writable: mount.writable,
    }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| clean(text).into_owned())
}

fn cut_names(bits: u16) -> Vec<String> {
    let names = cut::NAMES.iter().enumerate();
    names.filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| (*name).into()).collect()
}

/// An event. `container_name` finds the name of a container that the event itself does not name.
pub fn event(row: &EventRow, of: Of<'_>, container_name: impl Fn(&EngineId) -> Option<String>) -> types::Event {
    let mut event = types::Event {
        id: row.id,
        time: None,
        received_at: format_ms(row.received_ms),
        host: of.name.into(),
        host_id: of.id.into(),
        subject: "host".into(),
        container: None,
        container_id: None,
        network_id: None,
        action: String::new(),
        attributes: BTreeMap::new(),
        epoch: (row.epoch > 0).then_some(row.epoch),
        seq: (row.epoch > 0).then_some(row.seq),
        derived: true,
        truncated: Vec::new(),
    };
    match &row.body {
        EventBody::Engine(body) => match postcard::from_bytes::<Event<'_>>(body) {
            Ok(said) => engine_event(&mut event, &said, container_name),
            Err(_) => event.action = "unreadable".into(),
        },
        EventBody::Gap(body) => match postcard::from_bytes::<Gap>(body) {
            Ok(gap) => self::gap(&mut event, &gap),
            Err(_) => event.action = "unreadable".into(),
        },
        EventBody::Derived { container, action, attributes } => {
            event.subject = "container".into();
            event.container = attributes.get("name").cloned().or_else(|| container_name(container));
            event.container_id = Some(container.to_string());
            event.action = action.clone();
            event.attributes = some_values(attributes);
        }
        EventBody::Host { action, attributes } => {
            event.action = action.clone();
            event.attributes = some_values(attributes);
        }
    }
    // A name may be another's: that of a container is looked up.
    event.container = event.container.map(|name| clean(&name).into_owned());
    event
}

fn some_values(attributes: &BTreeMap<String, String>) -> BTreeMap<String, Option<String>> {
    attributes.iter().map(|(key, value)| attribute(key, value)).collect()
}

/// An event's attribute. Labels are among them, and those may have lines; names are of one.
fn attribute(key: &str, value: &str) -> (String, Option<String>) {
    let value = match key {
        "name" | "image" => clean(value).into_owned(),
        _ => value.split('\n').map(clean).collect::<Vec<_>>().join("\n"),
    };
    (clean(key).into_owned(), Some(value))
}

fn engine_event(event: &mut types::Event, said: &Event<'_>, name: impl Fn(&EngineId) -> Option<String>) {
    let is_network = said.subject == Subject::Network as u8;
    event.subject = if is_network { "network" } else { "container" }.into();
    event.derived = false;
    event.time = Some(format_nanos(said.time_nano));
    event.action = clean(said.action).into_owned();
    event.attributes = said.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
    let container = said.container_id();
    event.container_id = container.map(|id| id.to_string());
    if is_network {
        // Docker has the network as the actor and the container among the attributes.
        if let Some(id) = container {
            event.attributes.insert("container".into(), Some(id.to_string()));
        }
        event.network_id = Some(said.actor.to_string());
        event.container = container.and_then(|id| name(&id));
    } else {
        let said_name = said.attributes.iter().find(|(key, _)| *key == "name").map(|(_, value)| value.to_string());
        event.container = said_name.or_else(|| container.and_then(|id| name(&id)));
    }
    event.truncated = cut_names(said.truncated);
}

fn gap(event: &mut types::Event, gap: &Gap) {
    let time = |nanos: i64| (nanos != 0).then(|| format_nanos(nanos));
    event.subject = "gap".into();
    event.action = "gap".into();
    event.time = time(gap.to_nano);
    event.attributes = BTreeMap::from([
        ("cause".into(), Some(Cause::from_number(gap.cause).word().into())),
        ("count".into(), gap.count.map(|count| count.to_string())),
        ("from".into(), time(gap.from_nano)),
        ("to".into(), time(gap.to_nano)),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_and_labels_keep_their_lines() {
        let attributes = [("name", "web\r\nBcc: x\u{202e}\x1b[31m"), ("note", "a\nb\x1b")];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let (container, action) = (EngineId([1; 32]), "die".to_owned());
        let body = EventBody::Derived { container, action, attributes };
        let host = muster_protocol::id::HostId([1; 8]);
        let row = EventRow { id: 1, host, received_ms: 0, epoch: 0, seq: 0, body };
        let event = event(&row, Of { id: "01", name: "pi" }, |_| None);
        let name = "web??Bcc: x??[31m".replace('?', "\u{fffd}");
        assert_eq!((event.container.as_ref(), event.attributes["name"].as_ref()), (Some(&name), Some(&name)));
        assert_eq!(event.attributes["note"].as_deref(), Some("a\nb\u{fffd}"));
    }
}
