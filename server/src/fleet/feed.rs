//! Every change of the fleet, in order, for those who watch it.
//!
//! Changes are numbered and kept, already serialised, in one ring that all subscribers read: a subscriber is a
//! place in the ring and no queue of its own, so that 256 slow ones cost no more memory than none. One that the
//! ring has overtaken is cut. It may come back with the last id it saw; where the ring cannot continue from
//! there, it is told to read the lists again.

use crate::api::types::Change;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Changes that can be resumed. A fleet of 100 hosts in ordinary use makes that many in some hours, one of
/// 10,000 in some tens of seconds: enough for a client to reconnect.
const CHANGES: usize = 4096;

/// Bytes of those changes. A container is some 2 KiB, and 16 KiB at worst.
const BYTES: usize = 8 * 1024 * 1024;

/// Subscribers at a time: dashboards and command lines of people, not agents.
const SUBSCRIBERS: usize = 256;

/// What one read of a subscriber takes from the ring at most, so that copying it does not hold up publishing.
const READ: usize = 64 * 1024;

/// For how long after the last subscriber left changes are still kept: it may be about to reconnect. After that
/// publishing serialises nothing.
const RESUME_WINDOW: Duration = Duration::from_secs(120);

/// The changes, and who watches them. A clone is the same feed.
#[derive(Debug, Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Names this life of the server in ids: numbers start again with it.
    boot: String,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the newest change; 0 before the first.
    newest: u64,
    /// The newest change that is no longer held: `entries` are those behind it, up to `newest`.
    forgotten: u64,
    entries: VecDeque<Entry>,
    /// Of the entries' JSON.
    bytes: usize,
    /// The newest event of the fleet's history that was published.
    newest_event: u64,
    subscribers: Vec<Subscriber>,
    /// Grows with every subscriber that ever was.
    next_subscriber: u64,
    /// When the last subscriber left, if one was ever there and none is now.
    left: Option<Instant>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    kind: &'static str,
    host_id: Box<str>,
    json: Box<[u8]>,
}

/// What of all changes a subscriber wants. Empty lists want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedSelect {
    /// The stream's words: see [`Change::kind`].
    pub kinds: Vec<String>,
    /// Ids of hosts. What is about no host is wanted too.
    pub hosts: Vec<String>,
}

impl FeedSelect {
    fn wants(&self, entry: &Entry) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == entry.kind))
            && (self.hosts.is_empty()
                || entry.host_id.is_empty()
                || self.hosts.iter().any(|host| **host == *entry.host_id))
    }
}

#[derive(Debug)]
struct Subscriber {
    key: u64,
    /// Whose token opened it.
    owner: String,
    /// It is to read nothing more.
    cut: bool,
    /// Holds one wake-up at most.
    wake: async_channel::Sender<()>,
}

