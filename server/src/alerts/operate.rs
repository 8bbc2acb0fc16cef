//! What operators read and set of alerts.

use super::alert::{Alert, Stage};
use super::notice::{Notice, view};
use super::silence::Silence;
use super::targets::Target;
use super::{Alerts, InUse, Live, Refused, Set, key, random_hex, setting};
use crate::api::types;
use crate::fleet::{By, Fleet, Refusal};
use crate::store::Write;
use crate::time::{format_ms, now_ms};
use futures_lite::future;
use smol::Timer;
use std::time::{Duration, Instant};

/// Targets at most.
const TARGETS: usize = 16;
/// So long a test may take: whoever asked for it waits.
const TEST: Duration = Duration::from_secs(25);
/// Silences at most.
const SILENCES: usize = 1_000;

/// Which alerts are wanted. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertSelect {
    /// Those that fire.
    pub firing: bool,
    /// Those that are over.
    pub ended: bool,
    /// Names or ids of hosts.
    pub hosts: Vec<String>,
    /// Names or ids of containers.
    pub containers: Vec<String>,
    /// Words of rules.
    pub rules: Vec<String>,
}

impl AlertSelect {
    fn wants(&self, alert: &Alert) -> bool {
        let stage = match alert.stage {
            Stage::Pending => false,
            Stage::Firing => self.firing,
            Stage::Ended => self.ended,
        };
        let is_among = |all: &[String], name: Option<&String>, id: Option<String>| {
            all.is_empty() || all.iter().any(|it| Some(it) == name || id.as_ref() == Some(it))
        };
        let subject = &alert.subject;
        stage
            && (self.rules.is_empty() || self.rules.iter().any(|rule| rule == alert.rule.word()))
            && is_among(&self.hosts, Some(&alert.host), Some(subject.host.to_string()))
            && is_among(&self.containers, alert.container.as_ref(), subject.container.map(|id| id.to_string()))
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        Refusal::Invalid(refused.0)
    }
}

impl Live {
    /// An alert as the API shows it.
    pub(super) fn view(&self, alert: &Alert) -> types::Alert {
        let known = alert.told.iter().filter(|told| self.targets.contains_key(&told.to));
        let delivered = known.map(|told| {
            let state = match () {
                () if told.lost => "failed",
                () if self.outbox.is_waiting(&told.to, told.notice) => "waiting",
                () => "delivered",
            };
            types::AlertDelivery { to: told.to.clone(), state: state.into() }
        });
        view(alert, delivered.collect())
    }

    /// What is stored when the rules become others. What was taken by the rules before is not taken by these when the
    /// server starts: so how far that came is stored with them, if `all_is_stored` that came of it.
    pub(super) fn settings(&self, set: &Set, all_is_stored: bool) -> Vec<Write> {
        let position = all_is_stored.then(|| setting(key::POSITION, &self.position()));
        position.into_iter().chain([setting(key::SETTINGS, &set.settings)]).collect()
    }

    fn target_view(&self, name: &str, in_use: &InUse) -> types::AlertTarget {
        let mut shown = in_use.target.view(name);
        if let Some(queue) = self.outbox.get(name) {
            shown.waiting = u32::try_from(queue.len()).unwrap_or(u32::MAX);
            shown.delivered = queue.counts.delivered;
            shown.dropped = queue.counts.dropped;
            shown.last_delivered = queue.last_delivered_ms.map(format_ms);
            shown.problem = queue.problem.clone();
        }
        shown
    }
}

impl Alerts {
    /// Alerts with ids below `before`, newest first, at most `limit`, and where the next page begins.
    pub fn list(&self, select: &AlertSelect, before: u64, limit: usize) -> (Vec<types::Alert>, Option<u64>) {
        let live = self.live();
        let mut wanted = live.board.alerts().range(..before).rev().filter(|(_, alert)| select.wants(alert));
        let items: Vec<types::Alert> = wanted.by_ref().take(limit).map(|(_, alert)| live.view(alert)).collect();
        let next = wanted.next().and(items.last()).map(|last| last.id);
        (items, next)
    }

