//! What passes an interface, byte by byte.

use crate::node::Node;
use crate::place::Place;
use crate::process::{Process, clean};
use crate::wait::eventually;
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/capture.py");

/// Keeps all packets that pass an interface, in both directions, from its start on. It ends with the test.
#[derive(Debug)]
pub struct Capture {
    _process: Process,
    place: Place,
}

impl Capture {
    /// Listens to an interface of a node.
    pub fn start(node: &Node, interface: &str) -> Capture {
        let place = Place::new();
        let mut command = node.command("python3");
        command.args([SCRIPT, interface, &place.join("packets"), &place.join("list")]);
        let mut process = Process::start_read("capture", clean(&mut command), &place.join("capture.log"));
        let ready = process.line(Duration::from_secs(20));
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

    /// A line for each packet so far: seconds, bytes without Ethernet's, protocol, from, to, and the first byte that it
    /// carries.
    pub fn list(&self) -> String {
        std::fs::read_to_string(self.place.join("list")).expect("reading what was captured")
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
