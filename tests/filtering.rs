//! A filtering proxy before the engine: the documented list of requests is enough, by socket and by TCP; when less passes,
//! the agent says what is missing and does without.

use muster_tests::debian::Packages;
use muster_tests::filter::{Filter, minimal};
use muster_tests::place::Place;
use muster_tests::process::Process;
use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server, eventually, text};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Facts about the host, which containers do without.
const OPTIONAL: &str = "GET /info";

fn joined(server: &Server, docker_host: &str) -> Agent {
    let mut agent = Agent::new(docker_host);
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start();
    agent.wait_until_heard(server, "alpha");
    agent
}

fn doctor(agent: &Agent, docker_host: &str) -> (i32, Value) {
    let ran = agent.command(&["doctor", "--json", "--state-dir", &agent.state_dir(), "--docker-host", docker_host]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (ran.code, report)
}

fn calls(report: &Value) -> &Value {
    let found = report["checks"].as_array().and_then(|lines| lines.iter().find(|line| line["check"] == "calls"));
    found.unwrap_or_else(|| panic!("no line for calls: {report:#}"))
}

/// What an agent shows of an engine, all of it in time.
fn live(server: &Server, engine: &Engine) {
    let id = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["restart", "web"]);
    let job = engine.run_with("job", &["--rm"], &["end", "0", "7"]);
    server.wait_for_actions("alpha", &job, &["create", "start", "die", "destroy"]);
    engine.docker(&["kill", "web"]);
    let killed = server.wait_for_state("alpha", "web", "exited");
    assert_eq!(killed["exit_code"], 137, "{killed}");
    server.wait_for_actions("alpha", &id, &["create", "start", "restart", "kill", "die"]);
    wait_for_truth(server, "alpha", engine);
    let guessed =
        server.events("alpha").into_iter().find(|one| one["derived"] == true && text(one, "type") == "container");
    assert_eq!(guessed, None);
}

#[test]
fn the_documented_list_is_enough() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let filter = Filter::before(&engine.docker_host(), minimal);
    let agent = joined(&server, &filter.docker_host());
    live(&server, &engine);
    let refused = filter.refused();
    assert!(refused.iter().all(|request| request == OPTIONAL), "asked for more: {refused:?}");
    let (_, report) = doctor(&agent, &filter.docker_host());
    assert_eq!(calls(&report)["state"], "ok", "{report:#}");
    // A proxy that is restarted: the stream goes on where it was.
    let id = engine.run("lamp");
    server.wait_for_actions("alpha", &id, &["start"]);
    filter.cut();
    engine.docker(&["stop", "lamp"]);
    server.wait_for_actions("alpha", &id, &["start", "die", "stop"]);
    assert!(!server.events("alpha").iter().any(|event| event["action"] == "gap"));
}

#[test]
fn the_same_by_tcp() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let filter = Filter::before(&engine.docker_host(), minimal);
    let agent = joined(&server, &filter.docker_host_by_tcp());
    live(&server, &engine);
    let status =
        agent.command(&["status", "--state-dir", &agent.state_dir(), "--docker-host", &filter.docker_host_by_tcp()]);
    assert!(status.ok().contains(&filter.docker_host_by_tcp()), "{}", status.stdout);
    let (_, report) = doctor(&agent, &filter.docker_host_by_tcp());
    assert_eq!(calls(&report)["state"], "ok", "{report:#}");
}

#[test]
fn without_events_changes_show_with_the_next_report() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let early = engine.run("early");
    let filter = Filter::before(&engine.docker_host(), |request| minimal(request) && request != "GET /events");
    let mut agent = joined(&server, &filter.docker_host());
    assert_eq!(text(&server.wait_for_state("alpha", "early", "running"), "id"), early);
    engine.docker(&["kill", "early"]);
    let killed = server.wait_for_state("alpha", "early", "exited");
    assert_eq!(killed["exit_code"], 137, "{killed}");
    let died = server.wait_for_event("alpha", "the end, derived", |event| event["action"] == "die");
    assert_eq!(died["derived"], true, "{died}");
    let lamp = engine.run("lamp");
    server.wait_for_state("alpha", "lamp", "running");
    let before = server.find_container("alpha", "lamp").expect("a container")["started_at"].clone();
    engine.docker(&["restart", "-t", "0", "lamp"]);
    server.wait_for("alpha", "lamp", "is seen to be another run", |one| {
        one["started_at"] != before && one["state"] == "running"
    });
    engine.docker(&["rm", "-f", "lamp"]);
    server.wait_for_actions("alpha", &lamp, &["destroy"]);
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(server.host("alpha")["engine"]["state"], "ok");
    let log = agent.process().log();
    assert_eq!(log.matches("GET /events is refused").count(), 1, "{log}");
    let (code, report) = doctor(&agent, &filter.docker_host());
    assert_eq!((code, &calls(&report)["state"]), (9, &"warning".into()), "{report:#}");
    assert!(text(calls(&report), "what").contains("GET /events (status 403)"), "{report:#}");
    // Allowed at last, everything is as it should be.
    filter.set(minimal);
    agent.crash();
    agent.wait_until_heard(&server, "alpha");
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
}

