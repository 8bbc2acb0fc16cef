//! Clients that send garbage, too much, too slowly or nothing at all are cut, and hurt nobody else.

use muster_tests::process::Ran;
use muster_tests::{Agent, Engine, Server};
use serde_json::Value;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/hostile.py");

/// What a client may make the server take in before it is cut: a message's limit and what sockets hold.
const TAKEN: u64 = 16 * 1024 * 1024;

fn attack(server: &Server, name: &str, path: &str) -> Value {
    let port = server.port().to_string();
    Ran::of("python3", &[SCRIPT, &port, name, path], &[], 150).json().remove(0)
}

#[test]
fn a_host_goes_on_reporting_while_clients_misbehave() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join_every("5s", &server, &engine);
    let attacks = [
        "garbage",
        "plain_http",
        "silent",
        "slow_handshake",
        "silent_after_tls",
        "garbage_in_tls",
        "garbage_in_browser_tls",
        "slow_head",
        "slow_body",
        "oversized_head",
        "many_heads",
        "long_path",
        "announced_body",
        "endless_body",
        "two_lengths",
        "deaf",
    ];
    std::thread::scope(|scope| {
        let server = &server;
        let running: Vec<_> =
            attacks.iter().map(|name| (name, scope.spawn(move || attack(server, name, "/api/v1/tokens")))).collect();
        for _ in 0..5 {
            server.settle("alpha", &engine);
        }
        for (name, one) in running {
            let outcome = one.join().expect("an attack does not panic");
            // A request that is refused in good form may be followed by another one.
            let refused = *name == "two_lengths" && outcome["status"].is_u64();
            assert!(outcome["ended"] == true || refused, "{name} was never cut: {outcome}");
            assert!(outcome["taken"].as_u64().is_some_and(|taken| taken < TAKEN), "{name}: {outcome}");
            if let Some(status) = outcome["status"].as_u64() {
                assert!((400..500).contains(&status), "{name}: {outcome}");
            }
        }
    });
    server.settle("alpha", &engine);
    let actions = muster_tests::texts(&server.events("alpha"), "action");
    let lost = actions.iter().any(|action| action.contains("reconnecting") || action.contains("disconnected"));
    assert!(!lost, "the host was missed: {actions:?}");
    let (status, _) = server.api("GET", "/healthz", None, None);
    assert_eq!(status, 200);
}

#[test]
fn a_silent_crowd_keeps_nobody_out() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join_every("5s", &server, &engine);
    let place = muster_tests::place::Place::new();
    let mut command = std::process::Command::new("python3");
    command.args([SCRIPT, &server.port().to_string(), "crowd"]).env("CROWD", "600");
    // It stays until its input ends, which is when this test does.
    let mut crowd = muster_tests::process::Process::start_read("crowd", &mut command, &place.join("crowd.log"));
    let held = crowd.line(muster_tests::wait::PATIENCE).expect("the crowd has come");
    assert!(held.starts_with("holding"), "{held}");
    server.settle("alpha", &engine);
    let late = Agent::new("unix:///nowhere/docker.sock");
    late.join_with(&server.join_string(&["--name", "beta"])).ok();
    server.settle("alpha", &engine);
    assert_eq!(crowd.ended(), None, "the crowd was there all the time");
}
