//! The bytes of every kind of record, for ever: an agent in the field may be years older than its server.
//!
//! Each kind has its bytes in `golden/KIND.hex`. A kind that fails here has changed, and must not: what is new
//! becomes a new kind. No file is ever edited; a new kind gets a new one.

use muster_protocol::batch::{Absent, Answer, Batch, Differs, Digest, Engine, EngineState, ListEnd, Reason, Refused};
use muster_protocol::container::{Container, Health, Mount, Network, Port, State, cut};
use muster_protocol::event::{Cause, Event, Gap, Subject};
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::id::{EngineId, EventIdentity, HostId};
use muster_protocol::join::{Join, Joined};
use muster_protocol::network::{
    MemberState, NetworkEcho, NetworkGone, NetworkGuest, NetworkHello, NetworkMember, NetworkName, NetworkPath,
    NetworkPeer, NetworkPlan, NetworkProbe, NetworkRelay, NetworkSum, NoPlace, Prefix, Reach, Way,
};
use muster_protocol::orders::{Renew, Renewed, Settings, Trust, Trusted};
use muster_protocol::record::{Kind, Reader, VERSION, Writer};
use muster_protocol::vitals::{self, Disk, Measured, Pace, Usage, Vitals};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn measured<const N: usize>(fields: &[(u8, u64)]) -> Measured<N> {
    let mut measured = Measured::default();
    fields.iter().for_each(|(field, value)| measured.push(*field, *value));
    measured
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// A record as it stands in a message: kind, length, payload.
fn golden(kind: Kind) -> Vec<u8> {
    let file = path("tests/golden").join(format!("{kind:?}.hex"));
    let text = std::fs::read_to_string(&file);
    unhex(&text.unwrap_or_else(|error| panic!("{kind:?} has no golden bytes ({}): {error}", file.display())))
}

#[track_caller]
fn check<'a, T: Serialize + Deserialize<'a> + PartialEq + Debug>(kind: Kind, value: &T, golden: &'a [u8]) {
    let mut buffer = [0; 2048];
    let mut writer = Writer::records(&mut buffer);
    writer.record(kind, value).expect("fits");
    assert_eq!(hex(writer.as_bytes()), hex(&golden[1..]), "{kind:?} encodes to other bytes than it always did");
    let mut reader = Reader::message(golden).expect("a message");
    let record = reader.next_record().expect("a record").expect("a record");
    assert_eq!(record.kind, kind);
    assert_eq!(record.decode::<T>().as_ref(), Ok(value), "{kind:?} reads other values than it always did");
    assert_eq!(reader.next_record(), Ok(None));
}

fn list<T: Clone, const N: usize>(items: &[T]) -> heapless::Vec<T, N> {
    heapless::Vec::from_slice(items).unwrap_or_else(|_| panic!("too many"))
}

fn container() -> Container<'static> {
    Container {
        id: EngineId([0xc1; 32]),
        name: "web",
        image: "docker.io/library/nginx:1.27",
        image_id: Some(EngineId([0x1a; 32])),
        command: "nginx -g 'daemon off;'",
        state: State::Exited as u8,
        health: Health::Unhealthy as u8,
        exit_code: Some(-137),
        oom_killed: true,
        restart_count: 300,
        created_ms: 1_700_000_000_000,
        started_ms: Some(1_700_000_001_000),
        finished_ms: Some(-1),
        labels: list(&[("a", ""), ("com.example/ü", "1")]),
        ports: list(&[
            Port { private: 80, protocol: "tcp", public: Some(8080), address: "0.0.0.0" },
            Port { private: 443, protocol: "udp", public: None, address: "" },
        ]),
        networks: list(&[Network { name: "bridge", ipv4: "172.17.0.2", ipv6: "" }]),
        mounts: list(&[Mount { destination: "/data", kind: "volume", source: "web-data", writable: true }]),
        truncated: cut::LABELS | cut::DETAILS,
    }
}

fn event() -> Event<'static> {
    Event {
        time_nano: 1_700_000_000_123_456_789,
        subject: Subject::Network as u8,
        action: "connect",
        actor: EngineId([0x0e; 32]),
        container: Some(EngineId([0xc1; 32])),
        attributes: list(&[("name", "bridge"), ("type", "bridge")]),
        truncated: cut::ATTRIBUTES,
    }
}

