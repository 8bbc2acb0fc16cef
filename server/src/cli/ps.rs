//! `muster ps`

use super::amounts;
use super::connection::Server;
use super::exit::Failure;
use super::filter::{self, Filter};
use super::human;
use super::output::{Format, Table, json_line, printable};
use super::ports;
use crate::api::types::Container;
use crate::time;
use clap::Args;
use muster_protocol::container::State;
use std::io::Write;

/// Characters of a command in the table.
const COMMAND: usize = 20;

/// Flags of `muster ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// Also containers that were created and never started
    #[arg(short, long)]
    all: bool,
    /// Only of this host, by id or name; may be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Only where this holds, of state, label, name and host; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = read_filter)]
    filter: Vec<Filter>,
    /// Show ids and commands in full
    #[arg(long)]
    no_trunc: bool,
    /// Also show what containers use
    #[arg(long, conflicts_with = "quiet")]
    vitals: bool,
    /// Show ids only
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn read_filter(text: &str) -> Result<Filter, String> {
    filter::read(text, &["state", "label", "name", "host"], |key| match key {
        "state" => State::WORDS.iter().map(|(_, word)| *word).filter(|word| *word != State::Unknown.word()).collect(),
        _ => Vec::new(),
    })
}

/// Runs it.
pub fn run(flags: &Ps, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let mut headings = vec!["HOST", "CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    if flags.vitals {
        headings.extend(["CPU %", "MEM USAGE / LIMIT"]);
    }
    let mut table = Table::new(&headings);
    let now_ms = time::now_ms();
    server.each_page("/api/v1/containers", &query(flags), |containers: Vec<Container>| {
        for container in &containers {
            match (flags.quiet, flags.format) {
                (true, _) => writeln!(out, "{}", printable(id(container, flags.no_trunc)))?,
                (false, Format::Json) => json_line(out, container)?,
                (false, Format::Table) => {
                    let mut row = row(container, flags.no_trunc, now_ms);
                    if flags.vitals {
                        row.extend(vitals(container));
                    }
                    table.row(row);
                }
            }
        }
        Ok(())
    })?;
    if flags.quiet || flags.format == Format::Json { Ok(()) } else { table.print(out) }
}

