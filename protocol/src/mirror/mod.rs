//! The server's end of the synchronisation: what one host said, in the order in which it said it.
//!
//! **State comes from readings alone.** A container's state is what the reading with the highest number says of
//! it; an older one never overwrites a newer one. Events go to the history, and besides are held against the
//! readings ([`story`]): a difference that no event explains, and that two lists show, becomes a derived event.
//!
//! The mirror does no I/O and knows no clock. [`Mirror::receive`] changes it and says in [`Effect`]s what has to
//! be stored; the answer may be sent only after that is durable. If storing fails, the mirror has to be restored
//! from the store, because it is ahead of it.

mod apply;
mod digest;
pub mod story;
pub mod vitals;

use crate::batch::{Answer, Differs, Reason, Refused};
use crate::id::{EngineId, EventIdentity, RunId};
use crate::limits;
use crate::record::Malformed;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use story::Story;

/// What of a mirror has to survive a restart, besides its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The newest epoch.
    pub epoch: u64,
    /// What of it is stored.
    pub acknowledged: u64,
    /// The last event of the engine that is stored.
    pub last_event: Option<EventIdentity>,
    /// The newest runs and the epoch of each, oldest first; at most [`limits::RUNS`].
    pub runs: Vec<(RunId, u64)>,
    /// Whether a whole list was ever taken.
    pub imported: bool,
}

/// One container as the mirror holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Of the reading that `body` is from: epoch and number.
    pub touched: (u64, u64),
    /// The encoded [`crate::container::Container`]; empty if only events were heard of it.
    pub body: Box<[u8]>,
    /// What the events say of it.
    pub story: Story,
    /// Number, within the epoch, of the last list that had it.
    listed: u64,
    /// Number, within the epoch, of the last event about it.
    heard: u64,
    /// Number, within the epoch, of the list that first showed what no event explains; 0 for none.
    doubted: u64,
    /// The story agreed with the body when a list was held against it, and neither has changed since: another list
    /// that shows the same has nothing to say. Most are like this at most times.
    settled: bool,
}

impl Held {
    /// Of a store's row.
    pub fn restored(touched: (u64, u64), body: Box<[u8]>, story: Story) -> Held {
        Held { touched, body, story, listed: 0, heard: 0, doubted: 0, settled: false }
    }

    /// Whether the host has it, as far as is known.
    pub fn exists(&self) -> bool {
        self.story.present && !self.body.is_empty()
    }
}

/// What has to be stored, and shown, because of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A new event: its number and encoded [`crate::event::Event`].
    Event(u64, Vec<u8>),
    /// A new gap: its number and encoded [`crate::event::Gap`].
    Gap(u64, Vec<u8>),
    /// What must have happened, and no event said: the reading's number, the container, Docker's name of it.
    Derived(u64, EngineId, story::Happened),
    /// What is held of a container has changed; `visible` if its body or existence has.
    Container {
        /// Which.
        id: EngineId,
        /// Whether more changed than what the events say.
        visible: bool,
    },
    /// Nothing is held of a container any more.
    Forgotten(EngineId),
    /// [`Mirror::place`] has changed.
    Place,
    /// How the engine does: encoded [`crate::batch::Engine`].
    Engine(Vec<u8>),
    /// A whole list has taken effect; with how many containers beyond the limit.
    Listed {
        /// Beyond the limit.
        hidden: u32,
    },
    /// Events that this run of the agent had to drop, in all.
    Dropped(u64),
    /// Whether this copy was proven to be what the host has; false only if all of it had been sent, and it differs.
    Proven(bool),
}

/// The answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// To be sent.
    pub answer: Answer,
    /// To be sent behind it: this copy is not what the message's digest is of.
    pub differs: Option<Differs>,
}

/// The answer to a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hail {
    /// The stream goes on in this epoch. If it is `new`, the place has to be stored before the answer.
    Welcome {
        /// The epoch.
        epoch: u64,
        /// Whether it was given just now.
        new: bool,
    },
    /// A newer run of this host's agent is active.
    Superseded,
}

/// Why a message changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwanted {
    /// To be answered with this.
    Refused(Refused),
    /// It is not a message of ours.
    Malformed(Malformed),
}

