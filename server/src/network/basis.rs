//! All that plans are made from, and what changes it. No I/O and no clock: the caller stores and tells.

use super::blocks::Pool;
use super::member::{Container, Member, Offer};
use super::names::{self, Name};
use super::secrets::Secrets;
use super::settings::Settings;
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::network::NoPlace;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Members at most: each host can know all others.
const MEMBERS: usize = limits::NETWORK_PEERS + 1;

/// The network as it is at one moment. Clones share what does not differ.
#[derive(Debug, Clone)]
pub struct Basis {
    /// Whether there is to be a network at all.
    pub enabled: bool,
    /// What operators have set.
    pub settings: Settings,
    /// Which blocks are given away.
    pub pool: Pool,
    /// The next host's number on relays.
    pub next_slot: u32,
    /// By their slots.
    members: BTreeMap<u32, Arc<Member>>,
    slots: BTreeMap<HostId, u32>,
    /// Hosts that could not become members.
    strangers: BTreeMap<HostId, NoPlace>,
    /// The port of the server's relay while it listens.
    pub relay: Option<u16>,
    /// What relays are told.
    pub secrets: Secrets,
    names: Arc<Vec<Name>>,
}

/// What a host says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its public key.
    pub key: [u8; 32],
    /// What it says of itself.
    pub offer: Offer,
    /// The sum of the plan that it holds.
    pub sum: u64,
}

/// What a host says of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is there.
    Is(Container),
    /// It is not, any more.
    Gone(EngineId),
}

/// What comes of accepting a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is the host's from now on.
    Done,
    /// The host has come with no other key than the known one.
    Nothing,
    /// By now the host has come with this one.
    Other([u8; 32]),
    /// It is another host's.
    Taken,
}

impl Basis {
    /// No network yet.
    pub fn new(secrets: Secrets) -> Basis {
        let settings = Settings::default();
        Basis {
            enabled: false,
            pool: Pool::new(settings.blocks()),
            settings,
            next_slot: 1,
            members: BTreeMap::new(),
            slots: BTreeMap::new(),
            strangers: BTreeMap::new(),
            relay: None,
            secrets,
            names: Arc::default(),
        }
    }

    /// As it was stored. What does not fit together is put right: no block has two hosts.
    pub fn restored(
        secrets: Secrets,
        (enabled, settings): (bool, Settings),
        (next_slot, next_block, freed): (u32, u32, &[u32]),
        members: Vec<Member>,
    ) -> Basis {
        let mut basis = Basis { enabled, settings, ..Basis::new(secrets) };
        let total = basis.settings.blocks();
        let mut held = BTreeSet::new();
        basis.next_slot = next_slot.max(1);
        for mut member in members {
            if basis.members.contains_key(&member.slot) || basis.slots.contains_key(&member.host) {
                continue;
            }
            member.blocks.retain(|index| *index < total && held.insert(*index));
            basis.next_slot = basis.next_slot.max(member.slot.saturating_add(1));
            basis.insert(member);
        }
        basis.pool = Pool::restored(total, next_block, freed, held.into_iter());
        basis.settle();
        basis
    }

    /// Whether nothing differs.
    pub fn is(&self, other: &Basis) -> bool {
        let is_same = |(one, two): (&Arc<Member>, &Arc<Member>)| Arc::ptr_eq(one, two) || one == two;
        (self.enabled, &self.settings, &self.pool, self.next_slot)
            == (other.enabled, &other.settings, &other.pool, other.next_slot)
            && (self.relay, &self.strangers) == (other.relay, &other.strangers)
            && self.members.len() == other.members.len()
            && self.members().zip(other.members()).all(is_same)
    }

    /// All hosts, in the order in which they came.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    /// One of them.
    pub fn member(&self, host: HostId) -> Option<&Arc<Member>> {
        self.members.get(self.slots.get(&host)?)
    }

    /// Those that others are to reach, in the order in which they came.
    pub fn placed(&self) -> impl Iterator<Item = &Member> {
        self.members().map(|member| &**member).filter(|member| self.is_placed(member))
    }

    /// Whether others are to reach it. A host that comes with another key stays where it is under the one that is known:
    /// whoever has stolen its credential must not throw it out.
    fn is_placed(&self, member: &Member) -> bool {
        self.enabled && member.offer.accepted.covers(self.settings.range) && !member.blocks.is_empty()
    }

    /// Whether a host has a place, by what it was last heard to say, or why not.
    pub fn place(&self, host: HostId) -> NoPlace {
        match self.member(host) {
            _ if !self.enabled => NoPlace::NotEnabled,
            None => self.strangers.get(&host).copied().unwrap_or(NoPlace::Full),
            Some(member) if member.other_key.is_some() => NoPlace::KeyChanged,
            Some(member) if !member.offer.accepted.covers(self.settings.range) => NoPlace::NotAccepted,
            Some(member) if member.blocks.is_empty() => NoPlace::Full,
            Some(_) => NoPlace::HasOne,
        }
    }

    /// Hosts that could not become members, and why.
    pub fn strangers(&self) -> impl Iterator<Item = (HostId, NoPlace)> {
        self.strangers.iter().map(|(host, why)| (*host, *why))
    }

