//! A line of `/events` -> the protocol's event.

use super::container::Room;
use super::dialect;
use super::json::{Entries, Pairs, ParseError, Text, nullable};
use muster_protocol::container::{cut, cut_text};
use muster_protocol::event::{Event, Subject};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use serde::Deserialize;
use std::borrow::Cow;

/// What happens to containers and is reported. `exec`, `attach`, `top` and the like are not.
pub const CONTAINER_ACTIONS: [&str; 13] = [
    "create",
    "start",
    "restart",
    "stop",
    "kill",
    "die",
    "oom",
    "pause",
    "unpause",
    "rename",
    "update",
    "health_status",
    "destroy",
];

/// What happens between containers and networks and is reported.
pub const NETWORK_ACTIONS: [&str; 2] = ["connect", "disconnect"];

/// What of a container an event may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Nothing that is reported.
    Nothing,
    /// Only what a list shows of it.
    Shown,
    /// Anything.
    All,
    /// There is no such container any more.
    Gone,
}

impl Touch {
    /// By the name of the action, as it is reported.
    pub fn of(action: &str) -> Touch {
        match action {
            // A signal was sent. What comes of it is another event.
            "kill" => Touch::Nothing,
            "pause" | "unpause" | "rename" | "update" | "connect" | "disconnect" => Touch::Shown,
            "destroy" => Touch::Gone,
            _ => Touch::All,
        }
    }
}

/// Attributes that the engine adds to the container's labels, most telling first: labels never push them out.
const ENGINE_ATTRIBUTES: [&str; 8] =
    ["name", "exitCode", "signal", "oldName", "image", "execDuration", "type", "container"];

/// One line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine<'a> {
    time_nano: i64,
    subject: Option<Subject>,
    action: Cow<'a, str>,
    actor: Cow<'a, str>,
    /// Podman's place for what Docker has within the action.
    health: Option<Cow<'a, str>>,
    /// Sorted by key.
    attributes: Pairs<'a>,
}

/// The fields `status`, `id` and `from` repeat these for programs of 2015 and are not read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawEvent<'a> {
    #[serde(borrow, default, rename = "Type", deserialize_with = "nullable")]
    kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    action: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    actor: RawActor<'a>,
    #[serde(default, rename = "time", deserialize_with = "nullable")]
    time: i64,
    #[serde(default, rename = "timeNano", deserialize_with = "nullable")]
    time_nano: i64,
    #[serde(borrow, default)]
    health_status: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct RawActor<'a> {
    #[serde(borrow, default, rename = "ID", deserialize_with = "nullable")]
    id: Text<'a>,
    #[serde(borrow, default, rename = "Attributes", deserialize_with = "nullable")]
    attributes: Entries<'a, Option<Text<'a>>>,
}

/// Reads one event of any kind.
pub fn parse_event(json: &[u8]) -> Result<EventLine<'_>, ParseError> {
    let raw: RawEvent<'_> = serde_json::from_slice(json).map_err(|_| ParseError::Json)?;
    let subject = match &*raw.kind.0 {
        "container" => Some(Subject::Container),
        "network" => Some(Subject::Network),
        _ => None,
    };
    let time_nano = if raw.time_nano != 0 { raw.time_nano } else { raw.time.saturating_mul(1_000_000_000) };
    let line = EventLine {
        time_nano,
        subject,
        action: raw.action.0,
        actor: raw.actor.id.0,
        health: raw.health_status.map(|text| text.0),
        attributes: raw.actor.attributes.into_sorted(),
    };
    Ok(line.in_dockers_way())
}

impl<'a> EventLine<'a> {
    /// Brings a network event of Podman into the shape of Docker's.
    fn in_dockers_way(mut self) -> EventLine<'a> {
        let foreign = self.subject == Some(Subject::Network) && dialect::actor_is_the_container(&self.attributes);
        if foreign {
            dialect::rename_network(&mut self.attributes);
            let container = std::mem::take(&mut self.actor);
            self.attributes.push((Cow::Borrowed("container"), container));
            self.attributes.sort_by(|a, b| a.0.cmp(&b.0));
        }
        self
    }

    /// The engine's time of it, in nanoseconds since 1970.
    pub fn time_nano(&self) -> i64 {
        self.time_nano
    }

    /// As the protocol has it; `None` if it is of a kind that is not reported, or about a container without an
    /// id. A network whose id is not 64 hexadecimal digits (a swarm's), or not told (Podman), has an id of zeros.
    pub fn event(&self) -> Option<Event<'_>> {
        let subject = self.subject?;
        let mut event = Event {
            time_nano: self.time_nano,
            subject: subject as u8,
            action: "",
            actor: EngineId::default(),
            container: None,
            attributes: heapless::Vec::new(),
            truncated: 0,
        };
        let id = EngineId::parse(&self.actor);
        match subject {
            Subject::Container => {
                event.action = dialect::container_action(&self.action, self.health.as_deref());
                let name = event.action.split(':').next().unwrap_or_default();
                if !CONTAINER_ACTIONS.contains(&name) {
                    return None;
                }
                event.actor = id?;
            }
            Subject::Network => {
                event.action = NETWORK_ACTIONS.into_iter().find(|action| *action == self.action)?;
                event.actor = id.unwrap_or_default();
                let container = self.attributes.iter().find(|(key, _)| key == "container");
                event.container = container.and_then(|(_, id)| EngineId::parse(id));
            }
        }
        let mut truncated = 0;
        event.action = cut_text(event.action, limits::ACTION, cut::ATTRIBUTES, &mut truncated);
        self.attributes_into(&mut event, &mut truncated);
        event.truncated = truncated;
        Some(event)
    }

    fn attributes_into<'e>(&'e self, event: &mut Event<'e>, truncated: &mut u16) {
        let rank = |key: &str| ENGINE_ATTRIBUTES.iter().position(|own| *own == key);
        let is_above = |key: &str| key == "container" && event.container.is_some();
        let attributes = || self.attributes.iter().filter(|(key, _)| !is_above(key));
        let mut room = Room::new(limits::ATTRIBUTES_BYTES, cut::ATTRIBUTES, truncated);
        let mut add = |(key, value): &'e (Cow<'_, str>, Cow<'_, str>)| {
            let pair = (room.text(key, limits::LABEL_KEY), room.text(value, limits::LABEL_VALUE));
            room.push(&mut event.attributes, pair, pair.0.len() + pair.1.len());
        };
        for own in ENGINE_ATTRIBUTES {
            attributes().filter(|(key, _)| key == own).for_each(&mut add);
        }
        attributes().filter(|(key, _)| rank(key).is_none()).for_each(&mut add);
        event.attributes.sort_unstable();
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