    /// What is set.
    pub fn settings(&self) -> types::AlertSettings {
        self.live().set.settings.clone()
    }

    /// Where notices go.
    pub fn targets(&self) -> Vec<types::AlertTarget> {
        let live = self.live();
        live.targets.iter().map(|(name, in_use)| live.target_view(name, in_use)).collect()
    }

    /// Silences that are not over, the one that ends next first.
    pub fn silences(&self) -> Vec<types::AlertSilence> {
        let now = now_ms();
        let live = self.live();
        let mut all: Vec<_> = live.silences.iter().filter(|it| !it.is_over(now)).map(Silence::view).collect();
        all.sort_by(|a, b| (&a.until, &a.id).cmp(&(&b.until, &b.id)));
        all
    }

    /// Makes a change durable, then true.
    async fn set(&self, writes: Vec<Write>, apply: impl FnOnce(&mut Live)) -> Result<(), Refusal> {
        self.committer.commit(writes, |_| {}).wait().await?;
        apply(&mut self.live());
        self.touched.wake();
        Ok(())
    }
}

impl Fleet {
    /// Sets alerts: all of it.
    pub async fn set_alerts(&self, by: &By, wanted: types::AlertSettings) -> Result<(), Refusal> {
        let set = Set::read(wanted)?;
        let alerts = self.alerts();
        let turn = alerts.turn.lock().await;
        let before = alerts.settings();
        let changed = set.settings.rules.iter().filter(|(word, rule)| before.rules.get(*word) != Some(rule));
        let changed = changed.map(|(word, _)| word.clone()).collect::<Vec<_>>().join(", ");
        let quiet = set.settings.quiet.as_ref().map(|it| format!("{}-{} {}", it.from, it.to, it.zone));
        let details = [("rules", changed), ("quiet", quiet.unwrap_or_else(|| "never".into()))];
        let mut writes = alerts.live().settings(&set, turn.writes.is_empty());
        writes.push(by.audit("alerts.set", "", details));
        alerts.set(writes, |live| live.set = set).await?;
        alerts.touched.note_all();
        Ok(())
    }

    /// Sends notices to a target from now on. It takes the place of one with the same name.
    pub async fn add_alert_target(&self, by: &By, asked: types::NewAlertTarget) -> Result<types::AlertTarget, Refusal> {
        let target = Target::read(&asked)?;
        let alerts = self.alerts();
        let _turn = alerts.turn.lock().await;
        let name = asked.name.clone();
        {
            let live = alerts.live();
            if live.targets.len() >= TARGETS && !live.targets.contains_key(&name) {
                return Err(Refusal::Conflict(format!("there are {TARGETS} targets already: remove one first")));
            }
        }
        let shown = target.view(&name);
        let details = [("kind", shown.kind), ("address", shown.address), ("to", shown.to.join(", "))];
        let row = setting(format!("{}{name}", key::TARGET), &asked);
        alerts.set(vec![row, by.audit("alerts.to", &name, details)], |live| live.use_target(&name, target)).await?;
        let live = alerts.live();
        let added = live.targets.get(&name).map(|in_use| live.target_view(&name, in_use));
        added.ok_or_else(|| Refusal::NotFound(format!("the target {name} has just been removed")))
    }

    /// Sends notices there no more; those that wait are dropped.
    pub async fn remove_alert_target(&self, by: &By, name: &str) -> Result<(), Refusal> {
        let alerts = self.alerts();
        let _turn = alerts.turn.lock().await;
        let waiting = {
            let live = alerts.live();
            if !live.targets.contains_key(name) {
                return Err(Refusal::NotFound(format!("no target is called {name:?}: see `muster alerts to ls`")));
            }
            live.outbox.ids(name)
        };
        let details = [("dropped", waiting.len().to_string())];
        let mut writes: Vec<Write> = waiting.into_iter().map(Write::NoticeGone).collect();
        writes.push(Write::AlertSettingGone(format!("{}{name}", key::TARGET)));
        writes.push(Write::AlertSettingGone(format!("{}{name}", key::COUNTS)));
        writes.push(by.audit("alerts.to.rm", name, details));
        alerts
            .set(writes, |live| {
                live.targets.remove(name);
                live.outbox.forget(name);
            })
            .await
    }

