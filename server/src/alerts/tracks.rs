//! What the events of late say of containers: whether an end was asked for, and how often one has ended.
//!
//! It is made from the history alone, event by event, so that a server that starts makes it again by reading the
//! newest events once more. Clocks of hosts are wrong: only differences between two events of one host count, and
//! where they are negative the times at which the events came.

use super::rules::MOST_TIMES;
use super::seen::{Action, Seen, What};
use muster_protocol::id::{EngineId, HostId};
use std::collections::{HashMap, VecDeque};

/// Containers of one host that are remembered: those that something happened to last.
const CONTAINERS: usize = 256;
/// So long after a signal an end counts as its consequence, in milliseconds. What takes longer is told by the `stop`
/// behind the end.
pub const ASKED_MS: i64 = 60_000;
/// So long after a host came back what it tells may be old, in milliseconds.
const BACKLOG_MS: u64 = 60_000;
/// What is older than this when it comes is late, in milliseconds.
const LATE_MS: i64 = 30_000;
/// So long after it ran out of memory an end counts as the consequence, in milliseconds. Where only a process of many was
/// killed, the others may live on, and crash some day for another reason.
const OOM_MS: i64 = 60_000;
/// So long after an end the kernel's word for it may come, in milliseconds: engines do not promise the order.
const OOM_BEHIND_MS: i64 = 10_000;
/// How one ends that the kernel killed.
const KILLED: i32 = 137;
/// A clock that says less than this was never set: 2020.
const NEVER_SET_MS: i64 = 1_577_836_800_000;
/// Signals that programs take for other things than to end: HUP, USR1, USR2, CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG,
/// WINCH. Where one of them does stop a container, a `stop` follows the end.
const NOT_TO_END: [u32; 11] = [1, 10, 12, 17, 18, 19, 20, 21, 22, 23, 28];
/// Exit codes of what was told to end, by INT, KILL and TERM.
const AS_IF_ASKED: [i32; 3] = [130, 137, 143];
/// How one ends of which nobody needs to hear.
const WELL: i32 = 0;

/// All hosts.
#[derive(Debug, Clone, Default)]
pub struct Tracks {
    hosts: HashMap<HostId, OfHost>,
}

#[derive(Debug, Clone, Default)]
struct OfHost {
    epoch: u64,
    /// When it came back, by the monotonic clock.
    back_ms: Option<u64>,
    /// The newest gap, by its event's id.
    gap: u64,
    containers: HashMap<EngineId, Track>,
}

#[derive(Debug, Clone, Default)]
struct Track {
    name: Option<String>,
    /// Where it was told to end.
    asked: Option<i64>,
    /// When it ended unasked, by `place`, oldest first.
    ends: VecDeque<i64>,
    /// Milliseconds of the host's time that have passed since this was first heard of.
    place: i64,
    /// The times of the last event: the host's and the server's.
    last: Option<(i64, i64)>,
    /// The last event, by its id.
    newest: u64,
    /// The last start, by its event's id.
    started: u64,
    /// The last end, by its event's id.
    ended: u64,
    /// Nobody is known to have asked for its last end.
    last_unasked: bool,
    /// Some signal was sent to it in this run.
    signalled: bool,
    /// A stop or restart behind its last end explains that.
    may_be_asked: bool,
    /// Where it ran out of memory in this run.
    oom: Option<Oom>,
    /// Where it was killed last, unasked.
    killed: Option<i64>,
    /// Where its last end was, and its exit code, if nothing has explained that yet.
    unexplained: Option<(i64, Option<i32>)>,
    /// The last end of which the kernel's word came behind it, by that end's event.
    oom_end: u64,
}

/// The kernel's word for a lack of memory.
#[derive(Debug, Clone, Copy)]
struct Oom {
    place: i64,
    /// It may be about the end of the run before, which it came just behind.
    may_be_old: bool,
}

/// What an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Somebody asked for it.
    pub asked: bool,
    /// It may have been asked for: events are missing that would tell.
    pub unclear: bool,
    /// It ran out of memory before.
    pub oom: bool,
}

impl Tracks {
    /// Takes an event. Answers what the end was if it is one.
    pub fn take(&mut self, seen: &Seen, now_ms: u64) -> Option<End> {
        let host = self.hosts.entry(seen.host).or_default();
        let is_another = seen.epoch > host.epoch && host.epoch > 0;
        host.epoch = host.epoch.max(seen.epoch);
        if is_another {
            host.back_ms = Some(now_ms);
        }
        match &seen.what {
            What::Gap => {
                host.gap = seen.id;
                None
            }
            What::Back => {
                host.back_ms = Some(now_ms);
                None
            }
            What::Other => None,
            What::Container { id, name, action, derived, .. } => {
                host.make_room();
                let gap = host.gap;
                let track = host.containers.entry(*id).or_default();
                if name.is_some() {
                    track.name.clone_from(name);
                }
                let end = track.take(seen, *action, *derived, gap);
                if *action == Action::Destroy {
                    host.containers.remove(id);
                }
                end
            }
        }
    }

