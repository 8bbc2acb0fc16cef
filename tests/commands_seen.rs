//! Every docker command on the host is seen: as events and as state.

use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server, text};

fn fleet() -> (Engine, Server, Agent) {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    (engine, server, agent)
}

#[test]
fn a_life_from_run_to_rm() {
    let (engine, server, _agent) = fleet();
    let id = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["pause", "web"]);
    server.wait_for_state("alpha", "web", "paused");
    engine.docker(&["unpause", "web"]);
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["stop", "web"]);
    let stopped = server.wait_for_state("alpha", "web", "exited");
    assert!(stopped["finished_at"].is_string(), "{stopped}");
    engine.docker(&["start", "web"]);
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["restart", "web"]);
    server.wait_for_actions("alpha", &id, &["restart"]);
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["kill", "web"]);
    let killed = server.wait_for_state("alpha", "web", "exited");
    assert_eq!(killed["exit_code"], 137, "{killed}");
    engine.docker(&["rm", "web"]);
    server.wait_for_actions("alpha", &id, &["destroy"]);
    wait_for_truth(&server, "alpha", &engine);

    let ran = server.muster(&["ps", "-a", "--host", "alpha", "-q"]);
    assert_eq!(ran.ok(), "", "a removed container is not listed");
    let life = ["create", "start", "pause", "unpause", "kill", "stop", "start", "restart", "kill", "die", "destroy"];
    server.wait_for_actions("alpha", &id, &life);
}

#[test]
fn a_rename_keeps_the_container() {
    let (engine, server, _agent) = fleet();
    let id = engine.run("before");
    server.wait_for_state("alpha", "before", "running");
    engine.docker(&["rename", "before", "after"]);
    let after = server.wait_for_state("alpha", "after", "running");
    assert_eq!(after["id"], id.as_str());
    assert!(server.find_container("alpha", "before").is_none());
    let event = server.wait_for_event("alpha", "the rename", |event| event["action"] == "rename");
    assert!(text(&event["attributes"], "oldName").ends_with("before"), "{event}");
    assert_eq!(server.get("/api/v1/containers/alpha/after")["id"], id.as_str());
    assert_eq!(server.api("GET", "/api/v1/containers/alpha/before", Some(&server.admin_token()), None).0, 404);
}

#[test]
fn an_exit_code_is_kept() {
    let (engine, server, _agent) = fleet();
    let id = engine.run_with("job", &[], &["end", "0", "7"]);
    let job = server.wait_for_state("alpha", "job", "exited");
    assert_eq!(job["exit_code"], 7, "{job}");
    assert_eq!(job["oom_killed"], false, "{job}");
    let died = server.wait_for_event("alpha", "the end of the job", |event| {
        event["action"] == "die" && event["container_id"] == id.as_str()
    });
    assert_eq!(died["attributes"]["exitCode"], "7", "{died}");
    engine.docker(&["start", "job"]);
    server.wait_for_actions("alpha", &id, &["die", "start", "die"]);
}

#[test]
fn a_container_that_lives_shorter_than_the_interval_leaves_its_trace() {
    let (engine, server, _agent) = fleet();
    let id = engine.run_with("spark", &["--rm"], &["end", "0", "4"]);
    server.wait_for_actions("alpha", &id, &["create", "start", "die", "destroy"]);
    wait_for_truth(&server, "alpha", &engine);
}

#[test]
fn an_end_for_lack_of_memory_is_told_apart() {
    let (engine, server, _agent) = fleet();
    let id = engine.starve("glutton");
    server.wait_for_starved("alpha", "glutton", &id);
}

#[test]
fn health_is_followed_in_both_directions() {
    let (engine, server, _agent) = fleet();
    let check = ["--health-cmd", "test -f /tmp/well", "--health-interval", "1s", "--health-retries", "1"];
    let id = engine.run_with("web", &check, &["live"]);
    server.wait_for("alpha", "web", "is unhealthy", |one| one["health"] == "unhealthy");
    engine.docker(&["exec", "web", "touch", "/tmp/well"]);
    server.wait_for("alpha", "web", "is healthy", |one| one["health"] == "healthy");
    engine.docker(&["exec", "web", "rm", "/tmp/well"]);
    server.wait_for("alpha", "web", "is unhealthy again", |one| one["health"] == "unhealthy");
    let said = ["health_status: unhealthy", "health_status: healthy", "health_status: unhealthy"];
    let actions = server.wait_for_actions("alpha", &id, &said);
    assert!(!actions.iter().any(|action| action.starts_with("exec")), "no exec is followed: {actions:?}");
}

#[test]
fn a_restart_loop_shows_as_events_and_as_state() {
    let (engine, server, _agent) = fleet();
    let id = engine.run_with("loop", &["--restart", "on-failure:3"], &["end", "0", "1"]);
    let round = ["start", "die", "start", "die", "start", "die", "start", "die"];
    server.wait_for_actions("alpha", &id, &round);
    let given_up =
        server.wait_for("alpha", "loop", "has given up", |one| one["state"] == "exited" && one["restart_count"] == 3);
    assert_eq!(given_up["exit_code"], 1, "{given_up}");

    // The pauses between attempts double from a tenth of a second: some attempts later it is seen waiting.
    engine.run_with("endless", &["--restart", "always"], &["end", "0", "1"]);
    server.wait_for("alpha", "endless", "waits between two attempts", |one| {
        one["state"] == "restarting" && one["restart_count"].as_u64().is_some_and(|count| count >= 3)
    });
    assert_eq!(server.host("alpha")["containers"]["running"], 1, "a restarting container counts as running");
}

#[test]
fn networks_and_ports_are_followed() {
    let (engine, server) = (Engine::start_with_bridge("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run_with("web", &["-p", "127.0.0.1:8080:80"], &["live"]);
    let web = server.wait_for_state("alpha", "web", "running");
    let port = &web["ports"][0];
    assert_eq!((&port["private"], &port["public"]), (&80.into(), &8080.into()), "{web}");
    assert_eq!((&port["address"], &port["protocol"]), (&"127.0.0.1".into(), &"tcp".into()), "{web}");
    engine.docker(&["network", "create", "garden"]);
    engine.docker(&["network", "connect", "garden", "web"]);
    let names =
        |one: &serde_json::Value| muster_tests::texts(one["networks"].as_array().map_or(&[], |list| list), "name");
    server.wait_for("alpha", "web", "is on two networks", |one| names(one) == ["bridge", "garden"]);
    let is = |action: &'static str| {
        let id = id.clone();
        move |event: &serde_json::Value| {
            event["type"] == "network"
                && event["action"] == action
                && event["container_id"] == id.as_str()
                && event["attributes"]["name"] == "garden"
        }
    };
    server.wait_for_event("alpha", "the connection to the network", is("connect"));
    engine.docker(&["network", "disconnect", "garden", "web"]);
    server.wait_for("alpha", "web", "is on one network", |one| names(one) == ["bridge"]);
    server.wait_for_event("alpha", "the end of that connection", is("disconnect"));
}
