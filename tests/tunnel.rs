//! Tunnels with real TUN devices, each in a network namespace of its own: hosts that reach each other, and hosts that
//! reach a relay alone. Part of the agent's tests: `cargo test -p muster-agent --features network --test tunnel`. Needs
//! root, and the packages iproute2 and util-linux.

use muster_agent::network::tunnel::{Guest, Path, Peer, Relay, Settings, Table, Tunnel};
use muster_protocol::id::HostId;
use muster_protocol::network::{Prefix, Reach, Way};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PORT: u16 = 4570;
const LIMIT: Duration = Duration::from_secs(20);

/// A network namespace. It ends with the test.
struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new() -> Namespace {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is missing: install the package util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "no network namespace: root and the package iproute2 are needed");
        Namespace { holder }
    }

    fn run(&self, command: &str) {
        let namespace = format!("--net=/proc/{}/ns/net", self.holder.id());
        let done = Command::new("nsenter").arg(namespace).args(command.split(' ')).output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// In a thread that is in the namespace. What it opens stays there.
    fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
        let file = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A switch with hosts at it: the underlay.
struct Net {
    switch: Namespace,
    hosts: Vec<Host>,
}

struct Host {
    namespace: Namespace,
    number: u8,
    tunnel: Option<Tunnel>,
}

impl Net {
    fn new(hosts: u8) -> Net {
        let switch = Namespace::new();
        switch.run("ip link add middle type bridge");
        switch.run("ip link set middle up");
        let hosts = (1..=hosts)
            .map(|number| {
                let namespace = Namespace::new();
                let peer = namespace.holder.id();
                switch.run(&format!("ip link add port{number} type veth peer cable netns {peer}"));
                switch.run(&format!("ip link set port{number} master middle up"));
                namespace.run(&format!("ip address add {}/24 dev cable", outer(number)));
                namespace.run("ip link set cable up");
                Host { namespace, number, tunnel: None }
            })
            .collect();
        Net { switch, hosts }
    }

    /// Whether frames between two hosts are let through.
    fn separate(&self, one: u8, other: u8, apart: bool) {
        for (from, to) in [(one, other), (other, one)] {
            let verb = if apart { "add" } else { "del" };
            self.host(from).namespace.run(&format!("ip route {verb} blackhole {}/32", outer(to)));
        }
    }

    fn host(&self, number: u8) -> &Host {
        &self.hosts[usize::from(number) - 1]
    }

    fn start(&mut self, number: u8, table: &Table) {
        let host = &mut self.hosts[usize::from(number) - 1];
        drop(host.tunnel.take());
        let settings = Settings { key: secret(number), port: PORT, device: "muster-wg0".into(), mtu: 1280 };
        let tunnel = host.namespace.within(|| Tunnel::start(settings)).join().unwrap().unwrap();
        host.namespace.run(&format!("ip address add {}/32 dev muster-wg0", inner(number)));
        host.namespace.run("ip link set muster-wg0 up");
        host.namespace.run("ip route add 10.42.0.0/16 dev muster-wg0");
        assert_eq!(tunnel.local_port(), PORT);
        tunnel.set(table).unwrap();
        host.tunnel = Some(tunnel);
    }
}

impl Host {
    fn tunnel(&self) -> &Tunnel {
        self.tunnel.as_ref().unwrap()
    }

    fn path(&self, peer: u8) -> Path {
        self.tunnel().paths().into_iter().find(|path| path.host == id(peer)).unwrap()
    }

    fn reaches(&self, peer: u8) -> bool {
        self.tunnel().probe(id(peer), inner(self.number).to_bits(), inner(peer).to_bits()).is_some()
    }
}

fn outer(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number)
}

fn inner(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 42, number, 1)
}

fn id(number: u8) -> HostId {
    HostId([number; 8])
}

fn secret(number: u8) -> [u8; 32] {
    [number; 32]
}

fn at(number: u8) -> SocketAddr {
    SocketAddr::new(outer(number).into(), PORT)
}

fn block(number: u8) -> Prefix {
    Prefix { first: Ipv4Addr::new(10, 42, number, 0).to_bits(), length: 24 }
}

