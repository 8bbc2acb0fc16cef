//! Trust that lasts for years: a fleet changes its keys and its addresses, and no host is left behind.

use muster_tests::place::Place;
use muster_tests::process::Ran;
use muster_tests::{Agent, Server, eventually, text};
use serde_json::Value;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

/// A host without an engine, which reports all the same.
fn host(server: &Server, name: &str) -> Agent {
    let mut agent = Agent::new(NO_ENGINE);
    agent.join_with(&server.join_string(&["--name", name])).ok();
    agent.start();
    server.wait_for_host(name, "is active", |host| host["state"] == "active");
    agent
}

fn keys(server: &Server) -> Value {
    server.json(&["key", "status"]).remove(0)
}

/// Names of hosts that have not confirmed.
fn unconfirmed(server: &Server) -> Vec<String> {
    let keys = keys(server);
    keys["unconfirmed"].as_array().expect("a list").iter().map(|host| text(host, "name").to_owned()).collect()
}

#[track_caller]
fn wait_for_unconfirmed(server: &Server, names: &[&str]) {
    eventually(&format!("only {names:?} have not confirmed"), || match unconfirmed(server) {
        now if now == names => Ok(()),
        now => Err(format!("{now:?}")),
    });
}

/// Waits until a host has reported after this call.
#[track_caller]
fn wait_for_report(server: &Server, name: &str) {
    let before = server.host(name)["last_seen"].clone();
    server.wait_for_host(name, "reports again", |host| host["state"] == "active" && host["last_seen"] != before);
}

fn pins(join: &str) -> Vec<&str> {
    join.split(['?', '&']).filter_map(|part| part.strip_prefix("pin=")).collect()
}

fn identity(agent: &Agent) -> String {
    fs::read_to_string(format!("{}/identity", agent.state_dir())).expect("an identity")
}

#[test]
fn join_strings_carry_the_backup_key_even_when_it_has_been_taken_away() {
    let mut server = Server::start();
    let file = server.data_file("fleet-backup.key");
    assert_eq!(fs::metadata(&file).expect("a backup key").permissions().mode() & 0o777, 0o600);
    let join = server.join_string(&[]);
    let known = keys(&server);
    assert_eq!(pins(&join), [server.pin(), text(&known, "backup_pin")]);
    assert_eq!(text(&known, "backup_key_file"), file);
    assert!(server.muster(&["key", "status"]).ok().contains("still on the server"));

    let elsewhere = Place::new();
    fs::copy(&file, elsewhere.join("fleet-backup.key")).expect("copied");
    fs::remove_file(&file).expect("removed");
    server.crash();
    assert!(!Path::new(&file).exists(), "it is not made again");
    assert_eq!(keys(&server)["backup_key_file"], Value::Null);
    assert!(!server.muster(&["key", "status"]).ok().contains("still on the server"));
    assert_eq!(pins(&server.join_string(&[])), pins(&join));
}

#[test]
fn hosts_follow_to_a_new_key_also_those_that_were_away() {
    let mut server = Server::start();
    let (_here, mut away) = (host(&server, "here"), host(&server, "away"));
    wait_for_unconfirmed(&server, &[]);
    let (old, join_before) = (server.pin().to_owned(), server.join_string(&["--name", "late"]));
    away.kill();

    let rotated = server.muster(&["key", "rotate", "--format", "json"]).json().remove(0);
    let new = text(&rotated, "pin").to_owned();
    assert_ne!(new, old);
    assert_eq!(rotated["former_pins"][0], old.as_str());
    wait_for_unconfirmed(&server, &["away"]);
    assert!(server.muster(&["key", "status"]).ok().contains("\naway "));
    wait_for_report(&server, "here");
    server.muster(&["key", "rotate", "--finish"]).refuses(1);
    // Whoever knows only the old key is led to the new one: the command line elsewhere, and join strings from before.
    server.muster_from_afar(&server.admin_token(), &old, &["hosts"]).ok();
    Agent::new(NO_ENGINE).join_with(&join_before).ok();
    assert_eq!(pins(&server.join_string(&[]))[0], new);
    assert!(server.join_string(&[]).ends_with("&gen=2") && !join_before.contains("gen="));

    // It survives restarts, twice another rotation, and the end of the first.
    server.is_known_by(&new);
    server.crash();
    server.muster(&["key", "rotate", "--finish", "--force"]).ok();
    let third = text(&server.json(&["key", "rotate"])[0], "pin").to_owned();
    server.is_known_by(&third);
    server.crash();
    wait_for_report(&server, "here");
    away.start();
    server.wait_for_host("away", "is back", |host| host["state"] == "active");
    wait_for_unconfirmed(&server, &["late"]);
    assert!(identity(&away).contains(&third) && !identity(&away).contains(&old), "{}", identity(&away));
}

