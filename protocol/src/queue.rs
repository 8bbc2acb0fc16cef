//! What waits in the agent for an acknowledgement: bounded, in order, and honest about what it had to drop.

use crate::event::{Cause, Gap};
use crate::id::EventIdentity;
use crate::limits;
use core::ops::{Deref, DerefMut};
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
    /// Entries up to this number went in a message whose answer has not come, and may be stored; 0 for none.
    in_doubt: u64,
}

/// Memory for events that wait, some 130 KB. As a static it begins as pages that the system has yet to provide, so
/// that an agent takes of it what its events have once needed; a value that is moved takes all of it.
#[derive(Debug)]
pub struct Room(Queue);

impl Room {
    /// Empty.
    pub const fn new() -> Room {
        Room(Queue::new())
    }
}

impl Default for Room {
    fn default() -> Room {
        Room::new()
    }
}

/// Where a queue is.
#[derive(Debug)]
pub(crate) enum Place {
    Static(&'static mut Room),
    #[cfg(feature = "mirror")]
    Owned(alloc::boxed::Box<Room>),
}

impl Deref for Place {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        match self {
            Place::Static(room) => &room.0,
            #[cfg(feature = "mirror")]
            Place::Owned(room) => &room.0,
        }
    }
}

impl DerefMut for Place {
    fn deref_mut(&mut self) -> &mut Queue {
        match self {
            Place::Static(room) => &mut room.0,
            #[cfg(feature = "mirror")]
            Place::Owned(room) => &mut room.0,
        }
    }
}

impl Queue {
    pub const fn new() -> Queue {
        Queue { entries: Deque::new(), bytes: Deque::new(), in_doubt: 0 }
    }

    /// Forgets everything, and nothing of it was ever dropped.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.in_doubt = 0;
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries up to this number are on their way. Of messages without an answer the first one counts: the others
    /// go again over a new connection, which is only there if answers come, too.
    pub fn sent(&mut self, through: u64) {
        if self.in_doubt == 0 {
            self.in_doubt = through;
        }
    }

    /// What is stored is known.
    pub fn answered(&mut self) {
        self.in_doubt = 0;
    }

    /// Whether the first may be stored while the second is not: they cannot be parts of one gap, whose count would
    /// be wrong then.
    fn may_part(&self, first: u64, second: u64) -> bool {
        first <= self.in_doubt && self.in_doubt < second
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
        let dropped = self.make_room(body.len());
        let what = What::Event { len: body.len() as u16, time_nano, identity };
        let _ = self.entries.push_back(Entry { seq, what });
        for byte in body {
            let _ = self.bytes.push_back(*byte);
        }
        dropped
    }

    /// Appends a place that holds no event; drops the oldest events if it has to, and says how many.
    pub fn push_mark(&mut self, seq: u64, what: What) -> u32 {
        let dropped = self.make_room(0);
        let _ = self.entries.push_back(Entry { seq, what });
        dropped
    }

    /// Puts a gap before everything; drops the oldest events if it has to, and says how many.
    pub fn push_gap_front(&mut self, gap: Gap) -> u32 {
        let dropped = self.make_room(0);
        let seq = self.entries.front().map_or(0, |entry| entry.seq);
        let _ = self.entries.push_front(Entry { seq, what: What::Gap(gap) });
        dropped
    }

    /// Makes room for an entry of so many bytes; answers how many events went.
    fn make_room(&mut self, bytes: usize) -> u32 {
        let mut dropped = 0;
        // The first event that goes leaves a gap in its place, and so no room for an entry; the next ones do.
        while self.entries.is_full() || self.bytes.capacity() - self.bytes.len() < bytes {
            dropped += self.drop_oldest();
        }
        dropped
    }

    /// Takes a step towards room: the oldest event becomes part of the gap or the pending place before it, or of a
    /// new gap at the front. Answers how many events went (0 or 1).
    ///
    /// The mark takes the number of what it swallows. So when a message that carried the event was already
    /// stored, its acknowledgement covers the gap too. For the same reason what may be stored and what was never
    /// sent are not counted together. Pending places are never swallowed: each will be decided.
    fn drop_oldest(&mut self) -> u32 {
        // At most two places are pending, and gaps beside each other become one, unless one may be stored: so there
        // are at most six marks.
        let mut marks: heapless::Vec<Entry, 8> = heapless::Vec::new();
        let mut dropped = 0;
        while !marks.is_full()
            && let Some(entry) = self.pop_front()
        {
            match (marks.last_mut(), entry.what) {
                (_, What::Nothing) => break,
                (Some(mark), What::Event { time_nano, .. })
                    if matches!(mark.what, What::Pending { .. }) || !self.may_part(mark.seq, entry.seq) =>
                {
                    mark.seq = entry.seq;
                    match &mut mark.what {
                        What::Gap(gap) => {
                            gap.count = gap.count.map(|known| known.saturating_add(1));
                            gap.to_nano = time_nano;
                        }
                        What::Pending { dropped } => *dropped = dropped.saturating_add(1),
                        What::Event { .. } | What::Nothing => {}
                    }
                    dropped = 1;
                    break;
                }
                (_, What::Event { time_nano, .. }) => {
                    let cause = Cause::QueueFull as u8;
                    let gap = Gap { cause, count: Some(1), from_nano: time_nano, to_nano: time_nano };
                    let _ = marks.push(Entry { seq: entry.seq, what: What::Gap(gap) });
                    dropped = 1;
                    break;
                }
                (Some(Entry { seq, what: What::Gap(gap) }), What::Gap(other)) if !self.may_part(*seq, entry.seq) => {
                    *seq = entry.seq;
                    gap.count = gap.count.zip(other.count).map(|(a, b)| a.saturating_add(b));
                    gap.to_nano = if other.to_nano == 0 { gap.to_nano } else { other.to_nano };
                    break;
                }
                (_, What::Gap(_) | What::Pending { .. }) => drop(marks.push(entry)),
            }
        }
        while let Some(mark) = marks.pop() {
            let _ = self.entries.push_front(mark);
        }
        dropped
    }

    /// Takes the oldest entry away.
    pub fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        if let What::Event { len, .. } = entry.what {
            for _ in 0..len {
                self.bytes.pop_front();
            }
        }
        self.begin_anew_if_empty();
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
        self.begin_anew_if_empty();
        Some(entry)
    }

    /// Both rings at their beginning. Going round and round they would sooner or later have touched all of their
    /// memory, of which a host that is never away from its server needs the first page.
    fn begin_anew_if_empty(&mut self) {
        if self.entries.is_empty() {
            self.entries.clear();
            self.bytes.clear();
        }
    }

    /// Bytes of all events together.
    pub fn event_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes everything before the last pending place away.
    pub fn forget_before_last_pending(&mut self) {
        let last = self.entries.iter().enumerate().rfind(|(_, entry)| matches!(entry.what, What::Pending { .. }));
        let before = last.map_or(0, |(index, _)| index);
        for _ in 0..before {
            self.pop_front();
        }
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

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
