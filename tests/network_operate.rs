//! What an operator does with the managed network on the server: enable, look, try, accept, disable. The hosts are lines that
//! the test opens itself, so that it needs no engine.

use muster_dial::{Client, JoinString, Line, Opened, Settings};
use muster_protocol::id::EngineId;
use muster_protocol::join::Join;
use muster_protocol::limits;
use muster_protocol::network::{
    NetworkEcho, NetworkHello, NetworkMember, NetworkPeer, NetworkPlan, NetworkProbe, Prefix,
};
use muster_protocol::record::{Kind, Reader, Writer};
use muster_tests::{Server, eventually, text, texts};
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A host whose network process is this test.
struct Host {
    credential: String,
    settings: Settings,
    line: Line,
    number: u8,
}

fn message(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; limits::NETWORK_MESSAGE];
    let mut writer = Writer::message(&mut buffer).expect("room");
    write(&mut writer);
    writer.as_bytes().to_vec()
}

fn open(settings: &Settings, credential: &str) -> Line {
    let opened = Line::open(settings.clone(), "/agent/v1/network", credential, limits::NETWORK_MESSAGE);
    match opened.expect("an answer") {
        Opened::Line(line) => *line,
        Opened::Refused(status) => panic!("no line: {status:?}"),
    }
}

impl Host {
    fn join(server: &Server, name: &str, number: u8) -> Host {
        let join: JoinString = server.join_string(&[]).parse().expect("a join string");
        let settings = Settings::small(join.addresses[0].clone(), join.pins.clone());
        let credential = format!("{number:02x}").repeat(32);
        let client = Client::new(settings.clone()).expect("a client");
        let join = Join { token: &join.token, name, fingerprint: [0; 16] };
        let body = message(|writer| writer.record(Kind::Join, &join).expect("room"));
        let mut answer = Vec::new();
        let status = client.post("/agent/v1/join", &credential, &body, &mut answer, 1000).expect("an answer");
        assert_eq!(status.0, 200, "{}", String::from_utf8_lossy(&answer));
        let line = open(&settings, &credential);
        Host { credential, settings, line, number }
    }

