//! What each host is told: a pure function of the [basis](Basis), and what differs between two of its results.

use super::basis::Basis;
use super::member::Member;
use super::reach;
use super::secrets::SERVER;
use muster_protocol::id::HostId;
use muster_protocol::limits;
use muster_protocol::network::{
    NetworkGone, NetworkGuest, NetworkName, NetworkPeer, NetworkPlan, NetworkRelay, NetworkSum, NoPlace, Prefix, Reach,
    sum,
};
use muster_protocol::record::{Kind, VERSION};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a record of a plan is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its kind, as a number.
    pub kind: u8,
    /// Zero for the host's own place.
    pub host: HostId,
    /// Empty for all but names.
    pub name: String,
}

/// What one host is told: records as they are on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    records: BTreeMap<Key, Vec<u8>>,
}

/// Enough of a plan to know what differs from another one: a record's part of the sum stands for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    records: BTreeMap<Key, u64>,
}

/// Makes the plan of a host.
pub fn plan(basis: &Basis, host: HostId) -> Plan {
    let mut plan = Plan::default();
    let refused = basis.place(host);
    let member = basis.member(host).filter(|_| refused == NoPlace::HasOne);
    let own = NetworkPlan {
        range: basis.settings.range,
        label: &basis.settings.label,
        names: basis.settings.names,
        mtu: basis.settings.mtu,
        slot: member.map_or(0, |member| member.slot),
        refused: refused as u8,
        blocks: member.map(|member| blocks(basis, member)).unwrap_or_default(),
    };
    plan.add(Kind::NetworkPlan, SERVER, "", &own);
    let Some(member) = member else { return plan };
    for peer in basis.placed().filter(|peer| peer.host != host) {
        plan.add_peer(basis, member, peer);
    }
    for (relay, endpoint) in relays(basis, member) {
        let secret = basis.secrets.of_guest(relay, host);
        plan.add(Kind::NetworkRelay, relay, "", &NetworkRelay { host: relay, endpoint: &endpoint, secret });
    }
    if member.offer.relays {
        for guest in basis.placed().filter(|guest| relays(basis, guest).iter().any(|(relay, _)| *relay == host)) {
            let secret = basis.secrets.of_guest(host, guest.host);
            let guest = NetworkGuest { host: guest.host, slot: guest.slot, secret };
            plan.add(Kind::NetworkGuest, guest.host, "", &guest);
        }
    }
    for name in basis.names() {
        let record =
            NetworkName { host: name.host, host_label: &name.host_label, name: &name.name, address: name.address };
        plan.add(Kind::NetworkName, name.host, &name.name, &record);
    }
    plan
}

/// Whom the server's relay serves: their numbers and what they prove themselves by.
pub fn guests(basis: &Basis) -> Vec<(u32, [u8; 16])> {
    basis.placed().map(|member| (member.slot, basis.secrets.of_guest(SERVER, member.host))).collect()
}

fn blocks(basis: &Basis, member: &Member) -> heapless::Vec<Prefix, { limits::NETWORK_BLOCKS }> {
    member.blocks.iter().take(limits::NETWORK_BLOCKS).map(|index| basis.settings.block(*index)).collect()
}

/// Who forwards for a host, and where: the server first, then the first hosts that offer it where it reaches them. As all
/// hosts have the same first ones, two of them find a relay that both use.
fn relays(basis: &Basis, member: &Member) -> Vec<(HostId, String)> {
    let server = basis.relay.map(|port| (SERVER, format!(":{port}")));
    let others = basis.placed().filter(|other| other.offer.relays && other.host != member.host);
    let others = others.filter_map(|other| Some((other.host, reach::public(member, other)?.to_string())));
    server.into_iter().chain(others.take(limits::NETWORK_RELAYS - 1)).collect()
}

impl Plan {
    fn add<T: Serialize>(&mut self, kind: Kind, host: HostId, name: &str, record: &T) {
        // Only what has no length of its own cannot be encoded, and no record has such a thing.
        let Ok(payload) = postcard::to_stdvec(record) else { return };
        self.records.insert(Key { kind: kind as u8, host, name: name.into() }, payload);
    }