/// All places for subscribers are taken, or the server is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Feed {
    /// A feed without changes. `boot` names this life of the server: letters and digits, different each time.
    pub fn new(boot: String) -> Feed {
        Feed { shared: Arc::new(Shared { boot, ring: Mutex::default() }) }
    }

    /// Appends a change that is true from now on; `newest_event` is the id of the newest event in the history by
    /// then. Call it in the order in which the changes (and events) were stored, after they were.
    pub fn publish(&self, change: Change, newest_event: u64) {
        self.publish_with(newest_event, || change);
    }

    /// As [`Feed::publish`], but makes the change only if somebody may want to read it.
    pub fn publish_with(&self, newest_event: u64, make: impl FnOnce() -> Change) {
        self.publish_at(Instant::now(), newest_event, make);
    }

    fn publish_at(&self, now: Instant, newest_event: u64, make: impl FnOnce() -> Change) {
        let mut ring = self.shared.lock();
        ring.newest_event = ring.newest_event.max(newest_event);
        ring.newest += 1;
        if !ring.is_wanted(now) {
            ring.forget_all();
            return;
        }
        let change = make();
        // A change that cannot be serialised is left out by forgetting what lies before: nobody misses it unseen.
        let Ok(json) = change.object_json() else { return ring.forget_all() };
        ring.bytes += json.len();
        let host_id = change.host_id().into();
        ring.entries.push_back(Entry { kind: change.kind(), host_id, json: json.into_boxed_slice() });
        while ring.entries.len() > CHANGES || ring.bytes > BYTES {
            let Some(oldest) = ring.entries.pop_front() else { break };
            ring.bytes -= oldest.json.len();
            ring.forgotten += 1;
        }
        for subscriber in &ring.subscribers {
            // A full channel means that a wake-up already waits.
            let _ = subscriber.wake.try_send(());
        }
    }

    /// Watches from behind the change with the id `resume`, or from now on. `owner` is the id of the token that allows
    /// it: see [`Feed::cut`].
    ///
    /// Unless the ring continues from `resume` without loss, the first thing to be read is a `reset`.
    pub fn subscribe(&self, owner: &str, resume: Option<&str>) -> Result<Subscription, Full> {
        self.subscribe_to(owner, resume, FeedSelect::default())
    }

    /// The same, for some of the changes.
    pub fn subscribe_to(&self, owner: &str, resume: Option<&str>, select: FeedSelect) -> Result<Subscription, Full> {
        let (wake, woken) = async_channel::bounded(1);
        let mut ring = self.shared.lock();
        if ring.closed || ring.subscribers.len() >= SUBSCRIBERS {
            return Err(Full);
        }
        let place = self.shared.place(&ring, resume);
        let (seen, reset) = match place {
            Ok(seen) => (seen, None),
            Err(reason) => (ring.newest, Some(self.shared.reset_frame(&ring, reason))),
        };
        let key = ring.next_subscriber;
        ring.next_subscriber += 1;
        ring.left = None;
        ring.subscribers.push(Subscriber { key, owner: owner.to_owned(), cut: false, wake });
        drop(ring);
        Ok(Subscription { shared: Arc::clone(&self.shared), key, seen, told: seen, reset, woken, select })
    }

    /// Nobody knows whether all changes up to now were published: whoever watches is cut, and told to read the lists
    /// again when it comes back.
    pub fn interrupt(&self) {
        let mut ring = self.shared.lock();
        ring.newest += 1;
        ring.forget_all();
        for subscriber in &ring.subscribers {
            let _ = subscriber.wake.try_send(());
        }
    }

    /// Ends what this token opened: not even what is there already is read any more.
    pub fn cut(&self, owner: &str) {
        let mut ring = self.shared.lock();
        for subscriber in ring.subscribers.iter_mut().filter(|subscriber| subscriber.owner == owner) {
            subscriber.cut = true;
            let _ = subscriber.wake.try_send(());
        }
    }

    /// Lets every subscriber read what is there, and ends it then. For the end of the server.
    pub fn close(&self) {
        let mut ring = self.shared.lock();
        ring.closed = true;
        ring.subscribers.clear();
    }

    /// The id of the newest event that was published; 0 before the first.
    pub fn newest_event(&self) -> u64 {
        self.shared.lock().newest_event
    }

    /// How many watch.
    pub fn subscribers(&self) -> usize {
        self.shared.lock().subscribers.len()
    }
}

impl Ring {
    fn is_wanted(&self, now: Instant) -> bool {
        !self.subscribers.is_empty()
            || self.left.is_some_and(|left| now.saturating_duration_since(left) < RESUME_WINDOW)
    }

    fn forget_all(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.forgotten = self.newest;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ring> {
        // The ring is whole between any two statements that could panic.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number that `resume` stands for, if the ring continues from it; else why not.
    fn place(&self, ring: &Ring, resume: Option<&str>) -> Result<u64, &'static str> {
        let resume = resume.ok_or("new")?;
        let (boot, number) = resume.rsplit_once('.').ok_or("unknown_id")?;
        if boot != self.boot {
            return Err("server_restarted");
        }
        let number: u64 = number.parse().map_err(|_| "unknown_id")?;
        match number {
            _ if number > ring.newest => Err("unknown_id"),
            _ if number < ring.forgotten => Err("too_old"),
            _ => Ok(number),
        }
    }

    /// Its id is that of the newest change, so that a client that read the lists after it resumes from there.
    fn reset_frame(&self, ring: &Ring, reason: &str) -> Vec<u8> {
        let data = serde_json::json!({ "reason": reason, "newest_event": ring.newest_event });
        format!("id: {}.{}\nevent: reset\ndata: {data}\n\n", self.boot, ring.newest).into_bytes()
    }
}

/// One who watches. Dropping it frees its place.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    key: u64,
    /// The number of the last change that was read.
    seen: u64,
    /// The number that the client knows of.
    told: u64,
    select: FeedSelect,
    /// To be read first.
    reset: Option<Vec<u8>>,
    woken: async_channel::Receiver<()>,
}

