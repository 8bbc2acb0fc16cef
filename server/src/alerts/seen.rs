//! What an event of the history means for alerts.

use crate::store::{EventBody, EventRow};
use muster_protocol::event::{Event, Subject};
use muster_protocol::id::{EngineId, HostId};
use std::collections::BTreeMap;

/// What the engine adds to a container's labels in an event.
const OF_THE_ENGINE: [&str; 8] =
    ["name", "exitCode", "signal", "oldName", "image", "execDuration", "type", "container"];

/// An event that alerts may care about.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its place in the fleet's history.
    pub id: u64,
    /// Whose it is.
    pub host: HostId,
    /// The run of the agent that told it; 0 for what the server itself noticed.
    pub epoch: u64,
    /// Its place in what that run told.
    pub seq: u64,
    /// When it happened, in milliseconds since 1970 by the host's clock, or when it came.
    pub time_ms: i64,
    /// When it came, in milliseconds since 1970 by the server's clock.
    pub received_ms: i64,
    /// What it is about.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// To a container.
    Container {
        /// Which.
        id: EngineId,
        /// Its name, if the event has it.
        name: Option<String>,
        /// The container's labels, as far as the event has them.
        labels: BTreeMap<String, String>,
        /// Docker's name of what happened.
        action: Action,
        /// No event told it: it was concluded from what the host showed.
        derived: bool,
    },
    /// Events are missing.
    Gap,
    /// The host is heard again.
    Back,
    /// Nothing that alerts care about.
    Other,
}

/// What happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Create,
    /// It has another name.
    Rename,
    /// It was started.
    Start,
    /// Somebody restarted it: told after all else.
    Restart,
    /// Somebody stopped it: Docker tells it after the end.
    Stop,
    /// It was sent a signal.
    Kill(Option<u32>),
    /// It ended, with this exit code.
    Die(Option<i32>),
    /// A process of it was killed for lack of memory.
    Oom,
    /// Its health check fails.
    Unhealthy,
    /// It was removed.
    Destroy,
}

impl Seen {
    /// Reads an event.
    pub fn of(row: &EventRow) -> Seen {
        let what = match &row.body {
            EventBody::Engine(body) => engine(body),
            EventBody::Gap(_) => What::Gap,
            EventBody::Derived { container, action, attributes } => {
                let get = |key: &str| attributes.get(key).map(String::as_str);
                match action_of(action, get) {
                    None => What::Other,
                    Some(action) => What::Container {
                        id: *container,
                        name: attributes.get("name").cloned(),
                        labels: BTreeMap::new(),
                        action,
                        derived: true,
                    },
                }
            }
            EventBody::Host { action, .. } => match action.as_str() {
                "host_active" | "host_joined" | "host_restored" => What::Back,
                _ => What::Other,
            },
        };
        Seen {
            id: row.id,
            host: row.host,
            epoch: row.epoch,
            seq: row.seq,
            time_ms: row.time_ms(),
            received_ms: row.received_ms,
            what,
        }
    }
}

fn engine(body: &[u8]) -> What {
    let Ok(said) = postcard::from_bytes::<Event<'_>>(body) else { return What::Other };
    let (true, Some(id)) = (said.subject == Subject::Container as u8, said.container_id()) else { return What::Other };
    let get = |key: &str| said.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    let Some(action) = action_of(said.action, get) else { return What::Other };
    let labels = said.attributes.iter().filter(|(key, _)| !OF_THE_ENGINE.contains(key));
    What::Container {
        id,
        name: get("name").map(str::to_owned),
        labels: labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        action,
        derived: false,
    }
}

fn action_of<'a>(action: &str, get: impl Fn(&str) -> Option<&'a str>) -> Option<Action> {
    Some(match action {
        "create" => Action::Create,
        "rename" => Action::Rename,
        "start" => Action::Start,
        "restart" => Action::Restart,
        "stop" => Action::Stop,
        "kill" => Action::Kill(get("signal").and_then(signal)),
        "die" => Action::Die(get("exitCode").and_then(|code| code.parse().ok())),
        "oom" => Action::Oom,
        "destroy" => Action::Destroy,
        "health_status: unhealthy" => Action::Unhealthy,
        _ => return None,
    })
}

/// Docker tells signals by number; others by name.
fn signal(text: &str) -> Option<u32> {
    let names =
        [("HUP", 1), ("INT", 2), ("QUIT", 3), ("ABRT", 6), ("KILL", 9), ("USR1", 10), ("USR2", 12), ("TERM", 15)];
    text.parse().ok().or_else(|| {
        let name = text.strip_prefix("SIG").unwrap_or(text);
        names.into_iter().find(|(known, _)| *known == name).map(|(_, number)| number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;

    fn row(body: EventBody) -> EventRow {
        EventRow { id: 7, received_ms: 1000, host: HostId([1; 8]), epoch: 2, seq: 3, body }
    }

    fn said(action: &str, attributes: &[(&'static str, &'static str)]) -> What {
        let event = Event {
            time_nano: 5_000_000,
            subject: Subject::Container as u8,
            action,
            actor: EngineId([4; 32]),
            container: None,
            attributes: Vec::from_slice(attributes).expect("few"),
            truncated: 0,
        };
        let body = postcard::to_allocvec(&event).expect("bytes");
        let seen = Seen::of(&row(EventBody::Engine(body)));
        assert_eq!((seen.id, seen.time_ms, seen.received_ms), (7, 5, 1000));
        seen.what
    }

    #[test]
    fn what_the_engine_says_is_read_with_the_containers_labels() {
        let What::Container { name, labels, action, derived, .. } =
            said("die", &[("exitCode", "137"), ("image", "x"), ("name", "web"), ("site", "attic")])
        else {
            panic!("a container's event");
        };
        assert_eq!((name.as_deref(), action, derived), (Some("web"), Action::Die(Some(137)), false));
        assert_eq!(labels, BTreeMap::from([("site".to_owned(), "attic".to_owned())]));
        assert_eq!(said("exec_start", &[]), What::Other);
        assert!(matches!(said("die", &[]), What::Container { action: Action::Die(None), .. }));
        assert!(matches!(said("die", &[("exitCode", "x")]), What::Container { action: Action::Die(None), .. }));
        assert!(matches!(said("health_status: unhealthy", &[]), What::Container { action: Action::Unhealthy, .. }));
        assert_eq!(said("health_status: healthy", &[]), What::Other);
    }

    #[test]
    fn signals_are_known_by_number_and_by_name() {
        for (text, number) in
            [("15", Some(15)), ("SIGTERM", Some(15)), ("KILL", Some(9)), ("", None), ("RTMIN+3", None)]
        {
            assert_eq!(signal(text), number, "{text}");
        }
    }

    #[test]
    fn what_the_server_concluded_is_derived_and_damage_is_nothing() {
        let attributes = BTreeMap::from([("exitCode".to_owned(), "1".to_owned()), ("name".to_owned(), "a".to_owned())]);
        let derived = EventBody::Derived { container: EngineId([4; 32]), action: "die".into(), attributes };
        let expected = Action::Die(Some(1));
        assert!(matches!(Seen::of(&row(derived)).what,
            What::Container { action, derived: true, .. } if action == expected));
        assert_eq!(Seen::of(&row(EventBody::Engine(vec![0xff]))).what, What::Other);
        assert_eq!(Seen::of(&row(EventBody::Gap(vec![]))).what, What::Gap);
        let back = EventBody::Host { action: "host_active".into(), attributes: BTreeMap::new() };
        assert_eq!(Seen::of(&row(back)).what, What::Back);
    }
}
