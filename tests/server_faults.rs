//! A server that is killed comes back with its hosts, and nothing that happened meanwhile is lost or repeated.

use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::wait::when;
use muster_tests::{Agent, Engine, Server, eventually, text};

#[test]
fn hosts_come_back_without_joining_again() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    let before = server.host("alpha");

    // Nobody reports while the server starts: what it shows is what it knew.
    agent.kill();
    server.crash();
    let after = server.host("alpha");
    assert_eq!(after["id"], before["id"]);
    let web = server.find_container("alpha", "web").expect("known from before");
    assert_eq!(web["stale"], true, "{web}");
    assert_eq!(web["state"], "running", "{web}");
    assert!(web["as_of"].is_string(), "{web}");

    agent.start();
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(server.hosts().len(), 1);
}

#[test]
fn what_happens_meanwhile_arrives_once() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    for round in 0..3 {
        let name = format!("web{round}");
        let id = engine.run(&name);
        server.wait_for_actions("alpha", &id, &["start"]);
        server.kill();
        engine.docker(&["stop", &name]);
        engine.docker(&["start", &name]);
        engine.docker(&["pause", &name]);
        server.start_again();
        server.wait_for_actions("alpha", &id, &["start", "die", "start", "pause"]);
    }
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    let ids: Vec<u64> = server.events("alpha").iter().filter_map(|event| event["id"].as_u64()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "event ids grow: {ids:?}");
}

#[test]
fn a_burst_survives_kills_of_the_server() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    for round in 0..3 {
        for number in 0..8 {
            engine.docker(&["run", "-d", "--rm", "--name", &format!("spark{round}-{number}"), "probe", "true"]);
        }
        server.crash();
    }
    eventually("the sparks are gone", || when(engine.container_ids().is_empty(), engine.container_ids()));
    server.settle("alpha", &engine);
    wait_for_truth(&server, "alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
}

#[test]
fn an_ordinary_stop_is_quick_and_keeps_everything() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    assert_eq!(server.stop(), 0);
    server.start_again();
    assert_eq!(text(&server.host("alpha"), "name"), "alpha");
    assert_eq!(server.wait_for_actions("alpha", &id, &["create", "start"]).len(), 2);
}
