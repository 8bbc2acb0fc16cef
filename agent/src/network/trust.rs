//! Which of what a plan says of peers is believed: the key that was seen first, blocks that were nobody else's, names of
//! nobody else's. Pure.

use super::peers::{BLOCKS_KEPT, GONE_DAYS, Known, LABELS_KEPT, Peers};
use super::plan::Judge;
use super::store::PEERS_KEPT;
use muster_protocol::id::HostId;
use muster_protocol::network::Prefix;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What an operator can do about it.
const ACCEPT: &str = "`muster-agent network accept";

/// What is remembered, and what comes to it by a plan.
pub(super) struct Trust<'a> {
    judge: &'a Judge<'a>,
    peers: Cow<'a, Peers>,
    /// The plan's peers, and their names for people.
    present: BTreeMap<HostId, String>,
    /// What comes of them now was accepted by an operator.
    accepted: BTreeSet<HostId>,
    noted: Vec<String>,
}

/// A peer's key, as it is used.
pub(super) enum Key {
    /// The plan's.
    Said([u8; 32]),
    /// The one that was seen first; the plan has another one.
    First([u8; 32]),
}

impl<'a> Trust<'a> {
    /// With the peers that a plan has.
    pub fn new(judge: &'a Judge<'a>, present: BTreeMap<HostId, String>) -> Trust<'a> {
        let peers = Cow::Borrowed(judge.remembered);
        Trust { judge, peers, present, accepted: BTreeSet::new(), noted: Vec::new() }
    }

    /// Whether the plan has such a peer, believed or not.
    pub fn is_peer(&self, host: HostId) -> bool {
        self.present.contains_key(&host)
    }

    /// The key that a peer is reached by, or why it is not reached.
    pub fn key(&self, host: HostId, said: [u8; 32]) -> Result<Key, String> {
        if self.peers.is_damaged(host) {
            return Err(format!("its line in `peers` is damaged; {ACCEPT} {host}` takes what comes now"));
        }
        match self.peers.get(host).map(|known| known.key) {
            // It stays reachable by the one that is known; whoever has the other one gets nothing.
            Some(Some(known)) if known != said => Ok(Key::First(known)),
            Some(Some(known)) => Ok(Key::Said(known)),
            _ if said == [0; 32] => Err("it has no key".into()),
            None if self.peers.has_damage() => {
                Err(format!("a line of `peers` is damaged, and may be about it; {ACCEPT} {host}`, if it is a new host"))
            }
            // It could have another key each time.
            None if self.peers.len() >= PEERS_KEPT => {
                Err("too many hosts were seen before; remove those that are gone from `peers` in STATE_DIR-network"
                    .into())
            }
            _ => self.may_remember().map(|()| Key::Said(said)),
        }
    }

    /// Remembers it, if it is new.
    pub fn note_key(&mut self, host: HostId, key: &Key) {
        let Key::Said(key) = key else { return };
        let before = self.peers.get(host).map(|known| known.key);
        if before == Some(Some(*key)) {
            return;
        }
        if before.is_some() {
            self.accepted.insert(host);
        }
        *self.peers.to_mut().entry(host) = Known::with_key(*key);
    }

    /// Whether a block may be this peer's, or why not. It is remembered as its.
    pub fn take_block(&mut self, host: HostId, block: Prefix) -> Result<(), String> {
        if self.peers.get(host).is_some_and(|known| known.blocks.contains(&block)) {
            return Ok(());
        }
        let holders: Vec<HostId> = self.peers.holders(block, host).collect();
        for holder in &holders {
            let is_forfeit = self.peers.get(*holder).is_some_and(|known| known.is_forfeit(self.judge.today));
            let is_gone = !self.present.contains_key(holder);
            if !(self.accepted.contains(&host) || (is_gone && is_forfeit)) {
                let until = match is_gone {
                    true => format!(", which is gone: nobody else's for {GONE_DAYS} days"),
                    false => String::new(),
                };
                let name = self.name(*holder);
                return Err(format!("{block} was {name} at first{until}; {ACCEPT} {host}` lets it have that"));
            }
        }
        self.may_remember()?;
        if self.peers.get(host).is_some_and(|known| known.blocks.len() >= BLOCKS_KEPT) {
            return Err(format!("it had too many blocks before; {ACCEPT} {host}` forgets them"));
        }
        for holder in holders {
            self.noted.push(format!("{block} was {} and is {} now", self.name(holder), self.name(host)));
            self.peers.to_mut().entry(holder).blocks.retain(|its| !its.overlaps(block));
        }
        self.peers.to_mut().entry(host).blocks.push(block);
        Ok(())
    }

    /// Whether a host's name may be this peer's, or why not. It is remembered as its. The name of a host that is gone is free: a
    /// board that joins anew has its old name.
    pub fn take_label(&mut self, host: HostId, label: &str) -> Result<(), String> {
        if self.peers.get(host).is_some_and(|known| known.labels.iter().any(|its| **its == *label)) {
            return Ok(());
        }
        let holder = self.peers.named(label, host);
        if let Some(holder) = holder
            && self.present.contains_key(&holder)
            && !self.accepted.contains(&host)
        {
            let name = self.name(holder);
            return Err(format!("the name {label} was {name} at first; {ACCEPT} {host}` lets it have that"));
        }
        self.may_remember()?;
        if self.peers.get(host).is_some_and(|known| known.labels.len() >= LABELS_KEPT) {
            return Err(format!("it had too many names before; {ACCEPT} {host}` forgets them"));
        }
        if let Some(holder) = holder {
            self.noted.push(format!("the name {label} was {} and is {} now", self.name(holder), self.name(host)));
            self.peers.to_mut().entry(holder).labels.retain(|its| **its != *label);
        }
        self.peers.to_mut().entry(host).labels.push(label.into());
        Ok(())
    }

    /// What is to be remembered from now on, if that is not what was; and what has changed hands.
    pub fn end(mut self) -> (Option<Peers>, Vec<String>) {
        if self.judge.cannot_remember.is_some() {
            return (None, Vec::new());
        }
        let changed: Vec<(HostId, Option<u32>)> = self
            .peers
            .iter()
            .filter_map(|(host, known)| match (self.present.contains_key(&host), known.gone) {
                (true, Some(_)) => Some((host, None)),
                (false, None) => Some((host, Some(self.judge.today?))),
                _ => None,
            })
            .collect();
        for (host, gone) in changed {
            self.peers.to_mut().entry(host).gone = gone;
        }
        match self.peers {
            Cow::Borrowed(_) => (None, self.noted),
            Cow::Owned(peers) => (Some(peers), self.noted),
        }
    }

    /// What is not remembered could be another one's the next time.
    fn may_remember(&self) -> Result<(), String> {
        self.judge.cannot_remember.map_or(Ok(()), |why| Err(format!("it is new and cannot be remembered: {why}")))
    }

    fn name(&self, host: HostId) -> String {
        let label = || self.peers.get(host)?.labels.first().map(ToString::to_string);
        let name = self.present.get(&host).cloned().or_else(label);
        name.map_or_else(|| format!("{host}'s"), |name| format!("{name}'s ({host})"))
    }
}
