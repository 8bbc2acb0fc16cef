//! One host: its row, its mirror and its liveness, and what changes of it mean for the store and for those who
//! watch. No I/O; the caller commits and publishes.

mod counts;
mod outcome;
mod view;

pub use outcome::{Now, Outcome};

use super::boards::{self, Boards, Verdict};
use super::liveness::{HostState, Liveness};
use super::vitals::Vitals;
use super::wishes::{PACE_TIMES, Wishes};
use crate::alerts;
use crate::api::types;
use crate::store::{ContainerRow, EventBody, EventRow, HostFacts, HostRow, StreamRow, Write};
use crate::time::format_ms;
use muster_protocol::batch::{Engine, EngineState};
use muster_protocol::hello::Stream;
use muster_protocol::id::{EngineId, Fingerprint, HostId};
use muster_protocol::mirror::story::Story;
use muster_protocol::mirror::{Effect, Held, Mirror, Place};
use std::collections::BTreeMap;

/// For how long a host shows a conflict after the last agent was turned away, in milliseconds.
const CONFLICT_MS: u64 = 10 * 60 * 1000;

/// After so many whole lists that did not make the server's copy the host's, the host shows it.
const DIFFERING: u8 = 2;

/// What the server knows of one host now.
#[derive(Debug)]
pub struct Host {
    /// As it is stored, but for `last_seen_ms` and `listed_ms`, which are newer here.
    pub row: HostRow,
    /// Its containers.
    pub mirror: Mirror,
    /// Whether it is there.
    pub liveness: Liveness,
    counts: types::ContainerCounts,
    /// The same by state.
    tally: types::FleetContainers,
    /// Whether a whole list has taken effect since this was restored.
    listed: bool,
    /// When the last agent was turned away, by the monotonic clock.
    conflict_ms: u64,
    /// Whole lists in a row after which the server's copy was not what the agent said that the host has.
    differing: u8,
    /// What was last said to be wanted of its agent, and when, by the monotonic clock.
    pub(super) said: Option<(Wishes, u64)>,
    /// Up to where its engine told what was before the host joined; `None` before the first whole list.
    pub(super) import: Option<alerts::Place>,
    /// Operators have set something that its agent may not have heard of.
    pub(super) settings_due: bool,
    /// How often its agent is still to be told how often to look at vitals.
    pub(super) pace_due: u8,
    /// Which boards speak for it.
    boards: Boards,
    /// How it and its containers do.
    pub(super) vitals: Vitals,
}

impl Host {
    /// A host as it was stored.
    pub fn restored(
        row: HostRow,
        stream: Option<StreamRow>,
        import: alerts::Place,
        containers: Vec<ContainerRow>,
        now: Now,
    ) -> Host {
        let place = stream.map(place_of).unwrap_or_default();
        let held = containers.into_iter().map(|row| {
            let story = Story::from_bytes(&row.story);
            (row.id, Held::restored((row.epoch, row.seq), row.body.into(), story))
        });
        let mut liveness = Liveness::restored(HostState::from_word(&row.state), row.interval_ms, now.monotonic_ms);
        // It may have been told so, and gone quiet.
        liveness.allow(row.orders.interval_ms.unwrap_or(0));
        let mut host = Host {
            import: place.imported.then_some(import),
            mirror: Mirror::restore(place, held),
            liveness,
            counts: types::ContainerCounts::default(),
            tally: types::FleetContainers::default(),
            listed: false,
            conflict_ms: now.monotonic_ms,
            settings_due: false,
            pace_due: 0,
            boards: Boards::default(),
            vitals: Vitals::default(),
            differing: 0,
            said: None,
            row,
        };
        host.count();
        host
    }

