//! More events than anybody can keep: what was lost is counted, and the state is right all the same.

use muster_tests::truth::{muster_events, wait_for_truth};
use muster_tests::{Agent, Engine, Server, text};
use serde_json::Value;

/// Sends a container many signals that it ignores: an event each.
fn signals(engine: &Engine, name: &str, count: usize) {
    for part in 0..count.div_ceil(50) {
        let mut arguments = vec!["kill", "--signal", "CONT"];
        arguments.extend(std::iter::repeat_n(name, 50.min(count - part * 50)));
        engine.docker(&arguments);
    }
}

fn gaps(server: &Server) -> Vec<Value> {
    server.events("alpha").into_iter().filter(|event| event["action"] == "gap").collect()
}

fn kills(server: &Server) -> usize {
    muster_events(server, "alpha").iter().filter(|event| event.action == "kill").count()
}

#[test]
fn a_burst_that_fits_the_queue_arrives_whole() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    signals(&engine, "web", 400);
    engine.docker(&["pause", "web"]);
    server.wait_for_state("alpha", "web", "paused");
    server.wait_for_actions("alpha", "web", &["pause"]);
    let counted: u64 =
        gaps(&server).iter().filter_map(|gap| text(&gap["attributes"], "count").parse::<u64>().ok()).sum();
    let stored = kills(&server);
    assert!(stored + usize::try_from(counted).expect("a number") >= 400, "{stored} stored, {counted} in gaps");
    println!("{stored} stored, {counted} in gaps");
    assert!(stored >= 256, "only {stored} of 400 were stored");
}

#[test]
fn more_than_the_agent_can_keep_while_the_server_is_away() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    server.kill();
    for _ in 0..16 {
        signals(&engine, "web", 50);
    }
    engine.docker(&["pause", "web"]);
    server.start_again();
    server.wait_for_actions("alpha", &id, &["pause"]);
    wait_for_truth(&server, "alpha", &engine);
    let gaps = gaps(&server);
    assert!(!gaps.is_empty(), "800 events, at most 512 kept, and no gap");
    let counted: usize = gaps.iter().filter_map(|gap| text(&gap["attributes"], "count").parse::<usize>().ok()).sum();
    let unknown = gaps.iter().any(|gap| gap["attributes"]["count"].is_null());
    let stored = kills(&server);
    assert!(unknown || stored + counted >= 800, "{stored} stored, {counted} in gaps: {gaps:?}");
    println!("{stored} stored, {gaps:?}");
    assert!(stored < 800, "the agent keeps more than it says it does");
    let dropped = server.host("alpha")["events_dropped"].as_u64().expect("a number");
    assert!(dropped > 0, "the host says how many its agent dropped: {}", server.host("alpha"));
}

#[test]
fn more_than_the_engine_remembers_while_the_agent_is_down() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    let gone = engine.run("gone");
    server.wait_for_actions("alpha", &id, &["start"]);
    server.wait_for_state("alpha", "gone", "running");
    agent.kill();
    engine.docker(&["rm", "-f", "gone"]);
    signals(&engine, "web", 300);
    engine.docker(&["pause", "web"]);
    agent.start();
    server.wait_for_actions("alpha", &id, &["pause"]);
    let end = server.wait_for_event("alpha", "an end of what was removed", |event| {
        event["action"] == "destroy" && event["container_id"] == gone.as_str()
    });
    assert_eq!(end["derived"], true, "{end}");
    let gap = server.wait_for_event("alpha", "the gap", |event| event["action"] == "gap");
    assert_eq!(text(&gap["attributes"], "cause"), "agent_down", "{gap}");
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
}
