//! What the fleet looks like now: whether what fires still is so, and what is so and fires not yet.

use super::alert::{Alert, Stage, Subject};
use super::board::{Board, Facts, Now};
use super::happened::LOOPS;
use super::looks::{Container, ContainerLook, HostLook, Presence, VitalsLook, World};
use super::rules::{Limits, Rule, Rules};
use crate::time::format_ms;
use muster_protocol::id::{EngineId, HostId};

/// So long a container has to be gone, in milliseconds: a list of its host may be under way that has it.
const GONE_MS: u64 = 5_000;

pub(super) fn pass(board: &mut Board, rules: &Rules, world: &dyn World, now: Now) {
    for (rule, subject) in board.all_active() {
        let limits = rules.of(rule);
        let Some(alert) = board.active(rule, &subject) else { continue };
        if !limits.enabled {
            board.end(rule, &subject, now, "its rule was turned off");
            continue;
        }
        let Some(id) = subject.container else {
            // The look at its host does the rest.
            match world.host(subject.host) {
                None => board.end_host(subject.host, now, "the host was removed"),
                Some(_) => ripen(board, rule, &subject, limits, now),
            }
            continue;
        };
        if world.host(subject.host).is_none() {
            board.end_host(subject.host, now, "the host was removed");
            continue;
        }
        let look = world.container(subject.host, &id);
        if rule == Rule::Crashed && alert.stage == Stage::Pending {
            judge(board, &subject, limits, &look, now);
        } else {
            hold(board, rule, &subject, limits, &look, now);
            ripen(board, rule, &subject, limits, now);
        }
        if rule == Rule::RestartLoop && board.active(rule, &subject).is_some_and(Alert::is_firing) {
            board.supersede(Rule::Crashed, &subject, now, LOOPS);
        }
    }
}

/// Whether it has been so for long enough to fire.
fn is_ripe(alert: &Alert, limits: &Limits, now: Now) -> bool {
    let since = alert.timer.unwrap_or(now.monotonic_ms);
    alert.stage == Stage::Pending && now.monotonic_ms.saturating_sub(since) >= limits.for_ms
}

fn ripen(board: &mut Board, rule: Rule, subject: &Subject, limits: &Limits, now: Now) {
    if board.active(rule, subject).is_some_and(|alert| is_ripe(alert, limits, now)) {
        board.fire(rule, subject);
    }
}

/// A container has ended, and nothing has explained that since.
fn judge(board: &mut Board, subject: &Subject, limits: &Limits, look: &ContainerLook, now: Now) {
    let Some(alert) = board.active(Rule::Crashed, subject).filter(|alert| is_ripe(alert, limits, now)) else { return };
    if !alert.late {
        return board.fire(Rule::Crashed, subject);
    }
    match look {
        ContainerLook::Unknown => {}
        ContainerLook::There(it) if !it.runs && it.exit_code.is_some_and(|code| code != 0) => {
            board.fire(Rule::Crashed, subject);
        }
        // It is over, and was so before anybody could be told.
        ContainerLook::Gone | ContainerLook::There(_) => board.withdraw(Rule::Crashed, subject),
    }
}

/// Whether what is about a container still is so.
fn hold(board: &mut Board, rule: Rule, subject: &Subject, limits: &Limits, look: &ContainerLook, now: Now) {
    let it = match look {
        ContainerLook::Unknown => return board.not_well(rule, subject),
        ContainerLook::Gone => {
            let limits = Limits { clear_ms: limits.clear_ms.min(GONE_MS), ..*limits };
            return board.well(rule, subject, &limits, now, "the container was removed");
        }
        ContainerLook::There(it) => it,
    };
    match (rule, is_well(rule, it)) {
        (_, Some(why)) => board.well(rule, subject, limits, now, why),
        (_, None) => board.not_well(rule, subject),
    }
}

fn is_well(rule: Rule, it: &Container) -> Option<&'static str> {
    match rule {
        Rule::Crashed | Rule::Oom if it.runs => Some("it runs again"),
        Rule::Crashed | Rule::Oom if !it.restarts && it.exit_code == Some(0) => Some("it has run to its end"),
        // Every end begins the time anew. Given up by its restart policy, it is not well: nobody else says so.
        Rule::RestartLoop if !it.restarts && (it.runs || it.exit_code.is_none_or(|code| code == 0)) => {
            Some("it has not ended again")
        }
        Rule::Unhealthy if !it.runs => Some("it does not run any more"),
        Rule::Unhealthy if !it.unhealthy => Some("its check succeeds again"),
        _ => None,
    }
}

