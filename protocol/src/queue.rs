//! What waits in the agent for an acknowledgement: bounded, in order, and honest about what it had to drop.

use crate::event::{Cause, Gap};
use crate::id::EventIdentity;
use crate::limits;
use heapless::Deque;

/// One place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub seq: u64,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// An event, whose bytes lie in the ring.
    Event { len: u16, time_nano: i64, identity: EventIdentity },
    /// Events are missing here.
    Gap(Gap),
    /// Whether events are missing here is not known yet. `dropped` of those behind it had to go meanwhile.
    Pending { dropped: u32 },
    /// A place that turned out to hold nothing.
    Nothing,
}

/// Events and gaps in the order of their numbers.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: Deque<Entry, { limits::QUEUED_EVENTS }>,
    bytes: Deque<u8, { limits::QUEUED_BYTES }>,
}

impl Queue {
    pub const fn new() -> Queue {
        Queue { entries: Deque::new(), bytes: Deque::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The oldest entry.
    pub fn front(&self) -> Option<Entry> {
        self.entries.front().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Appends an event; drops the oldest ones if it has to, and says how many.
    pub fn push_event(&mut self, seq: u64, time_nano: i64, identity: EventIdentity, body: &[u8]) -> u32 {
        let mut dropped = 0;
        while self.entries.is_full() || self.bytes.capacity() - self.bytes.len() < body.len() {
            dropped += self.drop_oldest();
        }
        let what = What::Event { len: body.len() as u16, time_nano, identity };
        let _ = self.entries.push_back(Entry { seq, what });
        for byte in body {
            let _ = self.bytes.push_back(*byte);
        }
        dropped
    }

    /// Appends a place that holds no event; drops the oldest event if it has to, and says how many.
    pub fn push_mark(&mut self, seq: u64, what: What) -> u32 {
        let dropped = if self.entries.is_full() { self.drop_oldest() } else { 0 };
        let _ = self.entries.push_back(Entry { seq, what });
        dropped
    }

    /// Puts a gap before everything; drops the oldest event if it has to, and says how many.
    pub fn push_gap_front(&mut self, gap: Gap) -> u32 {
        let dropped = if self.entries.is_full() { self.drop_oldest() } else { 0 };
        let seq = self.entries.front().map_or(0, |entry| entry.seq);
        let _ = self.entries.push_front(Entry { seq, what: What::Gap(gap) });
        dropped
    }

    /// Makes room for one entry: the oldest event becomes part of a gap at the front. Answers how many events
    /// went (0 or 1).
    ///
    /// The gap takes the number of what it swallows. So when a message that carried the event was already
    /// stored, its acknowledgement covers the gap too.
    fn drop_oldest(&mut self) -> u32 {
        let Some(first) = self.pop_front() else { return 0 };
        let (mark, swallowed) = match first.what {
            What::Nothing => return 0,
            What::Event { .. } => (None, first),
            mark => {
                let Some(second) = self.pop_front() else { return 0 };
                (Some(mark), second)
            }
        };
        let (count, time) = match swallowed.what {
            What::Event { time_nano, .. } => (1, time_nano),
            What::Pending { dropped } => (dropped, 0),
            What::Gap(_) | What::Nothing => (0, 0),
        };
        let what = match (mark, swallowed.what) {
            (Some(What::Pending { dropped }), _) => What::Pending { dropped: dropped.saturating_add(count) },
            (Some(What::Gap(gap)), What::Gap(other)) => What::Gap(Gap {
                count: gap.count.zip(other.count).map(|(a, b)| a.saturating_add(b)),
                to_nano: if other.to_nano == 0 { gap.to_nano } else { other.to_nano },
                ..gap
            }),
            // A pending place that a gap swallows cannot be told apart from a gap any more.
            (Some(What::Gap(gap)), What::Pending { .. }) => What::Gap(Gap { count: None, ..gap }),
            (Some(What::Gap(gap)), _) => What::Gap(Gap {
                count: gap.count.map(|known| known.saturating_add(count)),
                to_nano: if time == 0 { gap.to_nano } else { time },
                ..gap
            }),
            _ => What::Gap(Gap { cause: Cause::QueueFull as u8, count: Some(count), from_nano: time, to_nano: time }),
        };
        let _ = self.entries.push_front(Entry { seq: swallowed.seq, what });
        matches!(swallowed.what, What::Event { .. }) as u32
    }

    /// Takes the oldest entry away.
    pub fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        if let What::Event { len, .. } = entry.what {
            for _ in 0..len {
                self.bytes.pop_front();
            }
        }
        Some(entry)
    }

    /// Takes the newest entry away.
    pub fn pop_back(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_back()?;
        if let What::Event { len, .. } = entry.what {
            for _ in 0..len {
                self.bytes.pop_back();
            }
        }
        Some(entry)
    }

    /// Numbers all entries anew, in order.
    pub fn renumber(&mut self, mut number: impl FnMut() -> u64) {
        for entry in self.entries.iter_mut() {
            entry.seq = number();
        }
    }

    /// Replaces the first pending place.
    pub fn resolve_first(&mut self, with: impl FnOnce(u32) -> What) {
        for entry in self.entries.iter_mut() {
            if let What::Pending { dropped } = entry.what {
                entry.what = with(dropped);
                return;
            }
        }
    }

    /// Replaces the last pending place.
    pub fn resolve_last(&mut self, with: impl FnOnce(u32) -> What) {
        let mut last = None;
        for entry in self.entries.iter_mut() {
            if let What::Pending { .. } = entry.what {
                last = Some(entry);
            }
        }
        if let Some(entry) = last
            && let What::Pending { dropped } = entry.what
        {
            entry.what = with(dropped);
        }
    }

    /// The bytes of an event that begins at `offset`, in one or two pieces.
    pub fn bytes(&self, offset: usize, len: usize) -> (&[u8], &[u8]) {
        let (head, tail) = self.bytes.as_slices();
        let end = offset + len;
        if offset >= head.len() {
            (&tail[offset - head.len()..end - head.len()], &[])
        } else if end <= head.len() {
            (&head[offset..end], &[])
        } else {
            (&head[offset..], &tail[..end - head.len()])
        }
    }
}
