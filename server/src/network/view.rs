//! The network as the API shows it.

use super::Network;
use super::basis::Basis;
use super::member::Member;
use super::names::{self, Unnamed};
use super::operate::shown_key;
use crate::api::types;
use crate::fleet::{Fleet, Refusal};
use crate::relay::Counters;
use muster_protocol::id::HostId;
use muster_protocol::network::{NoPlace, Way};
use std::collections::{BTreeMap, HashMap};

/// The network in numbers.
#[derive(Debug, Clone, Copy)]
pub struct NetworkCounts {
    /// Hosts that have a place, and others.
    pub hosts: [usize; 2],
    /// Hosts that have a line.
    pub connected: usize,
    /// Labelled containers that are in it, and others.
    pub containers: [usize; 2],
    /// Blocks that hosts have, and that are left.
    pub blocks: [u32; 2],
    /// Paths by the word for their way.
    pub paths: [(&'static str, usize); 4],
    /// What the server's relay has done.
    pub relayed: Option<Counters>,
}

impl Network {
    /// The network in numbers; `None` while it is not enabled.
    pub fn counts(&self) -> Option<NetworkCounts> {
        let basis = self.basis();
        let hosts: Vec<_> = basis.members().collect();
        let joined = hosts.iter().filter(|member| basis.place(member.host) == NoPlace::HasOne).count();
        let ways = [Way::Direct, Way::Lan, Way::Relayed, Way::None];
        let mut paths = ways.map(|way| (way_word(way), 0));
        for member in &hosts {
            for path in self.paths(member.host).values() {
                if let Some(at) = ways.iter().position(|way| *way == path.way) {
                    paths[at].1 += 1;
                }
            }
        }
        basis.enabled.then(|| NetworkCounts {
            hosts: [joined, hosts.len() - joined + basis.strangers().count()],
            connected: hosts.iter().filter(|member| self.is_connected(member.host)).count(),
            containers: [
                hosts.iter().map(|member| member.joined()).sum(),
                hosts.iter().map(|member| member.refusals().count()).sum(),
            ],
            blocks: [basis.pool.held(), basis.pool.total() - basis.pool.held()],
            paths,
            relayed: self.relayed(),
        })
    }
}

impl Network {
    /// Notes which of these containers could not be joined, and why.
    pub fn mark_refused(&self, containers: &mut [types::Container]) {
        let basis = self.basis();
        if !basis.enabled {
            return;
        }
        // A page has its containers host by host.
        let mut last: Option<(HostId, HashMap<String, &str>)> = None;
        for container in containers {
            let Some(host) = HostId::parse(&container.host_id) else { continue };
            if last.as_ref().is_none_or(|(known, _)| *known != host) {
                let refusals = basis.member(host).into_iter().flat_map(|member| member.refusals());
                last = Some((host, refusals.map(|(it, why)| (it.id.to_string(), why)).collect()));
            }
            let why = last.as_ref().and_then(|(_, refusals)| refusals.get(&container.id));
            container.network_refused = why.map(|why| (*why).to_owned());
        }
    }
}

/// What a host stands in the list by.
pub fn host_key(host: &types::NetworkHost) -> [&str; 2] {
    [&host.name, &host.id]
}

/// What a path stands in the list by.
pub fn path_key(path: &types::NetworkPath) -> [&str; 4] {
    [&path.from, &path.from_id, &path.to, &path.to_id]
}

/// A place as the API's word.
pub fn word(place: NoPlace) -> &'static str {
    match place {
        NoPlace::HasOne => "joined",
        NoPlace::NotEnabled => "not_enabled",
        NoPlace::NotAccepted => "not_accepted",
        NoPlace::Full => "full",
        NoPlace::KeyChanged => "key_changed",
        NoPlace::KeyTaken => "key_taken",
    }
}

/// A way as the API's word.
pub fn way_word(way: Way) -> &'static str {
    match way {
        Way::None => "none",
        Way::Direct => "direct",
        Way::Lan => "lan",
        Way::Relayed => "relayed",
        Way::Refused => "refused",
    }
}