    /// Whether an event tells of something that is long over: its host has just come back, and was told it late.
    /// `ahead_ms` is by how much the host's clock is ahead of the server's.
    pub fn is_late(&self, seen: &Seen, now_ms: u64, ahead_ms: i64) -> bool {
        let back_ms = self.hosts.get(&seen.host).and_then(|host| host.back_ms);
        // The server itself has been away until its start.
        let has_backlog = now_ms.saturating_sub(back_ms.unwrap_or(0)) < BACKLOG_MS;
        let age = seen.received_ms.saturating_add(ahead_ms).saturating_sub(seen.time_ms);
        has_backlog && age > LATE_MS && seen.time_ms > NEVER_SET_MS
    }

    /// How often a container has ended unasked within the last `within_ms` before its last event.
    pub fn ends(&self, host: HostId, container: &EngineId, within_ms: u64) -> usize {
        let Some(track) = self.track(host, container) else { return 0 };
        let since = track.place.saturating_sub_unsigned(within_ms);
        track.ends.iter().filter(|place| **place >= since).count()
    }

    /// The event of a container's last end, if a stop or restart that came just now tells that it was asked for.
    ///
    /// What ends by itself may be stopped while it waits to be started again, and Podman tells a restart whoever does it.
    pub fn end_on_request(&self, host: HostId, container: &EngineId) -> Option<u64> {
        self.track(host, container).filter(|track| track.may_be_asked).map(|track| track.ended)
    }

    /// The event of the end that a container's last `oom` has explained, if that end came before it.
    pub fn oom_end(&self, host: HostId, container: &EngineId) -> Option<u64> {
        self.track(host, container).map(|track| track.oom_end).filter(|id| *id > 0)
    }

    /// What a container is called, as far as events told.
    pub fn name(&self, host: HostId, container: &EngineId) -> Option<String> {
        self.track(host, container)?.name.clone()
    }

    /// A host is gone.
    pub fn forget(&mut self, host: HostId) {
        self.hosts.remove(&host);
    }

    fn track(&self, host: HostId, container: &EngineId) -> Option<&Track> {
        self.hosts.get(&host)?.containers.get(container)
    }
}

impl OfHost {
    fn make_room(&mut self) {
        if self.containers.len() >= CONTAINERS {
            let oldest = self.containers.iter().min_by_key(|(_, track)| track.newest).map(|(id, _)| *id);
            oldest.map(|id| self.containers.remove(&id));
        }
    }
}

impl Track {
    fn take(&mut self, seen: &Seen, action: Action, derived: bool, gap: u64) -> Option<End> {
        if let Some((time_ms, received_ms)) = self.last {
            let passed = match seen.time_ms.saturating_sub(time_ms) {
                passed if passed >= 0 => passed,
                _ => seen.received_ms.saturating_sub(received_ms).max(0),
            };
            self.place = self.place.saturating_add(passed);
        }
        self.last = Some((seen.time_ms, seen.received_ms));
        self.newest = seen.id;
        match action {
            Action::Kill(signal) => {
                self.signalled = true;
                if signal.is_none_or(|number| !NOT_TO_END.contains(&number)) {
                    self.asked = Some(self.place);
                }
                None
            }
            Action::Stop => {
                self.asked = Some(self.place);
                // It explains the end before it, too, which was none of a loop's.
                if self.may_be_asked && std::mem::take(&mut self.last_unasked) && self.started < self.ended {
                    self.ends.pop_back();
                }
                None
            }
            Action::Start => {
                (self.asked, self.oom, self.started, self.signalled) = (None, None, seen.id, false);
                // Of the run before, the kernel's word still explains that somebody killed it.
                self.unexplained = self.unexplained.filter(|(_, code)| *code == Some(KILLED));
                None
            }
            Action::Restart => {
                self.asked = None;
                None
            }
            Action::Oom => {
                let place = self.place;
                let is_behind = |end: &i64| place - end <= OOM_BEHIND_MS;
                let explains = self.unexplained.take().is_some_and(|(end, _)| is_behind(&end));
                self.oom_end = if explains { self.ended } else { 0 };
                // Behind a start it may be about either run, and engines may tell it twice.
                let may_be_old = self.started > self.ended && self.killed.is_some_and(|end| is_behind(&end));
                if may_be_old || !explains {
                    self.oom = Some(Oom { place, may_be_old });
                }
                None
            }
            Action::Die(code) => {
                let asked = self.asked.take().is_some_and(|place| self.place - place <= ASKED_MS);
                self.ended = seen.id;
                let oom = self.oom.take().is_some_and(|oom| {
                    let is_kill = code.is_none_or(|code| code == KILLED);
                    self.place - oom.place <= OOM_MS && (is_kill || !oom.may_be_old)
                });
                self.killed = (!asked && code == Some(KILLED)).then_some(self.place);
                let as_if_asked = |code| code == WELL || AS_IF_ASKED.contains(&code);
                self.may_be_asked = std::mem::take(&mut self.signalled) || code.is_none_or(as_if_asked);
                self.unexplained = (!asked && !oom).then_some((self.place, code));
                self.last_unasked = !asked;
                if !asked {
                    if self.ends.len() == MOST_TIMES as usize {
                        self.ends.pop_front();
                    }
                    self.ends.push_back(self.place);
                }
                let told_in_part = derived || gap > self.started;
                let unclear = !asked && told_in_part && code.is_none_or(|code| AS_IF_ASKED.contains(&code));
                Some(End { asked, unclear, oom })
            }
            Action::Create | Action::Rename | Action::Unhealthy | Action::Destroy => None,
        }
    }
}
