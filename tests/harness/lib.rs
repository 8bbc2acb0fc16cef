//! What the end-to-end tests stand on: private Docker engines, servers and agents that end with the test.
//!
//! Every test makes its own engines, servers and agents, so each can run alone or beside others. Nothing here
//! waits for a fixed time: tests wait for a condition, and an absence is shown by a later fact that arrived.
//! Tests need root, `dockerd`, a static busybox, `curl` and `python3`; without them they fail and say so.
//! `test.sh` installs what is missing.

pub mod agent;
pub mod agents;
pub mod board;
pub mod browser;
pub mod capture;
pub mod clock;
pub mod crowd;
pub mod datagrams;
pub mod debian;
pub mod engine;
pub mod faked_time;
pub mod filter;
pub mod front;
pub mod host;
pub mod internet;
pub mod link;
pub mod mail;
pub mod managed;
pub mod node;
pub mod place;
pub mod podman;
pub mod process;
pub mod proxy;
pub mod resolvers;
pub mod rootless;
pub mod server;
pub mod sink;
pub mod stream;
pub mod truth;
pub mod wait;

pub use agent::Agent;
pub use agents::Agents;
pub use board::Board;
pub use capture::Capture;
pub use clock::SteppedClock;
pub use engine::Engine;
pub use faked_time::FakedTime;
pub use front::Front;
pub use host::{Flow, Host};
pub use internet::Internet;
pub use link::Link;
pub use managed::Managed;
pub use node::Node;
pub use proxy::Proxy;
pub use server::Server;
pub use wait::{eventually, eventually_within};

use serde_json::Value;

/// A text field of an object, or a text that stands for its absence.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or("(no text)")
}

/// The values of one text field of many objects, in their order.
pub fn texts(objects: &[Value], field: &str) -> Vec<String> {
    objects.iter().map(|object| text(object, field).to_owned()).collect()
}

/// Whether `needles` appear in `hay` in this order, others between them allowed.
pub fn in_order(hay: &[String], needles: &[&str]) -> bool {
    let mut rest = hay.iter();
    needles.iter().all(|needle| rest.any(|item| item == needle))
}
