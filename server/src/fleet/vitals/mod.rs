//! How a host and its containers do: the newest word and what is made of it. In memory alone: nothing of it is stored
//! with the host, and no commit waits for it.

mod past;
mod top;
mod trail;
mod view;

pub use past::VitalsSpan;

use super::host::{Host, Now};
use crate::vitals::{Field, Sums};
use muster_protocol::container::{State, Summary};
use muster_protocol::id::EngineId;
use muster_protocol::mirror::vitals::{DiskNow, Picture, Prefix, Said, prefix};
use trail::Trail;

/// A host that is active and says nothing has not changed; but not for longer than this, in milliseconds. Those whose
/// interval is longer have minutes of which nothing is known.
const UNCHANGED_MS: u64 = 10 * 60_000;

/// The newest vitals of one host.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    picture: Picture,
    /// When the newest came.
    heard: Option<Now>,
    /// By how much the host's clock was ahead then, in milliseconds.
    offset_ms: i64,
    /// What was heard in this minute.
    minute: Sums,
    /// What its containers did lately, if somebody watches.
    trail: Option<Box<Trail>>,
    /// What several of its containers' ids begin with: what is said of these means none of them.
    ambiguous: Vec<Prefix>,
}

impl Vitals {
    /// Of two containers whose ids begin alike, which one is meant cannot be known. `ids` are sorted.
    pub(super) fn know(&mut self, ids: impl Iterator<Item = EngineId>) {
        self.ambiguous.clear();
        let mut last = None;
        for prefix in ids.map(|id| prefix(&id)) {
            if last == Some(prefix) && self.ambiguous.last() != Some(&prefix) {
                self.ambiguous.push(prefix);
            }
            last = Some(prefix);
        }
    }

    /// Containers are gone.
    pub(super) fn forget(&mut self, gone: &[EngineId]) {
        let gone: Vec<Prefix> = gone.iter().map(prefix).filter(|prefix| !self.ambiguous.contains(prefix)).collect();
        if !gone.is_empty() {
            self.picture.retain(|kept| !gone.contains(kept));
        }
    }

    /// What this moment is like, for the history.
    fn sample(&mut self) {
        let host = self.picture.host();
        let mut add = |field, value: Option<i64>| {
            if let Some(value) = value {
                self.minute.add(field, value);
            }
        };
        let whole = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
        // Thousandths of one processor, to hundredths of a percent of all.
        let cpu = host.cpu.zip(host.cpus.filter(|cpus| *cpus > 0)).map(|(cpu, cpus)| (cpu * 10 / cpus).min(10_000));
        add(Field::Cpu, whole(cpu));
        add(Field::CpuMax, whole(cpu));
        add(Field::Load, whole(host.load));
        let used = host.memory_total.zip(host.memory_available).map(|(total, free)| total.saturating_sub(free));
        add(Field::MemoryTotal, whole(host.memory_total.map(|kib| kib / 1024)));
        add(Field::MemoryUsed, whole(used.map(|kib| kib / 1024)));
        add(Field::SwapUsed, whole(host.swap_used.map(|kib| kib / 1024)));
        add(Field::Temperature, host.temperature);
        add(Field::Power, whole(host.power));
        add(Field::ClockOffset, Some(self.offset_ms));
        let fullest = self.picture.disks().filter_map(|(_, disk)| used_of(&disk)).max();
        add(Field::DiskUsed, whole(fullest));
    }
}

/// How full a file system is, in hundredths of a percent.
fn used_of(disk: &DiskNow) -> Option<u64> {
    let (total, free) = disk.total.zip(disk.free).filter(|(total, _)| *total > 0)?;
    Some((u128::from(total.saturating_sub(free)) * 10_000 / u128::from(total)) as u64)
}

impl Host {
    /// Takes what a message says of vitals, once the mirror has taken it.
    pub fn hear_vitals(&mut self, said: &Said<'_>, now: Now) {
        let vitals = &mut self.vitals;
        if !vitals.picture.receive(said) {
            return;
        }
        vitals.heard = Some(now);
        vitals.offset_ms = said.wall_ms().saturating_sub(now.wall_ms);
        vitals.sample();
        self.extend_trail(now);
    }

    /// What it was like in the minute that is over; the next one begins.
    fn end_minute(&mut self, now: Now) -> Sums {
        let lately = |heard: &Now| now.monotonic_ms.saturating_sub(heard.monotonic_ms) <= UNCHANGED_MS;
        if self.vitals.minute.is_empty() && self.is_active() && self.vitals.heard.as_ref().is_some_and(lately) {
            self.vitals.sample();
        }
        std::mem::take(&mut self.vitals.minute)
    }

    /// Its containers that run.
    fn running(&self) -> impl Iterator<Item = (EngineId, Summary<'_>)> {
        let existing = self.mirror.held().filter(|(_, held)| held.exists());
        existing.filter_map(|(id, held)| {
            let container = Summary::of(&held.body)?;
            State::from_number(container.state).is_up().then_some((*id, container))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
