//! Hosts that operators have removed: refused, kept for a while in case that was a mistake, then forgotten.

use super::host::Outcome;
use super::{By, Fleet, HostCell, Refusal};
use crate::api::types;
use crate::store::Write;
use muster_protocol::id::HostId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Removed hosts are kept so long, in milliseconds: thirty days.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Between looks for those that can be forgotten, in milliseconds. The first one is so long after the start, too: a
/// board without a battery may begin with a clock that is years off, which is set right by then.
const SWEEP_MS: u64 = 3_600_000;

impl Fleet {
    /// Removes a host. Its agent is told so when it next asks.
    pub async fn remove_host(&self, by: &By, host: &str) -> Result<types::Host, Refusal> {
        let registry = self.registry.lock_arc().await;
        let cell = self.find_host(host)?;
        let turn = self.turn(&cell).await?.with(registry);
        let mut outcome = Outcome::default();
        {
            let mut live = turn.live();
            live.remove(self.now(), &mut outcome);
            outcome.writes.push(by.audit("host.remove", &live.row.name, [("id", cell.id.to_string())]));
        }
        self.settle(turn, outcome).wait().await?;
        self.shut_out(&cell);
        self.network.remove(cell.id).await;
        Ok(cell.live().view())
    }

    /// Takes a removal back. The host has to be heard before it counts as there. If its name is taken meanwhile, it
    /// gets a number.
    pub async fn restore_host(&self, by: &By, host: &str) -> Result<types::Host, Refusal> {
        let registry = self.registry.lock_arc().await;
        let cell = self.find_removed(host)?;
        let (credential, name) = {
            let live = cell.live();
            (live.row.credential, live.row.name.clone())
        };
        if let Some(other) = self.by_credential(&credential).filter(|other| other.id != cell.id)
            && !other.live().is_removed()
        {
            let name = other.live().row.name.clone();
            let what = format!("its agent has joined again as {name:?}; remove that host first, or leave it as it is");
            return Err(Refusal::Conflict(what));
        }
        let name = self.free_name(&name);
        let turn = self.turn(&cell).await?.with(registry);
        let mut outcome = Outcome::default();
        {
            let mut live = turn.live();
            live.restore(name, self.now(), &mut outcome);
            outcome.writes.push(by.audit("host.restore", &live.row.name, [("id", cell.id.to_string())]));
        }
        self.settle(turn, outcome).wait().await?;
        Ok(cell.live().view())
    }

    /// A host that was removed, by id or name.
    fn find_removed(&self, host: &str) -> Result<Arc<HostCell>, Refusal> {
        if let Some(cell) = HostId::parse(host).and_then(|id| self.cell(id)).filter(|cell| cell.live().is_removed()) {
            return Ok(cell);
        }
        let mut named = self.state.cells();
        named.retain(|cell| {
            let live = cell.live();
            live.is_removed() && live.row.name == host
        });
        match named.len() {
            0 if self.find_host(host).is_ok() => Err(Refusal::Conflict(format!("the host {host:?} is not removed"))),
            0 => {
                let what = format!("no removed host has the name or id {host:?}; `muster hosts --all` lists them");
                Err(Refusal::NotFound(what))
            }
            1 => Ok(named.remove(0)),
            count => {
                let what = format!("{count} removed hosts had the name {host:?}; give one's id");
                Err(Refusal::Ambiguous(what, named.iter().map(|cell| cell.id.to_string()).collect()))
            }
        }
    }

    /// Forgets hosts that were removed long ago: from then on their agents are strangers.
    pub(super) async fn forget_removed(&self) {
        let now = self.now();
        let swept = self.swept_ms.load(Ordering::Relaxed);
        if now.monotonic_ms.saturating_sub(swept) < SWEEP_MS {
            return;
        }
        self.swept_ms.store(now.monotonic_ms, Ordering::Relaxed);
        for cell in self.state.cells() {
            let is_over = |cell: &HostCell| {
                let live = cell.live();
                live.is_removed() && now.wall_ms.saturating_sub(live.row.since_ms) >= KEPT_MS
            };
            if !is_over(&cell) {
                continue;
            }
            let registry = self.registry.lock_arc().await;
            let Ok(turn) = self.turn(&cell).await else { continue };
            if !is_over(&cell) {
                continue;
            }
            let state = self.state.clone();
            let settled = self.committer.commit(vec![Write::HostGone(cell.id)], move |stored| {
                let _registry = registry;
                if stored.is_ok() {
                    state.hosts_mut().remove(&turn);
                }
            });
            match settled.wait().await {
                Ok(()) => log::info!("host {} was removed long ago and is forgotten now", cell.id),
                Err(error) => log::debug!("host {} is not forgotten yet: {error}", cell.id),
            }
        }
    }
}
