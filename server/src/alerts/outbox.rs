//! Notices that wait: for each target in the order in which they were made. Without I/O and without a clock.

use super::notice::Notice;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Notices that wait for one target; beyond them the oldest are given up.
const WAITING: usize = 1_000;
/// So long a notice is tried, in milliseconds of the server's life: a day.
const OLDEST_MS: u64 = 24 * 3_600_000;

/// How many notices of a target were delivered and given up: as it is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Delivered.
    pub delivered: u64,
    /// Given up.
    pub dropped: u64,
}

/// All targets' notices.
#[derive(Debug, Default)]
pub struct Outbox {
    queues: BTreeMap<String, Queue>,
}

/// Those of one target.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<(Arc<Notice>, u64)>,
    /// How many there were.
    pub counts: Counts,
    /// When the last one was delivered, in milliseconds since 1970.
    pub last_delivered_ms: Option<i64>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Outbox {
    /// A target's, which comes to be with this.
    pub fn of(&mut self, target: &str) -> &mut Queue {
        self.queues.entry(target.to_owned()).or_default()
    }

    /// A target's, if there was ever a notice for it.
    pub fn get(&self, target: &str) -> Option<&Queue> {
        self.queues.get(target)
    }

    /// Another notice waits.
    pub fn push(&mut self, notice: Notice, now_ms: u64) {
        let queue = self.of(&notice.to);
        queue.waiting.push_back((Arc::new(notice), now_ms));
    }

    /// The one that is next for a target.
    pub fn next(&self, target: &str) -> Option<Arc<Notice>> {
        self.queues.get(target)?.waiting.front().map(|(notice, _)| notice.clone())
    }

    /// Those that are given up: too old, or too many.
    pub fn expired(&self, now_ms: u64) -> Vec<Arc<Notice>> {
        let of_queue = |queue: &Queue| {
            let surplus = queue.waiting.len().saturating_sub(WAITING);
            let is_old = |since: u64| now_ms.saturating_sub(since) >= OLDEST_MS;
            let those = queue.waiting.iter().enumerate();
            let those = those.filter(move |(place, (_, since))| *place < surplus || is_old(*since));
            those.map(|(_, (notice, _))| notice.clone()).collect::<Vec<_>>()
        };
        self.queues.values().flat_map(of_queue).collect()
    }

    /// Whether a notice waits.
    pub fn is_waiting(&self, target: &str, id: u64) -> bool {
        self.queues.get(target).is_some_and(|queue| queue.waiting.iter().any(|(notice, _)| notice.id == id))
    }

    /// A notice waits no more.
    pub fn remove(&mut self, target: &str, id: u64) {
        if let Some(queue) = self.queues.get_mut(target) {
            queue.waiting.retain(|(notice, _)| notice.id != id);
        }
    }

    /// A target is gone, and with it all that waits: the ids of that.
    pub fn forget(&mut self, target: &str) -> Vec<u64> {
        let queue = self.queues.remove(target).unwrap_or_default();
        queue.waiting.iter().map(|(notice, _)| notice.id).collect()
    }

    /// All that wait for a target, by id.
    pub fn ids(&self, target: &str) -> Vec<u64> {
        let waiting = self.queues.get(target).map(|queue| queue.waiting.iter());
        waiting.into_iter().flatten().map(|(notice, _)| notice.id).collect()
    }
}

/// Attempts at a notice that its target refuses.
const REFUSALS: u32 = 5;

/// Attempts at one target that failed, one after the other. They are not stored: a server that starts tries at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attempts {
    /// All of them.
    pub failed: u32,
    /// Those at the notice below that the target has refused, and did not fail for another reason.
    refused: u32,
    /// The notice that was tried last.
    notice: u64,
}

impl Attempts {
    /// One more has failed, of this notice. Answers whether it is to be given up.
    pub fn fail(&mut self, notice: u64, is_refused: bool) -> bool {
        self.failed = self.failed.saturating_add(1);
        // The one before may have become too old, or one too many.
        if notice != self.notice {
            (self.notice, self.refused) = (notice, 0);
        }
        self.refused += u32::from(is_refused);
        self.refused >= REFUSALS
    }
}

