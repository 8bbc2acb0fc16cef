//! What operators ask of hosts while they run: how often they report, to go, to come back, other credentials. And that
//! all of it is on record.

use muster_tests::place::Place;
use muster_tests::process::{self, Process, program};
use muster_tests::wait::when;
use muster_tests::{Agent, Server, eventually, text, texts};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

fn joined(server: &Server, name: &str, options: &[&str]) -> Agent {
    let mut agent = Agent::new(NO_ENGINE);
    agent.join_with(&server.join_string(&[&["--name", name], options].concat())).ok();
    agent.start();
    server.wait_for_host(name, "is active", |host| host["state"] == "active");
    agent
}

fn story(server: &Server, host: &str) -> Vec<String> {
    let all = texts(&server.events(host), "action");
    all.into_iter().filter(|action| action.starts_with("host_")).collect()
}

fn wait_for_reports(server: &Server, host: &str, count: usize) {
    let mut last = String::new();
    for _ in 0..=count {
        let seen = server.wait_for_host(host, "is heard", |host| text(host, "last_seen") != last);
        last = text(&seen, "last_seen").to_owned();
    }
}

fn identity_line(agent: &Agent, key: &str) -> Option<String> {
    let identity = std::fs::read_to_string(format!("{}/identity", agent.state_dir())).expect("an identity");
    identity.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(" = ")?.to_owned()))
}

#[test]
fn an_interval_reaches_a_host_that_runs_and_liveness_does_not_flap() {
    let server = Server::start();
    let mut agent = joined(&server, "alpha", &[]);
    let before = ["host_joined", "host_active"];
    // A host is shown as active a moment before its history has it.
    eventually("its history begins", || when(story(&server, "alpha") == before, story(&server, "alpha").join(" ")));
    assert_eq!(server.muster(&["hosts", "set", "alpha", "--interval", "5s"]).ok(), "alpha");
    server.wait_for_host("alpha", "reports less often", |host| host["interval"] == 5.0 && host["interval_set"] == 5.0);
    wait_for_reports(&server, "alpha", 3);
    agent.crash();
    wait_for_reports(&server, "alpha", 2);
    server.wait_for_host("alpha", "has heard of it again", |host| host["interval"] == 5.0);
    assert_eq!(server.muster(&["hosts", "set", "alpha", "--interval", "default"]).ok(), "alpha");
    server.wait_for_host("alpha", "reports as it was started", |host| {
        host["interval"] == 1.0 && host["interval_set"] == Value::Null
    });
    wait_for_reports(&server, "alpha", 5);
    assert_eq!(story(&server, "alpha"), before, "it was never missed");
    server.muster(&["hosts", "set", "alpha", "--interval", "2h"]).refuses(2);
    server.muster(&["hosts", "set", "nobody", "--interval", "5s"]).refuses(6);
}

#[test]
fn an_interval_is_set_for_all_that_have_a_label() {
    let server = Server::start();
    let _attic = joined(&server, "attic", &["--label", "link=metered"]);
    let _cellar = joined(&server, "cellar", &["--label", "link=metered"]);
    let _office = joined(&server, "office", &["--label", "link=fibre"]);
    let set = server.muster(&["hosts", "set", "--label", "link=metered", "--interval", "3s"]).ok();
    assert_eq!(set, "attic\ncellar");
    for host in ["attic", "cellar"] {
        server.wait_for_host(host, "reports less often", |host| host["interval"] == 3.0);
    }
    assert_eq!(server.host("office")["interval_set"], Value::Null);
    server.muster(&["hosts", "set", "--label", "link=none", "--interval", "3s"]).refuses(6);
}

#[test]
fn a_removed_host_is_refused_and_can_be_restored() {
    let server = Server::start();
    let mut agent = joined(&server, "alpha", &[]);
    let id = server.host("alpha")["id"].clone();
    server.muster(&["hosts", "rm", "alpha"]).ok();
    agent.status().exits(7);
    eventually("the agent says so once", || {
        let log = agent.process().log();
        when(log.matches("this host was removed on the server").count() == 1, &log)
    });
    assert!(server.find_host("alpha").is_none());
    let all = server.json(&["hosts", "--all"]);
    assert_eq!((texts(&all, "state"), texts(&all, "name")), (vec!["removed".into()], vec!["alpha".to_string()]));
    let mut other = joined(&server, "alpha", &[]);
    assert_eq!(server.muster(&["hosts", "restore", text(&all[0], "id")]).ok(), "alpha-2");
    // It would ask again in an hour.
    agent.crash();
    let back = server.wait_for_host("alpha-2", "is back", |host| host["state"] == "active");
    assert_eq!(back["id"], id);
    // The server knows it; there is no engine here.
    agent.status().exits(8);
    eventually("its history says so, too", || {
        let story = story(&server, "alpha-2");
        when(muster_tests::in_order(&story, &["host_removed", "host_restored", "host_active"]), story)
    });
    server.muster(&["hosts", "restore", "alpha-2"]).refuses(1);
    assert_eq!(other.stop(), 0);
}

#[test]
fn a_credential_is_rotated_while_the_host_reports() {
    let server = Server::start();
    let agent = joined(&server, "alpha", &[]);
    let before = identity_line(&agent, "credential");
    assert_eq!(server.muster(&["hosts", "credential", "rotate", "alpha"]).ok(), "alpha");
    server.wait_for_event("alpha", "the new credential", |event| event["action"] == "host_credential_renewed");
    eventually("it is on the agent's disk", || {
        let now = identity_line(&agent, "credential");
        when(now != before && identity_line(&agent, "previous") == before, "")
    });
    assert_eq!(server.host("alpha")["credential"], "valid");
    wait_for_reports(&server, "alpha", 3);
    // The server knows it; there is no engine here.
    agent.status().exits(8);
    let lost = story(&server, "alpha").into_iter().filter(|one| one == "host_reconnecting").count();
    assert_eq!(lost, 0, "{:?}", story(&server, "alpha"));
}

