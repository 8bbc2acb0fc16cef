//! The stream of changes: live, resumable by id without loss, and honest where it cannot resume.

use muster_tests::stream::Stream;
use muster_tests::{Agent, Engine, Server, text};

#[test]
fn changes_arrive_and_can_be_resumed() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let mut live = opened(&server);
    let id = first_start_seen(&engine, &mut live);
    let resume_from = live.last_id();
    drop(live);

    engine.docker(&["rename", "web", "lamp"]);
    engine.docker(&["rm", "-f", "lamp"]);
    server.wait_for_actions("alpha", &id, &["rename", "destroy"]);

    let mut resumed = Stream::open(&server, Some(&resume_from));
    let seen = resumed.until("the end of the container", |change| {
        change.kind == "event" && change.data["action"] == "destroy" && change.data["container_id"] == id.as_str()
    });
    let actions: Vec<&str> = seen
        .iter()
        .filter(|change| change.kind == "event" && change.data["container_id"] == id.as_str())
        .map(|change| text(&change.data, "action"))
        .collect();
    assert_eq!(actions, ["rename", "kill", "die", "destroy"], "resumed without loss and without repetition");
    assert!(seen.iter().all(|change| change.kind != "reset"), "{seen:?}");
    let gone = |change: &muster_tests::stream::Change| {
        change.kind == "container_gone" && change.data.to_string().contains(&id)
    };
    if !seen.iter().any(gone) {
        resumed.until("the container is gone", gone);
    }
    // The objects are the API's.
    let stored = server.all_items("/api/v1/events", 500);
    for change in seen.iter().filter(|change| change.kind == "event") {
        assert!(stored.contains(&change.data), "not in the history: {}", change.data);
    }
}

/// A stream that shows what happens from now on.
fn opened(server: &Server) -> Stream {
    let mut live = Stream::open(server, None);
    assert_eq!(live.change().expect("the stream is open").kind, "reset");
    live
}

fn first_start_seen(engine: &Engine, live: &mut Stream) -> String {
    let id = engine.run("web");
    live.until("the start of the container", |change| {
        change.kind == "event" && change.data["action"] == "start" && change.data["container_id"] == id.as_str()
    });
    live.until("the container's state", |change| {
        change.kind == "container" && change.data["id"] == id.as_str() && change.data["state"] == "running"
    });
    id
}

#[test]
fn after_a_restart_of_the_server_the_reader_is_told_to_start_over() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let mut live = opened(&server);
    first_start_seen(&engine, &mut live);
    let resume_from = live.last_id();
    server.kill();
    while live.change().is_some() {}
    server.start_again();
    let mut resumed = Stream::open(&server, Some(&resume_from));
    let first = resumed.change().expect("the stream is open");
    assert_eq!(first.kind, "reset", "{first:?}");
    engine.docker(&["stop", "web"]);
    resumed.until("what happens after that", |change| change.kind == "event" && change.data["action"] == "stop");
}

#[test]
fn an_id_that_never_was_is_answered_with_a_reset() {
    let server = Server::start();
    for id in ["18446744073709551615", "x", "-1", "0000000000000001-99999999"] {
        let mut stream = Stream::open(&server, Some(id));
        let first = stream.change().expect("the stream is open");
        assert_eq!(first.kind, "reset", "{id}: {first:?}");
    }
}

#[test]
fn the_command_line_follows() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let place = muster_tests::place::Place::new();
    let mut command = std::process::Command::new(muster_tests::process::program("muster"));
    command.args(["events", "-f", "--format", "json", "--filter", "container=web"]);
    command.env("MUSTER_DATA_DIR", server.data_dir());
    let mut follower = muster_tests::process::Process::start_read("follower", &mut command, &place.join("log"));
    let mut next = || {
        let line = follower.line(muster_tests::wait::PATIENCE).expect("an event follows");
        serde_json::from_str::<serde_json::Value>(&line).expect("one object a line")["action"].clone()
    };
    engine.run("web");
    engine.docker(&["stop", "web"]);
    let mut seen = Vec::new();
    while !seen.contains(&serde_json::Value::from("stop")) {
        seen.push(next());
    }
    assert_eq!(&seen[..2], ["create", "start"], "{seen:?}");
}
