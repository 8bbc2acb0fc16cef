//! Thousands of hosts that have joined and said hello, and then say nothing for an hour: as curl says it for all of them.

use crate::place::Place;
use crate::process::Ran;
use crate::server::Server;
use muster_protocol::hello::{Hello, Stream};
use muster_protocol::join::Join;
use muster_protocol::record::{Full, Kind, Writer};
use std::fmt::Write;

/// How many seconds all of them may take for one thing.
const PATIENCE: u32 = 300;

/// The longest of these messages, in bytes.
const MESSAGE: usize = 1024;

/// Has hosts join, called `host-00000` and so on. They last as long as an hour: their reports are that rare.
///
/// # Panics
/// If the server does not take them all.
#[track_caller]
pub fn join(server: &Server, count: u32) {
    let string = server.join_string(&["--uses", &count.to_string(), "--ttl", "1h"]);
    let token = string.trim_start_matches("muster://").split('@').next().unwrap_or_default();
    all(server, count, "join", &|number, name| {
        let join = Join { token, name, fingerprint: bytes_of(number) };
        message(&|writer| writer.record(Kind::Join, &join))
    });
    all(server, count, "hello", &|number, _| {
        let hello = Hello {
            run: bytes_of(number),
            stream: Stream::Report as u8,
            fingerprint: bytes_of(number),
            highest_epoch: 0,
            interval_ms: 3_600_000,
            agent_version: "0.1.0",
            os: "linux",
            arch: "aarch64",
            kernel: "6.12.0",
        };
        message(&|writer| writer.record(Kind::Hello, &hello))
    });
    let total = server.get("/api/v1/fleet")["hosts"]["active"].clone();
    assert_eq!(total, count, "not all of them are there");
}

/// What all of them post.
#[track_caller]
fn all(server: &Server, count: u32, what: &str, body: &dyn Fn(u32, &str) -> Vec<u8>) {
    let place = Place::new();
    let url = format!("https://{}:{}/agent/v1/{what}", server.address(), server.port());
    let mut all = String::new();
    for number in 0..count {
        let file = place.join(&number.to_string());
        std::fs::write(&file, body(number, &format!("host-{number:05}"))).expect("a message is written");
        let header = format!("Authorization: Bearer {number:064x}");
        writeln!(all, "next\ninsecure\nurl = \"{url}\"\nheader = \"{header}\"\ndata-binary = \"@{file}\"")
            .and_then(|()| writeln!(all, "output = \"/dev/null\"\nfail\nsilent\nshow-error"))
            .expect("memory takes everything");
    }
    // Few connections: strangers have a limited number of them.
    let arguments = ["--parallel", "--parallel-max", "24", "--config", "-"];
    Ran::with_input("curl", &arguments, &[], PATIENCE, Some(all.trim_start_matches("next\n"))).ok();
}

fn bytes_of(number: u32) -> [u8; 16] {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn message(write: &dyn Fn(&mut Writer<'_>) -> Result<(), Full>) -> Vec<u8> {
    let mut buffer = vec![0; MESSAGE];
    let written = Writer::message(&mut buffer).and_then(|mut writer| {
        write(&mut writer)?;
        Ok(writer.len())
    });
    buffer.truncate(written.expect("a message has room"));
    buffer
}
