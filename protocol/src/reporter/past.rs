//! What a welcome says of the past, held against what was heard.

use super::{Known, Past, Reporter};
use crate::event::{Cause, Gap};
use crate::hello::Welcome;
use crate::id::EventIdentity;
use crate::queue::What;

impl Reporter {
    /// The server answered the hello. Answers whether that ends what was read before: false if all goes on.
    pub fn welcomed(&mut self, welcome: &Welcome) -> bool {
        self.queue.answered();
        if welcome.epoch >= self.given {
            self.kinds =
                welcome.kinds.iter().fold(0, |bits, kind| bits | 1u64.checked_shl((*kind).into()).unwrap_or(0));
        }
        let same = self.given == welcome.epoch;
        let others_spoke = self.restored || welcome.epoch > self.given.max(self.epoch_before) + 1;
        if same {
            self.acknowledge(welcome.acknowledged);
            if self.welcome && welcome.acknowledged <= self.acknowledged {
                return false;
            }
        }
        if welcome.epoch < self.given {
            return false; // An answer that was delayed.
        }
        self.restored = false;
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
        true
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

    /// Another run of this host's agent has told what happened meanwhile, up to an event that does not wait here; or
    /// what an earlier one had left does not fit to what is stored. What waits may be stored already, so that this run goes on as a new one would.
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

    pub(super) fn settle_if_open(&mut self) {
        if let Past::Welcomed(_) = self.past {
            self.past = Past::Settled;
        }
    }

    /// The first replay is complete and the last stored event is not in what it brought.
    pub(super) fn settle(&mut self, known: Known) {
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
}
