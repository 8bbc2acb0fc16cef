//! What operators set of hosts: their names, and how often they report.

use super::host::{Host, Outcome};
use super::{By, Fleet, Refusal};
use crate::api::types;
use crate::store::Write;
use std::ops::RangeInclusive;

/// Intervals that can be set from here, in milliseconds: a second, as agents allow, to an hour. What is set is heard
/// with a host's next report, so that a longer one could hardly be taken back.
pub const INTERVALS_MS: RangeInclusive<u32> = 1000..=3_600_000;

/// What is to become of a host. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostChange {
    /// Its name.
    pub name: Option<String>,
    /// Milliseconds between its reports, among [`INTERVALS_MS`]; within, `None`: what its agent was started with.
    pub interval_ms: Option<Option<u32>>,
}

impl Host {
    /// Sets how often it is to report. Whether that is a change.
    fn set_interval(&mut self, interval_ms: Option<u32>, outcome: &mut Outcome) -> bool {
        if self.row.orders.interval_ms == interval_ms {
            return false;
        }
        self.row.orders.interval_ms = interval_ms;
        self.settings_due = true;
        outcome.writes.push(Write::Host(self.row.clone()));
        outcome.host = true;
        true
    }
}

fn word(interval_ms: Option<u32>) -> String {
    interval_ms.map_or("default".into(), |ms| format!("{}s", f64::from(ms) / 1000.0))
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
            if let Some(interval_ms) = change.interval_ms
                && live.set_interval(interval_ms, &mut outcome)
            {
                let interval = [("interval", word(interval_ms))];
                outcome.writes.push(by.audit("host.set", &live.row.name, interval));
            }
        }
        self.settle(turn, outcome).wait().await?;
        Ok(cell.live().view())
    }

    /// Sets how often those hosts report that have all of these labels now; hosts that join later are not among them.
    /// Answers them by name, those too for whom nothing changed.
    pub async fn set_interval_of(
        &self,
        by: &By,
        labels: &[(String, String)],
        interval_ms: Option<u32>,
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
        let details = [("interval", word(interval_ms)), ("hosts", meant.len().to_string())];
        let mut audit = Some(by.audit("host.set", format!("label {target}"), details));
        let mut settling = Vec::new();
        for cell in &meant {
            let turn = self.turn(cell).await?;
            let mut outcome = Outcome::default();
            if !turn.live().is_removed() && turn.live().set_interval(interval_ms, &mut outcome) {
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
