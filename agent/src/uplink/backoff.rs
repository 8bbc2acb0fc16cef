//! How long to wait before the next try. No clock and no randomness of its own.

use std::time::Duration;

/// The wait after the first failure is up to this.
const FIRST: Duration = Duration::from_secs(1);
/// And never more than this: a server that is back has all its hosts within half a minute.
const LONGEST: Duration = Duration::from_secs(20);

/// Full jitter: any wait up to a bound that doubles, so that agents that lost the server together do not come back
/// together.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Another failure. `random` is any number; its distribution becomes that of the wait.
    pub fn fail(&mut self, random: u64) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        Duration::from_millis(random % (bound.as_millis() as u64 + 1))
    }

    /// It worked.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_over_a_bound_that_doubles_and_ends() {
        let mut backoff = Backoff::default();
        let longest = |backoff: &mut Backoff, bound: u64| backoff.fail(bound);
        assert_eq!(longest(&mut backoff, 1000), Duration::from_secs(1));
        assert_eq!(longest(&mut backoff, 2000), Duration::from_secs(2));
        assert_eq!(backoff.fail(0), Duration::ZERO);
        for _ in 0..100 {
            assert!(backoff.fail(u64::MAX) <= LONGEST);
        }
        backoff.succeed();
        assert!(backoff.fail(u64::MAX) <= FIRST);
    }
}
