//! Any request to the Docker API is understood or refused, with a status that is no failure of the server and a body
//! that says what it is. The first byte is the method; path and query follow, each after a line end.
#![no_main]

#[path = "../empty_fleet.rs"]
mod empty_fleet;

use futures_lite::future::block_on;
use libfuzzer_sys::fuzz_target;
use muster::access::tokens::Role;
use muster::dockerapi::{Ask, DockerApi, Who};
use muster::fleet::By;
use muster::listen::Content;
use std::sync::Arc;

const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "DELETE", "PUT"];

fn api() -> DockerApi {
    DockerApi::new(Arc::new(empty_fleet::open("docker")), Who::Anybody)
}

thread_local! {
    static API: DockerApi = api();
}

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let Some(&first) = next().first() else { return };
    let (path, query) = (next(), next());
    let Ok(path) = std::str::from_utf8(path) else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let by = By { role: Role::Viewer, token: "docker".into(), name: String::new(), peer: "192.0.2.1".into() };
    let ask = Ask { method: METHODS[usize::from(first) % METHODS.len()], path, query };
    API.with(|api| {
        let response = block_on(api.respond(&by, ask));
        assert!((200..=501).contains(&response.status) && response.status != 500, "{} for {ask:?}", response.status);
        for (_, value) in &response.headers {
            assert!(!value.chars().any(char::is_control), "{value:?} in a header");
        }
        if let Content::Bytes(bytes) = &response.content {
            let text = std::str::from_utf8(bytes).expect("text");
            assert!(response.status < 400 || text.starts_with("{\"message\":"), "{text}");
            assert!(response.status < 400 || text.len() < 16 * 1024, "a message that long is none: {text}");
        }
    });
});
