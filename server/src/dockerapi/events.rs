//! Events as Docker writes them, and which of them are wanted.

use super::filters::Filters;
use super::query::Query;
use super::{Refused, Scope};
use crate::api::select::event_matches;
use crate::api::types::Event;
use crate::fleet::EventSelect;
use crate::time::{self, parse_ms, parse_nanos};
use serde_json::{Map, Value, json};

/// What can be filtered by.
pub const FILTERS: [&str; 6] = ["container", "event", "type", "label", "image", "node"];

/// Docker's types of what happens in a fleet.
const TYPES: [&str; 3] = ["container", "network", "node"];

/// Which events are wanted, and from when to when.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// By what the fleet selects by itself; times are not in it.
    pub select: EventSelect,
    /// Names or ids of hosts, also where only one is asked.
    pub nodes: Vec<String>,
    /// Beginnings of names or ids, perhaps of one host.
    containers: Vec<(Option<String>, String)>,
    images: Vec<String>,
    /// From when on, by the hosts' clocks, in milliseconds since 1970; `None`: from now on.
    pub since_ms: Option<i64>,
    /// Until when likewise; `None`: without end.
    pub until_ms: Option<i64>,
}

impl Wanted {
    /// Reads the query.
    pub fn read(query: &Query, scope: &Scope, now_ms: i64) -> Result<Wanted, Refused> {
        let filters = Filters::read(query.get("filters"), &FILTERS)?;
        let when = |key: &str| -> Result<Option<i64>, Refused> {
            let read = |text| time::parse_when(text, now_ms).map_err(|why| Refused::new(400, format!("{key}: {why}")));
            // Docker's clients send 0 for none.
            query.get(key).filter(|text| *text != "0").map(read).transpose()
        };
        let (since_ms, until_ms) = (when("since")?, when("until")?);
        if since_ms.zip(until_ms).is_some_and(|(since, until)| since > until) {
            return Err(Refused::new(400, "`since` time cannot be after `until` time"));
        }
        let types = filters.words("type", &TYPES)?;
        let subjects = types.iter().flat_map(|word| match word.as_str() {
            "node" => ["host", "gap"].as_slice(),
            "network" => &["network"],
            _ => &["container"],
        });
        let nodes = filters.all("node").to_vec();
        let hosts = match scope {
            Scope::Fleet => nodes.clone(),
            Scope::Host(id) => vec![id.clone()],
        };
        let container = |text: &String| {
            let text = text.trim_start_matches('/');
            match text.split_once('/') {
                Some((host, name)) => (Some(host.to_owned()), name.to_owned()),
                None => (None, text.to_owned()),
            }
        };
        Ok(Wanted {
            select: EventSelect {
                hosts,
                actions: filters.all("event").to_vec(),
                subjects: subjects.map(|subject| (*subject).to_owned()).collect(),
                labels: filters.all("label").to_vec(),
                ..EventSelect::default()
            },
            nodes,
            containers: filters.all("container").iter().map(container).collect(),
            images: filters.all("image").to_vec(),
            since_ms,
            until_ms,
        })
    }

    /// The selection of what has already happened.
    pub fn past(&self) -> EventSelect {
        EventSelect { since_ms: self.since_ms, until_ms: self.until_ms, ..self.select.clone() }
    }

    /// Whether an event is wanted, times aside.
    pub fn matches(&self, event: &Event) -> bool {
        event_matches(&self.select, event)
            && (self.nodes.is_empty() || self.nodes.iter().any(|node| *node == event.host || *node == event.host_id))
            && (self.containers.is_empty() || self.containers.iter().any(|wanted| is_about(event, wanted)))
            && (self.images.is_empty() || self.images.iter().any(|image| is_of(event, image)))
    }
}

fn is_about(event: &Event, (host, container): &(Option<String>, String)) -> bool {
    let known = [&event.container, &event.container_id];
    host.as_ref().is_none_or(|host| *host == event.host || *host == event.host_id)
        && known.into_iter().flatten().any(|known| known.starts_with(container.as_str()))
}

/// With or without its tag, as Docker has it.
fn is_of(event: &Event, image: &str) -> bool {
    let Some(Some(of)) = event.attributes.get("image") else { return false };
    of.strip_prefix(image).is_some_and(|rest| rest.is_empty() || (rest.starts_with(':') && !rest.contains('/')))
}

/// One event on one line.
pub fn line(event: &Event) -> Vec<u8> {
    let mut line = describe(event).to_string().into_bytes();
    line.push(b'\n');
    line
}

