//! What an event begins and ends.

use super::alert::{Alert, Subject};
use super::board::{Board, Facts, Now};
use super::looks::{ContainerLook, HostLook, World};
use super::rules::{Rule, Rules};
use super::seen::{Action, Seen, What};
use super::tracks::End;
use muster_protocol::id::EngineId;

/// A host's clock that is further from the server's than this is wrong: the server's time is told then.
const WRONG_CLOCK_MS: i64 = 366 * 86_400_000;

/// Why a crash is over that has become a loop.
pub(super) const LOOPS: &str = "it restarts again and again";

/// What is about one container, and is over when that was stopped on purpose or replaced.
const OF_CONTAINERS: [Rule; 4] = [Rule::Crashed, Rule::Oom, Rule::RestartLoop, Rule::Unhealthy];

pub(super) fn take(board: &mut Board, seen: &Seen, rules: &Rules, world: &dyn World, now: Now) {
    let end = board.tracks.take(seen, now.monotonic_ms);
    let What::Container { id, name, labels, action, derived } = &seen.what else { return };
    let subject = Subject::container(seen.host, *id);
    match action {
        Action::Create | Action::Rename => {
            if let Some(name) = name {
                replaced(board, &subject, name, now);
            }
            return;
        }
        // Docker tells it behind the end that it explains.
        Action::Stop | Action::Restart => return stopped(board, &subject, *id, *action == Action::Stop, now),
        Action::Die(_) | Action::Oom | Action::Unhealthy => {}
        Action::Start | Action::Kill(_) | Action::Destroy => return,
    }
    // Of a host that was removed meanwhile nobody wants to know.
    let Some(host) = world.host(seen.host) else { return };
    // What its engine remembers from before it joined is no news.
    if host.imported.is_none_or(|until| (seen.epoch, seen.seq) <= until) {
        return;
    }
    let late = *derived || board.tracks.is_late(seen, now.monotonic_ms, host.ahead_ms);
    let facts = |board: &Board| {
        let mut facts = facts(seen, &host);
        let shown = match world.container(seen.host, id) {
            ContainerLook::There(it) => Some(it),
            _ => None,
        };
        facts.container = name.clone().or_else(|| board.tracks.name(seen.host, id));
        if let Some(it) = shown {
            facts.container.get_or_insert(it.name);
            facts.labels.extend(it.labels);
        }
        facts.labels.extend(labels.clone());
        facts.late = late;
        facts
    };
    match action {
        Action::Oom => {
            // Of what nobody is told as that, the end is a crash.
            if !rules.of(Rule::Oom).enabled {
                return;
            }
            // The end that came just before is this one's.
            let explained = board.tracks.oom_end(seen.host, id);
            if explained.is_some() && board.active(Rule::Crashed, &subject).map(|alert| alert.event) == explained {
                board.supersede(Rule::Crashed, &subject, now, "it ran out of memory");
            }
            let facts = facts(board);
            again(board, Rule::Oom, &subject, None);
            board.bad(Rule::Oom, subject, rules, now, facts);
        }
        // Of what is old the next look shows whether it still is so.
        Action::Unhealthy if late => {}
        Action::Unhealthy => {
            let facts = facts(board);
            board.bad(Rule::Unhealthy, subject, rules, now, facts);
        }
        Action::Die(code) => {
            let Some(End { asked, unclear, oom }) = end else { return };
            for rule in [Rule::Crashed, Rule::Oom, Rule::RestartLoop] {
                board.not_well(rule, &subject);
            }
            if asked {
                return ended_on_request(board, &subject, seen.id, now);
            }
            let facts = facts(board);
            let looped = rules.of(Rule::RestartLoop);
            let times = board.tracks.ends(seen.host, id, looped.within_ms);
            if times >= looped.times as usize && !late {
                let seconds = looped.within_ms / 1000;
                let mut attributes = vec![("times", times.to_string()), ("within_s", seconds.to_string())];
                attributes.extend(attribute(*code));
                let begun = Facts { attributes, ..facts.clone() };
                board.bad(Rule::RestartLoop, subject.clone(), rules, now, begun);
            }
            if board.active(Rule::RestartLoop, &subject).is_some_and(Alert::is_firing) {
                // Whoever hears of the loop needs not hear of each end.
                last_code(board, &subject, *code);
                return board.supersede(Rule::Crashed, &subject, now, LOOPS);
            }
            // An end for lack of memory was told as that. Without a code it is not known to be a failure.
            let failed = code.is_some_and(|code| code != 0);
            if failed && !unclear && !(oom && rules.of(Rule::Oom).enabled) {
                again(board, Rule::Crashed, &subject, *code);
                let facts = Facts { attributes: attribute(*code).into_iter().collect(), ..facts };
                board.bad(Rule::Crashed, subject, rules, now, facts);
            }
        }
        _ => {}
    }
}