    /// Names of all containers that have one.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// A host has said hello. It is a member from now on, if it can be.
    pub fn hear(&mut self, host: HostId, name: &str, hello: &Hello) {
        self.strangers.remove(&host);
        let is_taken = self.members().any(|other| other.host != host && other.key == hello.key);
        let is_full = self.members.len() >= MEMBERS || self.next_slot == u32::MAX;
        match self.member_mut(host) {
            Some(member) if member.key == hello.key => {
                member.other_key = None;
                member.offer.clone_from(&hello.offer);
                member.name = name.into();
            }
            Some(member) => member.other_key = Some(hello.key),
            None if is_taken => drop(self.strangers.insert(host, NoPlace::KeyTaken)),
            None if is_full => drop(self.strangers.insert(host, NoPlace::Full)),
            None => {
                let slot = self.next_slot;
                self.next_slot += 1;
                self.insert(Member {
                    host,
                    name: name.into(),
                    slot,
                    key: hello.key,
                    other_key: None,
                    offer: hello.offer.clone(),
                    observed: None,
                    blocks: Vec::new(),
                    containers: Vec::new(),
                });
            }
        }
    }

    /// A host tells of its containers. One that comes with another key than the known one is not believed.
    pub fn tell(&mut self, host: HostId, told: &[Told]) {
        let Some(member) = self.member_mut(host).filter(|member| member.other_key.is_none()) else { return };
        for told in told {
            match told {
                Told::Gone(id) => member.containers.retain(|known| known.id != *id),
                Told::Is(container) => match member.containers.iter().position(|known| known.id == container.id) {
                    Some(at) => member.containers[at].clone_from(container),
                    None if member.containers.len() < limits::CONTAINERS => member.containers.push(container.clone()),
                    None => {}
                },
            }
        }
    }

    /// These are all of a host's containers: others that were told of are gone.
    pub fn keep(&mut self, host: HostId, containers: &BTreeSet<EngineId>) {
        let is_gone = |known: &Container| !containers.contains(&known.id);
        let is_member = |member: &Arc<Member>| member.other_key.is_none() && member.containers.iter().any(is_gone);
        if self.member(host).is_some_and(is_member)
            && let Some(member) = self.member_mut(host)
        {
            member.containers.retain(|known| !is_gone(known));
        }
    }

    /// Its packets come from this address.
    pub fn observe(&mut self, slot: u32, address: IpAddr) {
        if let Some(member) = self.members.get_mut(&slot).filter(|member| member.observed != Some(address)) {
            Arc::make_mut(member).observed = Some(address);
        }
    }

    /// A host is called otherwise.
    pub fn rename(&mut self, host: HostId, name: &str) {
        if let Some(member) = self.member_mut(host) {
            member.name = name.into();
        }
    }

    /// A host is no member any more. Its blocks are given again last.
    pub fn remove(&mut self, host: HostId) {
        self.strangers.remove(&host);
        let Some(member) = self.slots.remove(&host).and_then(|slot| self.members.remove(&slot)) else { return };
        self.pool.give_back(member.blocks.iter().copied());
    }

    /// This key is a host's from now on, if it is the one that the host has come with last.
    pub fn accept(&mut self, host: HostId, key: &[u8; 32]) -> Acceptance {
        match self.member(host).and_then(|member| member.other_key) {
            None => return Acceptance::Nothing,
            Some(new) if new != *key => return Acceptance::Other(new),
            Some(_) => {}
        }
        if self.members().any(|other| other.host != host && other.key == *key) {
            return Acceptance::Taken;
        }
        let Some(member) = self.member_mut(host) else { return Acceptance::Nothing };
        (member.key, member.other_key) = (*key, None);
        Acceptance::Done
    }

    /// Sets what operators want. With another range, or other blocks, all hosts get new ones.
    pub fn set(&mut self, settings: Settings) {
        let is_same = |a: &Settings, b: &Settings| (a.range, a.block_length) == (b.range, b.block_length);
        if !is_same(&self.settings, &settings) {
            self.pool = Pool::new(settings.blocks());
            for member in self.members.values_mut() {
                Arc::make_mut(member).blocks.clear();
            }
        }
        self.settings = settings;
    }

    /// Gives blocks to those that need some, and makes what follows from the rest. To be called after changes. Who has none
    /// gets one before anybody gets another; nobody loses one.
    pub fn settle(&mut self) {
        if self.enabled {
            for round in 1..=limits::NETWORK_BLOCKS {
                for member in self.members.values_mut() {
                    let wanted = usize::from(member.offer.blocks).max(1);
                    let may = member.offer.accepted.covers(self.settings.range) && member.blocks.len() < wanted;
                    if may
                        && member.blocks.len() < round
                        && let Some(block) = self.pool.take()
                    {
                        Arc::make_mut(member).blocks.push(block);
                    }
                }
            }
        }
        self.names = Arc::new(if self.settings.names { names::all(self) } else { Vec::new() });
    }

    fn insert(&mut self, member: Member) {
        self.slots.insert(member.host, member.slot);
        self.members.insert(member.slot, Arc::new(member));
    }

    fn member_mut(&mut self, host: HostId) -> Option<&mut Member> {
        self.members.get_mut(self.slots.get(&host)?).map(Arc::make_mut)
    }
}
