//! The history of vitals: each minute that is over, and what is asked of it.

use super::view::{cpu_percent, host_point, memory_percent};
use crate::api::types;
use crate::fleet::{Fleet, HostCell, Refusal, locked};
use crate::time::format_ms;
use crate::vitals::{History, MINUTE_MS, Row};
use muster_protocol::id::EngineId;
use std::sync::Arc;
use std::time::Duration;

/// Hosts that can be watched at a time; one more, and the one that was asked for longest ago is watched no more. A
/// megabyte each.
const WATCHED: usize = if cfg!(test) { 3 } else { 32 };

/// A minute is not begun anew for less than this, in milliseconds.
const LEAST_MINUTE_MS: i64 = 5_000;

/// Which part of the past of a host or container is wanted, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VitalsSpan {
    /// Not before this, since 1970 by the server's clock.
    pub since_ms: i64,
    /// Before this.
    pub until_ms: i64,
    /// What one point covers: a minute at least of a host, a second of a container.
    pub step_ms: i64,
}

impl Fleet {
    /// The same fleet with a history of its hosts' vitals.
    pub fn with_vitals(mut self, history: History) -> Fleet {
        self.vitals = Arc::new(history);
        self
    }

    /// The history of hosts' vitals.
    pub fn vitals_history(&self) -> &History {
        &self.vitals
    }

    /// How long this minute still lasts.
    pub fn rest_of_minute(&self) -> Duration {
        let left = MINUTE_MS - self.now().wall_ms.rem_euclid(MINUTE_MS);
        let left = if left < LEAST_MINUTE_MS { left + MINUTE_MS } else { left };
        Duration::from_millis(left.unsigned_abs())
    }

    /// A minute is over: what hosts were like in it is kept. What cannot be kept is lost, and nothing else happens.
    pub async fn end_minute(&self) {
        if !self.vitals.is_on() {
            return;
        }
        let now = self.now();
        let mut rows = Vec::new();
        for cell in self.state.cells() {
            let mut live = cell.live();
            if !live.is_removed() {
                rows.extend(Row::of(cell.id, &live.end_minute(now)));
            }
        }
        // The clock is a little after the end of the minute, or anywhere if it was set.
        let at_ms = now.wall_ms.saturating_sub(MINUTE_MS / 2).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        let history = self.vitals.clone();
        smol::unblock(move || history.record(at_ms, &rows)).await;
    }

    /// Lets go of what is kept of containers of hosts that were asked for longest ago, and keeps this one's.
    pub(super) fn watch(&self, cell: &HostCell) {
        let mut watched = locked(&self.watched);
        watched.retain(|id| *id != cell.id);
        watched.push_back(cell.id);
        let over = if watched.len() > WATCHED { watched.pop_front() } else { None };
        if let Some(cell) = over.and_then(|id| self.cell(id)) {
            cell.live().unwatch();
        }
        cell.live().watch(self.now());
    }

    /// How a host was.
    pub async fn host_history(&self, host: &str, span: VitalsSpan) -> Result<types::HostHistory, Refusal> {
        let cell = self.find_host(host)?;
        self.watch(&cell);
        let step_ms = span.step_ms.max(MINUTE_MS);
        let place = self.scans.acquire_arc().await;
        let (history, id) = (self.vitals.clone(), cell.id);
        let steps = smol::unblock(move || {
            let _place = place;
            history.read(id, span.since_ms, span.until_ms, step_ms)
        })
        .await;
        let items = steps.iter().map(|(at_ms, sums)| host_point(*at_ms, sums)).collect();
        Ok(types::HostHistory { host_id: cell.id.to_string(), step: step_ms.unsigned_abs() / 1000, items })
    }

    /// How hosts were lately, in `points` numbers each: up to the last whole step before now. Nobody begins to watch them
    /// by that. Hosts that are not there are left out.
    pub async fn sparklines(&self, hosts: &[String], last_ms: i64, points: i64) -> types::Sparklines {
        let points = points.max(1);
        let step_ms = (last_ms / points).max(MINUTE_MS).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        let end_ms = self.now().wall_ms.div_euclid(step_ms).saturating_mul(step_ms);
        let since_ms = end_ms.saturating_sub(step_ms.saturating_mul(points));
        let mut ids = Vec::new();
        for host in hosts {
            let id = self.find_host(host).map(|cell| cell.id);
            ids.extend(id.ok().filter(|id| !ids.contains(id)));
        }
        let place = self.scans.acquire_arc().await;
        let history = self.vitals.clone();
        let read = move || {
            let _place = place;
            let all = history.read_all(&ids, since_ms, end_ms, step_ms);
            (ids, all)
        };
        let (ids, all) = smol::unblock(read).await;
        let items = ids.iter().map(|id| {
            let steps = all.get(id);
            let at = |number: i64| steps?.get(&(since_ms + number * step_ms));
            types::Sparkline {
                host_id: id.to_string(),
                step_s: step_ms.unsigned_abs() / 1000,
                end: format_ms(end_ms),
                cpu: (0..points).map(|number| at(number).and_then(cpu_percent)).collect(),
                memory: (0..points).map(|number| at(number).and_then(memory_percent)).collect(),
            }
        });
        types::Sparklines { items: items.collect() }
    }

    /// How a container was since its host is watched: from the first time that somebody asks on.
    pub fn container_history(
        &self,
        host: &str,
        container: &str,
        span: VitalsSpan,
    ) -> Result<types::ContainerHistory, Refusal> {
        let found = self.container(host, container)?;
        let cell = self.find_host(&found.host_id)?;
        self.watch(&cell);
        let step_ms = span.step_ms.max(1000);
        let points = EngineId::parse(&found.id)
            .and_then(|id| cell.live().container_points(&id, (span.since_ms, span.until_ms), step_ms));
        let (begins, items) = points.unwrap_or_default();
        let step = step_ms.unsigned_abs() / 1000;
        Ok(types::ContainerHistory { host_id: found.host_id, id: found.id, step, begins, items })
    }
}
