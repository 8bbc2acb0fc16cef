//! The binary as its users and their scripts see it: exit codes, lines, and what is left on the disk.

#[allow(dead_code, reason = "doctor.rs uses the rest")]
mod server;

use muster_agent::join::identity::Identity;
use muster_agent::join::{self, Again, Applicant};
use muster_protocol::join::Join;
use muster_protocol::record::{Kind, Reader};
use server::{Place, Server, TOKEN, closed_port, join_string, joined};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const HOST: &str = "0123456789abcdef";

/// Nothing was left, not even the directories above.
fn is_untouched(place: &Place) -> bool {
    fs::read_dir(place.path()).unwrap().next().is_none()
}

#[test]
fn a_host_joins_and_its_identity_is_kept() {
    let (place, server) = (Place::new(), Server::start());
    server.says(200, joined(HOST, "pi-2"));
    let ended = place.agent(&["join", &server.join_string(), "--fingerprint", "rack 4"], "");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.out, format!("joined as pi-2 ({HOST}) at {}\n", server.address));

    let identity = Identity::load(&place.state_dir()).unwrap().unwrap();
    assert_eq!(identity.host.map(|host| host.to_string()).as_deref(), Some(HOST));
    assert_eq!((identity.name.as_str(), &identity.pins[..]), ("pi-2", &[server.pin][..]));
    let mode = |path: &str| fs::metadata(place.state_dir().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("identity")), (0o700, 0o600));

    let [request] = &server.heard()[..] else { panic!("more or less than one request") };
    assert_eq!((request.what.as_str(), &request.bearer), ("POST /agent/v1/join", &identity.credential.hex()));
    let mut reader = Reader::message(&request.body).unwrap();
    let join: Join<'_> = reader.expect(Kind::Join).unwrap();
    assert_eq!((join.token, join.name), (TOKEN, "pi"));
    assert_eq!(join.fingerprint, muster_agent::join::facts::fingerprint_of("rack 4"));
    for text in [&ended.out, &ended.error] {
        assert!(!text.contains(TOKEN) && !text.contains(&request.bearer), "{text}");
    }
}

#[test]
fn joining_again_is_the_same_host_and_a_string_may_come_by_stdin() {
    let (place, server) = (Place::new(), Server::start());
    server.says(200, joined(HOST, "pi"));
    assert_eq!(place.agent(&["join", "-"], &format!("{}\n", server.join_string())).code, 0);
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 0);
    let heard = server.heard();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0].bearer, heard[1].bearer);
    // What was there stays there when it fails later.
    server.says(403, "used up");
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 4);
    assert!(Identity::load(&place.state_dir()).unwrap().unwrap().host.is_some());
}

#[test]
fn refusals_have_exit_codes_and_reasons_and_leave_nothing_behind() {
    let (place, server) = (Place::new(), Server::start());
    for (status, body, code, reason) in [
        (401, "no", 4, "(401): no; "),
        (403, "this token\nhas expired\n", 4, "(403): this token has expired; "),
        (403, r#"{"title":"Forbidden","status":403,"detail":"used up hush-hush"}"#, 4, "used up (hidden); "),
        (410, "", 7, "(410); "),
        (503, "the store is ill", 8, "the store is ill"),
        (400, "what?", 1, "what?"),
        (302, "", 1, "(302)"),
    ] {
        server.says(status, body);
        let ended = place.agent(&["join", &server.join_string()], "");
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{ended:?}");
        assert!(ended.complaint().contains(reason), "{ended:?}");
        assert!(!ended.error.contains(TOKEN), "{ended:?}");
        assert!(is_untouched(&place), "{status}");
    }
    assert_eq!(server.heard().len(), 7);
}

#[test]
fn where_no_pinned_server_answers_nothing_is_written_or_sent() {
    let (place, server, other) = (Place::new(), Server::start(), Server::start());
    let closed = place.agent(&["join", &join_string(closed_port(), server.pin)], "");
    assert_eq!(closed.code, 3, "{closed:?}");
    assert!(closed.complaint().contains("refused"), "{closed:?}");
    let wrong = place.agent(&["join", &join_string(server.address, other.pin)], "");
    assert_eq!(wrong.code, 5, "{wrong:?}");
    assert!(wrong.complaint().contains(&other.pin.to_string()), "{wrong:?}");
    assert!(is_untouched(&place));
    // A directory that was there stays, and so does what is in it.
    fs::create_dir_all(place.state_dir()).unwrap();
    fs::write(place.state_dir().join("agent.conf"), "interval = 1m\n").unwrap();
    server.says(403, "");
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 4);
    let names: Vec<_> = fs::read_dir(place.state_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["agent.conf"]);
}

