//! The fleet as the server knows it: hosts, their mirrors, their liveness, and every change of them.
//!
//! What changes goes one way: memory, then the store, then those who watch ([`feed`]). [`Fleet::settle`] is that
//! way. If the store cannot keep it, memory goes back to what is durable. From a change in memory to its end nothing
//! waits for a client, which may leave at any moment: whoever holds the host's [`Turn`] hands it over with the change.

mod alerting;
pub mod audit;
pub mod boards;
mod credentials;
mod describe;
mod docker_clients;
pub mod enlist;
pub mod feed;
mod health;
pub mod host;
mod hosts;
pub mod lines;
mod listed;
#[cfg(test)]
mod listed_tests;
pub mod liveness;
mod look;
mod metrics;
mod operate;
#[cfg(test)]
mod operator_tests;
mod orders;
pub mod pace;
mod removed;
mod sessions;
mod sign_in;
#[cfg(test)]
mod sign_in_tests;
mod state;
#[cfg(test)]
mod tests;
mod trust;
mod turn;
mod users;
mod vitals;
mod wanted;
mod wishes;

pub use audit::{AuditSelect, By};
pub use docker_clients::DockerDoor;
pub use metrics::MetricSelect;
pub use orders::{HostChange, INTERVALS_MS, NO_VITALS, Rhythm};
pub use sign_in::{NotSignedIn, SignedIn};
pub use turn::{HostCell, Turn};
pub use vitals::VitalsSpan;
#[cfg(test)]
pub(crate) use vitals::tests as vitals_for_tests;
pub use wanted::{ContainerFind, ContainerSelect, EventSelect, HostKey, HostOrder, HostSelect, Refusal};

use crate::access::keys::Keys;
use crate::access::secret::Secret;
use crate::access::tokens::{ApiTokens, JoinTokens};
use crate::alerts::{self, Alerts};
use crate::network::Network;
use crate::network::secrets::Secrets;
use crate::store::committer::{Committer, Pending};
use crate::store::{EventRow, Store, StoreError, Write};
use crate::time::now_ms;
use crate::vitals::{History, HistoryShape};
use docker_clients::DockerClients;
use feed::Feed;
use host::{Host, Now, Outcome};
use hosts::Hosts;
use muster_dial::Address;
use muster_protocol::hello::Stream;
use muster_protocol::id::HostId;
use muster_protocol::orders::Session;
use sessions::Sessions;
use state::State;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

/// All hosts, and what is known of them.
#[derive(Debug)]
pub struct Fleet {
    state: Arc<State>,
    committer: Committer,
    history: Events,
    /// Held while a host joins, or a token or a host's name changes: what is unique stays so.
    registry: Arc<smol::lock::Mutex<()>>,
    /// Who wants to join and waits for the registry: the first that has it joins all of them.
    joining: Mutex<Vec<enlist::Joining>>,
    /// Where agents reach the server if operators have set nothing.
    started_with: Address,
    keys: Arc<Keys>,
    /// Places for readings of many rows, which take a thread and a processor each.
    scans: Arc<smol::lock::Semaphore>,
    denials: Mutex<audit::Denials>,
    /// When removed hosts were last looked through, by the monotonic clock.
    swept_ms: std::sync::atomic::AtomicU64,
    /// The managed network.
    network: Network,
    alerts: Alerts,
    /// What hosts were like.
    vitals: Arc<History>,
    /// Hosts of whose containers somebody watches the vitals, by when they were last asked for.
    watched: Mutex<VecDeque<HostId>>,
    /// Places for readers of metrics, who may be slow.
    metering: Arc<smol::lock::Semaphore>,
    /// The id of the newest event at the start.
    newest_stored: u64,
}

/// Readings of many rows at a time: more would only take the processor from the agents.
const SCANS: usize = 2;

