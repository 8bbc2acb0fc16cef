//! What of the fleet has changed since alerts last looked at it.

use muster_protocol::id::{EngineId, HostId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Containers and hosts that are remembered one by one; beyond them the whole fleet is looked at.
const MOST: usize = 20_000;

/// What has changed, noted by whoever changes it: that costs next to nothing.
#[derive(Debug)]
pub struct Touched {
    parts: Mutex<Parts>,
    wake: (async_channel::Sender<()>, async_channel::Receiver<()>),
}

/// Parts of the fleet to be looked at.
#[derive(Debug, Default)]
pub struct Parts {
    /// Everything.
    pub all: bool,
    /// Hosts with all of their containers.
    pub hosts: BTreeSet<HostId>,
    /// Containers of others.
    pub containers: BTreeMap<HostId, BTreeSet<EngineId>>,
    count: usize,
}

impl Parts {
    /// The hosts that something of is to be looked at; `None`: all.
    pub fn touched(&self) -> Option<BTreeSet<HostId>> {
        (!self.all).then(|| self.hosts.iter().chain(self.containers.keys()).copied().collect())
    }
}

impl Default for Touched {
    fn default() -> Touched {
        let parts = Mutex::new(Parts { all: true, ..Parts::default() });
        Touched { parts, wake: async_channel::bounded(1) }
    }
}

impl Touched {
    /// These containers of a host have changed, the host itself if `is_host`; or there are events of it. Most reports
    /// show nothing new, and cost nothing.
    pub fn note(&self, host: HostId, containers: &[EngineId], is_host: bool, has_events: bool) {
        if containers.is_empty() && !is_host && !has_events {
            return;
        }
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if !parts.all {
            if is_host {
                parts.count += usize::from(parts.hosts.insert(host));
            }
            if !containers.is_empty() {
                let of_host = parts.containers.entry(host).or_default();
                let before = of_host.len();
                of_host.extend(containers);
                let more = of_host.len() - before;
                parts.count += more;
            }
            if parts.count > MOST {
                *parts = Parts { all: true, ..Parts::default() };
            }
        }
        drop(parts);
        self.wake();
    }

    /// All is to be looked at again: the rules are others.
    pub fn note_all(&self) {
        *self.parts.lock().unwrap_or_else(PoisonError::into_inner) = Parts { all: true, ..Parts::default() };
        self.wake();
    }

    /// There is something to do.
    pub fn wake(&self) {
        // A full channel means that a wake-up already waits.
        let _ = self.wake.0.try_send(());
    }

    /// Waits until something has changed.
    pub async fn wait(&self) {
        let _ = self.wake.1.recv().await;
    }

    /// What has changed since the last call.
    pub fn take(&self) -> Parts {
        std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
