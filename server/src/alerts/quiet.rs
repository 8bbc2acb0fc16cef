//! Quiet hours. They are the wall clock's, as everybody means them; nothing but the time of a notice depends on them.

use super::Refused;
use crate::api::types::QuietHours;

const MINUTE_MS: i64 = 60_000;
const DAY: i64 = 24 * 60;

/// Hours in which nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Minutes of the day.
    from: i64,
    to: i64,
    /// Minutes by which the zone is ahead of UTC.
    zone: i64,
    /// What began and ended in them is not told at all.
    pub drops: bool,
}

impl Quiet {
    /// As operators have set them.
    ///
    /// # Errors
    /// What makes no sense, and what would.
    pub fn read(set: &QuietHours) -> Result<Quiet, Refused> {
        let time = |name: &str, text: &str| {
            clock(text)
                .ok_or_else(|| Refused(format!("quiet: {name}: {text:?} is no time of day; give one such as 22:00")))
        };
        let (from, to) = (time("from", &set.from)?, time("to", &set.to)?);
        if from == to {
            return Err(Refused("quiet: it would be quiet always or never; give two different times".into()));
        }
        let zone = zone(&set.zone).ok_or_else(|| {
            Refused(format!("quiet: zone: {:?} is none; give how far it is ahead of UTC, such as +01:00", set.zone))
        })?;
        let drops = match set.ended.as_str() {
            "summarise" => false,
            "drop" => true,
            other => return Err(Refused(format!("quiet: ended: {other:?} is none; give summarise or drop"))),
        };
        Ok(Quiet { from, to, zone, drops })
    }

    /// Whether it is quiet at a time in milliseconds since 1970.
    pub fn is_now(&self, wall_ms: i64) -> bool {
        let minute = (wall_ms.div_euclid(MINUTE_MS) + self.zone).rem_euclid(DAY);
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            // Over midnight.
            false => minute >= self.from || minute < self.to,
        }
    }
}

/// `22:00` as minutes of the day.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, below: i64| {
        let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| is_number && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60).filter(|_| minutes.len() == 2)?)
}

/// `+01:00`, `-3:30`, `Z` or `UTC` as minutes.
fn zone(text: &str) -> Option<i64> {
    match text {
        "Z" | "UTC" | "utc" => Some(0),
        _ => {
            let sign = match text.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            clock(&text[1..]).filter(|minutes| *minutes <= 14 * 60).map(|minutes| sign * minutes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_ms;

    fn quiet(from: &str, to: &str, zone: &str) -> Result<Quiet, Refused> {
        let text = |text: &str| text.to_owned();
        Quiet::read(&QuietHours { from: text(from), to: text(to), zone: text(zone), ended: "summarise".into() })
    }

    #[test]
    fn it_is_quiet_from_and_not_at_the_end_over_midnight_too() {
        let is_now =
            |quiet: &Quiet, time: &str| quiet.is_now(parse_ms(&format!("2026-11-22T{time}Z")).expect("a time"));
        let night = quiet("22:00", "7:00", "Z").expect("sense");
        for (time, expected) in
            [("21:59:59", false), ("22:00:00", true), ("00:00:00", true), ("06:59:59", true), ("07:00:00", false)]
        {
            assert_eq!(is_now(&night, time), expected, "{time}");
        }
        let noon = quiet("12:00", "13:30", "+02:30").expect("sense");
        for (time, expected) in [("09:29:59", false), ("09:30:00", true), ("10:59:59", true), ("11:00:00", false)] {
            assert_eq!(is_now(&noon, time), expected, "{time}");
        }
        let west = quiet("22:00", "23:00", "-05:00").expect("sense");
        assert!(is_now(&west, "03:30:00") && !is_now(&west, "22:30:00"));
    }

    #[test]
    fn what_is_no_time_or_zone_is_refused() {
        for (from, to, zone) in [
            ("24:00", "7:00", "Z"),
            ("22", "7:00", "Z"),
            ("22:0", "7:00", "Z"),
            ("+2:00", "7:00", "Z"),
            ("22:00", "22:00", "Z"),
            ("22:00", "7:00", "CET"),
            ("22:00", "7:00", "+15:00"),
            ("22:00", "7:00", "é"),
            ("22:00", "7:00", ""),
        ] {
            assert!(quiet(from, to, zone).is_err(), "{from} {to} {zone}");
        }
    }
}
