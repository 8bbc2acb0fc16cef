//! The network while the server runs: what is known, who is there, and what changes.
//!
//! A change goes one way: a copy of the [basis](Basis) is changed, stored, and then takes the place of the one before; who
//! has a line is woken and makes its own plan anew. One change at a time. Nothing is told that is not durable, so that no
//! block is given twice, however the server ends. Only where a host is seen is told first: after a restart it is seen again.

mod relayed;

use super::basis::Basis;
use super::said::{Path, Said};
use super::secrets::Secrets;
use super::sightings::Sightings;
use super::stored;
use crate::relay::Relay;
use crate::store::committer::Committer;
use crate::store::{NetworkMemberRow, NetworkRow, StoreError, Write};
use async_channel::{Receiver, Sender};
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::network::NetworkProbe;
use smol::lock::MutexGuardArc;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Probes that wait for a host's line to take them.
const PROBES: usize = 16;

/// Lines that one host may cause in the log while the server runs.
const LOGGED: u32 = 200;

/// The managed network.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    turn: Arc<smol::lock::Mutex<()>>,
    committer: Committer,
    /// What hosts that have a line say of others.
    paths: Mutex<HashMap<HostId, BTreeMap<HostId, Path>>>,
    /// Who waits for what comes of a probe.
    waiting: Mutex<HashMap<(HostId, u32), Sender<u32>>>,
    probes: AtomicU32,
    /// How many lines each host has caused in the log.
    logged: Mutex<HashMap<HostId, u32>>,
    lines: AtomicU64,
    /// The server's relay while it listens.
    relay: Mutex<Option<Listening>>,
    /// What keeps it from listening.
    relay_trouble: Mutex<Option<String>>,
}

struct Listening(Arc<Relay>);

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.local_addr())
    }
}

/// What follows from a commit needs this.
#[derive(Debug)]
struct Shared {
    basis: Mutex<Arc<Basis>>,
    lines: Mutex<HashMap<HostId, OpenLine>>,
    /// For the server's own relay.
    changed: (Sender<()>, Receiver<()>),
    /// A commit failed, and nobody knows what the store has.
    is_adrift: AtomicBool,
    /// Where hosts are seen, as far as the store does not know it.
    sightings: Mutex<Sightings>,
}

#[derive(Debug)]
struct OpenLine {
    number: u64,
    changed: Sender<()>,
    probes: Sender<NetworkProbe>,
}

