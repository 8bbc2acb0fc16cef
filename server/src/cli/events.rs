//! `muster events`

use super::connection::Server;
use super::exit::Failure;
use super::filter::{self, Filter};
use super::follow;
use super::output::{Format, json_line, printable};
use crate::api::types::{Event, History};
use crate::fleet::EventSelect;
use crate::time;
use clap::Args;
use std::io::{self, Write};

/// Flags of `muster events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Not before this, by the host's clock: RFC 3339, seconds since 1970, or a duration before now such as 10m
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    since: Option<i64>,
    /// Not after this, by the host's clock: as --since
    #[arg(long, value_name = "TIME", value_parser = read_time, conflicts_with = "follow")]
    until: Option<i64>,
    /// Only of this host, by id or name; may be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Only where this holds, of container, action (or event), type, label and host; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = read_filter)]
    filter: Vec<Filter>,
    /// Go on with what happens from now on, until it is interrupted (docker's -f is --filter)
    #[arg(short, long)]
    follow: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn read_time(text: &str) -> Result<i64, String> {
    time::parse_when(text, time::now_ms())
}

fn read_filter(text: &str) -> Result<Filter, String> {
    filter::read(text, &["container", "action", "event", "type", "label", "host"], |key| match key {
        "type" => crate::api::EVENT_SUBJECTS.to_vec(),
        _ => Vec::new(),
    })
}

/// Runs it. With `--follow` it ends only by an error.
pub fn run(flags: &Events, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let select = select(flags);
    say_where_history_begins(flags, server)?;
    let mut print = |event: &Event| print(event, flags.format, out);
    if flags.follow {
        return follow::run(server, &select, &mut print);
    }
    server.each_page("/api/v1/events", &query(&select), |events: Vec<Event>| events.iter().try_for_each(&mut print))
}

/// Tells the person at the terminal if they asked for more than is kept. If nobody reads it, nothing is lost.
fn say_where_history_begins(flags: &Events, server: &Server) -> Result<(), Failure> {
    let history: History = server.get("/api/v1/events?limit=1")?;
    if let Some(begins) = history.history_begins {
        let is_asked = flags.since.is_none_or(|since| time::parse_ms(&begins).is_some_and(|begins| since < begins));
        if is_asked {
            let _ = writeln!(io::stderr(), "muster: events: the history begins at {begins}; older events were deleted");
        }
    }
    Ok(())
}

fn select(flags: &Events) -> EventSelect {
    let values = |key: &str| filter::values(&flags.filter, key);
    EventSelect {
        since_ms: flags.since,
        until_ms: flags.until,
        hosts: [flags.host.clone(), values("host")].concat(),
        containers: values("container"),
        actions: [values("action"), values("event")].concat(),
        subjects: values("type"),
        labels: values("label"),
    }
}

/// What asks the API for these events.
pub(super) fn query(select: &EventSelect) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(select.since_ms.map(|ms| ("since", time::format_ms(ms))));
    query.extend(select.until_ms.map(|ms| ("until", time::format_ms(ms))));
    for (key, values) in [
        ("host", &select.hosts),
        ("container", &select.containers),
        ("action", &select.actions),
        ("type", &select.subjects),
        ("label", &select.labels),
    ] {
        query.extend(values.iter().map(|value| (key, value.clone())));
    }
    query
}

fn print(event: &Event, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    match format {
        Format::Json => json_line(out, event)?,
        Format::Table => writeln!(out, "{}", printable(&line(event)))?,
    }
    Ok(out.flush()?)
}

/// As Docker prints it, with the host behind the time.
fn line(event: &Event) -> String {
    let time = nine_digits(event.time.as_deref().unwrap_or(&event.received_at));
    let attribute = |key: &str| event.attributes.get(key).and_then(Option::as_deref);
    if event.subject == "gap" {
        let missing = match attribute("count") {
            Some("1") => "1 event".to_string(),
            Some(count) => format!("{count} events"),
            None => "an unknown number of events".to_string(),
        };
        let known = |key| attribute(key).unwrap_or("unknown");
        return format!(
            "{time} {} gap: {missing} missing ({}), {} to {}",
            event.host,
            known("cause"),
            known("from"),
            known("to"),
        );
    }
    // Docker's actor: for a network it is the network, and the container stands among the attributes.
    let actor = event.network_id.as_ref().or(event.container_id.as_ref());
    let id = actor.map_or(String::new(), |id| format!(" {id}"));
    let attributes: Vec<String> =
        event.attributes.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or(""))).collect();
    let attributes = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    let derived = if event.derived { " derived" } else { "" };
    format!("{time} {} {} {}{id}{attributes}{derived}", event.host, event.subject, event.action)
}

/// With nine digits behind the point, so that lines are aligned.
fn nine_digits(time: &str) -> String {
    time::parse_nanos(time).map_or_else(|| time.to_string(), time::format_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        events: Events,
    }

    #[test]
    fn lines_are_as_docker_prints_them() {
        let id = samples::event(1, "die").container_id.expect("an id");
        assert_eq!(
            line(&samples::event(1, "die")),
            format!("2026-11-22T10:00:00.000000000Z pi1 container die {id} (exitCode=1, image=nginx:1.29, name=web)")
        );
        let derived = Event { derived: true, attributes: Default::default(), ..samples::event(1, "destroy") };
        assert_eq!(line(&derived), format!("2026-11-22T10:00:00.000000000Z pi1 container destroy {id} derived"));
        let host = Event {
            time: None,
            subject: "host".into(),
            container_id: None,
            attributes: Default::default(),
            ..samples::event(1, "host_disconnected")
        };
        assert_eq!(line(&host), "2026-11-22T10:00:00.050000000Z pi1 host host_disconnected");
    }

    #[test]
    fn gaps_are_not_to_be_overlooked() {
        let span = "2026-11-22T10:00:00.000000000Z to 2026-11-22T10:05:00.000000000Z";
        let start = "2026-11-22T10:00:00.000000000Z pi1 gap:";
        assert_eq!(line(&samples::gap(1, Some("12"))), format!("{start} 12 events missing (agent_down), {span}"));
        let unknown = format!("{start} an unknown number of events missing (agent_down), {span}");
        assert_eq!(line(&samples::gap(1, None)), unknown);
    }

    #[test]
    fn flags_become_a_selection_and_a_query() {
        let line = [
            "events",
            "--since",
            "2026-11-22T10:00:00Z",
            "--until",
            "1800000000",
            "--host",
            "a",
            "--filter",
            "host=b",
            "--filter",
            "event=die",
            "--filter",
            "action=oom",
            "--filter",
            "label=x=1",
            "--filter",
            "type=gap",
        ];
        let select = select(&Line::try_parse_from(line).expect("flags").events);
        assert_eq!(select.hosts, ["a", "b"]);
        assert_eq!(select.actions, ["oom", "die"]);
        let query = query(&select);
        assert_eq!(query[0], ("since", "2026-11-22T10:00:00.000Z".to_string()));
        assert_eq!(query[1].0, "until");
        assert!(query.contains(&("label", "x=1".to_string())) && query.contains(&("type", "gap".to_string())));
    }

    #[test]
    fn wrong_flags_are_refused() {
        for wrong in [["--since", "soon"], ["--filter", "name=x"], ["--filter", "type=image"]] {
            assert!(Line::try_parse_from(["events"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
        assert!(Line::try_parse_from(["events", "-f", "--until", "1"]).is_err());
    }
}
