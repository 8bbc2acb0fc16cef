use super::*;
use crate::docker::split::{Found, Splitter};
use muster_protocol::id::EventIdentity;
use std::collections::BTreeSet;

const ENGINES: [&str; 5] = ["20.10", "26.1", "28.5", "podman-4.3.1", "podman-5.4.2"];

fn lines(engine: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/tests/samples/{engine}/events.ndjson", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut splitter = Splitter::stream(64 * 1024);
    let (mut at, mut found) = (0, Vec::new());
    while let (used, Some(Found::Element)) = splitter.push(&bytes[at..]).expect("a stream") {
        at += used;
        found.push(splitter.element().to_vec());
    }
    assert!(found.len() > 20);
    found
}

fn encoded(event: &Event<'_>) -> Vec<u8> {
    postcard::to_slice(event, &mut [0; limits::EVENT]).expect("fits an event's limit").to_vec()
}

fn attribute<'a>(event: &Event<'a>, name: &str) -> Option<&'a str> {
    event.attributes.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

#[test]
fn each_engines_events_become_dockers() {
    for engine in ENGINES {
        let podman = engine.starts_with("podman");
        let lines = lines(engine);
        let read: Vec<EventLine<'_>> = lines.iter().map(|line| parse_event(line).expect(engine)).collect();
        let events: Vec<Event<'_>> = read.iter().filter_map(EventLine::event).collect();
        let actions: BTreeSet<&str> = events.iter().map(|event| event.action).collect();
        let mut want: BTreeSet<&str> =
            "create start restart stop kill die pause unpause rename destroy connect disconnect".split(' ').collect();
        if !podman {
            want.extend(["oom", "health_status: healthy", "health_status: unhealthy"]);
        }
        assert_eq!(actions, want, "{engine}");
        for event in &events {
            assert!(event.time_nano > 1_790_000_000_000_000_000 && event.truncated == 0, "{engine}");
            assert!(event.container_id().is_some(), "{engine}: {event:?}");
            assert!(event.attributes.is_sorted(), "{engine}");
            assert!(attribute(event, "container").is_none(), "{engine}");
            encoded(event);
        }
        let die = events.iter().find(|event| event.action == "die").expect("die");
        assert_eq!(attribute(die, "exitCode"), Some("1"), "{engine}");
        assert_eq!(attribute(die, "name"), Some("exited"), "{engine}");
        let connect = events.iter().find(|event| event.action == "connect").expect("connect");
        assert_eq!(connect.subject, Subject::Network as u8);
        let network = match engine {
            "podman-4.3.1" => None,
            "podman-5.4.2" => Some("n1"),
            _ => Some("bridge"),
        };
        assert_eq!(attribute(connect, "name"), network, "{engine}");
        assert_eq!(connect.actor == EngineId::default(), podman, "{engine}");
        if !podman {
            let rename = events.iter().find(|event| event.action == "rename").expect("rename");
            assert_eq!(attribute(rename, "oldName"), Some("/old"), "{engine}");
        }
        let identities: BTreeSet<_> = events.iter().map(|event| EventIdentity::of(&encoded(event)).0).collect();
        assert_eq!(identities.len(), events.len(), "{engine}: each event is another");
    }
}

