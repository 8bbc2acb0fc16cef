//! What operators set of hosts: their names, how often they report, and how often they look at vitals.

use super::host::{Host, Outcome};
use super::wishes::PACE_TIMES;
use super::{By, Fleet, Refusal};
use crate::api::types;
use crate::store::Write;
use std::ops::RangeInclusive;

/// Intervals that can be set from here, in milliseconds: a second, as agents allow, to an hour. What is set is heard
/// with a host's next report, so that a longer one could hardly be taken back.
pub const INTERVALS_MS: RangeInclusive<u32> = 1000..=3_600_000;

/// In the place of an interval of vitals: never.
pub const NO_VITALS: u32 = u32::MAX;

/// What is to become of a host. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostChange {
    /// Its name.
    pub name: Option<String>,
    /// How often it does something.
    pub rhythm: Rhythm,
}

/// How often a host's agent is to do something. What is `None` stays as it is; within, `None`: as it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rhythm {
    /// Milliseconds between its reports, among [`INTERVALS_MS`].
    pub interval_ms: Option<Option<u32>>,
    /// Milliseconds between looks at its vitals, among [`INTERVALS_MS`], or [`NO_VITALS`].
    pub vitals_ms: Option<Option<u32>>,
}

impl Rhythm {
    /// In words, for the audit log.
    fn details(&self) -> Vec<(&'static str, String)> {
        let interval = self.interval_ms.map(|ms| ("interval", word(ms)));
        let vitals = self.vitals_ms.map(|ms| ("vitals_interval", word(ms)));
        interval.into_iter().chain(vitals).collect()
    }
}

/// An interval of vitals in seconds, as the API has it; 0: never.
pub(super) fn pace_seconds(vitals_ms: u32) -> f64 {
    if vitals_ms == NO_VITALS { 0.0 } else { f64::from(vitals_ms) / 1000.0 }
}

fn word(interval_ms: Option<u32>) -> String {
    match interval_ms {
        None => "default".into(),
        Some(NO_VITALS) => "off".into(),
        Some(ms) => format!("{}s", f64::from(ms) / 1000.0),
    }
}

impl Host {
    /// Sets how often it is to report and to look at vitals. Whether that is a change.
    fn set_rhythm(&mut self, rhythm: Rhythm, outcome: &mut Outcome) -> bool {
        let orders = &mut self.row.orders;
        let (interval_ms, vitals_ms) =
            (rhythm.interval_ms.unwrap_or(orders.interval_ms), rhythm.vitals_ms.unwrap_or(orders.vitals_ms));
        if (interval_ms, vitals_ms) == (orders.interval_ms, orders.vitals_ms) {
            return false;
        }
        self.settings_due |= interval_ms != orders.interval_ms;
        if vitals_ms != orders.vitals_ms {
            self.pace_due = PACE_TIMES;
        }
        (orders.interval_ms, orders.vitals_ms) = (interval_ms, vitals_ms);
        outcome.writes.push(Write::Host(self.row.clone()));
        outcome.host = true;
        true
    }
}

impl Fleet {
    /// Changes a host.
    pub async fn change_host(&self, by: &By, host: &str, change: HostChange) -> Result<types::Host, Refusal> {
        let registry = self.registry.lock_arc().await;
        let cell = self.find_host(host)?;
        if let Some(name) = &change.name
            && self.find_host(name).is_ok_and(|other| other.id != cell.id)
        {
            let what = format!("another host has the name {name:?} already; choose a different one");
            return Err(Refusal::Conflict(what));
        }
        let turn = self.turn(&cell).await?.with(registry);
        let mut outcome = Outcome::default();
        {
            let mut live = turn.live();
            if let Some(name) = change.name.filter(|name| *name != live.row.name) {
                let old = std::mem::replace(&mut live.row.name, name.clone());
                let names = [("from", old.clone()), ("to", name)];
                live.note("host_renamed", names.clone(), self.now(), &mut outcome);
                outcome.writes.push(by.audit("host.rename", old, names));
                // Containers carry their host's name.
                outcome.containers.extend(live.existing());
            }
            if live.set_rhythm(change.rhythm, &mut outcome) {
                outcome.writes.push(by.audit("host.set", &live.row.name, change.rhythm.details()));
            }
        }
        self.settle(turn, outcome).wait().await?;
        let name = cell.live().row.name.clone();
        self.network.rename(cell.id, &name).await;
        Ok(cell.live().view())
    }

    /// Sets how often those hosts report and look at vitals that have all of these labels now; hosts that join later are
    /// not among them. Answers them by name, those too for whom nothing changed.
    pub async fn set_rhythm_of(
        &self,
        by: &By,
        labels: &[(String, String)],
        rhythm: Rhythm,
    ) -> Result<Vec<types::Host>, Refusal> {
        let mut meant = self.state.cells();
        meant.retain(|cell| {
            let live = cell.live();
            !live.is_removed() && labels.iter().all(|(key, value)| live.row.labels.get(key) == Some(value))
        });
        let target: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let target = target.join(",");
        if meant.is_empty() {
            return Err(Refusal::NotFound(format!("no host has the label {target}")));
        }
        // One row tells of all of them: ten thousand would push out everything else.
        let mut details = rhythm.details();
        details.push(("hosts", meant.len().to_string()));
        let mut audit = Some(by.audit("host.set", format!("label {target}"), details));
        let mut settling = Vec::new();
        for cell in &meant {
            let turn = self.turn(cell).await?;
            let mut outcome = Outcome::default();
            if !turn.live().is_removed() && turn.live().set_rhythm(rhythm, &mut outcome) {
                outcome.writes.extend(audit.take());
            }
            settling.push(self.settle(turn, outcome));
        }
        for settled in settling {
            settled.wait().await?;
        }
        let mut hosts: Vec<types::Host> = meant.iter().map(|cell| cell.live().view()).collect();
        hosts.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(hosts)
    }
}
