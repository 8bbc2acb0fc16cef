//! What was last said of how a host and its containers do, so that only what has moved is said again.
//!
//! As in the [ledger of containers](super::ledger), what was said counts as heard until there is a reason to
//! [doubt](Ledger::doubt) it; then everything is said. Amounts that grow are said as what they are, so that nothing is
//! lost with a message but time. What a message has no room for is said in the next one, and goes first there.

use crate::record::{Full, Kind, Writer};
use crate::vitals::step::{CONTAINER_STEPS, DISK_STEPS, HOST_STEPS, Step};
use crate::vitals::{CONTAINER_FIELDS, DISK_FIELDS, Disk, HOST_FIELDS, Measured, Usage, Vitals};

/// If nothing moves, that is said so often, in milliseconds: the receiver wants to know that it is still looked at.
pub const QUIET_MS: u64 = 60_000;
/// A host's clock that has gone by so many milliseconds away from the agent's was set, and that is said.
const CLOCK_STEP_MS: u64 = 1000;

/// What was last said of one thing; at first, nothing.
#[derive(Debug, Clone)]
pub struct Told<const F: usize> {
    /// In which round it was said. What was said in another one is forgotten.
    round: u32,
    fields: u32,
    /// Of what [passes](Step::Passing) by itself: what it was when the agent's clock began.
    values: [u64; F],
}

impl<const F: usize> Default for Told<F> {
    fn default() -> Told<F> {
        Told { round: 0, fields: 0, values: [0; F] }
    }
}

/// What was said in all, but for what the things remember that it was said of.
#[derive(Debug)]
pub struct Ledger {
    /// Counts how often everything was said anew, from 1 on.
    round: u32,
    /// Everything is to be said.
    everything: bool,
    /// When something was last said, and how far the host's clock was from the agent's then.
    said: Option<(u64, i64)>,
    /// What was last said had something in it that has moved: the next look says at least that it has stopped.
    stirred: bool,
    /// The first container, by its place in the order, that found no room.
    first: usize,
    host: Told<HOST_FIELDS>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { round: 1, everything: true, said: None, stirred: false, first: 0, host: Told::default() }
    }
}

impl Ledger {
    /// Something that was said may not arrive, or be forgotten by who heard it.
    pub fn doubt(&mut self) {
        self.everything = true;
    }

    /// Begins to say how things are: `out` is empty, and has the room that may be taken. `at_ms` is when they were looked
    /// at by the agent's clock, `wall_ms` the same by the host's.
    ///
    /// Fails if there is not even room for the beginning.
    pub fn begin<'l, 'w, 'b>(
        &'l mut self,
        out: &'w mut Writer<'b>,
        at_ms: u64,
        wall_ms: i64,
        host: &Measured<{ crate::limits::HOST_FIELDS }>,
    ) -> Result<Look<'l, 'w, 'b>, Full> {
        if self.host.has_more_than(host) {
            self.everything = true;
        }
        let whole = self.everything;
        let offset = wall_ms.saturating_sub_unsigned(at_ms);
        let clock_is_set = self.said.is_some_and(|(_, said)| said.abs_diff(offset) >= CLOCK_STEP_MS);
        let is_quiet = self.said.is_none_or(|(said, _)| at_ms.saturating_sub(said) >= QUIET_MS);
        if whole {
            self.round = self.round.checked_add(1).unwrap_or(1);
        }
        let moved = self.host.moved(self.round, &HOST_STEPS, host, at_ms);
        let stirs = whole || clock_is_set || !moved.is_empty();
        let vitals = Vitals { at_ms, wall_ms, whole, host: moved };
        out.record(Kind::Vitals, &vitals)?;
        self.everything = false;
        self.host.tell(self.round, &HOST_STEPS, &vitals.host, at_ms);
        let due = stirs || is_quiet || self.stirred;
        Ok(Look { ledger: self, out, at_ms, offset, stirs, due, first_without_room: None })
    }
}

/// One look at everything, while it is being said.
#[derive(Debug)]
pub struct Look<'l, 'w, 'b> {
    ledger: &'l mut Ledger,
    out: &'w mut Writer<'b>,
    at_ms: u64,
    offset: i64,
    stirs: bool,
    due: bool,
    first_without_room: Option<usize>,
}

