//! Streams of events: each begins with a replay of what the engine has kept.

use super::{Past, Replay, Reporter, Taken};
use crate::event::{Cause, Gap};
use crate::id::EventIdentity;
use crate::limits;
use crate::queue::What;

impl Reporter {
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
    pub(super) fn forget_replayed(&mut self) {
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
}