    /// Goes back to what is durable, after a commit has failed.
    pub fn revert(&mut self, row: HostRow, stream: Option<StreamRow>, containers: Vec<ContainerRow>, now: Now) {
        let (last_seen_ms, heard) = (self.row.last_seen_ms, self.liveness.heard());
        let boards = std::mem::take(&mut self.boards);
        let vitals = std::mem::take(&mut self.vitals);
        *self = Host::restored(row, stream, self.import.unwrap_or_default(), containers, now);
        self.row.last_seen_ms = last_seen_ms;
        self.liveness.was_heard(heard);
        self.boards = boards;
        self.vitals = vitals;
        self.count();
        // Telling twice does no harm.
        (self.settings_due, self.pace_due) = (true, PACE_TIMES);
    }

    /// The host was heard, and nothing of it can be stored now: only its silence is over.
    pub fn hear_in_passing(&mut self, now: Now) {
        self.row.last_seen_ms = Some(now.wall_ms);
        self.liveness.was_heard(now.monotonic_ms);
    }

    /// Whether the host was heard lately.
    pub fn is_active(&self) -> bool {
        self.liveness.state() == HostState::Active
    }

    /// Whether the host was removed.
    pub fn is_removed(&self) -> bool {
        self.liveness.state() == HostState::Removed
    }

    /// The host was heard.
    pub fn hear(&mut self, now: Now, outcome: &mut Outcome) {
        self.row.last_seen_ms = Some(now.wall_ms);
        self.boards.heard(now.monotonic_ms);
        if let Some(state) = self.liveness.hear(now.monotonic_ms) {
            self.enter(state, now, outcome);
        }
    }

    /// Time has passed.
    pub fn pass(&mut self, now: Now, outcome: &mut Outcome) {
        if let Some(state) = self.liveness.pass(now.monotonic_ms) {
            self.enter(state, now, outcome);
        }
        if self.row.conflict && now.monotonic_ms.saturating_sub(self.conflict_ms) > CONFLICT_MS {
            self.row.conflict = false;
            self.note("host_conflict_over", [], now, outcome);
        }
    }

    /// An operator removes the host: its containers go, its history stays.
    pub fn remove(&mut self, now: Now, outcome: &mut Outcome) {
        self.liveness.remove();
        outcome.containers.extend(self.existing());
        // Should it be restored, its events go on where they ended; its containers are then taken as they are.
        let place = Place { imported: false, ..self.mirror.place().clone() };
        self.import = None;
        self.mirror = Mirror::restore(place, []);
        self.vitals = Vitals::default();
        self.count();
        outcome.writes.push(Write::ContainersGone(self.row.id));
        outcome.writes.push(alerts::forget_import(self.row.id));
        outcome.writes.push(self.stream_row());
        self.enter(HostState::Removed, now, outcome);
    }

    /// An operator takes the removal back; `name` is free.
    pub fn restore(&mut self, name: String, now: Now, outcome: &mut Outcome) {
        self.liveness.restore();
        self.row.name = name;
        self.row.state = HostState::Disconnected.word().into();
        self.row.since_ms = now.wall_ms;
        self.listed = false;
        self.note("host_restored", [], now, outcome);
    }

    /// Which board says hello. What that means for the host is noted, so that the caller has only to answer.
    pub fn judge(&mut self, said: Fingerprint, now: Now, outcome: &mut Outcome) -> Verdict {
        let known = self.row.fingerprint;
        let verdict = self.boards.judge(known, said, self.liveness.state(), now.monotonic_ms);
        match verdict {
            Verdict::Moved => {
                self.row.fingerprint = said;
                let boards = [("from", boards::short(known)), ("to", boards::short(said))];
                self.note("host_moved", boards, now, outcome);
            }
            Verdict::Clone { again: true } => self.conflict(now, outcome),
            Verdict::Same | Verdict::Undecided | Verdict::Clone { again: false } => {}
        }
        verdict
    }

    fn enter(&mut self, state: HostState, now: Now, outcome: &mut Outcome) {
        self.row.state = state.word().into();
        self.row.since_ms = now.wall_ms;
        let action = format!("host_{}", state.word());
        self.note(&action, [], now, outcome);
    }

