//! Vitals: when they go along with a report. They never make a message of their own, and nothing is read that would not
//! be sent.

use crate::hub::Hub;
use crate::vitals::{DESCRIPTORS, Vitals};
use muster_protocol::limits;
use muster_protocol::record::{Kind, Writer};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the host and its containers were looked at.
#[derive(Debug)]
pub(super) struct Looks {
    vitals: Vitals,
    last: Option<Instant>,
}

impl Looks {
    /// Of the host below this root.
    pub fn new(root: &Path) -> Looks {
        Looks { vitals: Vitals::new(root, DESCRIPTORS), last: None }
    }

    /// What goes along with a report that is about to be made, as records; empty if nothing does.
    pub fn take(&mut self, hub: &Hub) -> Vec<u8> {
        let understood = [Kind::Vitals, Kind::Disk, Kind::Usage].map(|kind| hub.reporter.borrow().understands(kind));
        let every = hub.vitals_interval.get().filter(|_| understood == [true; 3]);
        let Some(every) = every else {
            if self.last.take().is_some() {
                self.vitals.rest();
            }
            return Vec::new();
        };
        let now = Instant::now();
        if !hub.online.get() || !is_due(self.last, now, every, hub.interval.get()) {
            return Vec::new();
        }
        self.last = Some(now);
        let mut buffer = [0; limits::VITALS];
        let mut writer = Writer::records(&mut buffer);
        let is_new = self.vitals.look(hub.roster.borrow().runs(), now, wall_ms(), &mut writer);
        if is_new { writer.as_bytes().to_vec() } else { Vec::new() }
    }

    /// What was said may not have arrived.
    pub fn doubt(&mut self) {
        self.vitals.doubt();
    }

    /// The server may know nothing: everything is said with the next report.
    pub fn begin_anew(&mut self) {
        self.vitals.doubt();
        self.last = None;
    }
}

/// Whether to look with this report. Rather early than a report late.
fn is_due(last: Option<Instant>, now: Instant, every: Duration, between_reports: Duration) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) + between_reports / 2 >= every)
}

/// The host's clock.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    since.map_or_else(|before| -ms(before.duration()), ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_that_is_nearest_to_the_time_takes_them() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let due =
            |ms, every, reports| is_due(Some(start), at(ms), Duration::from_secs(every), Duration::from_secs(reports));
        assert!(is_due(None, start, Duration::from_secs(15), Duration::from_secs(5)));
        assert!(!due(10_100, 15, 5) && due(14_900, 15, 5));
        assert!(due(60_000, 15, 60) && due(2000, 2, 5), "with each report, but not more often");
        assert!(!due(0, 15, 5));
    }
}
