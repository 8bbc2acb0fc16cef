//! Agents and the command line reach a server through a proxy that the environment names.

use muster_tests::process::{Ran, program};
use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::{Agent, Engine, Proxy, Server, eventually, text};

/// A name that only the proxy knows the way to: what arrives went through it.
const ELSEWHERE: &str = "muster.invalid:7443";
const USER: &str = "ann";
const PASSWORD: &str = "hush-hush";
/// Both, as the proxy sees them.
const HEADER: &str = "Proxy-Authorization: Basic YW5uOmh1c2gtaHVzaA==\r\n";
/// Seconds for a command.
const LIMIT: u32 = 60;

/// A join string that names the server by a name that only the proxy knows.
fn join_string(server: &Server) -> String {
    let join = server.join_string(&["--name", "alpha"]);
    let here = format!("127.0.0.1:{}", server.port());
    assert!(join.contains(&here), "{join}");
    join.replace(&here, ELSEWHERE)
}

fn join(agent: &Agent, string: &str, environment: &[(&str, &str)]) -> Ran {
    Ran::of(&program("muster-agent"), &["join", string, "--state-dir", &agent.state_dir()], environment, LIMIT)
}

/// `muster hosts` on another machine.
fn hosts(server: &Server, place: &str, environment: &[(&str, &str)]) -> Ran {
    let (url, token) = (format!("https://{place}"), server.admin_token());
    let mut all = vec![("MUSTER_URL", url.as_str()), ("MUSTER_TOKEN", token.as_str()), ("MUSTER_PIN", server.pin())];
    all.extend(environment);
    Ran::of(&program("muster"), &["hosts", "--format", "json"], &all, LIMIT)
}

#[test]
fn all_that_a_host_says_may_go_through_a_proxy_that_comes_and_goes() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut proxy = Proxy::start(server.port(), HEADER);
    let url = format!("http://{USER}:{PASSWORD}@{}", proxy.address());
    let environment = [("HTTPS_PROXY", url.as_str()), ("MUSTER_LOG", "debug")];

    let mut agent = Agent::new(&engine.docker_host());
    join(&agent, &join_string(&server), &environment).ok();
    agent.start_with(&environment);
    agent.wait_until_heard(&server, "alpha");
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["create", "start"]);
    wait_for_truth(&server, "alpha", &engine);
    let targets = proxy.targets();
    assert!(targets.len() >= 2 && targets.iter().all(|target| target == ELSEWHERE), "{targets:?}");
    let carried = proxy.bytes();
    assert!(carried > 1000, "{carried} bytes");

    for round in 0..2 {
        proxy.kill();
        for action in ["pause", "unpause"] {
            engine.docker(&[action, "web"]);
        }
        let named = format!("the proxy http://{}", proxy.address());
        eventually("the agent says which proxy is gone", || {
            let log = agent.process().log();
            if log.contains(&named) { Ok(()) } else { Err(log) }
        });
        assert_eq!(server.actions("alpha", &id).len(), 2 + 2 * round, "nothing went another way");
        proxy.start_again();
        eventually("what was kept arrives", || match server.actions("alpha", &id).len() {
            count if count == 4 + 2 * round => Ok(()),
            count => Err(count.to_string()),
        });
    }
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    assert_eq!(server.actions("alpha", &id), ["create", "start", "pause", "unpause", "pause", "unpause"]);
    assert!(proxy.bytes() > carried && proxy.targets().len() > targets.len());

    let log = agent.process().log();
    assert!(!log.contains(PASSWORD) && !log.contains("YW5uO"), "a secret in the log:\n{log}");
}

#[test]
fn a_join_that_a_proxy_hinders_says_so_and_leaves_nothing() {
    let server = Server::start();
    let mut proxy = Proxy::start(server.port(), HEADER);
    let (string, agent) = (join_string(&server), Agent::new("unix:///nowhere/docker.sock"));
    let address = proxy.address();
    let with = |userinfo: &str| format!("http://{userinfo}{address}");
    let refused = |url: &str, reason: &str| {
        let ran = join(&agent, &string, &[("https_proxy", url)]);
        let line = ran.refuses(3).stderr.trim();
        assert!(line.contains(reason) && !line.contains(PASSWORD) && !line.contains("wrong"), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(agent.has_no_state());
    };
    let named = |what: &str| format!("the proxy http://{address} {what}");
    refused(&with(""), &named("demands a user name and password"));
    refused(&with("ann:wrong@"), &named("does not accept"));
    refused(&format!("gopher://{USER}:{PASSWORD}@{address}"), "https_proxy cannot be used");
    proxy.kill();
    refused(&with(&format!("{USER}:{PASSWORD}@")), &named("refused the connection"));
    assert!(server.hosts().is_empty());
    proxy.start_again();
    let url = with(&format!("{USER}:{PASSWORD}@"));
    join(&agent, &string, &[("ALL_PROXY", &url)]).ok();
    assert_eq!(text(&server.host("alpha"), "name"), "alpha");
}

#[test]
fn the_command_line_takes_the_same_variables() {
    let server = Server::start();
    let proxy = Proxy::start(server.port(), "");
    let address = proxy.address();
    let here = format!("127.0.0.1:{}", server.port());
    hosts(&server, ELSEWHERE, &[("HTTPS_PROXY", &address)]).ok();
    assert_eq!(proxy.targets(), [ELSEWHERE]);
    // Loopback is no exception, unless it is made one.
    hosts(&server, &here, &[("all_proxy", &address)]).ok();
    assert_eq!(proxy.targets(), [ELSEWHERE, &here]);
    hosts(&server, &here, &[("all_proxy", &address), ("NO_PROXY", "localhost,127.0.0.0/8")]).ok();
    assert_eq!(proxy.targets().len(), 2);
    drop(proxy);
    let ran = hosts(&server, ELSEWHERE, &[("HTTPS_PROXY", &address)]);
    let line = &ran.refuses(3).stderr;
    assert!(line.contains(&format!("the proxy http://{address} refused the connection")), "{line}");
}