    /// Something became of the host: one line in the history, and the host's row.
    pub fn note<const N: usize>(
        &mut self,
        action: &str,
        attributes: [(&str, String); N],
        now: Now,
        outcome: &mut Outcome,
    ) {
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value));
        let body = EventBody::Host { action: action.into(), attributes: BTreeMap::from(attributes) };
        outcome.writes.push(Write::Host(self.row.clone()));
        outcome.writes.push(self.event(now, 0, body));
        outcome.host = true;
    }

    /// An agent that another one has replaced asks to come back.
    pub fn conflict(&mut self, now: Now, outcome: &mut Outcome) {
        self.conflict_ms = now.monotonic_ms;
        if !self.row.conflict {
            self.row.conflict = true;
            self.note("host_conflict", [], now, outcome);
        }
    }

    /// An agent said hello and was welcomed; `new` if its run has a new epoch.
    pub fn greet(&mut self, interval_ms: u32, facts: HostFacts, new: bool, now: Now, outcome: &mut Outcome) {
        self.liveness.announce(interval_ms);
        // The welcome tells what is set.
        (self.settings_due, self.pace_due) = (false, 0);
        let before = if new { self.row.events_dropped } else { self.row.dropped_before };
        if self.row.interval_ms != interval_ms || self.row.facts != facts || self.row.dropped_before != before {
            self.row.interval_ms = interval_ms;
            self.row.facts = facts;
            self.row.dropped_before = before;
            outcome.writes.push(Write::Host(self.row.clone()));
            outcome.host = true;
        }
        if new {
            outcome.writes.push(self.stream_row());
        }
        self.hear(now, outcome);
    }

    /// Its agent says which revision of what it recognises and reaches the server by is on its disk.
    pub fn confirm_trust(&mut self, revision: Option<u64>, outcome: &mut Outcome) {
        if let Some(revision) = revision.filter(|revision| *revision != self.row.orders.trust_revision) {
            self.row.orders.trust_revision = revision;
            outcome.writes.push(Write::Host(self.row.clone()));
        }
    }

    /// What the mirror made of a message.
    pub fn take(&mut self, effects: Vec<Effect>, now: Now, outcome: &mut Outcome) {
        self.hear(now, outcome);
        let epoch = self.mirror.place().epoch;
        let mut visible = false;
        let mut gone = Vec::new();
        let mut row_changed = false;
        let mut place_changed = false;
        for effect in effects {
            match effect {
                Effect::Event(seq, body) => {
                    outcome.writes.push(self.event_at(now, epoch, seq, EventBody::Engine(body)))
                }
                Effect::Gap(seq, body) => outcome.writes.push(self.event_at(now, epoch, seq, EventBody::Gap(body))),
                Effect::Derived(seq, container, happened) => {
                    let attributes = happened.attributes.into_iter().collect();
                    let body = EventBody::Derived { container, action: happened.action, attributes };
                    outcome.writes.push(self.event_at(now, epoch, seq, body));
                }
                Effect::Container { id, visible: shown } => {
                    outcome.writes.extend(self.container_row(id, now).map(Write::Container));
                    if shown {
                        visible = true;
                        gone.extend(Some(id).filter(|id| !self.has(id)));
                        outcome.containers.push(id);
                    }
                }
                Effect::Forgotten(id) => {
                    gone.push(id);
                    outcome.writes.push(Write::ContainerGone(self.row.id, id));
                }
                Effect::Place => place_changed = true,
                Effect::Engine(body) => self.engine(&body, now, outcome),
                Effect::Listed { hidden } => {
                    // From now on nothing is stale: those who watch want to see that.
                    outcome.host |= !self.listed;
                    self.listed = true;
                    self.row.listed_ms = Some(now.wall_ms);
                    row_changed |= self.row.hidden != hidden;
                    self.row.hidden = hidden;
                }
                Effect::Proven(proven) => {
                    self.differing = if proven { 0 } else { self.differing.saturating_add(1) };
                    let sync_error = self.differing >= DIFFERING;
                    if (proven || sync_error) && self.row.sync_error != sync_error {
                        self.row.sync_error = sync_error;
                        let action = if sync_error { "host_sync_error" } else { "host_sync_error_over" };
                        self.note(action, [], now, outcome);
                    }
                }
                Effect::Dropped(count) => {
                    let dropped = self.row.dropped_before.saturating_add(count);
                    row_changed |= self.row.events_dropped != dropped;
                    self.row.events_dropped = dropped;
                }
            }
        }
        if visible {
            let before = self.counts.clone();
            self.count();
            outcome.host |= self.counts != before;
        }
        self.vitals.forget(&gone);
        if row_changed {
            outcome.writes.push(Write::Host(self.row.clone()));
            outcome.host = true;
        }
        // A report that shows nothing new acknowledges nothing that could be lost: it costs no commit.
        let Place { imported, epoch, acknowledged, .. } = *self.mirror.place();
        let imports = imported && self.import.is_none();
        if place_changed && (!outcome.writes.is_empty() || imports) {
            if imports {
                self.import = Some((epoch, acknowledged));
                outcome.writes.push(alerts::note_import(self.row.id, (epoch, acknowledged)));
            }
            outcome.writes.push(self.stream_row());
        }
        outcome.containers.sort_unstable();
        outcome.containers.dedup();
    }

    fn engine(&mut self, body: &[u8], now: Now, outcome: &mut Outcome) {
        let Ok(engine) = postcard::from_bytes::<Engine<'_>>(body) else { return };
        let row = &mut self.row.engine;
        let same = row.state == engine.state;
        if same && row.version == engine.version && row.api_version == engine.api_version {
            return;
        }
        row.version = engine.version.into();
        row.api_version = engine.api_version.into();
        if same {
            outcome.writes.push(Write::Host(self.row.clone()));
            outcome.host = true;
            return;
        }
        row.state = engine.state;
        let since = now.wall_ms.saturating_sub(i64::try_from(engine.for_ms).unwrap_or(i64::MAX)).max(0);
        row.since_ms = Some(since);
        let action = format!("engine_{}", EngineState::from_number(engine.state).word());
        self.note(&action, [("since", format_ms(since))], now, outcome);
    }

    fn event(&self, now: Now, seq: u64, body: EventBody) -> Write {
        self.event_at(now, 0, seq, body)
    }

    fn event_at(&self, now: Now, epoch: u64, seq: u64, body: EventBody) -> Write {
        // The id is given when it is stored.
        Write::Event(EventRow { id: 0, received_ms: now.wall_ms, host: self.row.id, epoch, seq, body })
    }

    fn container_row(&self, id: EngineId, now: Now) -> Option<ContainerRow> {
        let held = self.mirror.get(&id)?;
        let (epoch, seq) = held.touched;
        Some(ContainerRow {
            host: self.row.id,
            id,
            epoch,
            seq,
            story: held.story.to_bytes().to_vec(),
            body: held.body.to_vec(),
            as_of_ms: now.wall_ms,
        })
    }

    /// The stream's place, to be stored.
    fn stream_row(&self) -> Write {
        let place = self.mirror.place();
        Write::Stream(StreamRow {
            host: self.row.id,
            stream: Stream::Report as u8,
            epoch: place.epoch,
            acknowledged: place.acknowledged,
            last_event: place.last_event,
            runs: place.runs.clone(),
            imported: place.imported,
        })
    }

    /// Its key.
    pub fn id(&self) -> HostId {
        self.row.id
    }
}

fn place_of(row: StreamRow) -> Place {
    Place {
        epoch: row.epoch,
        acknowledged: row.acknowledged,
        last_event: row.last_event,
        runs: row.runs,
        imported: row.imported,
    }
}
