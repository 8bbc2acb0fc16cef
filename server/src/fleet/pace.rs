//! How many messages one host may send, so that none starves the others. No clock; times are given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Messages a second, lasting. An agent has one message out at a time and puts what has come meanwhile into the
/// next, so that this delays a storm of events and loses none.
const A_SECOND: u64 = 50;
/// Messages at once, after a pause.
const BURST: u64 = 100;
/// Longer than this nobody has to wait: more would only pile up connections.
const LONGEST_WAIT_MS: u64 = 2000;

/// One host's allowance: when its next message may go without having saved anything, by the server's monotonic clock
/// plus what a whole burst takes.
#[derive(Debug, Default)]
pub struct Pace(Mutex<u64>);

impl Pace {
    /// Takes one message's place. Answers how long to wait for it, or `None` if it is too long.
    pub fn take(&self, now_ms: u64) -> Option<Duration> {
        const EACH_MS: u64 = 1000 / A_SECOND;
        // So that the clock's beginning is no time without a burst.
        let now_ms = now_ms + BURST * EACH_MS;
        let mut booked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*booked).max(now_ms - BURST * EACH_MS);
        let wait = (start + EACH_MS).saturating_sub(now_ms);
        if wait > LONGEST_WAIT_MS {
            return None;
        }
        *booked = start + EACH_MS;
        Some(Duration::from_millis(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_waits_and_then_is_refused_while_a_calm_host_never_waits() {
        let flood = Pace::default();
        let waits: Vec<_> = (0..400).map(|_| flood.take(1_000_000)).collect();
        assert!(waits[..BURST as usize].iter().all(|wait| *wait == Some(Duration::ZERO)));
        assert!(waits[BURST as usize].is_some_and(|wait| wait > Duration::ZERO));
        assert_eq!(waits.last(), Some(&None));
        assert!(flood.take(1_010_000).is_some_and(|wait| wait.is_zero()), "it recovers");
        let calm = Pace::default();
        assert!((0..1000).all(|n| calm.take(n * 20) == Some(Duration::ZERO)));
    }
}
