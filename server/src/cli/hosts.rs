//! `muster hosts`

use super::connection::Server;
use super::exit::Failure;
use super::human;
use super::output::{Format, Table, json_line};
use crate::api::query::encode;
use crate::api::types::{ChangeHost, Host};
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
    /// Remove hosts: their agents are refused from now on, their history stays. Does not ask
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
}

#[derive(Debug, Args)]
struct List {
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
            let change = ChangeHost { name: Some(name.clone()) };
            let path = format!("/api/v1/hosts/{}", encode(host));
            let host: Host = server.send(Method::PATCH, &path, &change)?;
            Ok(writeln!(out, "{}", host.name)?)
        }
    }
}

fn list(flags: &List, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let hosts: Vec<Host> = server.list("/api/v1/hosts", &[])?;
    match flags.format {
        Format::Json => hosts.iter().try_for_each(|host| json_line(out, host)),
        Format::Table => table(&hosts, time::now_ms()).print(out),
    }
}

fn table(hosts: &[Host], now_ms: i64) -> Table {
    let mut table = Table::new(&["NAME", "ID", "STATE", "ENGINE", "CONTAINERS", "LAST SEEN", "AGENT"]);
    for host in hosts {
        let conflict = if host.conflict { " (conflict)" } else { "" };
        table.row(vec![
            host.name.clone(),
            host.id.clone(),
            format!("{}{conflict}", host.state),
            engine(host, now_ms),
            containers(host),
            human::since(host.last_seen.as_deref(), now_ms).map_or("never".to_string(), |span| format!("{span} ago")),
            host.agent_version.clone().unwrap_or_else(|| "-".to_string()),
        ]);
    }
    table
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
    format!("{}/{}{hidden}", host.containers.running, host.containers.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;

    #[test]
    fn the_table_says_what_is_wrong() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let well = samples::host("pi1");
        let mut ill = samples::host("pi2");
        ill.engine.state = Some("not_answering".into());
        ill.engine.since = Some("2026-11-22T09:59:00Z".into());
        ill.hidden = 5;
        ill.conflict = true;
        let mut new = samples::host("pi3");
        (new.engine.state, new.last_seen, new.agent_version) = (None, None, None);
        let mut out = Vec::new();
        table(&[well, ill, new], now).print(&mut out).expect("printed");
        let expected = "\
NAME      ID                 STATE               ENGINE                CONTAINERS        LAST SEEN       AGENT
pi1       00000000000000a1   active              ok 28.5.2             2/3               2 seconds ago   0.1.0
pi2       00000000000000a1   active (conflict)   not_answering (60s)   2/3 (+5 hidden)   2 seconds ago   0.1.0
pi3       00000000000000a1   active              -                     2/3               never           -
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
