//! A rootless engine is found by its user's agent, and reported like any other.

use muster_tests::engine::{Kind, Options};
use muster_tests::process::{self, Process, Ran, program};
use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::{Engine, Server, rootless, text};
use serde_json::Value;
use std::process::Command;

#[test]
#[ignore = "downloads packages: run by ./test.sh --all"]
fn the_users_agent_finds_the_users_engine() {
    let packages = rootless::packages();
    let options = Options { kind: Kind::Rootless, programs: Some(&packages), ..Options::default() };
    let (engine, server) = (Engine::start_with("alpha", options), Server::start());
    assert!(engine.docker(&["info", "--format", "{{.SecurityOptions}}"]).contains("name=rootless"));
    let early = engine.run("early");

    // The user may not be able to reach where the program was built.
    let own = engine.place().join("muster-agent");
    std::fs::copy(program("muster-agent"), &own).expect("copying the agent");
    let environment = rootless::environment(engine.place());
    let state = format!("{}/.local/share/muster-agent", environment[0].1);
    let mut command = Command::new(rootless::AS_USER[0]);
    command.args(&rootless::AS_USER[1..]).args([&own, "join", &server.join_string(&["--name", "alpha"]), "--run"]);
    command.args(["--state-dir", &state, "--interval", "1s"]);
    process::clean(&mut command).envs(environment.clone());
    let _agent = Process::start("agent", &mut command, &engine.place().join("agent.log"));
    server.wait_for_host("alpha", "is active with an engine that is ok", |host| {
        host["state"] == "active" && host["engine"]["state"] == "ok"
    });

    assert_eq!(text(&server.wait_for_state("alpha", "early", "running"), "id"), early);
    let web = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["restart", "web"]);
    engine.docker(&["stop", "web"]);
    let stopped = server.wait_for_state("alpha", "web", "exited");
    assert_eq!(stopped["exit_code"], 0, "{stopped}");
    let job = engine.run_with("job", &["--rm"], &["end", "0", "7"]);
    server.wait_for_actions("alpha", &job, &["create", "start", "die", "destroy"]);
    server.wait_for_actions("alpha", &web, &["create", "start", "restart", "die", "stop"]);
    wait_for_truth(&server, "alpha", &engine);
    assert_same_story(&server, "alpha", &engine);

    let arguments = [&rootless::AS_USER[1..], &[&own, "doctor", "--json", "--state-dir", &state]].concat();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let ran = Ran::of(rootless::AS_USER[0], &arguments, &environment, 60);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    let socket = report["checks"].as_array().and_then(|lines| lines.iter().find(|line| line["check"] == "socket"));
    let socket = socket.unwrap_or_else(|| panic!("no line on the socket: {report:#}"));
    assert_eq!(
        (text(socket, "state"), text(socket, "what")),
        ("ok", engine.docker_host().trim_start_matches("unix://"))
    );
}
