//! Times as text: RFC 3339 in UTC, and what people type for `--since` and `--ttl`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOS_IN_SECOND: i64 = 1_000_000_000;
const SECONDS_IN_DAY: i64 = 86_400;

/// Milliseconds since 1970 by this machine's clock; negative before.
pub fn now_ms() -> i64 {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    }
}

/// Milliseconds since 1970 as `2026-11-22T10:00:00.123Z`. Years beyond 0 to 9999 are shown as the nearest of them.
pub fn format_ms(ms: i64) -> String {
    format!("{}.{:03}Z", date_and_clock(ms.div_euclid(1000)), ms.rem_euclid(1000))
}

/// Nanoseconds since 1970 as `2026-11-22T10:00:00.123456789Z`.
pub fn format_nanos(nanos: i64) -> String {
    let (seconds, part) = (nanos.div_euclid(NANOS_IN_SECOND), nanos.rem_euclid(NANOS_IN_SECOND));
    format!("{}.{part:09}Z", date_and_clock(seconds))
}

fn date_and_clock(seconds: i64) -> String {
    let seconds = seconds.clamp(-62_167_219_200, 253_402_300_799);
    let (year, month, day) = date_of_day(seconds.div_euclid(SECONDS_IN_DAY));
    let clock = seconds.rem_euclid(SECONDS_IN_DAY);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", clock / 3600, clock / 60 % 60, clock % 60)
}

/// Reads RFC 3339 as milliseconds since 1970, finer parts cut off. `None` if it is not that, or beyond the years 0 to 9999.
pub fn parse_ms(text: &str) -> Option<i64> {
    parse_rfc3339(text).map(|moment| moment.ms())
}

/// Reads RFC 3339 as nanoseconds since 1970. `None` if it is not that, or beyond the years 1678 to 2262.
pub fn parse_nanos(text: &str) -> Option<i64> {
    let Moment { seconds, nanos } = parse_rfc3339(text)?;
    seconds.checked_mul(NANOS_IN_SECOND)?.checked_add(nanos)
}

/// The longest of what users write is shown back only this far.
const SHOWN: usize = 80;

/// What a user wrote, fit to be shown in an error.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

/// Reads what `docker events --since` takes, as milliseconds since 1970: RFC 3339 (also without a zone, which means
/// UTC, and with the clock's end or all of it left out), seconds since 1970 with or without a fraction, or a
/// duration before `now_ms` such as `10m` or `1h30m`. The error is one line that names these.
pub fn parse_when(text: &str, now_ms: i64) -> Result<i64, String> {
    if let Some(ms) = parse_unix(text).or_else(|| parse_rfc3339(text).map(|moment| moment.ms())) {
        return Ok(ms);
    }
    if let Ok(span) = parse_duration(text) {
        return Ok(now_ms.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)));
    }
    Err(format!(
        "'{}' is not a time: give RFC 3339 (2026-11-22T10:00:00Z), seconds since 1970, or a duration before now (10m, 1h30m)",
        shown(text)
    ))
}

/// Reads a duration as [`parse_duration`] does: whole seconds, and at least one.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    match parse_duration(text)?.as_secs() {
        0 => Err("give a second or more".to_string()),
        seconds => Ok(seconds),
    }
}

/// Reads a duration as Go writes it (`90s`, `1h30m`, `1.5h`, `250ms`), and days (`7d`). At most 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const LONGEST_SECONDS: f64 = 100.0 * 365.25 * SECONDS_IN_DAY as f64;
    const UNITS: [(&str, f64); 9] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("d", 86_400.0),
    ];
    let wrong = || format!("'{}' is not a duration: give one such as 90s, 24h, 1h30m or 7d", shown(text));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        seconds += number.parse::<f64>().map_err(|_| wrong())? * size;
        rest = after;
    }
    if seconds > LONGEST_SECONDS {
        return Err(format!("'{}' is too long: at most 100 years", shown(text)));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A moment, in two parts: one number of nanoseconds would not reach all years.
struct Moment {
    seconds: i64,
    /// 0 to 999,999,999.
    nanos: i64,
}

impl Moment {
    fn ms(&self) -> i64 {
        self.seconds * 1000 + self.nanos / 1_000_000
    }
}

/// Seconds since 1970 with an optional fraction; finer parts than milliseconds are cut off.
fn parse_unix(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let whole = number(whole, 1, 15)?;
    let ms = whole * 1000 + fraction_nanos(fraction)? / 1_000_000;
    Some(if negative { -ms } else { ms })
}

fn parse_rfc3339(text: &str) -> Option<Moment> {
    if !text.is_ascii() {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4, 4)?;
    let month = number(parts.next()?, 2, 2)?;
    let day = number(parts.next()?, 2, 2)?;
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let (clock, offset) = split_zone(rest)?;
    let (clock_seconds, nanos) = match clock.strip_prefix(['T', 't', ' ']) {
        Some(clock) => parse_clock(clock)?,
        None if clock.is_empty() => (0, 0),
        None => return None,
    };
    Some(Moment { seconds: day_of_date(year, month, day) * SECONDS_IN_DAY + clock_seconds - offset, nanos })
}

/// `10`, `10:30`, `10:30:05` or `10:30:05.25`. A leap second counts as the next one.
fn parse_clock(text: &str) -> Option<(i64, i64)> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 2, 2)?;
    let minute = parts.next().map_or(Some(0), |part| number(part, 2, 2))?;
    let second = parts.next().map_or(Some(0), |part| number(part, 2, 2))?;
    let fits = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    fits.then_some((hour * 3600 + minute * 60 + second, fraction_nanos(fraction)?))
}

