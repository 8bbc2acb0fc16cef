//! A backup of a server that runs becomes a server on another machine, and the fleet goes on with it.

use muster_tests::place::Place;
use muster_tests::process::{Ran, program};
use muster_tests::truth::{assert_same_story, muster_events, wait_for_truth};
use muster_tests::{Agent, Engine, Server, eventually, text};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_fleet_goes_on_with_a_restored_server() {
    let (engine, mut server, shelf) = (Engine::start("alpha"), Server::start(), Place::new());
    let _agent = Agent::join(&server, &engine);
    let web = engine.run("web");
    server.wait_for_actions("alpha", &web, &["start"]);
    let backup = shelf.join("backup");
    // While something happens.
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                engine.docker(&["pause", "web"]);
                engine.docker(&["unpause", "web"]);
            }
        });
        server.muster(&["backup", &backup]).ok()
    });
    assert!(said.contains("1 hosts") && said.contains("fleet.key"), "{said}");
    assert_eq!(fs::metadata(&backup).expect("a backup").permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&backup).expect("a backup");
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&server.admin_token()), "the restored server has the same administrator");
    let kept_apart = fs::read_to_string(server.data_file("fleet-backup.key")).expect("a backup key");
    assert!(!kept_apart.lines().filter(|line| line.len() > 30).any(holds), "the backup key is in the backup");

    // Acknowledged, and then lost with the machine.
    let later = engine.run("later");
    server.wait_for_actions("alpha", &later, &["start"]);
    server.settle("alpha", &engine);
    let (port, pin, token) = (server.port(), server.pin().to_owned(), server.admin_token());
    let before: Vec<u64> = server.events("alpha").iter().filter_map(|event| event["id"].as_u64()).collect();
    server.kill();
    drop(server);

    let server = Server::start_restored(&backup, port);
    assert_eq!((server.pin(), server.admin_token()), (pin.as_str(), token));
    wait_for_truth(&server, "alpha", &engine);
    server.settle("alpha", &engine);
    assert_eq!(server.hosts().len(), 1);
    // The engine still knows what the server forgot.
    assert_same_story(&server, "alpha", &engine);
    let ours = muster_events(&server, "alpha");
    assert_eq!(ours.len(), ours.iter().collect::<BTreeSet<_>>().len(), "stored more than once: {ours:#?}");
    let events = server.events("alpha");
    let newest = events.last().expect("events");
    assert!(newest["id"].as_u64() > before.last().copied(), "an id that somebody saw is given again: {newest}");
    assert!(newest["epoch"].as_u64() > Some(1_000), "an epoch that was given before could be given again: {newest}");
}

#[test]
fn a_server_that_was_replaced_by_a_restored_one_is_refused() {
    let (engine, mut server, shelf) = (Engine::start("alpha"), Server::start(), Place::new());
    let mut agent = Agent::join(&server, &engine);
    let backup = shelf.join("backup");
    server.muster(&["backup", &backup]).ok();
    // The agent is told of it, and the backup does not know.
    server.muster(&["server", "address", "add", "127.0.0.1:1"]).ok();
    let unconfirmed = |server: &Server| server.json(&["key", "status"])[0]["unconfirmed"].clone();
    let wait_until_told = |server: &Server| {
        eventually("all hosts are told", || match unconfirmed(server) {
            hosts if hosts == serde_json::json!([]) => Ok(()),
            hosts => Err(hosts.to_string()),
        });
    };
    wait_until_told(&server);
    server.kill();

    let mut restored = Server::start_restored(&backup, server.port());
    wait_until_told(&restored);
    let web = engine.run("web");
    restored.wait_for_actions("alpha", &web, &["start"]);
    restored.kill();

    // The disk of before works again after all.
    server.start_again();
    agent.crash();
    let refused = agent.status();
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stdout.contains("generation"), "{}", refused.stdout);
    server.kill();
    restored.start_again();
    agent.wait_until_heard(&restored, "alpha");
}

#[test]
fn what_is_no_whole_backup_is_refused_and_nothing_is_touched() {
    let (server, shelf) = (Server::start(), Place::new());
    let backup = shelf.join("backup");
    server.muster(&["backup", &backup, "--no-history"]).ok();
    server.muster(&["backup", &backup]).refuses(1);
    server.muster(&["backup", &backup, "--force"]).ok();
    let whole = fs::read(&backup).expect("a backup");
    let target = shelf.join("data");
    let restore = |more: &[&str]| {
        let arguments = [&["restore", &backup, "--data-dir", &target][..], more].concat();
        Ran::of(&program("muster"), &arguments, &[], 60)
    };
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for wrong in [&whole[..whole.len() - 1], &changed, b"something else", b""] {
        fs::write(&backup, wrong).expect("written");
        restore(&["--force"]).refuses(1);
        assert!(fs::metadata(&target).is_err(), "nothing is made");
    }
    fs::write(&backup, &whole).expect("written");
    // Not over a server that runs, nor over anything unasked.
    Ran::of(&program("muster"), &["restore", &backup, "--data-dir", &server.data_dir()], &[], 60).refuses(8);
    Ran::of(&program("muster"), &["restore", &backup, "--data-dir", &server.data_dir(), "--force"], &[], 60).refuses(8);
    restore(&[]).ok();
    restore(&[]).refuses(8);
    restore(&["--force"]).ok();
}

#[test]
fn keys_do_not_leave_the_machine_through_the_api() {
    let (server, shelf) = (Server::start(), Place::new());
    let backup = shelf.join("backup");
    let made = server.json(&["token", "create", "--role", "viewer", "--name", "wall"]);
    let viewer = text(&made[0], "token").to_owned();
    server.muster_from_afar(&viewer, server.pin(), &["backup", &backup]).refuses(4);
    let said = server.muster_from_afar(&server.admin_token(), server.pin(), &["backup", &backup]).ok();
    assert!(said.contains("without fleet.key"), "{said}");
    let bytes = fs::read(&backup).expect("a backup");
    let key = fs::read_to_string(server.data_file("fleet.key")).expect("a key");
    for secret in key.lines().filter(|line| line.len() > 30).chain([server.admin_token().as_str()]) {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "a secret is in the backup");
    }
    let (status, _) = server.api_text("GET", "/api/v1/backup", None, None);
    assert_eq!(status, 401);
}
