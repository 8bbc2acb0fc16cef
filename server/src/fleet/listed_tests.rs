//! Lists and counts of a fleet, through the API.

use super::feed::FeedSelect;
use crate::agents::harness::{Bench, by};
use crate::api::{self, ApiRequest, Body};
use futures_lite::future::block_on;
use muster_protocol::container::State;
use serde_json::{Value, json};

fn ask(bench: &Bench, path: &str) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = api::query::parse(query).expect("a query");
    let by = by();
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    let request =
        ApiRequest { method: "GET", path, query: &query, body: &[], by: Some(&by), last_event_id: None, peer };
    let answer = block_on(api::answer(&bench.fleet, &request));
    let Body::Bytes(bytes) = answer.body else { panic!("no body") };
    (answer.status, serde_json::from_slice(&bytes).expect("JSON"))
}

#[track_caller]
fn get(bench: &Bench, path: &str) -> Value {
    let (status, answer) = ask(bench, path);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[track_caller]
fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("items").iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

#[test]
fn the_fleet_is_counted_by_state() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2, 3]);
    bench.host("attic", &[1]);
    agent.containers[0].1 = State::Exited;
    agent.containers[1].1 = State::Created;
    agent.catch_up(&bench);
    bench.join("never-heard");
    let fleet = get(&bench, "/api/v1/fleet");
    assert_eq!((&fleet["hosts"]["total"], &fleet["hosts"]["active"]), (&json!(3), &json!(2)), "{fleet}");
    let containers = &fleet["containers"];
    assert_eq!((&containers["total"], &containers["running"]), (&json!(4), &json!(2)), "{fleet}");
    assert_eq!((&containers["exited"], &containers["created"]), (&json!(1), &json!(1)), "{fleet}");
    assert_eq!(fleet["engines"]["ok"], 2);
    assert!(fleet["newest_event"].as_u64().expect("a number") > 0);
    let restarted = get(&bench.restarted(), "/api/v1/fleet");
    assert_eq!(restarted["containers"], *containers);
    assert_eq!(restarted["newest_event"], fleet["newest_event"]);
}

/// As `docker info` does, one that waits for its restart policy is not counted among those that run.
#[test]
fn a_host_and_the_fleet_count_what_runs_alike() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1, 2, 3, 4, 5]);
    for (place, state) in [State::Restarting, State::Paused, State::Exited, State::Created].into_iter().enumerate() {
        agent.containers[place].1 = state;
    }
    agent.catch_up(&bench);
    let of_host = get(&bench, "/api/v1/hosts/pi")["containers"].clone();
    assert_eq!(of_host, json!({"running": 3, "paused": 1, "restarting": 1, "stopped": 1, "total": 4, "created": 1}));
    let of_fleet = get(&bench, "/api/v1/fleet")["containers"].clone();
    assert_eq!((&of_fleet["running"], &of_fleet["total"], &of_fleet["created"]), (&json!(1), &json!(5), &json!(1)));
}

#[test]
fn hosts_can_be_jumped_about_in() {
    let bench = Bench::new();
    for name in ["c", "a", "e", "b", "d"] {
        bench.join(name);
    }
    bench.host("z-works", &[1, 2]);
    let list = get(&bench, "/api/v1/hosts?offset=2&limit=2");
    assert_eq!((names(&list), &list["total"]), (vec!["c", "d"], &json!(6)));
    let next = get(&bench, &format!("/api/v1/hosts?limit=2&cursor={}", list["next"].as_str().expect("more")));
    assert_eq!((names(&next), next.get("total")), (vec!["e", "z-works"], None));
    assert_eq!(next["next"], Value::Null);
    assert_eq!(names(&get(&bench, "/api/v1/hosts?sort=-name&limit=2")), ["z-works", "e"]);
    assert_eq!(names(&get(&bench, "/api/v1/hosts?sort=-containers&limit=1")), ["z-works"]);
    let attention = get(&bench, "/api/v1/hosts?sort=attention");
    assert_eq!(names(&attention), ["a", "b", "c", "d", "e", "z-works"], "those that were never heard come first");
    let active = get(&bench, "/api/v1/hosts?state=active");
    assert_eq!((names(&active), &active["total"]), (vec!["z-works"], &json!(1)));
    assert_eq!(names(&get(&bench, "/api/v1/hosts?name=works&engine=ok")), ["z-works"]);
    let none = get(&bench, "/api/v1/hosts?label=room&offset=7");
    assert_eq!((names(&none), &none["total"]), (vec![], &json!(0)));
    for wrong in ["state=up", "sort=size", "offset=-1", "engine=x", "label=", "sort=-name&cursor=00"] {
        assert_eq!(ask(&bench, &format!("/api/v1/hosts?{wrong}")).0, 400, "{wrong}");
    }
    let cursor = list["next"].as_str().expect("more");
    for wrong in ["offset=1", "sort=attention"] {
        assert_eq!(ask(&bench, &format!("/api/v1/hosts?{wrong}&cursor={cursor}")).0, 400, "{wrong}");
    }
}

