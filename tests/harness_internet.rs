//! The small internet of the harness is as the field is: without Muster, hosts behind routers that translate cannot be
//! reached. If that were not so, the tests of the managed network would show nothing.

use muster_tests::datagrams::Datagrams;
use muster_tests::engine::Options;
use muster_tests::host::BULK;
use muster_tests::internet::{Internet, SERVER, WAN};
use muster_tests::managed::{ALL, FIRST_HOME, PUBLIC, SECOND_HOME};
use muster_tests::resolvers::{Library, OUTSIDE, OUTSIDE_ADDRESS, OutsideNames};
use muster_tests::{Capture, Host, Managed, Node, eventually};

#[test]
fn who_reaches_whom() {
    let internet = Internet::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(Node::new);
    let cable = internet.connect(&a, PUBLIC);
    let (mut one, two) = (internet.home(FIRST_HOME), internet.home(SECOND_HOME));
    let addresses = [one.connect(&b), two.connect(&c), two.connect(&d)];
    assert_eq!(addresses, ["192.168.1.10", "192.168.1.10", "192.168.1.11"], "homes look alike from inside");

    assert!(b.reaches(PUBLIC) && c.reaches(PUBLIC) && d.reaches(PUBLIC), "those at home reach the public one");
    assert!(a.reaches(FIRST_HOME), "a home's router is public");
    assert!(!a.reaches("192.168.1.10"), "private addresses lead nowhere outside");
    assert!(c.reaches("192.168.1.11"), "a LAN");
    assert!(!b.reaches("192.168.1.11"), "the LAN of others");

    // A home's router lets in what was asked for, from whom it was asked, and nothing else.
    let mut sockets = [&a, &b, &c].map(|node| Datagrams::open(node, 5000));
    let [at_a, at_b, at_c] = &mut sockets;
    at_a.send(FIRST_HOME, 5000, "nobody asked");
    at_b.send(PUBLIC, 5000, "question");
    let question = at_a.receive();
    assert_eq!((question.from.0.as_str(), question.text.as_str()), (FIRST_HOME, "question"));
    at_c.send(FIRST_HOME, question.from.1, "nobody asked me");
    // Sent and dropped before the answer is sent: both went through the same middle.
    assert!(c.reaches(FIRST_HOME));
    at_a.send(FIRST_HOME, question.from.1, "answer");
    let answer = at_b.receive();
    assert_eq!((answer.from.0.as_str(), answer.text.as_str()), (PUBLIC, "answer"));

    // Moves, cuts, and what only UDP feels.
    one.cable.renumber("203.0.113.66");
    // The router's kernel forgets what it translated to the lost address a moment after it has lost it.
    eventually("what is sent comes from the new address", || {
        at_b.send(PUBLIC, 5000, "moved");
        let from = at_a.receive().from.0;
        if from == "203.0.113.66" { Ok(()) } else { Err(from) }
    });
    cable.pull();
    assert!(!b.reaches(PUBLIC));
    cable.plug();
    assert!(b.reaches(PUBLIC));
    cable.block_udp();
    at_b.send(PUBLIC, 5000, "lost");
    assert!(b.reaches(PUBLIC), "other packets pass");
    cable.pass_udp();
    at_b.send(PUBLIC, 5000, "found");
    assert_eq!(at_a.receive().text, "found");
}

#[test]
fn what_passes_is_seen_and_counted() {
    let internet = Internet::new();
    let (a, b) = (Node::new("a"), Node::new("b"));
    let _cable = internet.connect(&a, PUBLIC);
    let home = internet.home(FIRST_HOME);
    home.connect(&b);
    let capture = Capture::start(home.router(), WAN);
    let before = b.bytes(WAN);
    let (mut from, mut to) = (Datagrams::open(&b, 5000), Datagrams::open(&a, 5000));
    from.send(PUBLIC, 5000, &"marker-of-the-test ".repeat(20));
    to.receive();
    capture.wait_for(b"marker-of-the-test");
    assert_eq!(capture.count(b"marker-of-the-test"), 20);
    assert!(b.bytes(WAN).1 - before.1 >= 20 * 19);
}

