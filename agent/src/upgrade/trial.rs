//! Does the new agent report? Its host's epoch says so: the server gives each run of an agent a higher one when it takes
//! its first message, and the agent writes it down.

use crate::join::identity;
use async_io::Timer;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// For the new agent to stay the same run once it was welcomed: one that is started again and again reports, too.
const STEADY: Duration = Duration::from_secs(10);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One run of the new agent reports.
    Reports,
    /// No run was welcomed in time.
    Silent,
    /// Runs were welcomed, and none lasted.
    Unsteady,
    /// Whoever waits was told to end.
    Ended,
}

/// Looks until it is clear. `before` is the epoch from before the new agent was started; it has to be welcomed `within`
/// this time.
pub fn watch(state_dir: &Path, before: u64, within: Duration) -> io::Result<Verdict> {
    let mut signals = Signals::new([Signal::Term, Signal::Int, Signal::Hup])?;
    let told = async {
        signals.next().await;
        Verdict::Ended
    };
    let looked = async {
        let mut watch = Watch::new(before, within, Instant::now());
        loop {
            if let Some(verdict) = watch.look(identity::load_epoch(state_dir), Instant::now()) {
                return verdict;
            }
            Timer::after(LOOK).await;
        }
    };
    Ok(async_io::block_on(future::or(told, looked)))
}

/// What was seen so far. No clock of its own.
#[derive(Debug)]
struct Watch {
    epoch: u64,
    begun: Instant,
    within: Duration,
    /// When the epoch last changed.
    changed: Option<Instant>,
}

impl Watch {
    fn new(before: u64, within: Duration, now: Instant) -> Watch {
        Watch { epoch: before, begun: now, within, changed: None }
    }

    fn look(&mut self, epoch: u64, now: Instant) -> Option<Verdict> {
        if epoch > self.epoch {
            (self.epoch, self.changed) = (epoch, Some(now));
        }
        match self.changed {
            Some(changed) if now.duration_since(changed) >= STEADY => Some(Verdict::Reports),
            None if now.duration_since(self.begun) >= self.within => Some(Verdict::Silent),
            Some(_) if now.duration_since(self.begun) >= self.within + STEADY => Some(Verdict::Unsteady),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_lasts_reports() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let within = Duration::from_secs(120);
        let mut watch = Watch::new(7, within, begun);
        assert_eq!((watch.look(7, at(1)), watch.look(8, at(2)), watch.look(8, at(11))), (None, None, None));
        assert_eq!(watch.look(8, at(12)), Some(Verdict::Reports));

        let mut silent = Watch::new(7, within, begun);
        assert_eq!(
            (silent.look(7, at(119)), silent.look(0, at(119))),
            (None, None),
            "a file that is gone is no welcome"
        );
        assert_eq!(silent.look(7, at(120)), Some(Verdict::Silent));

        let mut unsteady = Watch::new(7, within, begun);
        for number in 0..26 {
            assert_eq!(unsteady.look(8 + number, at(1 + 5 * number)), None);
        }
        assert_eq!(unsteady.look(34, at(130)), Some(Verdict::Unsteady));
    }
}