    /// Tells nothing of something for a while.
    pub async fn silence_alerts(&self, by: &By, asked: types::NewAlertSilence) -> Result<types::AlertSilence, Refusal> {
        let name = if by.name.is_empty() { by.token.clone() } else { by.name.clone() };
        let silence = Silence::new(asked, random_hex::<4>(), name, now_ms())?;
        // One that was mistyped would keep nothing quiet.
        if let Some(host) = &silence.host {
            self.host(host)?;
        }
        let alerts = self.alerts();
        let _turn = alerts.turn.lock().await;
        let over: Vec<String> = {
            let live = alerts.live();
            let (over, others): (Vec<_>, Vec<_>) = live.silences.iter().partition(|it| it.is_over(now_ms()));
            if others.len() >= SILENCES {
                return Err(Refusal::Conflict(format!("there are {SILENCES} silences already: end some first")));
            }
            over.into_iter().map(|it| it.id.clone()).collect()
        };
        let shown = silence.view();
        let mut writes: Vec<Write> =
            over.iter().map(|id| Write::AlertSettingGone(format!("{}{id}", key::SILENCE))).collect();
        writes.push(setting(format!("{}{}", key::SILENCE, silence.id), &silence));
        let details = [("of", silence.subject()), ("until", shown.until.clone()), ("why", shown.why.clone())];
        writes.push(by.audit("alerts.silence", &silence.id, details));
        alerts
            .set(writes, |live| {
                live.silences.retain(|it| !over.contains(&it.id));
                live.silences.push(silence);
            })
            .await?;
        Ok(shown)
    }

    /// Ends a silence.
    pub async fn end_silence(&self, by: &By, id: &str) -> Result<(), Refusal> {
        let alerts = self.alerts();
        let _turn = alerts.turn.lock().await;
        if !alerts.live().silences.iter().any(|it| it.id == id) {
            return Err(Refusal::NotFound(format!("no silence has the id {id:?}: see `muster alerts silences`")));
        }
        let writes =
            vec![Write::AlertSettingGone(format!("{}{id}", key::SILENCE)), by.audit("alerts.unsilence", id, [])];
        alerts.set(writes, |live| live.silences.retain(|it| it.id != id)).await
    }

    /// Sends a test to one target, or to all: one attempt each, all at once.
    pub async fn test_alerts(&self, by: &By, to: Option<&str>) -> Result<Vec<types::AlertTest>, Refusal> {
        let targets: Vec<(String, InUse)> = {
            let live = self.alerts().live();
            let wanted = live.targets.iter().filter(|(name, _)| to.is_none_or(|to| to == *name));
            wanted.map(|(name, in_use)| (name.clone(), in_use.clone())).collect()
        };
        if targets.is_empty() {
            return Err(Refusal::NotFound(match to {
                Some(name) => format!("no target is called {name:?}: see `muster alerts to ls`"),
                None => "there is no target yet: add one with `muster alerts to`".into(),
            }));
        }
        // Whoever has a notice sent elsewhere is to be seen.
        let names = targets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        self.committer().commit(vec![by.audit("alerts.test", names, [])], |_| {}).wait().await?;
        let tries: Vec<_> = targets
            .into_iter()
            .map(|(name, in_use)| {
                let notice = Notice::test(&random_hex::<16>(), &name, now_ms());
                let begun = Instant::now();
                let sent = smol::unblock(move || in_use.target.send(&notice.body));
                (name, begun, sent)
            })
            .collect();
        let mut results = Vec::new();
        for (name, begun, sent) in tries {
            let late = async {
                Timer::at(begun + TEST).await;
                None
            };
            let outcome = future::or(async { Some(sent.await) }, late).await;
            let problem = match outcome {
                Some(Ok(())) => None,
                Some(Err(failure)) => Some(failure.message),
                None => Some("it did not answer in time".to_owned()),
            };
            let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            results.push(types::AlertTest { to: name, delivered: problem.is_none(), problem, milliseconds });
        }
        Ok(results)
    }
}