#[test]
fn a_narrow_cable_says_so() {
    let internet = Internet::new();
    let (a, b) = (Node::new("a"), Node::new("b"));
    let cable = internet.connect(&a, PUBLIC);
    let home = internet.home(FIRST_HOME);
    home.connect(&b);
    cable.carry_at_most(1400);
    let large = || b.try_run("busybox", &["ping", "-c", "1", "-W", "2", "-s", "1472", PUBLIC]).code == 0;
    let learned = "ip route get 198.51.100.2 | grep -q 'mtu 1400'";
    assert!(!large(), "not all at once");
    assert_eq!(b.try_run("sh", &["-c", learned]).code, 0, "the sender was told");
    assert!(large(), "in two pieces");
}

#[test]
fn hosts_drop_what_their_engine_does_not_know() {
    let managed = Managed::joined(&ALL);
    let [alpha, bravo, charlie, delta] = &managed.hosts[..] else { panic!("four hosts") };
    for host in &managed.hosts {
        let policy = host.node.run("iptables", &["-w", "-S", "FORWARD"]);
        assert!(policy.starts_with("-P FORWARD DROP"), "{}: {policy}", host.name());
    }
    alpha.run_box_with("web", &["-p", "8080:80"]);
    bravo.run_box_with("web", &[]);
    charlie.run_box_with("web", &["-p", "8080:80"]);
    delta.run_box_with("web", &[]);
    let ask = |host: &Host, address: &str| {
        host.exec("web", &format!("nc -w 3 {address} 8080 </dev/null")).stdout.trim().to_owned()
    };
    assert_eq!(ask(bravo, PUBLIC), "web", "a published port, through a home's router");
    assert_eq!(ask(delta, "192.168.1.10"), "web", "on the LAN");
    assert_eq!(ask(alpha, SECOND_HOME), "", "nobody publishes it to the world");

    // Containers are reached from their own host alone.
    let inner = |host: &Host| host.engine.docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web"]);
    let address = inner(charlie);
    delta.node.script(&format!("ip route add {address}/32 via 192.168.1.10"));
    assert!(charlie.node.reaches(&address) && !delta.node.reaches(&address));
    assert_eq!(charlie.downloads("web", "127.0.0.1"), BULK);

    let flow = bravo.flow("web", PUBLIC);
    flow.wait_for_more(3);
    assert_eq!(flow.lost(), 0);
    managed.homes[0].cable.pull();
    assert!(!bravo.pings("web", PUBLIC));
    managed.homes[0].cable.plug();
    flow.wait_for_more(3);
    assert!(flow.lost() > 0, "late is lost");
    managed.server.wait_for_host("bravo", "is active", |host| host["state"] == "active");
}

#[test]
fn resolvers_ask_outside_and_the_engine() {
    resolver_asks(Library::Glibc);
}

#[test]
#[ignore = "downloads a package: run by ./test.sh --all"]
fn another_resolver_asks_outside_and_the_engine() {
    resolver_asks(Library::Musl);
}

fn resolver_asks(library: Library) {
    let internet = Internet::new();
    let server = Node::new("server");
    let _server_cable = internet.connect(&server, SERVER);
    let host = Host::start("alpha");
    let _cable = internet.connect(&host.node, PUBLIC);
    let _outside = OutsideNames::start(&server);
    library.import(&host.engine);
    host.engine.docker(&["network", "create", "garden"]);
    let start = |name: &str, options: &[&str]| {
        let mut all = vec!["run", "-d", "--name", name, "--dns", SERVER];
        all.extend(options);
        all.extend([library.image(), "live"]);
        host.engine.docker(&all);
    };
    start("plain", &[]);
    start("rose", &["--network", "garden"]);
    let resolve = |container: &str, name: &str| host.engine.try_docker(&["exec", container, "resolve", name]);
    for container in ["plain", "rose"] {
        assert_eq!(resolve(container, OUTSIDE).ok(), OUTSIDE_ADDRESS);
        resolve(container, "nobody.example").exits(1);
    }
    let address =
        host.engine.docker(&["inspect", "-f", "{{(index .NetworkSettings.Networks \"garden\").IPAddress}}", "rose"]);
    assert_eq!(resolve("rose", "rose").ok(), address);
}

#[test]
fn an_engine_with_the_older_firewall() {
    let host = Host::start_with("alpha", Options { legacy_firewall: true, ..Options::default() });
    host.run_box_with("web", &["-p", "8080:80"]);
    assert!(host.node.run("iptables", &["--version"]).contains("legacy"));
    assert!(host.node.run("iptables-save", &[]).contains("DOCKER-USER"));
}
