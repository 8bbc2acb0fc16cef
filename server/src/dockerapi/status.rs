//! What STATUS says of a container: Docker's words, and whether its host is away.

use crate::api::types::{Container, Host};
use crate::cli::{human, ps};

/// Docker's words for a container's state. Of a host that is away it is what was known last, and said to be so.
pub fn status(container: &Container, host: Option<&Host>, now_ms: i64) -> String {
    let mut status = ps::state(container, now_ms);
    if container.network_refused.is_some() {
        status.push_str(" (not in network)");
    }
    if container.stale {
        status.push_str(&format!(" ({})", staleness(container, host, now_ms)));
    }
    status
}

/// Why what is known of a container may be old.
pub fn staleness(container: &Container, host: Option<&Host>, now_ms: i64) -> String {
    let for_long = |what: &str, since: Option<&str>| match human::since(since, now_ms) {
        Some(span) => format!("{what} for {}", span.to_lowercase()),
        None => what.to_owned(),
    };
    match host {
        Some(host) if host.state != "active" => for_long("host away", host.last_seen.as_deref()),
        Some(host) if host.engine.state.as_deref() == Some("absent") => {
            for_long("no engine on its host", host.engine.since.as_deref())
        }
        Some(host) if host.engine.state.as_deref() != Some("ok") => {
            for_long("engine not answering", host.engine.since.as_deref())
        }
        _ => match human::since(container.as_of.as_deref(), now_ms) {
            Some(span) => format!("as of {} ago", span.to_lowercase()),
            None => "not heard since the server started".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use crate::time;

    #[test]
    fn a_host_that_is_away_is_said_behind_what_was_known_last() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let container = Container { stale: true, ..samples::container("web", "running") };
        let mut host = samples::host("pi1");
        host.state = "disconnected".into();
        host.last_seen = Some("2026-11-22T09:55:00Z".into());
        assert_eq!(status(&container, Some(&host), now), "Up 3 minutes (host away for 5 minutes)");
        host.state = "active".into();
        host.engine.state = Some("not_answering".into());
        host.engine.since = Some("2026-11-22T09:59:00Z".into());
        assert_eq!(status(&container, Some(&host), now), "Up 3 minutes (engine not answering for about a minute)");
        let fresh = Container { stale: false, health: Some("healthy".into()), ..container };
        assert_eq!(status(&fresh, Some(&host), now), "Up 3 minutes (healthy)");
    }
}
