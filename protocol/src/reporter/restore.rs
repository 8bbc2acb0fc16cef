//! A run that goes on from what an earlier one has left on disk.
//!
//! The earlier run's queue becomes this one's, with what stood before it, and this run goes on as that one would have:
//! its first replay looks for the last event that was left, and needs no welcome for that.
//!
//! What was left may be older than it seems: a disk can lose what it had, and another run may have spoken since. So the
//! first welcome has to name an event of it, or the one before its first, or say that nothing is stored. Else what was
//! left is dropped, for it may be stored, and this run goes on like a new one. With that no file can do harm.

use super::{Past, Reporter};
use crate::event::{Cause, Gap};
use crate::id::EventIdentity;
use crate::limits;
use crate::queue::What;
use serde::{Deserialize, Serialize};

/// What stands before the first entry that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// It follows directly on something that is stored.
    Known {
        /// The event before it; `None` if nothing was ever stored.
        last: Option<EventIdentity>,
        /// Behind that event a gap was acknowledged.
        gap: bool,
    },
    /// No welcome came since it was heard: it may begin with events that are stored, or there may be a gap.
    Open {
        /// Events that stood before it and did not fit.
        dropped: u32,
    },
}

/// An entry that waits, and whose place in the history is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting<'r> {
    /// An event.
    Event {
        /// The engine's time of it.
        time_nano: i64,
        /// Of its encoded bytes.
        identity: EventIdentity,
        /// Its encoded bytes, in two pieces.
        body: (&'r [u8], &'r [u8]),
    },
    /// Events are missing here.
    Gap(Gap),
}

impl Reporter {
    /// What stands before the [entries](Reporter::entries). `None` while that is in question: then there is nothing
    /// that a later run could go on from.
    pub fn before(&self) -> Option<Before> {
        match (self.past, self.queue.front()) {
            _ if self.wants_replay => None,
            (Past::Settled, _) => Some(Before::Known { last: self.last_acknowledged, gap: self.gap_acknowledged != 0 }),
            (Past::Replayed, Some(entry)) => match entry.what {
                What::Pending { dropped } => Some(Before::Open { dropped }),
                _ => None,
            },
            _ => None,
        }
    }

    /// What waits, in order, up to the place whose continuity is in question, if there is one.
    pub fn entries(&self) -> impl Iterator<Item = Waiting<'_>> {
        let open = usize::from(self.past == Past::Replayed);
        let mut offset = 0;
        let certain = self.queue.iter().skip(open).take_while(|entry| !matches!(entry.what, What::Pending { .. }));
        certain.filter_map(move |entry| match entry.what {
            What::Event { len, time_nano, identity } => {
                let body = self.queue.bytes(offset, usize::from(len));
                offset += usize::from(len);
                Some(Waiting::Event { time_nano, identity, body })
            }
            What::Gap(gap) => Some(Waiting::Gap(gap)),
            What::Nothing | What::Pending { .. } => None,
        })
    }

    /// Goes on from what an earlier run has left; its entries follow, in order. To be called before anything else.
    pub fn restore(&mut self, before: Before) {
        match before {
            Before::Known { last, gap } => {
                self.last_acknowledged = last;
                self.last_heard = last;
                self.gap_acknowledged = u64::from(gap);
                self.past = Past::Settled;
            }
            Before::Open { dropped } => {
                let seq = self.take_number();
                self.queue.push_mark(seq, What::Pending { dropped });
                self.past = Past::Replayed;
            }
        }
        self.restored = true;
    }

    /// The next entry of those is an event.
    pub fn restore_event(&mut self, time_nano: i64, body: &[u8]) {
        let identity = EventIdentity::of(body);
        (self.last_heard, self.last_heard_nano) = (Some(identity), time_nano);
        if body.len() > limits::EVENT {
            return self.missed(Cause::TooLarge, time_nano);
        }
        let seq = self.take_number();
        self.dropped += u64::from(self.queue.push_event(seq, time_nano, identity, body));
    }

    /// The next entry of those is a gap.
    pub fn restore_gap(&mut self, gap: Gap) {
        let seq = self.take_number();
        self.dropped += u64::from(self.queue.push_mark(seq, What::Gap(gap)));
    }
}
