//! `muster top`

use super::amounts::{self, UNKNOWN};
use super::connection::Server;
use super::exit::{Exit, Failure};
use super::human;
use super::output::{Format, Table, json_line};
use crate::api::query::encode;
use crate::api::types::{Top, TopContainer, TopHost};
use crate::time;
use clap::Args;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Rows asked for if nobody says how many: more than a terminal shows.
const ROWS: usize = 100;

/// Flags of `muster top`.
#[derive(Debug, Args)]
pub struct TopFlags {
    /// Only of these hosts, by id or name
    host: Vec<String>,
    /// Print once, and not again and again
    #[arg(long)]
    no_stream: bool,
    /// Time between two looks, 1s to 1h
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = read_delay)]
    delay: Duration,
    /// The most containers and hosts to show, 1 to 500; as many as fit a terminal otherwise
    #[arg(short = 'n', long, value_name = "ROWS", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: Option<u16>,
    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn read_delay(text: &str) -> Result<Duration, String> {
    let delay = time::parse_duration(text)?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&delay);
    if fits { Ok(delay) } else { Err("give 1s to 1h".to_string()) }
}

/// A line of `--format json`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Host(&'a TopHost),
    Container(&'a TopContainer),
}

/// Runs it. Unless it is to print once, it ends only by an error; a server that was there and is lost is waited for.
pub fn run(flags: &TopFlags, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let is_screen = !flags.no_stream && flags.format == Format::Table && io::stdout().is_terminal();
    let (mut reached, mut lost) = (false, false);
    loop {
        let screen = if is_screen { Screen::look() } else { None };
        let looked = server.get::<Top>(&path(flags, screen));
        match looked {
            Ok(top) => {
                (reached, lost) = (true, false);
                show(flags, &top, screen, out)?;
                out.flush()?;
            }
            Err(failure) if reached && matches!(failure.exit, Exit::Unreachable | Exit::Unavailable) => {
                if !lost {
                    // If nobody reads it, nothing is lost.
                    let note = format!("muster: top: {}; trying again until the server is back", failure.message);
                    let _ = writeln!(io::stderr(), "{note}");
                }
                lost = true;
            }
            Err(failure) => return Err(failure),
        }
        if flags.no_stream {
            return Ok(());
        }
        std::thread::sleep(flags.delay);
    }
}

fn path(flags: &TopFlags, screen: Option<Screen>) -> String {
    let fitting = screen.map_or(ROWS, |screen| screen.height).clamp(1, 500);
    let limit = flags.limit.map_or(fitting, usize::from);
    let hosts: String = flags.host.iter().map(|host| format!("&host={}", encode(host))).collect();
    format!("/api/v1/top?limit={limit}{hosts}")
}

/// Lines and columns.
#[derive(Debug, Clone, Copy)]
struct Screen {
    height: usize,
    width: usize,
}

impl Screen {
    /// That of the terminal; `None` if it does not say.
    fn look() -> Option<Screen> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        let screen = Screen { height: size.ws_row.into(), width: size.ws_col.into() };
        (screen.height > 0 && screen.width > 0).then_some(screen)
    }

    /// The text from the upper left corner on, as far as it fits; each line and the rest of the screen are emptied.
    fn fill(self, text: &str) -> String {
        let cut = |line: &str| line.chars().take(self.width).collect::<String>() + "\x1b[K";
        let lines: Vec<String> = text.lines().map(cut).collect();
        format!("\x1b[H{}\x1b[J", lines.join("\n"))
    }
}

fn show(flags: &TopFlags, top: &Top, screen: Option<Screen>, out: &mut dyn Write) -> Result<(), Failure> {
    if flags.format == Format::Json {
        top.hosts.iter().try_for_each(|host| json_line(out, &Line::Host(host)))?;
        return top.containers.iter().try_for_each(|container| json_line(out, &Line::Container(container)));
    }
    let text = tables(top, flags.no_trunc, screen.map(|screen| screen.height), time::now_ms())?;
    let text = screen.map_or(text.clone(), |screen| screen.fill(&text));
    Ok(out.write_all(text.as_bytes())?)
}

