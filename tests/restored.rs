//! A server that comes back with an older history: nothing is stored twice, and what is missing shows.

use muster_tests::process::Ran;
use muster_tests::truth::{muster_events, wait_for_truth};
use muster_tests::{Agent, Engine, Server};
use std::collections::BTreeSet;

#[test]
fn an_older_copy_of_the_data_directory() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    assert_eq!(server.stop(), 0);
    let copy = format!("{}.copy", server.data_dir());
    Ran::of("cp", &["-a", &server.data_dir(), &copy], &[], 60).ok();
    server.start_again();

    // The server acknowledges these, and then forgets them.
    engine.docker(&["stop", "web"]);
    let later = engine.run("later");
    server.wait_for_actions("alpha", &id, &["die", "stop"]);
    server.wait_for_actions("alpha", &later, &["start"]);
    server.settle("alpha", &engine);
    assert_eq!(server.stop(), 0);
    std::fs::remove_dir_all(server.data_dir()).expect("removing the data");
    std::fs::rename(&copy, server.data_dir()).expect("putting the copy in its place");
    server.start_again();

    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_eq!(server.hosts().len(), 1);
    let ours = muster_events(&server, "alpha");
    assert_eq!(ours.len(), ours.iter().collect::<BTreeSet<_>>().len(), "stored more than once: {ours:#?}");
    // What was forgotten is there again, or a gap says that it is not.
    let events = server.events("alpha");
    let gap = events.iter().any(|event| event["action"] == "gap");
    let again = ours.iter().any(|event| event.action == "stop" && event.container_id == id);
    assert!(gap || again, "{events:#?}");
    let places: Vec<(u64, u64)> =
        events.iter().filter_map(|event| Some((event["epoch"].as_u64()?, event["seq"].as_u64()?))).collect();
    assert!(places.windows(2).all(|pair| pair[0] <= pair[1]), "order within the host: {places:?}");
}

#[test]
fn an_agent_whose_state_is_older_or_gone() {
    let (engine, server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    let id = engine.run("web");
    server.wait_for_actions("alpha", &id, &["start"]);
    let copy = format!("{}.copy", agent.state_dir());
    agent.kill();
    Ran::of("cp", &["-a", &agent.state_dir(), &copy], &[], 60).ok();
    for _ in 0..3 {
        agent.start();
        agent.wait_until_heard(&server, "alpha");
        server.settle("alpha", &engine);
        agent.kill();
    }
    // A card that goes back to an older image.
    std::fs::remove_dir_all(agent.state_dir()).expect("removing the state");
    std::fs::rename(&copy, agent.state_dir()).expect("putting the copy in its place");
    agent.start();
    engine.docker(&["stop", "web"]);
    server.wait_for_state("alpha", "web", "exited");
    server.settle("alpha", &engine);
    muster_tests::truth::assert_same_story(&server, "alpha", &engine);
    assert_eq!(server.hosts().len(), 1);
}

#[test]
fn two_agents_with_one_credential_are_noticed() {
    let (one, two, server) = (Engine::start("one"), Engine::start("two"), Server::start());
    let original = Agent::join(&server, &one);
    let mut clone = Agent::new(&two.docker_host());
    Ran::of("cp", &["-a", &original.state_dir(), &clone.state_dir()], &[], 60).ok();
    clone.start();
    server.wait_for_host("one", "shows the conflict", |host| host["conflict"] == true);
    server.wait_for_event("one", "the conflict", |event| event["action"] == "host_conflict");
}
