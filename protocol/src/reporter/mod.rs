//! The agent's end of the synchronisation.
//!
//! It numbers what the agent hears and reads, keeps events until the server has stored them, and finds out
//! whether events are missing. It does no I/O and knows no clock: the agent tells it what happened and sends the
//! messages that it makes.
//!
//! Three things decide whether the history is continuous:
//! - Every stream of events begins with a **replay** of the engine's ring. The last event that was taken before
//!   is looked for in it: what comes up to it is skipped, what comes after it is new. If the replay ends without
//!   it, a gap stands before what came.
//! - The first replay of a run has nothing to look for until the server's welcome names the last event that is
//!   stored. Until then its place is pending, and nothing from there on is sent.
//! - A welcome in the middle of a run names an event that is in the queue, or the one that was acknowledged
//!   last. If it is neither, the server has lost something, and a gap says so; or another run has spoken
//!   meanwhile, which shows in the epoch, and this one goes on like a new run.
//!
//! A run may begin with what an earlier one has [left on disk](crate::spool): then it goes on as that one would have.

pub mod ledger;
mod past;
mod replay;
mod restore;
pub mod vitals;

use crate::batch::{Answer, Batch, Engine, Reason, Refused};
use crate::event::Cause;
use crate::id::{EventIdentity, RunId};
use crate::limits;
pub use crate::queue::Room;
use crate::queue::{Place, What};
use crate::record::{Full, Kind, Writer};
pub use restore::{Before, Waiting};

/// Bytes of a message before its events: the batch, and how the engine does.
const BEGINNING: usize = 512;
/// Bytes that an entry takes beside an event's own.
const BESIDES: usize = 64;

/// A place in the order, taken before the engine was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The epoch that it belongs to.
    pub epoch: u64,
    /// The welcome that it followed. What was read before the newest welcome is thrown away.
    welcome: u32,
    /// Its number.
    pub seq: u64,
}

/// What a message carried, so that the agent knows what its answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The message's number.
    pub seq: u64,
    /// Whether the readings went with it. They wait when not all events fit.
    pub with_readings: bool,
    /// Whether events remain that did not fit.
    pub more: bool,
}

/// What became of an event that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is new, as far as is known.
    New,
    /// It was known already; so was everything that this replay brought before it.
    Known,
}

/// What the agent has to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Say hello.
    Hello,
    /// Send again later.
    Later,
    /// Another run of this host's agent is active: say hello again after a good while.
    Superseded,
    /// This board is a clone: join again as a host of its own.
    Clone,
}

/// A replay that is under way: everything behind the last pending place of the queue is in question.
#[derive(Debug, Clone, Copy)]
struct Replay {
    /// What is looked for; `None` if there is nothing to look for (yet).
    anchor: Option<EventIdentity>,
    /// Why it would be missing.
    cause: Cause,
    /// Events that came so far.
    came: usize,
    /// What was the last event before: to go back to if the replay breaks.
    before: Option<EventIdentity>,
    /// The time of that event.
    from_nano: i64,
}

/// Where the run stands with what earlier runs left at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Past {
    /// No welcome and no complete replay yet.
    Open,
    /// The first replay is complete, the welcome has still to come.
    Replayed,
    /// The welcome came, the first replay has still to be completed.
    Welcomed(Known),
    /// Whether something is missing is decided.
    Settled,
}

/// What a welcome says of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    last: Option<EventIdentity>,
    /// There was no run before this one: nothing can be missing.
    first_run: bool,
}

/// The agent's end of one host's report stream.
#[derive(Debug)]
pub struct Reporter {
    run: RunId,
    highest_epoch: u64,
    /// The highest epoch seen before this run.
    epoch_before: u64,
    /// The epoch that the server gave this run, also while a new hello is due.
    given: u64,
    /// Whether `given` is in force: false before the first welcome, and after a refusal until the next.
    welcome: bool,
    /// How many welcomes there were.
    welcomes: u32,
    next: u64,
    acknowledged: u64,
    last_acknowledged: Option<EventIdentity>,
    /// The number of a gap that was acknowledged after that event; 0 for none.
    gap_acknowledged: u64,
    queue: Place,
    dropped: u64,
    last_heard: Option<EventIdentity>,
    last_heard_nano: i64,
    replay: Option<Replay>,
    /// Whether the stream of events has to be opened again.
    wants_replay: bool,
    past: Past,
    /// One bit for each kind of records that the server named in its newest welcome.
    kinds: u64,
    /// It began with what an earlier run had left, and no welcome has said yet what of that is stored.
    restored: bool,
}

