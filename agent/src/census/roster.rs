//! Which containers there are, and what inspect said of each: so that a container is inspected only when an event
//! or a list shows that it has changed.

use crate::docker::inspect::Details;
use muster_protocol::container::{Health, State};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::reporter::ledger;

/// What is remembered of one container.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Of the list's element at the last inspect.
    fingerprint: u64,
    /// From the last inspect; `None` if there was none, or if an event has told of a change since.
    details: Option<Details>,
    /// An event has told of a change, and it was not read since.
    changed: bool,
    /// It was read anew because list and inspect did not agree, and nothing has told of a change since.
    doubted: bool,
    /// It ran when it was last read.
    up: bool,
    /// The last sweep that saw it.
    sweep: u32,
    /// What the server has of it.
    sent: ledger::Known,
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It does.
    Up {
        /// Its first process; 0 if that is not known.
        pid: u32,
    },
    /// It did when it was last read, but the engine does not say by which process, or it has changed since.
    Unknown,
}

/// All containers that are reported.
#[derive(Debug, Default)]
pub struct Roster {
    known: Table,
    sweep: u32,
    hidden: u32,
}

/// At most [`limits::CONTAINERS`] of them, sorted. It takes memory for those that there are: a board has some dozens.
#[derive(Debug, Default)]
struct Table(Vec<(EngineId, Known)>);

impl Table {
    fn place(&self, id: &EngineId) -> Result<usize, usize> {
        self.0.binary_search_by_key(id, |(id, _)| *id)
    }

    fn get(&self, id: &EngineId) -> Option<&Known> {
        self.place(id).ok().map(|at| &self.0[at].1)
    }

    fn get_mut(&mut self, id: &EngineId) -> Option<&mut Known> {
        self.place(id).ok().map(|at| &mut self.0[at].1)
    }

    /// Puts a new one in. False if there is no room.
    fn insert(&mut self, id: EngineId, known: Known) -> bool {
        let has_room = self.0.len() < limits::CONTAINERS;
        if has_room && let Err(at) = self.place(&id) {
            self.0.insert(at, (id, known));
        }
        has_room
    }

    fn remove(&mut self, id: &EngineId) -> Option<Known> {
        self.place(id).ok().map(|at| self.0.remove(at).1)
    }

    fn retain(&mut self, keep: impl Fn(&Known) -> bool) {
        self.0.retain(|(_, known)| keep(known));
        // Gives back what a great many containers took, once they are gone.
        if self.0.capacity() / 4 > self.0.len().max(16) {
            self.0.shrink_to(self.0.len() * 2);
        }
    }
}

fn is_up(state: State) -> bool {
    matches!(state, State::Running | State::Paused)
}

impl Roster {
    /// An event has told of a change.
    pub fn mark_changed(&mut self, id: EngineId) {
        let fresh = Known {
            fingerprint: 0,
            details: None,
            changed: true,
            doubted: false,
            up: false,
            sweep: self.sweep,
            sent: ledger::Known::default(),
        };
        match self.known.get_mut(&id) {
            Some(known) => (known.changed, known.doubted, known.details) = (true, false, None),
            // If it is full, the container is one of the hidden ones.
            None => drop(self.known.insert(id, fresh)),
        }
    }

    /// An event has told of a change of which a list shows everything.
    pub fn mark_shown(&mut self, id: EngineId) {
        match self.known.get_mut(&id) {
            Some(known) => (known.changed, known.doubted) = (true, false),
            None => self.mark_changed(id),
        }
    }

    /// What inspect said of it before, brought up to what a list shows now; `None` if that is not certain. To be asked
    /// only for one that events have told of: a run that ended or began since has made it uncertain.
    pub fn carry_over(&mut self, id: &EngineId, fingerprint: u64, shown: Details) -> Option<Details> {
        let known = self.known.get_mut(id).filter(|known| !known.changed)?;
        let before = known.details?;
        let same_run = if is_up(before.state) {
            is_up(shown.state)
        } else {
            (before.state, before.exit_code) == (shown.state, shown.exit_code)
        };
        // A list says nothing of a paused container's health, and Podman's of nobody's.
        let same_health = before.health == shown.health || shown.health != Health::None;
        let details = Details { state: shown.state, health: shown.health, ..before };
        (same_run && same_health).then(|| {
            (known.fingerprint, known.details, known.up) = (fingerprint, Some(details), is_up(details.state));
            details
        })
    }

