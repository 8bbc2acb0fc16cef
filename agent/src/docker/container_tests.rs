use super::*;
use crate::docker::inspect::parse_inspect;
use crate::docker::seeded::Seeded;
use crate::docker::split::{Found, Splitter};
use muster_protocol::container::Health;
use muster_protocol::record::{Kind, Reader, Writer};
use std::path::PathBuf;

const ENGINES: [&str; 5] = ["20.10", "26.1", "28.5", "podman-4.3.1", "podman-5.4.2"];

fn sample(engine: &str, name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(engine).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn elements(list: &[u8]) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::list(128 * 1024);
    let (mut at, mut found) = (0, Vec::new());
    while let (used, Some(Found::Element)) = splitter.push(&list[at..]).expect("a list") {
        at += used;
        found.push(splitter.element().to_vec());
    }
    found
}

fn by_name(engine: &str, name: &str) -> Vec<u8> {
    let all = elements(&sample(engine, "list.json"));
    let found = all.into_iter().find(|json| parse_list_element(json).expect("an element").name == name);
    found.unwrap_or_else(|| panic!("{engine} has no {name}"))
}

fn inspect(engine: &str, name: &str) -> Details {
    parse_inspect(&sample(engine, &format!("inspect_{name}.json"))).expect("an inspect").1
}

fn encoded(container: &Container<'_>) -> Vec<u8> {
    let mut buffer = [0; muster_protocol::limits::RECORD];
    let mut writer = Writer::records(&mut buffer);
    let mut body = [0; muster_protocol::limits::RECORD];
    let body = postcard::to_slice(container, &mut body).expect("fits a record");
    writer.numbered(Kind::Container, u64::MAX, body).expect("fits a record with its number");
    writer.as_bytes().to_vec()
}

#[test]
fn every_engine_lists_the_ten_containers() {
    for engine in ENGINES {
        let all = elements(&sample(engine, "list.json"));
        let mut names: Vec<_> = all.iter().map(|json| parse_list_element(json).expect(engine).name).collect();
        names.sort();
        let want = "created exited healthy never new oom paused restarting running starting";
        assert_eq!(names, want.split(' ').collect::<Vec<_>>(), "{engine}");
        for json in &all {
            let element = parse_list_element(json).expect(engine);
            let container = to_container(&element, &element.details_from_status(), true);
            assert!(container.image.contains("bb:") && container.image_id.is_some(), "{engine}");
            assert!(container.created_ms > 1_700_000_000_000);
            assert_eq!(container.labels.len(), 1, "{engine}");
            assert_eq!(container.labels[0].0, "com.example.role");
            assert_eq!(container.truncated, cut::DETAILS);
            encoded(&container);
        }
    }
}

#[test]
fn lists_say_state_and_status() {
    for engine in ENGINES {
        let details = |name| {
            let json = by_name(engine, name);
            parse_list_element(&json).expect("an element").details_from_status()
        };
        assert_eq!(details("never").state, State::Created, "{engine}");
        assert_eq!((details("exited").state, details("exited").exit_code), (State::Exited, Some(1)), "{engine}");
        assert_eq!((details("oom").state, details("oom").exit_code), (State::Exited, Some(137)), "{engine}");
        assert_eq!((details("paused").state, details("paused").exit_code), (State::Paused, None), "{engine}");
        assert_eq!((details("running").state, details("running").health), (State::Running, Health::None), "{engine}");
        if !engine.starts_with("podman") {
            assert_eq!(details("restarting").state, State::Restarting);
            assert_eq!(details("restarting").exit_code, Some(1));
            assert_eq!(details("healthy").health, Health::Healthy);
            assert_eq!(details("starting").health, Health::Starting);
            let unhealthy = elements(&sample(engine, "list_unhealthy.json")).remove(0);
            let unhealthy = parse_list_element(&unhealthy).expect("an element").details_from_status();
            assert_eq!(unhealthy.health, Health::Unhealthy);
        }
    }
}