impl Subscription {
    /// What came since the last call, as Server-Sent Events: one or more whole ones, some 64 KiB at most; waits for
    /// the first. `None` if this subscriber was cut because the ring has overtaken it, or the feed was closed.
    ///
    /// May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.take() {
                Taken::Frames(frames) => return Some(frames),
                Taken::End => return None,
                // An error means that the feed was closed: what came before that is there now.
                Taken::Nothing => {
                    let _ = self.woken.recv().await;
                }
            }
        }
    }

    /// A line that carries the id of the last change that was read, if the client does not know it yet: so that it need
    /// not begin anew because nothing that it wants has happened for long.
    pub fn place(&mut self) -> Option<String> {
        let is_new = std::mem::replace(&mut self.told, self.seen) != self.seen;
        is_new.then(|| format!("id: {}.{}\n", self.shared.boot, self.seen))
    }

    fn take(&mut self) -> Taken {
        let ring = self.shared.lock();
        if ring.subscribers.iter().any(|subscriber| subscriber.key == self.key && subscriber.cut) {
            return Taken::End;
        }
        if let Some(reset) = self.reset.take() {
            return Taken::Frames(reset);
        }
        if self.seen < ring.forgotten {
            return Taken::End;
        }
        let read = usize::try_from(self.seen - ring.forgotten).unwrap_or(usize::MAX);
        let mut frames = Vec::new();
        for entry in ring.entries.iter().skip(read) {
            if !frames.is_empty() && frames.len() + entry.json.len() > READ {
                break;
            }
            self.seen += 1;
            if !self.select.wants(entry) {
                continue;
            }
            self.told = self.seen;
            let head = format!("id: {}.{}\nevent: {}\ndata: ", self.shared.boot, self.seen, entry.kind);
            frames.extend_from_slice(head.as_bytes());
            frames.extend_from_slice(&entry.json);
            frames.extend_from_slice(b"\n\n");
        }
        match (frames.is_empty(), ring.closed) {
            (false, _) => Taken::Frames(frames),
            (true, true) => Taken::End,
            (true, false) => Taken::Nothing,
        }
    }
}

