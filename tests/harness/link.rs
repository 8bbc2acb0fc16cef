//! Two network namespaces and the cable between them, which a test can pull, or make lose what one end sends.

use crate::place::Place;
use crate::process::{Process, Ran};
use crate::wait::PATIENCE;
use std::process::Command;

/// How many seconds one command on the cable may take.
const COMMAND_LIMIT: u32 = 20;

/// The name of the interface at both ends.
const INTERFACE: &str = "cable";

/// An end of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// For a server.
    Server,
    /// For an agent.
    Agent,
}

impl End {
    /// Its address. Both are in namespaces of the test's own, so they are nobody else's.
    pub fn address(self) -> &'static str {
        match self {
            End::Server => "192.0.2.1",
            End::Agent => "192.0.2.2",
        }
    }
}

/// The two namespaces. They end with the test.
#[derive(Debug)]
pub struct Link {
    server: Process,
    agent: Process,
    _place: Place,
}

impl Link {
    /// Makes both and joins them.
    pub fn new() -> Link {
        let place = Place::new();
        let hold = |name: &str| {
            let mut command = Command::new("unshare");
            command.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
            let mut holder = Process::start_read(name, &mut command, &place.join(name));
            let ready = holder.line(PATIENCE);
            assert_eq!(ready.as_deref(), Some("ready"), "no network namespace: {}", holder.log());
            holder
        };
        let link = Link { server: hold("server-end"), agent: hold("agent-end"), _place: place };
        let peer = link.agent.id().to_string();
        link.run(End::Server, &["ip", "link", "add", INTERFACE, "type", "veth", "peer", INTERFACE, "netns", &peer])
            .ok();
        for end in [End::Server, End::Agent] {
            let address = format!("{}/24", end.address());
            link.run(end, &["ip", "address", "add", &address, "dev", INTERFACE]).ok();
            link.run(end, &["ip", "link", "set", INTERFACE, "up"]).ok();
        }
        link
    }

    /// The namespace of an end, as `nsenter --net=` takes it.
    pub fn namespace(&self, end: End) -> String {
        let holder = match end {
            End::Server => &self.server,
            End::Agent => &self.agent,
        };
        format!("/proc/{}/ns/net", holder.id())
    }

    /// Pulls the cable: both ends know.
    pub fn pull(&self) {
        self.run(End::Agent, &["ip", "link", "set", INTERFACE, "down"]).ok();
    }

    /// Plugs a pulled cable in.
    pub fn plug(&self) {
        self.run(End::Agent, &["ip", "link", "set", INTERFACE, "up"]).ok();
    }

    /// From now on nothing arrives at that end, and nobody is told.
    pub fn deafen(&self, end: End) {
        self.run(end, &["iptables", "-w", "-A", "INPUT", "-i", INTERFACE, "-j", "DROP"]).ok();
    }

    /// Ends a [`Link::deafen`].
    pub fn hear(&self, end: End) {
        self.run(end, &["iptables", "-w", "-D", "INPUT", "-i", INTERFACE, "-j", "DROP"]).ok();
    }

    fn run(&self, end: End, command: &[&str]) -> Ran {
        let namespace = format!("--net={}", self.namespace(end));
        let mut arguments = vec![namespace.as_str()];
        arguments.extend(command);
        Ran::of("nsenter", &arguments, &[], COMMAND_LIMIT)
    }
}

impl Default for Link {
    fn default() -> Link {
        Link::new()
    }
}
