//! `muster alerts rules`, `quiet` and `group`: what is set is read, changed, and set again.

use super::PATH;
use crate::alerts::Rule;
use crate::api::types::{AlertRule, AlertSettings, QuietHours};
use crate::cli::connection::Server;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Table, json_line};
use crate::time;
use clap::Args;
use muster_dial::client::Method;
use std::io::Write;
use std::time::Duration;

/// Flags of `muster alerts rules`.
#[derive(Debug, Args)]
pub struct RuleFlags {
    /// Which to set; without it all are listed
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Rule::WORDS))]
    rule: Option<String>,
    /// Look after it
    #[arg(long, requires = "rule")]
    on: bool,
    /// Do not
    #[arg(long, requires = "rule", conflicts_with = "on")]
    off: bool,
    /// As at first, but for what else is given
    #[arg(long, requires = "rule")]
    default: bool,
    /// How long it has to be so before it is an alert, such as 30s
    #[arg(long = "for", value_name = "DURATION", requires = "rule", value_parser = time::parse_duration)]
    span: Option<Duration>,
    /// How long it has to be well before the alert is over
    #[arg(long, value_name = "DURATION", requires = "rule", value_parser = time::parse_duration)]
    clear: Option<Duration>,
    /// disk: from how many percent on; hot: from how many degrees Celsius on
    #[arg(long, value_name = "N", requires = "rule")]
    at: Option<f64>,
    /// disk, hot: below what it is well again
    #[arg(long, value_name = "N", requires = "rule")]
    clear_at: Option<f64>,
    /// restart_loop: how many ends make one
    #[arg(long, value_name = "N", requires = "rule")]
    times: Option<u32>,
    /// restart_loop: within how long
    #[arg(long, value_name = "DURATION", requires = "rule", value_parser = time::parse_duration)]
    within: Option<Duration>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Flags of `muster alerts quiet`.
#[derive(Debug, Args)]
pub struct QuietFlags {
    /// Such as 22:00-07:00; off: never
    hours: Option<String>,
    /// The time zone: how far it is ahead of UTC. It does not know of summer time
    #[arg(long, value_name = "+HH:MM", default_value = "+00:00", allow_hyphen_values = true)]
    zone: String,
    /// Do not tell at all of what began and ended in these hours
    #[arg(long)]
    drop: bool,
}

/// Flags of `muster alerts group`.
#[derive(Debug, Args)]
pub struct GroupFlags {
    /// How long to wait for what else happens
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    wait: Option<Duration>,
    /// How long to wait after a notice of many alerts
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    interval: Option<Duration>,
}

fn read(server: &Server) -> Result<AlertSettings, Failure> {
    server.get(&format!("{PATH}/settings"))
}

fn set(server: &Server, settings: &AlertSettings) -> Result<AlertSettings, Failure> {
    server.send(Method::PUT, &format!("{PATH}/settings"), settings)
}

/// Runs `muster alerts rules`.
pub fn rules(flags: &RuleFlags, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let mut settings = read(server)?;
    if let Some(word) = &flags.rule {
        let before = settings.rules.remove(word).unwrap_or_default();
        let after = changed(flags, before.clone());
        let is_changed = after != before;
        settings.rules.insert(word.clone(), after);
        if is_changed {
            settings = set(server, &settings)?;
        }
        settings.rules.retain(|it, _| it == word);
    }
    match flags.format {
        Format::Json => json_line(out, &settings.rules),
        Format::Table => table(&settings).print(out),
    }
}

fn changed(flags: &RuleFlags, before: AlertRule) -> AlertRule {
    let mut rule = if flags.default { AlertRule::default() } else { before };
    let seconds = |span: Option<Duration>, before: Option<u64>| span.map(|it| it.as_secs()).or(before);
    rule.enabled = (rule.enabled || flags.on) && !flags.off;
    rule.for_s = seconds(flags.span, rule.for_s);
    rule.clear_s = seconds(flags.clear, rule.clear_s);
    if flags.at.is_some() {
        // The distance between the two is the server's to choose.
        (rule.at, rule.clear_at) = (flags.at, None);
    }
    rule.clear_at = flags.clear_at.or(rule.clear_at);
    rule.times = flags.times.or(rule.times);
    rule.within_s = seconds(flags.within, rule.within_s);
    rule
}