#[test]
fn a_stolen_key_is_worth_nothing_once_the_backup_key_has_spoken() {
    let (mut server, drawer) = (Server::start(), Place::new());
    let backup = drawer.join("backup.key");
    fs::rename(server.data_file("fleet-backup.key"), &backup).expect("moved");
    let (mut here, mut away) = (host(&server, "here"), host(&server, "away"));
    wait_for_unconfirmed(&server, &[]);
    away.kill();
    let old = server.pin().to_owned();
    let stolen = fs::read(server.data_file("fleet.key")).expect("the key");

    server.muster(&["key", "rotate", "--compromised"]).refuses(2);
    let wrong = Server::start();
    let not_ours = wrong.data_file("fleet-backup.key");
    let said = server.muster(&["key", "rotate", "--compromised", "--backup-key", &not_ours]);
    assert!(said.refuses(1).stderr.contains("not the backup key"), "{}", said.stderr);
    drop(wrong);
    let rotated = server.json(&["key", "rotate", "--compromised", "--backup-key", &backup]).remove(0);
    assert_eq!(rotated["former_pins"].as_array().map(Vec::len), Some(0));
    server.muster_from_afar(&server.admin_token(), &old, &["hosts"]).refuses(5);
    wait_for_unconfirmed(&server, &["away"]);
    assert!(!identity(&here).contains(&old));
    away.start();
    wait_for_unconfirmed(&server, &[]);
    wait_for_report(&server, "away");

    // The thief's server, at the same place, with the stolen key.
    server.kill();
    let mut thief = Server::start();
    thief.kill();
    fs::write(thief.data_file("fleet.key"), stolen).expect("written");
    let mut thief = thief.moved_to(server.port());
    thief.is_known_by(&old);
    thief.start_again();
    here.crash();
    assert_eq!(here.status().code, 5);
    assert!(thief.hosts().is_empty());
    thief.kill();
    server.is_known_by(text(&rotated, "pin"));
    server.start_again();
    server.wait_for_host("here", "is back", |host| host["state"] == "active");
}

#[test]
fn an_old_server_that_comes_back_is_refused() {
    let (mut server, copy) = (Server::start(), Place::new());
    let mut agent = host(&server, "pi");
    wait_for_unconfirmed(&server, &[]);
    server.stop();
    let before = copy.join("data");
    Ran::of("cp", &["-a", &server.data_dir(), &before], &[], 60).ok();
    server.start_again();
    let rotated = server.json(&["key", "rotate"]).remove(0);
    wait_for_unconfirmed(&server, &[]);

    // The copy of before has a key that the agent still accepts, and a certificate that it does not.
    server.kill();
    let now = copy.join("now");
    fs::rename(server.data_dir(), &now).expect("moved");
    fs::rename(&before, server.data_dir()).expect("moved");
    server.start_again();
    agent.crash();
    let refused = agent.status();
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stdout.contains("generation"), "{}", refused.stdout);
    assert!(identity(&agent).contains(server.pin()));

    server.kill();
    fs::rename(server.data_dir(), &before).expect("moved");
    fs::rename(&now, server.data_dir()).expect("moved");
    server.is_known_by(text(&rotated, "pin"));
    server.start_again();
    server.wait_for_host("pi", "is back", |host| host["state"] == "active");
}