/// A table of a host with peers at the endpoints that are given.
fn table(own: u8, peers: &[(u8, Option<SocketAddr>)]) -> Table {
    let peer = |(number, endpoint): &(u8, Option<SocketAddr>)| Peer {
        host: id(*number),
        key: public(*number),
        slot: u32::from(*number),
        keepalive_s: 0,
        blocks: vec![block(*number)],
        endpoints: endpoint.iter().map(|endpoint| (Reach::Public, *endpoint)).collect(),
    };
    let peers = peers.iter().map(peer).collect();
    Table { slot: own.into(), own: vec![block(own)], peers, relays: Vec::new(), guests: Vec::new() }
}

fn public(number: u8) -> [u8; 32] {
    let key = boringtun::x25519::StaticSecret::from(secret(number));
    boringtun::x25519::PublicKey::from(&key).to_bytes()
}

fn eventually(what: &str, limit: Duration, condition: impl Fn() -> bool) -> Duration {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    since.elapsed()
}

/// Sends bytes by TCP from one host to another, and has them all come back.
fn there_and_back(net: &Net, from: u8, to: u8, bytes: usize) {
    let content: Vec<u8> = (0..bytes).map(|at| (at * 31 + at / 251) as u8).collect();
    let (listening, heard) = std::sync::mpsc::channel();
    let server = net.host(to).namespace.within(move || {
        let listener = TcpListener::bind((inner(to), 0)).unwrap();
        listening.send(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut content = Vec::new();
        stream.read_to_end(&mut content).unwrap();
        stream.write_all(&content).unwrap();
    });
    let address = heard.recv_timeout(LIMIT).unwrap();
    let client = net.host(from).namespace.within(move || {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(&content).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert!(back == content, "{} of {} bytes came back", back.len(), content.len());
    });
    client.join().unwrap();
    server.join().unwrap();
}

#[test]
fn two_hosts_reach_each_other_directly() {
    let mut net = Net::new(2);
    net.start(1, &table(1, &[(2, Some(at(2)))]));
    net.start(2, &table(2, &[(1, None)]));
    // The second one has no endpoint of the first one: it follows where that is heard from.
    eventually("the hosts reach each other", LIMIT, || net.host(1).reaches(2) && net.host(2).reaches(1));
    there_and_back(&net, 1, 2, 8 << 20);
    for (host, peer) in [(1, 2), (2, 1)] {
        let path = net.host(host).path(peer);
        assert_eq!((path.way, path.endpoint), (Way::Direct, Some(at(peer))));
        assert!(path.handshake_s.is_some() && path.received > 8 << 20 && path.sent > 8 << 20, "{path:?}");
    }
    assert_eq!(net.host(2).tunnel().dropped().foreign_source, 0);
}

#[test]
fn a_restarted_host_has_its_flows_back() {
    let mut net = Net::new(2);
    let tables = [table(1, &[(2, Some(at(2)))]), table(2, &[(1, None)])];
    net.start(1, &tables[0]);
    net.start(2, &tables[1]);
    eventually("the hosts reach each other", LIMIT, || net.host(1).reaches(2));
    // The one without an endpoint, and only the other one sends: it finds out by itself, without a relay.
    net.start(2, &tables[1]);
    let ping = |from: u8, to: u8| {
        let socket =
            net.host(from).namespace.within(move || UdpSocket::bind((inner(from), 0))).join().unwrap().unwrap();
        let other = net.host(to).namespace.within(move || UdpSocket::bind((inner(to), 0))).join().unwrap().unwrap();
        other.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = other.local_addr().unwrap();
        eventually("a datagram comes through", LIMIT, || {
            socket.send_to(b"datagram", address).unwrap();
            other.recv_from(&mut [0; 16]).is_ok()
        })
    };
    let took = ping(1, 2);
    println!("the peer's flow was back after {took:?}");
    net.start(1, &tables[0]);
    let ping = |from: u8, to: u8| eventually("echo", LIMIT, || net.host(from).reaches(to));
    let took = ping(1, 2);
    println!("the host's own flow was back after {took:?}");
}

#[test]
fn a_moved_host_is_followed() {
    let mut net = Net::new(2);
    net.start(1, &table(1, &[(2, Some(at(2)))]));
    net.start(2, &table(2, &[(1, None)]));
    eventually("the hosts reach each other", LIMIT, || net.host(2).reaches(1));
    net.host(1).namespace.run("ip address del 192.0.2.1/24 dev cable");
    net.host(1).namespace.run("ip address add 192.0.2.77/24 dev cable");
    let moved = SocketAddr::new(IpAddr::from([192, 0, 2, 77]), PORT);
    eventually("the moved host is heard", LIMIT, || net.host(1).reaches(2));
    eventually("the moved host is reached", LIMIT, || {
        net.host(2).reaches(1) && net.host(2).path(1).endpoint == Some(moved)
    });
}

#[test]
fn what_is_not_the_peers_is_dropped() {
    let mut net = Net::new(2);
    net.start(1, &table(1, &[(2, Some(at(2)))]));
    let mut narrow = table(2, &[(1, Some(at(1)))]);
    net.start(2, &narrow);
    eventually("the hosts reach each other", LIMIT, || net.host(1).reaches(2));
    // A host that pretends to be another one.
    net.host(1).namespace.run("ip address add 10.42.3.1/32 dev muster-wg0");
    let send = |from: Ipv4Addr, to: Ipv4Addr| {
        let sent = net.host(1).namespace.within(move || UdpSocket::bind((from, 0))?.send_to(b"datagram", (to, 9)));
        sent.join().unwrap().unwrap();
    };
    let from = net.host(2).tunnel();
    eventually("a foreign source is dropped", LIMIT, || {
        send(Ipv4Addr::new(10, 42, 3, 1), inner(2));
        from.dropped().foreign_source > 0
    });
    // It has lost a part of its block, which the peer does not know yet.
    narrow.own = vec![Prefix { first: Ipv4Addr::new(10, 42, 2, 128).to_bits(), length: 25 }];
    from.set(&narrow).unwrap();
    eventually("a foreign destination is dropped", LIMIT, || {
        send(inner(1), inner(2));
        from.dropped().foreign_destination > 0
    });
}

#[test]
fn hosts_that_do_not_reach_each_other_go_through_a_relay_until_they_do() {
    let mut net = Net::new(3);
    net.separate(1, 2, true);
    let relay = |guest: u8| Relay { host: id(3), address: at(3), secret: [guest; 16] };
    let guest = |number: u8| Guest { host: id(number), slot: number.into(), secret: [number; 16] };
    let mut tables = [
        table(1, &[(2, Some(at(2))), (3, Some(at(3)))]),
        table(2, &[(1, Some(at(1))), (3, Some(at(3)))]),
        table(3, &[(1, None), (2, None)]),
    ];
    tables[0].relays = vec![relay(1)];
    tables[1].relays = vec![relay(2)];
    tables[2].guests = vec![guest(2), guest(1)];
    for number in [1, 2, 3] {
        net.start(number, &tables[usize::from(number) - 1]);
    }
    let took = eventually("through the relay", LIMIT, || net.host(1).reaches(2));
    println!("through the relay after {took:?}");
    let path = net.host(1).path(2);
    assert_eq!((path.way, path.endpoint), (Way::Relayed, Some(at(3))));
    there_and_back(&net, 2, 1, 1 << 20);
    // Both reach the relaying host itself, too.
    eventually("the relay itself", LIMIT, || net.host(1).reaches(3) && net.host(3).reaches(2));
    // The relaying host starts anew, and knows neither its guests' addresses nor their sessions.
    net.start(3, &tables[2]);
    let took = eventually("through the relay again", LIMIT, || net.host(1).reaches(2));
    println!("through the restarted relay after {took:?}");
    // The way between them opens.
    net.separate(1, 2, false);
    eventually("directly", Duration::from_secs(60), || {
        net.host(1).reaches(2)
            && [(1, 2), (2, 1)].iter().all(|(host, peer)| net.host(*host).path(*peer).way == Way::Direct)
    });
    // And closes again, without anybody being told: the relay takes over.
    net.switch.run("ip link set port2 type bridge_slave isolated on");
    net.switch.run("ip link set port1 type bridge_slave isolated on");
    let took = eventually("through the relay once more", LIMIT, || net.host(1).reaches(2));
    println!("back to the relay after {took:?}");
    assert_eq!(net.host(1).path(2).way, Way::Relayed);
}
