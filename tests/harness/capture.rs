//! What passes an interface, byte by byte.

use crate::node::Node;
use crate::place::Place;
use crate::process::{Process, clean};
use crate::wait::{PATIENCE, eventually};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/capture.py");

/// Keeps all packets that pass an interface, in both directions, from its start on. It ends with the test.
#[derive(Debug)]
pub struct Capture {
    _process: Process,
    place: Place,
}

impl Capture {
    /// Listens to an interface of a node, or to all of them that have Ethernet: `any`.
    pub fn start(node: &Node, interface: &str) -> Capture {
        let place = Place::new();
        let mut command = node.command("python3");
        command.args([SCRIPT, interface, &place.join("packets"), &place.join("list")]);
        let mut process = Process::start_read("capture", clean(&mut command), &place.join("capture.log"));
        let ready = process.line(PATIENCE);
        assert_eq!(ready.as_deref(), Some("ready"), "nothing is captured: {}", process.log());
        Capture { _process: process, place }
    }

    /// How often these bytes have passed within one packet, so far.
    pub fn count(&self, bytes: &[u8]) -> usize {
        self.packets().windows(bytes.len()).filter(|window| *window == bytes).count()
    }

    /// All that has passed so far.
    pub fn packets(&self) -> Vec<u8> {
        std::fs::read(self.place.join("packets")).expect("reading what was captured")
    }

    /// A line for each packet so far: seconds, bytes without Ethernet's, protocol, from, to, the first byte that it
    /// carries, and whether it is `whole` or a `part`.
    pub fn list(&self) -> String {
        std::fs::read_to_string(self.place.join("list")).expect("reading what was captured")
    }

    /// The same, in words. The last line may be half of one.
    pub fn seen(&self) -> Vec<Seen> {
        self.list().lines().filter_map(Seen::read).collect()
    }

    /// How many UDP packets of at least so many bytes have passed so far: what a tunnel carries, if it is much.
    pub fn datagrams(&self, least: usize) -> usize {
        self.seen().iter().filter(|seen| seen.protocol == "udp" && seen.bytes >= least).count()
    }

    /// Waits until these bytes have passed: what was sent before them has been looked at.
    #[track_caller]
    pub fn wait_for(&self, bytes: &[u8]) {
        eventually("something passes an interface", || match self.count(bytes) {
            0 => Err(format!("{} bytes without it", self.packets().len())),
            _ => Ok(()),
        });
    }
}

/// What the list says of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Without Ethernet's header.
    pub bytes: usize,
    /// `udp`, `tcp`, `icmp`, `udp6`, `tcp6` or `other`.
    pub protocol: String,
    /// Address and port.
    pub from: String,
    /// Address and port.
    pub to: String,
    /// Whether it is a fragment of a packet of IP.
    pub is_part: bool,
}

impl Seen {
    fn read(line: &str) -> Option<Seen> {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, bytes, protocol, from, to, _, part] = words[..] else { return None };
        let (protocol, from, to) = (protocol.to_owned(), from.to_owned(), to.to_owned());
        let is_part = match part {
            "part" => true,
            "whole" => false,
            _ => return None,
        };
        Some(Seen { bytes: bytes.parse().ok()?, protocol, from, to, is_part })
    }
}
