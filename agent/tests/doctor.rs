//! `muster-agent doctor` before servers that say what a test wants: each line, and what scripts get.

#[allow(dead_code, reason = "face.rs uses the rest")]
mod server;

use serde_json::Value;
use server::{Ended, Place, Server, closed_port, join_string, joined};

const HOST: &str = "0123456789abcdef";

fn checks(ended: &Ended) -> Vec<Value> {
    let json: Value = serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    assert_eq!(json["exit"], ended.code, "{ended:?}");
    json["checks"].as_array().unwrap().clone()
}

/// State and text of a check's first line.
fn line(ended: &Ended, check: &str) -> (String, String) {
    let found = checks(ended).into_iter().find(|line| line["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no line for {check}: {ended:?}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("state"), format!("{}; {}", text("what"), text("advice")))
}

fn joined_at(server: &Server) -> Place {
    let place = Place::new();
    server.says(200, joined(HOST, "pi"));
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 0);
    place
}

#[test]
fn what_the_server_says_of_the_credential_is_told() {
    let server = Server::start();
    let place = joined_at(&server);
    for (status, body, code, part) in [
        (401, "not known here", 4, "refuses this host's credential (401 not known here); muster-agent join"),
        (410, "gone", 7, "was removed on the server (410 gone); `muster hosts restore pi`"),
        (503, "the store is ill", 8, "cannot tell now (503 the store is ill); "),
    ] {
        server.says(status, body);
        let ended = place.agent(&["doctor", "--json"], "");
        let (state, text) = line(&ended, "credential");
        assert_eq!((state.as_str(), ended.code), ("failure", code), "{ended:?}");
        assert!(text.contains(part), "{text}");
        assert_eq!(line(&ended, "server").0, "ok");
    }
}

#[test]
fn a_clock_that_is_off_is_told_by_how_much() {
    let server = Server::start();
    let place = joined_at(&server);
    server.answers_knocks(200, r#"{"status":"ok","version":"0.1.0","time":"2099-01-01T00:00:00.000Z"}"#);
    let ended = place.agent(&["doctor", "--json"], "");
    let (state, text) = line(&ended, "clock");
    assert_eq!(state, "warning", "{ended:?}");
    assert!(text.contains(" years ") && text.contains("behind the server's; ") && text.contains("set-ntp"), "{text}");
    assert_eq!(line(&ended, "server").1, format!("{} answers (version 0.1.0); ", server.address));
}

#[test]
fn a_server_in_trouble_is_a_warning_with_its_own_words() {
    let server = Server::start();
    let place = joined_at(&server);
    server.answers_knocks(503, r#"{"status":"failing","problem":"no space left","version":"0.1.0"}"#);
    let (state, text) = line(&place.agent(&["doctor", "--json"], ""), "server");
    assert_eq!(state, "warning");
    assert!(text.contains("no space left"), "{text}");
}

#[test]
fn another_server_at_the_address_is_code_5_and_a_closed_port_code_3() {
    let (server, other) = (Server::start(), Server::start());
    let place = joined_at(&server);
    let identity = place.state_dir().join("identity");
    let text = std::fs::read_to_string(&identity).unwrap();
    std::fs::write(&identity, text.replace(&server.pin.to_string(), &other.pin.to_string())).unwrap();
    let ended = place.agent(&["doctor", "--json"], "");
    assert_eq!((ended.code, line(&ended, "pin").0.as_str()), (5, "failure"), "{ended:?}");
    assert!(line(&ended, "pin").1.contains(&server.pin.to_string()), "{ended:?}");
    assert_eq!(line(&ended, "credential").0, "skipped");
    assert!(server.heard().iter().all(|request| !request.what.contains("status")), "no credential for a stranger");

    let closed = closed_port();
    std::fs::write(&identity, text.replace(&server.address.to_string(), &closed.to_string())).unwrap();
    let ended = place.agent(&["doctor", "--json"], "");
    assert_eq!((ended.code, line(&ended, "server").0.as_str()), (3, "failure"), "{ended:?}");
    assert!(line(&ended, "server").1.starts_with(&closed.to_string()), "{ended:?}");
}

#[test]
fn a_host_that_has_not_joined_is_looked_at_all_the_same() {
    let (place, server) = (Place::new(), Server::start());
    let ended = place.agent(&["doctor", "--json"], "");
    assert_eq!((ended.code, line(&ended, "credential").0.as_str()), (8, "failure"), "{ended:?}");
    assert!(line(&ended, "state").1.contains("joining makes it"));
    assert!(line(&ended, "socket").1.contains("engine.sock does not exist; start Docker"));
    assert!(!place.state_dir().exists());

    std::fs::create_dir_all(place.state_dir()).unwrap();
    std::fs::write(place.state_dir().join("join"), join_string(server.address, server.pin)).unwrap();
    let ended = place.agent(&["doctor"], "");
    assert!(ended.out.contains("credential fail this host has not joined, and has a join string"), "{ended:?}");
    assert!(ended.out.contains(&format!("server     ok   {} answers", server.address)), "{ended:?}");
    assert!(!ended.out.contains(server::TOKEN), "{ended:?}");
}

#[test]
fn settings_that_are_wrong_are_a_line_among_the_others() {
    let place = Place::new();
    std::fs::create_dir_all(place.state_dir()).unwrap();
    std::fs::write(place.state_dir().join("agent.conf"), "intervall = 5s\n").unwrap();
    let ended = place.agent(&["doctor", "--format", "json"], "");
    assert_eq!((ended.code, line(&ended, "settings").0.as_str()), (2, "failure"), "{ended:?}");
    assert!(line(&ended, "settings").1.contains("agent.conf:1"));
    assert!(checks(&ended).len() > 8, "{ended:?}");
}
