//! A server whose disk is full says so, shows what it knows, and acknowledges nothing that it cannot keep.

use muster_tests::truth::{assert_same_story, wait_for_truth};
use muster_tests::{Agent, Engine, Server, eventually};
use std::fs::{self, File};
use std::io::Write;

#[test]
fn nothing_is_lost_while_the_disk_is_full() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start_on_small_disk(12));
    let _agent = Agent::join(&server, &engine);
    let web = engine.run("web");
    server.wait_for_actions("alpha", &web, &["start"]);
    wait_for_truth(&server, "alpha", &engine);

    let ballast = server.data_file("ballast");
    let mut file = File::create(&ballast).expect("ballast");
    while file.write_all(&[1; 4096]).is_ok() {}
    // Until its files have no room left inside either.
    // Each label as long as labels are kept whole.
    let labels: Vec<String> = (0..9).map(|number| format!("weight{number}={}", "x".repeat(256))).collect();
    let options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
    engine.run_with("heavy", &options, &["live"]);
    let mut rounds = 0;
    eventually("the server says that it cannot store", || {
        if rounds < 40 {
            engine.docker(&["rename", "heavy", "moved"]);
            engine.docker(&["rename", "moved", "heavy"]);
            rounds += 1;
        }
        match server.api("GET", "/healthz", None, None) {
            (503, body) if body["problem"].as_str().is_some_and(|why| why.contains("No space left")) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    engine.docker(&["pause", "web"]);
    engine.docker(&["unpause", "web"]);
    engine.docker(&["stop", "web"]);
    // What is known can be read.
    assert!(server.find_container("alpha", "web").is_some());
    assert!(server.actions("alpha", &web).contains(&"start".to_owned()));
    assert_eq!(server.process().ended(), None, "a full disk heals, so it goes on");

    // What is still open takes its room although it is removed.
    drop(file);
    fs::remove_file(&ballast).expect("removed");
    eventually("the server is well again", || match server.api("GET", "/healthz", None, None) {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    server.wait_for_actions("alpha", &web, &["start", "pause", "unpause", "die", "stop"]);
    server.settle("alpha", &engine);
    wait_for_truth(&server, "alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
    server.crash();
    assert_same_story(&server, "alpha", &engine);
}

#[test]
fn a_store_that_was_taken_away_ends_the_server() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let web = engine.run("web");
    server.wait_for_actions("alpha", &web, &["start"]);
    let (file, away) = (server.data_file("muster.redb"), server.data_file("away"));
    fs::rename(&file, &away).expect("moved");
    engine.docker(&["pause", "web"]);
    let code = eventually("the server ends", || server.process().ended().ok_or_else(|| "it runs".to_owned()));
    assert_eq!(code, 8);
    server.kill();
    fs::rename(&away, &file).expect("moved");
    server.start_again();
    // The agent has kept what could not be stored.
    server.wait_for_actions("alpha", &web, &["start", "pause"]);
    wait_for_truth(&server, "alpha", &engine);
    assert_same_story(&server, "alpha", &engine);
}
