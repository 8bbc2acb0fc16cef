//! Any request to the Docker API is understood or refused, with a status that is no failure of the server and a body
//! that says what it is. The first byte is the method; path and query follow, each after a line end.
#![no_main]

use futures_lite::future::block_on;
use libfuzzer_sys::fuzz_target;
use muster::access::keys::Keys;
use muster::access::secret::Secret;
use muster::access::tokens::Role;
use muster::dockerapi::{Ask, DockerApi, Who};
use muster::fleet::{By, Fleet};
use muster::listen::Content;
use muster::store::{AuditRow, EventRow, Keep, Snapshot, Span, Store, StoreError, Write};
use muster_protocol::id::HostId;
use std::sync::Arc;

const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "DELETE", "PUT"];

/// Forgets everything, at once.
struct Nothing;

impl Store for Nothing {
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn load_host(&self, _: HostId) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn commit(&self, _: &[Write]) -> Result<(), StoreError> {
        Ok(())
    }

    fn events(
        &self,
        _: u64,
        _: Span,
        _: usize,
        _: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<Vec<EventRow>, StoreError> {
        Ok(Vec::new())
    }

    fn audit(&self, _: u64, _: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(Vec::new())
    }

    fn newest_event(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

fn api() -> DockerApi {
    let admin = Secret::parse(&"a".repeat(32)).expect("a token");
    let address = "localhost:7443".parse().expect("an address");
    let place = std::env::temp_dir().join(format!("muster-fuzz-docker-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("making a directory");
    let keys = Arc::new(Keys::open(&place).expect("keys"));
    let fleet = Fleet::open(Arc::new(Nothing), &admin, "boot".into(), address, keys).expect("a fleet");
    DockerApi::new(Arc::new(fleet), Who::Anybody)
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
