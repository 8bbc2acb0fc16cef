//! What the engine says, beside what the server says of it.

use crate::place::Place;
use crate::process::{self, Process};
use crate::wait::PATIENCE;
use crate::{Engine, Server, eventually, text};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The events that Muster asks the engine for, as filters of `docker events`.
const FILTERS: &[&str] = &[
    "type=container",
    "type=network",
    "event=create",
    "event=start",
    "event=restart",
    "event=stop",
    "event=kill",
    "event=die",
    "event=oom",
    "event=pause",
    "event=unpause",
    "event=rename",
    "event=update",
    "event=health_status",
    "event=destroy",
    "event=connect",
    "event=disconnect",
];

/// One event in the terms that the engine and the server have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// Nanoseconds since 1970.
    pub time_nano: i128,
    /// `container` or `network`.
    pub subject: String,
    /// Docker's name of it.
    pub action: String,
    /// The full id of the container.
    pub container_id: String,
    /// All attributes, a network event's `container` excepted, which is [`Said::container_id`].
    pub attributes: BTreeMap<String, String>,
}

/// What `docker events` has in its memory of the kinds that Muster sees, oldest first. A network that is made
/// or removed is no container's event and is left out.
pub fn docker_events(engine: &Engine) -> Vec<Said> {
    let until = engine.docker(&["info", "--format", "{{.SystemTime}}"]);
    let mut arguments = vec!["events", "--since", "1", "--until", &until, "--format", "{{json .}}"];
    arguments.extend(FILTERS.iter().flat_map(|filter| ["--filter", filter]));
    engine.docker(&arguments).lines().map(read).filter(about_one).collect()
}

fn read(line: &str) -> Said {
    from_docker(&serde_json::from_str(line).expect("docker prints JSON"))
}

/// Writes down what `docker events` says from its start on: more than an engine remembers.
#[derive(Debug)]
pub struct Log {
    process: Process,
    said: Vec<Said>,
    _place: Place,
}

impl Log {
    /// Begins with all that the engine remembers.
    pub fn of(engine: &Engine) -> Log {
        let place = Place::new();
        let mut command = std::process::Command::new("docker");
        command.args(["events", "--since", "1", "--format", "{{json .}}"]);
        command.args(FILTERS.iter().flat_map(|filter| ["--filter", filter]));
        process::clean(&mut command).env("DOCKER_HOST", engine.docker_host());
        let process = Process::start_read("docker events", &mut command, &place.join("events.log"));
        Log { process, said: Vec::new(), _place: place }
    }

    /// Reads until an event for which the condition holds; all so far, oldest first.
    #[track_caller]
    pub fn until(&mut self, what: &str, holds: impl Fn(&Said) -> bool) -> &[Said] {
        loop {
            let line = self.process.line(PATIENCE);
            let event = read(&line.unwrap_or_else(|| panic!("docker events does not say: {what}")));
            if about_one(&event) {
                let found = holds(&event);
                self.said.push(event);
                if found {
                    return &self.said;
                }
            }
        }
    }
}

/// What the server stored of what the engine of a host said, in its own order.
pub fn muster_events(server: &Server, host: &str) -> Vec<Said> {
    let engines = |event: &&Value| {
        matches!(text(event, "type"), "container" | "network") && event["derived"] == false && event["action"] != "gap"
    };
    server.events(host).iter().filter(engines).map(from_muster).collect()
}

/// Two events of a container that lie closer together than this can come in either order: the engine writes them down
/// and sends them in two steps, and its memory and each listener may see another order.
const SAME_MOMENT: i128 = 10_000_000;

/// The same for events of two containers, which wait for nothing of each other: whoever is between the two steps on a
/// busy machine may be there for long.
const SAME_MOMENT_ELSEWHERE: i128 = 200_000_000;

/// Checks that the server's story of a host is its engine's: each event once, word for word, in the engine's order.
#[track_caller]
pub fn assert_same_story(server: &Server, host: &str, engine: &Engine) {
    assert_same_events(&muster_events(server, host), &docker_events(engine), |event| event.time_nano);
}