/// How long to wait before the next attempt, after so many that failed one after the other, in milliseconds. `random`
/// spreads them: targets that came back together are not all tried at once.
pub fn pause_ms(failed: u32, random: u8) -> u64 {
    let pause = (2_000_u64 << failed.saturating_sub(1).min(16)).min(600_000);
    // Four fifths to six fifths of it.
    pause * (205 + u64::from(random) * 102 / 255) / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(id: u64, to: &str) -> Notice {
        Notice { id, ..Notice::test("k", to, 0) }
    }

    #[test]
    fn order_is_kept_for_each_target_and_one_does_not_hold_up_others() {
        let mut outbox = Outbox::default();
        for (id, to) in [(1, "a"), (2, "b"), (3, "a")] {
            outbox.push(notice(id, to), 0);
        }
        let next = |outbox: &Outbox, to: &str| outbox.next(to).map(|notice| notice.id);
        assert_eq!((next(&outbox, "a"), next(&outbox, "b"), next(&outbox, "c")), (Some(1), Some(2), None));
        outbox.remove("b", 2);
        assert_eq!((next(&outbox, "a"), next(&outbox, "b")), (Some(1), None));
        outbox.remove("a", 1);
        assert_eq!(next(&outbox, "a"), Some(3));
        assert!(outbox.is_waiting("a", 3) && !outbox.is_waiting("a", 1));
        assert_eq!(outbox.forget("a"), [3]);
    }

    #[test]
    fn too_old_and_too_many_are_given_up_oldest_first() {
        let mut outbox = Outbox::default();
        for id in 0..WAITING as u64 + 2 {
            outbox.push(notice(id, "a"), id);
        }
        let ids = |outbox: &Outbox, now| outbox.expired(now).iter().map(|notice| notice.id).collect::<Vec<_>>();
        assert_eq!(ids(&outbox, 0), [0, 1]);
        assert_eq!(ids(&outbox, OLDEST_MS + 3), [0, 1, 2, 3]);
    }

    #[test]
    fn a_notice_is_given_up_when_it_is_refused_so_often_whatever_else_failed() {
        let mut attempts = Attempts::default();
        // Down for a day, and then not ready.
        assert!(!(0..1_000).any(|_| attempts.fail(1, false)));
        assert!(!(0..4).any(|_| attempts.fail(1, true)), "it was down, and has refused this four times");
        assert!(!attempts.fail(1, false));
        assert!(attempts.fail(1, true));
    }

    #[test]
    fn what_a_target_refused_of_a_notice_that_went_away_does_not_count_for_the_next() {
        let mut attempts = Attempts::default();
        assert!(!(0..4).any(|_| attempts.fail(1, true)));
        assert!(!(0..4).any(|_| attempts.fail(2, true)));
        assert!(attempts.fail(2, true));
        assert_eq!(attempts.failed, 9);
    }

    #[test]
    fn after_a_start_a_target_that_is_down_is_tried_once_and_then_at_growing_distances() {
        let mut attempts = Attempts::default();
        let pauses: Vec<u64> = (0..6)
            .map(|_| {
                attempts.fail(1, false);
                pause_ms(attempts.failed, 128)
            })
            .collect();
        assert!(pauses.windows(2).all(|pair| pair[1] > pair[0] + pair[0] / 2), "{pauses:?}");
        // What waited before the start is as old as the server.
        let mut outbox = Outbox::default();
        outbox.push(notice(1, "a"), 0);
        assert!(outbox.expired(OLDEST_MS - 1).is_empty());
    }

    #[test]
    fn pauses_grow_and_end_somewhere() {
        assert!((1_600..2_000).contains(&pause_ms(1, 0)) && (2_000..=2_400).contains(&pause_ms(1, 255)));
        assert!(pause_ms(3, 100) > pause_ms(2, 100));
        assert!((480_000..=720_000).contains(&pause_ms(u32::MAX, 128)));
    }
}
