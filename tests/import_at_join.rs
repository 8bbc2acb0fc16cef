//! At its first run an agent brings in what is already there, as it is.

use muster_tests::truth::{nanoseconds, wait_for_truth};
use muster_tests::{Agent, Engine, Server, text};

#[test]
fn existing_containers_are_imported_as_they_are() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let running = engine.run_with("web", &["-l", "app=shop", "-e", "PASSWORD=hunter2"], &["live"]);
    engine.run_with("job", &[], &["end", "0", "3"]);
    engine.docker(&["wait", "job"]);
    engine.run("still");
    engine.docker(&["pause", "still"]);
    engine.docker(&["create", "--name", "idle", "probe", "live"]);

    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha", "--label", "site=north"])).ok();
    assert!(server.json(&["ps", "-a"]).is_empty(), "nothing is imported before the first run");
    agent.start();
    wait_for_truth(&server, "alpha", &engine);

    let web = server.wait_for_state("alpha", "web", "running");
    let truth = engine.inspect("web");
    assert_eq!(web["id"], running.as_str());
    assert_eq!(web["image"], truth["Config"]["Image"]);
    assert_eq!(web["image_id"], truth["Image"]);
    assert_eq!(web["labels"]["app"], "shop");
    assert_eq!(web["host"], "alpha");
    assert_eq!(web["exit_code"], serde_json::Value::Null);
    assert!(text(&web, "command").contains("live"), "{web}");
    // The engine's list, which is what is read most often, has whole seconds of the first.
    let (second, millisecond) = (1_000_000_000, 1_000_000);
    for (ours, theirs, within) in
        [("created_at", &truth["Created"], second), ("started_at", &truth["State"]["StartedAt"], millisecond)]
    {
        let theirs = nanoseconds(theirs.as_str().unwrap_or("")).expect("docker's time");
        let difference = nanoseconds(text(&web, ours)).expect("our time") - theirs;
        assert!(difference.abs() < within, "{ours} is off by {difference} ns: {web}");
    }
    assert_eq!(server.wait_for_state("alpha", "job", "exited")["exit_code"], 3);
    server.wait_for_state("alpha", "still", "paused");
    server.wait_for_state("alpha", "idle", "created");

    let host = server.host("alpha");
    assert_eq!(host["labels"]["site"], "north");
    assert_eq!(host["containers"]["running"], 2, "{host}");
    assert_eq!(host["containers"]["stopped"], 1, "{host}");
    assert_eq!(host["containers"]["total"], 3, "a container that was only created does not count: {host}");

    // An import is no event: what the engine did not say is not in the history.
    let concluded = |event: &&serde_json::Value| event["derived"] == true && event["type"] == "container";
    assert_eq!(server.events("alpha").iter().filter(concluded).count(), 0);

    let everything = format!("{}{:?}", web, server.events("alpha"));
    assert!(!everything.contains("hunter2"), "environment variables must not leave the host");
}

#[test]
fn joining_needs_no_engine() {
    let server = Server::start();
    let mut agent = Agent::new("unix:///nowhere/docker.sock");
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    let host = server.wait_for_host("alpha", "is active without an engine", |host| {
        host["state"] == "active" && host["engine"]["state"] == "absent"
    });
    assert_eq!(host["containers"]["total"], 0, "{host}");
}

#[test]
fn an_engine_that_comes_later_is_imported() {
    let (mut engine, server) = (Engine::start("alpha"), Server::start());
    engine.run_with("web", &["--restart", "always"], &["live"]);
    engine.stop();
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    server.wait_for_host("alpha", "has no engine yet", |host| {
        host["state"] == "active" && (host["engine"]["state"] == "absent" || host["engine"]["state"] == "not_answering")
    });
    engine.start_again();
    wait_for_truth(&server, "alpha", &engine);
    server.wait_for_state("alpha", "web", "running");
}
