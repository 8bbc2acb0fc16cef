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

use crate::batch::{Answer, Batch, Engine, Reason, Refused};
use crate::event::{Cause, Gap};
use crate::hello::Welcome;
use crate::id::{EventIdentity, RunId};
use crate::limits;
use crate::queue::{Queue, What};
use crate::record::{Full, Kind, Writer};

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
    queue: Queue,
    dropped: u64,
    last_heard: Option<EventIdentity>,
    last_heard_nano: i64,
    replay: Option<Replay>,
    /// Whether the stream of events has to be opened again.
    wants_replay: bool,
    past: Past,
}

impl Reporter {
    /// A new run. `highest_epoch` is the highest that this host's agent has ever seen, 0 for none.
    pub const fn new(run: RunId, highest_epoch: u64) -> Reporter {
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
            queue: Queue::new(),
            dropped: 0,
            last_heard: None,
            last_heard_nano: 0,
            replay: None,
            wants_replay: false,
            past: Past::Open,
        }
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

    /// A stream of events was opened: a replay begins. `cause` is what a gap would be due to.
    pub fn stream_opened(&mut self, cause: Cause) {
        self.stream_closed();
        if core::mem::take(&mut self.wants_replay) {
            // It all comes again.
            while self.queue.pop_front().is_some() {}
        }
        let first = matches!(self.past, Past::Open | Past::Welcomed(_));
        let anchor = match self.past {
            Past::Welcomed(known) => known.last,
            _ => self.last_heard,
        };
        let seq = self.take_number();
        self.dropped += u64::from(self.queue.push_mark(seq, What::Pending { dropped: 0 }));
        self.replay = Some(Replay {
            anchor,
            cause: if first { Cause::AgentDown } else { cause },
            came: 0,
            before: self.last_heard,
            from_nano: self.last_heard_nano,
        });
    }

    /// The stream of events broke, or was closed.
    pub fn stream_closed(&mut self) {
        if let Some(broken) = self.replay.take() {
            // The ring comes again as a whole: forget what the broken replay brought.
            self.forget_replayed();
            self.last_heard = broken.before;
            self.last_heard_nano = broken.from_nano;
        }
    }

    /// An event came, encoded as [`crate::event::Event`].
    pub fn event(&mut self, time_nano: i64, body: &[u8]) -> Taken {
        let identity = EventIdentity::of(body);
        if let Some(replay) = &mut self.replay {
            replay.came += 1;
            if replay.anchor == Some(identity) {
                self.replay = None;
                self.forget_replayed();
                self.last_heard = Some(identity);
                self.last_heard_nano = time_nano;
                self.settle_if_open();
                return Taken::Known;
            }
            if replay.came > limits::ENGINE_RING {
                // The engine's ring is smaller than this: what we look for is not in it.
                self.replay_ended();
            }
        }
        self.last_heard = Some(identity);
        self.last_heard_nano = time_nano;
        if body.len() > limits::EVENT {
            self.missed(Cause::TooLarge, time_nano);
        } else {
            let seq = self.take_number();
            self.dropped += u64::from(self.queue.push_event(seq, time_nano, identity, body));
        }
        Taken::New
    }

    /// An event came that cannot be kept. `time_nano` is 0 if not even its time is known.
    pub fn missed(&mut self, cause: Cause, time_nano: i64) {
        let seq = self.take_number();
        let gap = Gap { cause: cause as u8, count: Some(1), from_nano: time_nano, to_nano: time_nano };
        self.dropped += 1 + u64::from(self.queue.push_mark(seq, What::Gap(gap)));
    }

    /// The stream has brought everything that the engine had kept: it went quiet.
    pub fn replay_ended(&mut self) {
        let Some(replay) = self.replay.take() else { return };
        match self.past {
            Past::Open => self.past = Past::Replayed,
            Past::Welcomed(known) => {
                self.past = Past::Settled;
                self.settle(known);
            }
            Past::Replayed | Past::Settled => {
                let to_nano = self.first_time_behind_last_mark();
                self.queue.resolve_last(|_| {
                    What::Gap(Gap { cause: replay.cause as u8, count: None, from_nano: replay.from_nano, to_nano })
                });
            }
        }
    }

    /// Whether a replay is under way.
    pub fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Takes away the last pending place and what came behind it. What of that was counted as dropped is not lost.
    fn forget_replayed(&mut self) {
        while let Some(entry) = self.queue.pop_back() {
            match entry.what {
                What::Pending { dropped } => {
                    self.dropped = self.dropped.saturating_sub(dropped.into());
                    return;
                }
                What::Gap(gap) => self.dropped = self.dropped.saturating_sub(gap.count.unwrap_or(0).into()),
                What::Event { .. } | What::Nothing => {}
            }
        }
    }

    fn first_time_behind_last_mark(&self) -> i64 {
        let mut time = 0;
        let mut seen = true;
        for entry in self.queue.iter() {
            match entry.what {
                What::Pending { .. } => {
                    time = 0;
                    seen = false;
                }
                What::Event { time_nano, .. } if !seen => {
                    time = time_nano;
                    seen = true;
                }
                _ => {}
            }
        }
        time
    }

    fn settle_if_open(&mut self) {
        if let Past::Welcomed(_) = self.past {
            self.past = Past::Settled;
        }
    }

