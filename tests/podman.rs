//! A Podman socket is an engine like Docker's, as far as Podman tells things.

use muster_tests::debian::Packages;
use muster_tests::engine::{Kind, Options};
use muster_tests::process::Ran;
use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server, podman, text};
use serde_json::Value;
use std::sync::Arc;

fn fleet() -> (Engine, Server, Agent) {
    fleet_of(podman::packages())
}

fn fleet_of(packages: Arc<Packages>) -> (Engine, Server, Agent) {
    let options = Options { programs: Some(&packages), kind: Kind::Podman, ..Options::default() };
    let (engine, server) = (Engine::start_with("alpha", options), Server::start());
    let agent = Agent::join(&server, &engine);
    (engine, server, agent)
}

#[test]
#[ignore = "downloads packages: run by ./test.sh --all"]
fn a_life_is_told_in_dockers_words() {
    tell_a_life(fleet(), "4.3");
}

#[test]
#[ignore = "downloads packages: run by ./test.sh --all"]
fn a_life_is_told_by_a_newer_one_as_well() {
    tell_a_life(fleet_of(podman::packages_of_13()), "5.4");
}

fn tell_a_life((engine, server, mut agent): (Engine, Server, Agent), version: &str) {
    let host = server.host("alpha");
    assert!(text(&host["engine"], "version").starts_with(version), "{host}");
    let web = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["pause", "web"]);
    server.wait_for_state("alpha", "web", "paused");
    engine.docker(&["unpause", "web"]);
    engine.docker(&["rename", "web", "site"]);
    server.wait_for_state("alpha", "site", "running");
    engine.docker(&["restart", "site"]);
    server.wait_for_actions("alpha", &web, &["create", "start", "pause", "unpause", "rename", "restart", "start"]);
    server.wait_for_state("alpha", "site", "running");
    engine.docker(&["stop", "site"]);
    server.wait_for_state("alpha", "site", "exited");
    engine.docker(&["rm", "site"]);
    let actions = server.wait_for_actions("alpha", &web, &["restart", "start", "destroy"]);
    assert_eq!(actions, said(&engine, &web), "Podman's story, in Docker's words");

    let job = engine.run_with("job", &[], &["end", "0", "7"]);
    let ended = server.wait_for_state("alpha", "job", "exited");
    assert_eq!((&ended["exit_code"], &ended["oom_killed"]), (&7.into(), &false.into()), "{ended}");
    let died = server.wait_for_event("alpha", "the end of the job", |event| {
        event["action"] == "die" && event["container_id"] == job.as_str()
    });
    assert_eq!(died["attributes"]["containerExitCode"], "7", "{died}");

    // It has no event for this; what it knows is in the state.
    engine.run_with("glutton", &["-m", "12m", "--memory-swap", "12m"], &["glutton"]);
    let starved = server.wait_for_state("alpha", "glutton", "exited");
    assert_eq!(starved["exit_code"], 137, "{starved}");
    assert_eq!(starved["oom_killed"], engine.inspect("glutton")["State"]["OOMKilled"], "{starved}");
    wait_for_truth(&server, "alpha", &engine);

    // Podman remembers more than 256 events: nothing is missing after a pause of the agent.
    let lamp = engine.run("lamp");
    server.wait_for_actions("alpha", &lamp, &["create", "start"]);
    agent.kill();
    engine.docker(&["stop", "lamp"]);
    engine.docker(&["rm", "job"]);
    agent.start();
    server.wait_for_actions("alpha", &lamp, &["create", "start", "die"]);
    server.wait_for_actions("alpha", &job, &["die", "destroy"]);
    wait_for_truth(&server, "alpha", &engine);
    let events = server.events("alpha");
    let odd: Vec<_> =
        events.iter().filter(|event| event["derived"] == true && text(event, "type") == "container").collect();
    for id in [&lamp, &job] {
        assert_eq!(server.actions("alpha", id), said(&engine, id), "Podman's story, in Docker's words");
    }
    assert!(odd.is_empty() && !events.iter().any(|event| event["action"] == "gap"), "{odd:?} in {events:?}");
}

#[test]
#[ignore = "downloads packages: run by ./test.sh --all"]
fn health_is_followed() {
    let (engine, server, _agent) = fleet();
    let check = ["--health-cmd", "test -f /tmp/well", "--health-interval", "1h", "--health-retries", "1"];
    let ill = engine.run_with("ill", &check, &["live"]);
    server.wait_for("alpha", "ill", "is starting", |one| one["health"] == "starting");
    look_at_health(&engine);
    server.wait_for("alpha", "ill", "is unhealthy", |one| one["health"] == "unhealthy");
    engine.docker(&["exec", "ill", "touch", "/tmp/well"]);
    look_at_health(&engine);
    server.wait_for("alpha", "ill", "is healthy", |one| one["health"] == "healthy");
    let said = server.actions("alpha", &ill);
    assert!(said.iter().any(|action| action.starts_with("health_status: ")), "{said:?}");
}

#[test]
#[ignore = "downloads packages: run by ./test.sh --all"]
fn its_service_may_end_and_come_back() {
    let (mut engine, server, _agent) = fleet();
    let web = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    // Its containers do not need it.
    engine.stop_hard();
    server.wait_for_host("alpha", "has an engine that is away", |host| host["engine"]["state"] == "absent");
    engine.start_again();
    server.wait_for_host("alpha", "has its engine back", |host| host["engine"]["state"] == "ok");
    server.wait_for("alpha", "web", "is known again", |one| one["state"] == "running" && one["stale"] == false);
    engine.docker(&["stop", "web"]);
    server.wait_for_actions("alpha", &web, &["start", "die"]);
    wait_for_truth(&server, "alpha", &engine);
    assert!(!server.events("alpha").iter().any(|event| event["action"] == "gap"));
}

/// What Podman remembers of a container, as Docker would have said it, of the kinds that are reported.
fn said(engine: &Engine, id: &str) -> Vec<String> {
    // The docker command would wait for another one.
    let url = "http://d/v1.41/events?since=1&stream=false";
    let lines = Ran::of("curl", &["-sS", "--max-time", "30", "--unix-socket", &socket(engine), url], &[], 40).ok();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("Podman prints JSON"));
    let word = |event: Value| match text(&event, "Action") {
        "init" | "cleanup" | "exec" | "exec_died" => None,
        "remove" => Some("destroy".to_owned()),
        other => Some(other.to_owned()),
    };
    events.filter(|event| event["Type"] == "container" && event["Actor"]["ID"] == id).filter_map(word).collect()
}

fn socket(engine: &Engine) -> String {
    engine.docker_host().trim_start_matches("unix://").to_owned()
}

/// Does what a timer of systemd does where there is one.
fn look_at_health(engine: &Engine) {
    let url = "http://d/v4.0.0/libpod/containers/ill/healthcheck";
    Ran::of("curl", &["-sS", "--max-time", "30", "--unix-socket", &socket(engine), url], &[], 40).ok();
}
