//! Reads a Muster server's stream of changes, and notes how late events are.

use crate::machine::now_nano;
use muster_dial::{Address, Client, Pin, Settings};
use muster_tests::truth::nanoseconds;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The server sends a comment at least every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two tries to open the stream.
const PAUSE: Duration = Duration::from_millis(100);

/// What the stream has brought.
#[derive(Debug, Default)]
pub struct Seen {
    late: Mutex<Vec<u64>>,
    /// Events, also those that nobody's clock dates.
    pub events: AtomicU64,
    /// Everything else: hosts, containers, resets.
    pub others: AtomicU64,
    /// How often the stream had to be opened, after the first time.
    pub reopened: AtomicU64,
}

impl Seen {
    /// How late, in nanoseconds, each event came since the last call: the watcher's clock at its arrival, less the
    /// time that its engine gave it. Both clocks have to be the same one.
    pub fn take_lateness(&self) -> Vec<u64> {
        std::mem::take(&mut self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Watches from now on, in a thread that ends with the program.
pub fn watch(address: Address, pin: Pin, token: String) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let also = seen.clone();
    std::thread::spawn(move || {
        loop {
            let client = Client::new(Settings::roomy(address.clone(), vec![pin]));
            if let Ok(stream) = client.and_then(|client| client.stream("/api/v1/stream", &token, None, SILENCE))
                && stream.status().is_success()
            {
                read(BufReader::with_capacity(256 * 1024, stream), &also);
            }
            also.reopened.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(PAUSE);
        }
    });
    seen
}

fn read(mut stream: impl BufRead, seen: &Seen) {
    let (mut line, mut is_event) = (String::new(), false);
    while matches!({ line.clear(); stream.read_line(&mut line) }, Ok(length) if length > 0) {
        if let Some(kind) = line.strip_prefix("event: ") {
            is_event = kind.trim_end() == "event";
            let counter = if is_event { &seen.events } else { &seen.others };
            counter.fetch_add(1, Ordering::Relaxed);
        } else if let Some(data) = line.strip_prefix("data: ").filter(|_| is_event) {
            let now = i128::from(now_nano());
            let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
            if event["type"] != "container" || event["derived"] != false {
                continue;
            }
            let time = event["time"].as_str().and_then(nanoseconds);
            if let Some(late) = time.and_then(|time| u64::try_from(now - time).ok()) {
                seen.late.lock().unwrap_or_else(PoisonError::into_inner).push(late);
            }
        }
    }
}
