//! A report costs what has changed, and the server's copy is the host's all the same.

use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Proxy, Server, eventually, text};

/// Bytes of labels of one container.
const LABEL: usize = 250;

/// Bytes through the proxy while the host is heard this often.
fn bytes_of_reports(proxy: &Proxy, server: &Server, reports: u32) -> u64 {
    let before = proxy.bytes();
    for _ in 0..reports {
        let last = text(&server.host("alpha"), "last_seen").to_owned();
        eventually("another report", || {
            let seen = text(&server.host("alpha"), "last_seen").to_owned();
            if seen != last { Ok(()) } else { Err(seen) }
        });
    }
    proxy.bytes() - before
}

#[test]
fn an_unchanged_report_does_not_grow_with_the_host() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let proxy = Proxy::start(server.port(), "");
    let labels: Vec<String> = (0..20).map(|number| format!("l{number}={}", "x".repeat(LABEL))).collect();
    let options: Vec<&str> = labels.iter().flat_map(|label| ["-l", label.as_str()]).collect();
    let names: Vec<String> = (0..10).map(|number| format!("web{number}")).collect();
    for name in &names {
        engine.run_with(name, &options, &["live"]);
    }
    let mut agent = Agent::new(&engine.docker_host());
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start_with(&[("HTTPS_PROXY", &format!("http://{}", proxy.address()))]);
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);

    let everything = (names.len() * labels.len() * LABEL) as u64;
    let unchanged = bytes_of_reports(&proxy, &server, 5);
    assert!(unchanged < everything / 5, "five reports took {unchanged} bytes; one whole list is {everything}");

    // What changes is sent, and only that.
    let before = proxy.bytes();
    engine.docker(&["stop", "web0"]);
    engine.docker(&["rename", "web1", "other"]);
    engine.docker(&["rm", "-f", "web2"]);
    wait_for_truth(&server, "alpha", &engine);
    let changed = proxy.bytes() - before;
    assert!(changed < everything, "{changed} bytes for three changes; one whole list is {everything}");
    server.settle("alpha", &engine);
    assert_eq!(server.host("alpha")["hidden"], 0);
}
