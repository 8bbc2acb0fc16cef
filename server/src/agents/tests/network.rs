//! The line of the managed network: what hosts are told, and when.

use super::Port;
use crate::agents::harness::{Agent, by};
use crate::api::types::{AcceptNetworkKey, EnableNetwork, PingNetwork};
use crate::fleet::{ContainerSelect, HostChange, Refusal};
use crate::network::samples::hello;
use crate::network::{host_key, relaying};
use crate::store::StoreError;
use futures_lite::future::{self, block_on};
use muster_dial::line::Said;
use muster_dial::{Failure, Line, Opened, Settings, Status};
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::network::{
    MemberState, NetworkEcho, NetworkGone, NetworkHello, NetworkMember, NetworkName, NetworkPath, NetworkPeer,
    NetworkPlan, NetworkProbe, NetworkRelay, NetworkSum, NoPlace, Prefix, relay, sum,
};
use muster_protocol::record::{Kind, Reader, Record, Writer};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

/// So long nothing here should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host's network process.
struct Node {
    agent: Agent,
    line: Line,
    /// What it has been told, by kind, host and name.
    plan: BTreeMap<(u8, HostId, String), Vec<u8>>,
    /// Its public key.
    key: [u8; 32],
}

fn open(port: &Port, credential: &str) -> Result<Line, Status> {
    let address = port.address.to_string().parse().expect("an address");
    let settings = Settings::small(address, vec![port.key.pin()]);
    match Line::open(settings, "/agent/v1/network", credential, limits::NETWORK_MESSAGE).expect("an answer") {
        Opened::Line(line) => Ok(*line),
        Opened::Refused(status) => Err(status),
    }
}

fn message(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; limits::MESSAGE];
    let mut writer = Writer::message(&mut buffer).expect("room");
    write(&mut writer);
    writer.as_bytes().to_vec()
}

fn enable(port: &Port, change: impl FnOnce(&mut crate::network::settings::Settings)) {
    let enabled = port.bench.fleet.network().change::<_, StoreError>(|basis| {
        let mut settings = basis.settings.clone();
        change(&mut settings);
        basis.set(settings);
        basis.enabled = true;
        Ok(((), Vec::new()))
    });
    block_on(enabled).expect("stored");
}

impl Node {
    fn new(port: &Port, name: &str, key: u8) -> Node {
        let agent = port.bench.join(name);
        let line = open(port, &agent.credential).expect("a line");
        Node { agent, line, plan: BTreeMap::new(), key: [key; 32] }
    }

    fn host(&self, port: &Port) -> HostId {
        self.agent.cell(&port.bench).id
    }

    fn hello(&mut self, accepted: &str, members: &[(u8, &str, Result<u32, &str>)]) {
        let held = self.plan.iter().fold(0u64, |all, ((kind, ..), payload)| all.wrapping_add(sum(*kind, payload)));
        let hello = NetworkHello {
            key: self.key,
            port: 51820,
            accepted: Prefix::parse(accepted).expect("a range"),
            endpoint: "",
            relays: false,
            addresses: ["192.168.7.2"].into_iter().collect(),
            blocks: 1,
            sum: held,
        };
        let bytes = message(|writer| {
            writer.record(Kind::NetworkHello, &hello).expect("room");
            for (number, name, joined) in members {
                let state = if joined.is_ok() { MemberState::Joined } else { MemberState::Refused };
                let member = NetworkMember {
                    container: EngineId([*number; 32]),
                    name,
                    state: state as u8,
                    address: joined.unwrap_or(0),
                    reason: joined.err().unwrap_or(""),
                };
                writer.record(Kind::NetworkMember, &member).expect("room");
            }
        });
        self.line.send(&bytes, false, PATIENCE).expect("it takes it");
    }

