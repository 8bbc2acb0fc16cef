//! Names by the resolvers that containers have, glibc's and musl's: those of the managed network, and all others as before,
//! with and without an answerer.
//!
//! Needs root, and of Debian: gcc, musl-tools, iproute2, iptables, util-linux, mount.

mod namespaces;

use muster_agent::network::ground::{self, Ground};
use muster_agent::network::names::{Answerer, Name, list_first, unlist};
use muster_protocol::network::Prefix;
use namespaces::{inside, must, shell};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 1);
/// The server that the container had before. Whoever waits for an answer that does not come has lost: half a minute.
const ORIGINAL: &str = "search lan\nnameserver 192.0.2.1\noptions timeout:30 ndots:0\n";

/// Prints the addresses of a name, in order, or why there are none.
const ASK: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
int main(int count, char **arguments) {
    struct addrinfo hints, *list, *it;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    int error = getaddrinfo(arguments[count - 1], NULL, &hints, &list);
    if (error) { printf("%s\n", gai_strerror(error)); return 1; }
    for (it = list; it; it = it->ai_next) {
        char text[64];
        if (it->ai_family != AF_INET) { printf("other\n"); continue; }
        printf("%s\n", inet_ntop(AF_INET, &((struct sockaddr_in *)it->ai_addr)->sin_addr, text, sizeof text));
    }
    return 0;
}
"#;

