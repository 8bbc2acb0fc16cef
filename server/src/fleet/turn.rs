//! One host in memory, and whose turn it is to change it.

use super::host::{Host, Now};
use super::lines::Lines;
use super::pace::Pace;
use crate::store::{Store, StoreError};
use muster_protocol::id::HostId;
use smol::lock::{Mutex as AsyncMutex, MutexGuardArc};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages of one host that are being read or wait for their turn. An agent has one out at a time; the others are
/// those of connections that the network has lost and the server still holds.
const PLACES: usize = 8;

/// One host.
#[derive(Debug)]
pub struct HostCell {
    /// Its key.
    pub id: HostId,
    /// How many messages it may send.
    pub pace: Pace,
    /// How much it may say of the managed network: apart, so that neither stalls the other.
    pub network_pace: Pace,
    /// Over which it reports. Whoever ends its credential cuts them.
    pub lines: Lines,
    turn: Arc<AsyncMutex<()>>,
    live: Mutex<Host>,
    /// SHA-256 of the credentials that it is found by.
    known_by: Mutex<Vec<[u8; 32]>>,
    /// Memory is ahead of the store, which could not be read to bring it back.
    adrift: AtomicBool,
    /// Places that are taken.
    places: AtomicUsize,
}

impl HostCell {
    pub(super) fn new(host: Host) -> HostCell {
        HostCell {
            id: host.id(),
            pace: Pace::default(),
            network_pace: Pace::default(),
            lines: Lines::default(),
            turn: Arc::default(),
            live: Mutex::new(host),
            known_by: Mutex::default(),
            adrift: AtomicBool::new(false),
            places: AtomicUsize::new(0),
        }
    }

    /// What is known of it. Never held while something is waited for.
    pub fn live(&self) -> MutexGuard<'_, Host> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn known_by(&self) -> MutexGuard<'_, Vec<[u8; 32]>> {
        self.known_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one message, from before its body is read: `None` if as many as allowed are on their way. So a
    /// flood of one host takes a bounded part of the memory, and its messages are not read.
    pub fn place(&self) -> Option<Place<'_>> {
        let taken = |places: usize| (places < PLACES).then_some(places + 1);
        self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken).is_ok().then(|| Place(self))
    }

    pub(super) async fn turn(self: &Arc<Self>) -> Turn {
        let guard = self.turn.lock_arc().await;
        Turn { cell: self.clone(), _guard: guard, _registry: None }
    }

    pub(super) fn try_turn(self: &Arc<Self>) -> Option<Turn> {
        let guard = self.turn.try_lock_arc()?;
        Some(Turn { cell: self.clone(), _guard: guard, _registry: None })
    }
}

/// See [`HostCell::place`].
#[derive(Debug)]
pub struct Place<'a>(&'a HostCell);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The right to change a host: held from the first change in memory until that is durable, so that what one host
/// says happens in order.
#[derive(Debug)]
pub struct Turn {
    cell: Arc<HostCell>,
    _guard: MutexGuardArc<()>,
    _registry: Option<MutexGuardArc<()>>,
}

impl Deref for Turn {
    type Target = HostCell;

    fn deref(&self) -> &HostCell {
        &self.cell
    }
}

impl Turn {
    /// Holds the registry of names, too.
    pub(super) fn with(self, registry: MutexGuardArc<()>) -> Turn {
        Turn { _registry: Some(registry), ..self }
    }

    /// Whose turn it is.
    pub fn cell(&self) -> &Arc<HostCell> {
        &self.cell
    }

    pub(super) fn is_adrift(&self) -> bool {
        self.cell.adrift.load(Ordering::Acquire)
    }

    /// Brings memory back to what is durable.
    pub(super) fn revert(&self, store: &dyn Store, now: Now) -> Result<(), StoreError> {
        // Until it is done.
        self.cell.adrift.store(true, Ordering::Release);
        let mut durable = store.load_host(self.cell.id)?;
        let row = durable.hosts.pop().ok_or_else(|| StoreError {
            message: format!("the store does not have the host {} any more", self.cell.id),
        })?;
        self.cell.live().revert(row, durable.streams.pop(), durable.containers, now);
        self.cell.adrift.store(false, Ordering::Release);
        Ok(())
    }
}
