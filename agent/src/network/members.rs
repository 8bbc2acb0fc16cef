//! The labelled containers as they are known: what the server is told of them, who holds which address, and who is tried again
//! when. No I/O.

use super::listing::Listing;
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::network::MemberState;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Docker 28 tells of a disconnected container some milliseconds before its list knows of it.
const AGAIN: Duration = Duration::from_millis(400);

/// A container that has the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Without the slash.
    pub name: String,
    /// How it is in the network.
    pub state: MemberState,
    /// Its address; 0 if it has none.
    pub address: u32,
    /// Why it has not joined.
    pub reason: String,
}

/// The labelled containers, and who holds which address.
#[derive(Debug, Default)]
pub struct Members {
    /// What the server is told.
    pub told: BTreeMap<EngineId, Member>,
    pub(super) holders: BTreeMap<EngineId, u32>,
    pub(super) tries: BTreeMap<EngineId, (u32, Instant)>,
    /// To be looked at once more: some engines tell of a change before their list has it.
    pub(super) again: BTreeMap<EngineId, Instant>,
    /// Whether their files of name servers list ours; of who is not among them, that is not known.
    listed: BTreeMap<EngineId, bool>,
    /// A container has found no address.
    pub(super) is_full: bool,
    /// Containers with the label for which there is no room, of one of which the server is told.
    beyond: usize,
}

impl Members {
    /// A container was started: its file of name servers is new.
    pub fn started(&mut self, id: EngineId) {
        self.listed.remove(&id);
    }

    /// Whether a container's file of name servers lists ours, if that is known.
    pub fn lists_ours(&self, id: EngineId) -> Option<bool> {
        self.listed.get(&id).copied()
    }

    /// Notes that it does, or does not.
    pub fn note_listed(&mut self, id: EngineId, lists: bool) {
        self.listed.insert(id, lists);
    }

    /// Wants a container looked at once more, a little later.
    pub fn look_again(&mut self, id: EngineId) {
        self.again.insert(id, Instant::now() + AGAIN);
    }

    /// Whether a container has found no address.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The host's addresses are others now: who found none may find one.
    pub fn place_changed(&mut self) {
        self.is_full = false;
        self.tries.clear();
        // Files list the address that the host had.
        self.listed.clear();
    }

    /// Containers with the label for which there is no room.
    pub fn beyond(&self) -> usize {
        self.beyond
    }

    /// Whether there is room for one more, or it is known already.
    pub(super) fn has_room(&self, id: EngineId) -> bool {
        self.told.contains_key(&id) || self.told.len() < limits::CONTAINERS
    }

    /// Takes over what a list of all containers says. Those that are not there any more.
    pub(super) fn take_all(&mut self, listing: &Listing) -> Vec<EngineId> {
        self.is_full = false;
        self.beyond = listing.beyond;
        let known = self.told.keys().chain(self.holders.keys()).chain(self.tries.keys());
        let gone: BTreeSet<EngineId> = known.copied().filter(|id| listing.is_gone(*id)).collect();
        for (id, address) in &listing.held {
            self.holds(*id, Some(*address));
        }
        for seen in &listing.containers {
            self.holds(seen.id, seen.holds());
        }
        // For whom there is no room any more the server is not told.
        let kept: BTreeSet<EngineId> = listing.containers.iter().map(|seen| seen.id).collect();
        self.told.retain(|id, _| kept.contains(id) || gone.contains(id));
        if let Some((id, name)) = &listing.first_beyond {
            let reason = format!(
                "a host has at most {} containers in the network: no room for this one and {} more",
                limits::CONTAINERS - 1,
                listing.beyond.saturating_sub(1)
            );
            let member = Member { name: name.clone(), state: MemberState::Refused, address: 0, reason };
            self.told.insert(*id, member);
        }
        gone.into_iter().collect()
    }

    /// Notes which address a container holds.
    pub(super) fn holds(&mut self, id: EngineId, address: Option<u32>) {
        match address {
            Some(address) => drop(self.holders.insert(id, address)),
            None => drop(self.holders.remove(&id)),
        }
    }

    /// A container is not there any more. The address that nobody has now, and whether somebody may have waited for that.
    pub(super) fn gone(&mut self, id: EngineId) -> (Option<u32>, bool) {
        let held = self.holders.remove(&id).filter(|address| !self.holders.values().any(|held| held == address));
        self.tries.remove(&id);
        self.again.remove(&id);
        self.listed.remove(&id);
        let was_told = self.told.remove(&id).is_some();
        (held, was_told && (std::mem::take(&mut self.is_full) || self.beyond > 0))
    }

    /// A container has left the network.
    pub fn left(&mut self, id: EngineId) {
        self.told.remove(&id);
        self.holders.remove(&id);
        self.tries.remove(&id);
        self.listed.remove(&id);
    }

    pub(super) fn taken(&self) -> BTreeSet<u32> {
        self.holders.values().copied().collect()
    }

    pub(super) fn is_alone(&self, id: EngineId, address: Option<u32>) -> bool {
        address.is_none_or(|address| !self.holders.iter().any(|(other, held)| *other != id && *held == address))
    }

    pub(super) fn next_try(&self) -> Option<Instant> {
        self.tries.values().map(|(_, at)| *at).chain(self.again.values().copied()).min()
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