impl Fleet {
    /// The managed network, and its hosts in the order of [`host_key`]: those behind the one with the key `after`, and one more
    /// than `limit` if there are so many.
    pub fn network_page(&self, after: Option<&[String; 2]>, limit: usize) -> types::ManagedNetwork {
        let network = self.network();
        let basis = network.basis();
        types::ManagedNetwork {
            enabled: basis.enabled,
            cidr: basis.settings.range.to_string(),
            block: basis.settings.block_length,
            label: basis.settings.label.clone(),
            names: basis.settings.names,
            mtu: basis.settings.mtu,
            relay_port: basis.relay,
            relay_problem: network.relay_trouble(),
            blocks: basis.pool.total(),
            blocks_used: basis.pool.held(),
            hosts: self.network_hosts(&basis, after, limit),
            next: None,
        }
    }

    /// The managed network and all of its hosts.
    #[cfg(test)]
    pub(crate) fn network_view(&self) -> types::ManagedNetwork {
        self.network_page(None, usize::MAX)
    }

    fn network_hosts(&self, basis: &Basis, after: Option<&[String; 2]>, limit: usize) -> Vec<types::NetworkHost> {
        let mut all: Vec<([String; 2], HostId)> =
            basis.members().map(|it| ([it.name.clone(), it.host.to_string()], it.host)).collect();
        all.extend(basis.strangers().map(|(host, _)| ([self.name_of(host), host.to_string()], host)));
        all.retain(|(key, _)| after.is_none_or(|after| key > after));
        all.sort_unstable();
        let unnamed = unnamed(basis);
        // What is said of each of them is looked for only once it is known who is on the page.
        let view = |(_, host): ([String; 2], HostId)| match basis.member(host) {
            Some(known) => member(self.network(), basis, known, unnamed.get(&host)),
            None => self.stranger(basis, host),
        };
        all.into_iter().take(limit.saturating_add(1)).map(view).collect()
    }

    fn name_of(&self, host: HostId) -> String {
        self.cell(host).map(|cell| cell.live().row.name.clone()).unwrap_or_default()
    }

    /// One of its hosts.
    ///
    /// # Errors
    /// There is no such host, or it has never come to the network.
    pub fn network_host(&self, host: &str) -> Result<types::NetworkHost, Refusal> {
        let (cell, name) = self.named(host)?;
        let network = self.network();
        let basis = network.basis();
        match basis.member(cell.id) {
            Some(known) => Ok(member(network, &basis, known, unnamed(&basis).get(&cell.id))),
            None if basis.strangers().any(|(stranger, _)| stranger == cell.id) => Ok(self.stranger(&basis, cell.id)),
            None => Err(Refusal::NotFound(format!("{name} is not in the network"))),
        }
    }

    /// How hosts of the network reach each other, as they have said last: of all, or of one. In the order of
    /// [`path_key`], behind the one with the key `after`, and one more than `limit` if there are so many.
    pub fn network_paths(
        &self,
        from: Option<HostId>,
        after: Option<&[String; 4]>,
        limit: usize,
    ) -> Vec<types::NetworkPath> {
        let network = self.network();
        let basis = network.basis();
        let after = after.map(|after| after.each_ref().map(String::as_str));
        let is_passed = |member: &Member| {
            after.is_some_and(|[name, id, ..]| (member.name.as_str(), &*member.host.to_string()) < (name, id))
        };
        let mut wanted: Vec<&Member> =
            basis.placed().filter(|member| from.is_none_or(|it| member.host == it)).collect();
        wanted.sort_by_key(|member| (&member.name, member.host));
        let mut found = Vec::new();
        for member in wanted.into_iter().filter(|member| !is_passed(member)) {
            let mut paths = paths(network, &basis, member);
            paths.sort_by(|a, b| path_key(a).cmp(&path_key(b)));
            found.extend(paths.into_iter().filter(|path| after.is_none_or(|after| path_key(path) > after)));
            if found.len() > limit {
                found.truncate(limit + 1);
                break;
            }
        }
        found
    }

