//! A server that is killed in the midst of a burst, again and again: what it has acknowledged stays, what it has not
//! comes again, and nothing is stored twice.

use muster_tests::truth::{Log, Said, assert_same_events, muster_events, wait_for_truth};
use muster_tests::{Agent, Engine, Server, eventually, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Containers that live for a moment, one after the other.
const SPARKS: usize = 24;

/// How often the server is killed at least.
const KILLS: usize = 5;

/// Everything that two operators do at the same time.
fn burst(engine: &Engine) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..SPARKS {
                let name = format!("spark{number}");
                engine.try_docker(&["run", "--rm", "--name", &name, "probe", "end", "0", "7"]).exits(7);
            }
        });
        scope.spawn(|| {
            for round in 0..SPARKS {
                engine.docker(&["pause", "web"]);
                engine.docker(&["unpause", "web"]);
                engine.docker(&["kill", "--signal", "CONT", "web", "web", "web", "web"]);
                engine.docker(&["rename", "lamp", &format!("lamp{round}")]);
                engine.docker(&["rename", &format!("lamp{round}"), "lamp"]);
            }
        });
    });
}

/// What the history shows of an event: by that it is the same before and after.
fn line(event: &Value) -> String {
    event.to_string()
}

#[test]
fn what_was_acknowledged_stays_and_nothing_comes_twice() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut log = Log::of(&engine);
    let _agent = Agent::join(&server, &engine);
    for name in ["web", "lamp"] {
        engine.run(name);
        server.wait_for_state("alpha", name, "running");
    }
    let busy = AtomicBool::new(true);
    let mut kills = 0;
    let mut shown = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            burst(&engine);
            busy.store(false, Ordering::Release);
        });
        while busy.load(Ordering::Acquire) || kills < KILLS {
            // As soon as something new is there, while more is on its way.
            let history = eventually("more events arrive", || {
                let history = server.events("alpha");
                let more = history.len() > shown.len() || !busy.load(Ordering::Acquire);
                if more { Ok(history) } else { Err(format!("{} events", history.len())) }
            });
            server.kill();
            kills += 1;
            server.start_again();
            // What was shown was committed: a kill takes none of it away and moves none of it.
            shown = server.events("alpha");
            for (before, after) in history.iter().zip(&shown) {
                assert_eq!(line(before), line(after), "after kill {kills}");
            }
            assert!(
                shown.len() >= history.len(),
                "{} events before kill {kills}, {} after",
                history.len(),
                shown.len()
            );
        }
    });
    assert!(kills >= KILLS, "only {kills} kills");
    engine.run("last");
    server.wait_for_actions("alpha", "last", &["create", "start"]);
    wait_for_truth(&server, "alpha", &engine);

    let is_last = |event: &Said| event.action == "start" && event.attributes.get("name").is_some_and(|n| n == "last");
    let theirs = log.until("the last container starts", is_last);
    assert!(theirs.len() > 250, "only {} events: the test shows nothing", theirs.len());
    assert_same_events(&muster_events(&server, "alpha"), theirs, |event| event.time_nano);

    let history = server.events("alpha");
    let ids: BTreeSet<u64> = history.iter().map(|event| event["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), history.len(), "an id has two events");
    assert!(history.windows(2).all(|pair| pair[0]["id"].as_u64() < pair[1]["id"].as_u64()), "ids do not grow");
    for event in &history {
        assert_ne!(text(event, "action"), "gap", "nothing was lost: {event}");
        let is_guess = text(event, "type") == "container" && event["derived"] == true;
        assert!(!is_guess, "nothing had to be guessed: {event}");
    }
    assert_eq!(server.host("alpha")["events_dropped"], 0);
    println!("{kills} kills, {} events of the engine", theirs.len());
}
