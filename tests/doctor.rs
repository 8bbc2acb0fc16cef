//! `muster-agent doctor` says what is wrong with a host, each thing in its line, and its exit code tells scripts.

use muster_tests::place::Place;
use muster_tests::process::{Ran, program};
use muster_tests::{Agent, Engine, Server, text};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// `nobody`, who is in no group that matters.
const STRANGER: u32 = 65_534;

/// What it says of a check, in its first line.
fn line<'a>(report: &'a Value, check: &str) -> &'a Value {
    let found = report["checks"].as_array().and_then(|lines| lines.iter().find(|line| line["check"] == check));
    found.unwrap_or_else(|| panic!("no line for {check}: {report:#}"))
}

#[track_caller]
fn examined(ran: &Ran, code: i32) -> Value {
    ran.exits(code);
    let report: Value = serde_json::from_str(&ran.stdout).expect("doctor prints JSON");
    assert_eq!(report["exit"], code);
    report
}

/// Runs it as the agent was started.
#[track_caller]
fn doctor(agent: &Agent, docker_host: &str, code: i32) -> Value {
    let ran = agent.command(&["doctor", "--json", "--state-dir", &agent.state_dir(), "--docker-host", docker_host]);
    examined(&ran, code)
}

#[track_caller]
fn assert_line(report: &Value, check: &str, state: &str, part: &str) {
    let found = line(report, check);
    assert_eq!(text(found, "state"), state, "{report:#}");
    let words = format!("{}; {}", text(found, "what"), text(found, "advice"));
    assert!(words.contains(part), "no {part:?} in {words}");
}

/// What is true of the machine that runs the tests: on one without a memory controller all is not well.
fn is_well(report: &Value) -> bool {
    report["checks"].as_array().is_some_and(|lines| lines.iter().all(|line| line["state"] == "ok"))
}

#[test]
fn a_host_that_is_well() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    engine.run("web");
    let command = ["doctor", "--json", "--state-dir", &agent.state_dir(), "--docker-host", &engine.docker_host()];
    let ran = agent.command(&command);
    let report = examined(&ran, if ran.code == 9 { 9 } else { 0 });
    for check in ["socket", "engine", "calls", "clock", "server", "pin", "credential", "state", "agent"] {
        assert_line(&report, check, "ok", "");
    }
    assert_eq!(ran.code == 0, is_well(&report), "{report:#}");
    assert_line(&report, "engine", "ok", &engine.docker(&["version", "--format", "{{.Server.Version}}"]));
    assert_line(&report, "credential", "ok", "as alpha (");
    assert_line(&report, "server", "ok", &format!("127.0.0.1:{} answers", server.port()));
    let lines = agent.command(&command.map(|word| if word == "--json" { "--format=table" } else { word }));
    assert_eq!(lines.stdout.lines().count(), report["checks"].as_array().map_or(0, Vec::len), "{}", lines.stdout);
    assert!(lines.stderr.is_empty(), "{}", lines.stderr);
}

#[test]
fn an_engine_that_is_stopped_hangs_or_was_never_there() {
    let (mut engine, server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    engine.freeze();
    let report = doctor(&agent, &engine.docker_host(), 8);
    assert_line(&report, "engine", "failure", "does not answer in time");
    assert_line(&report, "credential", "ok", "alpha");
    engine.thaw();
    engine.stop();
    let report = doctor(&agent, &engine.docker_host(), 8);
    assert_line(&report, "socket", "failure", "systemctl start docker");
    assert_line(&report, "engine", "skipped", "");
    let report = doctor(&agent, "unix:///nowhere/docker.sock", 8);
    assert_line(&report, "socket", "failure", "/nowhere/docker.sock does not exist");
    assert_line(&report, "server", "ok", "answers");
}

#[test]
fn a_socket_that_the_agents_user_may_not_use() {
    let engine = Engine::start("alpha");
    let socket = engine.docker_host().trim_start_matches("unix://").to_owned();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o660)).expect("changing a socket's mode");
    let gid = std::fs::metadata(&socket).expect("a socket").gid();
    let group = Ran::of("getent", &["group", &gid.to_string()], &[], 10).stdout;
    let group = group.split(':').next().filter(|name| !name.is_empty()).map_or(gid.to_string(), str::to_owned);
    let place = Place::new();
    let state = place.join("state");
    std::fs::create_dir(&state).expect("making a directory");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).expect("changing a mode");
    std::os::unix::fs::chown(&state, Some(STRANGER), Some(STRANGER)).expect("giving a directory away");
    let (agent, docker_host) = (program("muster-agent"), engine.docker_host());
    let command = [agent.as_str(), "doctor", "--json", "--state-dir", &state, "--docker-host", &docker_host];
    let user = STRANGER.to_string();
    let other = ["--reuid", &user, "--regid", &user, "--clear-groups"];
    // As the agent's own user, and as root, who looks for that user.
    for ran in
        [Ran::of("setpriv", &[&other[..], &command[..]].concat(), &[], 60), Ran::of(command[0], &command[1..], &[], 60)]
    {
        let report = examined(&ran, 8);
        assert_line(&report, "socket", "failure", " may not use ");
        let advice = if gid == 0 { "as the socket's owner" } else { "sudo usermod -aG " };
        assert_line(&report, "socket", "failure", advice);
        assert!(gid == 0 || text(line(&report, "socket"), "advice").contains(&group), "{report:#}");
    }
}

#[test]
fn a_server_that_is_away_and_one_that_is_another() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    server.kill();
    let report = doctor(&agent, &engine.docker_host(), 3);
    assert_line(&report, "server", "failure", "no firewall stands between");
    assert_line(&report, "credential", "skipped", "");
    assert_line(&report, "engine", "ok", "");
    let impostor = Server::start_at(server.port());
    let report = doctor(&agent, &engine.docker_host(), 5);
    assert_line(&report, "pin", "failure", impostor.pin());
    assert_line(&report, "pin", "failure", server.pin());
}

#[test]
fn a_host_that_was_removed_and_one_that_does_not_run() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    server.muster(&["hosts", "rm", "alpha"]).ok();
    let report = doctor(&agent, &engine.docker_host(), 7);
    assert_line(&report, "credential", "failure", "muster hosts restore alpha");
    server.muster(&["hosts", "restore", "alpha"]).ok();
    agent.stop();
    let report = doctor(&agent, &engine.docker_host(), 9);
    assert_line(&report, "agent", "warning", "systemctl start muster-agent");
    assert_line(&report, "credential", "ok", "alpha");
}

#[test]
fn a_directory_that_cannot_be_written() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    let state = agent.state_dir();
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
    let (agent, host) = (program("muster-agent"), engine.docker_host());
    let command = [agent.as_str(), "doctor", "--json", "--state-dir", &state, "--docker-host", &host];
    let arguments = [&["--mount", "--propagation", "private", "sh", "-c", script, "sh", &state][..], &command].concat();
    let report = examined(&Ran::of("unshare", &arguments, &[], 60), 1);
    assert_line(&report, "state", "failure", "mount it writable");
}
