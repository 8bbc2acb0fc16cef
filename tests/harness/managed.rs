//! A managed network as it is in the field: a public host, one behind a router that translates, two behind another one.

use crate::engine::Options;
use crate::host::{Flow, Host};
use crate::internet::{Cable, Home, Internet, SERVER};
use crate::node::Node;
use crate::wait::eventually_within;
use crate::{Server, text};
use serde_json::Value;
use std::time::Duration;

/// How long it may take until all hosts have found their ways to all others, on a busy machine.
const SETTLED: Duration = Duration::from_secs(120);

/// The public host's address.
pub const PUBLIC: &str = "198.51.100.2";
/// The public address of the first home.
pub const FIRST_HOME: &str = "203.0.113.2";
/// The public address of the second home.
pub const SECOND_HOME: &str = "203.0.113.6";

/// All hosts there are: `alpha` is public, `bravo` at the first home, `charlie` and `delta` at the second.
pub const ALL: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// A server and hosts.
#[derive(Debug)]
pub struct Managed {
    /// In the order in which they were asked for. What runs on them ends first.
    pub hosts: Vec<Host>,
    /// The server, which has a public address.
    pub server: Server,
    /// The server's machine.
    pub server_node: Node,
    /// To the server's machine.
    pub server_cable: Cable,
    /// To alpha.
    pub public_cable: Option<Cable>,
    /// Bravo's home, and that of charlie and delta.
    pub homes: [Home; 2],
    /// What is between them.
    pub internet: Internet,
}

impl Managed {
    /// These of [all hosts](ALL), connected and joined to a fleet. The network is not enabled.
    pub fn joined(names: &[&str]) -> Managed {
        Managed::joined_with(names, Options::default())
    }

    /// The same with engines that are made otherwise.
    pub fn joined_with(names: &[&str], options: Options) -> Managed {
        let internet = Internet::new();
        let server_node = Node::new("server");
        let server_cable = internet.connect(&server_node, SERVER);
        let mut hosts = Host::start_all(names, options);
        let homes = [internet.home(FIRST_HOME), internet.home(SECOND_HOME)];
        let mut public_cable = None;
        for host in &hosts {
            match host.name() {
                "alpha" => public_cable = Some(internet.connect(&host.node, PUBLIC)),
                "bravo" => drop(homes[0].connect(&host.node)),
                _ => drop(homes[1].connect(&host.node)),
            }
        }
        let server = Server::start_on(&server_node, SERVER);
        for host in &mut hosts {
            host.join(&server);
        }
        Managed { hosts, server, server_node, server_cable, public_cable, homes, internet }
    }

    /// These of [all hosts](ALL), with the network enabled and up, and a container with the label on each: `box-NAME`,
    /// which tells its name. Waits until all reach all.
    pub fn up(names: &[&str]) -> Managed {
        Managed::joined(names).brought_up(&[])
    }

    /// Does that with hosts that have joined, and with more flags of `muster network enable`.
    pub fn brought_up(mut self, flags: &[&str]) -> Managed {
        self.enable(flags);
        for host in &mut self.hosts {
            host.network_up();
        }
        for host in &self.hosts {
            host.run_box(&box_of(host));
        }
        self.wait_for_all_pairs();
        self
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name() == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// A host by its name, to be changed.
    pub fn host_mut(&mut self, name: &str) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.name() == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The address of a host's box.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let host = self.host(name);
        host.address(&box_of(host))
    }

    /// Starts pings from one host's box to another's.
    #[track_caller]
    pub fn flow(&self, from: &str, to: &str) -> Flow {
        let from = self.host(from);
        from.flow(&box_of(from), &self.address(to))
    }

    /// Runs `muster network enable`.
    #[track_caller]
    pub fn enable(&self, flags: &[&str]) {
        let mut all = vec!["network", "enable"];
        all.extend(flags);
        self.server.muster(&all).ok();
    }

    /// Waits until the box of each host reaches those of all others by ping and by TCP.
    #[track_caller]
    pub fn wait_for_all_pairs(&self) {
        let all: Vec<&Host> = self.hosts.iter().collect();
        self.wait_for_pairs(&all);
    }

    /// Waits until the box of each of these hosts reaches those of all others of them by ping and by TCP.
    #[track_caller]
    pub fn wait_for_pairs(&self, hosts: &[&Host]) {
        std::thread::scope(|scope| {
            for from in hosts {
                for to in hosts {
                    if from.name() != to.name() {
                        scope.spawn(move || wait_for_pair(from, to));
                    }
                }
            }
        });
    }

    /// How the server says that one host reaches another: `direct`, `lan`, `relayed`, `none`, or that it was never told.
    pub fn way(&self, from: &str, to: &str) -> String {
        let paths = self.server.json(&["network", "paths", from]);
        let path = paths.iter().find(|path| text(path, "from") == from && text(path, "to") == to);
        path.map_or_else(|| format!("no path in {paths:?}"), |path| text(path, "way").to_owned())
    }

    /// What the server knows of the network.
    pub fn network(&self) -> Value {
        self.server.json(&["network"]).remove(0)
    }
}

/// The name of a host's container in [`Managed::up`].
pub fn box_of(host: &Host) -> String {
    format!("box-{}", host.name())
}

#[track_caller]
fn wait_for_pair(from: &Host, to: &Host) {
    let (own, wanted) = (box_of(from), box_of(to));
    eventually_within(SETTLED, &format!("{own} reaches {wanted}"), || {
        // It may be about to have another one.
        let address = to.find_address(&wanted).ok_or("it has no address")?;
        if !from.pings(&own, &address) {
            return Err(format!("no answer to a ping at {address}"));
        }
        match from.asks(&own, &address) {
            answer if answer == wanted => Ok(()),
            answer => Err(format!("{answer:?} by TCP at {address}")),
        }
    });
}