#[test]
fn inspects_say_how_the_last_run_went() {
    for engine in ENGINES {
        let podman = engine.starts_with("podman");
        let running = inspect(engine, "running");
        assert_eq!((running.state, running.exit_code, running.finished_ms), (State::Running, None, None), "{engine}");
        assert!(running.started_ms.is_some_and(|ms| ms > 1_700_000_000_000), "{engine}");
        for name in ["created", "never"] {
            let never = inspect(engine, name);
            assert_eq!(never.state, State::Created, "{engine}");
            assert_eq!((never.exit_code, never.started_ms, never.finished_ms), (None, None, None), "{engine} {name}");
        }
        let exited = inspect(engine, "exited");
        assert_eq!((exited.state, exited.exit_code, exited.oom_killed), (State::Exited, Some(1), false), "{engine}");
        assert!(exited.finished_ms.is_some(), "{engine}");
        for name in ["killed", "stopped"] {
            let killed = inspect(engine, name);
            assert_eq!((killed.state, killed.exit_code), (State::Exited, Some(137)), "{engine} {name}");
            assert!(killed.finished_ms > killed.started_ms, "{engine} {name}");
        }
        let oom = inspect(engine, "oom");
        assert_eq!((oom.exit_code, oom.oom_killed), (Some(137), engine != "podman-4.3.1"), "{engine}");
        let paused = inspect(engine, "paused");
        assert_eq!((paused.state, paused.exit_code), (State::Paused, None), "{engine}");
        assert_eq!(inspect(engine, "starting").health, Health::Starting, "{engine}");
        assert_eq!(running.health, Health::None, "{engine}");
        assert!(inspect(engine, "restarting").restart_count >= 6, "{engine}");
        if !podman {
            let restarting = inspect(engine, "restarting");
            assert_eq!((restarting.state, restarting.exit_code), (State::Restarting, Some(1)), "{engine}");
            assert_eq!(inspect(engine, "healthy").health, Health::Healthy, "{engine}");
            assert_eq!(inspect(engine, "unhealthy").health, Health::Unhealthy, "{engine}");
        } else {
            assert_eq!(inspect(engine, "unhealthy_cmd").health, Health::Unhealthy, "{engine}");
        }
    }
    // Recorded between two runs: Podman calls that stopped.
    let between = inspect("podman-5.4.2", "restarting");
    assert_eq!((between.state, between.exit_code), (State::Exited, Some(1)));
    assert_eq!(inspect("podman-4.3.1", "healthy_cmd").health, Health::Healthy);
}

#[test]
fn ports_and_networks_are_sorted_facts() {
    for engine in ENGINES {
        let json = by_name(engine, "running");
        let element = parse_list_element(&json).expect("an element");
        let container = to_container(&element, &inspect(engine, "running"), false);
        assert_eq!((container.name, container.command), ("running", "/bin/sleep 1000"));
        assert_eq!(container.truncated, 0);
        let published = Port { private: 80, protocol: "tcp", public: Some(18080), address: "127.0.0.1" };
        assert_eq!(container.ports[0], published, "{engine}");
        if !engine.starts_with("podman") {
            assert_eq!(container.ports[1], Port { private: 81, protocol: "tcp", public: None, address: "" });
        }
        let names: Vec<&str> = container.networks.iter().map(|network| network.name).collect();
        let want = if engine.starts_with("podman") { ["n1", "podman"] } else { ["bridge", "n1"] };
        assert_eq!(names, want, "{engine}");
        assert!(container.networks.iter().all(|network| network.ipv4.starts_with("1") && network.ipv6.is_empty()));
    }
}

/// The engine writes ports, networks and mounts in a new order each time.
const ELEMENT: &str = r#"{"Id":"ID","Names":["/other/db","/web"],"Image":"shop:1","ImageID":"sha256:ID",
 "Command":"sh -c \"run\"","Created":1795315839,"State":"running","Status":"STATUS",
 "Ports":[PORTS],"Labels":{LABELS},"NetworkSettings":{"Networks":{NETWORKS}},"Mounts":[MOUNTS]}"#;

