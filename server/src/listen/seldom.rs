//! Log lines about what may happen ten thousand times a second.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(60);

/// Lets one line a minute through, and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    last: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// Warns, if it is time.
    pub fn warn(&self, what: &dyn fmt::Display) {
        if let Some(missed) = self.due(Instant::now()) {
            log::warn!("{what} ({missed} more of such in the last minutes)");
        }
    }

    /// How many were left out since the last one, if it is time for another.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            last.1 += 1;
            return None;
        }
        last.0 = Some(now);
        Some(std::mem::take(&mut last.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_minute_with_the_number_of_the_others() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.due(start), Some(0));
        assert_eq!(seldom.due(start + PAUSE / 2), None);
        assert_eq!(seldom.due(start + PAUSE / 2), None);
        assert_eq!(seldom.due(start + PAUSE), Some(2));
        assert_eq!(seldom.due(start + PAUSE), None);
    }
}
