//! What a plan means for this host: its place, its peers, the names; and what of it is not accepted, with the reason.
//! Pure: whoever asks brings along what is remembered.

use super::names::Name;
use super::records::Records;
use super::store::PEERS_KEPT;
use super::tunnel::{Guest, Peer, Relay, Table};
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
    /// The keys that peers were first seen with.
    pub remembered: &'a BTreeMap<HostId, [u8; 32]>,
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
    /// Keys that were not remembered and are to be from now on.
    pub first_seen: BTreeMap<HostId, [u8; 32]>,
    /// Peers whose key is another one than at first.
    pub changed_keys: BTreeSet<HostId>,
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
        view.table.slot = plan.slot;
        view.table.own = plan.blocks.iter().copied().collect();
        view.take_peers(records, &plan, judge);
        view.take_relays(records, judge, plan.range);
        for record in records.of_kind(Kind::NetworkGuest).take(limits::NETWORK_PEERS) {
            let Ok(NetworkGuest { host, slot, secret }) = record.decode() else { continue };
            view.table.guests.push(Guest { host, slot, secret });
        }
        if plan.names {
            view.take_names(records, plan.range);
        }
        view
    }

    fn take_peers(&mut self, records: &Records, plan: &NetworkPlan<'_>, judge: &Judge<'_>) {
        let mut routed = Routed::default();
        plan.blocks.iter().for_each(|block| routed.add(*block));
        let mut keys = BTreeSet::from([judge.own_key]);
        for record in records.of_kind(Kind::NetworkPeer).take(limits::NETWORK_PEERS) {
            let Ok(peer) = record.decode::<NetworkPeer<'_>>() else { continue };
            let shown = crate::command::exit::one_line(peer.name, limits::HOST_NAME);
            let mut refuse = |why: &str| self.refused.push(format!("peer {shown} ({}): {why}", peer.host));
            let mut key = peer.key;
            match judge.remembered.get(&peer.host) {
                // It stays reachable by the one that is known; whoever has the other one gets nothing.
                Some(known) if *known != peer.key => {
                    self.changed_keys.insert(peer.host);
                    refuse(
                        "its key is not the one that was seen first, which stays; `muster-agent network accept` takes the new one",
                    );
                    key = *known;
                }
                Some(_) => {}
                None if peer.key == [0; 32] => {
                    refuse("it has no key");
                    continue;
                }
                // It could have another key each time.
                None if judge.remembered.len() + self.first_seen.len() >= PEERS_KEPT => {
                    refuse(
                        "too many hosts were seen before; remove those that are gone from `peers` in STATE_DIR-network",
                    );
                    continue;
                }
                None => {}
            }
            if !keys.insert(key) {
                refuse("another host has the same key");
                continue;
            }
            if !judge.remembered.contains_key(&peer.host) {
                self.first_seen.insert(peer.host, key);
            }
            let mut blocks = Vec::new();
            for block in &peer.blocks {
                if !block.is_valid() || block.length > 32 || !plan.range.covers(*block) {
                    refuse(&format!("{block} is not within {}", plan.range));
                } else if routed.overlaps(*block) {
                    refuse(&format!("{block} is somebody else's, too"));
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

    fn take_names(&mut self, records: &Records, range: Prefix) {
        for record in records.of_kind(Kind::NetworkName).take(limits::NETWORK_NAMES) {
            let Ok(NetworkName { host_label, name, address, .. }) = record.decode() else { continue };
            if is_label(host_label) && is_label(name) && range.contains(address) {
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

#[cfg(test)]
mod remembered_tests {
    use super::*;
    use crate::network::records::{Pending, Taken};
    use muster_protocol::network::{NetworkSum, sum};
    use muster_protocol::record::{Reader, Writer};

    fn host(number: usize) -> HostId {
        HostId((number as u64).to_be_bytes())
    }

    /// A plan with two peers, of which nothing matters but who they are.
    fn two_peers(first: usize, second: usize) -> Records {
        let prefix = |text| Prefix::parse(text).expect("a prefix");
        let blocks = [prefix("10.42.0.0/26")].into_iter().collect();
        let range = prefix("10.42.0.0/16");
        let plan = NetworkPlan { range, label: "net=on", names: true, mtu: 1380, slot: 7, refused: 0, blocks };
        let mut buffer = vec![0; 4096];
        let mut writer = Writer::message(&mut buffer).expect("room");
        writer.record(Kind::NetworkPlan, &plan).expect("room");
        for (number, key) in [(first, 1), (second, 2)] {
            let (blocks, endpoints) = ([].into_iter().collect(), [].into_iter().collect());
            let host = host(number);
            let peer = NetworkPeer { host, name: "pi", key: [key; 32], slot: 1, keepalive_s: 25, blocks, endpoints };
            writer.record(Kind::NetworkPeer, &peer).expect("room");
        }
        let said = writer.as_bytes().to_vec();
        let (mut records, mut pending, mut all) = (Records::default(), Pending::default(), 0u64);
        let mut reader = Reader::message(&said).expect("a message");
        while let Some(record) = reader.next_record().expect("records") {
            all = all.wrapping_add(sum(record.kind as u8, record.payload));
            records.take(&mut pending, record).expect("a record");
        }
        let mut end = [0; 64];
        let mut writer = Writer::records(&mut end);
        writer.record(Kind::NetworkSum, &NetworkSum { whole: true, sum: all }).expect("room");
        let record = Reader::records(writer.as_bytes()).next_record().expect("a record").expect("one");
        assert_eq!(records.take(&mut pending, record), Ok(Taken::Changed));
        records
    }

    #[test]
    fn a_peer_that_cannot_be_remembered_is_refused_and_those_that_are_stay() {
        let records = two_peers(0, PEERS_KEPT);
        let mut remembered: BTreeMap<_, _> = (0..PEERS_KEPT).map(|number| (host(number), [1; 32])).collect();
        let accepted = Prefix::parse("10.0.0.0/8").expect("a prefix");
        let view = |remembered: &BTreeMap<_, _>| {
            View::of(&records, &Judge { accepted, own_key: [0xee; 32], server: None, remembered })
        };
        let full = view(&remembered);
        assert!(full.first_seen.is_empty());
        assert_eq!(full.table.peers.iter().map(|peer| peer.host).collect::<Vec<_>>(), [host(0)]);
        assert!(full.refused.len() == 1 && full.refused[0].contains("too many hosts were seen before"));
        remembered.remove(&host(1));
        let room = view(&remembered);
        assert_eq!((room.first_seen.len(), room.table.peers.len(), room.refused.len()), (1, 2, 0));
        // Room for one of two.
        remembered.insert(host(1), [1; 32]);
        remembered.remove(&host(0));
        assert_eq!(view(&remembered).first_seen.len(), 1);
    }
}
