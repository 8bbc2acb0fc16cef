//! What a relay does with a datagram: pure, so that it can be held to what is promised of it.

use super::{
    FORWARD, FORWARDED, OVERHEAD, REGISTER, REGISTER_V4, REGISTER_V6, REGISTERED, SILENCE_MS, Secret, TAG, array,
    canonical, ends, open, same, seal, tag,
};
use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};
use siphasher::sip::SipHasher24;

/// What a datagram takes from its sender's rate at least, in bytes: a short one is as much work as a long one, and nobody is to
/// keep a relay busy with those.
const COUNTED: u64 = 256;

/// One for whom a relay forwards, as the relay knows it.
#[derive(Clone)]
pub struct Guest {
    slot: u32,
    secret: Secret,
    /// Where it is, and when that was last shown, in milliseconds.
    address: Option<(SocketAddr, u64)>,
    /// Goes into its cookies: another one since it has moved, so that older cookies count no more. 0: it was not heard yet.
    era: u64,
    /// Bytes that may be forwarded for it at once, as of the time behind.
    allowed: u64,
    filled_ms: u64,
}

impl Guest {
    /// One that has not been heard.
    pub fn new(slot: u32, secret: Secret) -> Guest {
        Guest { slot, secret, address: None, era: 0, allowed: 0, filled_ms: 0 }
    }

    /// Its number.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether it is the same guest, by number and secret.
    pub fn is(&self, slot: u32, secret: &Secret) -> bool {
        self.slot == slot && self.secret == *secret
    }
}

/// How much is forwarded for one guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, in bytes a second. A datagram counts as 256 bytes at least.
    pub per_second: u64,
    /// At once, in bytes.
    pub burst: u64,
}

impl Rate {
    /// So many bytes a second, and a quarter of a second's at once, 64 KiB at least.
    pub fn per_second(bytes: u64) -> Rate {
        Rate { per_second: bytes, burst: (bytes / 4).max(64 * 1024) }
    }
}

impl Default for Rate {
    /// 20 Mbit/s.
    fn default() -> Rate {
        Rate::per_second(2_500_000)
    }
}

/// What a relay has done since it started, in datagrams unless it says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Forwarded.
    pub forwarded: u64,
    /// Bytes of the packets in them.
    pub forwarded_bytes: u64,
    /// Registrations that counted.
    pub registrations: u64,
    /// Dropped: of no known form.
    pub malformed: u64,
    /// Dropped: of an unknown guest, or without its secret.
    pub strangers: u64,
    /// Not forwarded: its sender is not registered at the address that it came from.
    pub unregistered: u64,
    /// Dropped: beyond the sender's rate.
    pub limited: u64,
    /// Dropped: the receiver is no guest, or is not there.
    pub absent: u64,
}

/// What is to be done about a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Drop,
    /// Send the first `length` bytes of the buffer, which have been written over.
    Send {
        /// How many, at most as many as had come.
        length: usize,
        /// Where to.
        to: SocketAddr,
        /// The guest is at a new address.
        moved: Option<(u32, SocketAddr)>,
    },
}

/// Decides what a relay does with a datagram. Its guests are kept beside it, sorted by slot.
pub struct Forwarder {
    /// Makes cookies. Random; known to nobody.
    key: Secret,
    rate: Rate,
    counters: Counters,
    /// The newest one of all guests. None comes twice: also not for a guest that was forgotten and is known again.
    era: u64,
}