fn shaped(turn: usize, status: &str) -> String {
    let turned = |items: &[&str]| {
        let mut items = items.to_vec();
        let by = turn % items.len();
        items.rotate_left(by);
        items.join(",")
    };
    ELEMENT
        .replace("STATUS", status)
        .replace("PORTS", &turned(&[
            r#"{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}"#,
            r#"{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}"#,
            r#"{"PrivatePort":53,"Type":"udp"}"#,
        ]))
        .replace("LABELS", &turned(&[r#""b":"2""#, r#""a\n":"1""#, r#""c":null"#]))
        .replace("NETWORKS", &turned(&[
            r#""shop":{"IPAddress":"10.1.0.2","GlobalIPv6Address":"fd00::2"}"#,
            r#""back":{"IPAddress":"","GlobalIPv6Address":null}"#,
            r#""gone":null"#,
        ]))
        .replace("MOUNTS", &turned(&[
            r#"{"Type":"volume","Name":"data","Source":"/var/lib/docker/volumes/data/_data","Destination":"/data","RW":true}"#,
            r#"{"Type":"bind","Source":"/etc/shop","Destination":"/conf","Mode":"ro","RW":false,"Propagation":"rprivate"}"#,
            r#"{"Type":"tmpfs","Source":"","Destination":"/run","RW":true}"#,
        ]))
        .replace("ID", &"5a".repeat(32))
}

#[test]
fn equal_containers_are_equal_bytes_in_whatever_order() {
    let first = shaped(0, "Up 3 seconds");
    let first = parse_list_element(first.as_bytes()).expect("an element");
    let details = first.details_from_status();
    let container = to_container(&first, &details, false);
    assert_eq!(container.name, "web");
    assert_eq!(container.command, "sh -c \"run\"");
    assert_eq!(container.labels.as_slice(), [("a\n", "1"), ("b", "2"), ("c", "")]);
    let ports: Vec<_> = container.ports.iter().map(|port| (port.private, port.public, port.address)).collect();
    assert_eq!(ports, [(53, None, ""), (80, Some(8080), "0.0.0.0"), (80, Some(8080), "::")]);
    assert_eq!(container.networks[2], Network { name: "shop", ipv4: "10.1.0.2", ipv6: "fd00::2" });
    let mounts: Vec<_> = container.mounts.iter().map(|m| (m.destination, m.kind, m.source, m.writable)).collect();
    assert_eq!(mounts[0], ("/conf", "bind", "/etc/shop", false));
    assert_eq!(mounts[1], ("/data", "volume", "data", true));
    for turn in 1..6 {
        let other = shaped(turn, "Up 4 minutes");
        let other = parse_list_element(other.as_bytes()).expect("an element");
        assert_eq!(other.fingerprint(), first.fingerprint(), "turn {turn}");
        assert_eq!(encoded(&to_container(&other, &details, false)), encoded(&container), "turn {turn}");
    }
}

#[test]
fn a_fingerprint_changes_with_any_fact() {
    let print = |text: &str| parse_list_element(text.as_bytes()).expect("an element").fingerprint();
    let before = shaped(0, "Up 3 seconds");
    for (from, to) in [
        ("/web", "/web2"),
        ("shop:1", "shop:2"),
        ("sh -c", "sh -d"),
        ("\"running\"", "\"paused\""),
        ("1795315839", "1795315840"),
        ("Up 3 seconds", "Up 3 seconds (healthy)"),
        ("Up 3 seconds", "Exited (1) 3 seconds ago"),
        (r#""b":"2""#, r#""b2":"""#),
        (":8080", ":8081"),
        ("\"udp\"", "\"tcp\""),
        ("10.1.0.2", "10.1.0.3"),
        ("fd00::2", "fd00::3"),
        (r#""gone":"#, r#""went":"#),
        (r#""RW":false"#, r#""RW":true"#),
        ("/etc/shop", "/etc/shop2"),
        ("\"data\"", "\"date\""),
    ] {
        let after = before.replace(from, to);
        assert_ne!(after, before, "{from}");
        assert_ne!(print(&after), print(&before), "{from} -> {to}");
    }
    assert_ne!(print(&shaped(0, "Exited (1) 3 days ago")), print(&shaped(0, "Exited (2) 3 days ago")));
    assert_eq!(print(&shaped(0, "Exited (1) 3 days ago")), print(&shaped(0, "Exited (1) 4 days ago")));
}

#[test]
fn the_largest_container_still_fits_a_record() {
    let many = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let long = "é".repeat(200);
    let text = ELEMENT
        .replace("/web", &format!("/{long}"))
        .replace("shop:1", &long)
        .replace("sh -c", &long)
        .replace("STATUS", "Up 3 seconds")
        .replace("PORTS", &many(200, &|n| {
            format!(
                r#"{{"IP":"2001:0db8:0000:0000:0000:0000:0000:{n:04}%eth0","PrivatePort":{},"PublicPort":{},"Type":"{long}"}}"#,
                60_000 + n,
                50_000 + n
            )
        }))
        .replace("LABELS", &many(200, &|n| format!(r#""{n:03}":"{long}""#)))
        .replace("NETWORKS", &many(50, &|n| {
            format!(r#""{n}{long}":{{"IPAddress":"{long}","GlobalIPv6Address":"{long}"}}"#)
        }))
        .replace("MOUNTS", &many(90, &|n| {
            format!(r#"{{"Type":"{long}","Name":"{long}","Source":"{long}","Destination":"/{n}{long}","RW":true}}"#)
        }))
        .replace("ID", &"5a".repeat(32));
    let element = parse_list_element(text.as_bytes()).expect("an element");
    let details = Details {
        state: State::Running,
        health: Health::Unhealthy,
        exit_code: Some(i32::MIN),
        oom_killed: true,
        restart_count: u32::MAX,
        started_ms: Some(i64::MIN),
        finished_ms: Some(i64::MIN),
        pid: 0,
    };
    let container = to_container(&element, &details, true);
    let all = cut::NAME | cut::IMAGE | cut::COMMAND | cut::LABELS | cut::PORTS | cut::NETWORKS | cut::MOUNTS;
    assert_eq!(container.truncated, all | cut::DETAILS);
    assert_eq!(container.ports.len(), limits::PORTS);
    assert!(container.mounts.len() >= 7 && container.networks.len() >= 6);
    let bytes = encoded(&container);
    let mut message = vec![muster_protocol::record::VERSION];
    message.extend_from_slice(&bytes);
    let record = Reader::message(&message).expect("a message").next_record().expect("good").expect("a record");
    let back: Container<'_> = postcard::from_bytes(record.numbered().expect("numbered").1).expect("a container");
    assert_eq!(back, container);
}

#[test]
fn many_short_labels_fit_as_well() {
    let labels: Vec<String> = (0..100).map(|n| format!(r#""k{n}":"""#)).collect();
    let text = shaped(0, "Up").replace(r#""b":"2""#, &labels.join(","));
    let element = parse_list_element(text.as_bytes()).expect("an element");
    let container = to_container(&element, &element.details_from_status(), false);
    assert_eq!((container.labels.len(), container.truncated), (limits::LABELS, cut::LABELS));
}

#[test]
fn what_is_missing_or_null_is_empty_and_what_is_wrong_is_an_error() {
    let id = "5a".repeat(32);
    for text in [
        format!(r#"{{"Id":"{id}"}}"#),
        format!(
            r#"{{"Id":"{id}","Names":null,"Image":null,"ImageID":"","Command":null,"Created":null,"Ports":null,
            "Labels":null,"State":null,"Status":null,"NetworkSettings":null,"Mounts":null,"HostConfig":{{"x":[1.5e300]}}}}"#
        ),
        format!(r#"{{"Id":"{id}","Names":[],"NetworkSettings":{{"Networks":null}}}}"#),
    ] {
        let element = parse_list_element(text.as_bytes()).expect("an element");
        assert_eq!((&*element.name, element.state, element.image_id), ("", State::Unknown, None));
        to_container(&element, &element.details_from_status(), true);
    }
    for (text, error) in [
        ("", ParseError::Json),
        ("[]", ParseError::Json),
        ("{}", ParseError::Json),
        (r#"{"Id":7}"#, ParseError::Json),
        (r#"{"Id":"5a"}"#, ParseError::Id),
        ("{\"Id\":\"\u{e9}\"}", ParseError::Id),
    ] {
        assert_eq!(parse_list_element(text.as_bytes()), Err(error), "{text}");
        assert!(parse_inspect(text.as_bytes()).is_err(), "{text}");
    }
    let inspect = |state: &str| parse_inspect(format!(r#"{{"Id":"{id}","State":{state}}}"#).as_bytes()).map(|i| i.1);
    assert!(inspect("null").is_err());
    let odd = inspect(r#"{"Status":"exited","ExitCode":99999999999,"StartedAt":"soon","Health":null}"#).expect("odd");
    assert_eq!((odd.exit_code, odd.started_ms, odd.health), (None, None, Health::None));
    let old = inspect(r#"{"Status":"running","Healthcheck":{"Status":"healthy"}}"#).expect("old Podman");
    assert_eq!(old.health, Health::Healthy);
}

#[test]
fn the_environment_is_not_read() {
    let mut json = String::from_utf8(sample("podman-5.4.2", "inspect_running.json")).expect("text");
    let before = parse_inspect(json.as_bytes()).expect("an inspect");
    // Were it read, a list of strings that is none would be an error.
    assert!(json.contains(r#""Env":["#));
    json = json.replace(r#""Env":["#, r#""Env":[{"secret":1},"#);
    assert_eq!(parse_inspect(json.as_bytes()), Ok(before));
}

#[test]
fn damage_is_an_error_or_another_value_but_never_a_panic() {
    let texts = [
        by_name("20.10", "running"),
        sample("28.5", "inspect_unhealthy.json"),
        shaped(0, "Exited (1) 2 hours ago (healthy)").into_bytes(),
    ];
    for seed in 0..2000 {
        let mut random = Seeded::new(seed);
        let mut bytes = texts[random.below(3) as usize].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes[at] = b"{}[]\",:0\\n"[random.below(10) as usize],
            }
        }
        if let Ok(element) = parse_list_element(&bytes) {
            element.fingerprint();
            encoded(&to_container(&element, &element.details_from_status(), false));
        }
        let _ = parse_inspect(&bytes);
    }
}
