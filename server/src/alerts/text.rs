//! Alerts in words.

use super::alert::{Alert, Stage};
use super::rules::Rule;

/// One sentence for people.
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
            format!("restarts again and again: it ended {} times within {} seconds", get("times"), get("within_s"))
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
    match alert.stage {
        Stage::Pending | Stage::Firing => format!("{who} {what}{times}"),
        Stage::Ended => format!("{who} {what}{times}; over: {}", get("ended")),
    }
}
