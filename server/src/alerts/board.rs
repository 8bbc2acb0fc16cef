//! All alerts, and how they begin and end: a state machine without I/O and without a clock.
//!
//! Two things move it. **Events** of the history, in the order of their ids, tell of ends, of memory that ran out and of
//! checks that failed: what happened between two looks, too. **Looks** at the fleet tell what is so now: that is how most
//! alerts end, and how those about hosts begin. An alert that fires ends only when it has been well for a while. Nothing
//! here is lost by a restart but these whiles, which then begin anew: see [`Alert`].

use super::alert::{Alert, Stage, Subject};
use super::looks::World;
use super::rules::{Limits, Rule, Rules};
use super::seen::Seen;
use super::tracks::Tracks;
use crate::store::Write;
use muster_protocol::id::HostId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Alerts that are pending or fire: beyond them none about a container begins. Some 50 MB.
const ACTIVE: usize = 50_000;
/// Those of one host: it must not use up what all have together.
const OF_HOST: usize = 1_000;
/// Alerts that are over and are kept.
const ENDED: usize = 2_000;

/// When something happens, by both clocks: see [`crate::fleet::host::Now`].
pub use crate::fleet::host::Now;

/// What is known at the beginning of an alert.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// When it began, in milliseconds since 1970.
    pub since_ms: i64,
    /// The host's name.
    pub host: String,
    /// The container's name.
    pub container: Option<String>,
    /// Labels of both.
    pub labels: BTreeMap<String, String>,
    /// Details.
    pub attributes: Vec<(&'static str, String)>,
    /// The event that tells of it.
    pub event: u64,
    /// That event came late.
    pub late: bool,
}

/// All alerts.
#[derive(Debug, Clone, Default)]
pub struct Board {
    alerts: BTreeMap<u64, Alert>,
    /// By what they are about: those of a host lie together.
    active: BTreeMap<(Subject, Rule), u64>,
    /// Those that are over, oldest end first.
    ended: VecDeque<u64>,
    /// Those of which something is to be told.
    untold: BTreeSet<u64>,
    /// What events of late say of containers.
    pub tracks: Tracks,
    /// The newest event that was taken.
    pub cursor: u64,
    /// The id of the newest alert.
    pub newest: u64,
    changed: BTreeSet<u64>,
    gone: Vec<u64>,
    /// It was said that there are too many.
    is_full: bool,
    /// It was said of these hosts that they have too many.
    full_hosts: BTreeSet<HostId>,
}

impl Board {
    /// As it was stored.
    pub fn restored(alerts: impl IntoIterator<Item = Alert>, cursor: u64, newest: u64) -> Board {
        let mut board = Board { cursor, newest, ..Board::default() };
        let mut ended = Vec::new();
        for alert in alerts {
            board.newest = board.newest.max(alert.id);
            match alert.stage {
                Stage::Ended => ended.push((alert.until_ms, alert.id)),
                Stage::Pending | Stage::Firing => {
                    board.active.insert((alert.subject.clone(), alert.rule), alert.id);
                }
            }
            if alert.untold_begin || alert.untold_end {
                board.untold.insert(alert.id);
            }
            board.alerts.insert(alert.id, alert);
        }
        ended.sort_unstable();
        board.ended = ended.into_iter().map(|(_, id)| id).collect();
        board
    }

    /// All alerts by id, pending ones too.
    pub fn alerts(&self) -> &BTreeMap<u64, Alert> {
        &self.alerts
    }

    /// Those that fire and that no silence covers: what a headline counts.
    pub fn loud(&self) -> impl Iterator<Item = &Alert> {
        self.firing().filter(|alert| !alert.silenced)
    }