fn table(settings: &AlertSettings) -> Table {
    let mut table = Table::new(&["RULE", "ON", "FOR", "CLEAR", "SETTINGS"]);
    for word in Rule::WORDS {
        let Some(rule) = settings.rules.get(word) else { continue };
        let seconds = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), |it| format!("{it}s"));
        let parts = [
            rule.at.map(|it| format!("at={it}")),
            rule.clear_at.map(|it| format!("clear-at={it}")),
            rule.times.map(|it| format!("times={it}")),
            rule.within_s.map(|it| format!("within={it}s")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        table.row(vec![
            word.to_owned(),
            if rule.enabled { "yes" } else { "no" }.to_owned(),
            seconds(rule.for_s),
            seconds(rule.clear_s),
            if parts.is_empty() { "-".to_owned() } else { parts.join(" ") },
        ]);
    }
    table
}

/// Runs `muster alerts quiet`.
pub fn quiet(flags: &QuietFlags, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let mut settings = read(server)?;
    if let Some(hours) = &flags.hours {
        settings.quiet = wanted(hours, flags)?;
        settings = set(server, &settings)?;
    }
    match settings.quiet {
        None => Ok(writeln!(out, "Notices are sent at any hour.")?),
        Some(it) => {
            let ended = if it.ended == "drop" { "not told" } else { "told then" };
            Ok(writeln!(
                out,
                "Nothing is sent from {} to {} (UTC{}); what begins and ends in that time is {ended}.",
                it.from, it.to, it.zone
            )?)
        }
    }
}

fn wanted(hours: &str, flags: &QuietFlags) -> Result<Option<QuietHours>, Failure> {
    if hours == "off" {
        return Ok(None);
    }
    let Some((from, to)) = hours.split_once('-') else {
        let what = format!("alerts quiet: '{hours}' are no hours: give two times such as 22:00-07:00, or off");
        return Err(Failure::new(Exit::Usage, what));
    };
    let ended = if flags.drop { "drop" } else { "summarise" };
    Ok(Some(QuietHours { from: from.into(), to: to.into(), zone: flags.zone.clone(), ended: ended.into() }))
}

/// Runs `muster alerts group`.
pub fn group(flags: &GroupFlags, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let mut settings = read(server)?;
    if flags.wait.is_some() || flags.interval.is_some() {
        settings.group_wait_s = flags.wait.map_or(settings.group_wait_s, |it| it.as_secs());
        settings.group_interval_s = flags.interval.map_or(settings.group_interval_s, |it| it.as_secs());
        settings = set(server, &settings)?;
    }
    let (wait, interval) = (settings.group_wait_s, settings.group_interval_s);
    Ok(writeln!(
        out,
        "A notice waits {wait}s for what else happens; after one of many alerts the next waits {interval}s."
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: RuleFlags,
    }

    fn flags(line: &str) -> RuleFlags {
        Line::try_parse_from(["rules"].into_iter().chain(line.split(' '))).unwrap_or_else(|why| panic!("{why}")).flags
    }

    #[test]
    fn what_is_not_given_stays_as_it_is() {
        let before = AlertRule { at: Some(90.0), clear_at: Some(87.0), for_s: Some(60), ..AlertRule::default() };
        assert_eq!(changed(&flags("disk"), before.clone()), before);
        let after = changed(&flags("disk --at 95 --off"), before.clone());
        assert_eq!((after.at, after.clear_at, after.for_s, after.enabled), (Some(95.0), None, Some(60), false));
        let again = changed(&flags("disk --on --for 2m"), after);
        assert_eq!((again.enabled, again.for_s), (true, Some(120)));
        assert_eq!(changed(&flags("disk --default"), again), AlertRule::default());
    }
}