    /// What inspect said and what the list shows are of two moments, so it is to be read anew. False if it was, and
    /// nothing has told of a change since: then this engine has two words for one state.
    pub fn doubt(&mut self, id: &EngineId) -> bool {
        let Some(known) = self.known.get_mut(id).filter(|known| !known.doubted) else { return false };
        (known.doubted, known.changed, known.details) = (true, true, None);
        true
    }

    /// What inspect said of it does not count any more.
    pub fn distrust(&mut self, id: &EngineId) {
        if let Some(known) = self.known.get_mut(id) {
            known.details = None;
        }
    }

    /// Nothing is certain any more: events may be missing.
    pub fn doubt_all(&mut self) {
        for (_, known) in &mut self.known.0 {
            known.details = None;
        }
    }

    /// One that has changed and was not read since. It counts as read from now on.
    pub fn take_changed(&mut self) -> Option<EngineId> {
        let (id, known) = self.known.0.iter_mut().find(|(_, known)| known.changed)?;
        known.changed = false;
        Some(*id)
    }

    /// Whether some have changed.
    pub fn has_changed(&self) -> bool {
        self.known.0.iter().any(|(_, known)| known.changed)
    }

    /// A reading of all containers begins.
    pub fn begin_sweep(&mut self) {
        self.sweep = self.sweep.wrapping_add(1);
        self.hidden = 0;
    }

    /// The list has this container. False if there is no room for it: then it is hidden.
    pub fn see(&mut self, id: EngineId) -> bool {
        let sweep = self.sweep;
        let fresh = Known {
            fingerprint: 0,
            details: None,
            changed: false,
            doubted: false,
            up: false,
            sweep,
            sent: ledger::Known::default(),
        };
        let has_room = match self.known.get_mut(&id) {
            Some(known) => {
                known.sweep = sweep;
                true
            }
            None => self.known.insert(id, fresh),
        };
        self.hidden += u32::from(!has_room);
        has_room
    }

    /// The list has a container that cannot be reported.
    pub fn hide(&mut self) {
        self.hidden += 1;
    }

    /// What inspect said of it, if that still holds for a container whose list element has this fingerprint.
    pub fn details(&self, id: &EngineId, fingerprint: u64) -> Option<Details> {
        self.known.get(id).filter(|known| known.fingerprint == fingerprint && !known.changed)?.details
    }

    /// It is about to be inspected. An event that comes meanwhile makes it changed again.
    pub fn begin_inspect(&mut self, id: &EngineId) {
        if let Some(known) = self.known.get_mut(id) {
            known.changed = false;
        }
    }

    /// Inspect has answered.
    pub fn remember(&mut self, id: &EngineId, fingerprint: u64, details: Details) {
        if let Some(known) = self.known.get_mut(id)
            && !known.changed
        {
            known.fingerprint = fingerprint;
            known.details = Some(details);
            known.up = is_up(details.state);
        }
    }

    /// Inspect has not answered; a list shows it in this state.
    pub fn shown(&mut self, id: &EngineId, state: State) {
        if let Some(known) = self.known.get_mut(id) {
            known.up = is_up(state);
        }
    }

    /// The engine does not have it. Answers what the server has of it.
    pub fn forget(&mut self, id: &EngineId) -> ledger::Known {
        self.known.remove(id).map(|known| known.sent).unwrap_or_default()
    }

    /// Forgets one of which the server has nothing. False if it has something.
    pub fn forget_unsent(&mut self, id: &EngineId) -> bool {
        let is_unsent = self.known.get(id).is_none_or(|known| !known.sent.is_something());
        if is_unsent {
            self.known.remove(id);
        }
        is_unsent
    }