    /// Those that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.active.values().filter_map(|id| self.alerts.get(id)).filter(|alert| alert.is_firing())
    }

    /// Those of which something is to be told, oldest first.
    pub fn untold(&self) -> impl Iterator<Item = &Alert> {
        self.untold.iter().filter_map(|id| self.alerts.get(id))
    }

    /// Changes an alert in what is no matter of the rules.
    pub fn change(&mut self, id: u64, change: impl FnOnce(&mut Alert)) {
        let Some(alert) = self.alerts.get_mut(&id) else { return };
        change(alert);
        let is_untold = alert.untold_begin || alert.untold_end;
        self.changed.insert(id);
        if is_untold {
            self.untold.insert(id)
        } else {
            self.untold.remove(&id)
        };
    }

    /// What has changed since the last call: to be stored; and the ids of those alerts that people see.
    pub fn drain(&mut self) -> (Vec<Write>, Vec<u64>) {
        let mut writes: Vec<Write> = std::mem::take(&mut self.gone).into_iter().map(Write::AlertGone).collect();
        let mut seen = Vec::new();
        for id in std::mem::take(&mut self.changed) {
            let Some(alert) = self.alerts.get(&id) else { continue };
            writes.push(alert.write());
            if alert.stage != Stage::Pending {
                seen.push(id);
            }
        }
        (writes, seen)
    }

    /// The alert of a rule about something, if it is pending or fires.
    pub fn active(&self, rule: Rule, subject: &Subject) -> Option<&Alert> {
        self.alerts.get(self.active.get(&(subject.clone(), rule))?)
    }

    fn active_mut(&mut self, rule: Rule, subject: &Subject) -> Option<&mut Alert> {
        self.alerts.get_mut(self.active.get(&(subject.clone(), rule))?)
    }

    /// All that are pending or fire.
    pub fn all_active(&self) -> Vec<(Rule, Subject)> {
        self.active.keys().map(|(subject, rule)| (*rule, subject.clone())).collect()
    }

    /// Those of one host.
    pub fn active_of(&self, host: HostId) -> Vec<(Rule, Subject)> {
        let first = (Subject::host(host), Rule::HostAway);
        let those = self.active.range(first..).take_while(|((subject, _), _)| subject.host == host);
        those.map(|((subject, rule), _)| (*rule, subject.clone())).collect()
    }

    /// It is not as it should be. Answers the alert if it has begun with this.
    pub fn bad(&mut self, rule: Rule, subject: Subject, rules: &Rules, now: Now, facts: Facts) -> Option<u64> {
        let limits = rules.of(rule);
        if !limits.enabled {
            return None;
        }
        if let Some(alert) = self.active_mut(rule, &subject) {
            if alert.is_firing() {
                alert.timer = None;
            } else if alert.late && !facts.late {
                // It was doubtful, and is not any more.
                (alert.late, alert.event, alert.since_ms) = (false, facts.event, facts.since_ms);
                alert.attributes.extend(facts.attributes.into_iter().map(|(key, value)| (key.to_owned(), value)));
                let id = alert.id;
                self.changed.insert(id);
            }
            return None;
        }
        if !self.has_room(rule, subject.host) {
            return None;
        }
        self.newest += 1;
        let id = self.newest;
        let attributes = facts.attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let alert = Alert {
            id,
            rule,
            subject: subject.clone(),
            host: facts.host,
            container: facts.container,
            labels: facts.labels,
            attributes,
            since_ms: facts.since_ms,
            until_ms: None,
            stage: Stage::Pending,
            event: facts.event,
            late: facts.late,
            untold_begin: false,
            untold_end: false,
            held: false,
            silenced: false,
            told: Vec::new(),
            timer: Some(now.monotonic_ms),
        };
        self.alerts.insert(id, alert);
        self.active.insert((subject.clone(), rule), id);
        self.changed.insert(id);
        if limits.for_ms == 0 {
            self.fire(rule, &subject);
        }
        Some(id)
    }

    /// Whether one more may begin. What is about a host itself always may: there is one of each, and of disks only the
    /// host's own share.
    fn has_room(&mut self, rule: Rule, host: HostId) -> bool {
        if matches!(rule, Rule::HostAway | Rule::Conflict | Rule::Hot | Rule::Undervoltage) {
            return true;
        }
        let first = (Subject::host(host), Rule::HostAway);
        let of_host = self.active.range(first..).take_while(|((subject, _), _)| subject.host == host).take(OF_HOST);
        if of_host.count() >= OF_HOST {
            if self.full_hosts.insert(host) {
                log::warn!("{OF_HOST} alerts about the host {host} fire: no more of it are taken until some are over");
            }
            return false;
        }
        if rule != Rule::Disk && self.active.len() >= ACTIVE {
            if !std::mem::replace(&mut self.is_full, true) {
                log::error!("{ACTIVE} alerts fire: no more about containers are taken until some are over");
            }
            return false;
        }
        true
    }

    /// It has been so for long enough.
    pub fn fire(&mut self, rule: Rule, subject: &Subject) {
        let Some(alert) = self.active_mut(rule, subject).filter(|alert| alert.stage == Stage::Pending) else { return };
        alert.stage = Stage::Firing;
        alert.timer = None;
        alert.untold_begin = true;
        let id = alert.id;
        self.untold.insert(id);
        self.changed.insert(id);
    }

    /// It is well, and was so at every look since the timer began: it ends when that was long enough.
    pub fn well(&mut self, rule: Rule, subject: &Subject, limits: &Limits, now: Now, why: &str) {
        let Some(alert) = self.active_mut(rule, subject) else { return };
        if !alert.is_firing() {
            return self.withdraw(rule, subject);
        }
        let since = *alert.timer.get_or_insert(now.monotonic_ms);
        if now.monotonic_ms.saturating_sub(since) >= limits.clear_ms {
            self.end(rule, subject, now, why);
        }
    }

    /// It is not well, or nobody knows: the time for which it was well begins anew.
    pub fn not_well(&mut self, rule: Rule, subject: &Subject) {
        if let Some(alert) = self.active_mut(rule, subject).filter(|alert| alert.is_firing()) {
            alert.timer = None;
        }
    }

    /// It was nothing: if nobody has seen it yet, nobody will.
    pub fn withdraw(&mut self, rule: Rule, subject: &Subject) {
        if self.active(rule, subject).is_none_or(|alert| alert.stage != Stage::Pending) {
            return;
        }
        if let Some(id) = self.active.remove(&(subject.clone(), rule)) {
            self.alerts.remove(&id);
            self.changed.remove(&id);
            self.untold.remove(&id);
            self.gone.push(id);
        }
    }

    /// It is over now. One that nobody has seen yet is withdrawn.
    pub fn end(&mut self, rule: Rule, subject: &Subject, now: Now, why: &str) {
        self.withdraw(rule, subject);
        let Some(id) = self.active.remove(&(subject.clone(), rule)) else { return };
        self.is_full = false;
        if let Some(alert) = self.alerts.get_mut(&id) {
            alert.stage = Stage::Ended;
            alert.timer = None;
            // Whoever set a clock in between must not make it end before it began.
            alert.until_ms = Some(now.wall_ms.max(alert.since_ms.min(now.wall_ms)));
            alert.attributes.insert("ended".into(), why.to_owned());
            alert.untold_end = true;
        }
        self.untold.insert(id);
        self.changed.insert(id);
        self.ended.push_back(id);
        // One that is still to be told stays.
        if self.ended.len() > ENDED {
            let place = self.ended.iter().position(|id| !self.untold.contains(id));
            if let Some(oldest) = place.and_then(|place| self.ended.remove(place)) {
                self.alerts.remove(&oldest);
                self.changed.remove(&oldest);
                self.gone.push(oldest);
            }
        }
    }

    /// Another alert says it better. Who was told of this one hears that it is over; to all others it was nothing.
    pub fn supersede(&mut self, rule: Rule, subject: &Subject, now: Now, why: &str) {
        let Some(alert) = self.active(rule, subject) else { return };
        let (id, is_untold) = (alert.id, alert.untold_begin);
        self.end(rule, subject, now, why);
        if is_untold {
            self.change(id, Alert::said);
        }
    }

    /// Everything about a host is over.
    pub fn end_host(&mut self, host: HostId, now: Now, why: &str) {
        for (rule, subject) in self.active_of(host) {
            self.end(rule, &subject, now, why);
        }
        self.tracks.forget(host);
        self.full_hosts.remove(&host);
    }

    /// Takes an event that was taken before the server's start: only what later events need to know of it.
    pub fn recall(&mut self, seen: &Seen) {
        self.tracks.take(seen, 0);
    }

    /// Takes the next event.
    pub fn take(&mut self, seen: &Seen, rules: &Rules, world: &dyn World, now: Now) {
        self.cursor = self.cursor.max(seen.id);
        super::happened::take(self, seen, rules, world, now);
    }

    /// Looks at what fires and at what is pending, and ends or begins it.
    pub fn pass(&mut self, rules: &Rules, world: &dyn World, now: Now) {
        super::holds::pass(self, rules, world, now);
    }
}