    fn stranger(&self, basis: &Basis, host: HostId) -> types::NetworkHost {
        types::NetworkHost {
            id: host.to_string(),
            name: self.name_of(host),
            state: word(basis.place(host)).into(),
            reason: Some(super::why(basis.place(host)).into()),
            connected: self.network().is_connected(host),
            blocks: Vec::new(),
            blocks_missing: 0,
            accepted: None,
            key: None,
            new_key: None,
            observed: None,
            endpoint: None,
            addresses: Vec::new(),
            relays: false,
            containers: 0,
            refused: Vec::new(),
            names_refused: None,
            ways: types::NetworkWays::default(),
        }
    }
}

/// Whose containers have no names, and why; nobody while there are no names.
fn unnamed(basis: &Basis) -> BTreeMap<HostId, Unnamed> {
    let labels = if basis.settings.names { names::hosts(basis) } else { BTreeMap::new() };
    labels.into_iter().filter_map(|(host, label)| Some((host, label.err()?))).collect()
}

fn member(network: &Network, basis: &Basis, member: &Member, names_refused: Option<&Unnamed>) -> types::NetworkHost {
    let place = basis.place(member.host);
    let mut ways = types::NetworkWays::default();
    let said = network.paths(member.host);
    let others = basis.placed().filter(|other| other.host != member.host && place == NoPlace::HasOne);
    for other in others {
        let count = match said.get(&other.host).map_or(Way::None, |path| path.way) {
            Way::Direct => &mut ways.direct,
            Way::Lan => &mut ways.lan,
            Way::Relayed => &mut ways.relayed,
            Way::None | Way::Refused => &mut ways.none,
        };
        *count += 1;
    }
    let refused = member.refusals().map(|(container, why)| types::NetworkRefusal {
        id: container.id.to_string(),
        name: container.name.clone(),
        reason: why.into(),
    });
    types::NetworkHost {
        id: member.host.to_string(),
        name: member.name.clone(),
        state: word(place).into(),
        reason: (place != NoPlace::HasOne).then(|| super::why(place).into()),
        connected: network.is_connected(member.host),
        blocks: member.blocks.iter().map(|index| basis.settings.block(*index).to_string()).collect(),
        blocks_missing: u32::from(member.offer.blocks).saturating_sub(member.blocks.len() as u32),
        accepted: Some(member.offer.accepted.to_string()),
        key: Some(shown_key(&member.key)),
        new_key: member.other_key.as_ref().map(shown_key),
        observed: member.observed.map(|address| address.to_string()),
        endpoint: member.offer.endpoint.map(|endpoint| endpoint.to_string()),
        addresses: member.offer.addresses.iter().map(ToString::to_string).collect(),
        relays: member.offer.relays,
        containers: u32::try_from(member.joined()).unwrap_or(u32::MAX),
        refused: refused.collect(),
        names_refused: names_refused.map(ToString::to_string),
        ways,
    }
}

/// To all others that have a place, whether or not it has said anything of them.
fn paths(network: &Network, basis: &Basis, member: &Member) -> Vec<types::NetworkPath> {
    let said = network.paths(member.host);
    let others = basis.placed().filter(|other| other.host != member.host);
    let path = |other: &Member| {
        let path = said.get(&other.host);
        types::NetworkPath {
            from: member.name.clone(),
            from_id: member.host.to_string(),
            to: other.name.clone(),
            to_id: other.host.to_string(),
            way: way_word(path.map_or(Way::None, |path| path.way)).into(),
            endpoint: path.and_then(|path| path.endpoint).map(|endpoint| endpoint.to_string()),
            handshake: path.and_then(|path| path.handshake_s).map(u64::from),
            received: path.map_or(0, |path| path.received),
            sent: path.map_or(0, |path| path.sent),
        }
    };
    others.map(path).collect()
}
