//! Join tokens: expiring, use-limited, revocable, judged by the server alone.

use muster_tests::truth::{nanoseconds, now_seconds};
use muster_tests::{Agent, Server, eventually, text};
use serde_json::Value;

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

fn join_tokens(server: &Server) -> Vec<Value> {
    server.all_items("/api/v1/join-tokens", 500)
}

/// Joining is refused with 4, says why, and leaves nothing.
#[track_caller]
fn is_refused(agent: &Agent, join: &str) {
    agent.join_with(join).refuses(4);
    assert!(agent.has_no_state(), "a join that failed left something in its state directory");
}

#[test]
fn an_expired_token_is_refused() {
    let server = Server::start();
    let join = server.join_string(&["--ttl", "1s"]);
    let expires = nanoseconds(text(&join_tokens(&server)[0], "expires_at")).expect("a time");
    eventually("the token's time is over", || {
        let now = i128::from(now_seconds()) * 1_000_000_000;
        if now > expires { Ok(()) } else { Err(format!("{now}")) }
    });
    is_refused(&Agent::new(NO_ENGINE), &join);
    assert!(server.hosts().is_empty());
}

#[test]
fn a_used_up_token_is_refused_and_repeating_costs_no_use() {
    let server = Server::start();
    let join = server.join_string(&["--uses", "1", "--name", "alpha"]);
    let (first, second) = (Agent::new(NO_ENGINE), Agent::new(NO_ENGINE));
    first.join_with(&join).ok();
    let host = server.host("alpha");
    is_refused(&second, &join);
    first.join_with(&join).ok();
    assert_eq!(server.hosts().len(), 1, "joining again is the same host");
    assert_eq!(server.host("alpha")["id"], host["id"]);
    let token = &join_tokens(&server)[0];
    assert_eq!((&token["used"], &token["uses_left"]), (&1.into(), &0.into()), "{token}");
}

#[test]
fn a_repeated_join_costs_no_use_while_uses_are_left() {
    let server = Server::start();
    let join = server.join_string(&["--uses", "2", "--name", "alpha"]);
    let (first, second) = (Agent::new(NO_ENGINE), Agent::new(NO_ENGINE));
    for _ in 0..3 {
        first.join_with(&join).ok();
    }
    second.join_with(&join).ok();
    assert_eq!(server.hosts().len(), 2);
    assert!(server.find_host("alpha-2").is_some(), "names that collide get a number: {:?}", server.hosts());
}

#[test]
fn a_revoked_token_is_refused_and_its_hosts_stay() {
    let server = Server::start();
    let join = server.join_string(&["--name", "alpha"]);
    let (first, second) = (Agent::new(NO_ENGINE), Agent::new(NO_ENGINE));
    first.join_with(&join).ok();
    let id = text(&join_tokens(&server)[0], "id").to_owned();
    let path = format!("/api/v1/join-tokens/{id}");
    let (status, body) = server.api("DELETE", &path, Some(&server.admin_token()), None);
    assert!(status == 200 || status == 204, "{status} {body}");
    is_refused(&second, &join);
    assert!(server.find_host("alpha").is_some());
}

#[test]
fn an_unknown_token_is_refused() {
    let server = Server::start();
    let join = server.join_string(&[]);
    let (head, tail) = join.split_once('@').expect("a join string has an @");
    let last = if head.ends_with('a') { 'b' } else { 'a' };
    let wrong = format!("{}{last}@{tail}", &head[..head.len() - 1]);
    is_refused(&Agent::new(NO_ENGINE), &wrong);
    assert!(server.hosts().is_empty());
}

#[test]
fn of_many_that_join_at_once_as_many_win_as_may() {
    let server = Server::start();
    let join = server.join_string(&["--uses", "1"]);
    let agents: Vec<Agent> = (0..4).map(|_| Agent::new(NO_ENGINE)).collect();
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let joins: Vec<_> = agents.iter().map(|agent| scope.spawn(|| agent.join_with(&join).code)).collect();
        joins.into_iter().map(|one| one.join().expect("a join does not panic")).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 4).count(), 3, "{codes:?}");
    assert_eq!(server.hosts().len(), 1);
    let bare = agents.iter().filter(|agent| agent.has_no_state()).count();
    assert_eq!(bare, 3, "those that failed leave nothing, the one that won keeps its identity");
}