/// Checks that what is stored is what the engine said: each event once, word for word, in order. `moment` tells when
/// an event really was, where its own time does not.
#[track_caller]
pub fn assert_same_events(ours: &[Said], theirs: &[Said], moment: impl Fn(&Said) -> i128) {
    let mut counts = BTreeMap::new();
    for event in ours {
        *counts.entry(event).or_insert(0) += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "stored more than once: {twice:#?}");
    let missing: Vec<_> = theirs.iter().filter(|event| !ours.contains(event)).collect();
    let invented: Vec<_> = ours.iter().filter(|event| !theirs.contains(event)).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:#?}\nnot the engine's: {invented:#?}");
    for pair in ours.windows(2) {
        assert!(moment(&pair[0]) - moment(&pair[1]) < SAME_MOMENT_ELSEWHERE, "the wrong way round: {pair:#?}");
    }
    let mut latest: BTreeMap<&str, &Said> = BTreeMap::new();
    for event in ours {
        if let Some(before) = latest.insert(&event.container_id, event) {
            assert!(moment(before) - moment(event) < SAME_MOMENT, "the wrong way round: {before:#?}\n{event:#?}");
        }
    }
}

/// Waits until the server's containers of a host are the engine's: ids, names, states, exit codes, none stale.
#[track_caller]
pub fn wait_for_truth(server: &Server, host: &str, engine: &Engine) {
    eventually(&format!("the server's view of {host} is its engine's"), || {
        let (theirs, ours) = (engine_view(engine), server_view(server, host));
        if theirs == ours { Ok(()) } else { Err(format!("engine {theirs:?}\nserver {ours:?}")) }
    });
}

fn engine_view(engine: &Engine) -> Vec<String> {
    let ids = engine.container_ids();
    let mut arguments = vec!["inspect", "--type", "container", "--format", "{{json .}}"];
    arguments.extend(ids.iter().map(String::as_str));
    let output = match ids.is_empty() {
        true => String::new(),
        false => match engine.try_docker(&arguments) {
            ran if ran.code == 0 => ran.stdout,
            // One goes while it is looked at.
            ran => return vec![ran.stderr],
        },
    };
    let line = |line: &str| {
        let one: Value = serde_json::from_str(line).expect("docker prints JSON");
        let state = &one["State"];
        let up = matches!(text(state, "Status"), "running" | "paused" | "restarting");
        let never = text(state, "Status") == "created";
        let exit = if up || never { Value::Null } else { state["ExitCode"].clone() };
        // Podman has an empty one where there is none.
        let health = state["Health"]["Status"].as_str().filter(|health| !health.is_empty()).unwrap_or("null");
        let name = text(&one, "Name").trim_start_matches('/');
        // Podman has a word of its own until it has cleaned up.
        let word = if text(state, "Status") == "stopped" { "exited" } else { text(state, "Status") };
        format!("{name} {word} {} exit {exit} health {health} fresh", text(&one, "Id"))
    };
    let mut lines: Vec<String> = output.lines().map(line).collect();
    lines.sort();
    lines
}

fn server_view(server: &Server, host: &str) -> Vec<String> {
    let line = |one: &Value| {
        let up = matches!(text(one, "state"), "running" | "paused" | "restarting");
        let exit = if up { &Value::Null } else { &one["exit_code"] };
        let health = one["health"].as_str().unwrap_or("null");
        let age = if one["stale"] == false { "fresh" } else { "stale" };
        format!("{} {} {} exit {exit} health {health} {age}", text(one, "name"), text(one, "state"), text(one, "id"))
    };
    let mut lines: Vec<String> = server.containers(host).iter().map(line).collect();
    lines.sort();
    lines
}

