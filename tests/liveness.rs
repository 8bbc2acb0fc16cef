//! A host that is not heard is missed, then lost, then back: each once in the history.

use muster_tests::{Agent, Engine, Server, texts};
use std::time::Duration;

fn changes(server: &Server) -> Vec<String> {
    texts(&server.events("alpha"), "action").into_iter().filter(|action| action.starts_with("host_")).collect()
}

fn count(server: &Server, action: &str) -> usize {
    changes(server).iter().filter(|one| *one == action).count()
}

#[test]
fn a_host_that_hangs_is_missed_and_comes_back() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    // Less often than others do: on a busy machine one may be silent for three seconds without having been asked to.
    let agent = Agent::join_every("3s", &server, &engine);
    engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    for round in 1..=2 {
        agent.freeze();
        server.wait_for_host("alpha", "is missed", |host| host["state"] == "reconnecting");
        let web = server.wait_for("alpha", "web", "is stale", |one| one["stale"] == true);
        assert_eq!(web["state"], "running", "{web}");
        agent.thaw();
        server.wait_for_host("alpha", "is back", |host| host["state"] == "active");
        server.wait_for("alpha", "web", "is fresh", |one| one["stale"] == false);
        assert_eq!(count(&server, "host_reconnecting"), round, "{:?}", changes(&server));
    }
    assert_eq!(count(&server, "host_disconnected"), 0, "{:?}", changes(&server));
}

#[test]
#[ignore = "takes more than a minute by its nature: runs with `./test.sh --all`"]
fn a_host_that_stays_away_is_lost_after_a_minute() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    agent.freeze();
    server.wait_for_host("alpha", "is missed", |host| host["state"] == "reconnecting");
    // The time for which the server itself is away does not count.
    server.crash();
    let lost = |host: &serde_json::Value| host["state"] == "disconnected";
    server.wait_for_host_within(Duration::from_secs(150), "alpha", "is lost", lost);
    agent.thaw();
    server.wait_for_host("alpha", "is back", |host| host["state"] == "active");
    server.settle("alpha", &engine);
    let said: Vec<String> = changes(&server);
    assert_eq!(count(&server, "host_disconnected"), 1, "{said:?}");
    assert!(muster_tests::in_order(&said, &["host_reconnecting", "host_disconnected"]), "{said:?}");
}

#[test]
fn an_own_absence_of_the_server_loses_nobody() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    for _ in 0..3 {
        server.crash();
        server.settle("alpha", &engine);
    }
    let lost = changes(&server).into_iter().filter(|one| one.contains("disconnected")).count();
    assert_eq!(lost, 0, "{:?}", changes(&server));
}
