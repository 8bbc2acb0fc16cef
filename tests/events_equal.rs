//! `muster events` and `docker events` tell the same story of the same stretch, word for word.

use muster_tests::truth::{assert_same_story, docker_events};
use muster_tests::{Agent, Engine, Server};

#[test]
fn the_same_actions_ids_times_attributes_and_order() {
    let (engine, server) = (Engine::start_with_bridge("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let labels = ["-l", "app=shop", "-l", "com.docker.compose.project=corner shop", "-l", "odd=\"a, b=c\""];
    engine.run_with("web", &labels, &["live"]);
    engine.docker(&["pause", "web"]);
    engine.docker(&["unpause", "web"]);
    engine.docker(&["update", "--restart", "no", "web"]);
    engine.docker(&["rename", "web", "shop"]);
    engine.docker(&["network", "create", "garden"]);
    engine.docker(&["network", "connect", "garden", "shop"]);
    engine.docker(&["network", "disconnect", "garden", "shop"]);
    engine.docker(&["restart", "shop"]);
    engine.docker(&["kill", "--signal", "USR1", "shop"]);
    engine.docker(&["exec", "shop", "true"]);
    engine.docker(&["stop", "shop"]);
    engine.docker(&["start", "shop"]);
    engine.docker(&["rm", "-f", "shop"]);
    engine.try_docker(&["run", "--rm", "--name", "spark", "probe", "end", "0", "5"]).exits(5);
    engine.starve("glutton");
    engine.run_with("loop", &["--restart", "on-failure:2"], &["end", "0", "1"]);
    server.wait_for_actions("alpha", "loop", &["die", "die", "die"]);
    let check = ["--health-cmd", "true", "--health-interval", "1s"];
    engine.run_with("well", &check, &["live"]);
    server.wait_for_actions("alpha", "well", &["health_status: healthy"]);
    engine.docker(&["rm", "-f", "well", "glutton", "loop"]);
    engine.docker(&["network", "rm", "garden"]);
    server.settle("alpha", &engine);

    let theirs = docker_events(&engine);
    assert!(theirs.len() > 60, "only {} events: the test shows nothing", theirs.len());
    let kinds: std::collections::BTreeSet<&str> = theirs.iter().map(|event| event.action.as_str()).collect();
    for action in [
        "create",
        "start",
        "restart",
        "stop",
        "kill",
        "die",
        "oom",
        "pause",
        "unpause",
        "rename",
        "update",
        "destroy",
        "connect",
        "disconnect",
        "health_status: healthy",
    ] {
        assert!(kinds.contains(action), "the stretch has no {action}: {kinds:?}");
    }
    assert_same_story(&server, "alpha", &engine);
}