#[test]
fn every_kind_keeps_its_bytes() {
    for kind in Kind::ALL {
        let mut bytes = vec![VERSION];
        bytes.extend(golden(kind));
        let golden = &bytes[..];
        match kind {
            Kind::Join => check(kind, &Join { token: "mt1-token", name: "kiosk-7", fingerprint: [0xf0; 16] }, golden),
            Kind::Joined => check(kind, &Joined { host: HostId([1, 2, 3, 4, 5, 6, 7, 8]), name: "kiosk-7-2" }, golden),
            Kind::Hello => check(
                kind,
                &Hello {
                    run: [0x52; 16],
                    stream: Stream::Report as u8,
                    fingerprint: [0xf0; 16],
                    highest_epoch: 300,
                    interval_ms: 5000,
                    agent_version: "0.1.0",
                    os: "linux",
                    arch: "aarch64",
                    kernel: "6.6.31+rpt-rpi-v8",
                },
                golden,
            ),
            Kind::Welcome => check(
                kind,
                &Welcome {
                    epoch: 301,
                    acknowledged: 0,
                    last_event: Some(EventIdentity(0x0102_0304_0506_0708, u64::MAX)),
                    kinds: list(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
                },
                golden,
            ),
            Kind::Batch => {
                check(kind, &Batch { epoch: 301, seq: 130, base: 120, through: 128, events_dropped: 7 }, golden)
            }
            Kind::Event => check(kind, &(127u64, event()), golden),
            Kind::Gap => {
                let cause = Cause::EngineRestarted as u8;
                check(kind, &(128u64, Gap { cause, count: Some(3), from_nano: -1, to_nano: 1 << 60 }), golden)
            }
            Kind::Container | Kind::Listed => check(kind, &(129u64, container()), golden),
            Kind::Absent => check(kind, &Absent { seq: 129, id: EngineId([0xc2; 32]) }, golden),
            Kind::ListEnd => check(kind, &ListEnd { seq: 129, total: 1024, hidden: 3 }, golden),
            Kind::Engine => {
                let state = EngineState::NotAnswering as u8;
                check(kind, &Engine { state, for_ms: 61_000, version: "28.0.1", api_version: "1.48" }, golden)
            }
            Kind::Answer => check(kind, &Answer { epoch: 301, acknowledged: 128, listed: 129, unexplained: 1 }, golden),
            Kind::Refused => check(kind, &Refused { reason: Reason::StaleEpoch as u8, epoch: 302 }, golden),
            Kind::Digest => {
                check(kind, &Digest { seq: 129, total: 50, hidden: 3, sum: [1, 2, 3, 4, 5, 6, 7, 8] }, golden)
            }
            Kind::Differs => check(kind, &Differs { seq: 129 }, golden),
            Kind::Session => check(kind, &[0x5e_u8; 12], golden),
            Kind::Settings => check(kind, &Settings { interval_ms: 30_000 }, golden),
            Kind::Trust => {
                let addresses = list(&["muster.example.org:7443", "[2001:db8::1]:7443"]);
                let pins = list(&[[0xa1; 32], [0xa2; 32]]);
                check(kind, &Trust { revision: 3, generation: 2, addresses, pins }, golden)
            }
            Kind::Trusted => check(kind, &Trusted { revision: 3 }, golden),
            Kind::Renew => check(kind, &Renew { number: 1 }, golden),
            Kind::Renewed => check(kind, &Renewed { number: 1, hash: [0xcd; 32] }, golden),
            Kind::Vitals => {
                let host = measured(&[(0, 123_456), (2, 250), (4, 181_004), (8, vitals::signed(-5))]);
                check(kind, &Vitals { at_ms: 61_000, wall_ms: 1_700_000_000_000, whole: true, host }, golden)
            }
            Kind::Usage => {
                let values = measured(&[(0, 123), (1, 20_480), (7, 5)]);
                check(kind, &Usage { id: [0xc2; 6], values }, golden)
            }
            Kind::Disk => {
                let values = measured(&[(0, 29_000), (1, 12_345), (3, 10)]);
                check(kind, &Disk { path: "/", values }, golden)
            }
            Kind::Pace => check(kind, &Pace { interval_ms: 15_000 }, golden),
            Kind::NetworkHello => {
                let (accepted, endpoint) = (prefix("10.0.0.0/8"), "203.0.113.7:51820");
                let addresses = list(&["192.168.1.7", "fd00::7"]);
                let (key, port, relays, blocks, sum) = ([0xb1; 32], 51820, true, 2, 0x0102_0304_0506_0708);
                check(kind, &NetworkHello { key, port, accepted, endpoint, relays, addresses, blocks, sum }, golden)
            }
            Kind::NetworkMember => {
                let (container, state, address) = (EngineId([0xc1; 32]), MemberState::Refused as u8, 0x0a2a_0002);
                check(kind, &NetworkMember { container, name: "web", state, address, reason: "mode host" }, golden)
            }
            Kind::NetworkPath => {
                let (host, way, endpoint) = (HostId([8; 8]), Way::Lan as u8, "192.168.1.8:51820");
                let path = NetworkPath { host, way, endpoint, handshake_s: 61, received: 1 << 40, sent: 300 };
                check(kind, &path, golden)
            }
            Kind::NetworkEcho => check(kind, &NetworkEcho { number: 7, took_us: 1500 }, golden),
            Kind::NetworkPlan => {
                let (range, label) = (prefix("10.42.0.0/16"), "io.rancher.container.network=true");
                let blocks = list(&[prefix("10.42.0.64/26"), prefix("10.42.3.192/26")]);
                let (mtu, slot, refused) = (1280, 300, NoPlace::HasOne as u8);
                check(kind, &NetworkPlan { range, label, names: true, mtu, slot, refused, blocks }, golden)
            }
            Kind::NetworkPeer => {
                let blocks = list(&[prefix("10.42.0.128/26")]);
                let endpoints =
                    list(&[(Reach::Lan as u8, "192.168.1.8:51820"), (Reach::Public as u8, "[2001:db8::8]:51820")]);
                let (host, name, key, slot) = (HostId([8; 8]), "pi-8", [0xb2; 32], 301);
                check(kind, &NetworkPeer { host, name, key, slot, keepalive_s: 25, blocks, endpoints }, golden)
            }
            Kind::NetworkRelay => {
                check(kind, &NetworkRelay { host: HostId([0; 8]), endpoint: ":7443", secret: [0x5e; 16] }, golden)
            }
            Kind::NetworkGuest => {
                check(kind, &NetworkGuest { host: HostId([8; 8]), slot: 301, secret: [0x5e; 16] }, golden)
            }
            Kind::NetworkName => {
                let (host_label, name) = ("pi-8", "web");
                check(kind, &NetworkName { host: HostId([8; 8]), host_label, name, address: 0x0a2a_0082 }, golden)
            }
            Kind::NetworkGone => {
                let gone = NetworkGone { kind: Kind::NetworkName as u8, host: HostId([8; 8]), name: "web" };
                check(kind, &gone, golden)
            }
            Kind::NetworkSum => check(kind, &NetworkSum { whole: true, sum: u64::MAX }, golden),
            Kind::NetworkProbe => check(kind, &NetworkProbe { number: 7, host: HostId([8; 8]) }, golden),
            other => panic!("{other:?} has no sample here"),
        }
    }
}

#[test]
fn every_kind_is_named_in_the_specification_and_no_number_is_used_twice() {
    let wire = std::fs::read_to_string(path("WIRE.md")).expect("WIRE.md");
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index + 1, "numbers are given in order and never again");
        assert_eq!(Kind::from_number(kind as u8), Some(kind));
        assert!(wire.contains(&format!("| {} | `{kind:?}` |", kind as u8)), "WIRE.md does not name {kind:?}");
    }
    let files = std::fs::read_dir(path("tests/golden")).expect("the directory").count();
    assert_eq!(files, Kind::ALL.len(), "a golden file without a kind, or the other way round");
}

