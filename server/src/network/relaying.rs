//! Keeps the server's relay as the network wants it: there while the network is enabled, for its hosts and nobody else.

use super::basis::Basis;
use super::plan::guests;
use crate::fleet::Fleet;
use crate::relay::{Guest, Relay};
use crate::store::StoreError;
use futures_lite::future;
use smol::Timer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Between two tries to listen on a port that another program has.
const RETRY: Duration = Duration::from_secs(15);

/// So long addresses that are seen are collected: when a router comes back, all behind it have new ones.
const COLLECT: Duration = Duration::from_millis(200);

/// What happens.
enum Event {
    /// The network is another one, or it is time to try again.
    Look,
    /// Guests are at new addresses.
    Seen,
    /// Where guests are is to be stored.
    Due,
}

/// Keeps it for as long as the server runs, which listens on `listens` by TCP: the relay has its number unless operators
/// have set another.
pub async fn keep(fleet: Arc<Fleet>, listens: SocketAddr) {
    let mut kept = Kept { listens, relay: None, failed: None, guests: Vec::new() };
    loop {
        kept.look(&fleet).await;
        match kept.next(&fleet).await {
            Event::Look => {}
            Event::Seen => kept.collect(&fleet).await,
            Event::Due => not_stored(fleet.network().store_sightings(fleet.now().monotonic_ms).await),
        }
    }
}

struct Kept {
    listens: SocketAddr,
    relay: Option<(u16, Arc<Relay>)>,
    /// The port that could not be listened on.
    failed: Option<u16>,
    guests: Vec<Guest>,
}

impl Kept {
    fn wanted(&self, basis: &Basis) -> Option<u16> {
        basis.enabled.then(|| basis.settings.relay_port.unwrap_or(self.listens.port()))
    }

    async fn look(&mut self, fleet: &Fleet) {
        let basis = fleet.network().basis();
        let wanted = self.wanted(&basis);
        if self.relay.as_ref().map(|(port, _)| *port) != wanted {
            fleet.network().set_relay(None, None).await;
            // Its thread ends at once.
            self.relay = None;
            self.guests.clear();
        }
        if let (None, Some(port)) = (&self.relay, wanted) {
            let address = SocketAddr::new(self.listens.ip(), port);
            match Relay::bind(address) {
                Ok(relay) => {
                    log::info!("the network's relay listens on UDP {address}");
                    let relay = Arc::new(relay);
                    self.relay = Some((port, relay.clone()));
                    self.failed = None;
                    self.admit(&basis);
                    fleet.network().set_relay(Some((port, relay)), None).await;
                }
                Err(error) => {
                    let what =
                        format!("cannot listen on UDP {address}: {error}; choose another port with --relay-port");
                    if self.failed.replace(port) != Some(port) {
                        log::warn!("the network has no relay: {what}");
                    }
                    fleet.network().set_relay(None, Some(what)).await;
                }
            }
        }
        self.admit(&basis);
    }

    /// Lets those in that have a place, and nobody else.
    fn admit(&mut self, basis: &Basis) {
        let Some((_, relay)) = &self.relay else { return };
        let guests: Vec<Guest> = guests(basis).into_iter().map(|(slot, secret)| Guest { slot, secret }).collect();
        if guests != self.guests {
            relay.set(guests.clone());
            self.guests = guests;
        }
    }

    async fn next(&self, fleet: &Fleet) -> Event {
        let changed = async {
            let _ = fleet.network().changed().recv().await;
            Event::Look
        };
        let retry = async {
            match self.failed {
                Some(_) if self.relay.is_none() => drop(Timer::after(RETRY).await),
                _ => future::pending().await,
            }
            Event::Look
        };
        let seen = async {
            let Some((_, relay)) = &self.relay else { return future::pending().await };
            match relay.moved().recv().await {
                Ok(()) => Event::Seen,
                // Its thread has ended, which it does not do by itself.
                Err(_) => future::pending().await,
            }
        };
        let due = async {
            let Some(due_ms) = fleet.network().sightings_due_ms() else { return future::pending().await };
            Timer::after(Duration::from_millis(due_ms.saturating_sub(fleet.now().monotonic_ms))).await;
            Event::Due
        };
        future::or(changed, future::or(retry, future::or(seen, due))).await
    }

    async fn collect(&self, fleet: &Fleet) {
        Timer::after(COLLECT).await;
        let Some((_, relay)) = &self.relay else { return };
        let seen: Vec<_> = relay.observed().into_iter().map(|(slot, address)| (slot, address.ip())).collect();
        not_stored(fleet.network().observe(&seen, fleet.now().monotonic_ms).await);
    }
}

fn not_stored(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        log::debug!("where hosts of the network are seen is not stored: {error}");
    }
}
