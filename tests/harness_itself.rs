//! The harness keeps its own promises: engines are real, separate, can be hurt, and leave nothing behind.

use muster_tests::engine::Options;
use muster_tests::truth::docker_events;
use muster_tests::{Engine, eventually};
use std::path::Path;
use std::process::Command;

#[test]
fn engines_are_separate() {
    let (one, two) = (Engine::start("one"), Engine::start("two"));
    let id = one.run("box");
    two.run("box");
    assert_eq!(one.container_ids(), [id]);
    assert_eq!(two.container_ids().len(), 1);
    assert_ne!(one.container_ids(), two.container_ids());
}

#[test]
fn an_engine_that_is_killed_comes_back() {
    let mut engine = Engine::start("one");
    let id = engine.run("box");
    engine.stop_hard();
    assert_ne!(engine.try_docker(&["ps"]).code, 0);
    engine.start_again();
    assert_eq!(engine.container_ids(), [id]);
    engine.docker(&["start", "box"]);
    engine.restart();
    eventually("the container was stopped with its engine", || {
        let state = engine.inspect("box")["State"]["Status"].clone();
        if state == "exited" { Ok(()) } else { Err(state.to_string()) }
    });
}

#[test]
fn a_frozen_engine_takes_connections_and_does_not_answer() {
    let engine = Engine::start("one");
    engine.freeze();
    let socket = engine.docker_host().replace("unix://", "");
    let asked = ["-s", "--max-time", "1", "--unix-socket", &socket, "http://docker/_ping"];
    let status = Command::new("curl").args(asked).status().expect("curl starts");
    assert_eq!(status.code(), Some(28), "curl calls a timeout 28");
    engine.thaw();
    engine.docker(&["ps"]);
}

#[test]
fn a_copied_engine_has_the_same_container_ids() {
    let mut original = Engine::start("one");
    original.run("box");
    original.docker(&["stop", "box"]);
    let ids = original.container_ids();
    original.stop();
    let copy = Engine::start_with("two", Options { copy_of: Some(&original), ..Options::default() });
    original.start_again();
    assert_eq!(copy.container_ids(), ids);
    assert_eq!(original.container_ids(), ids);
    copy.docker(&["start", "box"]);
    original.docker(&["start", "box"]);
    copy.docker(&["rm", "-f", "box"]);
    assert_eq!(original.inspect("box")["State"]["Running"], true);
}

#[test]
fn an_engine_with_a_bridge_has_networks_and_ports() {
    let engine = Engine::start_with_bridge("one");
    engine.run_with("box", &["-p", "8080:80"], &["live"]);
    engine.docker(&["network", "create", "garden"]);
    engine.docker(&["network", "connect", "garden", "box"]);
    let networks = engine.inspect("box")["NetworkSettings"]["Networks"].clone();
    assert!(networks["garden"]["IPAddress"].as_str().is_some_and(|address| !address.is_empty()), "{networks}");
}

#[test]
fn what_the_engine_said_is_read_word_for_word() {
    let engine = Engine::start_with_bridge("one");
    let id = engine.run_with("box", &["-l", "odd=\"a, b=c\""], &["live"]);
    engine.docker(&["exec", "box", "true"]);
    engine.docker(&["network", "create", "garden"]);
    engine.docker(&["rm", "-f", "box"]);
    let events = docker_events(&engine);
    let said: Vec<&str> = events.iter().map(|event| event.action.as_str()).collect();
    for action in ["create", "connect", "start", "kill", "die", "disconnect", "destroy"] {
        assert!(said.contains(&action), "{said:?}");
    }
    assert_eq!(said.len(), 7, "no exec, and no network without a container: {said:?}");
    assert!(events.iter().all(|event| event.container_id == id));
    assert!(events[0].time_nano > 1_700_000_000_000_000_000);
    assert_eq!(events[0].attributes["odd"], "\"a, b=c\"");
}

#[test]
fn an_engine_leaves_nothing_behind() {
    let mut engine = Engine::start_with_bridge("one");
    engine.run("box");
    engine.run("frozen");
    engine.docker(&["pause", "frozen"]);
    let socket = engine.docker_host().replace("unix://", "");
    let directory = Path::new(&socket).parent().expect("a socket lies in a directory").to_path_buf();
    let mark = directory.display().to_string();
    engine.stop_hard();
    drop(engine);
    assert!(!directory.exists(), "{mark} is still there");
    let listing = Command::new("ps").args(["-eo", "pid,args"]).output().expect("ps starts");
    let left: Vec<String> = String::from_utf8_lossy(&listing.stdout)
        .lines()
        .filter(|line| line.contains(&format!("{mark}/")))
        .map(str::to_owned)
        .collect();
    assert!(left.is_empty(), "still running: {left:?}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("reading the mounts");
    assert!(!mounts.contains(&mark), "still mounted below {mark}");
    let name = directory.file_name().expect("a directory has a name");
    assert!(!Path::new("/sys/fs/cgroup").join(name).exists());
    assert!(!Path::new("/sys/fs/cgroup/memory").join(name).exists());
    assert!(!Path::new("/sys/fs/cgroup/freezer").join(name).exists());
}
