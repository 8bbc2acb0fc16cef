//! Reports go over one lasting connection where that is possible, and by plain requests where it is not.

use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::wait::when;
use muster_tests::{Agent, Engine, Front, Proxy, Server, eventually, eventually_within};
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
    // At first it may have to follow what the server announces, over a new connection.
    let way = if environment.iter().any(|(_, value)| *value == "plain") { "Report:" } else { "bytes over the line" };
    messages(&mut agent, way, 5);
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
    let opened = said(&mut agent, OPENED);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "bytes over the line", 5);
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(said(&mut agent, OPENED), opened, "{}", agent.process().log());
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

/// Everything goes over one connection through a proxy of that kind.
fn goes_through_a_proxy(scheme: &str) {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    let url = format!("{scheme}://{}", proxy.address());
    let mut agent = start(&server, &engine, &[("ALL_PROXY", &url)]);
    let connections = proxy.targets().len();
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "bytes over the line", 5);
    assert_eq!(proxy.targets().len(), connections, "one connection");
    assert_eq!((said(&mut agent, OPENED), said(&mut agent, "Report:")), (connections, 0));
    assert!(connections > 0 && proxy.targets().iter().all(|to| *to == format!("127.0.0.1:{}", server.port())));
}

#[test]
fn a_line_may_go_through_a_proxy() {
    goes_through_a_proxy("http");
}

#[test]
fn a_line_may_go_through_a_socks_proxy() {
    goes_through_a_proxy("socks5h");
}

/// An agent whose way to the server leads through a front end, by a proxy: so that nothing goes past it.
fn start_behind(server: &Server, engine: &Engine, front: &Front, uplink: &str) -> (Proxy, Agent) {
    let proxy = Proxy::start(front.port(), "");
    let url = format!("http://{}", proxy.address());
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", engine.name()])).ok();
    agent.start_with(&[LOUD, ("HTTPS_PROXY", &url), ("MUSTER_UPLINK", uplink)]);
    (proxy, agent)
}

#[test]
fn where_no_upgrade_comes_through_plain_requests_take_over() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    engine.run("before");
    let front = Front::strips(&server);
    let (_proxy, mut agent) = start_behind(&server, &engine, &front, "auto");
    agent.wait_until_heard(&server, "alpha");
    messages(&mut agent, "Report:", 5);
    let (tries, id) = (said(&mut agent, "(status 426)"), engine.run("web"));
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "Report:", 5);
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    assert_eq!(said(&mut agent, OPENED), 0);
    assert_eq!(said(&mut agent, "(status 426), and requests are; sending those"), tries, "said once");
}

#[test]
fn a_front_end_that_fails_what_it_does_not_know_gets_plain_requests() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let front = Front::answers(&server, 502);
    let (_proxy, mut agent) = start_behind(&server, &engine, &front, "auto");
    agent.wait_until_heard(&server, "alpha");
    eventually_within(Duration::from_secs(120), "the agent gives lines up", || {
        let log = agent.process().log();
        when(log.contains("sending those"), log)
    });
    let failures = said(&mut agent, "status 502");
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    messages(&mut agent, "Report:", 5);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    assert_eq!((said(&mut agent, OPENED), said(&mut agent, "status 502")), (0, failures));
}

#[test]
fn who_wants_nothing_but_lines_is_told_that_there_are_none_and_gets_one_when_there_is() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let front = Front::strips(&server);
    let (proxy, mut agent) = start_behind(&server, &engine, &front, "stream");
    let why = "no lasting connection (status 426), and settings allow no other";
    eventually("the agent says why it is not heard", || {
        let log = agent.process().log();
        when(log.contains(why), log)
    });
    let tries = proxy.targets().len();
    eventually("it goes on trying", || when(proxy.targets().len() >= tries + 2, proxy.targets().len()));
    let id = engine.run("web");
    assert!(server.host("alpha")["last_seen"].is_null(), "nothing goes another way");
    proxy.leads_to(server.port());
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(said(&mut agent, "Report:") + said(&mut agent, "Hello:"), 0);
}

/// What an operator does that ends a host's line, while nothing is to be reported for an hour. The agent learns of
/// it with the next event.
fn is_cut_at_once(command: &[&str], told: &str) {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    let url = format!("http://{}", proxy.address());
    let mut agent = Agent::new(&engine.docker_host());
    agent.interval = "1h".to_owned();
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start_with(&[LOUD, ("HTTPS_PROXY", &url)]);
    agent.wait_until_heard(&server, "alpha");
    server.settle("alpha", &engine);
    assert_eq!(proxy.open(), 1, "its line: {}", agent.process().log());
    let (opened, connections) = (said(&mut agent, OPENED), proxy.targets().len());
    let events = server.events("alpha").len();
    server.muster(command).ok();
    eventually("the server cuts the line", || when(proxy.open() == 0, proxy.targets()));
    assert_eq!(proxy.targets().len(), connections, "the agent has nothing to say yet");
    engine.run("late");
    eventually("the agent is told", || {
        let log = agent.process().log();
        when(log.contains(told), log)
    });
    assert_eq!(said(&mut agent, OPENED), opened, "no line for who is not let in");
    if let Some(host) = server.find_host("alpha") {
        let late = &server.events("alpha")[events..];
        assert!(late.iter().all(|event| event["type"] != "container"), "{host}: {late:?}");
    }
}

#[test]
fn a_host_that_is_removed_loses_its_line_at_once() {
    is_cut_at_once(&["hosts", "rm", "alpha"], "this host was removed");
}

#[test]
fn a_host_whose_credential_is_revoked_loses_its_line_at_once() {
    is_cut_at_once(&["hosts", "credential", "revoke", "alpha"], "does not know this host's credential");
}

#[test]
fn where_lasting_connections_are_ended_plain_requests_take_over() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    proxy.cuts_after(Duration::from_secs(2));
    let url = format!("http://{}", proxy.address());
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start_with(&[LOUD, ("HTTPS_PROXY", &url)]);
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
