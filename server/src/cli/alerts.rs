//! `muster alerts`

mod set;
mod to;

use super::connection::Server;
use super::exit::{Exit, Failure};
use super::filter::{self, Filter};
use super::human;
use super::output::{Format, Table, json_line};
use crate::alerts::Rule;
use crate::api::query::encode;
use crate::api::types::{Alert, AlertSilence, AlertTest, NewAlertSilence, Page, TestAlert};
use crate::time;
use clap::{Args, Subcommand};
use muster_dial::client::Method;
use std::io::Write;
use std::time::Duration;

const PATH: &str = "/api/v1/alerts";
/// Alerts that are over and are listed without being asked for.
const RECENT: usize = 20;
/// The most that the API gives at a time.
const PAGE: usize = 500;

/// Flags of `muster alerts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AlertsFlags {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List alerts that fire, and the newest that are over (also what `muster alerts` alone does)
    Ls(List),
    /// Send a test. Exit code 1: a target did not take it
    Test {
        /// To this target only
        target: Option<String>,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say where alerts are sent
    #[command(subcommand)]
    To(to::To),
    /// Tell nothing of something for a while. What still fires at its end is told then
    Silence(Silence),
    /// List silences
    Silences {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// End silences
    Unsilence {
        /// As `alerts silences` shows it
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Show the rules, or set one
    Rules(set::RuleFlags),
    /// Show or set the hours in which nothing is sent
    ///
    /// Alerts that begin in them and still fire at their end are told then.
    Quiet(set::QuietFlags),
    /// Show or set how alerts that come together are gathered in one notice
    Group(set::GroupFlags),
}

#[derive(Debug, Args)]
struct List {
    /// All that are over, too, as far as they are kept
    #[arg(short, long)]
    all: bool,
    /// Only what matches: state=firing|ended, host=, container=, rule=
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = read_filter)]
    filter: Vec<Filter>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn read_filter(text: &str) -> Result<Filter, String> {
    filter::read(text, &["state", "host", "container", "rule"], |key| match key {
        "state" => vec!["firing", "ended"],
        "rule" => Rule::WORDS.to_vec(),
        _ => Vec::new(),
    })
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["span", "until"]))]
struct Silence {
    /// Alerts of this host: name or id
    #[arg(long)]
    host: Option<String>,
    /// Alerts of containers with this name or id
    #[arg(long)]
    container: Option<String>,
    /// Alerts of hosts and containers with this label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Option<String>,
    /// Alerts of this rule
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Rule::WORDS))]
    rule: Option<String>,
    /// For how long, such as 2h or 7d
    #[arg(long = "for", value_name = "DURATION", value_parser = time::parse_duration)]
    span: Option<Duration>,
    /// Until when: RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Why: whoever sees it wants to know
    #[arg(long, default_value = "")]
    why: String,
}

/// Runs it.
pub fn run(flags: &AlertsFlags, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    match &flags.command {
        None => list(&flags.list, server, out),
        Some(Command::Ls(flags)) => list(flags, server, out),
        Some(Command::Test { target, format }) => test(target.as_deref(), *format, server, out),
        Some(Command::To(command)) => to::run(command, server, out),
        Some(Command::Silence(flags)) => silence(flags, server, out),
        Some(Command::Silences { format }) => silences(*format, server, out),
        Some(Command::Unsilence { id }) => id.iter().try_for_each(|id| {
            server
                .delete(&format!("{PATH}/silences/{}", encode(id)))
                .map_err(|failure| failure.while_doing(format_args!("alerts unsilence {id}")))?;
            Ok(writeln!(out, "{id}")?)
        }),
        Some(Command::Rules(flags)) => set::rules(flags, server, out),
        Some(Command::Quiet(flags)) => set::quiet(flags, server, out),
        Some(Command::Group(flags)) => set::group(flags, server, out),
    }
}

fn list(flags: &List, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let get = |path: &str| server.get(path);
    let states = filter::values(&flags.filter, "state");
    let wants = |state: &str| states.is_empty() || states.iter().any(|it| it == state);
    let mut alerts = Vec::new();
    if wants("firing") {
        alerts.extend(newest(flags, "firing", usize::MAX, get)?);
    }
    if wants("ended") {
        let is_asked_for = flags.all || !states.is_empty();
        alerts.extend(newest(flags, "ended", if is_asked_for { usize::MAX } else { RECENT }, get)?);
    }
    match flags.format {
        Format::Json => alerts.iter().try_for_each(|alert| json_line(out, alert)),
        Format::Table => table(&alerts, time::now_ms()).print(out),
    }
}

/// The newest alerts in a state, newest first.
fn newest(
    flags: &List,
    state: &str,
    wanted: usize,
    get: impl Fn(&str) -> Result<Page<Alert>, Failure>,
) -> Result<Vec<Alert>, Failure> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let mut path = format!("{PATH}?state={state}&limit={}", (wanted - alerts.len()).min(PAGE));
        for it in flags.filter.iter().filter(|it| it.key != "state") {
            path.push_str(&format!("&{}={}", it.key, encode(&it.value)));
        }
        path.extend(before.map(|before| format!("&before={before}")));
        let page = get(&path)?;
        alerts.extend(page.items);
        before = page.next;
        if alerts.len() >= wanted || before.is_none() {
            return Ok(alerts);
        }
    }
}