#[test]
fn the_specification_s_example_is_what_we_send() {
    let wire = std::fs::read_to_string(path("WIRE.md")).expect("WIRE.md");
    let block = wire.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a hex block");
    // What stands behind a `;` is explanation.
    let example: String = block.lines().map(|line| line.split(';').next().unwrap_or_default()).collect();
    let mut buffer = [0; 512];
    let mut writer = Writer::message(&mut buffer).expect("fits");
    let batch = Batch { epoch: 3, seq: 130, base: 120, through: 130, events_dropped: 0 };
    writer.record(Kind::Batch, &batch).expect("fits");
    let engine = Engine { state: EngineState::Ok as u8, for_ms: 300, version: "28.0.1", api_version: "1.48" };
    writer.record(Kind::Engine, &engine).expect("fits");
    let event = Event {
        time_nano: 1_700_000_000_000_000_000,
        subject: Subject::Container as u8,
        action: "destroy",
        actor: EngineId([0xc1; 32]),
        container: None,
        attributes: list(&[("name", "web")]),
        truncated: 0,
    };
    writer.record(Kind::Event, &(121u64, event)).expect("fits");
    writer.record(Kind::Absent, &Absent { seq: 129, id: EngineId([0xc1; 32]) }).expect("fits");
    assert_eq!(hex(&unhex(&example)), hex(writer.as_bytes()));
}
