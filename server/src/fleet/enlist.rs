//! A host joins.

use super::host::{Host, Outcome};
use super::{Fleet, locked, numbered};
use crate::access::secret::random;
use crate::access::tokens::{JoinRefusal, JoinTokens};
use crate::store::{EngineRow, EventRow, HostFacts, HostOrders, HostRow, JoinTokenRow, StoreError, Write};
use crate::time::now_ms;
use muster_protocol::id::{Fingerprint, HostId};
use muster_protocol::join::Join;
use muster_protocol::limits;
use smol::lock::MutexGuardArc;
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

/// A host that wants to join, and waits for that.
#[derive(Debug)]
pub(super) struct Joining {
    credential: [u8; 32],
    token: String,
    name: String,
    fingerprint: Fingerprint,
    answer: Answer,
}

type Answer = async_channel::Sender<Result<Enlisted, NotEnlisted>>;

/// A host that joins with the next commit.
struct Recruit {
    host: Host,
    writes: Vec<Write>,
    events: Vec<EventRow>,
    /// As it is once this host has joined.
    token: JoinTokenRow,
    /// Who wants to know.
    answers: Vec<Answer>,
}

fn tell(answers: &[Answer], outcome: &Result<Enlisted, NotEnlisted>) {
    for answer in answers {
        // Whoever no longer waits has no use for it.
        let _ = answer.try_send(outcome.clone());
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
        let (answer, answered) = async_channel::bounded(1);
        locked(&self.joining).push(Joining {
            credential,
            token: join.token.into(),
            name: join.name.into(),
            fingerprint: join.fingerprint,
            answer,
        });
        let registry = self.registry.lock_arc().await;
        // Whoever had the registry before may have joined this host, too.
        if let Ok(outcome) = answered.try_recv() {
            return outcome;
        }
        self.enlist_all(registry);
        answered.recv().await.unwrap_or_else(|_| Err(StoreError { message: "the store has stopped".into() }.into()))
    }

    /// Joins all that wait in one commit, and answers them. Whoever has left meanwhile is left out.
    fn enlist_all(&self, registry: MutexGuardArc<()>) {
        let waiting = std::mem::take(&mut *locked(&self.joining));
        let mut tokens = locked(&self.state.join_tokens).clone();
        let mut all: Vec<Recruit> = Vec::new();
        let mut names = HashSet::new();
        for joining in waiting.into_iter().filter(|joining| !joining.answer.is_closed()) {
            if let Some(same) = all.iter_mut().find(|recruit| recruit.host.row.credential == joining.credential) {
                same.answers.push(joining.answer);
                continue;
            }
            match self.recruit(&joining, &mut tokens, &names) {
                Ok(Ok(known)) => tell(&[joining.answer], &Ok(known)),
                Ok(Err(recruit)) => {
                    names.insert(recruit.host.row.name.clone());
                    all.push(Recruit { answers: vec![joining.answer], ..*recruit });
                }
                Err(refusal) => tell(&[joining.answer], &Err(refusal)),
            }
        }
        let writes = all.iter_mut().flat_map(|recruit| std::mem::take(&mut recruit.writes)).collect();
        let (state, committer) = (self.state.clone(), self.committer.clone());
        let settled = self.committer.commit(writes, move |stored| {
            // Nobody else joins until this is over.
            let _registry = registry;
            let mut next = stored.as_ref().map_or(0, |first| *first);
            for recruit in all {
                let Recruit { host, events, token, answers, .. } = recruit;
                let (id, name) = (host.row.id, host.row.name.clone());
                let outcome = match &stored {
                    Ok(_) => Ok(Enlisted { id, name, is_new: true }),
                    Err(_) => Err(committer.problem().unwrap_or(StoreError { message: "it cannot be stored".into() })),
                };
                let first = next;
                next += events.len() as u64;
                let events = match &stored {
                    Ok(_) => numbered(events, first),
                    // A commit that failed has happened all the same if the host is there. It will come again.
                    Err(store) if store.load_host(id).is_ok_and(|durable| !durable.hosts.is_empty()) => Vec::new(),
                    Err(_) => {
                        tell(&answers, &outcome.map_err(NotEnlisted::Store));
                        continue;
                    }
                };
                locked(&state.join_tokens).apply(token);
                let cell = state.insert(host);
                state.publish(&cell, &[], true, &events);
                tell(&answers, &outcome.map_err(NotEnlisted::Store));
            }
        });
        // It goes on without being waited for: the answers say how.
        drop(settled);
    }

    /// The host that would join, or the one that it is already. Counts in `tokens` that it does; its name is none of
    /// `names`.
    fn recruit(
        &self,
        joining: &Joining,
        tokens: &mut JoinTokens,
        names: &HashSet<String>,
    ) -> Result<Result<Enlisted, Box<Recruit>>, NotEnlisted> {
        if let Some(known) = self.enlisted(&joining.credential)? {
            return Ok(Ok(known));
        }
        let now = self.now();
        let grant = tokens.judge(&joining.token, now.wall_ms).map_err(NotEnlisted::Token)?;
        let name = self.free_name_but(grant.name.as_deref().unwrap_or(&joining.name), names);
        let row = HostRow {
            id: self.new_id()?,
            name: name.clone(),
            labels: grant.labels,
            credential: joining.credential,
            fingerprint: joining.fingerprint,
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
        let mut host = Host::restored(row, None, (0, 0), Vec::new(), now);
        let mut outcome = Outcome::default();
        host.note("host_joined", [("name", name), ("token", grant.id)], now, &mut outcome);
        let mut writes = outcome.writes;
        let events = Outcome::events(&writes);
        writes.push(Write::JoinToken(grant.row.clone()));
        tokens.apply(grant.row.clone());
        Ok(Err(Box::new(Recruit { host, writes, events, token: grant.row, answers: Vec::new() })))
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
        self.free_name_but(wanted, &HashSet::new())
    }

    /// As [`Fleet::free_name`], and none of `others`.
    fn free_name_but(&self, wanted: &str, others: &HashSet<String>) -> String {
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
            none if none.is_empty() && !others.contains(name) => none,
            // All at once: a fleet that is flashed from one image has ten thousand that begin alike.
            _ => taken(&|other| other.starts_with(name)),
        };
        // Nor may it be what another host is called by its id.
        let is_other = |name: &str| taken.contains(name) || others.contains(name);
        let is_free = |name: &str| !is_other(name) && HostId::parse(name).and_then(|id| self.cell(id)).is_none();
        let mut free = name.to_owned();
        let mut number = 1u64;
        while !is_free(&free) {
            number += 1;
            free = format!("{name}-{number}");
        }
        free
    }
}