impl Forwarder {
    /// With a random key.
    pub fn new(key: Secret, rate: Rate) -> Forwarder {
        Forwarder { key, rate, counters: Counters::default(), era: 0 }
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes in a datagram that came `from` at `now_ms`, and writes what is to be sent over it. `guests` are sorted by slot.
    pub fn handle(&mut self, guests: &mut [Guest], now_ms: u64, from: SocketAddr, datagram: &mut [u8]) -> Action {
        let from = canonical(from);
        match datagram.first() {
            Some(&REGISTER) => self.registration(guests, now_ms, from, datagram),
            Some(&FORWARD) => self.forward(guests, now_ms, from, datagram),
            _ => drop_as(&mut self.counters.malformed),
        }
    }

    fn registration(&mut self, guests: &mut [Guest], now_ms: u64, from: SocketAddr, datagram: &mut [u8]) -> Action {
        let (Some((body, found)), Some(slot), Some(number), Some(shown)) = (
            datagram.split_last_chunk::<TAG>(),
            array(datagram, 1).map(u32::from_le_bytes),
            array(datagram, 5).map(u32::from_le_bytes),
            array(datagram, 9).map(u64::from_le_bytes),
        ) else {
            return drop_as(&mut self.counters.malformed);
        };
        if !matches!(datagram.len(), REGISTER_V4 | REGISTER_V6) {
            return drop_as(&mut self.counters.malformed);
        }
        let Some(guest) = find(guests, slot).filter(|guest| same(&tag(&guest.secret, body, &[]), found)) else {
            return drop_as(&mut self.counters.strangers);
        };
        if guest.era == 0 {
            self.era += 1;
            guest.era = self.era;
        }
        let mut moved = None;
        if shown == self.cookie(slot, guest.era, from) {
            let before = guest.address.replace((from, now_ms)).map(|(address, _)| address);
            if before != Some(from) {
                moved = Some((slot, from));
            }
            if before.is_some_and(|before| before != from) {
                // Whoever has recorded what it sent from where it was does not bring it back there.
                self.era += 1;
                guest.era = self.era;
            }
            self.counters.registrations += 1;
        }
        let cookie = self.cookie(slot, guest.era, from);
        self.answer(&guest.secret, cookie, number, from, moved, datagram)
    }

    fn forward(&mut self, guests: &mut [Guest], now_ms: u64, from: SocketAddr, datagram: &mut [u8]) -> Action {
        let length = datagram.len();
        let Some((sender, to)) = ends(datagram) else { return drop_as(&mut self.counters.malformed) };
        let Some(guest) = find(guests, sender).filter(|guest| open(&guest.secret, FORWARD, datagram).is_some()) else {
            return drop_as(&mut self.counters.strangers);
        };
        match &mut guest.address {
            Some((address, heard_ms)) if *address == from => *heard_ms = now_ms,
            _ => {
                self.counters.unregistered += 1;
                let (secret, era) = (guest.secret, guest.era);
                let cookie = self.cookie(sender, era, from);
                return self.answer(&secret, cookie, 0, from, None, datagram);
            }
        }
        if !guest.allow(self.rate, now_ms, (length as u64).max(COUNTED)) {
            return drop_as(&mut self.counters.limited);
        }
        let receiver = find(guests, to).filter(|_| to != sender);
        let Some((secret, address)) = receiver.and_then(|guest| {
            let (address, heard_ms) = guest.address?;
            (now_ms.saturating_sub(heard_ms) < SILENCE_MS).then_some((guest.secret, address))
        }) else {
            return drop_as(&mut self.counters.absent);
        };
        seal(&secret, FORWARDED, sender, to, datagram);
        self.counters.forwarded += 1;
        self.counters.forwarded_bytes += (length - OVERHEAD) as u64;
        Action::Send { length, to: address, moved: None }
    }

    /// Tells a guest where it is seen, unless that is longer than what it has sent.
    fn answer(
        &mut self,
        secret: &Secret,
        cookie: u64,
        number: u32,
        from: SocketAddr,
        moved: Option<(u32, SocketAddr)>,
        datagram: &mut [u8],
    ) -> Action {
        let length = if from.is_ipv4() { REGISTER_V4 } else { REGISTER_V6 };
        let Some(out) = datagram.get_mut(..length) else { return drop_as(&mut self.counters.malformed) };
        out[0] = REGISTERED;
        out[1..5].copy_from_slice(&number.to_le_bytes());
        out[5..13].copy_from_slice(&cookie.to_le_bytes());
        match from.ip() {
            IpAddr::V4(address) => out[13..17].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => out[13..29].copy_from_slice(&address.octets()),
        }
        out[length - TAG - 2..length - TAG].copy_from_slice(&from.port().to_le_bytes());
        let tag = tag(secret, &out[..length - TAG], &[]);
        out[length - TAG..].copy_from_slice(&tag);
        Action::Send { length, to: from, moved }
    }

    /// What only somebody knows who receives at an address.
    fn cookie(&self, slot: u32, era: u64, at: SocketAddr) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&slot.to_le_bytes());
        hasher.write(&era.to_le_bytes());
        match at.ip() {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        hasher.write(&at.port().to_le_bytes());
        hasher.finish()
    }
}

impl Guest {
    /// Takes `bytes` from what it may send, if there is so much.
    fn allow(&mut self, rate: Rate, now_ms: u64, bytes: u64) -> bool {
        if self.filled_ms == 0 {
            self.allowed = rate.burst;
        }
        let passed = now_ms.saturating_sub(self.filled_ms);
        let more = passed.saturating_mul(rate.per_second) / 1000;
        // Time that was too short for a byte is kept for the next datagram.
        if more > 0 || self.filled_ms == 0 {
            self.allowed = self.allowed.saturating_add(more).min(rate.burst);
            self.filled_ms = now_ms.max(1);
        }
        let left = self.allowed.checked_sub(bytes);
        self.allowed = left.unwrap_or(self.allowed);
        left.is_some()
    }
}

fn find(guests: &mut [Guest], slot: u32) -> Option<&mut Guest> {
    let at = guests.binary_search_by_key(&slot, |guest| guest.slot).ok()?;
    guests.get_mut(at)
}

fn drop_as(counter: &mut u64) -> Action {
    *counter += 1;
    Action::Drop
}

#[cfg(test)]
#[path = "forwarder_tests.rs"]
mod tests;
