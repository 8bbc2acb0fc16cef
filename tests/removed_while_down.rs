//! A container that was removed while something was down has an end in the history.

use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::{Agent, Engine, Server, text};

fn gaps(server: &Server) -> Vec<String> {
    let events = server.events("alpha");
    let gaps = events.iter().filter(|event| event["action"] == "gap");
    gaps.map(|gap| text(&gap["attributes"], "cause").to_owned()).collect()
}

#[test]
fn while_the_agent_was_down_the_engine_remembers() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    agent.kill();
    engine.docker(&["rm", "-f", "web"]);
    agent.start();
    server.wait_for_actions("alpha", &id, &["create", "start", "kill", "die", "destroy"]);
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    assert!(gaps(&server).is_empty(), "nothing is missing, and no gap is claimed: {:?}", gaps(&server));
    assert!(server.events("alpha").iter().all(|event| event["type"] != "container" || event["derived"] == false));
}

#[test]
fn while_the_server_was_down_the_agent_remembers() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    server.kill();
    engine.docker(&["rm", "-f", "web"]);
    server.start_again();
    server.wait_for_actions("alpha", &id, &["create", "start", "kill", "die", "destroy"]);
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    assert!(gaps(&server).is_empty(), "nothing is missing, and no gap is claimed: {:?}", gaps(&server));
}

#[test]
fn while_all_was_down_the_next_list_shows_it() {
    let (mut engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    engine.run("other");
    server.wait_for_state("alpha", "web", "running");
    server.wait_for_state("alpha", "other", "running");
    agent.kill();
    server.kill();
    engine.docker(&["rm", "-f", "web"]);
    engine.restart();
    server.start_again();
    agent.start();
    let end = server.wait_for_event("alpha", "a concluded end of web", |event| {
        event["action"] == "destroy" && event["container_id"] == id.as_str()
    });
    assert_eq!(end["derived"], true, "{end}");
    assert_eq!(end["type"], "container", "{end}");
    assert_eq!(end["container"], "web", "{end}");
    wait_for_truth(&server, "alpha", &engine);
    let gap = server.wait_for_event("alpha", "the gap", |event| event["action"] == "gap");
    let attributes = gap["attributes"].as_object().expect("a gap has attributes");
    for name in ["cause", "count", "from", "to"] {
        assert!(attributes.contains_key(name), "{gap}");
    }
    assert_eq!(attributes["count"], serde_json::Value::Null, "nobody can know how many: {gap}");
    assert!(["agent_down", "engine_restarted"].contains(&text(&gap["attributes"], "cause")), "{gap}");
    // What an engine forgot is concluded for what still exists, too: `other` was stopped with it.
    server.wait_for_state("alpha", "other", "exited");
    server.wait_for_actions("alpha", "other", &["start", "die"]);
}
