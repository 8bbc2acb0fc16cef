//! A small internet: a router in its middle, sites with public addresses, and homes whose router translates addresses.
//!
//! The middle knows public addresses alone (all are from ranges for documentation), so private ones lead nowhere. All homes
//! have the same private range, as the routers that are sold for them do.

use crate::node::Node;
use crate::process::Ran;
use std::sync::atomic::{AtomicU8, Ordering};

/// The interface by which a site or a home is connected to the internet.
pub const WAN: &str = "wan";

/// The interface of a home's router that its hosts are connected to.
const LAN: &str = "lan";

/// The first three numbers of every home's addresses.
const HOME: &str = "192.168.1";

/// Where a server stands.
pub const SERVER: &str = "192.0.2.2";

/// The middle.
#[derive(Debug)]
pub struct Internet {
    core: Node,
    cables: AtomicU8,
}

impl Internet {
    /// Makes one that nobody is connected to.
    pub fn new() -> Internet {
        let core = Node::new("internet");
        core.script("echo 1 > /proc/sys/net/ipv4/ip_forward");
        Internet { core, cables: AtomicU8::new(0) }
    }

    /// The middle itself: it sees all that goes from site to site.
    pub fn core(&self) -> &Node {
        &self.core
    }

    /// Connects a site by a public address, which is the second of its block of four. All of its packets go here.
    pub fn connect(&self, site: &Node, address: &str) -> Cable {
        let interface = format!("cable{}", self.cables.fetch_add(1, Ordering::Relaxed));
        self.core.cable(&interface, site, WAN);
        let mut cable = Cable { core: self.core.twin(), interface, site: site.twin(), address: String::new() };
        cable.renumber(address);
        cable
    }

    /// Makes a home with a public address: its router translates, and takes nothing from outside that nobody asked for.
    pub fn home(&self, address: &str) -> Home {
        let router = Node::new("home-router");
        let cable = self.connect(&router, address);
        router.script(&format!(
            "echo 1 > /proc/sys/net/ipv4/ip_forward
             ip link add {LAN} type bridge
             ip address add {HOME}.1/24 dev {LAN}
             ip link set {LAN} up
             iptables -w -t nat -A POSTROUTING -o {WAN} -j MASQUERADE
             iptables -w -A FORWARD -i {WAN} -m conntrack ! --ctstate ESTABLISHED,RELATED -j DROP"
        ));
        Home { router, cable, hosts: AtomicU8::new(0) }
    }
}

impl Default for Internet {
    fn default() -> Internet {
        Internet::new()
    }
}

/// The cable between a site and the internet.
#[derive(Debug)]
pub struct Cable {
    core: Node,
    interface: String,
    site: Node,
    address: String,
}

impl Cable {
    /// The site's public address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The site's end.
    pub fn site(&self) -> &Node {
        &self.site
    }

    /// Gives the site another public address; it knows at once, as when a lease ends.
    pub fn renumber(&mut self, address: &str) {
        let (block, last) = address.rsplit_once('.').expect("an address has dots");
        let last: u8 = last.parse().expect("a number");
        assert_eq!(last % 4, 2, "{address} is not the second of its block of four");
        let gateway = format!("{block}.{}", last - 1);
        let interface = &self.interface;
        self.core.script(&format!("ip address flush dev {interface}; ip address add {gateway}/30 dev {interface}"));
        self.site.script(&format!(
            "ip address flush dev {WAN}; ip address add {address}/30 dev {WAN}; ip route add default via {gateway}"
        ));
        address.clone_into(&mut self.address);
    }

    /// Pulls the cable out of the middle: both ends know.
    pub fn pull(&self) {
        self.core.run("ip", &["link", "set", &self.interface, "down"]);
    }

    /// Plugs a pulled cable in.
    pub fn plug(&self) {
        self.core.run("ip", &["link", "set", &self.interface, "up"]);
    }

    /// The largest packet that the cable carries. Whoever sends a larger one that must not be cut is told.
    pub fn carry_at_most(&self, bytes: u16) {
        let mtu = bytes.to_string();
        self.core.run("ip", &["link", "set", &self.interface, "mtu", &mtu]);
        self.site.run("ip", &["link", "set", WAN, "mtu", &mtu]);
    }

    /// Makes both ends hand over packet by packet what their programs send in bundles, so that a [`Capture`](crate::Capture)
    /// sees what a real cable would carry.
    pub fn unbundle(&self) {
        self.core.run("ip", &["link", "set", &self.interface, "gso_max_segs", "1"]);
        self.site.run("ip", &["link", "set", WAN, "gso_max_segs", "1"]);
    }

    /// From now on no UDP passes, and nobody is told; other packets pass.
    pub fn block_udp(&self) {
        self.udp("-I").ok();
    }

    /// Ends a [`Cable::block_udp`].
    pub fn pass_udp(&self) {
        self.udp("-D").ok();
    }

    fn udp(&self, what: &str) -> Ran {
        let interface = &self.interface;
        let lines = format!(
            "for way in i o; do
                 iptables -w {what} FORWARD -$way {interface} -p udp -j DROP
             done
             iptables -w {what} INPUT -i {interface} -p udp -j DROP"
        );
        self.core.try_run("sh", &["-e", "-c", &lines])
    }
}

/// A home, or an office, or a phone: hosts on a LAN behind one public address.
#[derive(Debug)]
pub struct Home {
    router: Node,
    /// To the internet.
    pub cable: Cable,
    hosts: AtomicU8,
}

impl Home {
    /// The router.
    pub fn router(&self) -> &Node {
        &self.router
    }

    /// Connects a host to the LAN; its address there. The first one gets the same in every home.
    pub fn connect(&self, host: &Node) -> String {
        let number = 10 + self.hosts.fetch_add(1, Ordering::Relaxed);
        let port = format!("port{number}");
        // As if its cable had been in another socket before.
        host.try_run("ip", &["link", "delete", WAN]);
        self.router.cable(&port, host, WAN);
        self.router.run("ip", &["link", "set", &port, "master", LAN]);
        let address = format!("{HOME}.{number}");
        host.script(&format!(
            "ip address add {address}/24 dev {WAN}
             ip route add default via {HOME}.1"
        ));
        address
    }
}