/// The store, for reading events.
#[derive(Clone)]
struct Events(Arc<dyn Store>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// The fleet as it was stored. `boot` names this life of the server; `address` goes into join strings unless
    /// operators have set others.
    pub fn open(
        store: Arc<dyn Store>,
        admin: &Secret,
        boot: String,
        address: Address,
        keys: Arc<Keys>,
    ) -> Result<Fleet, StoreError> {
        let started = Instant::now();
        let now = Now { wall_ms: now_ms(), monotonic_ms: 0 };
        let all = store.load()?;
        let trust = trust::of(&*store, all.fleet, &keys)?;
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
        let mut imports = alerts::imports(&all.alert_settings);
        let mut hosts = Hosts::default();
        let mut names = HashMap::new();
        for row in all.hosts {
            let id = row.id;
            if !row.orders.revoked && row.state != liveness::HostState::Removed.word() {
                names.insert(id, row.name.clone());
            }
            let import = imports.remove(&id).unwrap_or_default();
            let containers = containers.remove(&id).unwrap_or_default();
            hosts.insert(Host::restored(row, streams.remove(&id), import, containers, now));
        }
        let api_tokens = ApiTokens::new(admin, all.api_tokens);
        let people = sign_in::People::open(admin, all.users, all.web_sessions, &api_tokens)?;
        let state = Arc::new(State {
            hosts: RwLock::new(hosts),
            feed: Feed::new(boot),
            join_tokens: Mutex::new(JoinTokens::new(all.join_tokens)),
            api_tokens: Mutex::new(api_tokens),
            docker: DockerClients::new(all.docker_clients),
            sessions: Sessions::default(),
            people,
            trust: Mutex::new(trust),
            touched: Arc::default(),
            started,
            #[cfg(test)]
            ahead: Default::default(),
        });
        let recovered = {
            let state = state.clone();
            move || state.feed.interrupt()
        };
        let newest_stored = store.newest_event()?;
        let committer = Committer::start(store.clone(), recovered)?;
        let secrets = Secrets::of(&keys.derived(Secrets::PURPOSE));
        Ok(Fleet {
            alerts: Alerts::open(
                committer.clone(),
                state.touched.clone(),
                (all.alert_settings, all.alerts, all.notices),
                store.newest_event()?,
            ),
            state,
            network: Network::open(committer.clone(), secrets, all.network, all.network_members, &names),
            committer,
            history: Events(store),
            registry: Arc::default(),
            joining: Mutex::default(),
            started_with: address,
            keys,
            scans: Arc::new(smol::lock::Semaphore::new(SCANS)),
            denials: Mutex::default(),
            swept_ms: Default::default(),
            vitals: Arc::new(History::new(Path::new(""), HistoryShape { bytes: 0 })),
            watched: Mutex::default(),
            metering: Arc::new(smol::lock::Semaphore::new(metrics::READERS)),
            newest_stored,
        })
    }

    /// Lets the time run.
    #[cfg(test)]
    pub(crate) fn skip(&self, time: std::time::Duration) {
        self.state.ahead.fetch_add(time.as_millis() as u64, std::sync::atomic::Ordering::Relaxed);
    }

    /// The two clocks.
    pub fn now(&self) -> Now {
        self.state.now()
    }

    /// Every change, for those who watch.
    pub fn feed(&self) -> &Feed {
        &self.state.feed
    }

    /// The one that makes changes durable.
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    /// The managed network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A host by its key.
    pub fn cell(&self, id: HostId) -> Option<Arc<HostCell>> {
        self.state.cell(id)
    }

    /// The host whose credential has this hash; a removed one too.
    pub fn by_credential(&self, hash: &[u8; 32]) -> Option<Arc<HostCell>> {
        let hosts = self.state.hosts();
        hosts.by_credential.get(hash).and_then(|id| hosts.by_id.get(id)).cloned()
    }

    /// A session for plain reports of who has this credential, by its hash. Another one ends.
    pub fn begin_session(&self, credential: [u8; 32]) -> Option<Session> {
        self.state.sessions.begin(credential)
    }

    /// The host whose session this is, and its credential's hash; a removed one too.
    pub fn by_session(&self, session: &Session) -> Option<(Arc<HostCell>, [u8; 32])> {
        let credential = self.state.sessions.find(session)?;
        Some((self.by_credential(&credential)?, credential))
    }

    /// A host's credential is not good any more: what stands for it ends at once. To be called when whoever looks
    /// at the host sees that already.
    pub fn shut_out(&self, cell: &HostCell) {
        let credentials = cell.live().credentials();
        credentials.iter().for_each(|credential| self.state.sessions.end(credential));
        cell.lines.cut();
    }

    /// The host's turn, once it comes. What is in memory of it is durable then.
    pub async fn turn(&self, cell: &Arc<HostCell>) -> Result<Turn, StoreError> {
        self.moored(cell.turn().await).await
    }

    /// If memory could not be brought back to what is durable when it should have been, that comes first.
    async fn moored(&self, turn: Turn) -> Result<Turn, StoreError> {
        if !turn.is_adrift() {
            return Ok(turn);
        }
        let (store, now) = (self.history.0.clone(), self.now());
        let state = self.state.clone();
        let revert = move || {
            turn.revert(&*store, now)?;
            state.index(turn.cell());
            Ok(turn)
        };
        smol::unblock(revert).await
    }

    /// Makes a host's changes durable, then tells those who watch. On failure memory goes back to what is
    /// durable. All that happens whether or not the answer is waited for, and nobody else has the turn until then.
    pub fn settle(&self, turn: Turn, outcome: Outcome) -> Pending {
        let Outcome { writes, containers, host } = outcome;
        if writes.is_empty() {
            self.state.publish(&turn, &containers, host, &[]);
            return Pending::over();
        }
        let events = Outcome::events(&writes);
        let state = self.state.clone();
        self.committer.commit(writes, move |stored| match stored {
            Ok(first) => {
                state.index(turn.cell());
                state.publish(&turn, &containers, host, &numbered(events, first));
            }
            Err(store) => match turn.revert(store, state.now()) {
                // It is open whether the commit happened.
                Ok(()) => state.index(turn.cell()),
                Err(error) => log::error!("host {}: cannot go back to what is stored: {error}", turn.id),
            },
        })
    }

    /// Notices hosts that have gone quiet. To be called a few times a second at most, and at least each second.
    pub async fn pass_time(&self) {
        if !self.committer.may_try() {
            return;
        }
        self.forget_removed().await;
        self.end_old_sessions();
        let mut settling = Vec::new();
        for cell in self.state.cells() {
            // Whoever is being heard right now is not quiet.
            let Some(turn) = cell.try_turn() else { continue };
            let Ok(turn) = self.moored(turn).await else { continue };
            let mut outcome = Outcome::default();
            turn.live().pass(self.now(), &mut outcome);
            if !outcome.writes.is_empty() {
                // All at once: ten thousand hosts behind one router go quiet together.
                settling.push((cell.id, self.settle(turn, outcome)));
            }
        }
        for (id, settled) in settling {
            if let Err(error) = settled.wait().await {
                log::debug!("host {id}: its change of state is not stored yet: {error}");
            }
        }
    }

    /// Stores when each host was last heard: at the end of the server's life.
    pub async fn close(&self) {
        let mut rows = Vec::new();
        for cell in self.state.cells() {
            // In its turn, or a row could be stored whose events were not.
            if let Some(turn) = cell.try_turn().filter(|turn| !turn.is_adrift()) {
                rows.push(Write::Host(turn.live().row.clone()));
            }
        }
        if let Err(error) = self.committer.commit(rows, |_| {}).wait().await {
            log::warn!("cannot store when hosts were last heard: {error}");
        }
        self.network.close().await;
        self.state.feed.close();
    }
}

/// Gives events their ids.
fn numbered(mut events: Vec<EventRow>, first: u64) -> Vec<EventRow> {
    for (event, id) in events.iter_mut().zip(first..) {
        event.id = id;
    }
    events
}
