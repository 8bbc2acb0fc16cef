//! This host's clock. Nothing of Muster depends on it; people who read times do.

use super::finding::{Check, Finding};
use crate::docker::timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock that is off by no more than this is right: a request on a slow link takes as long.
const TOLERATED_MS: u64 = 10_000;
/// A clock before this year was never set.
const FIRST_YEAR: i64 = 2024;
/// Nor was one after this.
const LAST_YEAR: i64 = 2100;
const SET_IT: &str = "nothing is lost by it, but times are shown as this host says them: see that a time service \
                      runs (timedatectl set-ntp true)";

/// Milliseconds since 1970, by the system's clock.
pub fn system_clock() -> i64 {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms)
}

/// What to say of a clock that shows `here`, while the server's shows `there` if that is known; both in milliseconds
/// since 1970.
pub(super) fn judge(here: i64, there: Option<i64>) -> Finding {
    let year = timestamp::year(here);
    let sane = |year: i64| (FIRST_YEAR..=LAST_YEAR).contains(&year);
    let Some(there) = there else {
        return if sane(year) {
            Finding::okay(Check::Clock, format!("it says {year}; the server's is not known"))
        } else {
            Finding::warning(Check::Clock, format!("it says {year}"), SET_IT)
        };
    };
    let off = here.saturating_sub(there);
    if off.unsigned_abs() <= TOLERATED_MS {
        return match sane(year) {
            true => Finding::okay(Check::Clock, "it agrees with the server's"),
            false => Finding::warning(Check::Clock, format!("it says {year}, and so does the server's"), SET_IT),
        };
    }
    let side = if off < 0 { "behind" } else { "ahead of" };
    let amount = in_words(off.unsigned_abs());
    if sane(year) && !sane(timestamp::year(there)) {
        let what = format!("it is {amount} {side} the server's, which says {}", timestamp::year(there));
        return Finding::warning(Check::Clock, what, "set the server's clock");
    }
    let what = if sane(year) { String::new() } else { format!("it says {year}, and ") };
    Finding::warning(Check::Clock, format!("{what}it is {amount} {side} the server's"), SET_IT)
}

/// The two largest units of a time.
fn in_words(ms: u64) -> String {
    const UNITS: [(u64, &str, &str); 5] =
        [(365 * 86_400, "year", "years"), (86_400, "day", "days"), (3600, "h", "h"), (60, "min", "min"), (1, "s", "s")];
    let mut seconds = ms / 1000;
    let mut words = Vec::new();
    for (size, one, many) in UNITS {
        if seconds >= size && words.len() < 2 {
            let unit = if seconds / size == 1 { one } else { many };
            words.push(format!("{} {unit}", seconds / size));
            seconds %= size;
        } else if !words.is_empty() {
            break;
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::State;

    /// 2026-11-22.
    const NOW: i64 = 1_795_305_600_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_clock_is_judged_by_the_servers_and_by_its_year() {
        let said = |here, there| {
            let finding = judge(here, there);
            (finding.state == State::Okay, finding.what)
        };
        assert_eq!(said(NOW, Some(NOW + 9_000)), (true, "it agrees with the server's".into()));
        assert_eq!(said(NOW, Some(NOW + 26 * HOUR)), (false, "it is 1 day 2 h behind the server's".into()));
        assert_eq!(said(NOW, Some(NOW - 61_000)), (false, "it is 1 min 1 s ahead of the server's".into()));
        assert_eq!(
            said(600_000, Some(NOW)),
            (false, "it says 1970, and it is 56 years 338 days behind the server's".into())
        );
        assert_eq!(said(600_000, None), (false, "it says 1970".into()));
        assert_eq!(said(600_000, Some(600_000)), (false, "it says 1970, and so does the server's".into()));
        assert_eq!(said(NOW, None), (true, "it says 2026; the server's is not known".into()));
        assert!(!said(i64::MIN, Some(i64::MAX)).0 && !said(i64::MAX, None).0);
        assert!(judge(NOW, Some(0)).advice.is_some_and(|advice| advice == "set the server's clock"));
    }

    #[test]
    fn times_have_their_two_largest_units() {
        for (seconds, words) in [(11, "11 s"), (3600, "1 h"), (3661, "1 h 1 min"), (86_400 * 365 + 5, "1 year")] {
            assert_eq!(in_words(seconds * 1000), words);
        }
    }
}
