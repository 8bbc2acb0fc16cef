//! Two hosts side by side: names and ids of containers are a host's own.

use muster_tests::engine::Options;
use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::{Agent, Engine, Server, text, texts};

#[test]
fn the_same_name_on_two_hosts() {
    let (one, two, server) = (Engine::start("one"), Engine::start("two"), Server::start());
    let (_first, _second) = (Agent::join(&server, &one), Agent::join(&server, &two));
    one.run("web");
    two.run("web");
    wait_for_truth(&server, "one", &one);
    wait_for_truth(&server, "two", &two);
    assert_eq!(texts(&server.json(&["ps"]), "host"), ["one", "two"]);
    assert_eq!(texts(&server.json(&["ps", "--host", "two"]), "name"), ["web"]);

    let token = server.admin_token();
    let (status, problem) = server.api("GET", "/api/v1/containers/web", Some(&token), None);
    assert_eq!(status, 409, "{problem}");
    let candidates = problem["candidates"].as_array().expect("the candidates").clone();
    assert_eq!(candidates, ["one/web", "two/web"]);
    assert_eq!(server.get("/api/v1/containers/two/web")["id"], two.container_ids()[0].as_str());
    assert_eq!(server.get(&format!("/api/v1/containers/{}", one.container_ids()[0]))["host"], "one");

    two.docker(&["rm", "-f", "web"]);
    wait_for_truth(&server, "two", &two);
    wait_for_truth(&server, "one", &one);
    assert_eq!(server.get("/api/v1/containers/web")["host"], "one");
    server.settle("one", &one);
    server.settle("two", &two);
    assert_same_story(&server, "one", &one);
    assert_same_story(&server, "two", &two);
}

#[test]
fn a_flashed_image_copies_container_ids_too() {
    let mut original = Engine::start("one");
    original.run("web");
    original.docker(&["stop", "web"]);
    original.stop();
    let copy = Engine::start_with("two", Options { copy_of: Some(&original), ..Options::default() });
    original.start_again();
    let server = Server::start();
    let (_first, _second) = (Agent::join(&server, &original), Agent::join(&server, &copy));
    wait_for_truth(&server, "one", &original);
    wait_for_truth(&server, "two", &copy);
    let id = original.container_ids()[0].clone();
    assert_eq!(copy.container_ids(), [id.as_str()]);

    let token = server.admin_token();
    let (status, problem) = server.api("GET", &format!("/api/v1/containers/{id}"), Some(&token), None);
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["candidates"].as_array().map(Vec::len), Some(2), "{problem}");
    assert_eq!(server.get(&format!("/api/v1/containers/one/{id}"))["host"], "one");
    assert_eq!(server.get(&format!("/api/v1/containers/two/{id}"))["host"], "two");

    // What happens to one is not said of the other.
    copy.docker(&["start", "web"]);
    server.wait_for_state("two", "web", "running");
    original.docker(&["rm", "web"]);
    wait_for_truth(&server, "one", &original);
    wait_for_truth(&server, "two", &copy);
    let only = server.get(&format!("/api/v1/containers/{id}"));
    assert_eq!((text(&only, "host"), text(&only, "state")), ("two", "running"));
}

#[test]
fn one_host_that_is_gone_does_not_touch_the_other() {
    let (one, two, server) = (Engine::start("one"), Engine::start("two"), Server::start());
    let (mut first, _second) = (Agent::join(&server, &one), Agent::join(&server, &two));
    one.run("web");
    wait_for_truth(&server, "one", &one);
    first.kill();
    server.wait_for_host("one", "is missed", |host| host["state"] == "reconnecting");
    two.run("lamp");
    wait_for_truth(&server, "two", &two);
    assert_eq!(server.host("two")["state"], "active");
    assert_eq!(server.wait_for("one", "web", "is stale", |web| web["stale"] == true)["state"], "running");
}