#[test]
fn containers_can_be_jumped_about_in() {
    let bench = Bench::new();
    for host in ["b", "a"] {
        let mut agent = bench.host(host, &[1, 2, 3, 4]);
        agent.containers[3].1 = State::Exited;
        agent.catch_up(&bench);
    }
    let all: Vec<(String, String)> = get(&bench, "/api/v1/containers")["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|it| (it["host"].to_string(), it["name"].to_string()))
        .collect();
    assert_eq!(all.len(), 8);
    for offset in 0..10_usize {
        let list = get(&bench, &format!("/api/v1/containers?offset={offset}&limit=3"));
        let page: Vec<_> = list["items"].as_array().expect("items").iter().map(|it| it["name"].to_string()).collect();
        let expected: Vec<_> = all.iter().skip(offset).take(3).map(|(_, name)| name.clone()).collect();
        assert_eq!((page, &list["total"]), (expected, &json!(8)), "{offset}");
        assert_eq!(list["next"].is_null(), offset + 3 >= 8, "{offset}");
    }
    let exited = get(&bench, "/api/v1/containers?state=exited");
    assert_eq!((names(&exited).len(), &exited["total"]), (2, &json!(2)));
    for (query, count) in
        [("health=none", 8), ("health=unhealthy", 0), ("project=shop", 0), ("image=no-such", 0), ("host=a", 4)]
    {
        assert_eq!(get(&bench, &format!("/api/v1/containers?{query}"))["total"], count, "{query}");
    }
    assert_eq!(ask(&bench, "/api/v1/containers?health=fine").0, 400);
}

#[test]
fn events_are_read_from_the_newest_on() {
    let bench = Bench::new();
    let mut agent = bench.host("pi", &[1]);
    for n in 0..30 {
        agent.event(&format!("exec_create: {n}"), 1);
        agent.catch_up(&bench);
    }
    let ids = |list: &Value| -> Vec<u64> {
        list["items"].as_array().expect("items").iter().map(|it| it["id"].as_u64().expect("an id")).collect()
    };
    let newest = get(&bench, "/api/v1/fleet")["newest_event"].as_u64().expect("an id");
    let all: Vec<u64> = (1..=newest).rev().collect();
    let (mut found, mut query) = (Vec::new(), "order=newest&limit=7".to_owned());
    loop {
        let page = get(&bench, &format!("/api/v1/events?{query}"));
        found.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("order=newest&limit=7&cursor={next}");
    }
    assert_eq!(found, all);
    let before = get(&bench, &format!("/api/v1/events?order=newest&limit=2&before={}", all[5]));
    assert_eq!(ids(&before), all[6..8]);
    let rare = get(&bench, "/api/v1/events?order=newest&action=nothing");
    assert!(ids(&rare).is_empty());
    for wrong in ["order=up", "before=5", "order=newest&after=5", "order=newest&before=x"] {
        assert_eq!(ask(&bench, &format!("/api/v1/events?{wrong}")).0, 400, "{wrong}");
    }
    let cursor = get(&bench, "/api/v1/events?order=newest&limit=7")["next"].as_str().expect("more").to_owned();
    assert_eq!(ask(&bench, &format!("/api/v1/events?cursor={cursor}")).0, 400, "it belongs to the other order");
}

#[test]
fn small_plots_have_as_many_numbers_as_were_asked_for() {
    let bench = Bench::new();
    bench.host("pi", &[1]);
    let id = bench.fleet.host("pi").expect("there").id;
    let list = get(&bench, &format!("/api/v1/vitals?host=pi&host={id}&host=nobody&last=1h&points=60"));
    let items = list["items"].as_array().expect("items");
    assert_eq!((items.len(), &items[0]["host_id"], &items[0]["step_s"]), (1, &json!(id), &json!(60)));
    assert_eq!(
        (items[0]["cpu"].as_array().map(Vec::len), items[0]["memory"].as_array().map(Vec::len)),
        (Some(60), Some(60))
    );
    let many = "&host=pi".repeat(99);
    assert_eq!(
        get(&bench, &format!("/api/v1/vitals?host=pi{many}&last=2d&points=10"))["items"][0]["step_s"],
        17_280 / 60 * 60
    );
    for wrong in ["", "host=pi&points=0", "host=pi&last=1s", "host=pi&last=soon", &format!("host=pi{many}&host=pi")] {
        assert_eq!(ask(&bench, &format!("/api/v1/vitals?{wrong}")).0, 400, "{wrong}");
    }
}

#[test]
fn a_stream_brings_what_is_wanted_and_tells_where_it_is() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.host("one", &[1]), bench.host("other", &[1]));
    let wanted = |kinds: &[&str], host: &str| FeedSelect {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        hosts: vec![bench.fleet.host(host).expect("there").id],
    };
    let mut watcher = bench.fleet.feed().subscribe_to("t", None, wanted(&["event"], "one")).expect("a place");
    let reset = String::from_utf8(block_on(watcher.next()).expect("a reset")).expect("text");
    assert!(reset.contains("event: reset"));
    other.event("die", 1);
    other.catch_up(&bench);
    one.event("kill", 1);
    one.catch_up(&bench);
    let text = String::from_utf8(block_on(watcher.next()).expect("events")).expect("text");
    assert!(text.contains("\"kill\"") && !text.contains("\"die\"") && !text.contains("event: container"), "{text}");
    other.event("start", 1);
    other.catch_up(&bench);
    assert_eq!(futures_lite::future::block_on(futures_lite::future::poll_once(watcher.next())), None);
    let place = watcher.place().expect("others have happened");
    assert!(place.starts_with("id: ") && watcher.place().is_none(), "{place}");
    let id = place.trim_start_matches("id: ").trim().to_owned();
    let mut again = bench.fleet.feed().subscribe_to("t", Some(&id), FeedSelect::default()).expect("a place");
    one.event("start", 1);
    one.catch_up(&bench);
    let text = String::from_utf8(block_on(again.next()).expect("events")).expect("text");
    assert!(!text.contains("reset") && text.contains("\"start\""), "{text}");
}