/// Hosts, an empty line, containers: at most so many lines, of which hosts have a third.
fn tables(top: &Top, whole: bool, height: Option<usize>, now_ms: i64) -> Result<String, Failure> {
    let height = height.unwrap_or(usize::MAX);
    let hosts = top.hosts.len().min((height / 3).max(1));
    // Two headings, an empty line, and one that scrolling would take.
    let containers = top.containers.len().min(height.saturating_sub(hosts + 4).max(1));
    let mut text = Vec::new();
    let mut table =
        Table::new(&["HOST", "STATE", "CPU %", "LOAD", "MEM USAGE / TOTAL", "SWAP", "DISK", "TEMP", "UPTIME", "POWER"]);
    top.hosts.iter().take(hosts).for_each(|host| table.row(host_row(host, now_ms)));
    table.print(&mut text)?;
    text.push(b'\n');
    let mut table = Table::new(&[
        "HOST",
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ]);
    for container in top.containers.iter().take(containers) {
        table.row(container_row(container, whole));
    }
    table.print(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn host_row(host: &TopHost, now_ms: i64) -> Vec<String> {
    let unknown = || UNKNOWN.to_string();
    // What a host that is away said last is not so any more.
    let Some(vitals) = host.vitals.as_ref().filter(|_| host.state == "active") else {
        let age = host.vitals.as_ref().and_then(|vitals| human::age(Some(&vitals.as_of), now_ms));
        let state = age.map_or(host.state.clone(), |age| format!("{} ({age})", host.state));
        let mut row = vec![host.name.clone(), state];
        row.extend((0..7).map(|_| unknown()));
        row.push(String::new());
        return row;
    };
    let decimal = |value: Option<f64>, unit: &str| value.map_or_else(unknown, |value| format!("{value:.1}{unit}"));
    vec![
        host.name.clone(),
        host.state.clone(),
        amounts::percent(vitals.cpu_percent),
        vitals.load.map_or_else(unknown, |load| format!("{load:.2}")),
        amounts::pair(amounts::used_memory(vitals), vitals.memory_total, amounts::memory),
        vitals.swap_used.map_or_else(unknown, amounts::memory),
        decimal(amounts::fullest(vitals), "%"),
        decimal(vitals.temperature, "°C"),
        vitals.uptime.map_or_else(unknown, |seconds| human::duration(i64::try_from(seconds).unwrap_or(0) * 1000)),
        amounts::power_problems(vitals).join(", "),
    ]
}

fn container_row(container: &TopContainer, whole: bool) -> Vec<String> {
    let id = if whole { &container.id } else { human::short_id(&container.id) };
    let mut row = vec![container.host.clone(), id.to_string(), container.name.clone()];
    let Some(vitals) = container.vitals.as_ref().filter(|_| !container.stale) else {
        row.extend([UNKNOWN, "-- / --", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN].map(String::from));
        return row;
    };
    row.extend([
        amounts::percent(vitals.cpu_percent),
        amounts::container_memory(vitals),
        amounts::percent(vitals.memory_percent),
        amounts::pair(vitals.received, vitals.sent, amounts::size),
        amounts::pair(vitals.read, vitals.written, amounts::size),
        vitals.pids.map_or(UNKNOWN.to_string(), |pids| pids.to_string()),
    ]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    fn top() -> Top {
        let host = |name: &str, id: &str, state: &str| TopHost {
            id: id.into(),
            name: name.into(),
            state: state.into(),
            vitals: Some(samples::host_vitals()),
        };
        let container = |name: &str, stale| TopContainer {
            id: "abcdef0123456789".repeat(4),
            name: name.into(),
            host: "pi1".into(),
            host_id: "a1".into(),
            state: "running".into(),
            stale,
            vitals: Some(samples::container_vitals()),
        };
        Top {
            hosts: vec![host("pi1", "a1", "active"), host("pi2", "a2", "disconnected")],
            containers: vec![container("web", false), container("old", true)],
            running: 2,
        }
    }

    #[test]
    fn the_tables_are_docker_stats_with_hosts() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let text = tables(&top(), false, None, now).expect("text");
        let expected = "\
HOST      STATE                CPU %     LOAD      MEM USAGE / TOTAL   SWAP      DISK      TEMP      UPTIME    POWER
pi1       active               12.34%    0.52      1GiB / 4GiB         0B        75.0%     54.2°C    2 days    
pi2       disconnected (10s)   --        --        --                  --        --        --        --        

HOST      CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O         BLOCK I/O     PIDS
pi1       abcdef012345   web       101.50%   96MiB / 512MiB      18.75%    1.23MB / 890B   0B / 45.6MB   7
pi1       abcdef012345   old       --        -- / --             --        --              --            --
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_terminal_is_not_filled_beyond_its_end() {
        let mut many = top();
        many.hosts = vec![many.hosts[0].clone(); 40];
        many.containers = vec![many.containers[0].clone(); 400];
        for height in [1, 5, 24, 50] {
            let lines = tables(&many, false, Some(height), 0).expect("text").lines().count();
            assert!(lines < height.max(6), "{lines} lines of {height}");
        }
    }

    const SCREEN: Screen = Screen { height: 50, width: 10 };

    #[test]
    fn lines_are_cut_where_the_screen_ends() {
        let filled = SCREEN.fill("0123456789abc\né\n");
        assert_eq!(filled, "\x1b[H0123456789\x1b[K\né\x1b[K\x1b[J");
    }

    #[test]
    fn what_is_asked_for_follows_from_the_flags() {
        use clap::Parser;
        #[derive(Parser)]
        struct Args {
            #[command(flatten)]
            top: TopFlags,
        }
        let read = |line: &[&str]| Args::try_parse_from([&["top"], line].concat()).map(|args| args.top);
        assert_eq!(path(&read(&["a b", "c"]).expect("flags"), None), "/api/v1/top?limit=100&host=a%20b&host=c");
        assert_eq!(path(&read(&["-n", "7"]).expect("flags"), Some(SCREEN)), "/api/v1/top?limit=7");
        assert_eq!(path(&read(&[]).expect("flags"), Some(SCREEN)), "/api/v1/top?limit=50");
        for wrong in [&["-d", "10ms"][..], &["-n", "0"], &["-n", "501"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