#[test]
fn without_inspect_the_lists_words_are_taken() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let filter = Filter::before(&engine.docker_host(), |request| {
        matches!(request, "GET /_ping" | "GET /version" | "GET /containers/json" | "GET /events")
    });
    let mut agent = joined(&server, &filter.docker_host());
    let id = engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    engine.docker(&["kill", "web"]);
    let killed = server.wait_for_state("alpha", "web", "exited");
    assert_eq!(killed["exit_code"], 137, "{killed}");
    server.wait_for_actions("alpha", &id, &["start", "die"]);
    for _ in 0..3 {
        server.settle("alpha", &engine);
    }
    let asked = filter.refused().iter().filter(|request| request.as_str() != OPTIONAL).count();
    assert!(asked <= 3, "asked {asked} times for what is refused");
    let log = agent.process().log();
    assert_eq!(log.matches("GET /containers/ID/json is refused").count(), 1, "{log}");
    let (code, report) = doctor(&agent, &filter.docker_host());
    assert_eq!((code, &calls(&report)["state"]), (9, &"warning".into()), "{report:#}");
    assert!(text(calls(&report), "what").ends_with("GET /containers/ID/json (status 403)"), "{report:#}");
}

#[test]
fn without_the_list_or_without_anything() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let filter = Filter::before(&engine.docker_host(), |request| minimal(request) && request != "GET /containers/json");
    let mut agent = joined(&server, &filter.docker_host());
    let (code, report) = doctor(&agent, &filter.docker_host());
    assert_eq!((code, &calls(&report)["state"]), (8, &"failure".into()), "{report:#}");
    assert!(text(calls(&report), "what").contains("GET /containers/json (status 403)"), "{report:#}");
    eventually("the agent says so", || match agent.process().log() {
        log if log.contains("GET /containers/json is refused") => Ok(()),
        log => Err(log),
    });
    filter.set(|request| request == "GET /containers/json");
    let (code, report) = doctor(&agent, &filter.docker_host());
    assert_eq!(code, 8, "{report:#}");
    assert!(report.to_string().contains("GET /_ping and GET /version are refused (403)"), "{report:#}");
}

#[test]
fn either_ping_or_version_is_enough() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let filter = Filter::before(&engine.docker_host(), |request| minimal(request) && request != "GET /version");
    let mut agent = joined(&server, &filter.docker_host());
    engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    filter.set(|request| minimal(request) && request != "GET /_ping");
    agent.crash();
    agent.wait_until_heard(&server, "alpha");
    engine.docker(&["stop", "web"]);
    server.wait_for_state("alpha", "web", "exited");
    let version = engine.docker(&["version", "--format", "{{.Server.Version}}"]);
    server.wait_for_host("alpha", "shows its version", |host| host["engine"]["version"] == version.as_str());
}

/// The settings that the documentation gives, word for word, but for the places of sockets.
fn documented_settings(frontend: &str, engine: &str) -> String {
    let text = include_str!("../docs/engines.md");
    let lines = text
        .lines()
        .skip_while(|line| *line != "    defaults")
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    let settings: String = lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or_default())).collect();
    assert!(settings.contains("http-request deny\n") && settings.contains("backend engine\n"), "not found: {settings}");
    settings.replace("/run/muster/docker.sock", frontend).replace("/var/run/docker.sock", engine)
}

#[test]
#[ignore = "downloads packages: run by ./test.sh --all"]
fn a_real_proxy_with_the_documented_settings() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let packages =
        Packages::of("bookworm", &["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"]);
    let place = Place::new();
    let socket = place.join("docker.sock");
    let settings = documented_settings(&socket, engine.docker_host().trim_start_matches("unix://"));
    std::fs::write(place.join("haproxy.cfg"), settings).expect("writing settings");
    let mut command = Command::new(packages.path("usr/sbin/haproxy"));
    command.args(["-db", "-f", &place.join("haproxy.cfg")]).env("LD_LIBRARY_PATH", packages.libraries());
    let mut proxy = Process::start("haproxy", &mut command, &place.join("haproxy.log"));
    eventually("the proxy listens", || match (Path::new(&socket).exists(), proxy.ended()) {
        (true, _) => Ok(()),
        (false, ended) => Err(format!("{ended:?}: {}", proxy.log())),
    });
    let docker_host = format!("unix://{socket}");
    let agent = joined(&server, &docker_host);
    live(&server, &engine);
    let (_, report) = doctor(&agent, &docker_host);
    assert_eq!(calls(&report)["state"], "ok", "{report:#}");
    // And nothing else passes.
    for (method, path) in
        [("POST", "/v1.41/containers/web/start"), ("GET", "/v1.41/images/json"), ("GET", "/v1.41/containers/web/logs")]
    {
        let url = format!("http://docker{path}");
        let arguments = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "--unix-socket", &socket, &url];
        assert_eq!(muster_tests::process::Ran::of("curl", &arguments, &[], 30).ok(), "403", "{method} {path}");
    }
}
