//! The fleet as alerts see it.

use super::host::{Host, Now};
use super::liveness::HostState;
use super::{Fleet, State};
use crate::alerts::looks::{Container, ContainerLook, HostLook, Presence, VitalsLook, World};
use crate::alerts::{Alerts, Board, Parts, Recall, Rules};
use crate::store::{EventRow, Keep, Span, StoreError};
use muster_protocol::container::{self, Health, State as ContainerState, Summary};
use muster_protocol::id::{EngineId, HostId};

impl Fleet {
    /// Alerts.
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// The fleet as it is now.
    pub(crate) fn as_seen(&self) -> impl World {
        Seen(&self.state)
    }

    /// Events behind the one with the id `after`, oldest first.
    pub(crate) async fn read_events(&self, after: u64, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        let history = self.history.clone();
        smol::unblock(move || history.0.events(after, Span::default(), limit, &mut |_| Keep::Yes)).await
    }

    /// Takes the events up to the one with the id `newest` from there back, until that wants no more.
    pub(crate) async fn recall_events(&self, newest: u64, mut recall: Recall) -> Result<Recall, StoreError> {
        let history = self.history.clone();
        let read = move || {
            let mut keep = |row: &EventRow| if recall.take(row) { Keep::No } else { Keep::Stop };
            history.0.events_before(newest.saturating_add(1), Span::default(), &mut keep)?;
            Ok(recall)
        };
        smol::unblock(read).await
    }

    /// Looks at what has changed of the fleet; at all of it with `all`.
    pub(crate) fn look_for_alerts(&self, board: &mut Board, rules: &Rules, parts: &Parts, all: bool, now: Now) {
        let cells = match parts.touched().filter(|_| !all) {
            None => self.state.cells(),
            Some(hosts) => hosts.into_iter().filter_map(|id| self.state.cell(id)).collect(),
        };
        for cell in cells {
            let is_touched = parts.all || parts.hosts.contains(&cell.id);
            let containers = parts.containers.get(&cell.id);
            if !(is_touched || all || containers.is_some()) {
                continue;
            }
            let host = cell.live();
            if host.is_removed() {
                continue;
            }
            let look = host.look();
            if is_touched || all {
                board.look_at_host(cell.id, &look, rules, now);
            }
            if host.is_stale() {
                continue;
            }
            let failing: Vec<EngineId> = match containers {
                _ if is_touched => host.existing().collect(),
                Some(some) => some.iter().copied().collect(),
                None => Vec::new(),
            };
            for id in failing {
                if !host.is_unhealthy(&id) {
                    continue;
                }
                if let ContainerLook::There(it) = host.look_at(&id) {
                    board.look_at_container((cell.id, &look), &id, &it, rules, now);
                }
            }
        }
    }
}

struct Seen<'a>(&'a State);

impl World for Seen<'_> {
    fn host(&self, id: HostId) -> Option<HostLook> {
        let cell = self.0.cell(id)?;
        let host = cell.live();
        (!host.is_removed()).then(|| host.look())
    }

    fn container(&self, host: HostId, id: &EngineId) -> ContainerLook {
        match self.0.cell(host) {
            Some(cell) => cell.live().look_at(id),
            None => ContainerLook::Gone,
        }
    }
}

impl Host {
    fn look(&self) -> HostLook {
        let vitals = self.fresh_vitals();
        HostLook {
            name: self.row.name.clone(),
            labels: self.row.labels.clone(),
            presence: match self.liveness.state() {
                HostState::Active => Presence::There,
                HostState::Reconnecting => Presence::Silent,
                // One that has just joined.
                HostState::Disconnected if self.row.last_seen_ms.is_none() => Presence::Silent,
                HostState::Disconnected | HostState::Removed => Presence::Away,
            },
            since_ms: self.row.since_ms,
            last_seen_ms: self.row.last_seen_ms,
            conflict: self.row.conflict,
            imported: self.import,
            ahead_ms: vitals.map_or(0, |vitals| vitals.offset_ms()),
            vitals: vitals.and_then(|vitals| vitals.host()).map(|vitals| VitalsLook {
                disks: vitals.disks.into_iter().filter_map(|disk| Some((disk.path, disk.used_percent?))).collect(),
                temperature: vitals.temperature,
                undervoltage: vitals.power.map(|power| power.under_voltage),
            }),
        }
    }

    fn is_unhealthy(&self, id: &EngineId) -> bool {
        let summary = self.mirror.get(id).filter(|held| held.exists()).and_then(|held| Summary::of(&held.body));
        summary.is_some_and(|it| it.health == Health::Unhealthy as u8)
    }

    fn look_at(&self, id: &EngineId) -> ContainerLook {
        if self.is_stale() {
            return ContainerLook::Unknown;
        }
        let held = self.mirror.get(id).filter(|held| held.exists());
        let Some(held) = held else { return ContainerLook::Gone };
        let Ok(it) = postcard::from_bytes::<container::Container<'_>>(&held.body) else {
            return ContainerLook::Unknown;
        };
        let state = ContainerState::from_number(it.state);
        ContainerLook::There(Container {
            name: it.name.into(),
            labels: it.labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            runs: matches!(state, ContainerState::Running | ContainerState::Paused),
            restarts: state == ContainerState::Restarting,
            exit_code: it.exit_code,
            unhealthy: it.health == Health::Unhealthy as u8,
        })
    }
}