    fn hello(&mut self, key: u8, members: &[NetworkMember<'_>]) {
        let hello = NetworkHello {
            key: [key; 32],
            port: 51820,
            accepted: Prefix::parse("10.0.0.0/8").expect("a range"),
            endpoint: "",
            relays: false,
            addresses: Default::default(),
            blocks: 1,
            sum: 0,
        };
        let bytes = message(|writer| {
            writer.record(Kind::NetworkHello, &hello).expect("room");
            members.iter().for_each(|member| writer.record(Kind::NetworkMember, member).expect("room"));
        });
        self.line.send(&bytes, false, PATIENCE).expect("it takes it");
    }

    /// Listens until a record of this kind satisfies `wanted`.
    fn until<T>(&mut self, kind: Kind, wanted: impl Fn(&[u8]) -> Option<T>) -> T {
        loop {
            let said = self.line.wait(PATIENCE).expect("it says something").message;
            let mut records = Reader::message(&said).expect("a message");
            while let Some(record) = records.next_record().expect("well formed") {
                if let Some(found) = Some(record).filter(|it| it.kind == kind).and_then(|it| wanted(it.payload)) {
                    return found;
                }
            }
        }
    }

    /// Its first block, once it has one.
    fn block(&mut self) -> String {
        self.until(Kind::NetworkPlan, |payload| {
            let plan: NetworkPlan<'_> = postcard::from_bytes(payload).ok()?;
            plan.blocks.first().map(ToString::to_string)
        })
    }

    /// Answers one probe with this; a thread of its own does it while the operator waits.
    fn answers(mut self, took_us: u32) -> thread::JoinHandle<Host> {
        thread::spawn(move || {
            let probe = self.until(Kind::NetworkProbe, |payload| postcard::from_bytes::<NetworkProbe>(payload).ok());
            let echo = NetworkEcho { number: probe.number, took_us };
            let bytes = message(|writer| writer.record(Kind::NetworkEcho, &echo).expect("room"));
            self.line.send(&bytes, false, PATIENCE).expect("it takes it");
            self
        })
    }
}

fn show(server: &Server) -> Value {
    server.json(&["network"]).remove(0)
}

#[test]
fn a_network_is_enabled_shown_tried_and_disabled() {
    let mut server = Server::start();
    assert!(server.muster(&["network"]).ok().contains("muster network enable"));
    server.muster(&["network", "disable"]).refuses(1);
    server.muster(&["network", "enable", "--block", "/31x"]).refuses(2);
    server.muster(&["network", "enable", "--cidr", "127.0.0.0/16"]).refuses(1);
    let said = server.muster(&["network", "enable", "--names"]).ok();
    assert!(said.contains("10.42.0.0/16 in blocks of /26") && said.contains("names on"), "{said}");

    let (mut one, mut two) = (Host::join(&server, "one", 1), Host::join(&server, "two", 2));
    let refused = NetworkMember {
        container: EngineId([1; 32]),
        name: "hostly",
        state: 2,
        address: 0,
        reason: "its network mode is host",
    };
    one.hello(1, &[refused]);
    assert_eq!(one.block(), "10.42.0.0/26");
    two.hello(2, &[]);
    assert_eq!(two.block(), "10.42.0.64/26");
    let peer = one.until(Kind::NetworkPeer, |payload| {
        postcard::from_bytes::<NetworkPeer<'_>>(payload).ok().map(|peer| peer.name.to_owned())
    });
    assert_eq!(peer, "two");
    eventually("the relay listens", || match show(&server) {
        shown if shown["relay_port"] == server.port() => Ok(()),
        shown => Err(shown.to_string()),
    });
    let shown = show(&server);
    assert_eq!(shown, server.get("/api/v1/network"));
    assert_eq!((&shown["blocks_used"], &shown["hosts"][0]["state"]), (&json!(2), &json!("joined")));
    let table = server.muster(&["network", "ls"]).ok();
    assert!(table.contains("hostly") && table.contains("its network mode is host"), "{table}");
    assert_eq!(texts(&server.json(&["network", "paths", "one"]), "to"), ["two"]);

    let answering = one.answers(1500);
    let said = server.muster(&["network", "ping", "one", "two"]).ok();
    assert!(said.contains("one reaches two in 1.5 ms"), "{said}");
    let one = answering.join().expect("it answered").answers(u32::MAX);
    server.muster(&["network", "ping", "one", "two"]).refuses(1);
    drop(one);
    server.muster(&["network", "ping", "one", "nobody"]).refuses(6);
    server.muster(&["network", "accept", "two"]).refuses(1);

    let why = server.muster(&["network", "enable", "--cidr", "10.7.0.0/16"]).refuses(1).stderr.clone();
    assert!(why.contains("2 hosts have addresses") && why.contains("--force"), "{why}");
    server.kill();
    server.start_again();
    let again = show(&server);
    assert_eq!((texts_of(&again, "name"), blocks(&again)), (vec!["one".into(), "two".into()], blocks(&shown)));

    // Another key is shown and not believed.
    two.line = open(&two.settings, &two.credential);
    assert_eq!(two.number, 2);
    two.hello(9, &[]);
    eventually("its key is seen", || match show(&server) {
        shown if shown["hosts"][1]["state"] == "key_changed" => Ok(()),
        shown => Err(shown.to_string()),
    });
    let seen = show(&server)["hosts"][1].clone();
    // It comes with one more before the operator accepts the one that was seen.
    two.hello(10, &[]);
    eventually("its next key is seen", || match show(&server)["hosts"][1].clone() {
        host if host["new_key"] != seen["new_key"] => Ok(()),
        host => Err(host.to_string()),
    });
    let why = server.muster(&["network", "accept", "two", "--key", text(&seen, "new_key")]).refuses(1).stderr.clone();
    assert!(why.contains("another key by now"), "{why}");
    assert_eq!(show(&server)["hosts"][1]["state"], "key_changed");
    let said = server.muster(&["network", "accept", "two"]).ok();
    assert!(said.contains(text(&seen, "key")), "{said}");
    assert_eq!(two.block(), "10.42.0.64/26");

    server.muster(&["hosts", "rm", "one"]).ok();
    assert_eq!(texts_of(&show(&server), "name"), ["two"]);
    let mut late = Host::join(&server, "late", 3);
    late.hello(3, &[]);
    assert_eq!(late.block(), "10.42.0.128/26", "what was given back comes last");
    server.muster(&["network", "enable", "--cidr", "10.7.0.0/16", "--force"]).ok();
    late.until(Kind::NetworkPlan, |payload| {
        let plan: NetworkPlan<'_> = postcard::from_bytes(payload).ok()?;
        (plan.range.to_string() == "10.7.0.0/16").then_some(())
    });
    server.muster(&["network", "disable"]).ok();
    assert_eq!(show(&server)["enabled"], json!(false));
    let audit = texts(&server.json(&["audit"]), "action");
    for action in ["network.enable", "network.accept", "network.disable"] {
        assert!(audit.iter().any(|done| done == action), "{action}: {audit:?}");
    }
}

#[test]
fn a_backup_has_the_network_and_its_places() {
    let mut server = Server::start();
    server.muster(&["network", "enable", "--cidr", "10.9.0.0/16", "--label", "net=1"]).ok();
    let mut hosts: Vec<Host> = (1..=3).map(|number| Host::join(&server, &format!("host-{number}"), number)).collect();
    for host in &mut hosts {
        host.hello(host.number, &[]);
        host.block();
    }
    server.muster(&["hosts", "rm", "host-2"]).ok();
    let before = show(&server);
    let backup = server.data_file("backup");
    server.muster(&["backup", &backup]).ok();
    server.kill();
    let restored = Server::start_restored(&backup, server.port());
    let after = show(&restored);
    assert_eq!((text(&after, "cidr"), text(&after, "label")), ("10.9.0.0/16", "net=1"));
    assert_eq!((texts_of(&after, "name"), blocks(&after)), (texts_of(&before, "name"), blocks(&before)));
    assert_eq!(texts_of(&after, "key"), texts_of(&before, "key"));
}

fn texts_of(network: &Value, field: &str) -> Vec<String> {
    let hosts = network["hosts"].as_array().expect("a list");
    hosts.iter().map(|host| host[field].as_str().unwrap_or_default().to_owned()).collect()
}

fn blocks(network: &Value) -> Vec<Value> {
    network["hosts"].as_array().expect("a list").iter().map(|host| host["blocks"].clone()).collect()
}
