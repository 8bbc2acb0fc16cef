use super::*;
use crate::agents::harness::{Bench, by};
use crate::fleet::vitals::tests::{Saying, says};
use crate::fleet::{HostChange, Rhythm};
use futures_lite::future::block_on;
use std::collections::{BTreeMap, BTreeSet};

/// A sample: its labels, and its value.
type Sample = (BTreeMap<String, String>, f64);

/// Reads Prometheus' text format, and nothing but what it allows: each family once, help and type in front of its
/// samples, names and labels of the right letters, no sample twice.
fn parse(text: &str) -> BTreeMap<String, Vec<Sample>> {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    let (mut helped, mut family) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help");
            assert!(!help.is_empty() && helped != name && !families.contains_key(name), "{name}");
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
            assert!(["counter", "gauge"].contains(&kind));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            assert!(families.insert(name.to_owned(), Vec::new()).is_none(), "{name} twice");
            family = name.to_owned();
        } else {
            let (name, labels, value) = sample(line);
            assert_eq!(name, family, "a sample of another family");
            let samples = families.get_mut(&family).expect("its head came before");
            assert!(samples.iter().all(|(known, _)| *known != labels), "twice: {line}");
            samples.push((labels, value));
        }
    }
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("the end of a name");
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"").expect("a label");
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !label.is_empty(), "{label}");
            let (value, behind) = quoted(behind);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice");
            match behind.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = behind.strip_prefix('}').expect("the end of the labels");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a space").parse().expect("a number");
    (name.to_owned(), labels, value)
}

/// What stands up to the closing quote, and what is behind it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match rest.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some(c @ ('\\' | '"')) => value.push(c),
                other => panic!("no escape: {other:?}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}");
}

fn read(bench: &Bench, hosts: &[&str], containers: bool) -> String {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut text = Vec::new();
    block_on(async {
        let pieces = bench.fleet.metrics(MetricSelect { hosts, containers }).await.expect("metrics");
        while let Ok(piece) = pieces.recv().await {
            text.extend(piece);
        }
    });
    String::from_utf8(text).expect("text")
}

fn value(families: &BTreeMap<String, Vec<Sample>>, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let samples = families.get(name).unwrap_or_else(|| panic!("no family {name}"));
    let has = |(known, _): &&Sample| labels.iter().all(|(key, value)| known.get(*key).is_some_and(|it| it == value));
    let mut found = samples.iter().filter(has);
    let first = found.next().map(|(_, value)| *value);
    assert!(found.next().is_none(), "{name} {labels:?} is ambiguous");
    first
}