fn describe(event: &Event) -> Value {
    let mut attributes = Map::new();
    let known = event.attributes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    attributes.extend(known.map(|(key, value)| (key.clone(), value.clone().into())));
    attributes.insert("node.name".into(), event.host.clone().into());
    attributes.insert("node.id".into(), event.host_id.clone().into());
    if event.derived && event.subject == "container" {
        // No engine said this: it was concluded from what a later list showed.
        attributes.insert("muster.derived".into(), "true".into());
    }
    let (kind, id) = match event.subject.as_str() {
        "container" => {
            if let Some(name) = event.container.as_ref().filter(|_| !attributes.contains_key("name")) {
                attributes.insert("name".into(), name.clone().into());
            }
            ("container", event.container_id.as_ref())
        }
        "network" => ("network", event.network_id.as_ref()),
        _ => ("node", Some(&event.host_id)),
    };
    let nanos = event.time.as_deref().and_then(parse_nanos);
    let nanos = nanos.or_else(|| parse_ms(&event.received_at).map(|ms| ms.saturating_mul(1_000_000))).unwrap_or(0);
    let id = id.cloned().unwrap_or_default();
    let mut object = json!({
        "Type": kind,
        "Action": event.action,
        "scope": "local",
        "time": nanos.div_euclid(1_000_000_000),
        "timeNano": nanos,
    });
    if kind == "container" {
        // As older clients read it.
        object["status"] = event.action.clone().into();
        object["id"] = id.clone().into();
        object["from"] = attributes.get("image").cloned().unwrap_or_else(|| "".into());
    }
    object["Actor"] = json!({ "ID": id, "Attributes": attributes });
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::query::encode;
    use crate::api::samples;

    fn wanted(filters: &str) -> Result<Wanted, Refused> {
        Wanted::read(&Query::read(&format!("filters={}", encode(filters)))?, &Scope::Fleet, 0)
    }

    #[test]
    fn an_event_says_which_host_it_is_of() {
        let object = describe(&samples::event(7, "die"));
        assert_eq!(
            (&object["Type"], &object["Action"], &object["status"]),
            (&json!("container"), &json!("die"), &json!("die"))
        );
        assert_eq!(object["Actor"]["Attributes"]["node.name"], "pi1");
        assert_eq!(object["Actor"]["Attributes"]["name"], "web");
        assert_eq!(
            (&object["time"], &object["timeNano"]),
            (&json!(1_795_341_600), &json!(1_795_341_600_000_000_000_i64))
        );
        let gap = describe(&samples::gap(8, None));
        assert_eq!((&gap["Type"], &gap["Action"]), (&json!("node"), &json!("gap")));
        assert_eq!(gap["Actor"]["Attributes"]["cause"], "agent_down");
        assert!(gap["Actor"]["Attributes"].get("count").is_none() && gap.get("status").is_none());
        let derived = Event { derived: true, ..samples::event(9, "destroy") };
        assert_eq!(describe(&derived)["Actor"]["Attributes"]["muster.derived"], "true");
    }

    #[test]
    fn events_are_filtered_as_docker_filters_them() {
        let event = samples::event(7, "die");
        for (filters, matches) in [
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["pi1/web"]}"#, true),
            (r#"{"container":["pi2/web"]}"#, false),
            (r#"{"event":["start","die"]}"#, true),
            (r#"{"type":["container"]}"#, true),
            (r#"{"type":["node"]}"#, false),
            (r#"{"image":["nginx"]}"#, true),
            (r#"{"image":["nginx:1.29"]}"#, true),
            (r#"{"image":["ngin"]}"#, false),
            (r#"{"node":["pi1"]}"#, true),
            (r#"{"node":["pi2"]}"#, false),
            (r#"{"label":["exitCode=1"]}"#, true),
        ] {
            assert_eq!(wanted(filters).expect(filters).matches(&event), matches, "{filters}");
        }
        assert!(wanted(r#"{"type":["node"]}"#).expect("types").matches(&samples::gap(8, None)));
        assert!(wanted(r#"{"type":["image"]}"#).is_err() && wanted(r#"{"daemon":["x"]}"#).is_err());
    }

    #[test]
    fn one_host_s_events_are_filtered_by_node_too() {
        let event = samples::event(7, "die");
        let scope = Scope::Host(event.host_id.clone());
        for (node, matches) in [("pi1", true), (event.host_id.as_str(), true), ("pi2", false)] {
            let text = format!("filters={}", encode(&json!({ "node": [node] }).to_string()));
            let wanted = Wanted::read(&Query::read(&text).expect("a query"), &scope, 0).expect(node);
            assert_eq!(wanted.matches(&event), matches, "{node}");
        }
    }

    #[test]
    fn times_are_those_that_clients_send() {
        let read = |text: &str| Wanted::read(&Query::read(text).expect("a query"), &Scope::Fleet, 1_000_000);
        let wanted = read("since=500.250000000&until=600").expect("times");
        assert_eq!((wanted.since_ms, wanted.until_ms), (Some(500_250), Some(600_000)));
        assert_eq!(read("since=0&until=0").expect("none").since_ms, None);
        assert!(read("since=600&until=500").is_err() && read("since=soon").is_err());
    }
}
