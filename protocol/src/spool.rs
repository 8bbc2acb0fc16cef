//! What an agent may keep on disk of the events that wait, so that a power cut does not take them.
//!
//! This says what belongs into the file and reads it again; it does no I/O. The file is a row of records:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | kind: 1 head, 2 event, 3 gap |
//! | 2 | length of the payload, little-endian |
//! | | payload: head: version `01`, host `[8]`, [`Before`]; event: its time (8, little-endian), then the encoded event; gap: [`Gap`] |
//! | 8 | XXH3-64 of all that, seeded with the sum of the record before it; little-endian |
//!
//! The head comes first and once. What does not fit its sum, and everything behind it, was never written whole and is
//! not read. A file may be older than what the server has: what becomes of it is decided when the server's welcome says
//! what is stored (see [`Reporter::restore`]).

use crate::event::{Cause, Gap};
use crate::id::{EventIdentity, HostId};
use crate::limits;
use crate::reporter::{Before, Reporter, Waiting};
use xxhash_rust::xxh3::Xxh3;

/// The least that a spool may take: a few of the largest events.
pub const SMALLEST: usize = 16 * 1024;

/// More than this the queue cannot hold: its bytes, and what each entry takes besides.
pub const LARGEST: usize = 128 * 1024;

const HEAD: u8 = 1;
const EVENT: u8 = 2;
const GAP: u8 = 3;
const VERSION: u8 = 1;
/// Kind and length, and the sum.
const FRAME: usize = 1 + 2 + 8;
const TIME: usize = 8;
/// Payloads that are not events are smaller than this.
const SMALL: usize = 64;

/// What is to be done to the file. None of it is urgent: whatever the file has, it does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing of it is needed any more.
    Remove,
    /// What was written out is its whole new content, which takes the old one's place at once.
    Replace,
    /// What was written out goes to its end.
    Append,
}

/// The file, as far as it is known here.
#[derive(Debug)]
pub struct Spool {
    host: HostId,
    limit: usize,
    /// Bytes in the file; 0 if there is none.
    len: usize,
    /// The sum of its last record.
    sum: u64,
    /// The last event in it; `None` if it has to be written anew before anything can be appended.
    tail: Option<EventIdentity>,
    /// How many gaps it has behind that event.
    gaps: usize,
}

impl Spool {
    /// There is no file. `limit` is how many bytes it may have, from [`SMALLEST`] to [`LARGEST`].
    pub fn new(host: HostId, limit: usize) -> Spool {
        Spool { host, limit: limit.clamp(SMALLEST, LARGEST), len: 0, sum: 0, tail: None, gaps: 0 }
    }

    /// There is a file with these bytes: what it has of this host goes back into the reporter, which must be new.
    /// Answers how many events that are.
    pub fn restore(&mut self, bytes: &[u8], reporter: &mut Reporter) -> usize {
        // Whatever it is, it has to be removed or replaced.
        self.len = bytes.len();
        let mut records = Records { bytes, sum: 0 };
        let Some(before) = records.next().and_then(|(kind, head)| self.before(kind, head)) else { return 0 };
        if !records.clone().any(|(kind, _)| kind == EVENT) {
            return 0;
        }
        reporter.restore(before);
        let (mut events, mut gaps) = (0, 0);
        let mut tail = None;
        for (kind, payload) in records.by_ref() {
            match (kind, payload.split_first_chunk::<TIME>()) {
                (EVENT, Some((time, body))) => {
                    reporter.restore_event(i64::from_le_bytes(*time), body);
                    (tail, gaps) = (Some(EventIdentity::of(body)), 0);
                    events += 1;
                }
                (GAP, _) => {
                    let Ok(gap) = postcard::from_bytes(payload) else { break };
                    reporter.restore_gap(gap);
                    gaps += 1;
                }
                _ => break,
            }
        }
        if records.bytes.is_empty() {
            (self.sum, self.tail, self.gaps) = (records.sum, tail, gaps);
        }
        events
    }

