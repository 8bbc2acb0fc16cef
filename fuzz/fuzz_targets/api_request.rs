//! Any request is answered, whoever sends it: with a status that is no failure of the server, and a body that says
//! what it is. The first byte is method and role; path, query, header and body follow, each after a line end.
#![no_main]

#[path = "../empty_fleet.rs"]
mod empty_fleet;

use futures_lite::future::block_on;
use libfuzzer_sys::fuzz_target;
use muster::access::browser;
use muster::access::tokens::Role;
use muster::api::{self, ApiRequest, Body, query};
use muster::fleet::{By, Fleet};
use std::cell::RefCell;

const METHODS: [&str; 5] = ["GET", "POST", "PATCH", "DELETE", "HEAD"];

/// Requests that one fleet answers: what they make stays in its memory.
const REQUESTS: u32 = 512;

thread_local! {
    static FLEET: RefCell<(u32, Option<Fleet>)> = const { RefCell::new((0, None)) };
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(5, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let Some(&first) = next().first() else { return };
    let (path, query, header, body) = (next(), next(), next(), next());
    let Ok(path) = std::str::from_utf8(path) else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let header = std::str::from_utf8(header).ok().filter(|header| !header.is_empty());
    let Some(query) = query::parse(query) else { return };
    let first = usize::from(first);
    let role = [Some(Role::Admin), Some(Role::Viewer), None][first / METHODS.len() % 3];
    let by = role.map(|role| By { role, token: "admin".into(), name: String::new(), peer: "192.0.2.1".into() });
    let method = METHODS[first % METHODS.len()];
    // The same header as what browsers send along: whatever it is, it is one session's or none.
    if let Some(secret) = header.and_then(browser::session) {
        assert!(!secret.contains(';'));
    }
    let peer = std::net::Ipv4Addr::LOCALHOST.into();
    let request = ApiRequest { method, path, query: &query, body, by: by.as_ref(), last_event_id: header, peer };
    FLEET.with_borrow_mut(|(count, slot)| {
        *count = (*count + 1) % REQUESTS;
        if *count == 0 {
            *slot = None;
        }
        let answer = block_on(api::answer(slot.get_or_insert_with(|| empty_fleet::open("keys")), &request));
        // This store cannot be copied, which is the one failure that is its own.
        let no_backup = answer.status == 503 && path == "/api/v1/backup";
        assert!(no_backup || (200..500).contains(&answer.status), "{} for {request:?}", answer.status);
        for (_, value) in &answer.headers {
            assert!(!value.chars().any(char::is_control), "{value:?} in a header");
        }
        if let Body::Bytes(bytes) = &answer.body {
            assert!(answer.status < 400 || answer.content_type == "application/problem+json");
            let text = std::str::from_utf8(bytes).expect("text");
            assert!(text.is_empty() == answer.content_type.is_empty());
            assert!(answer.status < 400 || text.len() < 2048, "a problem that long is none: {text}");
        }
    });
});
