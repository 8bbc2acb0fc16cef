//! An agent that dies in the middle of anything loses nothing and repeats nothing.

use muster_tests::truth::{assert_same_story, docker_events, wait_for_truth};
use muster_tests::{Agent, Engine, Server, eventually};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn killed_while_events_flow() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // Some 200 events: fewer than the engine keeps for replay.
        scope.spawn(|| {
            for number in 0..36 {
                engine.docker(&["run", "--rm", "--name", &format!("spark{number}"), "probe", "true"]);
            }
            busy.store(false, Ordering::Release);
        });
        let mut stored = 0;
        while busy.load(Ordering::Acquire) {
            // Each time that something new has arrived, more is on its way.
            eventually("more events arrive", || {
                let count = server.events("alpha").len();
                let more = count > stored || !busy.load(Ordering::Acquire);
                stored = count;
                if more { Ok(()) } else { Err(format!("{count} events")) }
            });
            agent.crash();
        }
    });
    agent.wait_until_heard(&server, "alpha");
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    let count = docker_events(&engine).len();
    assert!(count > 100, "only {count} events: the test shows nothing");
}

#[test]
fn an_agent_that_stops_when_asked_ends_well_and_comes_back() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    assert_eq!(agent.stop(), 0, "an operator's stop is no failure");
    engine.docker(&["stop", "web"]);
    agent.start();
    server.wait_for_state("alpha", "web", "exited");
    server.wait_for_actions("alpha", &id, &["start", "die"]);
    assert_eq!(server.hosts().len(), 1, "it is the same host");
}
