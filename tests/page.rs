//! What people see in a browser, as they see it: Chromium on the page of a real server with a real engine behind it.

use muster_tests::browser::{path, play, play_on, run};
use muster_tests::crowd;
use muster_tests::host::LABEL;
use muster_tests::place::Place;
use muster_tests::{Agent, Engine, Managed, Server, text};
use serde_json::{Value, json};
use std::time::Duration;

/// Plays a script on a server whose first host is `alpha`.
fn on_alpha(script: &str) {
    let (engine, mut server) = (Engine::start("alpha"), Server::start());
    let _agent = Agent::join(&server, &engine);
    let docker_host = engine.docker_host();
    play(script, &mut server, &[("DOCKER_HOST", &docker_host)], &mut |question| panic!("nobody knows {question}"));
}

#[test]
fn people_sign_in_and_viewers_change_nothing() {
    on_alpha("signing_in");
}

#[test]
fn what_happens_on_a_host_is_seen_without_a_reload() {
    on_alpha("live");
}

#[test]
fn a_host_is_added_and_seen_to_join() {
    let (engine, mut server) = (Engine::start("bravo"), Server::start());
    engine.run("web");
    let mut joined = None;
    // Does what the dialog says, on another machine.
    play("adding", &mut server, &[], &mut |question: &Value| {
        let mut agent = Agent::new(&engine.docker_host());
        agent.join_with(text(question, "join")).ok();
        agent.start();
        joined = Some(agent);
        json!({})
    });
}

#[test]
fn a_lost_server_is_shown_and_comes_back_by_itself() {
    on_alpha("lost");
}

#[test]
fn everybody_can_use_every_view() {
    on_alpha("everybody");
}

#[test]
fn what_admins_change_in_dialogs_is_changed() {
    on_alpha("dialogs");
}

#[test]
#[ignore = "takes a minute; run by ./test.sh --all"]
fn ten_thousand_hosts_can_be_filtered_and_scrolled() {
    let mut server = Server::start();
    crowd::join(&server, 10_000);
    play("crowd", &mut server, &[("HOSTS", "10000")], &mut |question| panic!("nobody knows {question}"));
}

#[test]
fn the_managed_network_is_shown_and_changed() {
    let mut managed = Managed::up(&["alpha", "bravo"]);
    // It cannot be in the network: its ports and names are the host's.
    managed.host("alpha").run_box_with("odd", &["-l", LABEL, "--network", "host"]);
    let Managed { hosts, server, server_node, .. } = &mut managed;
    play_on(server_node, "network", server, &mut |question| match question["key"].as_str() {
        Some(name) => {
            let host = hosts.iter_mut().find(|host| host.name() == name).expect("one of them");
            host.network_stop();
            std::fs::remove_file(format!("{}-network/key", host.agent.state_dir())).expect("removing the key");
            host.network_up();
            json!({})
        }
        None => panic!("nobody knows {question}"),
    });
}

#[test]
fn parts_of_the_page_do_what_they_are_for() {
    // They need no server.
    run(&path("parts.py"), "http://127.0.0.1", "", &[], &mut |question| panic!("nobody knows {question}"));
}

/// Where the documentation's pictures are: made anew by
/// `MUSTER_PICTURES=docs/pictures MUSTER_PICTURES_AFTER=900 cargo test -p muster-tests --test page -- --ignored pictures`.
/// The seconds are for the plots: one point a minute.
#[test]
#[ignore = "makes pictures; run by ./test.sh --all, which throws them away"]
fn pictures_of_a_fleet_can_be_made() {
    let engines = ["attic", "cellar", "garage", "workshop"].map(Engine::start);
    let mut server = Server::start();
    let mut agents: Vec<Agent> = engines.iter().map(|engine| join_in_a_house(&server, engine)).collect();
    let place = Place::new();
    let folder = std::env::var("MUSTER_PICTURES")
        .map_or_else(|_| place.join("pictures"), |folder| format!("{}/../{folder}", env!("CARGO_MANIFEST_DIR")));
    let [attic, cellar, garage, workshop] = &engines;
    for (engine, project, names) in [
        (attic, "home", &["assistant", "mosquitto", "zigbee2mqtt"][..]),
        (cellar, "media", &["jellyfin", "photos"]),
        (garage, "charge", &["charger", "meter"]),
        (workshop, "print", &["octoprint", "camera"]),
    ] {
        for name in names {
            let label = format!("com.docker.compose.project={project}");
            engine.run_with(name, &["--label", &label], &["live"]);
        }
    }
    // Something for the eye: one that crashed, one that is ill, and a host that is away.
    cellar.run_with("backup", &[], &["end", "0", "1"]);
    let ill = ["--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1"];
    attic.run_with("grafana", &ill, &["live"]);
    server.wait_for("attic", "grafana", "is ill", |one| one["health"] == "unhealthy");
    agents.last_mut().expect("the last one").kill();
    if let Ok(seconds) = std::env::var("MUSTER_PICTURES_AFTER") {
        std::thread::sleep(Duration::from_secs(seconds.parse().expect("MUSTER_PICTURES_AFTER is in seconds")));
    }
    play("pictures", &mut server, &[("PICTURES", &folder)], &mut |question| panic!("nobody knows {question}"));
}

fn join_in_a_house(server: &Server, engine: &Engine) -> Agent {
    let mut agent = Agent::new(&engine.docker_host());
    let site = if engine.name() == "workshop" { "site=workshop" } else { "site=home" };
    agent.join_with(&server.join_string(&["--name", engine.name(), "--label", site])).ok();
    agent.start();
    agent.wait_until_heard(server, engine.name());
    agent
}
