//! Reports go over one lasting connection where that is possible, and by plain requests where it is not.

use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::wait::when;
use muster_tests::{Agent, Engine, Proxy, Server, eventually, eventually_within};
use std::time::Duration;

const LOUD: (&str, &str) = ("MUSTER_LOG", "debug");
const OPENED: &str = "a line to ";

/// An agent that says what it does, through what the environment names.
fn start(server: &Server, engine: &Engine, environment: &[(&str, &str)]) -> Agent {
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", engine.name()])).ok();
    let mut all = vec![LOUD];
    all.extend(environment);
    agent.start_with(&all);
    agent.wait_until_heard(server, engine.name());
    // At first it follows what the server announces, over a new connection.
    eventually("the agent has settled", || {
        let log = agent.process().log();
        when(log.contains("of revision 1 now") && log.matches("welcome to").count() == 2, log)
    });
    agent
}

/// How often the agent has said this.
fn said(agent: &mut Agent, what: &str) -> usize {
    agent.process().log().matches(what).count()
}

/// Waits until it has sent so many more messages.
fn messages(agent: &mut Agent, what: &str, more: usize) {
    let before = said(agent, what);
    eventually("more messages", || {
        let now = said(agent, what);
        when(now >= before + more, (before, now))
    });
}

#[test]
fn one_connection_carries_everything_and_ends_with_its_host() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = start(&server, &engine, &[]);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "bytes over the line", 5);
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(said(&mut agent, OPENED), 2, "{}", agent.process().log());
    assert_eq!(said(&mut agent, "Report:"), 0, "no request of its own");

    server.muster(&["hosts", "rm", "alpha"]).ok();
    eventually("the agent is told", || {
        let log = agent.process().log();
        when(log.contains("this host was removed"), log)
    });
}

#[test]
fn a_server_that_was_away_is_found_again() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = start(&server, &engine, &[]);
    for _ in 0..2 {
        server.stop();
        let id = engine.run_with("web", &[], &["sleep", "1d"]);
        server.start_again();
        server.wait_for_actions("alpha", &id, &["create", "start"]);
        wait_for_truth(&server, "alpha", &engine);
        server.crash();
        engine.docker(&["rm", "-f", "web"]);
        server.wait_for_actions("alpha", &id, &["destroy"]);
        wait_for_truth(&server, "alpha", &engine);
    }
    let requests = said(&mut agent, "Report:");
    messages(&mut agent, "bytes over the line", 5);
    assert_eq!(said(&mut agent, "Report:"), requests, "that is no reason for plain requests");
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
}

#[test]
fn a_line_may_go_through_a_proxy() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    let url = format!("http://{}", proxy.address());
    let mut agent = start(&server, &engine, &[("HTTPS_PROXY", &url)]);
    let connections = proxy.targets().len();
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "bytes over the line", 5);
    assert_eq!(proxy.targets().len(), connections, "one connection");
    assert_eq!((connections, said(&mut agent, OPENED), said(&mut agent, "Report:")), (2, 2, 0));
}

#[test]
fn where_lasting_connections_are_ended_plain_requests_take_over() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    proxy.cuts_after(Duration::from_secs(2));
    let url = format!("http://{}", proxy.address());
    let mut agent = start(&server, &engine, &[("HTTPS_PROXY", &url)]);
    eventually_within(Duration::from_secs(120), "the agent gives lines up", || {
        let log = agent.process().log();
        when(log.contains("sending those"), log)
    });
    let lines = said(&mut agent, OPENED);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "Report:", 5);
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(said(&mut agent, OPENED), lines, "no more of them for an hour");
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
}

#[test]
fn a_session_serves_many_plain_reports_and_is_renewed_by_a_server_that_has_forgotten_it() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = start(&server, &engine, &[("MUSTER_UPLINK", "plain")]);
    messages(&mut agent, "answer 204 with 0 bytes", 5);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    let hellos = said(&mut agent, "Hello:");
    messages(&mut agent, "answer 204 with 0 bytes", 5);
    assert_eq!(said(&mut agent, "Hello:"), hellos);
    server.crash();
    messages(&mut agent, "answer 204 with 0 bytes", 5);
    assert_eq!(said(&mut agent, "Hello:"), hellos + 1);
    assert_eq!(said(&mut agent, OPENED), 0);
    wait_for_truth(&server, "alpha", &engine);
    server.muster(&["hosts", "rm", "alpha"]).ok();
    eventually("the agent is told", || {
        let log = agent.process().log();
        when(log.contains("this host was removed"), log)
    });
}
