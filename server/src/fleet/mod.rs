//! The fleet as the server knows it: hosts, their mirrors, their liveness, and every change of them.
//!
//! What changes goes one way: memory, then the store, then those who watch ([`feed`]). [`Fleet::settle`] is that
//! way. If the store cannot keep it, memory goes back to what is durable.

mod describe;
pub mod enlist;
pub mod feed;
pub mod host;
pub mod liveness;
mod look;
mod operate;
pub mod pace;
mod wanted;

pub use wanted::{ContainerSelect, EventSelect, Refusal};

use crate::access::secret::Secret;
use crate::access::tokens::{ApiTokens, JoinTokens};
use crate::api::types::Change;
use crate::store::committer::Committer;
use crate::store::{Store, StoreError, Write};
use crate::time::now_ms;
use feed::Feed;
use host::{Host, Now, Outcome};
use muster_dial::{Address, Pin};
use muster_protocol::hello::Stream;
use muster_protocol::id::HostId;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

/// One host, and the turn that its messages take.
#[derive(Debug)]
pub struct HostCell {
    /// Its key.
    pub id: HostId,
    /// Held from the first change in memory until it is durable: what one host says happens in order.
    pub turn: smol::lock::Mutex<()>,
    /// How many messages it may send.
    pub pace: pace::Pace,
    live: Mutex<Host>,
}

impl HostCell {
    /// What is known of it. Never held while something is waited for.
    pub fn live(&self) -> MutexGuard<'_, Host> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Hosts {
    by_id: BTreeMap<HostId, Arc<HostCell>>,
    /// SHA-256 of a credential, to whose it is. Those of removed hosts stay: they are told so.
    by_credential: HashMap<[u8; 32], HostId>,
}

/// All hosts, and what is known of them.
#[derive(Debug)]
pub struct Fleet {
    hosts: RwLock<Hosts>,
    committer: Committer,
    history: History,
    feed: Feed,
    join_tokens: Mutex<JoinTokens>,
    api_tokens: Mutex<ApiTokens>,
    /// Held while a host joins, or a token or a host's name changes: what is unique stays so.
    registry: smol::lock::Mutex<()>,
    reached_by: (Address, Pin),
    started: Instant,
}

