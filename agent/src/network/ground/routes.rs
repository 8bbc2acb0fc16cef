//! Routes to other hosts: what is wanted, what is there, and the commands between the two. Pure.
//!
//! What is there is read from `/proc/net/route`, which starts no process. A route's source, the host's own address, is not
//! told there, and need not be: the kernel drops all routes with a source that is not the host's any more.

use super::Ground;
use muster_protocol::network::Prefix;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Marks our routes, so that they are told from others': see `/etc/iproute2/rt_protos`, which does not name it.
pub const PROTOCOL: &str = "77";

/// A route this short, in bits, is a default route: others' tunnels lay it in two halves.
const HALF: u8 = 1;

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Routes that are missing.
    pub missing: Vec<Prefix>,
    /// Routes through the device that are not wanted; only those of them that are ours go.
    pub surplus: Vec<Prefix>,
    /// Why some are not laid, a line each.
    pub refused: Vec<String>,
}

/// A line of `/proc/net/route`.
#[derive(Debug, PartialEq, Eq)]
struct Route<'a> {
    device: &'a str,
    prefix: Prefix,
}

/// Compares what is wanted with the kernel's table.
pub fn plan(table: &str, ground: &Ground) -> Plan {
    let (mut ours, mut others) = (BTreeSet::new(), Vec::new());
    for route in table.lines().skip(1).filter_map(read) {
        if route.device == ground.device {
            ours.insert(route.prefix);
        } else if route.device != ground.bridge && route.prefix.length > HALF {
            others.push(route);
        }
    }
    let mut plan = Plan::default();
    let mut wanted = BTreeSet::new();
    for &prefix in &ground.remote {
        match refuse(prefix, ground, &others) {
            Some(why) => plan.refused.push(why),
            None => drop(wanted.insert(prefix)),
        }
    }
    plan.missing = wanted.difference(&ours).copied().collect();
    plan.surplus = ours.difference(&wanted).copied().collect();
    plan
}

/// What somebody else has a route to is not taken from them, nor a part of it, whatever its metric: ours would win. And
/// what is not another host's is not routed to it.
fn refuse(prefix: Prefix, ground: &Ground, others: &[Route<'_>]) -> Option<String> {
    if !prefix.is_valid() || !ground.range.covers(prefix) {
        return Some(format!("{prefix} is not routed to another host: it is outside of {}", ground.range));
    }
    if let Some(own) = ground.own.iter().find(|own| own.overlaps(prefix)) {
        return Some(format!("{prefix} is not routed to another host: this host has {own}"));
    }
    let taken = others.iter().find(|route| route.prefix.overlaps(prefix))?;
    Some(format!(
        "{prefix} is not routed to another host: this host has a route of its own to it, by {}; remove that, or enable the network with another range",
        taken.device
    ))
}

/// The lines for `ip` that add these routes.
pub fn additions(missing: &[Prefix], ground: &Ground) -> Vec<String> {
    let source = Ipv4Addr::from_bits(ground.gateway);
    let line = |prefix| format!("route replace {prefix} dev {} proto {PROTOCOL} src {source}", ground.device);
    missing.iter().map(line).collect()
}

/// The lines for `ip` that remove those of `surplus` that are ours, by what `ip route show dev DEVICE proto 77` printed.
pub fn removals(printed: &str, surplus: &[Prefix], device: &str) -> Vec<String> {
    let shown = printed.lines().filter_map(|line| shown(line.split_whitespace().next()?));
    let ours = shown.filter(|prefix| surplus.contains(prefix));
    ours.map(|prefix| format!("route del {prefix} dev {device} proto {PROTOCOL}")).collect()
}

/// How `ip` prints a prefix: without a length if it is one address.
fn shown(text: &str) -> Option<Prefix> {
    if text.contains('/') {
        return Prefix::parse(text);
    }
    Some(Prefix { first: text.parse::<Ipv4Addr>().ok()?.to_bits(), length: 32 })
}

/// Reads a line: device, destination, gateway, flags, use, references, metric, mask. Addresses are printed as numbers of
/// the machine's own byte order.
fn read(line: &str) -> Option<Route<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let device = fields.next()?;
    let first = address(fields.next()?)?;
    let flags = u32::from_str_radix(fields.nth(1)?, 16).ok()?;
    let mask = address(fields.nth(3)?)?;
    let length = u8::try_from(mask.leading_ones()).ok()?;
    // Flag 1: it is in use.
    let prefix = Prefix { first, length };
    (flags & 1 == 1 && mask.count_ones() == u32::from(length) && prefix.is_valid()).then_some(Route { device, prefix })
}

fn address(text: &str) -> Option<u32> {
    Some(u32::from_be_bytes(u32::from_str_radix(text, 16).ok()?.to_ne_bytes()))
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
