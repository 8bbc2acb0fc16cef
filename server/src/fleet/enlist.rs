//! A host joins.

use super::host::{Host, Outcome};
use super::{Fleet, locked};
use crate::access::secret::random;
use crate::access::tokens::JoinRefusal;
use crate::store::{EngineRow, HostFacts, HostRow, StoreError, Write};
use muster_protocol::id::HostId;
use muster_protocol::join::Join;
use muster_protocol::limits;

/// Reports that a host has not announced yet come as often as this, in milliseconds.
const INTERVAL_MS: u32 = 5000;

/// Why a host did not join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotEnlisted {
    /// Its token is not good.
    Token(JoinRefusal),
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
    pub async fn enlist(&self, credential: [u8; 32], join: &Join<'_>) -> Result<(HostId, String), NotEnlisted> {
        let _registry = self.registry.lock().await;
        if let Some(cell) = self.by_credential(&credential) {
            let live = cell.live();
            if !live.is_removed() {
                return Ok((cell.id, live.row.name.clone()));
            }
        }
        let now = self.now();
        let grant = locked(&self.join_tokens).judge(join.token, now.wall_ms).map_err(NotEnlisted::Token)?;
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
        };
        let mut host = Host::restored(row, None, Vec::new(), now);
        let mut outcome = Outcome::default();
        host.note("host_joined", [("name", name.clone()), ("token", grant.id)], now, &mut outcome);
        let mut writes = outcome.writes.clone();
        writes.push(Write::JoinToken(grant.row.clone()));
        let first = self.committer.commit(writes).await?;
        locked(&self.join_tokens).apply(grant.row);
        self.insert(host);
        if let Some(cell) = self.cell(id) {
            self.publish(&cell, &outcome, first);
        }
        Ok((id, name))
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
    fn free_name(&self, wanted: &str) -> String {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name: String = wanted.chars().filter(|c| good(*c)).take(limits::HOST_NAME - 6).collect();
        let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let name = if name.is_empty() { "host" } else { name };
        let mut free = name.to_owned();
        let mut number = 1u32;
        while self.find_host(&free).is_ok() {
            number += 1;
            free = format!("{name}-{number}");
        }
        free
    }
}