#[test]
fn tokens_are_never_shown_again_and_give_labels() {
    let server = Server::start();
    let join = server.join_string(&["--label", "site=north", "--label", "rack=2", "--name", "alpha"]);
    let token = join.trim_start_matches("muster://").split('@').next().expect("a token").to_owned();
    assert!(token.len() >= 20, "a token must not be guessable: {token}");
    let listed = format!("{:?}", join_tokens(&server));
    assert!(!listed.contains(&token), "a list shows a token");
    let agent = Agent::new(NO_ENGINE);
    agent.join_with(&join).ok();
    let host = server.host("alpha");
    assert_eq!((&host["labels"]["site"], &host["labels"]["rack"]), (&"north".into(), &"2".into()), "{host}");

    // Nor does the server keep them, or credentials: a stolen store joins nobody.
    let found = |needle: &str| {
        let script = "grep -rlaF -- \"$1\" \"$2\"";
        let arguments = ["-c", script, "grep", needle, &server.data_dir()];
        muster_tests::process::Ran::of("sh", &arguments, &[], 30).stdout
    };
    assert_eq!(found(&token), "", "the token lies on the server's disk");
}

#[test]
fn the_join_string_can_come_by_input_or_environment() {
    let server = Server::start();
    let by_input = Agent::new(NO_ENGINE);
    by_input.join_from_input(&format!("{}\n", server.join_string(&["--name", "alpha"]))).ok();
    assert!(server.find_host("alpha").is_some());

    let mut by_environment = Agent::new(NO_ENGINE);
    by_environment.start_with(&[("MUSTER_JOIN", &server.join_string(&["--name", "beta"]))]);
    server.wait_for_host("beta", "has joined by itself", |host| host["state"] == "active");
}

#[test]
fn a_flashed_join_string_is_used_at_the_first_run() {
    let server = Server::start();
    let mut agent = Agent::new(NO_ENGINE);
    std::fs::create_dir(agent.state_dir()).expect("making the state directory");
    let path = format!("{}/join", agent.state_dir());
    std::fs::write(path, format!("{}\n", server.join_string(&["--name", "alpha", "--uses", "1"]))).expect("writing it");
    agent.start();
    server.wait_for_host("alpha", "has joined by itself", |host| host["state"] == "active");
    agent.crash();
    server.wait_for_host("alpha", "is still the same", |host| host["state"] == "active");
    assert_eq!(server.hosts().len(), 1, "the next run does not join again");
}

#[test]
fn one_command_joins_and_runs() {
    let server = Server::start();
    let mut agent = Agent::new(NO_ENGINE);
    agent.start_joining(&server.join_string(&["--name", "alpha"]));
    server.wait_for_host("alpha", "has joined and runs", |host| {
        host["state"] == "active" && host["engine"]["state"] == "absent"
    });
    assert_eq!(agent.process().ended(), None);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn run_without_an_identity_keeps_trying() {
    let mut server = Server::start();
    let join = server.join_string(&["--name", "alpha"]);
    server.kill();
    let mut agent = Agent::new(NO_ENGINE);
    agent.start_with(&[("MUSTER_JOIN", &join)]);
    assert_eq!(agent.process().ended(), None);
    agent.join_with(&join).refuses(3);
    server.start_again();
    server.wait_for_host("alpha", "has joined by itself", |host| host["state"] == "active");
}

#[test]
fn a_join_that_does_not_reach_the_server_leaves_nothing() {
    let mut server = Server::start();
    let join = server.join_string(&[]);
    server.kill();
    let agent = Agent::new(NO_ENGINE);
    agent.join_with(&join).refuses(3);
    assert!(agent.has_no_state());
    agent.join_with("muster://nonsense").refuses(2);
    assert!(agent.has_no_state());
    server.start_again();
    agent.join_with(&join).ok();
}

#[test]
fn secrets_on_disk_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    let agent = Agent::new(NO_ENGINE);
    agent.join_with(&server.join_string(&[])).ok();
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(std::path::Path::new(&server.data_file("admin.token"))), 0o600);
    for entry in std::fs::read_dir(agent.state_dir()).expect("a state directory").flatten() {
        let mode = mode(&entry.path());
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
    }
}