/// A port of the loopback address that leads to another one, until it is closed.
struct Door {
    address: SocketAddr,
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Door {
    fn to(port: u16) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let door = Door { address, open: open.clone() };
        thread::spawn(move || {
            for outer in listener.incoming().map_while(Result::ok) {
                let Some(streams) = &mut *open.lock().expect("no panic") else { return };
                let inner = TcpStream::connect(("127.0.0.1", port));
                let Ok(inner) = inner else { continue };
                for (from, to) in [(&outer, &inner), (&inner, &outer)] {
                    let (mut from, mut to) = (from.try_clone().expect("cloned"), to.try_clone().expect("cloned"));
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                streams.extend([outer, inner]);
            }
        });
        door
    }

    fn close(&self) {
        for stream in self.open.lock().expect("no panic").take().unwrap_or_default() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The listener is told by a connection.
        drop(TcpStream::connect(self.address));
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}

#[test]
fn hosts_move_to_an_address_that_was_added_when_the_first_dies() {
    let server = Server::start();
    let [first, second] = [Door::to(server.port()), Door::to(server.port())];
    let started_with = format!("127.0.0.1:{}", server.port());
    let addresses = |server: &Server| server.muster(&["server", "address", "ls"]).ok();
    assert_eq!(addresses(&server), started_with);
    server.muster(&["server", "address", "rm", &started_with]).refuses(1);
    server.muster(&["server", "address", "add", &first.name()]).ok();
    server.muster(&["server", "address", "rm", &started_with]).ok();
    server.muster(&["server", "address", "rm", &started_with]).refuses(6);

    let mut agent = Agent::new(NO_ENGINE);
    let join = server.join_string(&["--name", "pi"]);
    assert!(join.contains(&format!("@{}?", first.name())), "{join}");
    agent.join_with(&join).ok();
    agent.start();
    server.wait_for_host("pi", "is active", |host| host["state"] == "active");
    server.muster(&["server", "address", "add", &second.name()]).ok();
    wait_for_unconfirmed(&server, &[]);
    assert_eq!(addresses(&server), format!("{}\n{}", first.name(), second.name()));
    assert!(server.join_string(&[]).contains(&format!("&addr={}", second.name())));

    first.close();
    wait_for_report(&server, "pi");
    agent.crash();
    wait_for_report(&server, "pi");

    // A list that leads nowhere does not lock it out.
    let nowhere = Door::to(server.port());
    nowhere.close();
    server.muster(&["server", "address", "add", &nowhere.name()]).ok();
    server.muster(&["server", "address", "rm", &first.name(), &second.name()]).ok();
    eventually("the agent knows", || {
        let identity = identity(&agent);
        if identity.contains(&format!("former = {}", second.name())) { Ok(()) } else { Err(identity) }
    });
    wait_for_unconfirmed(&server, &[]);
    agent.crash();
    wait_for_report(&server, "pi");
}

/// Makes a certificate for a name, and its key.
fn make_certificate(place: &Place, name: &str) {
    let (cert, key, subject) = (place.join("cert.pem"), place.join("key.pem"), format!("/CN={name}"));
    let alternative = format!("subjectAltName=DNS:{name}");
    let mut arguments = vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    arguments.extend(["-days", "30", "-subj", &subject, "-addext", &alternative, "-keyout", &key, "-out", &cert]);
    Ran::of("openssl", &arguments, &[], 60).ok();
}

/// Asks as a browser would: whether the certificate is the one in that file.
fn browse(server: &Server, name: &str, certificate: &str) -> Ran {
    let (url, resolve) =
        (format!("https://{name}:{}/healthz", server.port()), format!("{name}:{}:127.0.0.1", server.port()));
    Ran::of("curl", &["-sS", "--max-time", "20", "--cacert", certificate, "--resolve", &resolve, &url], &[], 60)
}

#[test]
fn browsers_see_the_operators_certificate_and_agents_the_fleets() {
    let (mut server, place) = (Server::start(), Place::new());
    make_certificate(&place, "first.example");
    let (cert, key) = (place.join("cert.pem"), place.join("key.pem"));
    let agent = host(&server, "pi");
    assert_eq!(browse(&server, "first.example", &cert).code, 60, "the fleet's certificate, unknown to browsers");
    server.stop();
    server.flags = ["--tls-cert", &cert, "--tls-key", &key].map(String::from).to_vec();
    server.start_again();
    browse(&server, "first.example", &cert).ok();
    wait_for_report(&server, "pi");
    server.muster_from_afar(&server.admin_token(), server.pin(), &["hosts"]).ok();

    // Renewed while the server runs, by way of a broken file.
    fs::copy(&cert, place.join("first.pem")).expect("copied");
    fs::write(&cert, "broken").expect("written");
    eventually("the broken file is noticed", || {
        let log = server.process().log();
        if log.contains("stays as it is") { Ok(()) } else { Err(log) }
    });
    browse(&server, "first.example", &place.join("first.pem")).ok();
    make_certificate(&place, "second.example");
    eventually("the new certificate is shown", || match browse(&server, "second.example", &cert) {
        Ran { code: 0, .. } => Ok(()),
        other => Err(format!("{other:?}")),
    });
    wait_for_report(&server, "pi");
    assert_eq!(agent.status().code, 8, "all is well but for the engine, which there is none of");
}
