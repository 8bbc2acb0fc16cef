//! The command line: exit codes, JSON that is the API's, hosts removed and renamed.

use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server, eventually, text, texts};
use serde_json::Value;

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

#[test]
fn exit_codes_say_what_went_wrong() {
    let mut server = Server::start();
    let (token, pin) = (server.admin_token(), server.pin().to_owned());
    server.muster(&["--no-such-flag"]).refuses(2);
    server.muster(&["hosts", "--format", "yaml"]).refuses(2);
    server.muster(&["events", "--since", "last tuesday"]).refuses(2);
    server.muster(&["ps", "--filter", "colour=green"]).refuses(2);
    server.muster(&["ps", "--filter", "state"]).refuses(2);
    server.muster(&["join-command", "--ttl", "soon"]).refuses(2);
    server.muster(&["join-command", "--uses", "0"]).refuses(2);
    server.muster(&["join-command", "--label", "nothing"]).refuses(2);
    server.muster(&["serve", "--listen", "nowhere"]).refuses(2);
    server.muster(&["inspect", "nothing"]).refuses(6);
    server.muster(&["ps", "--host", "nobody"]).refuses(6);
    server.muster(&["hosts", "rm", "nobody"]).refuses(6);
    server.muster(&["hosts", "rename", "nobody", "somebody"]).refuses(6);
    server.muster_from_afar("wrong", &pin, &["hosts"]).refuses(4);
    server.muster_from_afar(&token, &pin, &["hosts"]).ok();
    server.kill();
    server.muster(&["hosts"]).refuses(3);
    server.muster_from_afar(&token, &pin, &["hosts"]).refuses(3);

    let agent = Agent::new(NO_ENGINE);
    agent.command(&["--no-such-flag"]).refuses(2);
    agent.command(&["join"]).refuses(2);
    agent.command(&["run", "--interval", "soon"]).refuses(2);
    agent.command(&["run", "--docker-host", "ftp://nowhere", "--state-dir", &agent.state_dir()]).refuses(2);
    agent.command(&["--help"]).ok();
    server.muster(&["--help"]).ok();
    assert!(server.muster(&["--version"]).ok().contains(env!("CARGO_PKG_VERSION")));
    assert!(agent.command(&["--version"]).ok().contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn json_is_one_object_a_line_and_the_apis() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let agent = Agent::join(&server, &engine);
    engine.run("web");
    engine.docker(&["create", "--name", "idle", "probe", "live"]);
    wait_for_truth(&server, "alpha", &engine);
    // Nobody reports any more: both ways of asking see the same.
    drop(agent);
    server.wait_for_host("alpha", "is missed", |host| host["state"] != "active");
    server.wait_for_event("alpha", "that it is missed", |event| event["action"] == "host_reconnecting");
    assert_eq!(server.json(&["ps", "-a"]), server.all_items("/api/v1/containers?all=true", 1));
    assert_eq!(server.json(&["ps"]), server.all_items("/api/v1/containers", 1));
    assert_eq!(server.json(&["events"]), server.all_items("/api/v1/events", 2));
    assert_eq!(server.json(&["hosts"]), server.all_items("/api/v1/hosts", 1));
    assert_eq!(server.json(&["inspect", "web"])[0], server.get("/api/v1/containers/web"));
    assert_eq!(server.json(&["inspect", "alpha/web"])[0], server.get("/api/v1/containers/alpha/web"));
}

#[test]
fn ps_filters_and_shows_ids() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run_with("web", &["-l", "app=shop"], &["live"]);
    engine.run_with("job", &["-l", "app=mill"], &["end", "0", "0"]);
    server.wait_for_state("alpha", "job", "exited");
    wait_for_truth(&server, "alpha", &engine);
    let names = |filter: &str| texts(&server.json(&["ps", "--filter", filter]), "name");
    assert_eq!(names("state=running"), ["web"]);
    assert_eq!(names("label=app=mill"), ["job"]);
    assert_eq!(names("label=app"), ["job", "web"]);
    assert_eq!(names("name=we"), ["web"]);
    assert_eq!(names("host=alpha"), ["job", "web"]);
    assert_eq!(server.muster(&["ps", "-q", "--no-trunc", "--filter", "name=web"]).ok(), id);
    assert_eq!(server.muster(&["ps", "-q", "--filter", "name=web"]).ok(), id[..12]);
    let table = server.muster(&["ps"]).ok();
    assert!(table.contains("web") && table.contains("alpha") && table.contains(&id[..12]), "{table}");
    assert!(!table.contains(&id), "a table shortens ids: {table}");
    assert!(server.muster(&["ps", "--no-trunc"]).ok().contains(&id));
    let table = server.muster(&["hosts"]).ok();
    assert!(table.contains("alpha") && table.contains("active"), "{table}");
}

