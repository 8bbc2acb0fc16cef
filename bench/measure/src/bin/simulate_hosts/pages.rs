//! Open pages: what they cost the server, and how late a browser shows what happens.

use crate::{Server, row};
use muster_bench::ending;
use muster_bench::machine::now_nano;
use muster_bench::process::Memory;
use muster_dial::{Address, Client, Pin, Settings};
use muster_tests::browser;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a page of the fleet asks for.
const STREAM: &str = "/api/v1/stream?kind=alert&kind=host";

/// The server says something at least every 15 s.
const SILENCE: Duration = Duration::from_secs(60);

/// For all streams to be open, and for what they have been sent at first to be forgotten.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long streams are open before the server's memory is looked at.
const SETTLE: Duration = Duration::from_secs(20);

/// Opens so many streams as pages have them, and says what each costs the server.
pub fn streams(count: usize, address: &Address, pin: Pin, server: &Server) {
    let before = Memory::of(server.process.id()).anonymous;
    let open = Arc::new(AtomicUsize::new(0));
    let token = server.admin_token();
    for _ in 0..count {
        let (address, token, open) = (address.clone(), token.clone(), open.clone());
        std::thread::spawn(move || {
            let client = Client::new(Settings::roomy(address, vec![pin]));
            let Ok(mut stream) = client.and_then(|client| client.stream(STREAM, &token, None, SILENCE)) else { return };
            if !stream.status().is_success() {
                return;
            }
            open.fetch_add(1, Ordering::Relaxed);
            let mut piece = vec![0; 64 * 1024];
            // Whoever is cut is counted no longer.
            while stream.read(&mut piece).is_ok_and(|length| length > 0) {}
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    let begin = Instant::now();
    while open.load(Ordering::Relaxed) < count && begin.elapsed() < PATIENCE {
        ending::wait(Duration::from_millis(100));
    }
    ending::wait(SETTLE);
    let open = open.load(Ordering::Relaxed);
    let after = Memory::of(server.process.id()).anonymous;
    row("pages that are open", open);
    let each = after.saturating_sub(before) as f64 / open.max(1) as f64;
    row("server memory for each, KiB: by its stream", format!("{each:.1} ({before} to {after} in all)"));
}

/// Has a script of `bench/` drive a browser; `measured` are the figures that it prints as JSON.
pub fn browser(script: &Path, address: &Address, pin: Pin, server: &Server) {
    let url = format!("https://{}:{}", address.host(), address.port());
    let data = server.place.join("data");
    let process = server.process.id();
    browser::run(script, &url, &pin.to_string(), &[], &mut |question| {
        if let Some(name) = question["row"].as_str() {
            row(name, question["value"].as_str().unwrap_or_default());
            return Value::Null;
        }
        if question["memory"] == true {
            return Memory::of(process).anonymous.into();
        }
        if question["clock"] == true {
            return now_nano().into();
        }
        browser::said(&data, question)
    });
}
