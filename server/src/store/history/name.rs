//! What a file of the history is called: the day on which it was begun, and the id of its first event.

use crate::time::{format_ms, parse_ms};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// The days that a name can have: those of the years 0 to 9999, counted from 1970.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Behind every name.
const ENDING: &str = ".redb";

/// The day, in UTC, of a time by the server's clock: days since 1970.
pub(super) fn day(ms: i64) -> i64 {
    ms.div_euclid(DAY_MS).clamp(*DAYS.start(), *DAYS.end())
}

/// The name of a file. Files are in the order of their first events, whatever the clock did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    /// When it was begun: see [`day`].
    pub day: i64,
    /// The id of its first event.
    pub first: u64,
}

impl Name {
    /// Reads `2026-11-22-1234.redb`; `None` if it is not that.
    pub(super) fn parse(name: &str) -> Option<Name> {
        let stem = name.strip_suffix(ENDING)?;
        let (date, first) = (stem.get(..10)?, stem.get(10..)?.strip_prefix('-')?);
        let parsed = Name { day: day(parse_ms(date)?), first: first.parse().ok()? };
        // Each file has one name only.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let date = format_ms(self.day * DAY_MS);
        write!(f, "{}-{}{ENDING}", &date[..10], self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = Name { day: day(1_700_000_000_000), first: 12 };
        assert_eq!(name.to_string(), "2023-11-14-12.redb");
        for day in [day(i64::MIN), -1, 0, 20_000, day(i64::MAX)] {
            for first in [1, u64::MAX] {
                let name = Name { day, first };
                assert_eq!(Name::parse(&name.to_string()), Some(name), "{name}");
            }
        }
    }

    #[test]
    fn other_files_are_no_history() {
        for name in [
            "",
            "muster.redb",
            "2023-11-14.redb",
            "2023-11-14-.redb",
            "2023-11-14-012.redb",
            "2023-11-14-+1.redb",
            "2023-13-14-1.redb",
            "2023-11-14-1.redb.new",
            "2023-11-14-18446744073709551616.redb",
            "2023-11-1é-1.redb",
        ] {
            assert_eq!(Name::parse(name), None, "{name}");
        }
    }
}
