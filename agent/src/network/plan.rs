//! What a plan means for this host: its place, its peers, the names; and what of it is not accepted, with the reason.
//! Pure: whoever asks brings along what is remembered.

use super::names::Name;
use super::peers::Peers;
use super::records::Records;
use super::trust::{Key, Trust};
use super::tunnel::{Guest, Peer, Relay, Table};
use crate::command::exit::one_line;
use muster_protocol::id::HostId;
use muster_protocol::limits;
use muster_protocol::network::{
    NetworkGuest, NetworkName, NetworkPeer, NetworkPlan, NetworkRelay, NoPlace, Prefix, Reach,
};
use muster_protocol::record::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The smallest and the largest packet that a network may have: what IPv4 demands of everybody, and jumbo frames.
const MTU: std::ops::RangeInclusive<u16> = 576..=9000;
/// A range holds a few containers at least.
const LONGEST_RANGE: u8 = 28;
/// A block holds a gateway and a container at least.
const LONGEST_BLOCK: u8 = 30;

/// What a host brings along when it judges a plan.
#[derive(Debug, Clone)]
pub struct Judge<'a> {
    /// What is outside is refused.
    pub accepted: Prefix,
    /// This host's own public key.
    pub own_key: [u8; 32],
    /// Where the server was reached last: the address of a relay that has only a port.
    pub server: Option<IpAddr>,
    /// What peers were first seen with.
    pub remembered: &'a Peers,
    /// Days since 1970, if the clock is right.
    pub today: Option<u32>,
    /// Why nothing new can be remembered: then nothing new is used.
    pub cannot_remember: Option<&'a str>,
    /// The label that joins containers here, if the operator has pinned it.
    pub label: Option<&'a (String, String)>,
}

/// This host's place in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The whole network.
    pub range: Prefix,
    /// This host's addresses; one block at least.
    pub blocks: Vec<Prefix>,
    /// The label that belongs to it.
    pub label: (String, String),
    /// Whether names are answered.
    pub names: bool,
    /// The largest packet inside, in bytes.
    pub mtu: u16,
}

impl Place {
    /// The host's own address, which its containers know as the gateway.
    pub fn gateway(&self) -> u32 {
        self.blocks.first().map_or(0, |block| block.first + 1)
    }

    /// Whether an address is this host's.
    pub fn owns(&self, address: u32) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }

    /// Whether a container may have it: it is this host's, and neither the host's own nor of another meaning.
    pub fn gives(&self, address: u32) -> bool {
        let own = self.gateway();
        self.owns(address) && ![self.range.first, self.range.last(), own, own.wrapping_sub(1)].contains(&address)
    }
}

/// What is done by a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// `None`: this host takes no part.
    pub place: Option<Place>,
    /// For the tunnel. Empty without a place.
    pub table: Table,
    /// What is routed into the tunnel, sorted.
    pub remote: Vec<Prefix>,
    /// Sorted.
    pub names: Vec<Name>,
    /// Names of the peers, for people.
    pub peers: BTreeMap<HostId, String>,
    /// What is to be remembered before any of this is used, if it is not what was.
    pub remember: Option<Peers>,
    /// What changes hands by that, one line each.
    pub noted: Vec<String>,
    /// Peers whose key is another one than at first.
    pub changed_keys: BTreeSet<HostId>,
    /// Peers of which something is refused: key, block or name.
    pub refused_peers: BTreeSet<HostId>,
    /// What was refused and why, one line each.
    pub refused: Vec<String>,
}

