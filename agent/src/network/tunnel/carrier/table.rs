//! A new table: what it changes, and nothing else.

use super::{Carrier, random};
use crate::network::tunnel::peer::Peer;
use crate::network::tunnel::{self, Table};
use muster_protocol::network::relay::Guest;
use std::collections::HashMap;
use std::io;

/// Peers get their first handshake one after the other, so far apart, and so much at most.
const SPREAD_MS: u64 = 5;
const SPREAD_LIMIT_MS: u64 = 1_000;

impl Carrier {
    /// Takes over a table. What is known of peers that stay is kept.
    pub fn set(&mut self, table: &Table) -> io::Result<()> {
        let now_ms = self.now_ms();
        self.stirred = true;
        self.own.clone_from(&table.own);
        self.outlet.registrar.update(table.slot, &table.relays, now_ms);
        self.set_guests(table);
        let wanted: HashMap<[u8; 32], &tunnel::Peer> = table.peers.iter().map(|peer| (peer.key, peer)).collect();
        for place in &mut self.peers {
            if place.as_ref().is_some_and(|old| wanted.get(&old.key).is_none_or(|peer| peer.host != old.host)) {
                *place = None;
            }
        }
        self.by_key = self.numbered().map(|(number, peer)| (peer.key, number)).collect();
        let mut at_ms = now_ms;
        for wanted in &table.peers {
            let number = match self.by_key.get(&wanted.key) {
                Some(number) => *number,
                None => {
                    let free = self.peers.iter().position(Option::is_none).unwrap_or(self.peers.len());
                    let number = free as u32;
                    let peer = Peer::new(wanted, &self.keys, number, random()?, at_ms);
                    match self.peers.get_mut(free) {
                        Some(place) => *place = Some(peer),
                        None => self.peers.push(Some(peer)),
                    }
                    self.by_key.insert(wanted.key, number);
                    number
                }
            };
            if let Some(Some(peer)) = self.peers.get_mut(number as usize) {
                peer.update(wanted, at_ms);
            }
            at_ms = (at_ms + SPREAD_MS).min(now_ms + SPREAD_LIMIT_MS);
        }
        self.by_slot = self.numbered().map(|(number, peer)| (peer.slot, number)).collect();
        let blocks = |(number, peer): (u32, &Peer)| {
            peer.blocks.iter().map(|block| (block.first, block.last(), number)).collect::<Vec<_>>()
        };
        self.routes = self.numbered().flat_map(blocks).collect();
        self.routes.sort_unstable();
        Ok(())
    }

    fn set_guests(&mut self, table: &Table) {
        let mut old = std::mem::take(&mut self.guests);
        let mut sorted: Vec<_> = table.guests.iter().collect();
        sorted.sort_by_key(|guest| guest.slot);
        sorted.dedup_by_key(|guest| guest.slot);
        let kept = sorted.into_iter().map(|guest| {
            let known = old.iter().position(|old| old.is(guest.slot, &guest.secret));
            known.map_or_else(|| Guest::new(guest.slot, guest.secret), |at| old.swap_remove(at))
        });
        self.guests = kept.collect();
    }
}
