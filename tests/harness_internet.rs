//! The small internet of the harness is as the field is: without Muster, hosts behind routers that translate cannot be
//! reached. If that were not so, the tests of the managed network would show nothing.

use muster_tests::datagrams::Datagrams;
use muster_tests::internet::{Internet, WAN};
use muster_tests::{Capture, Node};

const A: &str = "198.51.100.2";
const FIRST_HOME: &str = "203.0.113.2";
const SECOND_HOME: &str = "203.0.113.6";

#[test]
fn who_reaches_whom() {
    let internet = Internet::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(Node::new);
    let cable = internet.connect(&a, A);
    let (mut one, two) = (internet.home(FIRST_HOME), internet.home(SECOND_HOME));
    let addresses = [one.connect(&b), two.connect(&c), two.connect(&d)];
    assert_eq!(addresses, ["192.168.1.10", "192.168.1.10", "192.168.1.11"], "homes look alike from inside");

    assert!(b.reaches(A) && c.reaches(A) && d.reaches(A), "those at home reach the public one");
    assert!(a.reaches(FIRST_HOME), "a home's router is public");
    assert!(!a.reaches("192.168.1.10"), "private addresses lead nowhere outside");
    assert!(c.reaches("192.168.1.11"), "a LAN");
    assert!(!b.reaches("192.168.1.11"), "the LAN of others");

    // A home's router lets in what was asked for, from whom it was asked, and nothing else.
    let mut sockets = [&a, &b, &c].map(|node| Datagrams::open(node, 5000));
    let [at_a, at_b, at_c] = &mut sockets;
    at_a.send(FIRST_HOME, 5000, "nobody asked");
    at_b.send(A, 5000, "question");
    let question = at_a.receive();
    assert_eq!((question.from.0.as_str(), question.text.as_str()), (FIRST_HOME, "question"));
    at_c.send(FIRST_HOME, question.from.1, "nobody asked me");
    // Sent and dropped before the answer is sent: both went through the same middle.
    assert!(c.reaches(FIRST_HOME));
    at_a.send(FIRST_HOME, question.from.1, "answer");
    let answer = at_b.receive();
    assert_eq!((answer.from.0.as_str(), answer.text.as_str()), (A, "answer"));

    // Moves, cuts, and what only UDP feels.
    one.cable.renumber("203.0.113.66");
    at_b.send(A, 5000, "moved");
    assert_eq!(at_a.receive().from.0, "203.0.113.66");
    cable.pull();
    assert!(!b.reaches(A));
    cable.plug();
    assert!(b.reaches(A));
    cable.block_udp();
    at_b.send(A, 5000, "lost");
    assert!(b.reaches(A), "other packets pass");
    cable.pass_udp();
    at_b.send(A, 5000, "found");
    assert_eq!(at_a.receive().text, "found");
}

#[test]
fn what_passes_is_seen_and_counted() {
    let internet = Internet::new();
    let (a, b) = (Node::new("a"), Node::new("b"));
    let _cable = internet.connect(&a, A);
    let home = internet.home(FIRST_HOME);
    home.connect(&b);
    let capture = Capture::start(home.router(), WAN);
    let before = b.bytes(WAN);
    let (mut from, mut to) = (Datagrams::open(&b, 5000), Datagrams::open(&a, 5000));
    from.send(A, 5000, &"marker-of-the-test ".repeat(20));
    to.receive();
    capture.wait_for(b"marker-of-the-test");
    assert_eq!(capture.count(b"marker-of-the-test"), 20);
    assert!(b.bytes(WAN).1 - before.1 >= 20 * 19);
}

#[test]
fn a_narrow_cable_says_so() {
    let internet = Internet::new();
    let (a, b) = (Node::new("a"), Node::new("b"));
    let cable = internet.connect(&a, A);
    let home = internet.home(FIRST_HOME);
    home.connect(&b);
    cable.carry_at_most(1400);
    let large = || b.try_run("busybox", &["ping", "-c", "1", "-W", "2", "-s", "1472", A]).code == 0;
    let learned = "ip route get 198.51.100.2 | grep -q 'mtu 1400'";
    assert!(!large(), "not all at once");
    assert_eq!(b.try_run("sh", &["-c", learned]).code, 0, "the sender was told");
    assert!(large(), "in two pieces");
}