    /// Takes what it is told until the end of a change. Whether that was all of the plan, and the kinds of its records.
    fn hear(&mut self) -> (bool, Vec<Kind>) {
        let mut kinds = Vec::new();
        let (mut new, mut fresh) = (self.plan.clone(), BTreeMap::new());
        loop {
            let Said { message, is_answer } = self.line.wait(PATIENCE).expect("it says something");
            assert!(!is_answer);
            let mut records = Reader::message(&message).expect("a message");
            while let Some(record) = records.next_record().expect("well formed") {
                match record.kind {
                    Kind::NetworkSum => {
                        let end: NetworkSum = record.decode().expect("it decodes");
                        self.plan = if end.whole { fresh } else { new };
                        let parts = self.plan.iter().map(|((kind, ..), payload)| sum(*kind, payload));
                        assert_eq!(parts.fold(0, u64::wrapping_add), end.sum);
                        return (end.whole, kinds);
                    }
                    Kind::NetworkGone => {
                        let gone: NetworkGone<'_> = record.decode().expect("it decodes");
                        new.remove(&(gone.kind, gone.host, gone.name.to_owned())).expect("it was there");
                    }
                    _ => {
                        let key = key_of(&record);
                        fresh.insert(key.clone(), record.payload.to_vec());
                        new.insert(key, record.payload.to_vec());
                    }
                }
                kinds.push(record.kind);
            }
        }
    }

    fn place(&self) -> NetworkPlan<'_> {
        let (_, payload) = self.plan.iter().find(|((kind, ..), _)| *kind == Kind::NetworkPlan as u8).expect("one");
        postcard::from_bytes(payload).expect("it decodes")
    }

    fn peers(&self) -> Vec<NetworkPeer<'_>> {
        let of_kind = self.plan.iter().filter(|((kind, ..), _)| *kind == Kind::NetworkPeer as u8);
        of_kind.map(|(_, payload)| postcard::from_bytes(payload).expect("it decodes")).collect()
    }

    fn names(&self) -> Vec<(String, u32)> {
        let of_kind = self.plan.iter().filter(|((kind, ..), _)| *kind == Kind::NetworkName as u8);
        let names = of_kind.map(|(_, payload)| postcard::from_bytes::<NetworkName<'_>>(payload).expect("it decodes"));
        names.map(|name| (format!("{}.{}", name.name, name.host_label), name.address)).collect()
    }

    fn until_it_ends(&mut self) {
        loop {
            match self.line.wait(PATIENCE) {
                Ok(_) => {}
                Err(Failure::TimedOut) => panic!("it goes on"),
                Err(_) => return,
            }
        }
    }
}