fn from_docker(event: &Value) -> Said {
    let subject = text(event, "Type").to_owned();
    let mut attributes = plain(event["Actor"]["Attributes"].as_object());
    let actor = text(&event["Actor"], "ID").to_owned();
    let container_id = if subject == "network" { attributes.remove("container").unwrap_or_default() } else { actor };
    let time_nano = event["timeNano"].as_i64().map_or(0, i128::from);
    Said { time_nano, subject, action: text(event, "Action").to_owned(), container_id, attributes }
}

fn from_muster(event: &Value) -> Said {
    let mut attributes = plain(event["attributes"].as_object());
    let subject = text(event, "type").to_owned();
    if subject == "network" {
        attributes.remove("container");
    }
    Said {
        time_nano: nanoseconds(text(event, "time")).unwrap_or_else(|| panic!("not an RFC 3339 time in UTC: {event}")),
        subject,
        action: text(event, "action").to_owned(),
        container_id: text(event, "container_id").to_owned(),
        attributes,
    }
}

fn about_one(said: &Said) -> bool {
    said.subject == "container" || !said.container_id.is_empty()
}

fn plain(attributes: Option<&Map<String, Value>>) -> BTreeMap<String, String> {
    let pair = |(key, value): (&String, &Value)| (key.clone(), value.as_str().unwrap_or("(no text)").to_owned());
    attributes.into_iter().flatten().map(pair).collect()
}

/// Nanoseconds since 1970 of an RFC 3339 time that ends in `Z`; `None` if it is none.
pub fn nanoseconds(time: &str) -> Option<i128> {
    let rest = time.strip_suffix('Z')?;
    let (date, clock) = rest.split_once('T')?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let part = |text: &str, length: usize| -> Option<i128> {
        if text.len() == length && text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
    };
    let mut dates = date.split('-');
    let (year, month, day) = (part(dates.next()?, 4)?, part(dates.next()?, 2)?, part(dates.next()?, 2)?);
    let mut clocks = whole.split(':');
    let (hour, minute, second) = (part(clocks.next()?, 2)?, part(clocks.next()?, 2)?, part(clocks.next()?, 2)?);
    let wrong = dates.next().is_some() || clocks.next().is_some() || fraction.len() > 9;
    let outside = !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60;
    if wrong || outside || (clock.contains('.') && fraction.is_empty()) {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { part(&format!("{fraction:0<9}"), 9)? };
    // Days of the proleptic Gregorian calendar, counted from a March so that the leap day comes last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000_000 + second * 1_000_000_000 + nanos)
}

/// The RFC 3339 time in UTC of nanoseconds since 1970, as engines write it. The other way round than [`nanoseconds`].
pub fn rfc3339(nanoseconds: i128) -> String {
    let (days, rest) = (nanoseconds.div_euclid(86_400_000_000_000), nanoseconds.rem_euclid(86_400_000_000_000));
    // Years begin with March here, in ages of 400 years that are all alike.
    let (age, day) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year_of_age = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_age + year_of_age / 4 - year_of_age / 100);
    let months = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * months + 2) / 5 + 1, if months < 10 { months + 3 } else { months - 9 });
    let year = 400 * age + year_of_age + i128::from(month <= 2);
    let (seconds, nanos) = (rest / 1_000_000_000, rest % 1_000_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Seconds since 1970, by the machine's clock now.
pub fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::{nanoseconds, rfc3339};

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(nanoseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(nanoseconds("2026-11-22T03:59:06.496877611Z"), Some(1_795_319_946_496_877_611));
        assert_eq!(nanoseconds("2024-02-29T00:00:00.5Z"), Some(1_709_164_800_500_000_000));
        for wrong in ["", "2026-11-22", "2026-11-22T03:59:06", "2026-11-22T03:59:06+00:00", "2026-13-22T03:59:06Z"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_795_319_946_496_877_611), "2026-11-22T03:59:06.496877611Z");
        for day in 0..60_000 {
            let time = day * 86_400_000_000_000 + 86_399_999_999_999;
            assert_eq!(nanoseconds(&rfc3339(time)), Some(time), "day {day}");
        }
    }
}
