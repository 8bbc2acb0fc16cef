//! What a store remembers of commits that failed.

use super::StoreError;
use std::time::{Duration, Instant};

/// The store is lost after this long, and [`TRIES`], without a commit, if its disk has room.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often a commit must have failed before the store is lost.
const TRIES: u32 = 5;

/// A commit must have failed within this time: of what nobody has tried since, nobody knows. Agents that have events
/// try several times as often.
const RECENT: Duration = Duration::from_secs(60);

/// While commits fail, the log says why once in so long.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What has happened since the store was well.
#[derive(Debug)]
pub(super) struct Failing {
    /// The first failure other than for want of room, behind the last one for want of room.
    since: Option<Instant>,
    /// How often since then.
    tries: u32,
    /// The last failure.
    last: Instant,
    /// Why it failed.
    pub error: StoreError,
    /// Nothing that is written now would be there after a restart.
    pub replaced: bool,
    /// A commit with events was among those that failed. Only another one shows that the history is well.
    with_events: bool,
    /// When the log last said why.
    said: Instant,
}

/// One failure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failure {
    /// It is only that there is no room.
    pub is_full: bool,
    /// The file of the state is not there any more, or another one is in its place.
    pub replaced: bool,
    /// There were events in the commit.
    pub with_events: bool,
}

impl Failing {
    /// After another failure. Whoever asked for the commit tells of the first one.
    pub(super) fn after(before: Option<Failing>, error: &StoreError, failure: Failure, now: Instant) -> Failing {
        let (since, tries) = match &before {
            // A full disk heals: what was counted before it says nothing.
            _ if failure.is_full => (None, 0),
            Some(Failing { since: Some(since), tries, .. }) => (Some(*since), tries + 1),
            _ => (Some(now), 1),
        };
        let mut said = before.as_ref().map_or(now, |before| before.said);
        if now.duration_since(said) >= SAID_AGAIN {
            log::warn!("still failing: {error}");
            said = now;
        }
        Failing {
            since,
            tries,
            last: now,
            error: error.clone(),
            replaced: failure.replaced || before.as_ref().is_some_and(|before| before.replaced),
            with_events: failure.with_events || before.is_some_and(|before| before.with_events),
            said,
        }
    }

    /// Whether a commit that has succeeded shows that all is well.
    pub(super) fn is_over(&self, with_events: bool) -> bool {
        with_events || !self.with_events
    }

    /// Why the store will not work again by itself, if that is so.
    pub(super) fn lost(&self) -> Option<&StoreError> {
        self.is_hopeless(Instant::now()).then_some(&self.error)
    }

    fn is_hopeless(&self, now: Instant) -> bool {
        let is_long = self.since.is_some_and(|since| now.duration_since(since) >= PATIENCE);
        let is_recent = now.duration_since(self.last) < RECENT;
        self.replaced || (is_long && is_recent && self.tries >= TRIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Failure = Failure { is_full: false, replaced: false, with_events: true };

    fn error() -> StoreError {
        StoreError { message: "the disk is on fire".into() }
    }

    fn at(seconds: u64, begun: Instant) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[test]
    fn a_store_is_lost_after_a_while_unless_its_disk_is_only_full() {
        let begun = Instant::now();
        let fail = |before, seconds, failure| Some(Failing::after(before, &error(), failure, at(seconds, begun)));
        let hopeless = |failing: &Option<Failing>, seconds| {
            failing.as_ref().is_some_and(|failing| failing.is_hopeless(at(seconds, begun)))
        };
        let few = fail(fail(None, 0, BROKEN), 200, BROKEN);
        assert!(!hopeless(&few, 200), "not often enough");
        let many = (0..=20).fold(None, |before, round| fail(before, round * 10, BROKEN));
        assert!(hopeless(&many, 200));
        let full = fail(many, 201, Failure { is_full: true, ..BROKEN });
        assert!(!hopeless(&full, 1_000));
        let soon = (0..5).fold(None, |before, round| fail(before, round, BROKEN));
        assert!(!hopeless(&soon, 5), "not long enough");
        assert!(!hopeless(&soon, 200), "nobody has tried since");
        assert!(hopeless(&fail(soon, 300, BROKEN), 300));
        assert!(hopeless(&fail(None, 0, Failure { replaced: true, ..BROKEN }), 0));
    }

    #[test]
    fn a_commit_without_events_does_not_clear_what_one_with_events_has_met() {
        let now = Instant::now();
        let without = Failing::after(None, &error(), Failure::default(), now);
        assert!(without.is_over(false) && without.is_over(true));
        let with = Failing::after(Some(without), &error(), BROKEN, now);
        assert!(!with.is_over(false) && with.is_over(true));
        let then = Failing::after(Some(with), &error(), Failure::default(), now);
        assert!(!then.is_over(false), "it is remembered");
    }
}
