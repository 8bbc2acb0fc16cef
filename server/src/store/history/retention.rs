//! How much of the history is kept. Whole files go, the oldest first, for a redb file gives no room back while it is
//! in use.

/// The least bytes of a part: a file that holds little takes some 60 KB.
const PART_MIN: u64 = 128 * 1024;

/// Into how many parts the history is cut by size, so that what has to go at once is at most about one of them.
const PARTS: u64 = 8;

/// How much of the history is kept, of what `muster serve` says or the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events are kept for at least this many days after they were received, if there is room.
    pub days: u32,
    /// Bytes on the disk of all files of the history together.
    pub bytes: u64,
}

impl Retention {
    /// The least bytes that can be asked for.
    pub const BYTES_MIN: u64 = 1024 * 1024;
    /// The most days: a century.
    pub const DAYS_MAX: u32 = 36_525;
}

impl Default for Retention {
    /// A month, and a quarter of a gigabyte: some 700,000 events, which leaves room on a 4 GB card.
    fn default() -> Retention {
        Retention { days: 30, bytes: 256 * 1024 * 1024 }
    }
}

impl Retention {
    /// From this size on, a file is not written any more, and the next one is begun.
    pub(super) fn part(&self) -> u64 {
        (self.bytes / PARTS).max(PART_MIN)
    }

    /// How many of the oldest of these files, which are the oldest first, have to go: (day on which it was begun,
    /// bytes). Never all of them. `today` is not given where the clock is not to be believed.
    pub(super) fn expired(&self, files: &[(i64, u64)], today: Option<i64>) -> usize {
        let Some(newest) = files.len().checked_sub(1) else { return 0 };
        // A file's own day says when it was begun; it has ended at the latest when the next one was. If the clock was
        // ahead for a while, that is shown by a later file with an earlier day.
        let last_day = |index: usize| files[index + 1..].iter().map(|(day, _)| *day).min().unwrap_or(i64::MAX);
        let too_old = |index: usize| today.is_some_and(|today| last_day(index) <= today - i64::from(self.days));
        let mut total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let mut gone = 0;
        while gone < newest && (total > self.bytes || too_old(gone)) {
            total -= files[gone].1;
            gone += 1;
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn keep(days: u32, mib: u64) -> Retention {
        Retention { days, bytes: mib * MIB }
    }

    #[test]
    fn too_old_is_what_ended_so_many_days_ago() {
        let files: Vec<(i64, u64)> = (100..110).map(|day| (day, MIB)).collect();
        let gone = |days, today| keep(days, 100).expired(&files, today);
        assert_eq!(gone(7, None), 0, "who does not know the day deletes nothing by it");
        assert_eq!(gone(7, Some(107)), 0, "the first was still written on day 101");
        assert_eq!(gone(7, Some(108)), 1);
        assert_eq!(gone(7, Some(112)), 5);
        assert_eq!(gone(1, Some(1_000_000)), 9, "never the newest");
        assert_eq!(keep(7, 100).expired(&[], Some(0)), 0);
    }

    #[test]
    fn too_large_is_what_does_not_fit_behind_newer_ones() {
        let files = [(1, 3 * MIB), (1, 2 * MIB), (2, 2 * MIB), (2, MIB)];
        assert_eq!(keep(30, 8).expired(&files, None), 0);
        assert_eq!(keep(30, 7).expired(&files, None), 1);
        assert_eq!(keep(30, 3).expired(&files, None), 2);
        assert_eq!(keep(30, 1).expired(&files, None), 3);
        assert_eq!(keep(30, 1).expired(&[(1, 9 * MIB)], None), 0, "never the newest");
    }

    #[test]
    fn a_clock_that_was_wrong_makes_no_fresh_event_old() {
        // Begun before the clock was set, and written until it was, today.
        assert_eq!(keep(30, 100).expired(&[(0, MIB), (20_000, MIB)], Some(20_000)), 0);
        // Ahead for a while: what lies before ends when the clock was right again.
        let files = [(20_000, MIB), (50_000, MIB), (20_001, MIB), (20_002, MIB)];
        assert_eq!(keep(30, 100).expired(&files, Some(20_030)), 0);
        assert_eq!(keep(30, 100).expired(&files, Some(20_031)), 2);
        assert_eq!(keep(30, 100).expired(&files, Some(20_032)), 3);
    }
}
