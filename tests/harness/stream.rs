//! A reader of the API's stream of changes, as a browser or a script would have it.

use crate::Server;
use crate::place::Place;
use crate::process::{self, Process};
use crate::wait::PATIENCE;
use serde_json::Value;
use std::process::Command;
use std::time::Instant;

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What to give as `Last-Event-ID` to go on after it.
    pub id: Option<String>,
    /// `host`, `container`, `container_gone`, `event`, or `reset`.
    pub kind: String,
    /// The object.
    pub data: Value,
}

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    process: Process,
    last: Option<String>,
    _place: Place,
}

impl Stream {
    /// Opens it, from after the change with that id, or from now on.
    pub fn open(server: &Server, after: Option<&str>) -> Stream {
        let place = Place::new();
        let mut command = Command::new("curl");
        let url = format!("https://127.0.0.1:{}/api/v1/stream", server.port());
        let bearer = format!("Authorization: Bearer {}", server.admin_token());
        command.args(["-sS", "-N", "-k", "-H", &bearer, "-H", "Accept: text/event-stream"]);
        if let Some(after) = after {
            command.args(["-H", &format!("Last-Event-ID: {after}")]);
        }
        command.arg(&url);
        let process = Process::start_read("stream", process::clean(&mut command), &place.join("curl.log"));
        Stream { process, last: None, _place: place }
    }

    /// The next change; `None` if the stream ended. Fails the test if none comes within the usual patience.
    pub fn change(&mut self) -> Option<Change> {
        let started = Instant::now();
        let (mut id, mut kind, mut data) = (None, String::from("message"), String::new());
        loop {
            let Some(left) = PATIENCE.checked_sub(started.elapsed()) else {
                panic!("waited {} s for a change in the stream", PATIENCE.as_secs())
            };
            let Some(line) = self.process.line(left) else {
                if self.process.ended().is_some() {
                    return None;
                }
                continue;
            };
            if line.is_empty() {
                if data.is_empty() && kind == "message" {
                    continue;
                }
                self.last = id.clone().or(self.last.take());
                let data = serde_json::from_str(&data).unwrap_or(Value::String(data));
                return Some(Change { id, kind, data });
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = Some(value.to_owned()),
                "event" => value.clone_into(&mut kind),
                "data" => data.push_str(value),
                _ => {}
            }
        }
    }

    /// Reads until a change for which the condition holds; all changes up to it.
    #[track_caller]
    pub fn until(&mut self, what: &str, holds: impl Fn(&Change) -> bool) -> Vec<Change> {
        let started = Instant::now();
        let mut seen = Vec::new();
        loop {
            assert!(started.elapsed() < PATIENCE, "waited for {what} in the stream; seen: {seen:?}");
            let Some(change) = self.change() else { panic!("the stream ended before {what}; seen: {seen:?}") };
            let found = holds(&change);
            seen.push(change);
            if found {
                return seen;
            }
        }
    }

    /// The id of the last change that was read.
    pub fn last_id(&self) -> String {
        self.last.clone().expect("no change with an id was read")
    }
}
