//! `muster join-command`

use super::connection::Server;
use super::exit::Failure;
use super::output::{Format, json_line};
use crate::api::types::{MadeJoinToken, NewJoinToken};
use crate::time;
use clap::Args;
use muster_dial::client::Method;
use std::io::Write;

/// Flags of `muster join-command`.
#[derive(Debug, Args)]
pub struct JoinCommand {
    /// For how long the command can be used, such as 90m, 24h or 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = time::parse_seconds)]
    ttl: u64,
    /// For how many hosts; any number if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// A label for hosts that join with it; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = read_label)]
    label: Vec<(String, String)>,
    /// A name for the host that joins with it, instead of its own
    #[arg(long)]
    name: Option<String>,
    /// Print a command that also fetches, installs and starts the agent: for root's shell on a host that has none
    #[arg(long)]
    install: bool,
    /// With --install: into an image that is mounted there, whose boards join when they first start
    #[arg(long, value_name = "DIR", requires = "install")]
    root: Option<String>,
    /// With --install: also muster-network, which lets the host's labelled containers take part in the managed network
    #[arg(long, requires = "install")]
    network: bool,
    /// The command alone, or the token with all that is known of it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn read_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
        _ => Err("a label is KEY=VALUE".to_string()),
    }
}

/// Runs it.
pub fn run(flags: &JoinCommand, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let mut made: MadeJoinToken = server.send(Method::POST, "/api/v1/join-tokens", &asked(flags))?;
    if flags.install {
        if let Err(failure) = server.offers_agents(&made.join) {
            // Nobody will ever use it, and that it stays until it ends is no reason to say something else.
            let _ = server.delete(&format!("/api/v1/join-tokens/{}", made.token.id));
            return Err(failure);
        }
        made.install = install_command(&made.install, flags.root.as_deref(), flags.network);
    }
    match flags.format {
        Format::Json => json_line(out, &made),
        Format::Table if flags.install => Ok(writeln!(out, "{}", made.install)?),
        Format::Table => Ok(writeln!(out, "{}", made.command)?),
    }
}

/// The server's command, for a root other than `/` if one is given, and with the managed network if that is wanted.
fn install_command(command: &str, root: Option<&str>, network: bool) -> String {
    let root = root.map(|root| format!(" --root '{}'", root.replace('\'', r"'\''"))).unwrap_or_default();
    let network = if network { " --network" } else { "" };
    if root.is_empty() && network.is_empty() { command.to_string() } else { format!("{command} -s --{root}{network}") }
}

fn asked(flags: &JoinCommand) -> NewJoinToken {
    NewJoinToken {
        ttl: Some(flags.ttl),
        uses: flags.uses,
        labels: flags.label.iter().cloned().collect(),
        name: flags.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: JoinCommand,
    }

    fn parse(line: &[&str]) -> Option<NewJoinToken> {
        Line::try_parse_from(["join-command"].iter().chain(line)).ok().map(|line| asked(&line.flags))
    }

    #[test]
    fn a_root_is_quoted_and_root_and_network_are_only_for_installing() {
        assert_eq!(install_command("curl | sh", None, false), "curl | sh");
        assert_eq!(install_command("curl | sh", None, true), "curl | sh -s -- --network");
        assert_eq!(install_command("curl | sh", Some("/mnt/a b"), true), "curl | sh -s -- --root '/mnt/a b' --network");
        assert_eq!(install_command("sh", Some("it's"), false), r"sh -s -- --root 'it'\''s'");
        assert!(parse(&["--install", "--root", "/mnt"]).is_some() && parse(&["--root", "/mnt"]).is_none());
        assert!(parse(&["--install", "--network"]).is_some() && parse(&["--network"]).is_none());
    }

    #[test]
    fn flags_become_a_request() {
        assert_eq!(parse(&[]), Some(NewJoinToken { ttl: Some(86_400), ..Default::default() }));
        let new =
            parse(&["--ttl", "1h30m", "--uses", "3", "--label", "site=attic", "--label", "x=a=b", "--name", "pi"]);
        let new = new.expect("flags");
        assert_eq!((new.ttl, new.uses, new.name.as_deref()), (Some(5400), Some(3), Some("pi")));
        assert_eq!(new.labels["x"], "a=b");
        for wrong in [["--ttl", "soon"], ["--ttl", "1ms"], ["--uses", "0"], ["--label", "site"], ["--label", "=x"]] {
            assert!(parse(&wrong).is_none(), "{wrong:?}");
        }
    }
}
