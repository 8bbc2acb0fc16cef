//! How much one host may send, so that none starves the others. No clock; times are given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Messages a second, lasting. An agent has one message out at a time and puts what has come meanwhile into the
/// next, so that this delays a storm of events and loses none.
const A_SECOND: u64 = 50;
/// Messages at once, after a pause.
const BURST: u64 = 100;
/// A message counts once more for so many bytes. That makes 640 KiB a second, five times what a thousand plain
/// containers are every five seconds.
const BYTES: usize = 16 * 1024;
/// Longer than this nobody has to wait: more would only pile up connections.
const LONGEST_WAIT_MS: u64 = 2000;

const EACH_MS: u64 = 1000 / A_SECOND;

/// One host's allowance: when its next message may go without having saved anything, by the server's monotonic clock
/// plus what a whole burst takes: so the clock's beginning is no time without a burst.
#[derive(Debug, Default)]
pub struct Pace(Mutex<u64>);

impl Pace {
    /// Takes the place of one message of so many bytes. Answers how long to wait for it, or `None` if it is too long.
    pub fn take(&self, now_ms: u64, bytes: usize) -> Option<Duration> {
        let mut booked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*booked).max(now_ms) + EACH_MS * (1 + (bytes / BYTES) as u64);
        let wait = after.saturating_sub(now_ms + BURST * EACH_MS);
        if wait > LONGEST_WAIT_MS {
            return None;
        }
        *booked = after;
        Some(Duration::from_millis(wait))
    }

    /// Whether not even the smallest message would be let in.
    pub fn is_over(&self, now_ms: u64) -> bool {
        let booked = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (booked + EACH_MS).saturating_sub(now_ms + BURST * EACH_MS) > LONGEST_WAIT_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_and_then_is_refused_while_a_calm_host_never_waits() {
        let flood = Pace::default();
        let waits: Vec<_> = (0..400).map(|_| flood.take(1_000_000, 10)).collect();
        assert!(waits[..BURST as usize].iter().all(|wait| *wait == Some(Duration::ZERO)));
        assert!(waits[BURST as usize].is_some_and(|wait| wait > Duration::ZERO));
        assert_eq!(waits.last(), Some(&None));
        assert!(flood.is_over(1_000_000));
        assert!(!flood.is_over(1_000_000 + EACH_MS));
        assert!(flood.take(1_010_000, 10).is_some_and(|wait| wait.is_zero()), "it recovers");
        let calm = Pace::default();
        assert!((0..1000).all(|n| calm.take(n * 20, 10) == Some(Duration::ZERO)));
    }

    #[test]
    fn large_messages_count_more_and_a_full_host_is_not_held_up() {
        let flood = Pace::default();
        let let_in = (0..1000).filter(|n| flood.take(n * 10, 64 * 1024).is_some()).count();
        assert!((100..150).contains(&let_in), "{let_in} of 64 KiB in ten seconds");
        // A thousand containers in some twenty messages, every five seconds.
        let full = Pace::default();
        let report = |n: u64| (0..20).all(|_| full.take(n * 5000, 33 * 1024) == Some(Duration::ZERO));
        assert!((0..100).all(report));
    }
}
