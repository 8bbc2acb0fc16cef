//! What the network has of the server's relay: whether it listens, and where it sees hosts.

use super::{Listening, Network, locked, stored};
use crate::relay::{Counters, Relay};
use crate::store::StoreError;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Network {
    /// The relay sees hosts' packets come from elsewhere than before. All are told at once; it is stored when it is
    /// due, at `now_ms` of the monotonic clock or later.
    ///
    /// # Errors
    /// It could not be stored.
    pub async fn observe(&self, seen: &[(u32, IpAddr)], now_ms: u64) -> Result<(), StoreError> {
        let turn = self.turn.lock().await;
        let before = self.basis();
        let mut after = (*before).clone();
        seen.iter().for_each(|(slot, address)| after.observe(*slot, address.to_canonical()));
        let mut has_moved = false;
        for (old, new) in before.members().zip(after.members()).filter(|(old, new)| old.observed != new.observed) {
            locked(&self.shared.sightings).moved(new.host, old.observed);
            has_moved = true;
        }
        if has_moved {
            self.shared.publish(after);
        }
        drop(turn);
        self.store_sightings(now_ms).await
    }

    /// Stores what is not stored yet. To be called at the end.
    pub async fn close(&self) {
        if let Err(error) = self.store_sightings(u64::MAX).await {
            log::warn!("cannot store where hosts of the network were last seen: {error}");
        }
    }

    /// Stores where hosts are seen, as far as it is due at `now_ms` of the monotonic clock; `u64::MAX`: all.
    ///
    /// # Errors
    /// It could not be stored. It is due again later.
    pub async fn store_sightings(&self, now_ms: u64) -> Result<(), StoreError> {
        let turn = self.turn.lock_arc().await;
        let basis = self.basis();
        let seen = |host| basis.member(host).map(|member| member.observed);
        let due = locked(&self.shared.sightings).due(now_ms, seen);
        if due.is_empty() {
            return Ok(());
        }
        let writes = match self.shared.is_adrift.load(Ordering::Acquire) {
            true => stored::all(&basis),
            false => stored::some(&basis, &due),
        };
        self.store(turn, writes, |_| {}).await
    }

    /// When [`store_sightings`](Network::store_sightings) has something to do again, in milliseconds of the monotonic clock.
    pub fn sightings_due_ms(&self) -> Option<u64> {
        locked(&self.shared.sightings).next_ms()
    }

    /// The server's relay listens on this port, or on none; and if it should, why not.
    pub async fn set_relay(&self, listens: Option<(u16, Arc<Relay>)>, trouble: Option<String>) {
        let (port, relay) = listens.unzip();
        *locked(&self.relay_trouble) = trouble;
        // Where the last one lets go of it, its thread is waited for.
        drop(std::mem::replace(&mut *locked(&self.relay), relay.map(Listening)));
        if self.basis().relay == port {
            return;
        }
        // Nothing of it is stored.
        let _turn = self.turn.lock().await;
        let mut basis = (*self.basis()).clone();
        basis.relay = port;
        self.shared.publish(basis);
    }

    /// What keeps the server's relay from listening.
    pub fn relay_trouble(&self) -> Option<String> {
        locked(&self.relay_trouble).clone()
    }

    /// What the server's relay has done since it listens; `None` while it does not.
    pub fn relayed(&self) -> Option<Counters> {
        locked(&self.relay).as_ref().map(|relay| relay.0.counters())
    }
}
