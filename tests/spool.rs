//! A power cut while the server is away: what the agent had put on disk is told, and what it had not is a gap.

use muster_tests::truth::{muster_events, wait_for_truth};
use muster_tests::wait::when;
use muster_tests::{Agent, Engine, Server, eventually, text};
use std::collections::BTreeSet;

/// Everything that a container goes through here.
const LIFE: [&str; 5] = ["create", "start", "kill", "die", "destroy"];

/// A host that has reported a container, and then lives through the cut. `MUSTER_SPOOL` is what the agent is told.
/// Answers the container that came and went while the server was away.
fn cut(engine: &mut Engine, server: &mut Server, agent: &mut Agent, spool: &[(&str, &str)]) -> String {
    agent.join_with(&server.join_string(&["--name", "alpha"])).ok();
    agent.start_with(spool);
    agent.wait_until_heard(server, "alpha");
    let before = engine.run("before");
    server.wait_for_actions("alpha", &before, &["start"]);
    server.settle("alpha", engine);
    let file = format!("{}/spool", agent.state_dir());
    eventually("what is acknowledged is not on the disk", || when(!std::path::Path::new(&file).exists(), ""));

    server.kill();
    let id = engine.run("web");
    engine.docker(&["rm", "-f", "web"]);
    if !spool.is_empty() {
        eventually("all of it is on the disk", || {
            let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
            let missing = LIFE.iter().find(|action| !bytes.windows(action.len()).any(|w| w == action.as_bytes()));
            missing.map_or(Ok(()), |action| Err(format!("no {action} in {} bytes", bytes.len())))
        });
    }
    agent.kill();
    engine.restart();
    server.start_again();
    agent.start_with(spool);
    agent.wait_until_heard(server, "alpha");
    wait_for_truth(server, "alpha", engine);
    server.settle("alpha", engine);
    id
}

#[test]
fn what_was_on_the_disk_is_told_once_and_goes_on_behind_a_gap() {
    let (mut engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::new(&engine.docker_host());
    let id = cut(&mut engine, &mut server, &mut agent, &[("MUSTER_SPOOL", "64KiB")]);
    server.wait_for_actions("alpha", &id, &LIFE);
    server.wait_for_event("alpha", "the gap", |event| event["action"] == "gap");
    let events = server.events("alpha");
    for action in LIFE {
        let told = events.iter().filter(|event| event["container_id"] == id.as_str() && event["action"] == action);
        assert_eq!(told.map(|event| &event["derived"]).collect::<Vec<_>>(), [false], "{action}: {events:#?}");
    }
    let ours = muster_events(&server, "alpha");
    assert_eq!(ours.len(), ours.iter().collect::<BTreeSet<_>>().len(), "stored more than once: {ours:#?}");
    // The engine's memory is gone, and with it what came between.
    let place = |what: &str| events.iter().position(|event| event["action"] == what);
    assert!(place("destroy").expect("its end") < place("gap").expect("a gap"), "{events:#?}");
    eventually("the file is gone when all of it is acknowledged", || {
        let gone = !std::path::Path::new(&format!("{}/spool", agent.state_dir())).exists();
        if gone { Ok(()) } else { Err("it is there".into()) }
    });
}

#[test]
fn without_a_spool_a_gap_stands_for_it() {
    let (mut engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::new(&engine.docker_host());
    let id = cut(&mut engine, &mut server, &mut agent, &[]);
    let gap = server.wait_for_event("alpha", "the gap", |event| event["action"] == "gap");
    assert_eq!(text(&gap["attributes"], "cause"), "agent_down", "{gap}");
    let told = server.actions("alpha", &id);
    assert!(told.is_empty(), "nobody can know of it any more: {told:?}");
    assert!(!std::path::Path::new(&format!("{}/spool", agent.state_dir())).exists());
}
