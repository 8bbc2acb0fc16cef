//! `muster hosts`

use super::amounts;
use super::connection::Server;
use super::exit::Failure;
use super::human;
use super::inspect::{look_up, pretty};
use super::output::{Format, Table, json_line};
use crate::api::query::encode;
use crate::api::types::{ChangeHost, ChangeHosts, Host, Page};
use crate::time;
use clap::{Args, Subcommand};
use muster_dial::client::Method;
use std::io::Write;

/// Flags of `muster hosts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Hosts {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List hosts (also what `muster hosts` alone does)
    Ls(List),
    /// Remove hosts: their agents are refused from now on, their history stays. Does not ask. See restore
    Rm {
        /// Id or name
        #[arg(required = true)]
        host: Vec<String>,
    },
    /// Rename a host
    Rename {
        /// Id or name
        host: String,
        /// 1 to 64 letters, digits, '.', '_' and '-'
        name: String,
    },
    /// Bring back hosts that were removed in the last 30 days, with their history
    Restore {
        /// Id, or the name that it had
        #[arg(required = true)]
        host: Vec<String>,
    },
    /// Print all that is known of hosts
    Inspect {
        /// Id or name
        #[arg(required = true)]
        host: Vec<String>,
        /// An array for people, or one object a line
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Set how often hosts report or look at vitals, and print which ones. Each hears of it with its next report
    Set(Set),
    /// Change or end what hosts prove themselves by
    #[command(subcommand)]
    Credential(Credential),
}

#[derive(Debug, Args)]
struct Set {
    /// Id or name
    #[arg(required_unless_present = "label", conflicts_with = "label")]
    host: Vec<String>,
    /// All hosts that have this label now (those that join later keep their own); of several, all must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = read_label)]
    label: Vec<String>,
    /// Time between reports, 1s to 1h, or `default` for what each agent was started with. Events come at once anyway
    #[arg(long, value_name = "TIME|default", value_parser = read_interval, required_unless_present = "vitals_interval")]
    interval: Option<Interval>,
    /// Time between looks at vitals, 1s to 1h, `off`, or `default` for what each agent was started with
    #[arg(long, value_name = "TIME|off|default", value_parser = read_vitals_interval)]
    vitals_interval: Option<Interval>,
}

/// Seconds, if not the default.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval(Option<f64>);

fn read_interval(text: &str) -> Result<Interval, String> {
    if text == "default" {
        return Ok(Interval(None));
    }
    let seconds = time::parse_duration(text)?.as_secs_f64();
    match (1.0..=3600.0).contains(&seconds) {
        true => Ok(Interval(Some(seconds))),
        false => Err("give 1s to 1h, or default".to_string()),
    }
}

/// The API has 0 for never.
fn read_vitals_interval(text: &str) -> Result<Interval, String> {
    if text == "off" {
        return Ok(Interval(Some(0.0)));
    }
    read_interval(text).map_err(|why| why.replace("1h,", "1h, off"))
}

fn read_label(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_string()),
        _ => Err("a label is KEY=VALUE".to_string()),
    }
}