#[test]
fn a_rotation_survives_agents_and_servers_that_are_killed_in_the_middle() {
    let mut server = Server::start();
    let mut agent = joined(&server, "alpha", &[]);
    let id = server.host("alpha")["id"].clone();
    for round in 0..6u64 {
        let before = identity_line(&agent, "credential");
        server.muster(&["hosts", "credential", "rotate", "alpha"]).ok();
        // The moment at which it is killed is another one each time.
        std::thread::sleep(Duration::from_millis(round * 170));
        agent.kill();
        if round % 2 == 1 {
            server.crash();
        }
        agent.start();
        server.wait_for_host("alpha", "has a new credential", |host| {
            host["credential"] == "valid" && host["state"] == "active"
        });
        eventually("it is on the agent's disk", || when(identity_line(&agent, "credential") != before, round));
        assert_eq!(server.host("alpha")["id"], id);
    }
    assert_eq!(server.hosts().len(), 1);
    // The server knows it; there is no engine here.
    agent.status().exits(8);
}

#[test]
fn a_revoked_credential_counts_no_more_and_the_host_may_join_again() {
    let server = Server::start();
    let mut agent = joined(&server, "alpha", &[]);
    let before = identity_line(&agent, "credential");
    assert_eq!(server.muster(&["hosts", "credential", "revoke", "alpha"]).ok(), "alpha");
    agent.status().exits(4);
    eventually("the agent says what to do", || {
        let log = agent.process().log();
        when(log.contains("join again"), &log)
    });
    server.wait_for_host("alpha", "is missed", |host| host["state"] == "reconnecting");
    assert_eq!(server.host("alpha")["credential"], "revoked");
    agent.kill();
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    assert_ne!(identity_line(&agent, "credential"), before);
    agent.start();
    server.wait_for_host("alpha-2", "has joined again", |host| host["state"] == "active");
}

#[test]
fn all_that_operators_do_is_on_record_and_only_administrators_read_it() {
    let server = Server::start();
    let _agent = joined(&server, "alpha", &[]);
    let viewer = server.muster(&["token", "create", "--role", "viewer", "--name", "wall"]).ok();
    server.muster(&["hosts", "rename", "alpha", "attic"]).ok();
    server.muster(&["hosts", "set", "attic", "--interval", "3s"]).ok();
    server.muster_from_afar(&viewer, server.pin(), &["hosts", "rm", "attic"]).refuses(4);
    server.muster_from_afar(&viewer, server.pin(), &["audit"]).refuses(4);
    server.muster(&["hosts", "rm", "attic"]).ok();
    server.muster(&["hosts", "restore", "attic"]).ok();
    let rows = server.json(&["audit"]);
    let actions = texts(&rows, "action");
    let expected = [
        "host.restore",
        "host.remove",
        "denied",
        "denied",
        "host.set",
        "host.rename",
        "api_token.make",
        "join_token.make",
    ];
    assert_eq!(actions, expected, "newest first");
    let rename = &rows[5];
    assert_eq!((text(rename, "token"), text(rename, "peer"), text(rename, "target")), ("admin", "127.0.0.1", "alpha"));
    assert_eq!(rename["attributes"], json!({"from": "alpha", "to": "attic"}));
    assert_eq!((text(&rows[2], "name"), text(&rows[2], "target")), ("wall", "GET /api/v1/audit"));
    assert_eq!(texts(&server.json(&["audit", "--limit", "2"]), "action"), expected[..2]);
    assert!(server.json(&["audit", "--until", "1h"]).is_empty());
    let table = server.muster(&["audit", "--since", "1h"]).ok();
    assert!(table.contains("host.rename") && !table.contains(&viewer) && !table.contains(&server.admin_token()));
}

#[test]
fn who_loses_their_token_loses_what_they_watch() {
    let server = Server::start();
    let _agent = joined(&server, "alpha", &[]);
    let made = server.json(&["token", "create", "--role", "viewer", "--name", "wall"]);
    let (id, token) = (text(&made[0], "id").to_owned(), text(&made[0], "token").to_owned());
    let place = Place::new();
    let mut command = Command::new(program("muster"));
    let url = format!("https://127.0.0.1:{}", server.port());
    process::clean(&mut command).args(["events", "-f", "--filter", "action=host_renamed"]);
    command.env("MUSTER_URL", &url).env("MUSTER_TOKEN", &token).env("MUSTER_PIN", server.pin());
    let mut watching = Process::start_read("watcher", &mut command, &place.join("watcher.log"));
    let mut number = 0;
    eventually("it watches", || {
        number += 1;
        let host = server.hosts()[0]["id"].clone();
        server.muster(&["hosts", "rename", host.as_str().unwrap_or_default(), &format!("alpha{number}")]).ok();
        when(watching.line(Duration::from_millis(500)).is_some(), "nothing")
    });
    server.muster(&["token", "rm", &id]).ok();
    let code = eventually("it ends", || watching.ended().ok_or_else(|| watching.log()));
    assert_eq!(code, 4, "{}", watching.log());
}

#[test]
fn an_agent_that_still_tries_to_join_ends_when_it_is_told_to() {
    let mut server = Server::start();
    let join = server.join_string(&[]);
    server.kill();
    let mut agent = Agent::new(NO_ENGINE);
    agent.start_with(&[("MUSTER_JOIN", &join)]);
    eventually("it says that it tries", || {
        let log = agent.process().log();
        when(log.contains("trying again"), &log)
    });
    assert_eq!(agent.stop(), 0, "as a container's first process it would not die of a signal that it ignores");
}