enum Taken {
    Frames(Vec<u8>),
    Nothing,
    End,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut ring = self.shared.lock();
        ring.subscribers.retain(|subscriber| subscriber.key != self.key);
        if ring.subscribers.is_empty() {
            ring.left = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn gone(number: usize) -> Change {
        Change::ContainerGone { host_id: "h".into(), id: number.to_string() }
    }

    /// The ids and kinds of all that can be read now without waiting, and whether the stream ended.
    fn read(subscription: &mut Subscription) -> (Vec<(String, String)>, bool) {
        let mut seen = Vec::new();
        loop {
            match block_on(poll_once(subscription.next())) {
                None => return (seen, false),
                Some(None) => return (seen, true),
                Some(Some(frames)) => {
                    let text = String::from_utf8(frames).expect("text");
                    assert!(text.ends_with("\n\n"), "whole events only");
                    for frame in text.trim_end().split("\n\n") {
                        let mut lines = frame.lines();
                        let id = lines.next().and_then(|line| line.strip_prefix("id: ")).expect("an id");
                        let kind = lines.next().and_then(|line| line.strip_prefix("event: ")).expect("a kind");
                        let data = lines.next().and_then(|line| line.strip_prefix("data: ")).expect("data");
                        serde_json::from_str::<serde_json::Value>(data).expect("JSON on one line");
                        assert_eq!(lines.next(), None);
                        seen.push((id.to_string(), kind.to_string()));
                    }
                }
            }
        }
    }

    fn ids(subscription: &mut Subscription) -> Vec<String> {
        read(subscription).0.into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn a_new_subscriber_is_told_to_read_the_lists_and_then_sees_every_change() {
        let feed = Feed::new("b1".into());
        feed.publish(gone(1), 7);
        let mut all = feed.subscribe("t", None).expect("a place");
        let first = block_on(all.next()).expect("the reset");
        let first = String::from_utf8(first).expect("text");
        assert!(first.starts_with("id: b1.1\nevent: reset\ndata: {"), "{first}");
        assert!(first.contains("\"reason\":\"new\"") && first.contains("\"newest_event\":7"), "{first}");
        feed.publish(gone(2), 7);
        feed.publish(gone(3), 8);
        assert_eq!(ids(&mut all), ["b1.2", "b1.3"]);
        assert_eq!(ids(&mut all), [""; 0]);
    }

    #[test]
    fn resuming_by_id_loses_and_repeats_nothing() {
        let feed = Feed::new("b1".into());
        let mut first = feed.subscribe("t", None).expect("a place");
        for n in 1..=10 {
            feed.publish(gone(n), 0);
        }
        assert_eq!(ids(&mut first).len(), 11);
        drop(first);
        feed.publish(gone(11), 0);
        let mut again = feed.subscribe("t", Some("b1.8")).expect("a place");
        feed.publish(gone(12), 0);
        assert_eq!(ids(&mut again), ["b1.9", "b1.10", "b1.11", "b1.12"]);
        let mut current = feed.subscribe("t", Some("b1.12")).expect("a place");
        assert_eq!(ids(&mut current), [""; 0]);
    }

    #[test]
    fn what_cannot_be_resumed_is_reset() {
        let feed = Feed::new("b2".into());
        let _keeps_the_ring = feed.subscribe("t", None).expect("a place");
        for n in 0..CHANGES + 10 {
            feed.publish(gone(n), 0);
        }
        for (resume, reason) in [
            ("b1.5", "server_restarted"),
            ("b2.9", "too_old"),
            ("b2.99999", "unknown_id"),
            ("b2.x", "unknown_id"),
            ("nonsense", "unknown_id"),
            ("", "unknown_id"),
        ] {
            let mut subscription = feed.subscribe("t", Some(resume)).expect("a place");
            let frame = String::from_utf8(block_on(subscription.next()).expect("a reset")).expect("text");
            assert!(frame.contains("event: reset\n") && frame.contains(reason), "{resume}: {frame}");
        }
        let mut oldest = feed.subscribe("t", Some("b2.10")).expect("a place");
        assert_eq!(ids(&mut oldest).len(), CHANGES);
    }

    #[test]
    fn a_subscriber_that_does_not_read_is_cut_and_holds_nobody_up() {
        let feed = Feed::new("b".into());
        let mut slow = feed.subscribe("t", None).expect("a place");
        let mut quick = feed.subscribe("t", None).expect("a place");
        let mut count = 0;
        for n in 0..CHANGES + 1 {
            feed.publish(gone(n), 0);
            count += ids(&mut quick).len();
        }
        assert_eq!(count, CHANGES + 2);
        let (seen, ended) = read(&mut slow);
        assert_eq!((seen.len(), ended), (1, true), "the reset it had coming, then the end");
    }

    #[test]
    fn the_ring_is_bounded_in_bytes() {
        let feed = Feed::new("b".into());
        let _keeps_the_ring = feed.subscribe("t", None).expect("a place");
        for _ in 0..20 {
            feed.publish(Change::ContainerGone { host_id: "h".repeat(1024 * 1024), id: String::new() }, 0);
        }
        let ring = feed.shared.lock();
        assert!(ring.bytes <= BYTES && ring.entries.len() == 7, "{} in {}", ring.bytes, ring.entries.len());
        assert_eq!(ring.forgotten, 13);
    }

    #[test]
    fn nothing_is_made_for_nobody() {
        let feed = Feed::new("b".into());
        feed.publish_with(3, || unreachable!("nobody ever watched"));
        drop(feed.subscribe("t", None).expect("a place"));
        feed.publish(gone(2), 3);
        let later = Instant::now() + RESUME_WINDOW;
        feed.publish_at(later, 3, || unreachable!("the last one left long ago"));
        let mut back = feed.subscribe("t", Some("b.1")).expect("a place");
        let (seen, _) = read(&mut back);
        assert_eq!(seen, [("b.3".to_string(), "reset".to_string())], "what was not kept is not passed over in silence");
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let feed = Feed::new("b".into());
        let mut all: Vec<_> = (0..SUBSCRIBERS).map(|_| feed.subscribe("t", None).expect("a place")).collect();
        assert!(feed.subscribe("t", None).is_err());
        all.pop();
        assert!(feed.subscribe("t", None).is_ok());
        assert_eq!(feed.subscribers(), SUBSCRIBERS - 1);
    }

    #[test]
    fn closing_ends_everyone_after_the_last_change() {
        let feed = Feed::new("b".into());
        let mut one = feed.subscribe("t", None).expect("a place");
        feed.publish(gone(1), 0);
        feed.close();
        let (seen, ended) = read(&mut one);
        assert_eq!((seen.len(), ended), (2, true));
        assert!(feed.subscribe("t", None).is_err());
    }

    #[test]
    fn who_loses_the_right_to_watch_reads_nothing_more() {
        let feed = Feed::new("b".into());
        let mut gone_one = feed.subscribe("gone", None).expect("a place");
        let mut unread = feed.subscribe("gone", None).expect("a place");
        let mut stays = feed.subscribe("stays", None).expect("a place");
        read(&mut gone_one);
        feed.publish(gone(1), 0);
        feed.cut("gone");
        assert_eq!(read(&mut gone_one), (vec![], true));
        assert_eq!(read(&mut unread), (vec![], true), "not even the beginning");
        assert_eq!(read(&mut stays).0.len(), 2);
    }
}