/// Splits off `Z` or `+02:00` and gives its seconds east of UTC. Nothing at all means UTC.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2, 2)?, number(minutes, 2, 2)?);
    let offset = hours * 3600 + minutes * 60;
    let fits = hours < 24 && minutes < 60;
    fits.then_some((&text[..at], if text[at..].starts_with('-') { -offset } else { offset }))
}

/// Digits behind a point, as nanoseconds; digits beyond the ninth are cut off.
fn fraction_nanos(digits: &str) -> Option<i64> {
    number(digits, 1, 18)?;
    let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
    nine.parse().ok()
}

/// Digits only, and not fewer or more of them than asked.
fn number(digits: &str, fewest: usize, most: usize) -> Option<i64> {
    let fits = (fewest..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Leap years before `year`, counted from year 0.
fn leap_years_before(year: i64) -> i64 {
    let last = year - 1;
    last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400) + 1
}

/// Days from 1 January of year 0 to 1 January of `year`.
fn days_before_year(year: i64) -> i64 {
    year * 365 + leap_years_before(year)
}

/// Days since 1 January 1970.
fn day_of_date(year: i64, month: i64, day: i64) -> i64 {
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    days_before_year(year) - days_before_year(1970) + months + day - 1
}

/// The date of a day counted from 1 January 1970.
fn date_of_day(day: i64) -> (i64, i64, i64) {
    let day = day + days_before_year(1970);
    let mut year = day.div_euclid(366);
    while days_before_year(year + 1) <= day {
        year += 1;
    }
    let mut rest = day - days_before_year(year);
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_shown_back_only_so_far() {
        let long = format!("20\u{1e}{}", "x".repeat(10_000));
        let why = parse_when(&long, 0).expect_err("this is no time");
        assert!(why.len() < 300 && !why.chars().any(char::is_control), "{why}");
    }

    #[test]
    fn known_moments_are_written_and_read() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format_ms(ms), text);
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        assert_eq!(format_nanos(1_700_000_000_123_456_789), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(parse_nanos("2023-11-14T22:13:20.123456789Z"), Some(1_700_000_000_123_456_789));
    }

    #[test]
    fn every_day_of_eight_hundred_years_comes_back() {
        for day in -146_097..146_097 {
            let (year, month, dom) = date_of_day(day);
            assert_eq!(day_of_date(year, month, dom), day);
        }
    }

    #[test]
    fn zones_count() {
        assert_eq!(parse_ms("2026-11-22T12:00:00+02:00"), parse_ms("2026-11-22T10:00:00Z"));
        assert_eq!(parse_ms("2026-11-22T05:30:00.5-04:30"), parse_ms("2026-11-22T10:00:00.500Z"));
        assert_eq!(parse_nanos("9000-01-01T00:00:00Z"), None);
    }

    #[test]
    fn what_docker_takes_is_taken() {
        let now = 1_700_000_000_000;
        let ten = parse_ms("2026-11-22T10:00:00Z").expect("a time");
        for (text, ms) in [
            ("10m", now - 600_000),
            ("1h30m", now - 5_400_000),
            ("0", 0),
            ("1136073600", 1_136_073_600_000),
            ("1136073600.000000001", 1_136_073_600_000),
            ("1136073600.25", 1_136_073_600_250),
            ("2026-11-22T10", ten),
            ("2026-11-22T10:00", ten),
            ("2026-11-22T10:00:00", ten),
            ("2026-11-22 10:00:00", ten),
            ("2026-11-22", ten - 36_000_000),
            ("2026-11-22Z", ten - 36_000_000),
        ] {
            assert_eq!(parse_when(text, now), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_hint() {
        for text in
            ["", "yesterday", "2026-13-01", "2026-02-30T00:00:00Z", "10", "10x", "2026-11-22T25:00:00Z", "1.2.3", "é"]
        {
            match parse_when(text, 0) {
                Err(why) => assert!(why.contains("RFC 3339"), "{why}"),
                Ok(ms) => assert_eq!((text, ms), ("10", 10_000)),
            }
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in
            [("90s", 90_000), ("24h", 86_400_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1.5s", 1500), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "h", "1h30", "-1h", "1.2.3s", "9999999999999d", "1 h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_seconds("0s").is_err() && parse_seconds("500ms").is_err() && parse_seconds("soon").is_err());
        assert_eq!(parse_seconds("10m"), Ok(600));
    }
}
