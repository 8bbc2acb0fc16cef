//! How many containers a host has.

use super::Host;
use crate::api::types;
use muster_protocol::container::{Health, State, Summary};
use muster_protocol::id::EngineId;
use muster_protocol::mirror::Held;

impl Host {
    /// How many containers it has.
    pub fn counts(&self) -> &types::ContainerCounts {
        &self.counts
    }

    /// How many of them are in which state.
    pub fn tally(&self) -> &types::FleetContainers {
        &self.tally
    }

    /// Whether it has a container.
    pub(super) fn has(&self, id: &EngineId) -> bool {
        self.mirror.get(id).is_some_and(Held::exists)
    }

    /// Looks through its containers anew.
    pub(super) fn count(&mut self) {
        let existing = self.mirror.held().filter(|(_, held)| held.exists());
        self.vitals.know(existing.map(|(id, _)| *id));
        let (mut counts, mut tally) = (types::ContainerCounts::default(), types::FleetContainers::default());
        for (_, held) in self.mirror.held().filter(|(_, held)| held.exists()) {
            let Some(container) = Summary::of(&held.body) else { continue };
            let state = State::from_number(container.state);
            tally.total += 1;
            match state {
                State::Created => tally.created += 1,
                State::Running => tally.running += 1,
                State::Paused => tally.paused += 1,
                State::Restarting => tally.restarting += 1,
                State::Exited => tally.exited += 1,
                State::Dead => tally.dead += 1,
                _ => {}
            }
            tally.unhealthy += u64::from(state.is_up() && Health::from_number(container.health) == Health::Unhealthy);
            if !has_started(&container) {
                counts.created += 1;
                continue;
            }
            counts.total += 1;
            if state.is_up() {
                counts.running += 1;
                counts.paused += u32::from(state == State::Paused);
                counts.restarting += u32::from(state == State::Restarting);
            } else {
                counts.stopped += 1;
            }
        }
        self.counts = counts;
        self.tally = tally;
    }
}

/// A container appears once it was started: one that was only created is nobody's yet.
fn has_started(container: &Summary<'_>) -> bool {
    container.started_ms.is_some() || State::from_number(container.state) != State::Created
}