impl View {
    /// What these records mean.
    pub fn of(records: &Records, judge: &Judge<'_>) -> View {
        let mut view = View::default();
        let Some(plan) = records.of_kind(Kind::NetworkPlan).find_map(|record| record.decode::<NetworkPlan<'_>>().ok())
        else {
            return view;
        };
        match place(&plan, judge.accepted) {
            Ok(place) => view.place = Some(place),
            Err(why) => {
                view.refused.push(why);
                return view;
            }
        }
        view.pin_label(judge);
        view.table.slot = plan.slot;
        view.table.own = plan.blocks.iter().copied().collect();
        let peers = records.of_kind(Kind::NetworkPeer).take(limits::NETWORK_PEERS);
        let peers = peers.filter_map(|record| record.decode::<NetworkPeer<'_>>().ok());
        let present = peers.map(|peer| (peer.host, one_line(peer.name, limits::HOST_NAME))).collect();
        let mut trust = Trust::new(judge, present);
        view.take_peers(records, &plan, judge, &mut trust);
        view.take_relays(records, judge, plan.range);
        for record in records.of_kind(Kind::NetworkGuest).take(limits::NETWORK_PEERS) {
            let Ok(NetworkGuest { host, slot, secret }) = record.decode() else { continue };
            view.table.guests.push(Guest { host, slot, secret });
        }
        if plan.names {
            view.take_names(records, &mut trust);
        }
        (view.remember, view.noted) = trust.end();
        view
    }

    /// What the operator has pinned counts, whatever the server says.
    fn pin_label(&mut self, judge: &Judge<'_>) {
        let (Some(pinned), Some(place)) = (judge.label, &mut self.place) else { return };
        if place.label != *pinned {
            let said = one_line(&format!("{}={}", place.label.0, place.label.1), limits::NETWORK_LABEL);
            let (key, value) = pinned;
            self.refused.push(format!("the server's label {said}: {key}={value} is pinned here, see --label"));
            place.label.clone_from(pinned);
        }
    }

    fn take_peers(&mut self, records: &Records, plan: &NetworkPlan<'_>, judge: &Judge<'_>, trust: &mut Trust<'_>) {
        let mut routed = Routed::default();
        plan.blocks.iter().for_each(|block| routed.add(*block));
        let mut keys = BTreeSet::from([judge.own_key]);
        for record in records.of_kind(Kind::NetworkPeer).take(limits::NETWORK_PEERS) {
            let Ok(peer) = record.decode::<NetworkPeer<'_>>() else { continue };
            let shown = one_line(peer.name, limits::HOST_NAME);
            let mut refuse = |why: &str| {
                self.refused.push(format!("peer {shown} ({}): {why}", peer.host));
                self.refused_peers.insert(peer.host);
            };
            let known = match trust.key(peer.host, peer.key) {
                Ok(known) => known,
                Err(why) => {
                    refuse(&why);
                    continue;
                }
            };
            let key = match known {
                Key::Said(key) => key,
                Key::First(key) => {
                    self.changed_keys.insert(peer.host);
                    refuse(
                        "its key is not the one that was seen first, which stays; `muster-agent network accept` takes the new one",
                    );
                    key
                }
            };
            if !keys.insert(key) {
                refuse("another host has the same key");
                continue;
            }
            trust.note_key(peer.host, &known);
            let mut blocks = Vec::new();
            for block in &peer.blocks {
                if !block.is_valid() || block.length > 32 || !plan.range.covers(*block) {
                    refuse(&format!("{block} is not within {}", plan.range));
                } else if routed.overlaps(*block) {
                    refuse(&format!("{block} is somebody else's, too"));
                } else if let Err(why) = trust.take_block(peer.host, *block) {
                    refuse(&why);
                } else {
                    routed.add(*block);
                    blocks.push(*block);
                }
            }
            let usable = |(reach, text): &(u8, &str)| Some((reach_of(*reach)?, endpoint(text, plan.range)?));
            let endpoints = peer.endpoints.iter().filter_map(usable).collect();
            self.remote.extend(&blocks);
            self.peers.insert(peer.host, shown);
            let NetworkPeer { host, slot, keepalive_s, .. } = peer;
            self.table.peers.push(Peer { host, key, slot, keepalive_s, blocks, endpoints });
        }
        self.remote.sort_unstable();
    }

    fn take_relays(&mut self, records: &Records, judge: &Judge<'_>, range: Prefix) {
        for record in records.of_kind(Kind::NetworkRelay).take(limits::NETWORK_RELAYS) {
            let Ok(NetworkRelay { host, endpoint: text, secret }) = record.decode() else { continue };
            let address = match text.strip_prefix(':') {
                Some(port) => judge.server.zip(port.parse().ok()).map(|(server, port)| SocketAddr::new(server, port)),
                None => endpoint(text, range),
            };
            match address {
                Some(address) => self.table.relays.push(Relay { host, address, secret }),
                None if text.starts_with(':') => {}
                None => self.refused.push(format!("relay {host}: it has no address that can be used")),
            }
        }
    }

    /// A name stands for an address of its host: of no other one's.
    fn take_names(&mut self, records: &Records, trust: &mut Trust<'_>) {
        let blocks: BTreeMap<HostId, &[Prefix]> =
            self.table.peers.iter().map(|peer| (peer.host, peer.blocks.as_slice())).collect();
        let all = records.of_kind(Kind::NetworkName).take(limits::NETWORK_NAMES);
        let all = all.filter_map(|record| record.decode::<NetworkName<'_>>().ok());
        let all: Vec<NetworkName<'_>> = all
            .filter(|name| is_label(name.host_label) && is_label(name.name))
            // Of a peer that is not believed nothing is.
            .filter(|name| blocks.contains_key(&name.host) || !trust.is_peer(name.host))
            .filter(|name| {
                let its = blocks.get(&name.host).copied().unwrap_or(&self.table.own);
                its.iter().any(|block| block.contains(name.address))
            })
            .collect();
        // This host's own are nobody else's.
        let own: BTreeSet<&str> =
            all.iter().filter(|name| !blocks.contains_key(&name.host)).map(|name| name.host_label).collect();
        let mut judged: BTreeMap<(HostId, &str), bool> = BTreeMap::new();
        for NetworkName { host, host_label, name, address } in all {
            let is_its = *judged.entry((host, host_label)).or_insert_with(|| {
                let taken = match blocks.contains_key(&host) {
                    false => Ok(()),
                    true if own.contains(host_label) => Err(format!("the name {host_label} is this host's own")),
                    true => trust.take_label(host, host_label),
                };
                taken
                    .map_err(|why| {
                        let shown = self.peers.get(&host).map_or("", String::as_str);
                        self.refused.push(format!("peer {shown} ({host}): {why}"));
                        self.refused_peers.insert(host);
                    })
                    .is_ok()
            });
            if is_its {
                self.names.push(Name { name: name.into(), host_label: host_label.into(), address });
            }
        }
        self.names.sort_unstable_by(|a, b| (&a.name, &a.host_label).cmp(&(&b.name, &b.host_label)));
    }
}

/// The place that a plan gives, or why none is taken.
fn place(plan: &NetworkPlan<'_>, accepted: Prefix) -> Result<Place, String> {
    let why = match plan.refused {
        number if number == NoPlace::HasOne as u8 => None,
        number if number == NoPlace::NotEnabled as u8 => {
            Some("the network is not enabled on the server: `muster network enable` there".to_string())
        }
        number if number == NoPlace::NotAccepted as u8 => {
            Some(format!("the server's range is not within {accepted}, which this host accepts: see --accept"))
        }
        number if number == NoPlace::Full as u8 => Some("the network has no block left for this host".to_string()),
        number if number == NoPlace::KeyChanged as u8 => {
            Some("this host's key is not the one that the server saw first; an operator has to accept it there".into())
        }
        number if number == NoPlace::KeyTaken as u8 => Some(
            "another host has this host's key; if this is a copy, remove `key` in its own directory, STATE_DIR-network"
                .into(),
        ),
        number => Some(format!("the server gives it no place (reason {number})")),
    };
    if let Some(why) = why {
        return Err(why);
    }
    let range = plan.range;
    if !range.is_valid() || !accepted.covers(range) {
        return Err(format!(
            "the server's range {range} is not within {accepted}, which this host accepts: see --accept"
        ));
    }
    if range.length > LONGEST_RANGE {
        return Err(format!("the server's range {range} is too small"));
    }
    if !MTU.contains(&plan.mtu) {
        return Err(format!("packets of {} bytes are not possible", plan.mtu));
    }
    let mut own = Routed::default();
    for block in &plan.blocks {
        if !block.is_valid() || block.length > LONGEST_BLOCK || !range.covers(*block) || own.overlaps(*block) {
            return Err(format!("the block {block} cannot be one of {range}"));
        }
        own.add(*block);
    }
    if plan.blocks.is_empty() {
        return Err("the server gives this host no block".into());
    }
    let (key, value) = plan.label.split_once('=').unwrap_or((plan.label, ""));
    if key.is_empty() {
        return Err("the server names no label".into());
    }
    Ok(Place {
        range,
        blocks: plan.blocks.iter().copied().collect(),
        label: (key.into(), value.into()),
        names: plan.names,
        mtu: plan.mtu,
    })
}

/// Ranges that do not overlap, by their first address.
#[derive(Default)]
struct Routed(BTreeMap<u32, u32>);

impl Routed {
    fn add(&mut self, block: Prefix) {
        self.0.insert(block.first, block.last());
    }

    fn overlaps(&self, block: Prefix) -> bool {
        self.0.range(..=block.last()).next_back().is_some_and(|(_, last)| *last >= block.first)
    }
}

fn reach_of(number: u8) -> Option<Reach> {
    [Reach::Lan, Reach::Public].into_iter().find(|reach| *reach as u8 == number)
}

/// An address and port that packets may be sent to: not to everybody, and not into the network itself.
fn endpoint(text: &str, range: Prefix) -> Option<SocketAddr> {
    let address: SocketAddr = text.parse().ok()?;
    let ip = address.ip();
    let inside = matches!(ip, IpAddr::V4(ip) if range.contains(ip.to_bits()));
    let usable = !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST);
    (usable && !inside && address.port() != 0).then_some(address)
}

/// Whether it is a label of the domain name system, in lower case.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=limits::DNS_LABEL).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
