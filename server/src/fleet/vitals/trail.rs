//! What the containers of a host did lately: kept in memory for hosts that somebody watches.

use crate::api::types;
use crate::fleet::host::{Host, Now};
use crate::time::format_ms;
use muster_protocol::id::EngineId;
use muster_protocol::mirror::vitals::ContainerNow;
use std::collections::{BTreeMap, VecDeque};

/// Points of all containers of a host: about 1 MiB. Ten containers have an hour and a half at 15 seconds.
const POINTS: usize = if cfg!(test) { 64 } else { 12_288 };

/// Points of one container: three hours at 15 seconds.
const POINTS_OF_ONE: usize = 720;

/// So long after somebody last asked nobody watches any more, in milliseconds.
const WATCHED_MS: u64 = 15 * 60_000;

/// What was heard of the containers of one host since somebody watches.
#[derive(Debug)]
pub(super) struct Trail {
    /// When it began, by the server's clock.
    begins_ms: i64,
    /// When somebody last asked, by the monotonic clock.
    asked_ms: u64,
    containers: BTreeMap<EngineId, VecDeque<Point>>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at_ms: i64,
    now: Kept,
}

/// Of [`ContainerNow`], with its units.
#[derive(Debug, Clone, Copy)]
struct Kept {
    cpu: Option<u32>,
    memory: Option<u64>,
    received: Option<u64>,
    sent: Option<u64>,
    read: Option<u64>,
    written: Option<u64>,
    pids: Option<u32>,
}

impl Trail {
    fn new(now: Now) -> Trail {
        Trail { begins_ms: now.wall_ms, asked_ms: now.monotonic_ms, containers: BTreeMap::new() }
    }

    fn add(&mut self, now: Now, containers: impl Iterator<Item = (EngineId, ContainerNow)>) {
        let small = |value: Option<u64>| value.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
        for (id, it) in containers {
            let kept = Kept {
                cpu: small(it.cpu),
                memory: it.memory,
                received: it.received,
                sent: it.sent,
                read: it.read,
                written: it.written,
                pids: small(it.pids),
            };
            self.containers.entry(id).or_default().push_back(Point { at_ms: now.wall_ms, now: kept });
        }
        let most = (POINTS / self.containers.len().max(1)).clamp(1, POINTS_OF_ONE);
        for points in self.containers.values_mut() {
            points.drain(..points.len().saturating_sub(most));
        }
    }
}

impl Host {
    /// Somebody watches from now on, for a while.
    pub(super) fn watch(&mut self, now: Now) {
        match &mut self.vitals.trail {
            Some(trail) => trail.asked_ms = now.monotonic_ms,
            None => {
                self.vitals.trail = Some(Box::new(Trail::new(now)));
                self.extend_trail(now);
            }
        }
    }

    /// Nobody watches.
    pub(super) fn unwatch(&mut self) {
        self.vitals.trail = None;
    }

    /// Adds what its containers do now, if somebody watches.
    pub(super) fn extend_trail(&mut self, now: Now) {
        let Some(mut trail) = self.vitals.trail.take() else { return };
        if now.monotonic_ms.saturating_sub(trail.asked_ms) > WATCHED_MS {
            return;
        }
        // Those that are gone.
        trail.containers.retain(|id, _| self.mirror.get(id).is_some_and(|held| held.exists()));
        trail.add(now, self.running().filter_map(|(id, _)| Some((id, self.vitals.now(&id)?))));
        self.vitals.trail = Some(trail);
    }

    /// What a container did from `since_ms` to before `until_ms`, in steps of `step_ms`, and when that begins; `None` if
    /// nobody watches.
    pub(super) fn container_points(
        &self,
        id: &EngineId,
        (since_ms, until_ms): (i64, i64),
        step_ms: i64,
    ) -> Option<(String, Vec<types::ContainerPoint>)> {
        let trail = self.vitals.trail.as_ref()?;
        let mut steps: BTreeMap<i64, Vec<&Kept>> = BTreeMap::new();
        let points = trail.containers.get(id).into_iter().flatten();
        for point in points.filter(|point| (since_ms..until_ms).contains(&point.at_ms)) {
            let at_ms = point.at_ms.div_euclid(step_ms).saturating_mul(step_ms);
            steps.entry(at_ms).or_default().push(&point.now);
        }
        Some((format_ms(trail.begins_ms), steps.into_iter().map(|(at_ms, kept)| step(at_ms, &kept)).collect()))
    }
}

fn step(at_ms: i64, kept: &[&Kept]) -> types::ContainerPoint {
    let last =
        |get: fn(&Kept) -> Option<u64>| kept.iter().rev().find_map(|it| get(it)).map(|kib| kib.saturating_mul(1024));
    let cpus: Vec<f64> = kept.iter().filter_map(|it| it.cpu).map(|thousandths| f64::from(thousandths) / 10.0).collect();
    let mean = (!cpus.is_empty()).then(|| cpus.iter().sum::<f64>() / cpus.len() as f64);
    types::ContainerPoint {
        time: format_ms(at_ms),
        cpu_percent: mean.map(|mean| (mean * 100.0).round() / 100.0),
        memory: kept.iter().filter_map(|it| it.memory).max().map(|kib| kib.saturating_mul(1024)),
        received: last(|it| it.received),
        sent: last(|it| it.sent),
        read: last(|it| it.read),
        written: last(|it| it.written),
        pids: kept.iter().filter_map(|it| it.pids).max().map(u64::from),
    }
}
