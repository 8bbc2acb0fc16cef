//! By which addresses other hosts on the same LAN may reach this one.

use muster_protocol::limits::NETWORK_ADDRESSES;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Addresses of this host's LANs, the one by which it reaches the server (`local`) first. Below this root (`/`).
///
/// Interfaces count that lead somewhere: what an engine or a tunnel has made is left out, unless the default route is
/// by it.
pub fn addresses(root: &Path, local: Option<IpAddr>) -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let routes = Routes::parse(&read("proc/net/route"));
    let is_made = |interface: &str| {
        let at = root.join("sys/class/net").join(interface);
        at.join("bridge").exists() || at.join("tun_flags").exists() || interface == "lo"
    };
    let mut found: Vec<IpAddr> = local.filter(|ip| !ip.is_loopback()).into_iter().collect();
    for address in local_addresses(&read("proc/net/fib_trie")) {
        let Some(interface) = routes.interface(address) else { continue };
        let ip = IpAddr::V4(Ipv4Addr::from_bits(address));
        if (routes.defaults.contains(interface) || !is_made(interface)) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    found.truncate(NETWORK_ADDRESSES);
    found
}

/// The kernel's table of routes, as `/proc/net/route` has it.
#[derive(Default)]
struct Routes {
    /// Destination, mask and interface of what is connected.
    connected: Vec<(u32, u32, String)>,
    defaults: BTreeSet<String>,
}

impl Routes {
    fn parse(text: &str) -> Routes {
        let mut routes = Routes::default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let &[interface, destination, gateway, _, _, _, _, mask, ..] = &fields[..] else { continue };
            // In the byte order of the machine that the kernel runs on.
            let number = |hex: &str| u32::from_str_radix(hex, 16).ok().map(|it| u32::from_be_bytes(it.to_ne_bytes()));
            let (Some(destination), Some(gateway), Some(mask)) = (number(destination), number(gateway), number(mask))
            else {
                continue;
            };
            if mask == 0 {
                routes.defaults.insert(interface.to_owned());
            } else if gateway == 0 {
                routes.connected.push((destination, mask, interface.to_owned()));
            }
        }
        // The most special first.
        routes.connected.sort_by_key(|(_, mask, _)| std::cmp::Reverse(*mask));
        routes
    }

    fn interface(&self, address: u32) -> Option<&str> {
        let found = self.connected.iter().find(|(destination, mask, _)| address & mask == *destination);
        found.map(|(_, _, interface)| interface.as_str())
    }
}

/// This host's own addresses: those that `/proc/net/fib_trie` calls local.
fn local_addresses(text: &str) -> BTreeSet<u32> {
    let (mut found, mut last) = (BTreeSet::new(), None);
    for line in text.lines() {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last.filter(|ip| !ip.is_loopback()).map(Ipv4Addr::to_bits));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;

    #[test]
    fn interfaces_that_an_engine_has_made_do_not_count() {
        let root = TestDir::new();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let hex = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let line = |interface: &str, to: [u8; 4], by: [u8; 4], mask: [u8; 4]| {
            format!("{interface}\t{}\t{}\t0001\t0\t0\t0\t{}\t0\t0\t0\n", hex(to), hex(by), hex(mask))
        };
        let routes = String::from("Iface\tDestination\tGateway\n")
            + &line("eth0", [0; 4], [192, 168, 1, 1], [0; 4])
            + &line("eth0", [192, 168, 1, 0], [0; 4], [255, 255, 255, 0])
            + &line("docker0", [172, 17, 0, 0], [0; 4], [255, 255, 0, 0])
            + &line("wlan0", [10, 9, 0, 0], [0; 4], [255, 255, 0, 0]);
        write("proc/net/route", &routes);
        let trie = ["127.0.0.1", "192.168.1.7", "172.17.0.1", "10.9.3.4"].map(|ip| {
            format!("        |-- {ip}\n           /32 host LOCAL\n        |-- 1.2.3.0\n           /24 link UNICAST\n")
        });
        write("proc/net/fib_trie", &trie.concat());
        write("sys/class/net/docker0/bridge/x", "");
        let found = |local: Option<&str>| -> Vec<String> {
            let local = local.map(|ip| ip.parse().expect("an address"));
            addresses(root.path(), local).iter().map(IpAddr::to_string).collect()
        };
        assert_eq!(found(None), ["10.9.3.4", "192.168.1.7"]);
        assert_eq!(found(Some("192.168.1.7")), ["192.168.1.7", "10.9.3.4"]);
        assert_eq!(found(Some("127.0.0.1")), ["10.9.3.4", "192.168.1.7"]);
        assert_eq!(addresses(Path::new("/no/such/root"), None), Vec::<IpAddr>::new());
    }
}
