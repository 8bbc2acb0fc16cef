//! Alerts in words.

use super::alert::{Alert, Stage};
use super::rules::Rule;
use std::borrow::Cow;

/// What hosts and containers say of themselves, fit for a terminal, for one line and for a mail's head: what steers a
/// terminal, ends a line or turns the order of what follows is replaced.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect())
}

fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One sentence for people, [`clean`].
pub fn sentence(alert: &Alert) -> String {
    let host = &alert.host;
    let who = match &alert.container {
        Some(name) => format!("{name} on {host}"),
        None => match (alert.subject.container, host.as_str()) {
            (Some(id), host) => format!("{:.12} on {host}", id.to_string()),
            (None, host) => host.to_owned(),
        },
    };
    let get = |key: &str| alert.attributes.get(key).map_or("", String::as_str);
    let what = match alert.rule {
        Rule::HostAway => match get("last_seen") {
            "" => "is away: it was never heard".to_owned(),
            time => format!("is away: it was last heard at {time}"),
        },
        Rule::Crashed => format!("crashed: exit code {}", get("exit_code")),
        Rule::Oom => "ran out of memory: the kernel killed a process of it".to_owned(),
        Rule::RestartLoop => {
            let code = match get("exit_code") {
                "" => String::new(),
                code => format!(", with exit code {code} in the end"),
            };
            format!("restarts again and again: it ended {} times within {}{code}", get("times"), span(get("within_s")))
        }
        Rule::Unhealthy => "is unhealthy: its health check fails".to_owned(),
        Rule::Disk => format!("has a disk that is nearly full: {} % of {} are used", get("percent"), get("path")),
        Rule::Hot => format!("is hot: {} degrees Celsius", get("celsius")),
        Rule::Undervoltage => "gets too little voltage: look at its power supply and cable".to_owned(),
        Rule::Conflict => "is there twice: another agent uses its credential; was its card copied?".to_owned(),
    };
    let times = match (alert.rule, get("times")) {
        (Rule::RestartLoop, _) | (_, "") => String::new(),
        (_, times) => format!(" ({times} times)"),
    };
    let sentence = match alert.stage {
        Stage::Pending | Stage::Firing => format!("{who} {what}{times}"),
        Stage::Ended => format!("{who} {what}{times}; over: {}", get("ended")),
    };
    clean(&sentence).into_owned()
}

/// Seconds as people say them.
fn span(seconds: &str) -> String {
    let Ok(number) = seconds.parse::<u64>() else { return format!("{seconds} seconds") };
    let (count, unit) = match number {
        0 => (0, "second"),
        _ if number % 3600 == 0 => (number / 3600, "hour"),
        _ if number % 60 == 0 => (number / 60, "minute"),
        _ => (number, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_unit_that_fits() {
        let said = ["600", "60", "3600", "90", "7200", "1"].map(span);
        assert_eq!(said, ["10 minutes", "1 minute", "1 hour", "90 seconds", "2 hours", "1 second"]);
    }

    #[test]
    fn what_steers_is_replaced_and_nothing_else() {
        assert_eq!(clean("web\r\nBcc: x\n\u{202e}\x1b[31m"), "web??Bcc: x???[31m".replace('?', "\u{fffd}"));
        assert_eq!(clean("\u{85}\u{2028}\u{2029}\u{2066}\u{2069}\u{7f}"), "\u{fffd}".repeat(6));
        assert!(matches!(clean("wéb-1 \u{200d} 網"), Cow::Borrowed(_)));
    }
}