    fn add_peer(&mut self, basis: &Basis, member: &Member, peer: &Member) {
        let endpoints: Vec<(Reach, String)> = reach::endpoints(member, peer, basis.settings.range)
            .into_iter()
            .map(|(reach, address)| (reach, address.to_string()))
            .collect();
        let record = NetworkPeer {
            host: peer.host,
            name: &peer.name,
            key: peer.key,
            slot: peer.slot,
            keepalive_s: reach::keepalive_s(member, peer),
            blocks: blocks(basis, peer),
            endpoints: endpoints
                .iter()
                .take(limits::NETWORK_ENDPOINTS)
                .map(|(reach, address)| (*reach as u8, address.as_str()))
                .collect(),
        };
        self.add(Kind::NetworkPeer, peer.host, "", &record);
    }

    /// Its records and what they are known by.
    pub fn records(&self) -> impl Iterator<Item = (&Key, &[u8])> {
        self.records.iter().map(|(key, payload)| (key, payload.as_slice()))
    }

    /// What the agent has to have.
    pub fn sum(&self) -> u64 {
        self.records().fold(0, |all, (key, payload)| all.wrapping_add(sum(key.kind, payload)))
    }

    /// Enough of it to know later what has changed.
    pub fn outline(&self) -> Outline {
        Outline { records: self.records().map(|(key, payload)| (key.clone(), sum(key.kind, payload))).collect() }
    }

    /// All of it, in messages.
    pub fn whole(&self) -> Vec<Vec<u8>> {
        self.messages(&[], self.records().collect(), true)
    }

    /// What makes `before` this plan, in messages; none if it is.
    pub fn changes(&self, before: &Outline) -> Vec<Vec<u8>> {
        let gone: Vec<&Key> = before.records.keys().filter(|key| !self.records.contains_key(key)).collect();
        let is_new = |key: &Key, payload: &[u8]| before.records.get(key) != Some(&sum(key.kind, payload));
        let new: Vec<(&Key, &[u8])> = self.records().filter(|(key, payload)| is_new(key, payload)).collect();
        if gone.is_empty() && new.is_empty() { Vec::new() } else { self.messages(&gone, new, false) }
    }

    /// That it is what the agent has already.
    pub fn confirmation(&self) -> Vec<Vec<u8>> {
        self.messages(&[], Vec::new(), false)
    }

    /// What goes comes first: so the agent has room for what comes.
    fn messages(&self, gone: &[&Key], new: Vec<(&Key, &[u8])>, whole: bool) -> Vec<Vec<u8>> {
        let mut messages = Messages::default();
        for key in gone {
            messages.add(Kind::NetworkGone, &NetworkGone { kind: key.kind, host: key.host, name: &key.name });
        }
        for (key, payload) in new {
            messages.add_bytes(key.kind, payload);
        }
        messages.add(Kind::NetworkSum, &NetworkSum { whole, sum: self.sum() });
        messages.0
    }
}

impl Outline {
    /// The sum of the plan that it is of.
    pub fn sum(&self) -> u64 {
        self.records.values().fold(0, |all, part| all.wrapping_add(*part))
    }
}

/// Messages of a server to an agent, as few as hold all records.
#[derive(Debug, Default)]
struct Messages(Vec<Vec<u8>>);

impl Messages {
    fn add<T: Serialize>(&mut self, kind: Kind, record: &T) {
        let Ok(payload) = postcard::to_stdvec(record) else { return };
        self.add_bytes(kind as u8, &payload);
    }

    fn add_bytes(&mut self, kind: u8, payload: &[u8]) {
        let Ok(length) =
            u32::try_from(payload.len()).map_err(|_| ()).and_then(|it| postcard::to_stdvec(&it).map_err(|_| ()))
        else {
            return;
        };
        let record = [&[kind], &length[..], payload].concat();
        match self.0.last_mut() {
            Some(last) if last.len() + record.len() <= limits::NETWORK_MESSAGE => last.extend_from_slice(&record),
            _ => self.0.push([&[VERSION], &record[..]].concat()),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