impl Look<'_, '_, '_> {
    /// With which of so many containers to begin: the first one that found no room last time.
    pub fn first(&self, containers: usize) -> usize {
        if self.ledger.first < containers { self.ledger.first } else { 0 }
    }

    /// Says how a file system does, as far as that has moved and there is room.
    pub fn disk(
        &mut self,
        path: &str,
        values: &Measured<{ crate::limits::DISK_FIELDS }>,
        told: &mut Told<DISK_FIELDS>,
    ) {
        // There are few of them, and they go before containers: what finds no room goes next time.
        let _ = self.say(values, told, &DISK_STEPS, |out, values| {
            out.record(Kind::Disk, &Disk { path, values: values.clone() })
        });
    }

    /// Says how a container does, as far as that has moved. `place` is its place in the order. False if there was no room:
    /// then it is the first of the next look, and there is nothing to be gained by reading others in this one.
    pub fn container(
        &mut self,
        place: usize,
        id: [u8; 6],
        values: &Measured<{ crate::limits::CONTAINER_FIELDS }>,
        told: &mut Told<CONTAINER_FIELDS>,
    ) -> bool {
        let said = self.say(values, told, &CONTAINER_STEPS, |out, values| {
            out.record(Kind::Usage, &Usage { id, values: values.clone() })
        });
        if said == Err(Full) {
            self.first_without_room.get_or_insert(place);
        }
        said.is_ok()
    }

    fn say<const F: usize, const N: usize>(
        &mut self,
        values: &Measured<N>,
        told: &mut Told<F>,
        steps: &[Step; F],
        mut write: impl FnMut(&mut Writer<'_>, &Measured<N>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let round = self.ledger.round;
        if told.round == round && told.has_more_than(values) {
            // What is not known any more goes with the rest, which is said anew.
            write(self.out, &Measured::default())?;
            *told = Told::default();
            self.stirs = true;
        }
        let moved = told.moved(round, steps, values, self.at_ms);
        if !moved.is_empty() {
            write(self.out, &moved)?;
            told.tell(round, steps, &moved, self.at_ms);
            self.stirs = true;
        }
        Ok(())
    }

    /// Whether what was written is to be sent. If not, nothing in it is new.
    pub fn end(self) -> bool {
        let Look { ledger, at_ms, offset, stirs, due, first_without_room, .. } = self;
        ledger.first = first_without_room.unwrap_or(0);
        let due = due || stirs;
        if due {
            ledger.said = Some((at_ms, offset));
            ledger.stirred = stirs;
        }
        due
    }
}

impl<const F: usize> Told<F> {
    /// Whether something was said that is not known any more.
    fn has_more_than<const N: usize>(&self, values: &Measured<N>) -> bool {
        self.fields & !values.fields != 0
    }

    /// What of `values` is to be said.
    fn moved<const N: usize>(&self, round: u32, steps: &[Step; F], values: &Measured<N>, at_ms: u64) -> Measured<N> {
        let mut moved = Measured::default();
        let known = if self.round == round { self.fields } else { 0 };
        for (field, value) in values.iter() {
            let at = usize::from(field);
            let Some(step) = steps.get(at) else { continue };
            if known & 1 << field == 0 || step.is_due(since(*step, self.values[at], at_ms), value) {
                moved.push(field, value);
            }
        }
        moved
    }

    /// Notes that `values` were said.
    fn tell<const N: usize>(&mut self, round: u32, steps: &[Step; F], values: &Measured<N>, at_ms: u64) {
        if self.round != round {
            (self.round, self.fields) = (round, 0);
        }
        for (field, value) in values.iter() {
            let at = usize::from(field);
            if let (Some(step), Some(kept)) = (steps.get(at), self.values.get_mut(at)) {
                *kept = match step {
                    Step::Passing(_) => value.wrapping_sub(at_ms / 1000),
                    _ => value,
                };
                self.fields |= 1 << field;
            }
        }
    }
}

/// What the receiver takes a value for by now.
fn since(step: Step, kept: u64, at_ms: u64) -> u64 {
    match step {
        Step::Passing(_) => kept.wrapping_add(at_ms / 1000),
        _ => kept,
    }
}

#[cfg(all(test, feature = "mirror"))]
#[path = "vitals_tests.rs"]
mod tests;
