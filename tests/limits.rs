//! What is beyond a limit is cut or counted, and says so; what is within comes whole.

use muster_tests::truth::wait_for_truth;
use muster_tests::{Agent, Engine, Server, eventually, text};
use std::time::Duration;

#[test]
fn a_field_that_was_cut_is_named() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let long = "x".repeat(4000);
    let labels: Vec<String> = (0..80).map(|number| format!("label{number:02}=v{number}")).collect();
    let mut options: Vec<&str> = labels.iter().flat_map(|label| ["-l", label.as_str()]).collect();
    let story = format!("story={long}");
    options.extend(["-l", &story]);
    let id = engine.run_with("wordy", &options, &["sh", "-c", &format!("live # {long}")]);
    let name = "n".repeat(300);
    engine.run(&name);

    let wordy = server.wait_for_state("alpha", "wordy", "running");
    let cut = wordy["truncated"].to_string();
    assert!(cut.contains("labels") && cut.contains("command") && !cut.contains("name"), "{wordy}");
    let kept = wordy["labels"].as_object().expect("labels").len();
    assert!((40..80).contains(&kept), "{kept} labels");
    assert!(!text(&wordy, "command").is_empty());
    assert!(wordy["labels"].get("label00").is_some(), "{wordy}");
    let started = server.wait_for_event("alpha", "the start", |event| {
        event["action"] == "start" && event["container_id"] == id.as_str()
    });
    assert!(started["truncated"].to_string().contains("attributes"), "{started}");

    let long_named = eventually("the container with the long name", || {
        let all = server.containers("alpha");
        let found = all.iter().find(|one| text(one, "name").starts_with("nnn"));
        found.cloned().ok_or_else(|| format!("{} containers", all.len()))
    });
    assert!(long_named["truncated"].to_string().contains("name"), "{long_named}");
    assert!(text(&long_named, "name").len() < 300);
    // A host with such containers is no worse off.
    engine.docker(&["rm", "-f", "wordy", &name]);
    wait_for_truth(&server, "alpha", &engine);
}

#[test]
fn a_host_with_more_containers_than_fit_into_one_message() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    make(&engine, 0, 150);
    let _agent = Agent::join(&server, &engine);
    wait_for_truth(&server, "alpha", &engine);
    engine.run("web");
    make(&engine, 150, 160);
    server.wait_for_state("alpha", "web", "running");
    wait_for_truth(&server, "alpha", &engine);
    assert_eq!(server.host("alpha")["hidden"], 0);
    assert_eq!(server.all_items("/api/v1/containers?all=true", 50).len(), 161);
}

#[test]
#[ignore = "makes more than a thousand containers: runs with `./test.sh --all`"]
fn containers_beyond_the_limit_are_counted() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    make(&engine, 0, 1030);
    let _agent = Agent::join(&server, &engine);
    let within = Duration::from_secs(180);
    server.wait_for_host_within(within, "alpha", "hides six containers", |host| host["hidden"] == 6);
    assert_eq!(server.containers("alpha").len(), 1024);
    for number in 0..10 {
        engine.docker(&["rm", &format!("idle{number}")]);
    }
    server.wait_for_host_within(within, "alpha", "hides none", |host| host["hidden"] == 0);
    eventually("all that are left are shown", || {
        let count = server.containers("alpha").len();
        if count == 1020 { Ok(()) } else { Err(format!("{count}")) }
    });
}

/// Makes containers that never start, by several clients at once.
fn make(engine: &Engine, from: usize, to: usize) {
    let numbers: Vec<usize> = (from..to).collect();
    std::thread::scope(|scope| {
        for part in numbers.chunks((to - from).div_ceil(4)) {
            scope.spawn(move || {
                for number in part {
                    engine.docker(&["create", "--name", &format!("idle{number}"), "probe", "live"]);
                }
            });
        }
    });
}