fn key_of(record: &Record<'_>) -> (u8, HostId, String) {
    let (host, name) = match record.kind {
        Kind::NetworkPlan => (HostId([0; 8]), ""),
        Kind::NetworkPeer => (record.decode::<NetworkPeer<'_>>().expect("it decodes").host, ""),
        Kind::NetworkRelay => (record.decode::<NetworkRelay<'_>>().expect("it decodes").host, ""),
        Kind::NetworkName => {
            let name: NetworkName<'_> = record.decode().expect("it decodes");
            (name.host, name.name)
        }
        other => panic!("{other:?} is not expected here"),
    };
    (record.kind as u8, host, name.to_owned())
}

const ALL: &str = "10.0.0.0/8";

#[test]
fn hosts_hear_of_each_other_at_once_and_of_nothing_twice() {
    let port = Port::open();
    let mut one = Node::new(&port, "one", 1);
    one.hello(ALL, &[]);
    assert_eq!(one.hear(), (true, vec![Kind::NetworkPlan]));
    assert_eq!(one.place().refused, NoPlace::NotEnabled as u8);
    enable(&port, |_| {});
    assert_eq!(one.hear(), (false, vec![Kind::NetworkPlan]));
    assert_eq!((one.place().refused, one.place().blocks.len()), (0, 1));
    let mut two = Node::new(&port, "two", 2);
    two.hello(ALL, &[]);
    assert_eq!(two.hear(), (true, vec![Kind::NetworkPlan, Kind::NetworkPeer]));
    assert_eq!(one.hear(), (false, vec![Kind::NetworkPeer]));
    assert_eq!((one.peers()[0].name, one.peers()[0].key), ("two", [2; 32]));
    assert_eq!(two.peers()[0].blocks[0], one.place().blocks[0]);

    two.hello(ALL, &[]);
    assert_eq!(two.hear(), (false, vec![]), "it has it all");
    block_on(port.bench.fleet.change_host(
        &by(),
        "two",
        HostChange { name: Some("second".into()), ..Default::default() },
    ))
    .expect("renamed");
    assert_eq!(one.hear(), (false, vec![Kind::NetworkPeer]));
    assert_eq!(one.peers()[0].name, "second");

    two.line.send(&[1], true, PATIENCE).expect("it takes it");
    let answer = two.line.wait(PATIENCE).expect("an answer");
    assert!(answer.is_answer && answer.message == [1], "so it knows that the line works");
}

#[test]
fn a_host_that_is_removed_is_gone_from_all_others_and_its_line_is_cut() {
    let port = Port::open();
    enable(&port, |_| {});
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    one.hello(ALL, &[]);
    one.hear();
    two.hello(ALL, &[]);
    two.hear();
    one.hear();
    block_on(port.bench.fleet.remove_host(&by(), "two")).expect("removed");
    assert_eq!(one.hear(), (false, vec![Kind::NetworkGone]));
    assert!(one.peers().is_empty());
    two.until_it_ends();
    assert_eq!(open(&port, &two.agent.credential).err(), Some(Status(410)));
    assert!(port.bench.restarted().fleet.network().basis().members().count() == 1, "it is stored");
    block_on(port.bench.fleet.revoke_credential(&by(), "one")).expect("revoked");
    one.until_it_ends();
    assert_eq!(port.bench.fleet.network().basis().members().count(), 0);
}

#[test]
fn a_host_whose_place_is_taken_away_gets_another_only_if_it_comes_again() {
    let port = Port::open();
    enable(&port, |_| {});
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    one.hello(ALL, &[]);
    one.hear();
    two.hello(ALL, &[]);
    two.hear();
    one.hear();
    let remove = |host| block_on(port.bench.fleet.remove_from_network(&by(), host));
    assert_eq!(remove("two"), Ok(()));
    assert!(matches!(remove("two"), Err(Refusal::NotFound(_))));
    assert_eq!(one.hear(), (false, vec![Kind::NetworkGone]));
    two.until_it_ends();
    two.line = open(&port, &two.agent.credential).expect("it is a host all the same");
    two.hello(ALL, &[]);
    two.hear();
    assert_eq!((two.place().slot, two.place().blocks[0].to_string().as_str()), (3, "10.42.0.128/26"));
}

#[test]
fn a_newer_line_replaces_the_older_one_and_no_line_for_reports() {
    let port = Port::open();
    enable(&port, |_| {});
    let mut one = Node::new(&port, "one", 1);
    let address = port.address.to_string().parse().expect("an address");
    let settings = Settings::small(address, vec![port.key.pin()]);
    let opened = Line::open(settings, "/agent/v1/stream", &one.agent.credential, 4096).expect("an answer");
    let Opened::Line(mut report) = opened else { panic!("no line") };
    one.hello(ALL, &[]);
    one.hear();
    let newer = open(&port, &one.agent.credential).expect("a line");
    one.until_it_ends();
    one.line = newer;
    one.hello(ALL, &[]);
    assert_eq!(one.hear(), (false, vec![]));
    assert_eq!(report.heard(), Ok(None), "that one goes on");
    assert!(port.bench.fleet.network().is_connected(one.host(&port)));
    drop(one.line);
    port.bench.until(|fleet| !fleet.network().is_connected(one.agent.cell(&port.bench).id));
}

#[test]
fn another_key_is_not_believed_until_an_operator_accepts_it() {
    let port = Port::open();
    enable(&port, |settings| settings.names = true);
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    one.hello(ALL, &[]);
    one.hear();
    two.hello(ALL, &[(1, "web", Ok(0x0a2a_0042))]);
    two.hear();
    one.hear();
    assert_eq!(one.names(), [("web.two".to_owned(), 0x0a2a_0042)]);
    let before = one.plan.clone();
    two.key = [9; 32];
    two.hello(ALL, &[(1, "evil", Ok(0x0a2a_0043))]);
    two.hear();
    assert_eq!((two.place().refused, two.peers().len()), (NoPlace::KeyChanged as u8, 0));
    // The next that one hears is what comes of accepting, and the former key stayed until then.
    assert_eq!(one.plan, before);
    // It comes with one more key before the operator accepts the one that was shown.
    let seen = port.bench.fleet.network_host("two").expect("it is there").new_key.expect("another key");
    two.key = [10; 32];
    two.hello(ALL, &[]);
    two.hear();
    let accept = |key: &str| {
        let wanted = AcceptNetworkKey { key: key.into() };
        block_on(port.bench.fleet.accept_network_key(&by(), "two", &wanted))
    };
    let Err(Refusal::Conflict(why)) = accept(&seen) else { panic!("a key that it has not any more") };
    assert!(why.contains("another key by now"), "{why}");
    assert!(matches!(accept("x"), Err(Refusal::Invalid(_))));
    assert_eq!(one.plan, before);
    two.key = [9; 32];
    two.hello(ALL, &[]);
    two.hear();
    assert_eq!(accept(&seen).expect("accepted").key, Some(seen));
    one.hear();
    assert_eq!(one.peers()[0].key, [9; 32]);
    two.hear();
    assert_eq!(two.place().refused, 0);
    let audit = block_on(port.bench.fleet.audit(u64::MAX, 1, Default::default())).expect("rows").0;
    assert_eq!((audit[0].action.as_str(), audit[0].target.as_str()), ("network.accept", "two"));
}

#[test]
fn what_hosts_and_the_network_do_not_agree_on_is_said() {
    let port = Port::open();
    enable(&port, |_| {});
    let [mut one, mut two] = [("one", 1), ("two", 1)].map(|(name, key)| Node::new(&port, name, key));
    one.hello("10.99.0.0/16", &[]);
    one.hear();
    assert_eq!(one.place().refused, NoPlace::NotAccepted as u8);
    one.hello(ALL, &[(1, "hostly", Err("network mode host"))]);
    assert_eq!(one.hear(), (false, vec![Kind::NetworkPlan]), "only what has changed");
    assert_eq!(one.place().refused, 0);
    two.hello(ALL, &[]);
    two.hear();
    assert_eq!(two.place().refused, NoPlace::KeyTaken as u8);
    let basis = port.bench.fleet.network().basis();
    let refusals: Vec<_> =
        basis.members().flat_map(|it| it.refusals().map(|(it, why)| (it.name.clone(), why))).collect();
    assert_eq!(refusals, [("hostly".to_owned(), "network mode host")]);
}

#[test]
fn paths_and_echoes_come_to_whoever_asks() {
    let port = Port::open();
    enable(&port, |_| {});
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    two.hello(ALL, &[]);
    two.hear();
    one.hello(ALL, &[]);
    one.hear();
    let (from, to) = (one.host(&port), two.host(&port));
    let path = NetworkPath { host: to, way: 3, endpoint: "", handshake_s: 4, received: 5, sent: 6 };
    let bytes = message(|writer| writer.record(Kind::NetworkPath, &path).expect("room"));
    one.line.send(&bytes, true, PATIENCE).expect("it takes it");
    assert!(one.line.wait(PATIENCE).expect("an answer").is_answer);
    let network = port.bench.fleet.network();
    assert_eq!(network.paths(from)[&to].sent, 6);

    let waiting = network.probe(from, to);
    let probe = one.line.wait(PATIENCE).expect("a question");
    let probe: NetworkProbe =
        Reader::message(&probe.message).and_then(|mut records| records.expect(Kind::NetworkProbe)).expect("a probe");
    assert_eq!(probe.host, to);
    let echo = |number| {
        message(|writer| {
            let echo = NetworkEcho { number, took_us: 1500 };
            writer.record(Kind::NetworkEcho, &echo).expect("room");
        })
    };
    // Another host's word on it does not count.
    two.line.send(&echo(probe.number), false, PATIENCE).expect("it takes it");
    one.line.send(&echo(probe.number), false, PATIENCE).expect("it takes it");
    assert_eq!(block_on(waiting.told.recv()), Ok(1500));
    assert!(block_on(network.probe(HostId([7; 8]), to).told.recv()).is_err(), "it has no line");
}

#[test]
fn what_is_no_message_or_comes_too_early_ends_the_line_and_changes_nothing() {
    let port = Port::open();
    enable(&port, |_| {});
    let early = message(|writer| {
        let member = NetworkMember { container: EngineId([1; 32]), name: "web", state: 1, address: 5, reason: "" };
        writer.record(Kind::NetworkMember, &member).expect("room");
    });
    for (number, bytes) in [&early[..], &[9, 9], &[1, Kind::NetworkHello as u8, 3, 1, 2, 3]].into_iter().enumerate() {
        let mut node = Node::new(&port, &format!("n{number}"), 1);
        node.line.send(bytes, false, PATIENCE).expect("it takes it");
        node.until_it_ends();
    }
    assert_eq!(port.bench.fleet.network().basis().members().count(), 0);
    let agent = port.bench.join("pi");
    assert_eq!(open(&port, &"0".repeat(64)).err(), Some(Status(401)));
    assert_eq!(super::post(&port.client(), "network", &agent.credential, &[]).0, 405);
}

#[test]
fn a_frame_that_comes_in_pieces_survives_changes_that_are_told_meanwhile() {
    use std::io::{Read, Write};
    let port = Port::open();
    enable(&port, |_| {});
    let mut one = Node::new(&port, "one", 1);
    one.hello(ALL, &[]);
    one.hear();
    let agent = port.bench.join("slow");
    let mut raw = port.raw();
    let head = format!(
        "GET /agent/v1/network HTTP/1.1\r\nhost: m\r\nconnection: upgrade\r\nupgrade: muster/1\r\n\
         authorization: Bearer {}\r\n\r\n",
        agent.credential
    );
    raw.write_all(head.as_bytes()).and_then(|()| raw.flush()).expect("sent");
    let hello = NetworkHello {
        key: [3; 32],
        port: 1,
        accepted: Prefix::parse(ALL).expect("a range"),
        endpoint: "",
        relays: false,
        addresses: Default::default(),
        blocks: 1,
        sum: 0,
    };
    let bytes = message(|writer| writer.record(Kind::NetworkHello, &hello).expect("room"));
    let head = muster_protocol::frame::Head { length: bytes.len(), flag: true };
    let (head, used) = head.encode().expect("a head");
    let frames = [&head[..used], &bytes].concat().repeat(3);
    for (at, byte) in frames.iter().enumerate() {
        raw.write_all(&[*byte]).and_then(|()| raw.flush()).expect("sent");
        if at % 16 == 0 {
            let name = format!("name-{at}");
            block_on(port.bench.fleet.change_host(&by(), "one", HostChange { name: None, ..Default::default() }))
                .expect("nothing");
            block_on(port.bench.fleet.network().rename(one.agent.cell(&port.bench).id, &name));
        }
    }
    // Each of the three hellos is answered, between whatever else is told.
    let (mut all, mut answers) = (Vec::new(), 0);
    let mut buffer = [0; 4096];
    let mut skipped = false;
    while answers < 3 {
        let length = raw.read(&mut buffer).expect("more");
        assert!(length > 0, "it ended after {answers} answers");
        all.extend_from_slice(&buffer[..length]);
        if !skipped && let Some(end) = all.windows(4).position(|it| it == b"\r\n\r\n") {
            assert!(all.starts_with(b"HTTP/1.1 101 "));
            all.drain(..end + 4);
            skipped = true;
        }
        while skipped && let Some(frame) = muster_protocol::frame::split(&all).expect("frames") {
            answers += usize::from(frame.flag);
            all = frame.rest.to_vec();
        }
    }
    assert_eq!(port.bench.fleet.network().basis().members().count(), 2);
}

#[test]
fn a_restarted_server_has_the_same_plan_and_a_store_that_fails_gives_no_block_away() {
    let port = Port::open();
    enable(&port, |_| {});
    let mut one = Node::new(&port, "one", 1);
    one.hello(ALL, &[(1, "web", Ok(0x0a2a_0002)), (2, "bad", Err("no"))]);
    one.hear();
    let mut two = Node::new(&port, "two", 2);
    port.bench.store.fail_commits(1);
    two.hello(ALL, &[]);
    two.until_it_ends();
    assert_eq!(port.bench.fleet.network().basis().members().count(), 1);
    two.line = open(&port, &two.agent.credential).expect("a line");
    two.hello(ALL, &[]);
    two.hear();
    let (now, again) = (port.bench.fleet.network().basis(), port.bench.restarted().fleet.network().basis());
    let shown = |basis: &crate::network::basis::Basis| -> Vec<_> {
        basis.members().map(|it| (it.host, it.slot, it.blocks.clone(), it.joined(), it.name.clone())).collect()
    };
    assert_eq!(shown(&again), shown(&now));
    assert_eq!(again.settings, now.settings);
    for member in now.members() {
        assert_eq!(
            crate::network::plan::plan(&again, member.host).sum(),
            crate::network::plan::plan(&now, member.host).sum(),
            "agents that come again have it already"
        );
    }
}

/// Registers with a relay as an agent does, until it has shown that it hears.
fn register(socket: &UdpSocket, relay: SocketAddr, slot: u32, secret: &[u8; 16]) -> SocketAddr {
    let (mut cookie, mut buffer) = (0, [0; 64]);
    for number in 1..=100 {
        let mut datagram = [0; relay::REGISTER_LIMIT];
        let length = relay::register(secret, slot, number, cookie, relay, &mut datagram);
        socket.send_to(&datagram[..length], relay).expect("sent");
        // The relay may not listen yet, or not know of the guest: then it says nothing.
        let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
        let Some(answer) = relay::read_answer(secret, &buffer[..length]) else { continue };
        if std::mem::replace(&mut cookie, answer.cookie) == answer.cookie {
            return answer.observed;
        }
    }
    panic!("the relay does not answer");
}

#[test]
fn the_relay_is_there_while_the_network_is_and_tells_where_hosts_are() {
    let port = Port::open();
    let listens: SocketAddr = (Ipv4Addr::LOCALHOST, port.address.port()).into();
    let fleet = port.bench.fleet.clone();
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let keeping = thread::spawn(move || {
        block_on(future::or(relaying::keep(fleet, listens), async {
            let _ = stopped.recv().await;
        }));
    });
    let mut one = Node::new(&port, "one", 1);
    one.hello(ALL, &[]);
    one.hear();
    assert!(port.bench.fleet.network_view().relay_port.is_none());
    enable(&port, |_| {});
    port.bench.until(|fleet| fleet.network_view().relay_port == Some(listens.port()));
    let secret = loop {
        // Whether the place or the relay comes first is open.
        one.hear();
        let relays = one.plan.iter().find(|((kind, ..), _)| *kind == Kind::NetworkRelay as u8);
        if let Some((_, payload)) = relays {
            let relay: NetworkRelay<'_> = postcard::from_bytes(payload).expect("it decodes");
            assert_eq!((relay.host, relay.endpoint), (HostId([0; 8]), &*format!(":{}", listens.port())));
            break relay.secret;
        }
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit");
    let observed = register(&socket, listens, one.place().slot, &secret);
    assert_eq!(observed, socket.local_addr().expect("bound"));
    port.bench.until(|fleet| fleet.network_view().hosts[0].observed.as_deref() == Some("127.0.0.1"));
    port.bench.until(|_| stored_at(&port).as_deref() == Some("127.0.0.1"));
    assert!(port.bench.fleet.network().relayed().is_some_and(|counters| counters.registrations > 0));

    // What another program has is said.
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let number = taken.local_addr().expect("bound").port();
    enable(&port, |settings| settings.relay_port = Some(number));
    port.bench.until(|fleet| fleet.network_view().relay_problem.is_some_and(|why| why.contains("--relay-port")));
    enable(&port, |settings| settings.relay_port = None);
    port.bench.until(|fleet| fleet.network_view().relay_port == Some(listens.port()));
    block_on(port.bench.fleet.disable_network(&by())).expect("disabled");
    port.bench.until(|fleet| fleet.network_view().relay_port.is_none());
    port.bench.until(|_| UdpSocket::bind(listens).is_ok());
    drop(stop);
    keeping.join().expect("it ends");
}

#[test]
fn hosts_of_the_network_are_listed_page_by_page() {
    let port = Port::open();
    enable(&port, |_| {});
    let fleet = &port.bench.fleet;
    let told = fleet.network().change::<_, StoreError>(|basis| {
        for number in 1..=7u8 {
            // The last one is a copied card, which never got a place.
            let key = if number == 7 { 1 } else { number };
            basis.hear(HostId([number; 8]), &format!("h{}", number / 2), &hello(key));
        }
        Ok(((), Vec::new()))
    });
    block_on(told).expect("stored");
    let whole = fleet.network_view().hosts;
    assert_eq!(whole.len(), 7);
    assert!(whole.is_sorted_by_key(|host| (host.name.clone(), host.id.clone())));
    for limit in 1..9 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let mut page = fleet.network_page(after.as_ref(), limit).hosts;
            let is_last = page.len() <= limit;
            page.truncate(limit);
            after = page.last().map(|host| host_key(host).map(str::to_owned));
            seen.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(seen, whole, "{limit}");
    }
}

#[test]
fn a_container_that_could_not_be_joined_says_so_where_users_look() {
    let port = Port::open();
    enable(&port, |_| {});
    let fleet = &port.bench.fleet;
    let agents = ["one", "two"].map(|name| port.bench.host(name, &[1, 2]));
    let mut one = Node {
        line: open(&port, &agents[0].credential).expect("a line"),
        plan: BTreeMap::new(),
        key: [1; 32],
        agent: agents.into_iter().next().expect("the first"),
    };
    let why = "its network mode is host";
    let refused = |all: bool| {
        let select = ContainerSelect { all, ..Default::default() };
        let page = block_on(fleet.containers(select, None, 100));
        let refused = page.into_iter().filter_map(|it| Some((it.host, it.id, it.network_refused?)));
        refused.collect::<Vec<_>>()
    };
    let id = block_on(fleet.containers(Default::default(), None, 1)).remove(0).id;
    let number = EngineId::parse(&id).expect("an id").0[0];
    assert_eq!(refused(true), []);
    one.hello(ALL, &[(number, "x", Err(why))]);
    one.hear();
    assert_eq!(refused(true), [("one".to_owned(), id.clone(), why.to_owned())], "and not that of the other host");
    let shown = fleet.container("one", &id).expect("it is there");
    assert_eq!(shown.network_refused.as_deref(), Some(why));
    assert_eq!(fleet.container("two", &id).expect("it is there").network_refused, None);
    one.hello(ALL, &[(number, "x", Ok(0x0a2a_0002))]);
    one.hear();
    assert_eq!(refused(true), []);
}

/// Where the store has that the first host is seen.
fn stored_at(port: &Port) -> Option<String> {
    port.bench.restarted().fleet.network_view().hosts[0].observed.clone()
}

#[test]
fn a_host_that_flips_between_addresses_is_told_at_once_and_stored_seldom() {
    let port = Port::open();
    enable(&port, |_| {});
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    one.hello(ALL, &[]);
    one.hear();
    two.hello(ALL, &[]);
    two.hear();
    one.hear();
    let (fleet, slot) = (&port.bench.fleet, one.place().slot);
    let seen = |last: u8, now_ms| {
        block_on(fleet.network().observe(&[(slot, [203, 0, 113, last].into())], now_ms)).expect("stored, or not due");
        fleet.network_view().hosts[0].observed.clone().expect("it is seen")
    };
    for (second, last) in (0..30).zip([5, 6].into_iter().cycle()) {
        assert_eq!(seen(last, second * 1000), format!("203.0.113.{last}"), "everybody knows");
        assert_eq!(stored_at(&port).as_deref(), Some("203.0.113.5"), "{second}");
    }
    assert_eq!(fleet.network().sightings_due_ms(), Some(30_000));
    block_on(fleet.network().store_sightings(30_000)).expect("stored");
    assert_eq!(stored_at(&port).as_deref(), Some("203.0.113.6"), "nothing more has come");
    // What else is stored of the host has it, too.
    seen(7, 31_000);
    one.hello(ALL, &[(1, "web", Ok(0x0a2a_0002))]);
    port.bench.until(|_| stored_at(&port).as_deref() == Some("203.0.113.7"));
    // And the end of the server does not lose it.
    seen(8, 32_000);
    assert_eq!(stored_at(&port).as_deref(), Some("203.0.113.7"));
    block_on(fleet.close());
    assert_eq!(stored_at(&port).as_deref(), Some("203.0.113.8"));
}

#[test]
fn operators_are_told_what_another_range_means_and_what_a_ping_needs() {
    let port = Port::open();
    let wanted = |wanted: EnableNetwork| block_on(port.bench.fleet.enable_network(&by(), wanted));
    assert_eq!(wanted(EnableNetwork::default()), Ok(()));
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    one.hello(ALL, &[(1, "bad", Err("network mode host"))]);
    one.hear();
    let other = EnableNetwork { cidr: Some("10.7.0.0/16".into()), ..EnableNetwork::default() };
    let refused = wanted(other.clone());
    assert!(matches!(&refused, Err(Refusal::Conflict(why)) if why.contains("1 hosts have") && why.contains("--force")));
    assert!(matches!(wanted(EnableNetwork { mtu: Some(9), ..other.clone() }), Err(Refusal::Invalid(_))));
    let kept = EnableNetwork { names: Some(true), mtu: Some(1400), ..EnableNetwork::default() };
    assert_eq!(wanted(kept), Ok(()), "what is not the range needs no force");
    assert_eq!(one.hear().1, [Kind::NetworkPlan]);
    assert_eq!(wanted(EnableNetwork { force: true, ..other }), Ok(()));
    one.hear();
    assert_eq!((one.place().blocks[0].to_string().as_str(), one.place().mtu), ("10.7.0.0/26", 1400));
    let view = port.bench.fleet.network_view();
    assert_eq!((view.blocks_used, view.hosts[0].refused[0].reason.as_str()), (1, "network mode host"));

    let ping = |from: &str, to: &str| {
        block_on(port.bench.fleet.ping_network(&PingNetwork { from: from.into(), to: to.into() }))
    };
    let conflict = |from, to| match ping(from, to) {
        Err(Refusal::Conflict(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(ping("one", "nobody"), Err(Refusal::NotFound(_))));
    assert!(matches!(ping("one", "one"), Err(Refusal::Invalid(_))));
    assert!(conflict("one", "two").contains("muster-agent network up"));
    two.hello(ALL, &[]);
    two.hear();
    drop(two.line);
    let gone = two.agent.cell(&port.bench).id;
    port.bench.until(|fleet| !fleet.network().is_connected(gone));
    assert!(conflict("two", "one").contains("not connected"));
    let page = port.bench.fleet.network_paths(None, None, 1);
    assert_eq!((page.len(), page[0].from.as_str(), page[0].way.as_str()), (2, "one", "none"));
    let key = crate::network::path_key(&page[0]).map(str::to_owned);
    assert_eq!(port.bench.fleet.network_paths(None, Some(&key), 9), page[1..]);
}

#[test]
fn names_of_containers_stay_while_their_host_comes_back_and_go_if_they_do_not() {
    let port = Port::open();
    enable(&port, |settings| settings.names = true);
    let [mut one, mut two] = [("one", 1), ("two", 2)].map(|(name, key)| Node::new(&port, name, key));
    one.hello(ALL, &[]);
    one.hear();
    two.hello(ALL, &[(1, "web", Ok(0x0a2a_0042)), (2, "db", Ok(0x0a2a_0043))]);
    two.hear();
    let names = |node: &mut Node, wanted: &[(&str, u32)]| {
        let wanted: Vec<(String, u32)> = wanted.iter().map(|(name, address)| (name.to_string(), *address)).collect();
        let mut seen = Vec::new();
        while node.names() != wanted {
            node.hear();
            seen.push(node.names().len());
        }
        seen
    };
    names(&mut one, &[("db.two", 0x0a2a_0043), ("web.two", 0x0a2a_0042)]);
    two.line = open(&port, &two.agent.credential).expect("a line");
    // As agents do: the hello alone, and then the containers.
    two.hello(ALL, &[]);
    let again = NetworkMember { container: EngineId([2; 32]), name: "db", state: 1, address: 0x0a2a_0043, reason: "" };
    let again = message(|writer| writer.record(Kind::NetworkMember, &again).expect("room"));
    two.line.send(&again, false, PATIENCE).expect("it takes it");
    let seen = names(&mut one, &[("db.two", 0x0a2a_0043)]);
    assert!(seen.iter().all(|names| *names >= 1), "the one that stays was gone for a while: {seen:?}");
    assert_eq!(port.bench.restarted().fleet.network_view().hosts[1].containers, 1);
}
