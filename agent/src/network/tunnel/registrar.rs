//! This host as a guest of its relays: registers with the first one that answers, and finds out when it does not any more.
//! Knows neither clock nor socket, as [`path`](super::path).

use super::Relay;
use muster_protocol::network::relay::{self, KEEP_S, REGISTER_LIMIT, Secret, canonical};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::SocketAddr;

/// Between registrations that are not answered, at first.
const RETRY_MS: u64 = 750;
/// Registrations without an answer behind which a relay counts as lost.
const TRIES: u8 = 4;
/// A lost one is asked so often at first, for it may be starting anew, up to so many registrations in all.
const LOST_MS: u64 = 2_500;
const LOST_TRIES: u8 = 20;
/// With traffic through a relay and nothing from it for so long, it is asked whether it is there, and knows this host.
const SILENT_MS: u64 = 1_500;
/// There is traffic until so long after a packet.
const BUSY_MS: u64 = 6_000;
/// Between two notices of a relay that are followed.
const NOTICE_MS: u64 = 1_000;

/// The relays of this host.
pub struct Registrar {
    slot: u32,
    entries: Vec<Entry>,
    /// Makes numbers that others cannot guess.
    numbers: (Secret, u64),
}

struct Entry {
    relay: Relay,
    cookie: u64,
    number: u32,
    /// Registrations since the last answer.
    unanswered: u8,
    next_ms: u64,
    /// Since when it forwards.
    registered: bool,
    heard_ms: u64,
    busy_until_ms: u64,
    notice_ms: Option<u64>,
}

/// A registration to send.
pub struct Outgoing {
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: [u8; REGISTER_LIMIT],
    /// Of how many bytes.
    pub length: usize,
}

impl Registrar {
    /// Without relays. `secret` makes numbers: random.
    pub fn new(secret: Secret) -> Registrar {
        Registrar { slot: 0, entries: Vec::new(), numbers: (secret, 0) }
    }

    /// This host's number.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Takes over the table's relays. Registrations of those that stay stay.
    pub fn update(&mut self, slot: u32, relays: &[Relay], now_ms: u64) {
        let mut old = std::mem::take(&mut self.entries);
        if slot != self.slot {
            old.clear();
            self.slot = slot;
        }
        for relay in relays {
            let known = old.iter().position(|entry| entry.relay == *relay).map(|at| old.remove(at));
            self.entries.push(known.unwrap_or_else(|| Entry {
                relay: relay.clone(),
                cookie: 0,
                number: 0,
                unanswered: 0,
                next_ms: now_ms,
                registered: false,
                heard_ms: now_ms,
                busy_until_ms: 0,
                notice_ms: None,
            }));
        }
    }

    /// The relay that forwards at present.
    pub fn usable(&self) -> Option<&Relay> {
        self.entries.iter().find(|entry| entry.registered).map(|entry| &entry.relay)
    }

    /// Who has sent a packet that came from a relay, and the packet.
    pub fn unwrap<'a>(&mut self, from: SocketAddr, datagram: &'a [u8], now_ms: u64) -> Option<(u32, &'a [u8])> {
        let slot = self.slot;
        self.at(from).find_map(|entry| {
            let found = relay::unwrap(&entry.relay.secret, slot, datagram)?;
            (entry.heard_ms, entry.busy_until_ms) = (now_ms, now_ms + BUSY_MS);
            Some(found)
        })
    }

    /// Takes in what may be a relay's answer. True: it is one, and there may be something to send.
    pub fn answered(&mut self, from: SocketAddr, datagram: &[u8], now_ms: u64) -> bool {
        let found = self.at(from).find_map(|entry| Some((relay::read_answer(&entry.relay.secret, datagram)?, entry)));
        let Some((answer, entry)) = found else { return false };
        if answer.number == 0 {
            if entry.notice_ms.is_none_or(|notice_ms| now_ms >= notice_ms + NOTICE_MS) {
                entry.notice_ms = Some(now_ms);
                entry.next_ms = now_ms;
            }
            return true;
        }
        if answer.number != entry.number || entry.unanswered == 0 {
            return false;
        }
        (entry.unanswered, entry.heard_ms) = (0, now_ms);
        if answer.cookie != entry.cookie {
            // Shown at once, from where it came to.
            (entry.cookie, entry.next_ms) = (answer.cookie, now_ms);
            return true;
        }
        entry.next_ms = now_ms + KEEP_S * 1000;
        entry.registered = true;
        true
    }

    /// A packet was sent through the relay that is used.
    pub fn sent(&mut self, now_ms: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.registered) {
            if now_ms >= entry.busy_until_ms {
                // Nothing was to be heard before.
                entry.heard_ms = now_ms;
            }
            entry.busy_until_ms = now_ms + BUSY_MS;
        }
    }

    /// Registers with all relays as soon as it is asked: one of them may not know this host any more.
    pub fn renew(&mut self, now_ms: u64) {
        for entry in &mut self.entries {
            (entry.next_ms, entry.unanswered) = (now_ms, 0);
        }
    }

    /// What is to be sent now. To be asked until there is nothing more.
    pub fn poll(&mut self, now_ms: u64) -> Option<Outgoing> {
        let slot = self.slot;
        for entry in &mut self.entries {
            if now_ms >= entry.due_ms() {
                if entry.unanswered >= TRIES {
                    entry.registered = false;
                }
                self.numbers.1 += 1;
                let mut hasher = SipHasher24::new_with_key(&self.numbers.0);
                hasher.write_u64(self.numbers.1);
                entry.number = (hasher.finish() as u32).max(1);
                entry.unanswered = entry.unanswered.saturating_add(1);
                entry.next_ms = now_ms
                    + match entry.unanswered {
                        tries if tries <= TRIES => RETRY_MS,
                        tries if tries <= LOST_TRIES => LOST_MS,
                        _ => KEEP_S * 1000,
                    };
                let mut bytes = [0; REGISTER_LIMIT];
                let to = entry.relay.address;
                let length = relay::register(&entry.relay.secret, slot, entry.number, entry.cookie, to, &mut bytes);
                return Some(Outgoing { to, bytes, length });
            }
            if entry.registered {
                break;
            }
        }
        None
    }

    /// When to ask again, unless something happens before.
    pub fn next_ms(&self) -> Option<u64> {
        let wanted = self.entries.iter().position(|entry| entry.registered).map_or(self.entries.len(), |at| at + 1);
        self.entries[..wanted].iter().map(Entry::due_ms).min()
    }

    fn at(&mut self, from: SocketAddr) -> impl Iterator<Item = &mut Entry> {
        let from = canonical(from);
        self.entries.iter_mut().filter(move |entry| canonical(entry.relay.address) == from)
    }
}

impl Entry {
    /// When it is registered with again.
    fn due_ms(&self) -> u64 {
        let silent_ms = self.heard_ms + SILENT_MS;
        let asks = self.registered && self.unanswered == 0 && silent_ms < self.busy_until_ms;
        if asks { silent_ms.min(self.next_ms) } else { self.next_ms }
    }
}

#[cfg(test)]
#[path = "registrar_tests.rs"]
mod tests;