/// What is known of an alert's beginning from its event.
fn facts(seen: &Seen, host: &HostLook) -> Facts {
    let is_wrong = seen.time_ms.abs_diff(seen.received_ms) > WRONG_CLOCK_MS.unsigned_abs();
    Facts {
        since_ms: if is_wrong { seen.received_ms } else { seen.time_ms },
        host: host.name.clone(),
        labels: host.labels.clone(),
        event: seen.id,
        ..Facts::default()
    }
}

/// It has happened once more while it fires: counted, and told to nobody again.
fn again(board: &mut Board, rule: Rule, subject: &Subject, code: Option<i32>) {
    let Some(id) = board.active(rule, subject).filter(|alert| alert.is_firing()).map(|alert| alert.id) else { return };
    board.change(id, |alert| {
        let times = alert.attributes.get("times").and_then(|times| times.parse::<u32>().ok()).unwrap_or(1);
        alert.attributes.insert("times".into(), times.saturating_add(1).to_string());
        if let Some((key, code)) = attribute(code) {
            alert.attributes.insert(key.to_owned(), code);
        }
    });
}

/// How a container that ends again and again ended last.
fn last_code(board: &mut Board, subject: &Subject, code: Option<i32>) {
    let (Some((key, code)), Some(alert)) = (attribute(code), board.active(Rule::RestartLoop, subject)) else { return };
    if alert.attributes.get(key) != Some(&code) {
        board.change(alert.id, |alert| drop(alert.attributes.insert(key.to_owned(), code)));
    }
}

/// The exit code, as an attribute.
fn attribute(code: Option<i32>) -> Option<(&'static str, String)> {
    code.map(|code| ("exit_code", code.to_string()))
}

/// Somebody stopped or restarted it: if that tells that the last end was asked for, what is about that end is nothing.
fn stopped(board: &mut Board, subject: &Subject, id: EngineId, is_over: bool, now: Now) {
    let last = board.tracks.end_on_request(subject.host, &id);
    if is_over {
        return ended_on_request(board, subject, last.unwrap_or_default(), now);
    }
    if board.active(Rule::Crashed, subject).is_some_and(|alert| Some(alert.event) == last) {
        board.withdraw(Rule::Crashed, subject);
    }
}

/// Somebody put an end to it, `last`: what was so before is over, and what is about that end is nothing.
fn ended_on_request(board: &mut Board, subject: &Subject, last: u64, now: Now) {
    for rule in OF_CONTAINERS {
        if board.active(rule, subject).is_some_and(|alert| alert.event != last && !alert.late) {
            board.fire(rule, subject);
        }
        board.end(rule, subject, now, "stopped on request");
    }
}

/// Another container has the name now: what was about the one before is over, and if it is new, it was an update.
fn replaced(board: &mut Board, new: &Subject, name: &str, now: Now) {
    for (rule, subject) in board.active_of(new.host) {
        let is_other = subject.container.is_some() && subject != *new;
        if !is_other || board.active(rule, &subject).is_none_or(|it| it.container.as_deref() != Some(name)) {
            continue;
        }
        board.end(rule, &subject, now, "replaced by a new container");
    }
}