impl Board {
    /// Looks at a host: to be done every few seconds, and whenever it has changed.
    pub fn look_at_host(&mut self, id: HostId, look: &HostLook, rules: &Rules, now: Now) {
        let facts = |since_ms: i64, attributes: Vec<(&'static str, String)>| Facts {
            since_ms,
            host: look.name.clone(),
            labels: look.labels.clone(),
            attributes,
            ..Facts::default()
        };
        let subject = || Subject::host(id);
        match look.presence {
            Presence::Away => {
                let heard = look.last_seen_ms.map(|ms| ("last_seen", format_ms(ms)));
                let facts = facts(look.since_ms, heard.into_iter().collect());
                self.bad(Rule::HostAway, subject(), rules, now, facts);
            }
            Presence::Silent => self.not_well(Rule::HostAway, &subject()),
            Presence::There => {
                self.well(Rule::HostAway, &subject(), rules.of(Rule::HostAway), now, "the host is back");
            }
        }
        if look.conflict {
            self.bad(Rule::Conflict, subject(), rules, now, facts(now.wall_ms, Vec::new()));
        } else {
            self.well(Rule::Conflict, &subject(), rules.of(Rule::Conflict), now, "no other agent was seen any more");
        }
        match &look.vitals {
            Some(vitals) => self.look_at_vitals(id, vitals, rules, now, facts),
            None => {
                for (rule, subject) in self.active_of(id) {
                    if matches!(rule, Rule::Disk | Rule::Hot | Rule::Undervoltage) {
                        self.not_well(rule, &subject);
                        self.withdraw(rule, &subject);
                    }
                }
            }
        }
    }

    fn look_at_vitals(
        &mut self,
        id: HostId,
        vitals: &VitalsLook,
        rules: &Rules,
        now: Now,
        facts: impl Fn(i64, Vec<(&'static str, String)>) -> Facts,
    ) {
        let limits = rules.of(Rule::Disk);
        for (path, percent) in &vitals.disks {
            let attributes = vec![("path", path.clone()), ("percent", format!("{percent:.0}"))];
            let facts = || facts(now.wall_ms, attributes);
            self.level(Rule::Disk, Subject::disk(id, path), *percent, rules, now, facts, "it has room again");
        }
        let is_there = |path: &str| vitals.disks.iter().any(|(there, _)| there == path);
        for (rule, subject) in self.active_of(id) {
            if rule == Rule::Disk && !is_there(&subject.part) {
                self.well(rule, &subject, limits, now, "the file system is not mounted any more");
            }
        }
        let subject = || Subject::host(id);
        if let Some(degrees) = vitals.temperature {
            let facts = || facts(now.wall_ms, vec![("celsius", format!("{degrees:.0}"))]);
            self.level(Rule::Hot, subject(), degrees, rules, now, facts, "it has cooled down");
        }
        match vitals.undervoltage {
            Some(true) => {
                self.bad(Rule::Undervoltage, subject(), rules, now, facts(now.wall_ms, Vec::new()));
            }
            Some(false) => {
                let limits = rules.of(Rule::Undervoltage);
                self.well(Rule::Undervoltage, &subject(), limits, now, "the voltage has been right for a while");
            }
            None => self.not_well(Rule::Undervoltage, &subject()),
        }
    }

    /// A value that has to be much better before it is well again than it was when it became bad.
    #[expect(clippy::too_many_arguments, reason = "each is one thing, and there is one kind of caller")]
    fn level(
        &mut self,
        rule: Rule,
        subject: Subject,
        value: f64,
        rules: &Rules,
        now: Now,
        facts: impl FnOnce() -> Facts,
        why: &str,
    ) {
        let limits = rules.of(rule);
        let begun_at = self.active(rule, &subject).and_then(|alert| alert.attributes.get("limit")?.parse::<f64>().ok());
        if value < limits.at && begun_at.is_some_and(|at| at < limits.at) {
            // Not to be told under the limit that there is now.
            self.end(rule, &subject, now, "its limit was raised");
        } else if value >= limits.at {
            match self.active(rule, &subject).map(|alert| alert.id) {
                None => {
                    let mut facts = facts();
                    facts.attributes.push(("limit", limits.at.to_string()));
                    self.bad(rule, subject, rules, now, facts);
                }
                Some(id) => {
                    self.not_well(rule, &subject);
                    if begun_at.is_some_and(|at| at != limits.at) {
                        let at = limits.at.to_string();
                        self.change(id, |alert| drop(alert.attributes.insert("limit".into(), at)));
                    }
                }
            }
        } else if value < limits.clear_at {
            self.well(rule, &subject, limits, now, why);
        } else {
            self.not_well(rule, &subject);
            self.withdraw(rule, &subject);
        }
    }

    /// Looks at a container that has changed, for what no event may have told.
    pub fn look_at_container(
        &mut self,
        host: (HostId, &HostLook),
        id: &EngineId,
        it: &Container,
        rules: &Rules,
        now: Now,
    ) {
        let (host_id, look) = host;
        if it.runs && it.unhealthy {
            let mut labels = look.labels.clone();
            labels.extend(it.labels.clone());
            let facts = Facts {
                since_ms: now.wall_ms,
                host: look.name.clone(),
                container: Some(it.name.clone()),
                labels,
                ..Facts::default()
            };
            self.bad(Rule::Unhealthy, Subject::container(host_id, *id), rules, now, facts);
        }
    }
}
