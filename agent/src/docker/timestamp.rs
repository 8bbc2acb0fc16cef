//! The engine's times: RFC 3339 with nanoseconds, in UTC or, from Podman, at an offset.

/// Milliseconds since 1970. `None` if it is no time, or the engine's word for never, which is the year 1.
pub fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let (year, month, day) = date_of(date)?;
    if year <= 1 {
        return None;
    }
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(at);
    let (seconds, millis) = time_of(time)?;
    let minutes_east = zone_of(zone)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + seconds - minutes_east * 60;
    Some(seconds * 1000 + millis)
}

/// The year in which a moment is, in milliseconds since 1970.
pub fn year(ms: i64) -> i64 {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    let days = ms.div_euclid(86_400_000);
    // Off by a year at most.
    let near = 1970 + (days * 400).div_euclid(DAYS_IN_400_YEARS);
    match near {
        _ if days < days_since_1970(near, 1, 1) => near - 1,
        _ if days >= days_since_1970(near + 1, 1, 1) => near + 1,
        _ => near,
    }
}

fn date_of(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    (parts.next().is_none() && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day))
        .then_some((year, month, day))
}

/// Seconds since midnight, and milliseconds.
fn time_of(text: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let (hour, minute, second) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    // 60 is a leap second.
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || fraction.len() > 18 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis = fraction.bytes().chain(*b"00").take(3).fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some((hour * 3600 + minute * 60 + second, millis))
}

/// Minutes east of Greenwich.
fn zone_of(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let years = before * 365 + leap_days(before) - (1969 * 365 + leap_days(1969));
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::{days_since_1970, parse, year};

    #[test]
    fn times_of_engines() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2026-11-22T02:50:39.376148578Z", 1_795_315_839_376),
            ("2026-11-22T03:50:39.376148578+01:00", 1_795_315_839_376),
            ("2026-11-21T21:20:39.3-05:30", 1_795_315_839_300),
            ("2024-02-29T12:00:00.05Z", 1_709_208_000_050),
            ("2000-03-01T00:00:00z", 951_868_800_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
            ("9999-12-31T23:59:60Z", 253_402_300_800_000),
        ] {
            assert_eq!(parse(text), Some(millis), "{text}");
        }
    }

    #[test]
    fn years_begin_and_end_at_midnight() {
        for at in (-300..9000).chain([-250_000, 250_000]) {
            let begin = days_since_1970(at, 1, 1) * 86_400_000;
            assert_eq!((year(begin), year(begin - 1)), (at, at - 1));
        }
        assert!(year(i64::MIN) < 0 && year(i64::MAX) > 9999);
    }

    #[test]
    fn never_and_what_is_no_time() {
        for text in [
            "0001-01-01T00:00:00Z",
            "0000-00-00T00:00:00Z",
            "",
            "T",
            "2026-11-22",
            "2026-11-22T02:50:39",
            "2026-13-22T02:50:39Z",
            "2026-02-29T02:50:39Z",
            "2026-11-00T02:50:39Z",
            "2026-11-22T24:50:39Z",
            "2026-11-22T02:60:39Z",
            "2026-11-22T02:50:61Z",
            "2026-11-22T02:50Z",
            "2026-11-22T02:50:39.Z",
            "2026-11-22T02:50:39.1x3Z",
            "2026-11-22T02:50:39+1:00",
            "2026-11-22T02:50:39+01:00Z",
            "2026-11-22T02:50:39+24:00",
            "2026-11-22T02:50:39ZZ",
            "+026-11-22T02:50:39Z",
            "2026-11-22T02:50:39é",
            "１９７０-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