    /// Those that ran when they were last read, sorted by their ids.
    pub fn runs(&self) -> impl Iterator<Item = (EngineId, Run)> + '_ {
        let up = self.known.0.iter().filter(|(_, known)| known.up);
        up.map(|(id, known)| (*id, known.details.map_or(Run::Unknown, |details| Run::Up { pid: details.pid })))
    }

    /// What the server has of it; `None` if it is not reported.
    pub fn sent(&mut self, id: &EngineId) -> Option<&mut ledger::Known> {
        self.known.get_mut(id).map(|known| &mut known.sent)
    }

    /// One that the server has, and that the sweep has not seen.
    pub fn take_unseen(&mut self) -> Option<(EngineId, ledger::Known)> {
        let sweep = self.sweep;
        let unseen = |known: &Known| known.sweep != sweep && known.sent.is_something();
        let (id, known) = self.known.0.iter_mut().find(|(_, known)| unseen(known))?;
        Some((*id, std::mem::take(&mut known.sent)))
    }

    /// The reading is complete: what it did not have is gone. Answers how many are hidden.
    pub fn end_sweep(&mut self) -> u32 {
        let sweep = self.sweep;
        // What an event told of during the sweep may have come after the list.
        self.known.retain(|known| known.sweep == sweep || known.changed);
        self.hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> EngineId {
        let mut id = EngineId::default();
        id.0[..2].copy_from_slice(&n.to_le_bytes());
        id
    }

    fn details() -> Details {
        Details {
            state: State::Running,
            health: Health::None,
            exit_code: None,
            oom_killed: false,
            restart_count: 0,
            started_ms: Some(1),
            finished_ms: None,
            pid: 7,
        }
    }

    #[test]
    fn a_container_is_inspected_when_it_is_new_or_has_changed_and_not_otherwise() {
        let mut roster = Roster::default();
        roster.begin_sweep();
        assert!(roster.see(id(1)));
        assert_eq!(roster.details(&id(1), 7), None, "new");
        roster.begin_inspect(&id(1));
        roster.remember(&id(1), 7, details());
        assert_eq!(roster.details(&id(1), 7), Some(details()));
        assert_eq!(roster.details(&id(1), 8), None, "the list shows a change");
        roster.mark_changed(id(1));
        assert_eq!(roster.details(&id(1), 7), None, "an event tells of a change");
        assert_eq!(roster.take_changed(), Some(id(1)));
        roster.mark_changed(id(1));
        roster.remember(&id(1), 7, details());
        assert_eq!(roster.details(&id(1), 7), None, "an event came while it was inspected");
    }

    #[test]
    fn a_disagreement_is_looked_into_once_until_something_changes() {
        let mut roster = Roster::default();
        roster.begin_sweep();
        assert!(roster.see(id(1)));
        roster.remember(&id(1), 7, details());
        assert!(roster.doubt(&id(1)));
        assert_eq!(roster.take_changed(), Some(id(1)));
        assert_eq!(roster.details(&id(1), 7), None, "it is inspected anew");
        roster.remember(&id(1), 7, details());
        assert!(!roster.doubt(&id(1)), "an engine with two words for one state is not asked for ever");
        assert_eq!(roster.details(&id(1), 7), Some(details()));
        roster.mark_changed(id(1));
        assert!(roster.doubt(&id(1)));
    }

    #[test]
    fn what_inspect_said_is_carried_over_while_the_same_run_goes_on() {
        let known = |details: Details| {
            let mut roster = Roster::default();
            assert!(roster.see(id(1)));
            roster.remember(&id(1), 7, details);
            roster.mark_shown(id(1));
            assert_eq!(roster.details(&id(1), 7), None, "it is to be read");
            assert_eq!(roster.carry_over(&id(1), 8, details), None, "nor may a list do without");
            assert_eq!(roster.take_changed(), Some(id(1)));
            roster
        };
        let shown = |state, health| Details { state, health, started_ms: None, ..details() };
        let mut roster = known(details());
        let paused = Details { state: State::Paused, ..details() };
        assert_eq!(roster.carry_over(&id(1), 8, shown(State::Paused, Health::None)), Some(paused));
        assert_eq!(roster.details(&id(1), 8), Some(paused));
        assert_eq!(known(details()).carry_over(&id(1), 8, shown(State::Exited, Health::None)), None, "it has ended");
        let healthy = Details { health: Health::Healthy, ..details() };
        assert_eq!(known(healthy).carry_over(&id(1), 8, shown(State::Paused, Health::None)), None, "and its health?");
        let carried = known(healthy).carry_over(&id(1), 8, shown(State::Running, Health::Unhealthy));
        assert_eq!(carried.map(|details| details.health), Some(Health::Unhealthy));
        let ended = Details { state: State::Exited, exit_code: Some(3), ..details() };
        assert_eq!(known(ended).carry_over(&id(1), 8, Details { started_ms: None, ..ended }), Some(ended), "renamed");
        assert_eq!(known(ended).carry_over(&id(1), 8, Details { exit_code: Some(4), ..ended }), None, "another run");
        let mut roster = known(details());
        roster.mark_changed(id(1));
        roster.take_changed();
        assert_eq!(roster.carry_over(&id(1), 8, details()), None, "a run has ended or begun");
        let mut roster = known(details());
        roster.doubt_all();
        assert_eq!(roster.carry_over(&id(1), 8, details()), None, "events may be missing");
    }

    #[test]
    fn those_that_run_are_told_with_their_processes() {
        let mut roster = Roster::default();
        let ended = Details { state: State::Exited, pid: 0, ..details() };
        for (n, details) in [(3, details()), (1, Details { pid: 9, ..details() }), (2, ended)] {
            assert!(roster.see(id(n)));
            roster.remember(&id(n), 7, details);
        }
        roster.mark_changed(id(3));
        roster.mark_changed(id(4));
        let runs = |roster: &Roster| roster.runs().collect::<Vec<_>>();
        assert_eq!(
            runs(&roster),
            [(id(1), Run::Up { pid: 9 }), (id(3), Run::Unknown)],
            "what is new is to be read first"
        );
        roster.shown(&id(3), State::Exited);
        roster.shown(&id(4), State::Running);
        assert_eq!(runs(&roster), [(id(1), Run::Up { pid: 9 }), (id(4), Run::Unknown)], "no inspect answers");
    }

    #[test]
    fn containers_that_come_and_go_unsent_leave_nothing_behind() {
        let mut roster = Roster::default();
        let mut ledger = ledger::Ledger::default();
        roster.mark_changed(id(0));
        assert!(ledger.changes(b"body", roster.sent(&id(0)).expect("it is known")));
        for n in 1..=5000 {
            roster.mark_changed(id(n));
            assert!(roster.forget_unsent(&id(n)));
        }
        assert!(roster.known.0.capacity() < 16, "{}", roster.known.0.capacity());
        assert!(!roster.forget_unsent(&id(0)), "the server has it");
        assert!(roster.sent(&id(0)).is_some());
    }

    #[test]
    fn containers_beyond_the_limit_are_counted_and_known_ones_keep_their_place() {
        let mut roster = Roster::default();
        for sweep in 0..2 {
            roster.begin_sweep();
            // The engine lists the newest first.
            let all: Vec<u16> = (0..limits::CONTAINERS as u16 + 3).collect();
            let seen: Vec<bool> = if sweep == 0 {
                all.iter().map(|n| roster.see(id(*n))).collect()
            } else {
                all.iter().rev().map(|n| roster.see(id(*n))).rev().collect()
            };
            assert!(seen[..limits::CONTAINERS].iter().all(|seen| *seen), "sweep {sweep}");
            assert_eq!(roster.end_sweep(), 3);
        }
        roster.begin_sweep();
        assert!(roster.see(id(5000 % 1024)));
        assert_eq!(roster.end_sweep(), 0);
        roster.begin_sweep();
        assert!(roster.see(id(2000)), "there is room again");
    }
}
