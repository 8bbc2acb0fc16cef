//! All containers of the engine that concern the network, and which of them there is room for.

use super::container::{self, Seen};
use super::hub::Hub;
use super::plan::Place;
use crate::docker::engine::{Element, EngineError};
use log::warn;
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use std::collections::BTreeSet;

/// Containers of which it is known that they are there; of more than that nobody is taken for gone.
const KNOWN: usize = 16 * limits::CONTAINERS;

/// What a list of all containers says.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those for which there is room: those first that are in the network, and then those that run.
    pub containers: Vec<Seen>,
    /// Addresses of others.
    pub held: Vec<(EngineId, u32)>,
    /// Others that have the label.
    pub beyond: usize,
    /// One of them, with its name.
    pub first_beyond: Option<(EngineId, String)>,
    there: BTreeSet<EngineId>,
    is_cut: bool,
}

impl Listing {
    /// Takes in one of them.
    fn add(&mut self, seen: Seen) {
        // Others are of no interest, nor is their name.
        if !seen.is_labelled && seen.endpoint.is_none() {
            return;
        }
        if self.there.len() < KNOWN {
            self.there.insert(seen.id);
        } else {
            self.is_cut = true;
        }
        self.containers.push(seen);
        if self.containers.len() == 2 * limits::CONTAINERS {
            self.cut();
        }
    }

    /// Keeps those for which there is room.
    fn cut(&mut self) {
        self.containers.sort_by_key(|seen| (seen.endpoint.is_none(), !seen.runs, seen.id));
        if self.containers.len() <= limits::CONTAINERS && self.beyond == 0 {
            return;
        }
        // One place is for telling of the others.
        for seen in self.containers.drain((limits::CONTAINERS - 1).min(self.containers.len())..) {
            if let Some(address) = seen.holds().filter(|_| self.held.len() < KNOWN) {
                self.held.push((seen.id, address));
            }
            if seen.is_labelled {
                self.beyond += 1;
                self.first_beyond.get_or_insert((seen.id, seen.name));
            }
        }
    }

    /// Whether a container that was known is not there any more.
    pub fn is_gone(&self, id: EngineId) -> bool {
        !self.is_cut && !self.there.contains(&id)
    }

    /// Of these.
    #[cfg(test)]
    pub(super) fn of(all: impl IntoIterator<Item = Seen>) -> Listing {
        let mut listing = Listing::default();
        all.into_iter().for_each(|seen| listing.add(seen));
        listing.cut();
        listing
    }
}

/// Asks the engine for all containers.
pub async fn list(hub: &Hub, place: &Place) -> Result<Listing, EngineError> {
    let mut listing = Listing::default();
    let mut list = hub.engine.list().await?;
    while let Some(element) = list.next().await? {
        let Element::Whole(json) = element else { continue };
        match container::parse(json, &place.label) {
            Ok(seen) => listing.add(seen),
            Err(error) => warn!("cannot read a container: {error}"),
        }
    }
    listing.cut();
    Ok(listing)
}