fn event_with(kind: &str, action: &str, rest: &str) -> String {
    let id = "5a".repeat(32);
    format!(r#"{{"Type":"{kind}","Action":"{action}","Actor":{{"ID":"{id}"{rest}}},"time":7,"timeNano":7000000001}}"#)
}

fn action_of(line: &str) -> Option<String> {
    parse_event(line.as_bytes()).expect("an event").event().map(|event| event.action.to_owned())
}

#[test]
fn what_is_not_reported_is_none() {
    for (kind, action) in [
        ("image", "pull"),
        ("volume", "create"),
        ("daemon", "reload"),
        ("network", "create"),
        ("network", "destroy"),
        ("network", "remove"),
        ("container", "exec_create: /bin/sh"),
        ("container", "exec_die"),
        ("container", "attach"),
        ("container", "init"),
        ("container", "cleanup"),
        ("container", "connect"),
        ("container", ""),
        ("", "create"),
    ] {
        assert_eq!(action_of(&event_with(kind, action, "")), None, "{kind} {action}");
    }
    assert_eq!(action_of(&event_with("container", "update", "")).as_deref(), Some("update"));
    assert_eq!(action_of(r#"{"status":"die","id":"x","from":"y","time":1}"#), None);
    assert_eq!(action_of(r#"{"Type":"container","Action":"die","Actor":{"ID":"short"}}"#), None);
    for bad in ["", "7", "{]", "{\"Type\":1}", "{\"time\":\"x\"}", "{\"Actor\":{\"Attributes\":[]}}"] {
        assert_eq!(parse_event(bad.as_bytes()), Err(ParseError::Json), "{bad}");
    }
}

#[test]
fn podmans_health_stands_beside_the_action() {
    let line = event_with("container", "health_status", r#","Attributes":{"name":"web"}"#);
    let line = line.replacen('{', r#"{"HealthStatus":"unhealthy","#, 1);
    assert_eq!(action_of(&line).as_deref(), Some("health_status: unhealthy"));
}

#[test]
fn a_networks_event_names_the_container_above_its_attributes() {
    let container = "c0".repeat(32);
    let attributes = format!(r#","Attributes":{{"name":"shop","container":"{container}","type":"bridge"}}"#);
    let line = event_with("network", "disconnect", &attributes);
    let line = parse_event(line.as_bytes()).expect("an event");
    let event = line.event().expect("reported");
    assert_eq!(event.container, EngineId::parse(&container));
    assert_eq!(event.actor, EngineId([0x5a; 32]));
    assert_eq!(event.attributes.as_slice(), [("name", "shop"), ("type", "bridge")]);
    // What is no id stays where it was; a swarm's network has an id that is none of ours.
    let line = event_with("network", "connect", r#","Attributes":{"container":"web","name":"shop"}"#);
    let line = line.replace(&"5a".repeat(32), "x8f3k2m1qz0c7v9b4n6w5e1r2");
    let line = parse_event(line.as_bytes()).expect("an event");
    let event = line.event().expect("reported");
    assert_eq!((event.container, event.actor), (None, EngineId::default()));
    assert_eq!(event.attributes.as_slice(), [("container", "web"), ("name", "shop")]);
}

#[test]
fn times_fall_back_to_seconds() {
    let nano = |text: &str| parse_event(text.as_bytes()).expect("an event").time_nano();
    assert_eq!(nano(&event_with("container", "die", "")), 7_000_000_001);
    assert_eq!(nano(r#"{"time":7}"#), 7_000_000_000);
    assert_eq!(nano(r#"{"time":9223372036854775807,"timeNano":null}"#), i64::MAX);
    assert_eq!(nano("{}"), 0);
}

#[test]
fn labels_never_push_out_what_the_engine_says() {
    let labels: Vec<String> = (0..100).map(|n| format!(r#""a{n:03}":"{}""#, "x".repeat(300))).collect();
    let rest = format!(r#","Attributes":{{{},"exitCode":"137","image":"shop:1","name":"web"}}"#, labels.join(","));
    let line = event_with("container", "die", &rest);
    let line = parse_event(line.as_bytes()).expect("an event");
    let event = line.event().expect("reported");
    assert_eq!(event.truncated, cut::ATTRIBUTES);
    assert_eq!(attribute(&event, "exitCode"), Some("137"));
    assert_eq!(attribute(&event, "name"), Some("web"));
    assert!(attribute(&event, "a000").is_some_and(|value| value.len() == limits::LABEL_VALUE));
    assert!(event.attributes.is_sorted());
    encoded(&event);

    let short: Vec<String> = (0..100).map(|n| format!(r#""a{n}":"""#)).collect();
    let rest = format!(r#","Attributes":{{{},"signal":"9"}}"#, short.join(","));
    let line = event_with("container", "kill", &rest);
    let line = parse_event(line.as_bytes()).expect("an event");
    let event = line.event().expect("reported");
    assert_eq!(event.attributes.len(), limits::ATTRIBUTES);
    assert_eq!(attribute(&event, "signal"), Some("9"));
}

#[test]
fn the_order_of_attributes_does_not_matter() {
    let one = event_with("container", "die", r#","Attributes":{"b":"2","a":"1","name":"x"}"#);
    let two = event_with("container", "die", r#","Attributes":{"name":"x","a":"1","b":"2"}"#);
    let (one, two) = (parse_event(one.as_bytes()).expect("one"), parse_event(two.as_bytes()).expect("two"));
    assert_eq!(encoded(&one.event().expect("one")), encoded(&two.event().expect("two")));
}
