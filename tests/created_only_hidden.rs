//! A container appears once it has started, and stays until it is removed.

use muster_tests::{Agent, Engine, Server, text, texts};

#[test]
fn a_container_that_never_started_is_shown_only_on_demand() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.docker(&["create", "--name", "idle", "probe", "live"]);
    let idle = server.wait_for_state("alpha", "idle", "created");
    assert_eq!(idle["id"], id.as_str());
    assert_eq!(idle["started_at"], serde_json::Value::Null, "{idle}");

    let shown = |arguments: &[&str]| texts(&server.json(arguments), "name");
    assert!(shown(&["ps"]).is_empty());
    assert_eq!(shown(&["ps", "-a"]), ["idle"]);
    assert!(server.all_items("/api/v1/containers", 500).is_empty());
    assert_eq!(texts(&server.all_items("/api/v1/containers?all=true", 500), "name"), ["idle"]);
    assert_eq!(server.host("alpha")["containers"]["total"], 0);
    server.wait_for_actions("alpha", &id, &["create"]);

    engine.docker(&["start", "idle"]);
    server.wait_for_state("alpha", "idle", "running");
    assert_eq!(shown(&["ps"]), ["idle"]);
    engine.docker(&["stop", "idle"]);
    server.wait_for_state("alpha", "idle", "exited");
    assert_eq!(shown(&["ps"]), ["idle"], "one that has ended is still on its host");
    assert_eq!(server.host("alpha")["containers"]["total"], 1);
    assert_eq!(text(&server.json(&["ps"])[0], "state"), "exited");
}
