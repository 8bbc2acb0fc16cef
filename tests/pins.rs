//! What agents and the command line trust is one pinned key, and nothing else.

use muster_tests::{Agent, Engine, Server, text};

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

/// The same pin with its last digit changed.
fn spoilt(pin: &str) -> String {
    let last = if pin.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &pin[..pin.len() - 1])
}

#[test]
fn a_join_with_the_wrong_pin_says_so_and_leaves_nothing() {
    let server = Server::start();
    let join = server.join_string(&["--uses", "1"]);
    let wrong = join.replace(server.pin(), &spoilt(server.pin()));
    assert_ne!(join, wrong);
    let agent = Agent::new(NO_ENGINE);
    agent.join_with(&wrong).refuses(5);
    assert!(agent.has_no_state());
    assert!(server.hosts().is_empty());
    agent.join_with(&join).ok();
}

#[test]
fn join_strings_may_name_several_pins_and_things_yet_unknown() {
    let server = Server::start();
    let join = server.join_string(&["--name", "alpha"]);
    let second = spoilt(server.pin());
    let longer = format!("{join}&pin={second}&colour=green");
    Agent::new(NO_ENGINE).join_with(&longer).ok();
    assert!(server.find_host("alpha").is_some());
}

#[test]
fn the_command_line_checks_the_pin() {
    let server = Server::start();
    let token = server.admin_token();
    server.muster_from_afar(&token, server.pin(), &["hosts"]).ok();
    server.muster_from_afar(&token, &spoilt(server.pin()), &["hosts"]).refuses(5);
}

#[test]
fn an_agent_gives_nothing_to_an_impostor() {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let mut agent = Agent::join(&server, &engine);
    engine.run("web");
    server.wait_for_state("alpha", "web", "running");
    server.kill();

    // Another server, with a key of its own, where the first one was.
    let impostor = Server::start_at(server.port());
    agent.stop();
    agent.start();
    muster_tests::eventually("the agent says that the pin does not match", || {
        let status = agent.status();
        if status.code == 5 { Ok(()) } else { Err(format!("{status:?}")) }
    });
    assert_eq!(agent.process().ended(), None, "it goes on trying");
    assert!(impostor.hosts().is_empty());
    drop(impostor);

    server.start_again();
    engine.docker(&["stop", "web"]);
    assert_eq!(text(&server.wait_for_state("alpha", "web", "exited"), "host"), "alpha");
}
