//! A host joins.

use super::host::{Host, Outcome};
use super::{Fleet, locked, numbered};
use crate::access::secret::random;
use crate::access::tokens::JoinRefusal;
use crate::store::{EngineRow, HostFacts, HostOrders, HostRow, StoreError, Write};
use crate::time::now_ms;
use muster_protocol::id::HostId;
use muster_protocol::join::Join;
use muster_protocol::limits;
use std::collections::HashSet;

/// Reports that a host has not announced yet come as often as this, in milliseconds.
const INTERVAL_MS: u32 = 5000;

/// Room in a name for the number that makes it unique.
const NUMBER: usize = 6;

/// A host that has joined, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enlisted {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Whether it has joined just now.
    pub is_new: bool,
}

/// Why a host did not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotEnlisted {
    /// Its token is not good.
    Token(JoinRefusal),
    /// Its credential was revoked: it has to make another one.
    Revoked,
    /// It could not be stored.
    Store(StoreError),
}

impl From<StoreError> for NotEnlisted {
    fn from(error: StoreError) -> NotEnlisted {
        NotEnlisted::Store(error)
    }
}

impl Fleet {
    /// A host joins with a token and a credential of its own making, of which only the hash is kept. Whoever comes
    /// again with the same credential is the same host, and needs no token.
    pub async fn enlist(&self, credential: [u8; 32], join: &Join<'_>) -> Result<Enlisted, NotEnlisted> {
        if let Some(known) = self.enlisted(&credential)? {
            return Ok(known);
        }
        // Whoever has no good token does not even wait in line.
        locked(&self.state.join_tokens).judge(join.token, now_ms()).map_err(NotEnlisted::Token)?;
        let registry = self.registry.lock_arc().await;
        if let Some(known) = self.enlisted(&credential)? {
            return Ok(known);
        }
        let now = self.now();
        let grant = locked(&self.state.join_tokens).judge(join.token, now.wall_ms).map_err(NotEnlisted::Token)?;
        let id = self.new_id()?;
        let name = self.free_name(grant.name.as_deref().unwrap_or(join.name));
        let row = HostRow {
            id,
            name: name.clone(),
            labels: grant.labels,
            credential,
            fingerprint: join.fingerprint,
            joined_ms: now.wall_ms,
            // It is there when it says hello.
            state: "disconnected".into(),
            since_ms: now.wall_ms,
            last_seen_ms: None,
            interval_ms: INTERVAL_MS,
            facts: HostFacts::default(),
            engine: EngineRow::default(),
            hidden: 0,
            events_dropped: 0,
            conflict: false,
            dropped_before: 0,
            listed_ms: None,
            orders: HostOrders::default(),
            sync_error: false,
        };
        let mut host = Host::restored(row, None, Vec::new(), now);
        let mut outcome = Outcome::default();
        host.note("host_joined", [("name", name.clone()), ("token", grant.id)], now, &mut outcome);
        let mut writes = outcome.writes;
        let events = Outcome::events(&writes);
        writes.push(Write::JoinToken(grant.row.clone()));
        let state = self.state.clone();
        let settled = self.committer.commit(writes, move |stored| {
            // Nobody else joins until this is over.
            let _registry = registry;
            let (first, events) = match stored {
                Ok(first) => (first, events),
                // A commit that failed has happened all the same if the host is there. It will come again.
                Err(store) if store.load_host(id).is_ok_and(|durable| !durable.hosts.is_empty()) => (0, Vec::new()),
                Err(_) => return,
            };
            locked(&state.join_tokens).apply(grant.row);
            let cell = state.insert(host);
            state.publish(&cell, &[], true, &numbered(events, first));
        });
        settled.wait().await?;
        Ok(Enlisted { id, name, is_new: true })
    }

    fn enlisted(&self, credential: &[u8; 32]) -> Result<Option<Enlisted>, NotEnlisted> {
        let Some(cell) = self.by_credential(credential) else { return Ok(None) };
        let live = cell.live();
        match (live.is_removed(), live.is_revoked()) {
            (_, true) => Err(NotEnlisted::Revoked),
            (true, false) => Ok(None),
            (false, false) => Ok(Some(Enlisted { id: cell.id, name: live.row.name.clone(), is_new: false })),
        }
    }

    fn new_id(&self) -> Result<HostId, StoreError> {
        loop {
            let id = HostId(random().map_err(|error| StoreError { message: error.message })?);
            if self.cell(id).is_none() {
                return Ok(id);
            }
        }
    }

    /// The name as the host gave it, of characters that are good everywhere, with a number if it is taken.
    pub(super) fn free_name(&self, wanted: &str) -> String {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = wanted.chars().filter(|c| good(*c)).take(limits::HOST_NAME - NUMBER).collect();
        let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let name = if name.is_empty() { "host" } else { name };
        // Most names are free, and a fleet that joins at once asks often: one look then, and nothing is made for it.
        let taken = |wanted: &dyn Fn(&str) -> bool| -> HashSet<String> {
            let cells = self.state.cells();
            let live = cells.iter().map(|cell| cell.live());
            live.filter(|live| wanted(&live.row.name) && !live.is_removed()).map(|live| live.row.name.clone()).collect()
        };
        let taken = match taken(&|other| other == name) {
            none if none.is_empty() => none,
            // All at once: a fleet that is flashed from one image has ten thousand that begin alike.
            _ => taken(&|other| other.starts_with(name)),
        };
        // Nor may it be what another host is called by its id.
        let is_free = |name: &str| !taken.contains(name) && HostId::parse(name).and_then(|id| self.cell(id)).is_none();
        let mut free = name.to_owned();
        let mut number = 1u64;
        while !is_free(&free) {
            number += 1;
            free = format!("{name}-{number}");
        }
        free
    }
}
