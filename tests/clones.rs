//! A card that was copied, and one that was moved: what becomes of the host, and of the copy.

use muster_tests::process::Ran;
use muster_tests::{Agent, Server, eventually, text, texts};
use std::time::Duration;

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

/// Joins as `alpha` on a board of its own, and runs.
fn original(server: &Server, join: &str) -> Agent {
    let mut agent = Agent::new(NO_ENGINE);
    let state = agent.state_dir();
    agent.command(&["join", join, "--state-dir", &state, "--name", "alpha", "--fingerprint", "board A"]).ok();
    start(&mut agent, "board A");
    server.wait_for_host("alpha", "is active", |host| host["state"] == "active");
    agent
}

fn start(agent: &mut Agent, board: &str) {
    agent.start_with(&[("MUSTER_FINGERPRINT", board), ("MUSTER_NAME", "alpha")]);
}

/// Its card, copied. The agent may run: files that it is just writing come and go.
fn copy_of(agent: &Agent) -> Agent {
    eventually("the card is copied", || {
        let copy = Agent::new(NO_ENGINE);
        let ran = Ran::of("cp", &["-a", &agent.state_dir(), &copy.state_dir()], &[], 60);
        if ran.code == 0 { Ok(copy) } else { Err(ran.stderr) }
    })
}

fn identity(agent: &Agent) -> String {
    let path = format!("{}/identity", agent.state_dir());
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn line<'a>(identity: &'a str, key: &str) -> &'a str {
    let found = identity.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    found.unwrap_or_else(|| panic!("no {key}"))
}

/// What happened to the host itself.
fn story(server: &Server, host: &str) -> Vec<String> {
    let all = texts(&server.events(host), "action");
    // On a busy machine a host that reports each second may be missed for a moment.
    let fleeting = ["host_reconnecting", "host_active"];
    all.into_iter().filter(|action| action.starts_with("host_") && !fleeting.contains(&action.as_str())).collect()
}

/// Waits for some reports that were made after this call.
fn wait_for_reports(server: &Server, host: &str, count: usize) {
    let mut last = String::new();
    for _ in 0..=count {
        let seen = server.wait_for_host(host, "is heard", |host| text(host, "last_seen") != last);
        last = text(&seen, "last_seen").to_owned();
    }
}

#[test]
fn a_clone_beside_its_original_becomes_a_host_of_its_own() {
    let server = Server::start();
    let original = original(&server, &server.join_string(&["--uses", "2"]));
    let before = (server.host("alpha")["id"].clone(), story(&server, "alpha"));
    let mut clone = copy_of(&original);
    let copied = identity(&clone);
    start(&mut clone, "board B");
    let own = server.wait_for_host("alpha-2", "has joined by itself", |host| host["state"] == "active");
    assert_ne!(own["id"], before.0);
    assert_ne!(line(&identity(&clone), "credential"), line(&copied, "credential"));
    assert_eq!(line(&identity(&clone), "host"), text(&own, "id"));
    wait_for_reports(&server, "alpha", 3);
    let alpha = server.host("alpha");
    assert_eq!((&alpha["id"], &alpha["conflict"], &alpha["state"]), (&before.0, &false.into(), &"active".into()));
    assert_eq!(story(&server, "alpha"), before.1, "nothing has happened to the original");
    assert_eq!(line(&identity(&original), "credential"), line(&copied, "credential"));
    clone.kill();
    start(&mut clone, "board B");
    wait_for_reports(&server, "alpha-2", 2);
    assert_eq!(server.hosts().len(), 2, "it stays what it has become");
    assert!(!std::path::Path::new(&format!("{}/identity.anew", clone.state_dir())).exists());
}

#[test]
fn a_clone_that_may_not_join_shows_as_a_conflict_and_its_original_is_not_disturbed() {
    let server = Server::start();
    let original = original(&server, &server.join_string(&["--uses", "1"]));
    let before = story(&server, "alpha");
    let mut clone = copy_of(&original);
    let copied = identity(&clone);
    start(&mut clone, "board B");
    server.wait_for_host("alpha", "shows the conflict", |host| host["conflict"] == true);
    eventually("the copy says so", || {
        let log = clone.process().log();
        muster_tests::wait::when(log.contains("is used up") && log.contains("asking again in 5 minutes"), &log)
    });
    wait_for_reports(&server, "alpha", 3);
    assert_eq!(story(&server, "alpha")[before.len()..], ["host_conflict"]);
    assert_eq!(server.host("alpha")["state"], "active");
    assert_eq!(server.hosts().len(), 1);
    assert_eq!(identity(&clone), copied, "it gives up nothing before it has something else");
    // Its operator makes it a host of its own by hand.
    clone.kill();
    std::fs::remove_dir_all(clone.state_dir()).expect("removing the state");
    clone.join_with(&server.join_string(&["--name", "beta"])).ok();
    start(&mut clone, "board B");
    server.wait_for_host("beta", "is active", |host| host["state"] == "active");
}

#[test]
#[ignore = "takes more than a minute by its nature: runs with `./test.sh --all`"]
fn a_card_that_was_moved_keeps_its_identity_and_that_is_noted() {
    let server = Server::start();
    let mut agent = original(&server, &server.join_string(&["--uses", "2"]));
    let id = server.host("alpha")["id"].clone();
    agent.kill();
    start(&mut agent, "board B");
    let moved =
        |host: &serde_json::Value| host["state"] == "active" && story(&server, "alpha").contains(&"host_moved".into());
    let alpha = server.wait_for_host_within(Duration::from_secs(200), "alpha", "has moved", moved);
    assert_eq!((&alpha["id"], server.hosts().len()), (&id, 1));
    let event = server.wait_for_event("alpha", "the move", |event| event["action"] == "host_moved");
    assert_ne!(event["attributes"]["from"], event["attributes"]["to"], "{event}");
    assert_eq!(alpha["conflict"], false);
}