/// The server's copy of one host's report stream.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    place: Place,
    held: BTreeMap<EngineId, Held>,
    /// Whether a hello was heard since this mirror was restored. Until then nothing is taken: an agent forgets at
    /// the welcome what it read before, so that no reading from before a restart comes after it, when the number
    /// of an unchanged reading, which is not stored, would be missed.
    greeted: bool,
    /// The list that is coming in, and how many containers of it have come.
    listing: (u64, u32),
    /// The last list that took effect, within the epoch.
    listed: u64,
    /// The last list, within the epoch, whose digest this copy gave.
    proven: u64,
    /// The list of the message that is being taken whose digest it did not give.
    differs: Option<u64>,
    /// The newest message, within the epoch, that took effect, and the newest with an engine record.
    newest: u64,
    engine_at: u64,
    /// Events that the run has dropped, as it was last told.
    dropped: Option<u64>,
    /// The last gap, within the epoch.
    gap_at: u64,
    /// Identities of what was stored last.
    recent: VecDeque<EventIdentity>,
}

impl Mirror {
    /// From what was stored; default values for a new host.
    pub fn restore(place: Place, held: impl IntoIterator<Item = (EngineId, Held)>) -> Mirror {
        let recent = place.last_event.into_iter().collect();
        Mirror { place, held: held.into_iter().collect(), recent, ..Mirror::default() }
    }

    /// What has to be stored of the stream.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// All that is held, existing or not.
    pub fn held(&self) -> impl Iterator<Item = (&EngineId, &Held)> {
        self.held.iter()
    }

    /// What is held of one container.
    pub fn get(&self, id: &EngineId) -> Option<&Held> {
        self.held.get(id)
    }

    /// An agent says hello. `active` tells whether the newest run was heard of lately; then an older run that
    /// comes back is not let in beside it.
    pub fn hello(&mut self, run: RunId, highest_epoch: u64, active: bool) -> Hail {
        let newest = self.place.runs.last().copied();
        if let Some((_, epoch)) = newest.filter(|(known, epoch)| *known == run && highest_epoch <= *epoch) {
            self.greeted = true;
            return Hail::Welcome { epoch, new: false };
        }
        let older = self.place.runs.iter().any(|(known, _)| *known == run) && newest.is_some_and(|(n, _)| n != run);
        if older && active {
            return Hail::Superseded;
        }
        let epoch = self.place.epoch.max(highest_epoch) + 1;
        self.place.runs.retain(|(known, _)| *known != run);
        if self.place.runs.len() >= limits::RUNS {
            self.place.runs.remove(0);
        }
        self.place.runs.push((run, epoch));
        self.place.epoch = epoch;
        self.place.acknowledged = 0;
        self.greeted = true;
        self.listing = (0, 0);
        self.listed = 0;
        self.proven = 0;
        self.newest = 0;
        self.dropped = None;
        self.engine_at = 0;
        self.gap_at = 0;
        for held in self.held.values_mut() {
            held.listed = 0;
            held.heard = 0;
            held.doubted = 0;
        }
        Hail::Welcome { epoch, new: true }
    }

    /// Takes a message: all of it or, if it is refused, nothing.
    pub fn receive(&mut self, message: &[u8], effects: &mut Vec<Effect>) -> Result<Received, Unwanted> {
        let message = apply::Message::decode(message).map_err(Unwanted::Malformed)?;
        let refuse = |reason: Reason| Err(Unwanted::Refused(Refused { reason: reason as u8, epoch: self.place.epoch }));
        let batch = message.batch;
        if batch.epoch < self.place.epoch {
            return refuse(Reason::StaleEpoch);
        }
        if !self.greeted || batch.epoch > self.place.epoch || batch.base > self.place.acknowledged {
            return refuse(Reason::HelloFirst);
        }
        self.apply(&message, effects);
        let answer = Answer {
            epoch: self.place.epoch,
            acknowledged: self.place.acknowledged,
            listed: self.listed,
            unexplained: self.held.values().filter(|held| held.doubted != 0).count() as u32,
        };
        Ok(Received { answer, differs: self.differs.take().map(|seq| Differs { seq }) })
    }
}

#[cfg(test)]
mod digest_tests;
#[cfg(test)]
mod tests;