    /// The first replay is complete and the last stored event is not in what it brought.
    fn settle(&mut self, known: Known) {
        let continuous = known.last.is_none() && known.first_run;
        let to_nano = self.queue.iter().find_map(|entry| match entry.what {
            What::Event { time_nano, .. } => Some(time_nano),
            _ => None,
        });
        self.queue.resolve_first(|dropped| match (continuous, dropped) {
            (true, 0) => What::Nothing,
            (true, dropped) => What::Gap(Gap {
                cause: Cause::QueueFull as u8,
                count: Some(dropped),
                from_nano: 0,
                to_nano: to_nano.unwrap_or(0),
            }),
            (false, _) => What::Gap(Gap {
                cause: Cause::AgentDown as u8,
                count: None,
                from_nano: 0,
                to_nano: to_nano.unwrap_or(0),
            }),
        });
    }

    /// The server answered the hello.
    pub fn welcomed(&mut self, welcome: &Welcome) {
        let same = self.given == welcome.epoch;
        let others_spoke = welcome.epoch > self.given.max(self.epoch_before) + 1;
        if same {
            self.acknowledge(welcome.acknowledged);
            if self.welcome && welcome.acknowledged <= self.acknowledged {
                return;
            }
        }
        if welcome.epoch < self.given {
            return; // An answer that was delayed.
        }
        self.given = welcome.epoch;
        self.highest_epoch = self.highest_epoch.max(welcome.epoch);
        self.welcome = true;
        self.welcomes = self.welcomes.wrapping_add(1);
        let gap = self.compare_past(welcome, same, others_spoke);
        if !same {
            self.next = 1;
        }
        if !same || gap || welcome.acknowledged < self.acknowledged {
            let mut next = self.next;
            self.queue.renumber(|| {
                next += 1;
                next - 1
            });
            self.next = next;
            self.acknowledged = welcome.acknowledged;
        }
    }

    /// Holds what the server says is stored against what waits here. Answers whether a gap was put in front.
    fn compare_past(&mut self, welcome: &Welcome, same: bool, others_spoke: bool) -> bool {
        let known = Known { last: welcome.last_event, first_run: welcome.epoch == 1 };
        let settled = self.past == Past::Settled;
        // Behind the last event there may have been a gap, which has no identity that the welcome could name.
        let gap_is_stored = self.gap_acknowledged == 0 || same && welcome.acknowledged >= self.gap_acknowledged;
        if settled && known.last == self.last_acknowledged && gap_is_stored {
            return false;
        }
        self.gap_acknowledged = 0;
        if let Some(last) = known.last
            && self.drop_through(last)
        {
            self.last_acknowledged = Some(last);
            if !settled {
                // The first replay has brought it: what comes now is new.
                if self.past == Past::Open || matches!(self.past, Past::Welcomed(_)) {
                    self.replay = None;
                }
                self.past = Past::Settled;
            }
            return false;
        }
        self.last_acknowledged = known.last;
        match self.past {
            Past::Settled | Past::Replayed if others_spoke && known.last.is_some() => self.begin_again(known),
            Past::Settled => {
                let gap = Gap { cause: Cause::ServerRestored as u8, count: None, from_nano: 0, to_nano: 0 };
                self.dropped += u64::from(self.queue.push_gap_front(gap));
            }
            Past::Open | Past::Welcomed(_) => {
                self.past = Past::Welcomed(known);
                if let Some(replay) = &mut self.replay {
                    replay.anchor = known.last;
                }
            }
            Past::Replayed => {
                self.past = Past::Settled;
                self.settle(known);
            }
        }
        settled
    }

    /// Another run of this host's agent has told what happened meanwhile, up to an event that does not wait here.
    /// What waits may be stored already, so that this run goes on as a new one would.
    fn begin_again(&mut self, known: Known) {
        let Some(replay) = &mut self.replay else {
            while self.queue.pop_front().is_some() {}
            let seq = self.take_number();
            let gap = Gap { cause: Cause::AgentDown as u8, count: None, from_nano: 0, to_nano: 0 };
            self.queue.push_mark(seq, What::Gap(gap));
            // What the stream brings now may lie before that event: only a new replay can tell.
            self.past = Past::Welcomed(known);
            self.wants_replay = true;
            return;
        };
        (replay.anchor, replay.cause) = (known.last, Cause::AgentDown);
        self.queue.forget_before_last_pending();
        self.past = Past::Welcomed(known);
        if known.last.is_some_and(|last| self.drop_through(last)) {
            self.replay = None;
            self.past = Past::Settled;
        }
    }

    /// Takes away everything up to this event, if it waits here for certain.
    fn drop_through(&mut self, last: EventIdentity) -> bool {
        // Behind the pending place of a later replay stand events that may be old ones come again.
        let mut first_replay = self.past != Past::Settled;
        let mut found = None;
        for (index, entry) in self.queue.iter().enumerate() {
            match entry.what {
                What::Pending { .. } if first_replay => first_replay = false,
                What::Pending { .. } => break,
                What::Event { identity, .. } if identity == last => found = Some(index),
                _ => {}
            }
        }
        let Some(index) = found else { return false };
        for _ in 0..=index {
            self.queue.pop_front();
        }
        true
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
        Ok(Some(Sent { seq, with_readings, more }))
    }

    /// The server answered a message. Answers whether it was about the epoch in force.
    pub fn answered(&mut self, answer: &Answer) -> bool {
        if !self.welcome || answer.epoch != self.given {
            return false;
        }
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
            Reason::Store | Reason::Malformed | Reason::TooMany | Reason::Unknown => Next::Later,
        }
    }
}

#[cfg(test)]
#[path = "reporter_tests.rs"]
mod tests;