    fn before(&self, kind: u8, head: &[u8]) -> Option<Before> {
        let (version, host, before): (u8, HostId, Before) = postcard::from_bytes(head).ok()?;
        (kind == HEAD && version == VERSION && host == self.host).then_some(before)
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the file have what waits. What is to be written goes to `out`, piece by piece.
    pub fn keep(&mut self, reporter: &Reporter, out: impl FnMut(&[u8])) -> Option<Change> {
        let Some(before) = reporter.before().filter(|_| events(reporter) > 0) else { return self.remove() };
        let Some(behind) = self.behind_tail(reporter) else { return Some(self.replace(before, reporter, out)) };
        let more: usize = reporter.entries().skip(behind).map(|entry| size(&entry)).sum();
        if more == 0 {
            return None;
        }
        if self.len + more > self.limit {
            return Some(self.replace(before, reporter, out));
        }
        self.append(reporter.entries().skip(behind), out);
        Some(Change::Append)
    }

    /// The server has acknowledged something: the file goes if nothing of it waits any more.
    pub fn acknowledged(&mut self, reporter: &Reporter) -> Option<Change> {
        if self.behind_tail(reporter).is_some() {
            return None;
        }
        self.remove()
    }

    /// The file goes, whatever waits. That is right at any time: a later run knows less then, and may show a gap.
    pub fn remove(&mut self) -> Option<Change> {
        let had = !self.is_empty();
        *self = Spool::new(self.host, self.limit);
        had.then_some(Change::Remove)
    }

    /// How many of the reporter's entries are in the file, or before what is.
    fn behind_tail(&self, reporter: &Reporter) -> Option<usize> {
        let tail = self.tail?;
        let is_tail = |entry| matches!(entry, Waiting::Event { identity, .. } if identity == tail);
        Some(reporter.entries().position(is_tail)? + 1 + self.gaps)
    }

    /// The newest entries that fit into three quarters of the file, so that there is room to append; the others count
    /// as missing.
    fn replace(&mut self, before: Before, reporter: &Reporter, mut out: impl FnMut(&[u8])) -> Change {
        let mut all: usize = reporter.entries().map(|entry| size(&entry)).sum();
        let room = self.limit / 4 * 3 - 2 * (FRAME + SMALL);
        let (mut left_out, mut count, mut from_nano, mut to_nano) = (0, Some(0_u32), 0, 0);
        for entry in reporter.entries().take_while(|entry| {
            let fits = all <= room;
            all -= size(entry);
            !fits
        }) {
            left_out += 1;
            let (more, from, to) = match entry {
                Waiting::Event { time_nano, .. } => (Some(1), time_nano, time_nano),
                Waiting::Gap(gap) => (gap.count, gap.from_nano, gap.to_nano),
            };
            count = count.zip(more).map(|(a, b)| a.saturating_add(b));
            from_nano = if left_out == 1 { from } else { from_nano };
            to_nano = to;
        }
        *self = Spool::new(self.host, self.limit);
        let mut payload = [0; SMALL];
        if let Ok(head) = postcard::to_slice(&(VERSION, self.host, before), &mut payload) {
            self.record(HEAD, &[head], &mut out);
        }
        if left_out > 0 {
            let gap = Gap { cause: Cause::QueueFull as u8, count, from_nano, to_nano };
            self.append(core::iter::once(Waiting::Gap(gap)), &mut out);
        }
        self.append(reporter.entries().skip(left_out), out);
        Change::Replace
    }

    fn append<'r>(&mut self, entries: impl Iterator<Item = Waiting<'r>>, mut out: impl FnMut(&[u8])) {
        for entry in entries {
            match entry {
                Waiting::Event { time_nano, identity, body } => {
                    self.record(EVENT, &[&time_nano.to_le_bytes(), body.0, body.1], &mut out);
                    (self.tail, self.gaps) = (Some(identity), 0);
                }
                Waiting::Gap(gap) => {
                    let mut payload = [0; SMALL];
                    if let Ok(payload) = postcard::to_slice(&gap, &mut payload) {
                        self.record(GAP, &[payload], &mut out);
                        self.gaps += 1;
                    }
                }
            }
        }
    }

    fn record(&mut self, kind: u8, payload: &[&[u8]], out: &mut impl FnMut(&[u8])) {
        let len: usize = payload.iter().map(|piece| piece.len()).sum();
        let [low, high] = (len as u16).to_le_bytes();
        let front = [kind, low, high];
        self.sum = summed(self.sum, &front, payload);
        out(&front);
        payload.iter().for_each(|piece| out(piece));
        out(&self.sum.to_le_bytes());
        self.len += FRAME + len;
    }
}

fn events(reporter: &Reporter) -> usize {
    reporter.entries().filter(|entry| matches!(entry, Waiting::Event { .. })).count()
}

/// Bytes of an entry's record, or a little more.
fn size(entry: &Waiting<'_>) -> usize {
    match entry {
        Waiting::Event { body, .. } => FRAME + TIME + body.0.len() + body.1.len(),
        Waiting::Gap(_) => FRAME + SMALL,
    }
}

fn summed(seed: u64, front: &[u8], payload: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::with_seed(seed);
    hash.update(front);
    payload.iter().for_each(|piece| hash.update(piece));
    hash.digest()
}

/// Reads records for as long as their sums are right.
#[derive(Clone)]
struct Records<'b> {
    /// What is left.
    bytes: &'b [u8],
    /// Of the last record.
    sum: u64,
}

impl<'b> Iterator for Records<'b> {
    type Item = (u8, &'b [u8]);

    fn next(&mut self) -> Option<(u8, &'b [u8])> {
        let (front, rest) = self.bytes.split_first_chunk::<3>()?;
        let len = usize::from(u16::from_le_bytes([front[1], front[2]]));
        let (payload, rest) = rest.split_at_checked(len)?;
        let (sum, rest) = rest.split_first_chunk()?;
        let right = summed(self.sum, front, &[payload]);
        if u64::from_le_bytes(*sum) != right {
            return None;
        }
        (self.bytes, self.sum) = (rest, right);
        Some((front[0], payload))
    }
}

const _: () = assert!(LARGEST >= limits::QUEUED_BYTES + limits::QUEUED_EVENTS * (FRAME + TIME));
const _: () = assert!(SMALLEST / 4 * 3 - 2 * (FRAME + SMALL) >= FRAME + TIME + limits::EVENT, "an event fits");
const _: () = assert!(limits::EVENT + TIME <= u16::MAX as usize, "a record's length has two bytes");

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