#[test]
fn events_filter_and_bound() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    engine.docker(&["stop", "web"]);
    server.settle("alpha", &engine);
    let die = server.json(&["events", "--filter", "action=die", "--filter", "container=web"]);
    assert_eq!(texts(&die, "container_id"), [id.as_str()]);
    let time = text(&die[0], "time").to_owned();
    let since = texts(&server.json(&["events", "--filter", "container=web", "--since", &time]), "action");
    assert!(since.contains(&"die".to_owned()) && !since.contains(&"create".to_owned()), "{since:?}");
    let until = texts(&server.json(&["events", "--filter", "container=web", "--until", &time]), "action");
    assert!(until.contains(&"die".to_owned()) && until.contains(&"create".to_owned()), "{until:?}");
    assert!(server.json(&["events", "--until", "1h", "--filter", "container=web"]).is_empty());
    assert!(!server.json(&["events", "--since", "1h", "--filter", "container=web"]).is_empty());
}

#[test]
fn a_removed_host_is_gone_and_its_agent_says_so() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    engine.run("web");
    wait_for_truth(&server, "alpha", &engine);
    agent.status().exits(0);
    server.muster(&["hosts", "rm", "alpha"]).ok();
    assert!(server.find_host("alpha").is_none(), "{:?}", server.hosts());
    assert!(server.json(&["ps", "-a"]).is_empty());
    eventually("the agent knows that its host was removed", || {
        let status = agent.status();
        if status.code == 7 { Ok(()) } else { Err(format!("{status:?}")) }
    });
    assert_eq!(agent.process().ended(), None, "run does not end for that");
    // The name is free again.
    let other = Agent::new(NO_ENGINE);
    other.join_with(&server.join_string(&["--name", "alpha"])).ok();
    assert_eq!(texts(&server.hosts(), "name"), ["alpha"]);
}

#[test]
fn an_agent_without_an_engine_says_so() {
    let (mut engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    agent.status().exits(0);
    engine.stop();
    eventually("the agent says that its engine is away", || {
        let status = agent.status();
        if status.code == 8 { Ok(()) } else { Err(format!("{status:?}")) }
    });
    assert_eq!(agent.process().ended(), None, "run does not end for that");
    engine.start_again();
    eventually("all is well again", || {
        let status = agent.status();
        if status.code == 0 { Ok(()) } else { Err(format!("{status:?}")) }
    });
}

#[test]
fn names_are_unique_and_can_be_changed() {
    let server = Server::start();
    let join = server.join_string(&["--name", "alpha"]);
    let agents: Vec<Agent> = (0..3).map(|_| Agent::new(NO_ENGINE)).collect();
    for agent in &agents {
        agent.join_with(&join).ok();
    }
    let mut names = texts(&server.hosts(), "name");
    names.sort();
    assert_eq!(names, ["alpha", "alpha-2", "alpha-3"]);
    let id = server.host("alpha-2")["id"].clone();
    server.muster(&["hosts", "rename", "alpha-2", "beta"]).ok();
    assert_eq!(server.host("beta")["id"], id);
    let refused = server.muster(&["hosts", "rename", "beta", "alpha"]);
    refused.refuses(1);
    server.muster(&["hosts", "rename", "beta", "no good"]).refuses(1);
    assert_eq!(server.host("beta")["id"], id, "a refused change changes nothing");
}

#[test]
fn api_tokens_have_roles() {
    let server = Server::start();
    let made = server.json(&["token", "create", "--role", "viewer", "--name", "panel"]);
    let viewer = text(&made[0], "token").to_owned();
    server.muster_from_afar(&viewer, server.pin(), &["hosts"]).ok();
    server.muster_from_afar(&viewer, server.pin(), &["join-command"]).refuses(4);
    let listed = server.json(&["token", "ls"]);
    assert!(!format!("{listed:?}").contains(&viewer), "a list shows a token");
    let panel = listed.iter().find(|token| token["name"] == "panel").expect("it is listed");
    assert_eq!(panel["role"], "viewer");
    server.muster(&["token", "rm", text(panel, "id")]).ok();
    server.muster_from_afar(&viewer, server.pin(), &["hosts"]).refuses(4);
    let left: Vec<&Value> = listed.iter().filter(|token| token["name"] == "panel").collect();
    assert_eq!(left.len(), 1);
}