fn query(flags: &Ps) -> Vec<(&'static str, String)> {
    let mut query: Vec<(&'static str, String)> = Vec::new();
    if flags.all {
        query.push(("all", "true".to_string()));
    }
    query.extend(flags.host.iter().map(|host| ("host", host.clone())));
    query.extend(flags.filter.iter().map(|filter| (filter.key, filter.value.clone())));
    query
}

fn id(container: &Container, whole: bool) -> &str {
    if whole { &container.id } else { human::short_id(&container.id) }
}

fn row(container: &Container, whole: bool, now_ms: i64) -> Vec<String> {
    let command = if whole { container.command.clone() } else { human::ellipsis(&container.command, COMMAND) };
    vec![
        container.host.clone(),
        id(container, whole).to_string(),
        container.image.clone(),
        human::quote(&command),
        human::since(container.created_at.as_deref(), now_ms).map_or(String::new(), |span| format!("{span} ago")),
        status(container, now_ms),
        ports::render(&container.ports),
        container.name.clone(),
    ]
}

/// What it uses, as far as that is known.
fn vitals(container: &Container) -> [String; 2] {
    match &container.vitals {
        Some(vitals) => [amounts::percent(vitals.cpu_percent), amounts::container_memory(vitals)],
        None => [String::new(), String::new()],
    }
}

/// As Docker words it, and whether it may no longer be true.
fn status(container: &Container, now_ms: i64) -> String {
    let up = || match human::since(container.started_at.as_deref(), now_ms) {
        Some(span) => format!("Up {span}"),
        None => "Up".to_string(),
    };
    let ended = |word: &str| {
        let code = container.exit_code.map_or(String::new(), |code| format!(" ({code})"));
        let ago =
            human::since(container.finished_at.as_deref(), now_ms).map_or(String::new(), |span| format!(" {span} ago"));
        format!("{word}{code}{ago}")
    };
    let mut status = match container.state.as_str() {
        "running" => match container.health.as_deref() {
            Some("starting") => format!("{} (health: starting)", up()),
            Some(health) => format!("{} ({health})", up()),
            None => up(),
        },
        "paused" => format!("{} (Paused)", up()),
        "restarting" => ended("Restarting"),
        "exited" => ended("Exited"),
        "created" => "Created".to_string(),
        "removing" => "Removal In Progress".to_string(),
        "dead" => "Dead".to_string(),
        other => other.to_string(),
    };
    if container.network_refused.is_some() {
        status.push_str(" (not in network)");
    }
    if container.stale {
        match human::age(container.as_of.as_deref(), now_ms) {
            Some(age) => status.push_str(&format!(" (stale, {age})")),
            None => status.push_str(" (stale)"),
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn now() -> i64 {
        time::parse_ms("2026-11-22T10:00:00Z").expect("a time")
    }

    fn ended(state: &str, code: i32) -> Container {
        Container {
            exit_code: Some(code),
            finished_at: Some("2026-11-22T09:59:55Z".into()),
            ..samples::container("web", state)
        }
    }

    #[test]
    fn states_are_worded_as_docker_words_them() {
        let running = samples::container("web", "running");
        let health = |health: &str| Container { health: Some(health.into()), ..running.clone() };
        let stale = Container { stale: true, as_of: Some("2026-11-22T09:59:20Z".into()), ..running.clone() };
        let refused = Container { network_refused: Some("its network mode is host".into()), ..stale.clone() };
        for (container, words) in [
            (running.clone(), "Up 3 minutes"),
            (health("healthy"), "Up 3 minutes (healthy)"),
            (health("starting"), "Up 3 minutes (health: starting)"),
            (samples::container("web", "paused"), "Up 3 minutes (Paused)"),
            (ended("exited", 137), "Exited (137) 5 seconds ago"),
            (ended("restarting", 1), "Restarting (1) 5 seconds ago"),
            (samples::container("web", "created"), "Created"),
            (samples::container("web", "dead"), "Dead"),
            (refused, "Up 3 minutes (not in network) (stale, 40s)"),
            (stale, "Up 3 minutes (stale, 40s)"),
        ] {
            assert_eq!(status(&container, now()), words);
        }
    }

    #[test]
    fn a_row_is_short_unless_asked_otherwise() {
        let container = samples::container("web", "running");
        let short = row(&container, false, now());
        assert_eq!(
            short,
            [
                "pi1",
                "abcdef012345",
                "nginx:1.29",
                "\"/docker-entrypoint.…\"",
                "About an hour ago",
                "Up 3 minutes",
                "0.0.0.0:8080->80/tcp",
                "web"
            ]
        );
        let whole = row(&container, true, now());
        assert_eq!(whole[1], container.id);
        assert_eq!(whole[3], "\"/docker-entrypoint.sh nginx -g 'daemon off;'\"");
    }

    #[test]
    fn vitals_are_shown_as_far_as_they_are_known() {
        let mut container = samples::container("web", "running");
        assert_eq!(vitals(&container), ["", ""]);
        container.vitals = Some(samples::container_vitals());
        assert_eq!(vitals(&container), ["101.50%", "96MiB / 512MiB"]);
    }

    #[test]
    fn flags_become_a_query() {
        use clap::Parser;
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            ps: Ps,
        }
        let line = ["ps", "-a", "--host", "pi1", "--filter", "state=exited", "-f", "label=a=b"];
        let query = query(&Line::try_parse_from(line).expect("flags").ps);
        let expected = [("all", "true"), ("host", "pi1"), ("state", "exited"), ("label", "a=b")];
        assert_eq!(query, expected.map(|(key, value)| (key, value.to_string())));
        for wrong in ["status=running", "state=up", "label"] {
            assert!(Line::try_parse_from(["ps", "--filter", wrong]).is_err(), "{wrong}");
        }
    }
}
