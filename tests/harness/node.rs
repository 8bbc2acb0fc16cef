//! Network namespaces as machines: commands in them, and cables between them.

use crate::place::Place;
use crate::process::{Process, Ran};
use crate::wait::{PATIENCE, eventually, when};
use std::process::Command;

/// How many seconds one command in a node may take.
const COMMAND_LIMIT: u32 = 60;

/// A network namespace, for as long as whoever holds it lives.
#[derive(Debug)]
pub struct Node {
    /// Whose namespaces are the node's.
    id: u32,
    /// Whether its mounts are the node's too.
    mounts: bool,
    /// Holds the namespace, if the node is its own. Ended before the place of its log is removed.
    _holder: Option<Process>,
    _place: Option<Place>,
}

impl Node {
    /// A fresh one, with nothing but the loopback interface. It does not forward.
    pub fn new(name: &str) -> Node {
        let place = Place::new();
        let script = "ip link set lo up && echo 0 > /proc/sys/net/ipv4/ip_forward && echo ready && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]);
        let mut holder = Process::start_read(name, &mut command, &place.join(name));
        let ready = holder.line(PATIENCE);
        assert_eq!(ready.as_deref(), Some("ready"), "no network namespace: {}", holder.log());
        Node { id: holder.id(), mounts: false, _holder: Some(holder), _place: Some(place) }
    }

    /// The namespace, and the mounts, of a process that somebody else holds.
    pub(crate) fn of_process(id: u32) -> Node {
        Node { id, mounts: true, _holder: None, _place: None }
    }

    /// The network namespace of a process that somebody else holds.
    pub(crate) fn of_network(id: u32) -> Node {
        Node { id, mounts: false, _holder: None, _place: None }
    }

    /// The same node once more, held by whoever holds this one.
    pub(crate) fn twin(&self) -> Node {
        Node { id: self.id, mounts: self.mounts, _holder: None, _place: None }
    }

    /// The namespace, as `nsenter --net=` takes it.
    pub fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.id)
    }

    /// A command that runs in it. `nsenter` becomes the program, so signals reach it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.entrance()).arg(program);
        command
    }

    /// Runs a program in it to its end.
    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Ran {
        let entrance = self.entrance();
        let mut all: Vec<&str> = entrance.iter().map(String::as_str).collect();
        all.push(program);
        all.extend(arguments);
        Ran::of("nsenter", &all, &[], COMMAND_LIMIT)
    }

    /// Runs a program in it; the output without the last line end. Fails the test if it fails.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        self.try_run(program, arguments).ok()
    }

    /// Runs lines of a shell in it, up to the first that fails; that fails the test.
    #[track_caller]
    pub fn script(&self, lines: &str) -> String {
        self.run("sh", &["-e", "-c", lines])
    }

    /// Joins two nodes by a cable, each end an interface with a name of its own.
    pub fn cable(&self, interface: &str, other: &Node, its_interface: &str) {
        let id = other.id.to_string();
        let peer = ["type", "veth", "peer", "name", its_interface, "netns", &id];
        let arguments: Vec<&str> = ["link", "add", interface].iter().chain(&peer).copied().collect();
        self.run("ip", &arguments);
        self.run("ip", &["link", "set", interface, "up"]);
        other.run("ip", &["link", "set", its_interface, "up"]);
    }

    /// Bytes that an interface has received and sent since it was made.
    pub fn bytes(&self, interface: &str) -> (u64, u64) {
        let text = self.run("cat", &["/proc/net/dev"]);
        let row = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:")));
        let row = row.unwrap_or_else(|| panic!("no interface {interface}:\n{text}"));
        let numbers: Vec<u64> = row.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers[0], numbers[8])
    }

    /// Whether it gets one answer to a ping, within two seconds.
    pub fn reaches(&self, address: &str) -> bool {
        self.try_run("busybox", &["ping", "-c", "1", "-W", "2", address]).code == 0
    }

    /// Waits until it gets an answer to a ping.
    #[track_caller]
    pub fn wait_until_it_reaches(&self, address: &str) {
        eventually(&format!("{address} answers a ping"), || when(self.reaches(address), ""));
    }

    fn entrance(&self) -> Vec<String> {
        let mut entrance = vec![format!("--net={}", self.namespace())];
        if self.mounts {
            entrance.push(format!("--mount=/proc/{}/ns/mnt", self.id));
        }
        entrance
    }
}
