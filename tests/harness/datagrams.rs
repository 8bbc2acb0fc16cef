//! A plain UDP socket in a node.

use crate::node::Node;
use crate::place::Place;
use crate::process::{Process, clean};
use std::collections::VecDeque;
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/datagrams.py");

/// How long a datagram may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The socket. It ends with the test.
#[derive(Debug)]
pub struct Datagrams {
    process: Process,
    /// What came while something was sent.
    came: VecDeque<String>,
    _place: Place,
}

/// A datagram that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it, as it looks here.
    pub from: (String, u16),
    /// What it says.
    pub text: String,
}

impl Datagrams {
    /// Opens it at a port.
    pub fn open(node: &Node, port: u16) -> Datagrams {
        let place = Place::new();
        let mut command = node.command("python3");
        command.args([SCRIPT, &port.to_string()]);
        let mut process = Process::start_read("UDP socket", clean(&mut command), &place.join("udp.log"));
        let ready = process.line(PATIENCE);
        assert_eq!(ready.as_deref(), Some("ready"), "no UDP socket: {}", process.log());
        Datagrams { process, came: VecDeque::new(), _place: place }
    }

    /// Sends one, of one line: it has left when this returns.
    #[track_caller]
    pub fn send(&mut self, address: &str, port: u16, text: &str) {
        self.process.tell(&format!("{address} {port} {text}"));
        loop {
            let line = self.process.line(PATIENCE).expect("the socket does not answer");
            if line == "sent" {
                return;
            }
            self.came.push_back(line);
        }
    }

    /// The next that comes.
    #[track_caller]
    pub fn receive(&mut self) -> Datagram {
        let line = self.came.pop_front().or_else(|| self.process.line(PATIENCE)).expect("no datagram came");
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Datagram { from: (word(), word().parse().expect("a port")), text: word() }
    }
}
