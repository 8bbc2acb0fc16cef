//! Engines of all ages are told alike: what holds for one holds for the newest and for the oldest.

use muster_tests::debian::Packages;
use muster_tests::engine::Options;
use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::{Agent, Engine, Server, text};
use serde_json::Value;
use std::sync::Arc;

/// Docker as it is installed.
#[test]
fn the_installed_engine() {
    let version = tell_a_life(None);
    assert!(version.split('.').count() >= 2, "{version}");
}

#[test]
#[ignore = "downloads packages of another release: run by ./test.sh --all"]
fn docker_26_1() {
    let packages = docker_of("trixie");
    let version = tell_a_life(Some(&packages));
    assert!(version.starts_with("26."), "{version}");
}

#[test]
#[ignore = "downloads packages of another release: run by ./test.sh --all"]
fn docker_28_5() {
    let packages = docker_of("forky");
    let version = tell_a_life(Some(&packages));
    assert!(version.starts_with("28."), "{version}");
}

/// Docker of a Debian release.
fn docker_of(suite: &str) -> Arc<Packages> {
    let packages = Packages::of(suite, &["docker.io", "containerd", "tini"]);
    // It wants a newer C library than this machine may have; the machine's own serves as well.
    packages.without("runc");
    packages
}

/// Everything that is promised, on one engine; its version.
fn tell_a_life(programs: Option<&Arc<Packages>>) -> String {
    let options = Options { bridge: true, programs, ..Options::default() };
    let (mut engine, server) = (Engine::start_with("alpha", options), Server::start());
    // Before anybody looked: to be imported.
    let early = engine.run("early");
    engine.docker(&["create", "--name", "never", muster_tests::engine::IMAGE, "live"]);
    let mut agent = Agent::join(&server, &engine);
    let host = server.host("alpha");
    let version = text(&host["engine"], "version").to_owned();
    assert_eq!(version, engine.docker(&["version", "--format", "{{.Server.Version}}"]));
    assert_eq!(text(&server.wait_for_state("alpha", "early", "running"), "id"), early);
    server.wait_for_state("alpha", "never", "created");

    // A life, seen as it is lived: newer engines say `stop` before `die`.
    let web = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["pause", "web"]);
    server.wait_for_state("alpha", "web", "paused");
    engine.docker(&["unpause", "web"]);
    engine.docker(&["rename", "web", "site"]);
    server.wait_for_state("alpha", "site", "running");
    engine.docker(&["restart", "site"]);
    server.wait_for_actions(
        "alpha",
        &web,
        &["create", "start", "pause", "unpause", "rename", "die", "start", "restart"],
    );
    server.wait_for_state("alpha", "site", "running");
    engine.docker(&["stop", "site"]);
    let stopped = server.wait_for_state("alpha", "site", "exited");
    assert_eq!(stopped["exit_code"], 0, "{stopped}");
    server.wait_for_actions("alpha", &web, &["restart", "die"]);
    server.wait_for_actions("alpha", &web, &["restart", "stop"]);
    engine.docker(&["rm", "site"]);
    server.wait_for_actions("alpha", &web, &["destroy"]);

    // Ends of other kinds.
    let job = engine.run_with("job", &[], &["end", "0", "7"]);
    let ended = server.wait_for_state("alpha", "job", "exited");
    assert_eq!((&ended["exit_code"], &ended["oom_killed"]), (&7.into(), &false.into()), "{ended}");
    server.wait_for_actions("alpha", &job, &["create", "start", "die"]);
    let glutton = engine.starve("glutton");
    server.wait_for_starved("alpha", "glutton", &glutton);

    // Health, in both directions.
    let check = ["--health-cmd", "test -f /tmp/well", "--health-interval", "1s", "--health-retries", "1"];
    let ill = engine.run_with("ill", &check, &["live"]);
    server.wait_for("alpha", "ill", "is unhealthy", |one| one["health"] == "unhealthy");
    engine.docker(&["exec", "ill", "touch", "/tmp/well"]);
    server.wait_for("alpha", "ill", "is healthy", |one| one["health"] == "healthy");
    server.wait_for_actions("alpha", &ill, &["health_status: unhealthy", "health_status: healthy"]);

    // What happens while nobody listens is in the engine's memory.
    agent.kill();
    engine.docker(&["stop", "early"]);
    let spark = engine.run_with("spark", &["--rm"], &["end", "0", "4"]);
    agent.start();
    server.wait_for_actions("alpha", &early, &["die"]);
    server.wait_for_actions("alpha", &spark, &["create", "start", "die", "destroy"]);
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    assert_nothing_guessed(&server.events("alpha"));

    // What nobody could hear is derived.
    agent.kill();
    engine.docker(&["rm", "-f", "ill"]);
    engine.docker(&["start", "early"]);
    engine.restart();
    agent.start();
    wait_for_truth(&server, "alpha", &engine);
    let removed = server.wait_for_event("alpha", "the removal, derived", |event| {
        event["container_id"] == ill.as_str() && event["action"] == "destroy"
    });
    assert_eq!(removed["derived"], true, "{removed}");
    server.wait_for_event("alpha", "the gap", |event| event["action"] == "gap");
    version
}

#[track_caller]
fn assert_nothing_guessed(events: &[Value]) {
    let guessed = |event: &&Value| event["derived"] == true && text(event, "type") == "container";
    let odd: Vec<_> = events.iter().filter(|event| event["action"] == "gap" || guessed(event)).collect();
    assert!(odd.is_empty(), "the engine told everything: {odd:?}");
}