#[test]
fn addresses_are_tried_in_turn() {
    let (place, server) = (Place::new(), Server::start());
    server.says(200, joined(HOST, "pi"));
    let string = format!("{}&addr={}", join_string(closed_port(), server.pin), server.address);
    let ended = place.agent(&["join", &string], "");
    assert_eq!(ended.out, format!("joined as pi ({HOST}) at {}\n", server.address), "{ended:?}");
    assert_eq!(Identity::load(&place.state_dir()).unwrap().unwrap().addresses.len(), 2);
}

#[test]
fn an_answer_that_was_lost_is_made_good_with_the_same_credential() {
    let (place, server) = (Place::new(), Server::start());
    server.dies();
    let lost = place.agent(&["join", &server.join_string()], "");
    assert_eq!(lost.code, 3, "{lost:?}");
    assert!(lost.complaint().contains("repeat the same command"), "{lost:?}");
    server.says(200, "no message");
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 3);
    let pending = Identity::load(&place.state_dir()).unwrap().unwrap();
    assert_eq!(pending.host, None);
    assert_eq!(place.agent(&["status"], "").code, 1);
    server.says(200, joined(HOST, "pi"));
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 0);
    assert!(server.heard().iter().all(|request| request.bearer == pending.credential.hex()));
}

#[test]
fn a_host_of_another_server_is_not_taken_over() {
    let (place, server, other) = (Place::new(), Server::start(), Server::start());
    server.says(200, joined(HOST, "pi"));
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 0);
    let refused = place.agent(&["join", &other.join_string()], "");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.complaint().contains(&format!("remove {}", place.state_dir().display())), "{refused:?}");
    assert!(other.heard().is_empty());
}

#[test]
fn a_loop_learns_whether_trying_again_can_help() {
    let (place, server) = (Place::new(), Server::start());
    let state_dir = place.state_dir();
    let applicant = Applicant { state_dir: &state_dir, name: "pi", fingerprint: [0; 16] };
    let again = |string: &str| join::join(&applicant, &string.parse().unwrap()).unwrap_err().again;
    assert_eq!(again(&join_string(closed_port(), server.pin)), Again::Soon);
    server.says(503, "");
    assert_eq!(again(&server.join_string()), Again::Soon);
    server.says(403, "");
    assert_eq!(again(&server.join_string()), Again::Seldom);
    fs::create_dir_all(&state_dir).unwrap();
    fs::write(state_dir.join("identity"), "rubbish").unwrap();
    assert_eq!(again(&server.join_string()), Again::Never);
}

#[test]
fn status_answers_by_its_exit_code() {
    let (place, server) = (Place::new(), Server::start());
    let none = place.agent(&["status"], "");
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.complaint().contains("muster-agent join"), "{none:?}");

    server.says(200, joined(HOST, "pi"));
    assert_eq!(place.agent(&["join", &server.join_string()], "").code, 0);
    let no_engine = place.agent(&["status"], "");
    assert_eq!(no_engine.code, 8, "{no_engine:?}");
    place.engine();
    let well = place.agent(&["status", "--interval", "2m"], "");
    assert_eq!(well.code, 0, "{well:?}");
    for part in [HOST, "reachable", "20.10.24", "120s", &server.address.to_string()] {
        assert!(well.out.contains(part), "{well:?}");
    }
    server.says(200, joined(HOST, "renamed"));
    let json: serde_json::Value = serde_json::from_str(&place.agent(&["status", "--format=json"], "").out).unwrap();
    assert_eq!((json["id"].as_str(), json["name"].as_str()), (Some(HOST), Some("renamed")));
    assert_eq!(json["engine"]["state"], "ok");

    let credential = Identity::load(&place.state_dir()).unwrap().unwrap().credential.hex();
    for (status, code) in [(401, 4), (410, 7), (503, 8), (404, 1)] {
        server.says(status, "because\n");
        let ended = place.agent(&["status"], "");
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(ended.out.contains("because") && !ended.out.contains(&credential), "{ended:?}");
    }
    server.dies();
    assert_eq!(place.agent(&["status"], "").code, 3);
    let file = place.state_dir().join("identity");
    let elsewhere =
        fs::read_to_string(&file).unwrap().replace(&server.pin.to_string(), &Server::start().pin.to_string());
    fs::write(&file, elsewhere).unwrap();
    assert_eq!(place.agent(&["status"], "").code, 5);
}

#[test]
fn wrong_use_is_exit_code_2_and_one_line() {
    let place = Place::new();
    for arguments in [&["run", "--docker-host", "ssh://127.0.0.1"][..], &["join", "muster://t@a:1"], &["--nope"]] {
        let ended = place.agent(arguments, "");
        assert_eq!((ended.code, ended.error.lines().count()), (2, 1), "{ended:?}");
        assert!(ended.error.starts_with("muster-agent: "), "{ended:?}");
    }
    assert!(is_untouched(&place));
    let help = place.agent(&["help"], "");
    assert!(help.code == 0 && help.out.contains("--docker-host"), "{help:?}");
    assert!(place.agent(&["--version"], "").out.starts_with("muster-agent "));
}