/// Kinds up to this one are understood by every server there ever was.
const ALWAYS: u8 = Kind::Listed as u8;

impl Reporter {
    /// A new run. `highest_epoch` is the highest that this host's agent has ever seen, 0 for none.
    #[cfg(feature = "mirror")]
    pub fn new(run: RunId, highest_epoch: u64) -> Reporter {
        Reporter::at(Place::Owned(alloc::boxed::Box::default()), run, highest_epoch)
    }

    /// The same without an allocator. What waits lies in `room`, which has to be new.
    pub fn new_in(room: &'static mut Room, run: RunId, highest_epoch: u64) -> Reporter {
        Reporter::at(Place::Static(room), run, highest_epoch)
    }

    /// Ends this run, and gives back the memory for another one; `None` if it was not given to it.
    pub fn into_room(mut self) -> Option<&'static mut Room> {
        self.queue.clear();
        match self.queue {
            Place::Static(room) => Some(room),
            #[cfg(feature = "mirror")]
            Place::Owned(_) => None,
        }
    }

    fn at(queue: Place, run: RunId, highest_epoch: u64) -> Reporter {
        Reporter {
            run,
            highest_epoch,
            epoch_before: highest_epoch,
            given: 0,
            welcome: false,
            welcomes: 0,
            next: 1,
            acknowledged: 0,
            last_acknowledged: None,
            gap_acknowledged: 0,
            queue,
            dropped: 0,
            last_heard: None,
            last_heard_nano: 0,
            replay: None,
            wants_replay: false,
            past: Past::Open,
            kinds: 0,
            restored: false,
        }
    }

    /// Whether the server that welcomed this run understands records of this kind. Newer kinds than it named are not
    /// sent: the agent may be years younger than its server.
    pub fn understands(&self, kind: Kind) -> bool {
        let number = kind as u8;
        number <= ALWAYS || 1u64.checked_shl(number.into()).is_some_and(|bit| self.kinds & bit != 0)
    }

    /// This run's id, for the hello.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The highest epoch seen, for the hello.
    pub fn highest_epoch(&self) -> u64 {
        self.highest_epoch
    }

    /// Whether a hello is due before anything else.
    pub fn needs_hello(&self) -> bool {
        !self.welcome
    }

    /// Events that had to be dropped in this run.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Entries that wait for an acknowledgement.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is an event that could be sent now.
    pub fn has_events(&self) -> bool {
        self.welcome && self.queue.iter().next().is_some_and(|entry| !matches!(entry.what, What::Pending { .. }))
    }

    /// Whether the stream of events has to be closed and opened again, so that it begins with a replay. To be asked
    /// after every welcome: another run has spoken meanwhile, and where its history ends only a replay shows.
    pub fn wants_replay(&self) -> bool {
        self.wants_replay
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Takes the number of a reading. To be called **before** the engine is asked.
    ///
    /// `None` before the welcome, and during a replay: its events cannot be sent yet, and readings that overtake
    /// them would show differences that they explain.
    pub fn begin_reading(&mut self) -> Option<Reading> {
        if self.replay.is_some() {
            return None;
        }
        let epoch = self.welcome.then_some(self.given)?;
        Some(Reading { epoch, welcome: self.welcomes, seq: self.take_number() })
    }

    /// Whether what was read under this number may still be sent.
    pub fn is_current(&self, reading: Reading) -> bool {
        self.welcome && reading.welcome == self.welcomes
    }

    /// Bytes that a message with so many bytes of readings takes at most now, if the engine's versions are of a usual
    /// length.
    pub fn message_room(&self, readings: usize) -> usize {
        let events = self.queue.event_bytes() + BESIDES * self.queue.len();
        (BEGINNING + events.min(limits::EVENTS_IN_MESSAGE) + readings).min(limits::MESSAGE)
    }

    /// Makes a message: events first, as many as fit; then `readings`, which are records that the agent made,
    /// if all events fitted. `None` if a hello is due.
    pub fn message(
        &mut self,
        out: &mut Writer<'_>,
        engine: Option<&Engine<'_>>,
        readings: &[u8],
    ) -> Result<Option<Sent>, Full> {
        if !self.welcome {
            return Ok(None);
        }
        let seq = self.take_number();
        let mut through = self.acknowledged;
        let (mut room, mut count, mut more) = (limits::EVENTS_IN_MESSAGE, 0, false);
        let mut pending = false;
        for entry in self.queue.iter() {
            let size = match entry.what {
                What::Event { len, .. } => 16 + usize::from(len),
                What::Gap(_) => 64,
                What::Nothing => 0,
                What::Pending { .. } => {
                    pending = true;
                    break;
                }
            };
            if size > room {
                more = true;
                break;
            }
            room -= size;
            count += 1;
            through = entry.seq;
        }
        if !more && !pending {
            through = seq;
        }
        let batch = Batch { epoch: self.given, seq, base: self.acknowledged, through, events_dropped: self.dropped };
        out.record(Kind::Batch, &batch)?;
        if let Some(engine) = engine {
            out.record(Kind::Engine, engine)?;
        }
        let mut offset = 0;
        for entry in self.queue.iter().take(count) {
            match entry.what {
                What::Event { len, .. } => {
                    let (head, tail) = self.queue.bytes(offset, usize::from(len));
                    out.numbered_from(Kind::Event, entry.seq, head, tail)?;
                    offset += usize::from(len);
                }
                What::Gap(gap) => out.record(Kind::Gap, &(entry.seq, gap))?,
                What::Nothing | What::Pending { .. } => {}
            }
        }
        let with_readings = !more && !readings.is_empty();
        if with_readings {
            out.raw(readings)?;
        }
        let brings = |what| matches!(what, What::Event { .. } | What::Gap(_));
        if self.queue.iter().take(count).any(|entry| brings(entry.what)) {
            // One that brings nothing may go without an answer for long, and puts nothing in doubt.
            self.queue.sent(through);
        }
        Ok(Some(Sent { seq, with_readings, more }))
    }

    /// The server answered a message. Answers whether it was about the epoch in force.
    pub fn answered(&mut self, answer: &Answer) -> bool {
        if !self.welcome || answer.epoch != self.given {
            return false;
        }
        self.queue.answered();
        self.acknowledge(answer.acknowledged);
        true
    }

    fn acknowledge(&mut self, through: u64) {
        // Numbers that were never given cannot be acknowledged.
        let through = through.min(self.next - 1);
        if through <= self.acknowledged {
            return;
        }
        self.acknowledged = through;
        while let Some(entry) = self.queue.front() {
            if entry.seq > through || matches!(entry.what, What::Pending { .. }) {
                break;
            }
            self.queue.pop_front();
            match entry.what {
                What::Event { identity, .. } => {
                    self.last_acknowledged = Some(identity);
                    self.gap_acknowledged = 0;
                    if self.replay.is_none() {
                        // What came after a new beginning is stored: that is where it goes on.
                        self.wants_replay = false;
                        self.settle_if_open();
                    }
                }
                What::Gap(_) => self.gap_acknowledged = entry.seq,
                What::Nothing | What::Pending { .. } => {}
            }
        }
    }

    /// The server refused a message or a hello.
    pub fn refused(&mut self, refused: &Refused) -> Next {
        match Reason::from_number(refused.reason) {
            Reason::StaleEpoch | Reason::HelloFirst => {
                self.highest_epoch = self.highest_epoch.max(refused.epoch);
                self.welcome = false;
                Next::Hello
            }
            Reason::Superseded => {
                self.welcome = false;
                Next::Superseded
            }
            Reason::Clone => {
                self.welcome = false;
                Next::Clone
            }
            Reason::Store | Reason::Malformed | Reason::TooMany | Reason::Undecided | Reason::Unknown => Next::Later,
        }
    }
}

#[cfg(test)]
mod tests;
