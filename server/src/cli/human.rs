//! Times and texts as Docker's command line words them.

use crate::time;

/// A span in words, such as `About a minute` or `3 weeks`. A negative one, between clocks that differ, is short.
pub fn duration(ms: i64) -> String {
    const HOUR: i64 = 3600;
    let seconds = ms.max(0) / 1000;
    let hours = (seconds + HOUR / 2) / HOUR;
    match seconds {
        0 => "Less than a second".to_string(),
        1 => "1 second".to_string(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_string(),
        120..HOUR => format!("{} minutes", seconds / 60),
        _ => match hours {
            ..=1 => "About an hour".to_string(),
            2..48 => format!("{hours} hours"),
            48..336 => format!("{} days", hours / 24),
            336..1440 => format!("{} weeks", hours / 24 / 7),
            1440..17520 => format!("{} months", hours / 24 / 30),
            _ => format!("{} years", hours / 24 / 365),
        },
    }
}

/// How long before `now_ms` an RFC 3339 time was, in words; `None` if it is not one.
pub fn since(time: Option<&str>, now_ms: i64) -> Option<String> {
    Some(duration(now_ms - time::parse_ms(time?)?))
}

/// The age of an RFC 3339 time in its largest unit, such as `40s` or `3h`; `None` if it is not one.
pub fn age(time: Option<&str>, now_ms: i64) -> Option<String> {
    let seconds = (now_ms - time::parse_ms(time?)?).max(0) / 1000;
    Some(match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}

/// Cuts to `width` characters, the last one then an ellipsis.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// In double quotes, with escapes for what would not show.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() && c.is_ascii() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The first 12 digits of an id.
pub fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_worded_as_docker_words_them() {
        const M: i64 = 60;
        const H: i64 = 60 * M;
        const D: i64 = 24 * H;
        for (seconds, words) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (3 * M, "3 minutes"),
            (59 * M, "59 minutes"),
            (H, "About an hour"),
            (H + 29 * M, "About an hour"),
            (H + 30 * M, "2 hours"),
            (24 * H, "24 hours"),
            (47 * H, "47 hours"),
            (2 * D, "2 days"),
            (13 * D, "13 days"),
            (14 * D, "2 weeks"),
            (59 * D, "8 weeks"),
            (60 * D, "2 months"),
            (729 * D, "24 months"),
            (730 * D, "2 years"),
        ] {
            assert_eq!(duration(seconds * 1000), words, "{seconds} s");
        }
    }

    #[test]
    fn ages_are_short() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        assert_eq!(age(Some("2026-11-22T09:59:20Z"), now).as_deref(), Some("40s"));
        assert_eq!(age(Some("2026-11-22T09:00:00Z"), now).as_deref(), Some("60m"));
        assert_eq!(age(Some("2026-11-19T10:00:00Z"), now).as_deref(), Some("3d"));
        assert_eq!(age(None, now), None);
        assert_eq!(since(Some("2026-11-22T09:57:00Z"), now).as_deref(), Some("3 minutes"));
    }

    #[test]
    fn texts_are_cut_and_quoted() {
        assert_eq!(ellipsis("/docker-entrypoint.sh nginx", 20), "/docker-entrypoint.…");
        assert_eq!(ellipsis("short", 20), "short");
        assert_eq!(quote("sh -c \"a\\b\"\n\x1b\u{85}"), r#""sh -c \"a\\b\"\n\x1b\u0085""#);
        assert_eq!(short_id("abcdef0123456789"), "abcdef012345");
        assert_eq!(short_id("é"), "é");
    }
}