/// The store, for reading events.
#[derive(Clone)]
struct History(Arc<dyn Store>);

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("History")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// The fleet as it was stored. `boot` names this life of the server; `address` and `pin` go into join strings.
    pub fn open(
        store: Arc<dyn Store>,
        admin: &Secret,
        boot: String,
        address: Address,
        pin: Pin,
    ) -> Result<Fleet, StoreError> {
        let started = Instant::now();
        let now = Now { wall_ms: now_ms(), monotonic_ms: 0 };
        let all = store.load()?;
        let mut streams: HashMap<HostId, _> = all
            .streams
            .into_iter()
            .filter(|row| row.stream == Stream::Report as u8)
            .map(|row| (row.host, row))
            .collect();
        let mut containers: HashMap<HostId, Vec<_>> = HashMap::new();
        for row in all.containers {
            containers.entry(row.host).or_default().push(row);
        }
        let mut hosts = Hosts::default();
        for row in all.hosts {
            let id = row.id;
            // A removed host may have joined anew with the same credential: the one that is there counts.
            let is_removed = row.state == liveness::HostState::Removed.word();
            if !is_removed || !hosts.by_credential.contains_key(&row.credential) {
                hosts.by_credential.insert(row.credential, id);
            }
            let host = Host::restored(row, streams.remove(&id), containers.remove(&id).unwrap_or_default(), now);
            hosts.by_id.insert(id, cell(host));
        }
        Ok(Fleet {
            hosts: RwLock::new(hosts),
            committer: Committer::start(store.clone())?,
            history: History(store),
            feed: Feed::new(boot),
            join_tokens: Mutex::new(JoinTokens::new(all.join_tokens)),
            api_tokens: Mutex::new(ApiTokens::new(admin, all.api_tokens)),
            registry: smol::lock::Mutex::new(()),
            reached_by: (address, pin),
            started,
        })
    }

    /// The two clocks now.
    pub fn now(&self) -> Now {
        Now { wall_ms: now_ms(), monotonic_ms: self.started.elapsed().as_millis() as u64 }
    }

    /// Every change, for those who watch.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The one that makes changes durable.
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    /// What keeps the store from working now, if anything.
    pub fn problem(&self) -> Option<String> {
        self.committer.problem().map(|error| error.message)
    }

    fn cells(&self) -> Vec<Arc<HostCell>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).by_id.values().cloned().collect()
    }

    /// A host by its key.
    pub fn cell(&self, id: HostId) -> Option<Arc<HostCell>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    /// The host whose credential has this hash; a removed one too.
    pub fn by_credential(&self, hash: &[u8; 32]) -> Option<Arc<HostCell>> {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        hosts.by_credential.get(hash).and_then(|id| hosts.by_id.get(id)).cloned()
    }

    /// A host has joined and is durable.
    fn insert(&self, host: Host) {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        hosts.by_credential.insert(host.row.credential, host.id());
        hosts.by_id.insert(host.id(), cell(host));
    }

    /// Makes a host's changes durable, then tells those who watch. On failure memory goes back to what is
    /// durable. The caller holds the host's turn.
    pub async fn settle(&self, cell: &HostCell, outcome: Outcome) -> Result<(), StoreError> {
        if outcome.writes.is_empty() {
            self.publish(cell, &outcome, 0);
            return Ok(());
        }
        let keep = Outcome { writes: outcome.writes.clone(), ..outcome };
        match self.committer.commit(keep.writes.clone()).await {
            Ok(first) => {
                self.publish(cell, &keep, first);
                Ok(())
            }
            Err(error) => {
                self.revert(cell).await;
                Err(error)
            }
        }
    }

    async fn revert(&self, cell: &HostCell) {
        match self.committer.reload(cell.id).await {
            Ok(mut durable) => {
                let Some(row) = durable.hosts.pop() else { return };
                let stream = durable.streams.pop();
                cell.live().revert(row, stream, durable.containers, self.now());
            }
            Err(error) => log::error!("host {}: cannot go back to what is stored: {error}", cell.id),
        }
    }

    fn publish(&self, cell: &HostCell, outcome: &Outcome, first: u64) {
        let host = cell.live();
        let events = Outcome::events(&outcome.writes, first);
        let newest = events.last().map_or(0, |row| row.id);
        let host_id = cell.id.to_string();
        if outcome.host {
            self.feed.publish_with(newest, || Change::Host(host.view()));
        }
        for id in &outcome.containers {
            self.feed.publish_with(newest, || match host.container_view(id) {
                Some(container) => Change::Container(container),
                None => Change::ContainerGone { host_id: host_id.clone(), id: id.to_string() },
            });
        }
        let of = describe::Of { id: &host_id, name: &host.row.name };
        for row in &events {
            self.feed.publish_with(newest, || Change::Event(describe::event(row, of, |id| host.container_name(id))));
        }
    }

    /// Notices hosts that have gone quiet. To be called a few times a second at most, and at least each second.
    pub async fn pass_time(&self) {
        for cell in self.cells() {
            let now = self.now();
            // Whoever is being heard right now is not quiet.
            let Some(_turn) = cell.turn.try_lock() else { continue };
            let mut outcome = Outcome::default();
            cell.live().pass(now, &mut outcome);
            if !outcome.writes.is_empty()
                && let Err(error) = self.settle(&cell, outcome).await
            {
                log::debug!("host {}: its change of state is not stored yet: {error}", cell.id);
            }
        }
    }

    /// Stores when each host was last heard: at the end of the server's life.
    pub async fn close(&self) {
        let rows = self.cells().iter().map(|cell| Write::Host(cell.live().row.clone())).collect();
        if let Err(error) = self.committer.commit(rows).await {
            log::warn!("cannot store when hosts were last heard: {error}");
        }
        self.feed.close();
    }
}

fn cell(host: Host) -> Arc<HostCell> {
    Arc::new(HostCell {
        id: host.id(),
        turn: smol::lock::Mutex::new(()),
        pace: pace::Pace::default(),
        live: Mutex::new(host),
    })
}