/// The other server: it knows `outside.example`, and denies all else, names of ours after `hesitation`.
fn serve_original(hesitation: Duration) {
    let socket = UdpSocket::bind("192.0.2.1:53").unwrap();
    thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            let question = 12 + message[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut answer = message[..question.min(length)].to_vec();
            let is_known = answer[12..].starts_with(b"\x07outside\x07example\0");
            let is_ours = answer.windows(8).any(|bytes| bytes == b"internal");
            answer[2..12].copy_from_slice(&[0x85, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, 0, 0, 0, 0, 0]);
            if is_known && answer[question - 3] == 1 {
                answer[7] = 1;
                answer.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc6\x33\x64\x07");
            }
            if is_ours {
                thread::sleep(hesitation);
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
}

/// A container on the managed bridge of a host.
struct Container {
    place: PathBuf,
}

impl Container {
    fn start(place: &Path, hesitation: Duration) -> Container {
        must(
            "ip netns add container; ip -n container link set lo up
            ip link add muster0 type bridge; ip address add 10.42.0.1/16 dev muster0; ip link set muster0 up
            ip link add c0 type veth peer name eth1 netns container; ip link set c0 master muster0 up
            ip -n container address add 10.42.0.2/16 dev eth1; ip -n container link set eth1 up
            ip link add d0 type veth peer name eth0 netns container; ip address add 192.0.2.1/24 dev d0; ip link set d0 up
            ip -n container address add 192.0.2.2/24 dev eth0; ip -n container link set eth0 up
            ip link add muster-wg0 type bridge
            iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -i d0 -j ACCEPT; iptables -P INPUT DROP",
        );
        let ground = Ground {
            bridge: "muster0".into(),
            device: "muster-wg0".into(),
            range: Prefix::parse("10.42.0.0/16").unwrap(),
            own: vec![Prefix::parse("10.42.0.0/26").unwrap()],
            gateway: GATEWAY.to_bits(),
            remote: Vec::new(),
            mtu: 1420,
            names: true,
        };
        ground::lay(&ground).unwrap();
        serve_original(hesitation);
        let container = Container { place: place.into() };
        fs::create_dir_all(container.resolv_conf().parent().unwrap()).unwrap();
        fs::write(container.resolv_conf(), ORIGINAL).unwrap();
        fs::write(place.join("nsswitch.conf"), "hosts: dns\n").unwrap();
        container
    }

    fn resolv_conf(&self) -> PathBuf {
        self.place.join("containers").join("c1".repeat(32)).join("resolv.conf")
    }

    /// What a program inside is told of a name. It has less time than it would wait for a server that is not there.
    fn ask(&self, program: &str, name: &str) -> Vec<String> {
        let place = self.place.display();
        let (_, said) = shell(&format!(
            "exec unshare --mount --propagation private sh -ec 'mount --bind {} /etc/resolv.conf
            mount --bind {place}/nsswitch.conf /etc/nsswitch.conf
            exec timeout 20 nsenter --net=/run/netns/container {place}/{program} {name}'",
            self.resolv_conf().display()
        ));
        said.lines().map(str::to_owned).collect()
    }
}

/// Both kinds of the program that asks.
fn build(place: &Path) {
    fs::write(place.join("ask.c"), ASK).unwrap();
    for (compiler, package, options, program) in
        [("cc", "gcc", &["-O1"][..], "glibc"), ("musl-gcc", "musl-tools", &["-O1", "-static"], "musl")]
    {
        let mut command = Command::new(compiler);
        command.args(options).arg(place.join("ask.c")).arg("-o").arg(place.join(program));
        let ended = command.status().unwrap_or_else(|_| panic!("there is no {compiler}: install Debian's {package}"));
        assert!(ended.success());
    }
}

fn names() -> Vec<Name> {
    let name = |name: &str, host: &str, last| Name {
        name: name.into(),
        host_label: host.into(),
        address: Ipv4Addr::new(10, 42, 0, last).to_bits(),
    };
    vec![name("web", "pi-1", 9), name("db", "pi-1", 10), name("db", "pi-2", 70)]
}

fn resolves_as_it_should(program: &'static str, test: &'static str) {
    inside(test, build, |place| {
        let container = Container::start(place, Duration::from_millis(300));
        assert_eq!(container.ask(program, "outside.example"), ["198.51.100.7"]);
        let answerer = Answerer::start(GATEWAY).unwrap();
        answerer.set(names());
        assert!(list_first(&container.resolv_conf(), GATEWAY).unwrap());
        assert_eq!(container.ask(program, "web.muster.internal"), ["10.42.0.9"]);
        assert_eq!(container.ask(program, "db.pi-2.muster.internal"), ["10.42.0.70"]);
        let mut both = container.ask(program, "db.muster.internal");
        both.sort();
        assert_eq!(both, ["10.42.0.10", "10.42.0.70"]);
        let unknown = container.ask(program, "nobody.muster.internal");
        assert!(unknown.len() == 1 && !unknown[0].starts_with("10."), "{unknown:?}");
        // All others, by the server that was there before.
        assert_eq!(container.ask(program, "outside.example"), ["198.51.100.7"]);

        // The answerer is gone, and its line is still there.
        drop(answerer);
        assert_eq!(container.ask(program, "outside.example"), ["198.51.100.7"]);
        assert_ne!(container.ask(program, "web.muster.internal"), ["10.42.0.9"]);
        // It is back.
        let answerer = Answerer::start(GATEWAY).unwrap();
        answerer.set(names());
        assert_eq!(container.ask(program, "web.muster.internal"), ["10.42.0.9"]);

        assert!(unlist(&container.resolv_conf(), GATEWAY).unwrap());
        assert_eq!(fs::read_to_string(container.resolv_conf()).unwrap(), ORIGINAL);
        assert_eq!(container.ask(program, "outside.example"), ["198.51.100.7"]);
    });
}

#[test]
fn glibc_finds_all_names() {
    resolves_as_it_should("glibc", "glibc_finds_all_names");
}

#[test]
fn musl_finds_all_names() {
    resolves_as_it_should("musl", "musl_finds_all_names");
}

/// glibc asks one after the other. musl asks all at once, and takes the first that says yes or no: it must be ours.
fn minds_no_other_server(program: &'static str, test: &'static str) {
    inside(test, build, |place| {
        let container = Container::start(place, Duration::ZERO);
        let answerer = Answerer::start(GATEWAY).unwrap();
        answerer.set(names());
        list_first(&container.resolv_conf(), GATEWAY).unwrap();
        for _ in 0..100 {
            assert_eq!(container.ask(program, "web.muster.internal"), ["10.42.0.9"]);
            assert_eq!(container.ask(program, "outside.example"), ["198.51.100.7"]);
        }
    });
}

#[test]
#[ignore = "takes long, and it is musl that minds: run by ./test.sh --all"]
fn glibc_does_not_mind_a_server_that_denies_at_once() {
    minds_no_other_server("glibc", "glibc_does_not_mind_a_server_that_denies_at_once");
}

#[test]
fn musl_does_not_hear_a_server_that_denies_at_once() {
    minds_no_other_server("musl", "musl_does_not_hear_a_server_that_denies_at_once");
}