#[derive(Debug, Subcommand)]
enum Credential {
    /// Let agents make new credentials, with their next reports. The old ones count until then
    Rotate {
        /// Id or name
        #[arg(required = true)]
        host: Vec<String>,
    },
    /// Accept a host's credential no more, from now on. Its agent has to join again, and is a new host then
    Revoke {
        /// Id or name
        #[arg(required = true)]
        host: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct List {
    /// Also those that were removed, while they can be restored
    #[arg(short, long)]
    all: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs it.
pub fn run(hosts: &Hosts, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    match &hosts.command {
        None => list(&hosts.list, server, out),
        Some(Command::Ls(flags)) => list(flags, server, out),
        Some(Command::Rm { host }) => {
            for host in host {
                server
                    .delete(&format!("/api/v1/hosts/{}", encode(host)))
                    .map_err(|failure| failure.while_doing(format_args!("hosts rm {host}")))?;
                writeln!(out, "{host}")?;
            }
            Ok(())
        }
        Some(Command::Rename { host, name }) => {
            let change = ChangeHost { name: Some(name.clone()), ..ChangeHost::default() };
            let path = format!("/api/v1/hosts/{}", encode(host));
            let host: Host = server.send(Method::PATCH, &path, &change)?;
            Ok(writeln!(out, "{}", host.name)?)
        }
        Some(Command::Restore { host }) => each(host, "restore", server, out),
        Some(Command::Inspect { host, format }) => inspect(host, *format, server, out),
        Some(Command::Set(flags)) => set(flags, server, out),
        Some(Command::Credential(Credential::Rotate { host })) => each(host, "credential/rotate", server, out),
        Some(Command::Credential(Credential::Revoke { host })) => each(host, "credential/revoke", server, out),
    }
}

/// Asks for the same for each host, and prints its name as it is then.
fn each(hosts: &[String], what: &str, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    for host in hosts {
        let path = format!("/api/v1/hosts/{}/{what}", encode(host));
        let host: Host = server
            .send(Method::POST, &path, &())
            .map_err(|failure| failure.while_doing(format_args!("hosts {} {host}", what.replace('/', " "))))?;
        writeln!(out, "{}", host.name)?;
    }
    Ok(())
}

fn set(flags: &Set, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let interval = flags.interval.map(|Interval(seconds)| seconds);
    let vitals_interval = flags.vitals_interval.map(|Interval(seconds)| seconds);
    if !flags.label.is_empty() {
        let labels: Vec<String> = flags.label.iter().map(|label| format!("label={}", encode(label))).collect();
        let path = format!("/api/v1/hosts?{}", labels.join("&"));
        let set: Page<Host> = server.send(Method::PATCH, &path, &ChangeHosts { interval, vitals_interval })?;
        return set.items.iter().try_for_each(|host| Ok(writeln!(out, "{}", host.name)?));
    }
    for host in &flags.host {
        let change = ChangeHost { name: None, interval, vitals_interval };
        let path = format!("/api/v1/hosts/{}", encode(host));
        let host: Host = server
            .send(Method::PATCH, &path, &change)
            .map_err(|failure| failure.while_doing(format_args!("hosts set {host}")))?;
        writeln!(out, "{}", host.name)?;
    }
    Ok(())
}

/// Prints those that are there, then fails for those that are not.
fn inspect(names: &[String], format: Format, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let get = |name: &str| server.get::<Host>(&format!("/api/v1/hosts/{}", encode(name)));
    let (found, failed) = look_up("hosts inspect", names, get);
    match format {
        Format::Json => found.iter().try_for_each(|host| json_line(out, host))?,
        Format::Table if found.is_empty() => {}
        Format::Table => pretty(out, &found)?,
    }
    failed.map_or(Ok(()), Err)
}

fn list(flags: &List, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let hosts: Vec<Host> = server.list("/api/v1/hosts", &[("removed", flags.all.to_string())])?;
    match flags.format {
        Format::Json => hosts.iter().try_for_each(|host| json_line(out, host)),
        Format::Table => table(&hosts, time::now_ms()).print(out),
    }
}

fn table(hosts: &[Host], now_ms: i64) -> Table {
    let mut table = Table::new(&["NAME", "ID", "STATE", "ENGINE", "CONTAINERS", VITALS, "LAST SEEN", "AGENT"]);
    for host in hosts {
        table.row(vec![
            host.name.clone(),
            host.id.clone(),
            state(host),
            engine(host, now_ms),
            containers(host),
            vitals(host),
            human::since(host.last_seen.as_deref(), now_ms).map_or("never".to_string(), |span| format!("{span} ago")),
            host.agent_version.clone().unwrap_or_else(|| "-".to_string()),
        ]);
    }
    table
}

/// Its state, and what is wrong with it.
fn state(host: &Host) -> String {
    let wrong =
        [(host.conflict, "conflict"), (host.sync_error, "sync error"), (host.credential == "revoked", "revoked")];
    let power = host.vitals.as_ref().filter(|_| host.state == "active").map(amounts::power_problems);
    let wrong = wrong.into_iter().filter_map(|(is_so, word)| is_so.then_some(word));
    let wrong: Vec<&str> = wrong.chain(power.unwrap_or_default()).collect();
    if wrong.is_empty() { host.state.clone() } else { format!("{} ({})", host.state, wrong.join(", ")) }
}

/// Four columns in one, which is as wide as they need: the table is to fit 120.
const VITALS: &str = " CPU  MEM DISK  TEMP";

/// How it does in whole percents and degrees, its fullest disk's use among them.
fn vitals(host: &Host) -> String {
    // What a host that is away said last is not so any more.
    let now = host.vitals.as_ref().filter(|_| host.state == "active");
    let whole = |value: Option<f64>, unit: &str| value.map_or("-".to_string(), |value| format!("{value:.0}{unit}"));
    let percent = |value| whole(value, "%");
    let memory = now.and_then(|now| Some(100.0 * amounts::used_memory(now)? as f64 / now.memory_total? as f64));
    format!(
        "{:>4} {:>4} {:>4} {:>5}",
        percent(now.and_then(|now| now.cpu_percent)),
        percent(memory.filter(|percent| percent.is_finite())),
        percent(now.and_then(amounts::fullest)),
        whole(now.and_then(|now| now.temperature), "°C"),
    )
}

/// Its state and version; how long for, if it is not well.
fn engine(host: &Host, now_ms: i64) -> String {
    let engine = &host.engine;
    match (engine.state.as_deref(), &engine.version) {
        (None, _) => "-".to_string(),
        (Some("ok"), Some(version)) => format!("ok {version}"),
        (Some("ok"), None) => "ok".to_string(),
        (Some(other), _) => match human::age(engine.since.as_deref(), now_ms) {
            Some(age) => format!("{other} ({age})"),
            None => other.to_string(),
        },
    }
}

fn containers(host: &Host) -> String {
    let hidden = if host.hidden > 0 { format!(" (+{} hidden)", host.hidden) } else { String::new() };
    format!("{}/{}{hidden}", host.containers.up(), host.containers.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn intervals_have_bounds_and_a_default() {
        assert_eq!(read_interval("30s"), Ok(Interval(Some(30.0))));
        assert_eq!(read_interval("default"), Ok(Interval(None)));
        assert_eq!(read_vitals_interval("off"), Ok(Interval(Some(0.0))));
        assert_eq!(read_vitals_interval("15s"), Ok(Interval(Some(15.0))));
        assert!(read_interval("off").is_err() && read_vitals_interval("never").is_err());
        for wrong in ["0s", "999ms", "61m", "often", ""] {
            assert!(read_interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_table_of_hosts_that_are_well_fits_120_columns() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let mut host = samples::host("greenhouse-3");
        host.vitals = Some(samples::host_vitals());
        let mut out = Vec::new();
        table(&[host], now).print(&mut out).expect("printed");
        let text = String::from_utf8(out).expect("text");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn power_problems_are_shown_with_the_state_while_the_host_is_there() {
        let mut host = samples::host("pi1");
        let power = crate::api::types::Power { under_voltage: true, ..Default::default() };
        host.vitals = Some(crate::api::types::HostVitals { power: Some(power), ..samples::host_vitals() });
        assert_eq!(state(&host), "active (under-voltage)");
        host.state = "disconnected".into();
        assert_eq!((state(&host).as_str(), vitals(&host).as_str()), ("disconnected", "   -    -    -     -"));
    }

    #[test]
    fn the_table_says_what_is_wrong() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let mut well = samples::host("pi1");
        well.vitals = Some(samples::host_vitals());
        let mut ill = samples::host("pi2");
        ill.engine.state = Some("not_answering".into());
        ill.engine.since = Some("2026-11-22T09:59:00Z".into());
        ill.hidden = 5;
        ill.containers.restarting = 1;
        ill.conflict = true;
        ill.sync_error = true;
        let mut new = samples::host("pi3");
        new.credential = "revoked".into();
        (new.engine.state, new.last_seen, new.agent_version) = (None, None, None);
        let mut out = Vec::new();
        table(&[well, ill, new], now).print(&mut out).expect("printed");
        let expected = "\
NAME      ID                 STATE                           ENGINE                CONTAINERS         CPU  MEM DISK  TEMP   LAST SEEN       AGENT
pi1       00000000000000a1   active                          ok 28.5.2             2/3                12%  25%  75%  54°C   2 seconds ago   0.1.0
pi2       00000000000000a1   active (conflict, sync error)   not_answering (60s)   1/3 (+5 hidden)      -    -    -     -   2 seconds ago   0.1.0
pi3       00000000000000a1   active (revoked)                -                     2/3                  -    -    -     -   never           -
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
