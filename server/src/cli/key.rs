//! `muster key`

use super::connection::Server;
use super::exit::{Exit, Failure};
use super::human;
use super::output::{Format, Table, json_line, printable};
use crate::access::fleet_key::PublicKey;
use crate::access::keys;
use crate::access::trust::GENERATIONS;
use crate::api::types::{FinishRotation, KeyStatus, PreparedKey, RotateKey, UnconfirmedHost};
use crate::time;
use clap::{Args, Subcommand};
use muster_dial::client::Method;
use std::io::Write;
use std::path::PathBuf;

/// What `muster key` can do.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Show the server's keys, and which hosts have not confirmed what was last changed
    Status {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Go over to a new fleet key at once; hosts follow when they next connect
    ///
    /// The key before vouches for the new one, so that hosts that are away follow, too. When `key status` shows that all
    /// have confirmed, --finish makes them forget the key before.
    Rotate(Rotate),
    /// Make a new backup key, in place of one that was lost
    NewBackup,
}

/// Flags of `muster key rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The backup key, which then vouches for the new key, too. It is read here and never sent
    #[arg(long, value_name = "FILE")]
    backup_key: Option<PathBuf>,
    /// The key before may be in foreign hands: it vouches for nothing. Needs --backup-key
    #[arg(long, requires = "backup_key")]
    compromised: bool,
    /// Serve with a certificate of at least this generation: for a restored server that hosts refuse
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
    /// Make hosts forget the keys before
    #[arg(long, conflicts_with_all = ["backup_key", "compromised", "generation"])]
    finish: bool,
    /// Finish even if some hosts have not confirmed
    #[arg(long, requires = "finish")]
    force: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs it.
pub fn run(key: &Key, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let (status, format) = match key {
        Key::Status { format } => (server.get("/api/v1/keys")?, *format),
        Key::Rotate(flags) => (rotate(flags, server)?, flags.format),
        Key::NewBackup => (server.send(Method::POST, "/api/v1/keys/backup", &serde_json::json!({}))?, Format::Table),
    };
    match format {
        Format::Json => json_line(out, &status),
        Format::Table => print(&status, time::now_ms(), out),
    }
}

fn rotate(flags: &Rotate, server: &Server) -> Result<KeyStatus, Failure> {
    if flags.finish {
        return server.send(Method::POST, "/api/v1/keys/finish", &FinishRotation { force: flags.force });
    }
    let voucher = match &flags.backup_key {
        None => None,
        Some(file) => {
            let prepared: PreparedKey = server.send(Method::POST, "/api/v1/keys/prepare", &serde_json::json!({}))?;
            let failed = |why: String| Failure::new(Exit::Failure, why);
            let generation = prepared.generation.max(flags.generation.unwrap_or(0));
            let public = PublicKey::parse(&prepared.public_key).filter(|_| generation <= GENERATIONS);
            let public = public
                .ok_or_else(|| failed("the server's new key makes no sense; is it of another version?".into()))?;
            let voucher = keys::voucher(file, &public, generation);
            Some(voucher.map_err(|why| failed(format!("--backup-key: {why}")))?)
        }
    };
    let wanted = RotateKey { compromised: flags.compromised, voucher, generation: flags.generation };
    server.send(Method::POST, "/api/v1/keys/rotate", &wanted)
}

fn print(status: &KeyStatus, now_ms: i64, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = |key: &str, value: &str| writeln!(out, "{key:<12} {}", printable(value));
    line("key", &status.pin)?;
    line("backup key", status.backup_pin.as_deref().unwrap_or("none"))?;
    for pin in &status.former_pins {
        line("former key", pin)?;
    }
    line("generation", &status.generation.to_string())?;
    let confirmed = status.hosts.saturating_sub(status.unconfirmed.len() as u64);
    line("confirmed", &format!("by {confirmed} of {} hosts (revision {})", status.hosts, status.revision))?;
    if let Some(file) = &status.backup_key_file {
        line("warning", &format!("the backup key is still on the server: move {file} to a safe place elsewhere"))?;
    }
    if status.unconfirmed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nHosts that have not confirmed:")?;
    table(&status.unconfirmed, now_ms).print(out)
}

fn table(hosts: &[UnconfirmedHost], now_ms: i64) -> Table {
    let mut table = Table::new(&["NAME", "ID", "STATE", "LAST SEEN", "REVISION"]);
    for host in hosts {
        table.row(vec![
            host.name.clone(),
            host.id.clone(),
            host.state.clone(),
            human::since(host.last_seen.as_deref(), now_ms).map_or("never".to_string(), |span| format!("{span} ago")),
            host.revision.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_who_is_missing_and_where_the_backup_key_lies() {
        let now = time::parse_ms("2026-11-22T10:00:00Z").expect("a time");
        let status = KeyStatus {
            pin: "sha256:aa".into(),
            backup_pin: Some("sha256:bb".into()),
            backup_key_file: Some("/var/lib/muster/fleet-backup.key".into()),
            former_pins: vec!["sha256:cc".into()],
            generation: 2,
            revision: 3,
            hosts: 2,
            unconfirmed: vec![UnconfirmedHost {
                id: "00000000000000a1".into(),
                name: "pi1".into(),
                state: "disconnected".into(),
                last_seen: Some("2026-11-22T09:00:00Z".into()),
                revision: 1,
            }],
        };
        let mut out = Vec::new();
        print(&status, now, &mut out).expect("printed");
        let expected = "\
key          sha256:aa
backup key   sha256:bb
former key   sha256:cc
generation   2
confirmed    by 1 of 2 hosts (revision 3)
warning      the backup key is still on the server: move /var/lib/muster/fleet-backup.key to a safe place elsewhere

Hosts that have not confirmed:
NAME      ID                 STATE          LAST SEEN           REVISION
pi1       00000000000000a1   disconnected   About an hour ago   1
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