fn table(alerts: &[Alert], now_ms: i64) -> Table {
    let mut table = Table::new(&["ID", "STATE", "RULE", "HOST", "CONTAINER", "SINCE", "TOLD", "WHAT"]);
    for alert in alerts {
        let ago = human::since(Some(&alert.since), now_ms).map_or(String::new(), |span| format!("{span} ago"));
        let state = match (&alert.until, alert.silenced) {
            (Some(_), _) => "ended",
            (None, true) => "silenced",
            (None, false) => "firing",
        };
        let told: Vec<String> = alert
            .delivered
            .iter()
            .map(|it| if it.state == "delivered" { it.to.clone() } else { format!("{} ({})", it.to, it.state) })
            .collect();
        table.row(vec![
            alert.id.to_string(),
            state.to_owned(),
            alert.rule.clone(),
            alert.host.clone(),
            alert.container.clone().unwrap_or_else(|| "-".to_owned()),
            ago,
            if told.is_empty() { "-".to_owned() } else { told.join(", ") },
            alert.text.clone(),
        ]);
    }
    table
}

fn test(target: Option<&str>, format: Format, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let asked = TestAlert { to: target.map(str::to_owned) };
    let page: Page<AlertTest> = server.send(Method::POST, &format!("{PATH}/test"), &asked)?;
    match format {
        Format::Json => page.items.iter().try_for_each(|it| json_line(out, it))?,
        Format::Table => {
            let mut table = Table::new(&["TO", "DELIVERED", "TOOK", "PROBLEM"]);
            for it in &page.items {
                table.row(vec![
                    it.to.clone(),
                    if it.delivered { "yes" } else { "no" }.to_owned(),
                    format!("{} ms", it.milliseconds),
                    it.problem.clone().unwrap_or_else(|| "-".to_owned()),
                ]);
            }
            table.print(out)?;
        }
    }
    let failed: Vec<&str> = page.items.iter().filter(|it| !it.delivered).map(|it| it.to.as_str()).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failure, format!("alerts test: not delivered to {}", failed.join(", ")))),
    }
}

fn silence(flags: &Silence, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let asked = NewAlertSilence {
        host: flags.host.clone(),
        container: flags.container.clone(),
        label: flags.label.clone(),
        rule: flags.rule.clone(),
        until: flags.until.clone(),
        for_s: flags.span.map(|span| span.as_secs()),
        why: flags.why.clone(),
    };
    let made: AlertSilence = server.send(Method::POST, &format!("{PATH}/silences"), &asked)?;
    Ok(writeln!(out, "{}", made.id)?)
}

fn silences(format: Format, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let page: Page<AlertSilence> = server.get(&format!("{PATH}/silences"))?;
    if format == Format::Json {
        return page.items.iter().try_for_each(|it| json_line(out, it));
    }
    let mut table = Table::new(&["ID", "OF", "UNTIL", "BY", "WHY"]);
    for it in &page.items {
        let parts = [("host", &it.host), ("container", &it.container), ("label", &it.label), ("rule", &it.rule)];
        let of: Vec<String> =
            parts.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))).collect();
        let why = if it.why.is_empty() { "-".to_owned() } else { it.why.clone() };
        table.row(vec![it.id.clone(), of.join(" "), it.until.clone(), it.by.clone(), why]);
    }
    table.print(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn alert(id: u64, until: Option<&str>) -> Alert {
        Alert {
            id,
            rule: "crashed".into(),
            severity: "critical".into(),
            host: "pi".into(),
            host_id: "00".into(),
            container: Some("web".into()),
            container_id: None,
            since: "2026-11-22T09:59:00.000Z".into(),
            until: until.map(str::to_owned),
            text: "web on pi crashed: exit code 1".into(),
            attributes: BTreeMap::new(),
            labels: BTreeMap::new(),
            silenced: false,
            delivered: vec![crate::api::types::AlertDelivery { to: "ops".into(), state: "waiting".into() }],
        }
    }

    #[test]
    fn alerts_are_listed_with_what_became_of_their_notices() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let mut out = Vec::new();
        table(&[alert(7, None), alert(6, Some("2026-11-22T09:59:30.000Z"))], now).print(&mut out).expect("printed");
        let expected = "\
ID        STATE     RULE      HOST      CONTAINER   SINCE                TOLD            WHAT
7         firing    crashed   pi        web         About a minute ago   ops (waiting)   web on pi crashed: exit code 1
6         ended     crashed   pi        web         About a minute ago   ops (waiting)   web on pi crashed: exit code 1
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn a_silence_needs_an_end_and_either_kind_is_named() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            _silence: Silence,
        }
        let read =
            |flags: &[&str]| <Line as clap::Parser>::try_parse_from([&["silence", "--host", "pi"], flags].concat());
        let why = read(&[]).expect_err("no end").to_string();
        assert!(why.contains("--for <DURATION>") && why.contains("--until <TIME>"), "{why}");
        assert!(read(&["--for", "2h"]).is_ok() && read(&["--until", "2026-11-22T09:59:00Z"]).is_ok());
        assert!(read(&["--for", "2h", "--until", "2026-11-22T09:59:00Z"]).is_err());
    }

    #[test]
    fn pages_are_followed_until_there_are_enough() {
        let flags = List { all: false, filter: vec![read_filter("host=a b").expect("a filter")], format: Format::Json };
        let asked = std::cell::RefCell::new(Vec::new());
        let get = |path: &str| {
            asked.borrow_mut().push(path.to_owned());
            let first = !path.contains("before");
            let ids = if first { [9, 8] } else { [7, 6] };
            Ok(Page { items: ids.map(|id| alert(id, None)).into(), next: first.then(|| "8".to_owned()) })
        };
        assert_eq!(newest(&flags, "firing", usize::MAX, get).map(|all| all.len()), Ok(4));
        assert_eq!(
            *asked.borrow(),
            [
                "/api/v1/alerts?state=firing&limit=500&host=a%20b",
                "/api/v1/alerts?state=firing&limit=500&host=a%20b&before=8",
            ]
        );
        assert_eq!(newest(&flags, "ended", 2, get).map(|all| all.len()), Ok(2));
    }
}
