//! `muster network`

use super::amounts;
use super::connection::Server;
use super::exit::{Exit, Failure};
use super::output::{Format, Table, json_line, printable};
use crate::api::query::encode;
use crate::api::types::{
    AcceptNetworkKey, EnableNetwork, ManagedNetwork, NetworkHost, NetworkPath, NetworkPing, PingNetwork,
};
use clap::{Args, Subcommand};
use muster_dial::client::Method;
use muster_protocol::network::Prefix;
use std::io::Write;

/// Flags of `muster network`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct NetworkFlags {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the network, its hosts, and what could not be joined (also what `muster network` alone does)
    Ls(List),
    /// Show how hosts reach each other
    Paths(Paths),
    /// Enable the network, or change it. What is not given stays as it is
    ///
    /// Each host takes part once `muster-agent network up` has run there.
    Enable(Enable),
    /// Disable the network: hosts take their containers out of it
    Disable,
    /// Ask a host whether it reaches another one through the network. Exit code 1: it does not
    Ping {
        /// Id or name of the one that asks
        from: String,
        /// And of the other
        to: String,
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Take a host's place away, as when it is to take part no more; its blocks go to others last. If its network process still
    /// runs, it gets another place
    Rm {
        /// Id or name
        #[arg(required = true)]
        host: Vec<String>,
    },
    /// Take the key that a host has come with for its own, in the place of the one that was seen first
    ///
    /// Prints both.
    Accept {
        /// Id or name
        host: String,
        /// Only this one, as `muster network` has shown it [else: the one that the host has come with last]
        #[arg(long)]
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct Paths {
    /// Only those from this one: id or name
    host: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct Enable {
    /// All addresses of the network [at first: 10.42.0.0/16]
    #[arg(long, value_name = "RANGE", value_parser = read_range)]
    cidr: Option<Prefix>,
    /// How large the blocks are that hosts get [at first: /26, which is 64 addresses]
    #[arg(long, value_name = "/BITS", value_parser = read_block)]
    block: Option<u8>,
    /// Containers with this label belong to it [at first: io.rancher.container.network=true]
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
    /// Answer NAME.muster.internal inside these containers; --names=false ends it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    names: Option<bool>,
    /// The largest packet inside, in bytes [at first: 1280]
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u16>,
    /// The UDP port of the server's relay; 0: the number of its TCP port, as at first
    #[arg(long, value_name = "PORT")]
    relay_port: Option<u16>,
    /// Change range or blocks though hosts have addresses: all of their containers get new ones
    #[arg(long)]
    force: bool,
}

fn read_range(text: &str) -> Result<Prefix, String> {
    Prefix::parse(text).ok_or_else(|| format!("'{text}' is no range: give one such as 10.42.0.0/16"))
}

fn read_block(text: &str) -> Result<u8, String> {
    let bits = text.strip_prefix('/').unwrap_or(text).parse().ok().filter(|bits| *bits <= 32);
    bits.ok_or_else(|| format!("'{text}' is no size of blocks: give one such as /26"))
}

const PATH: &str = "/api/v1/network";

/// Runs it.
pub fn run(flags: &NetworkFlags, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    match &flags.command {
        None => list(flags.list.format, server, out),
        Some(Command::Ls(flags)) => list(flags.format, server, out),
        Some(Command::Paths(flags)) => paths(flags, server, out),
        Some(Command::Enable(flags)) => {
            let wanted = EnableNetwork {
                cidr: flags.cidr.map(|range| range.to_string()),
                block: flags.block,
                label: flags.label.clone(),
                names: flags.names,
                mtu: flags.mtu,
                relay_port: flags.relay_port,
                force: flags.force,
            };
            let network: ManagedNetwork =
                server.send(Method::POST, PATH, &wanted).map_err(|failure| failure.while_doing("network enable"))?;
            Ok(writeln!(out, "{}", summary(&network))?)
        }
        Some(Command::Disable) => {
            server.delete(PATH).map_err(|failure| failure.while_doing("network disable"))?;
            Ok(writeln!(out, "disabled")?)
        }
        Some(Command::Ping { from, to, format }) => ping(from, to, *format, server, out),
        Some(Command::Rm { host }) => {
            for host in host {
                server
                    .delete(&format!("{PATH}/hosts/{}", encode(host)))
                    .map_err(|failure| failure.while_doing(format_args!("network rm {host}")))?;
                writeln!(out, "{}", printable(host))?;
            }
            Ok(())
        }
        Some(Command::Accept { host, key }) => accept(host, key.as_deref(), server, out)
            .map_err(|failure| failure.while_doing(format_args!("network accept {host}"))),
    }
}

/// What is accepted is what was shown: if the host comes with another key meanwhile, the server refuses.
fn accept(host: &str, key: Option<&str>, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let path = format!("{PATH}/hosts/{}", encode(host));
    let before: NetworkHost = server.get(&path)?;
    let Some(key) = key.or(before.new_key.as_deref()) else {
        let why = before.reason.unwrap_or_else(|| "it has come with no other key: there is nothing to accept".into());
        return Err(Failure::new(Exit::Failure, why));
    };
    let wanted = AcceptNetworkKey { key: key.into() };
    let after: NetworkHost = server.send(Method::POST, &format!("{path}/accept"), &wanted)?;
    let (old, new) = (before.key.as_deref().unwrap_or("-"), after.key.as_deref().unwrap_or("-"));
    Ok(writeln!(out, "{}: its key was {old}, and is {new} from now on", printable(&after.name))?)
}

fn ping(from: &str, to: &str, format: Format, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let wanted = PingNetwork { from: from.into(), to: to.into() };
    let ping: NetworkPing = server
        .send(Method::POST, &format!("{PATH}/ping"), &wanted)
        .map_err(|failure| failure.while_doing(format_args!("network ping {from} {to}")))?;
    match (format, ping.milliseconds) {
        (Format::Json, _) => json_line(out, &ping)?,
        (Format::Table, Some(took)) => writeln!(out, "{} reaches {} in {took:.1} ms", ping.from, ping.to)?,
        (Format::Table, None) => {}
    }
    if ping.answered {
        return Ok(());
    }
    let what = "has no answer through the network; see `muster network paths` for how it tries";
    Err(Failure::new(Exit::Failure, format!("network ping {from} {to}: {} {what}", ping.from)))
}

fn list(format: Format, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let network = whole(|path| server.get(path))?;
    match format {
        Format::Json => json_line(out, &network),
        Format::Table => print(&network, out),
    }
}

/// The network with all of its hosts, page by page.
fn whole(get: impl Fn(&str) -> Result<ManagedNetwork, Failure>) -> Result<ManagedNetwork, Failure> {
    let mut network = get(PATH)?;
    while let Some(cursor) = network.next.take() {
        let page = get(&format!("{PATH}?cursor={}", encode(&cursor)))?;
        if page.hosts.is_empty() || page.next.as_ref() == Some(&cursor) {
            return Err(Failure::new(Exit::Failure, "the server gives the same page again and again; see its log"));
        }
        network.hosts.extend(page.hosts);
        network.next = page.next;
    }
    Ok(network)
}

fn paths(flags: &Paths, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let query: Vec<(&str, String)> = flags.host.iter().map(|host| ("host", host.clone())).collect();
    let paths: Vec<NetworkPath> = server.list(&format!("{PATH}/paths"), &query)?;
    match flags.format {
        Format::Json => paths.iter().try_for_each(|path| json_line(out, path)),
        Format::Table => path_table(&paths).print(out),
    }
}

/// In one line.
fn summary(network: &ManagedNetwork) -> String {
    if !network.enabled {
        return "the network is not enabled: see `muster network enable --help`".into();
    }
    let relay = match (network.relay_port, &network.relay_problem) {
        (_, Some(problem)) => format!("no relay ({problem})"),
        (Some(port), None) => format!("relay on UDP {port}"),
        (None, None) => "relay starting".into(),
    };
    format!(
        "{} in blocks of /{} ({} of {} used), label {}, names {}, MTU {}, {relay}",
        network.cidr,
        network.block,
        network.blocks_used,
        network.blocks,
        printable(&network.label),
        if network.names { "on" } else { "off" },
        network.mtu,
    )
}

fn print(network: &ManagedNetwork, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{}", summary(network))?;
    if network.hosts.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut hosts =
        Table::new(&["HOST", "STATE", "BLOCKS", "CONTAINERS", "DIRECT", "LAN", "RELAYED", "NONE", "SEEN AT"]);
    for host in &network.hosts {
        let ways = host.ways;
        let mut row = vec![host.name.clone(), state(host), blocks(host), containers(host)];
        row.extend([ways.direct, ways.lan, ways.relayed, ways.none].map(|count| count.to_string()));
        row.push(host.observed.clone().unwrap_or_else(|| "-".into()));
        hosts.row(row);
    }
    hosts.print(out)?;
    for host in network.hosts.iter().filter(|host| network.enabled || host.state != "not_enabled") {
        if let Some(reason) = &host.reason {
            writeln!(out, "\n{}: {}", printable(&host.name), printable(reason))?;
        }
        if let Some(new) = &host.new_key {
            writeln!(out, "  its key was {}, and is {new}", host.key.as_deref().unwrap_or("-"))?;
        }
        if let Some(why) = &host.names_refused {
            writeln!(out, "\n{}: its containers have no names: {}", printable(&host.name), printable(why))?;
        }
    }
    if network.hosts.iter().any(|host| !host.refused.is_empty()) {
        writeln!(out)?;
        let mut refused = Table::new(&["NOT JOINED", "HOST", "WHY"]);
        for host in &network.hosts {
            for container in &host.refused {
                refused.row(vec![container.name.clone(), host.name.clone(), container.reason.clone()]);
            }
        }
        refused.print(out)?;
    }
    Ok(())
}

fn state(host: &NetworkHost) -> String {
    if host.connected { host.state.clone() } else { format!("{} (away)", host.state) }
}

fn blocks(host: &NetworkHost) -> String {
    let blocks = host.blocks.join(",");
    if host.blocks_missing > 0 { format!("{blocks} (needs {} more)", host.blocks_missing) } else { blocks }
}

fn containers(host: &NetworkHost) -> String {
    match host.refused.len() {
        0 => host.containers.to_string(),
        refused => format!("{} ({refused} not)", host.containers),
    }
}

fn path_table(paths: &[NetworkPath]) -> Table {
    let mut table = Table::new(&["FROM", "TO", "WAY", "ENDPOINT", "HANDSHAKE", "RECEIVED", "SENT"]);
    for path in paths {
        table.row(vec![
            path.from.clone(),
            path.to.clone(),
            path.way.clone(),
            path.endpoint.clone().unwrap_or_else(|| "-".into()),
            path.handshake.map_or("never".into(), |seconds| format!("{seconds}s ago")),
            amounts::size(path.received),
            amounts::size(path.sent),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{NetworkRefusal, NetworkWays};

    fn host(name: &str, state: &str) -> NetworkHost {
        NetworkHost {
            id: "00000000000000a1".into(),
            name: name.into(),
            state: state.into(),
            reason: None,
            connected: true,
            blocks: vec!["10.42.0.0/26".into()],
            blocks_missing: 0,
            accepted: Some("10.0.0.0/8".into()),
            key: Some("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into()),
            new_key: None,
            observed: Some("198.51.100.7".into()),
            endpoint: None,
            addresses: Vec::new(),
            relays: false,
            containers: 3,
            refused: Vec::new(),
            names_refused: None,
            ways: NetworkWays { direct: 1, lan: 0, relayed: 2, none: 0 },
        }
    }

    fn network(hosts: Vec<NetworkHost>) -> ManagedNetwork {
        ManagedNetwork {
            enabled: true,
            cidr: "10.42.0.0/16".into(),
            block: 26,
            label: "net=1".into(),
            names: true,
            mtu: 1280,
            relay_port: Some(7443),
            relay_problem: None,
            blocks: 1024,
            blocks_used: 2,
            hosts,
            next: None,
        }
    }

    fn printed(network: &ManagedNetwork) -> String {
        let mut out = Vec::new();
        print(network, &mut out).expect("printed");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_tables_say_who_is_in_and_what_is_wrong() {
        let mut ill = host("pi2", "key_changed");
        ill.reason = Some("its key is not the one".into());
        ill.names_refused = Some("another has it".into());
        ill.new_key = Some("AgIC".into());
        (ill.connected, ill.observed, ill.blocks) = (false, None, Vec::new());
        ill.refused =
            vec![NetworkRefusal { id: "c1".into(), name: "we\x1bb".into(), reason: "its network mode is host".into() }];
        let expected = "\
10.42.0.0/16 in blocks of /26 (2 of 1024 used), label net=1, names on, MTU 1280, relay on UDP 7443

HOST      STATE                BLOCKS         CONTAINERS   DIRECT    LAN       RELAYED   NONE      SEEN AT
pi1       joined               10.42.0.0/26   3            1         0         2         0         198.51.100.7
pi2       key_changed (away)                  3 (1 not)    1         0         2         0         -

pi2: its key is not the one
  its key was AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, and is AgIC

pi2: its containers have no names: another has it

NOT JOINED   HOST      WHY
we\u{fffd}b         pi2       its network mode is host
";
        assert_eq!(printed(&network(vec![host("pi1", "joined"), ill])), expected);
    }

    #[test]
    fn a_network_that_is_not_there_says_what_to_do() {
        let off = ManagedNetwork { enabled: false, relay_port: None, ..network(Vec::new()) };
        assert_eq!(printed(&off), "the network is not enabled: see `muster network enable --help`\n");
        let trouble = ManagedNetwork { relay_problem: Some("the port is taken".into()), ..network(Vec::new()) };
        assert!(printed(&trouble).contains("no relay (the port is taken)"));
        assert_eq!(blocks(&NetworkHost { blocks_missing: 2, ..host("a", "joined") }), "10.42.0.0/26 (needs 2 more)");
    }

    #[test]
    fn all_pages_are_asked_for() {
        let page = |name: &str, next: Option<&str>| ManagedNetwork {
            next: next.map(Into::into),
            ..network(vec![host(name, "joined")])
        };
        let pages = |path: &str| match path {
            "/api/v1/network" => Ok(page("a", Some("1"))),
            "/api/v1/network?cursor=1" => Ok(page("b", Some("2"))),
            "/api/v1/network?cursor=2" => Ok(page("c", None)),
            other => panic!("{other}"),
        };
        let all = whole(pages).expect("all");
        let names: Vec<&str> = all.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!((names, all.next), (vec!["a", "b", "c"], None));
        assert!(whole(|_| Ok(page("a", Some("1")))).is_err(), "without an end");
    }

    #[test]
    fn ranges_and_blocks_are_read() {
        assert_eq!(read_range("10.7.0.0/16").map(|range| range.to_string()).as_deref(), Ok("10.7.0.0/16"));
        assert!(read_range("10.7.0.1/16").is_err());
        assert_eq!((read_block("/26"), read_block("24")), (Ok(26), Ok(24)));
        assert!(read_block("/33").is_err() && read_block("x").is_err());
    }
}
