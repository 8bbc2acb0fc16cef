//! A front end before a server, as a site may have: it ends TLS, and lets no change of protocols through.

use crate::place::Place;
use crate::process::{Process, clean};
use crate::server::Server;
use crate::wait::PATIENCE;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/front.py");

/// Runs beside a server, with the server's own key: else no agent would speak with it. Dropping it ends it.
#[derive(Debug)]
pub struct Front {
    _process: Process,
    _place: Place,
    port: u16,
}

impl Front {
    /// Takes what asks for a change of protocols off the requests that it passes on.
    pub fn strips(server: &Server) -> Front {
        Front::start(server, &[])
    }

    /// Answers requests for a change of protocols by itself, with this status.
    pub fn answers(server: &Server, status: u16) -> Front {
        Front::start(server, &[status.to_string()])
    }

    fn start(server: &Server, options: &[String]) -> Front {
        let place = Place::new();
        let mut command = Command::new("python3");
        command.args([SCRIPT, &server.port().to_string(), &server.data_file("fleet.key")]).args(options);
        let mut process = Process::start_read("front end", clean(&mut command), &place.join("front.log"));
        let line = process.line(PATIENCE).unwrap_or_default();
        let port = line.parse().unwrap_or_else(|_| panic!("no port but {line:?}; its log:\n{}", process.log()));
        Front { _process: process, _place: place, port }
    }

    /// Where it listens, on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }
}
