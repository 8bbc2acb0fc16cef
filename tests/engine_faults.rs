//! An engine that hangs, dies or restarts is a state of its own: the host stays active.

use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server, text};
use serde_json::Value;
use std::time::Duration;

/// The promise is 15 s; the rest is for a machine that is busy with other tests.
const NOTICED: Duration = Duration::from_secs(30);

fn fleet() -> (Engine, Server, Agent) {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join_every("5s", &server, &engine);
    engine.run_with("web", &["--restart", "always"], &["live"]);
    server.wait_for_state("alpha", "web", "running");
    (engine, server, agent)
}

fn wait_for_trouble(server: &Server) -> Value {
    let host = server.wait_for_host_within(NOTICED, "alpha", "has an engine that does not answer", |host| {
        matches!(text(&host["engine"], "state"), "not_answering" | "absent")
    });
    assert_eq!(host["state"], "active", "{host}");
    assert!(host["engine"]["since"].is_string(), "{host}");
    let web = server.wait_for("alpha", "web", "is stale", |one| one["stale"] == true);
    assert!(web["as_of"].is_string(), "{web}");
    assert_eq!(web["state"], "running", "the last known state stays: {web}");
    host
}

fn wait_for_recovery(server: &Server, engine: &Engine) {
    server.wait_for_host("alpha", "has an engine that is ok again", |host| host["engine"]["state"] == "ok");
    wait_for_truth(server, "alpha", engine);
    server.settle("alpha", engine);
    let actions = muster_tests::texts(&server.events("alpha"), "action");
    let lost = actions.iter().any(|action| action.contains("reconnecting") || action.contains("disconnected"));
    assert!(!lost, "the host was never lost: {actions:?}");
}

#[test]
fn an_engine_that_hangs() {
    let (engine, server, _agent) = fleet();
    engine.freeze();
    let host = wait_for_trouble(&server);
    assert_eq!(host["engine"]["state"], "not_answering", "{host}");
    // It goes on being heard while the engine hangs.
    let heard = text(&host, "last_seen").to_owned();
    server.wait_for_host("alpha", "is heard again", |host| {
        host["state"] == "active" && host["last_seen"] != heard.as_str()
    });
    engine.thaw();
    wait_for_recovery(&server, &engine);
}

#[test]
fn an_engine_that_is_killed() {
    let (mut engine, server, _agent) = fleet();
    engine.stop_hard();
    wait_for_trouble(&server);
    engine.start_again();
    wait_for_recovery(&server, &engine);
    server.wait_for_state("alpha", "web", "running");
}

#[test]
fn an_engine_that_is_restarted() {
    let (mut engine, server, _agent) = fleet();
    let id = engine.run("lamp");
    server.wait_for_actions("alpha", &id, &["start"]);
    engine.restart();
    wait_for_recovery(&server, &engine);
    server.wait_for_state("alpha", "lamp", "exited");
    server.wait_for_actions("alpha", &id, &["start", "die"]);
}

#[test]
fn an_engine_that_hangs_while_it_is_joined() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    engine.run("web");
    engine.freeze();
    let mut agent = Agent::new(&engine.docker_host());
    agent.interval = "5s".to_owned();
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    server.wait_for_host_within(NOTICED, "alpha", "is active though its engine hangs", |host| {
        host["state"] == "active" && host["engine"]["state"] == "not_answering"
    });
    engine.thaw();
    wait_for_recovery(&server, &engine);
}
