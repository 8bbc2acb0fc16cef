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

#[test]
fn all_threads_of_the_agent_share_one_heap() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    // Connections, successful and not: what the thread that sends allocates most for.
    for _ in 0..2 {
        agent.wait_until_heard(&server, "alpha");
        server.kill();
        eventually("the agent notices", || {
            let log = agent.process().log();
            if log.contains("events are kept meanwhile") { Ok(()) } else { Err(log) }
        });
        server.start_again();
    }
    agent.wait_until_heard(&server, "alpha");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", agent.process().id())).expect("its memory");
    // A heap of glibc's other threads is a mapping whose end, up to 64 MiB, is set aside.
    let set_aside = |line: &&str| {
        let (range, rest) = line.split_once(' ').unwrap_or_default();
        let (from, to) = range.split_once('-').unwrap_or_default();
        let number = |hex| u64::from_str_radix(hex, 16).unwrap_or_default();
        rest.starts_with("---p") && number(to) - number(from) > 32 * 1024 * 1024
    };
    let heaps: Vec<&str> = maps.lines().filter(set_aside).collect();
    assert!(heaps.is_empty(), "{heaps:?}");
}