#[test]
fn the_fleet_is_told_in_the_format_of_prometheus() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2]);
    bench.host("other", &[1]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    let families = parse(&read(&bench, &[], true));
    let of = |name: &str, labels: &[(&str, &str)]| value(&families, name, labels);
    let pi = [("host", "pi")];
    assert_eq!(of("muster_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(of("muster_hosts", &[("state", "active")]), Some(2.0));
    assert_eq!(of("muster_host_up", &pi), Some(1.0));
    assert_eq!(of("muster_host_cpu_seconds_total", &pi), Some(100.0));
    assert_eq!(of("muster_host_memory_size_bytes", &pi), Some(f64::from(4 << 20) * 1024.0));
    assert_eq!(of("muster_host_temperature_celsius", &pi), Some(-5.4));
    assert_eq!(of("muster_host_filesystem_free_bytes", &[("host", "pi"), ("mountpoint", "/")]), Some(262_144_000.0));
    assert_eq!(of("muster_host_power_problem", &[("host", "pi"), ("problem", "was_under_voltage")]), Some(1.0));
    assert_eq!(of("muster_host_cpu_seconds_total", &[("host", "other")]), None, "it said nothing");
    let one = [("host", "pi"), ("name", "c1"), ("id", "010101010101")];
    assert_eq!(of("muster_container_cpu_seconds_total", &one), Some(60.0));
    assert_eq!(of("muster_container_memory_usage_bytes", &one), Some(f64::from(96 << 20)));
    assert_eq!(of("muster_container_memory_limit_bytes", &one), None, "it has none");
    assert_eq!(of("muster_container_running", &[("host", "pi"), ("name", "c2")]), Some(1.0));
    assert_eq!(of("muster_container_memory_usage_bytes", &[("host", "pi"), ("name", "c2")]), None);
    let events = of("muster_events_stored_total", &[]).expect("a number");
    assert_eq!(events as usize, bench.history().len());
}

#[test]
fn who_is_away_is_told_as_such_and_without_what_was_last_known() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    says(&bench, &mut agent, &Saying::whole(10_000));
    bench.fleet.skip(std::time::Duration::from_secs(3600));
    block_on(bench.fleet.pass_time());
    let families = parse(&read(&bench, &[], true));
    assert_eq!(value(&families, "muster_host_up", &[("host", "pi")]), Some(0.0));
    assert_eq!(value(&families, "muster_hosts", &[("state", "active")]), Some(0.0));
    for name in ["muster_host_cpu_seconds_total", "muster_container_cpu_seconds_total", "muster_host_load1"] {
        assert_eq!(value(&families, name, &[]), None, "{name}");
    }
    block_on(bench.fleet.remove_host(&by(), "pi")).expect("removed");
    let families = parse(&read(&bench, &[], true));
    assert_eq!(value(&families, "muster_host_up", &[]), None);
}

#[test]
fn less_can_be_asked_for() {
    let bench = Bench::new();
    for name in ["a", "b"] {
        bench.host(name, &[1]);
    }
    let families = parse(&read(&bench, &["b"], false));
    let hosts: BTreeSet<&String> = families["muster_host_up"].iter().map(|(labels, _)| &labels["host"]).collect();
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), ["b"]);
    assert!(families.keys().all(|name| !name.starts_with("muster_container_")));
    let nobody = MetricSelect { hosts: vec!["nobody".into()], containers: true };
    assert!(matches!(block_on(bench.fleet.metrics(nobody)), Err(Refusal::NotFound(_))));
}

#[test]
fn it_comes_in_pieces_and_who_leaves_in_the_middle_gives_the_place_back() {
    let bench = Bench::new();
    let numbers: Vec<u8> = (1..=200).collect();
    for name in ["a", "b", "c"] {
        bench.host(name, &numbers);
    }
    block_on(async {
        for _ in 0..3 * READERS {
            let wanted = MetricSelect { hosts: Vec::new(), containers: true };
            let pieces = bench.fleet.metrics(wanted).await.expect("metrics");
            let first = pieces.recv().await.expect("a piece");
            assert!((PIECE..2 * PIECE).contains(&first.len()), "{} bytes", first.len());
        }
    });
    let families = parse(&read(&bench, &[], true));
    assert_eq!(families["muster_container_running"].len(), 600);
}

#[test]
fn names_are_those_of_now() {
    let bench = Bench::new();
    bench.host("old", &[]);
    let change = HostChange { name: Some("new".into()), rhythm: Rhythm::default() };
    block_on(bench.fleet.change_host(&by(), "old", change)).expect("renamed");
    let families = parse(&read(&bench, &[], true));
    assert_eq!(value(&families, "muster_host_up", &[("host", "new")]), Some(1.0));
}

#[test]
fn the_managed_network_is_told_while_there_is_one() {
    let bench = Bench::new();
    assert!(!parse(&read(&bench, &[], false)).contains_key("muster_network_hosts"));
    block_on(bench.fleet.enable_network(&by(), Default::default())).expect("enabled");
    let families = parse(&read(&bench, &[], false));
    assert_eq!(value(&families, "muster_network_hosts", &[("state", "joined")]), Some(0.0));
    assert_eq!(value(&families, "muster_network_blocks", &[("state", "free")]), Some(1024.0));
    assert_eq!(value(&families, "muster_network_paths", &[("way", "relayed")]), Some(0.0));
    assert!(!families.contains_key("muster_network_relay_bytes_total"), "no relay listens here");
}