/// What a host's line has to wait for. When it is dropped, the host has no line any more.
#[derive(Debug)]
pub struct Attached<'a> {
    network: &'a Network,
    host: HostId,
    number: u64,
    /// The basis is another one.
    pub changed: Receiver<()>,
    /// What the host is to be asked.
    pub probes: Receiver<NetworkProbe>,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        let mut lines = locked(&self.network.shared.lines);
        if lines.get(&self.host).is_some_and(|line| line.number == self.number) {
            lines.remove(&self.host);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    /// The network as it was stored. `names` are those of all hosts that are neither removed nor shut out: others have
    /// lost their place.
    pub fn open(
        committer: Committer,
        secrets: Secrets,
        row: Option<NetworkRow>,
        members: Vec<NetworkMemberRow>,
        names: &HashMap<HostId, String>,
    ) -> Network {
        let stale = members.iter().any(|row| !names.contains_key(&row.host));
        let basis = stored::restored(secrets, row, members, names);
        Network {
            shared: Arc::new(Shared {
                basis: Mutex::new(Arc::new(basis)),
                lines: Mutex::default(),
                changed: async_channel::bounded(1),
                is_adrift: AtomicBool::new(stale),
                sightings: Mutex::default(),
            }),
            turn: Arc::default(),
            committer,
            paths: Mutex::default(),
            waiting: Mutex::default(),
            probes: AtomicU32::new(1),
            logged: Mutex::default(),
            lines: AtomicU64::new(1),
            relay: Mutex::default(),
            relay_trouble: Mutex::default(),
        }
    }

    /// What is known now.
    pub fn basis(&self) -> Arc<Basis> {
        self.shared.basis()
    }

    /// Changes what is known, and stores it together with `also`. What `make` refuses changes nothing.
    pub async fn change<T, E: From<StoreError>>(
        &self,
        make: impl FnOnce(&mut Basis) -> Result<(T, Vec<Write>), E>,
    ) -> Result<T, E> {
        let turn = self.turn.lock_arc().await;
        let before = self.basis();
        let mut after = (*before).clone();
        let (made, also) = make(&mut after)?;
        after.settle();
        let is_adrift = self.shared.is_adrift.load(Ordering::Acquire);
        let mut writes = if is_adrift { stored::all(&after) } else { stored::changes(&before, &after) };
        writes.extend(also);
        if writes.is_empty() {
            if !after.is(&before) {
                self.shared.publish(after);
            }
            return Ok(made);
        }
        self.store(turn, writes, move |shared| shared.publish(after)).await?;
        Ok(made)
    }

    /// Commits this, and if that succeeds does what follows. Nobody else changes anything meanwhile.
    async fn store(
        &self,
        turn: MutexGuardArc<()>,
        writes: Vec<Write>,
        then: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let seen = stored::seen(&writes);
        let settled = self.committer.commit(writes, move |stored| {
            let _turn = turn;
            shared.is_adrift.store(stored.is_err(), Ordering::Release);
            if stored.is_ok() {
                let mut sightings = locked(&shared.sightings);
                seen.into_iter().for_each(|(host, address)| sightings.stored(host, address));
                drop(sightings);
                then(&shared);
            }
        });
        settled.wait().await
    }

    /// A host was removed, or its credential has ended: it loses its place at once, whatever the store says. That of the
    /// host itself is stored already.
    pub async fn remove(&self, host: HostId) {
        let removed = self.change::<_, StoreError>(|basis| {
            basis.remove(host);
            Ok(((), Vec::new()))
        });
        if let Err(error) = removed.await {
            log::warn!("host {host}: that it has left the network is not stored yet: {error}");
            let _turn = self.turn.lock().await;
            let mut basis = (*self.basis()).clone();
            basis.remove(host);
            basis.settle();
            self.shared.publish(basis);
        }
        self.forget(host);
        locked(&self.logged).remove(&host);
    }

    /// What was said by a host, and of it, means nothing any more.
    pub(super) fn forget(&self, host: HostId) {
        let mut paths = locked(&self.paths);
        paths.remove(&host);
        for of_another in paths.values_mut() {
            of_another.remove(&host);
        }
    }

    /// A host is called otherwise.
    pub async fn rename(&self, host: HostId, name: &str) {
        let renamed = self.change::<_, StoreError>(|basis| {
            basis.rename(host, name);
            Ok(((), Vec::new()))
        });
        if let Err(error) = renamed.await {
            log::debug!("host {host}: others in the network do not know its new name yet: {error}");
        }
    }

    /// What a host says over its line. `name` is asked when it counts: it is `None` for one that has lost its right to
    /// speak while this waited.
    ///
    /// # Errors
    /// It could not be stored, or the host may not speak any more.
    pub async fn hear(
        &self,
        host: HostId,
        name: impl FnOnce() -> Option<String>,
        said: &Said,
    ) -> Result<(), StoreError> {
        if said.hello.is_some() || !said.told.is_empty() {
            let before = self.basis();
            let heard = |basis: &mut Basis| {
                let name = name().ok_or_else(|| StoreError { message: "the host has no place any more".into() })?;
                if let Some(hello) = &said.hello {
                    basis.hear(host, &name, hello);
                }
                basis.tell(host, &said.told);
                Ok::<_, StoreError>((name, Vec::new()))
            };
            let name = self.change(heard).await?;
            self.log(host, &name, &before, &self.basis());
        }
        let mut all = locked(&self.paths);
        let paths = all.entry(host).or_default();
        if said.hello.is_some() {
            paths.clear();
        }
        for (peer, path) in &said.paths {
            if paths.len() < limits::NETWORK_PEERS || paths.contains_key(peer) {
                paths.insert(*peer, *path);
            }
        }
        drop(all);
        for echo in &said.echoes {
            if let Some(waiting) = locked(&self.waiting).remove(&(host, echo.number)) {
                // Who has gone does not want it any more.
                let _ = waiting.try_send(echo.took_us);
            }
        }
        Ok(())
    }

    /// A host has told of all of its containers: others that are known of it are gone.
    ///
    /// # Errors
    /// It could not be stored.
    pub async fn keep(&self, host: HostId, containers: &BTreeSet<EngineId>) -> Result<(), StoreError> {
        self.change(|basis| {
            basis.keep(host, containers);
            Ok(((), Vec::new()))
        })
        .await
    }

    /// Says once what an operator should know.
    fn log(&self, host: HostId, name: &str, before: &Basis, after: &Basis) {
        let (was, is) = (before.place(host), after.place(host));
        let may_log = || {
            let mut logged = locked(&self.logged);
            let count = logged.entry(host).or_default();
            *count += 1;
            *count <= LOGGED
        };
        if after.enabled && was != is && may_log() {
            log::info!("host {host} ({name}): {}", super::why(is));
        }
        let Some(member) = after.member(host) else { return };
        let known: HashMap<EngineId, &str> = match before.member(host) {
            Some(before) => before.refusals().map(|(it, why)| (it.id, why)).collect(),
            None => HashMap::new(),
        };
        for (container, why) in member.refusals().filter(|(it, why)| known.get(&it.id) != Some(why)) {
            if may_log() {
                log::warn!("host {host} ({name}): {} cannot join the network: {why}", container.name);
            }
        }
    }

    /// Rings after each change. For the one that keeps the server's relay.
    pub fn changed(&self) -> &Receiver<()> {
        &self.shared.changed.1
    }

    /// A host has a line from now on: the only one that is told of changes.
    pub fn attach(&self, host: HostId) -> Attached<'_> {
        let number = self.lines.fetch_add(1, Ordering::Relaxed);
        let (ring, changed) = async_channel::bounded(1);
        let (ask, probes) = async_channel::bounded(PROBES);
        locked(&self.shared.lines).insert(host, OpenLine { number, changed: ring, probes: ask });
        Attached { network: self, host, number, changed, probes }
    }

    /// Whether a host has a line.
    pub fn is_connected(&self, host: HostId) -> bool {
        locked(&self.shared.lines).contains_key(&host)
    }

    /// How a host reaches others, as it has said last.
    pub fn paths(&self, host: HostId) -> BTreeMap<HostId, Path> {
        locked(&self.paths).get(&host).cloned().unwrap_or_default()
    }

    /// Asks a host to send an echo to another one through the tunnel. What this gives says how many microseconds that
    /// took, `u32::MAX` if nothing came back; and it is closed if the host has no line.
    pub fn probe(&self, from: HostId, to: HostId) -> Waiting<'_> {
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = async_channel::bounded(1);
        let key = (from, number);
        locked(&self.waiting).insert(key, tell);
        let lines = locked(&self.shared.lines);
        if lines.get(&from).is_none_or(|line| line.probes.try_send(NetworkProbe { number, host: to }).is_err()) {
            locked(&self.waiting).remove(&key);
        }
        Waiting { network: self, key, told }
    }
}

/// Somebody waits for an echo.
#[derive(Debug)]
pub struct Waiting<'a> {
    network: &'a Network,
    key: (HostId, u32),
    /// How long it took, in microseconds.
    pub told: Receiver<u32>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(&self.network.waiting).remove(&self.key);
    }
}

impl Shared {
    fn basis(&self) -> Arc<Basis> {
        locked(&self.basis).clone()
    }

    /// From now on this is what is known.
    fn publish(&self, basis: Basis) {
        *locked(&self.basis) = Arc::new(basis);
        // Who has been rung and has not looked yet will see this, too.
        for line in locked(&self.lines).values() {
            let _ = line.changed.try_send(());
        }
        let _ = self.changed.0.try_send(());
    }
}
