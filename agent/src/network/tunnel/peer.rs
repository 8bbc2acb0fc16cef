//! One peer: its session, and the paths to it.

use super::keys::Keys;
use super::outlet::{Outlet, Way};
use super::path::Paths;
use boringtun::noise::errors::WireGuardError;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::PublicKey;
use muster_protocol::id::HostId;
use muster_protocol::network::Prefix;
use muster_protocol::network::probe::{Kind, Probe};
use muster_protocol::network::relay::Secret;
use std::net::{IpAddr, Ipv4Addr};

/// Packets that wait for a session: what a connection's beginning is.
const WAITING: u8 = 16;
/// The session's own timers are looked at so often while there are packets, and so seldom else, for keys to be forgotten.
const BUSY_TICK_MS: u64 = 500;
const IDLE_TICK_MS: u64 = 60_000;
/// So long after the last packet the session may have something to say: a keepalive behind 10 s, a handshake behind 15 s.
const BUSY_MS: u64 = 20_000;
/// Behind which a session is forgotten: its keys are not valid any more, and it takes 11 KiB.
const FORGET_MS: u64 = 200_000;
/// Handshakes that are sent without traffic.
const GREETINGS: u32 = 3;
/// The longest time between them, in seconds, with traffic.
const GREETING_LIMIT_S: u32 = 5;
/// That a new session is used is told again so often, if the peer was not heard in it.
const CONFIRMATIONS: u8 = 3;
/// Between two such, and between handshakes that answer one that cannot be taken.
const CONFIRM_MS: u64 = 1_000;
const ANSWER_MS: u64 = 2_000;
/// A peer that is reached through a relay is asked so often to try the direct ways.
const CALL_MS: u64 = 10_000;

/// First bytes of what a session sends.
const RESPONSE: u8 = 2;
const DATA: u8 = 4;

/// Another host.
pub struct Peer {
    /// Which one.
    pub host: HostId,
    /// Its key.
    pub key: [u8; 32],
    /// Its number on relays.
    pub slot: u32,
    /// What it may send from.
    pub blocks: Vec<Prefix>,
    /// Where it is.
    pub paths: Paths,
    /// Bytes of packets that came.
    pub received: u64,
    /// And went.
    pub sent: u64,
    /// When a session last began.
    pub handshake_ms: Option<u64>,
    number: u32,
    /// Made when it is needed: few of many peers are.
    session: Option<Box<Tunn>>,
    path_key: Option<Secret>,
    ticked_ms: u64,
    used_ms: u64,
    waiting: u8,
    greet_at_ms: Option<u64>,
    greeting: Option<Greeting>,
    /// When, and how often still.
    confirm: Option<(u64, u8)>,
    called_ms: u64,
}

/// A handshake that is not answered yet.
struct Greeting {
    sent_ms: u64,
    count: u32,
    way: Option<Way>,
}

impl Peer {
    /// One that gets a handshake at `greet_at_ms`. `index` tells it from others here.
    pub fn new(table: &super::Peer, keys: &Keys, index: u32, seed: Secret, greet_at_ms: u64) -> Peer {
        Peer {
            host: table.host,
            key: table.key,
            slot: table.slot,
            blocks: Vec::new(),
            paths: Paths::new(seed, greet_at_ms),
            received: 0,
            sent: 0,
            handshake_ms: None,
            number: keys.first_number.wrapping_add(index) & 0x00ff_ffff,
            session: None,
            path_key: None,
            ticked_ms: 0,
            used_ms: 0,
            waiting: 0,
            greet_at_ms: Some(greet_at_ms),
            greeting: None,
            confirm: None,
            called_ms: 0,
        }
    }

    /// Takes over what the table says of it. The session stays.
    pub fn update(&mut self, table: &super::Peer, at_ms: u64) {
        self.slot = table.slot;
        self.blocks.clone_from(&table.blocks);
        self.paths.update(&table.endpoints, table.keepalive_s, at_ms);
    }

    /// Whether it may send from an address.
    pub fn owns(&self, address: u32) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }

    /// How it is reached at present.
    pub fn way(&self, outlet: &Outlet) -> Option<Way> {
        if let Some(direct) = self.paths.current() {
            return Some(Way::Direct(direct.to));
        }
        outlet.registrar.usable().map(|_| Way::Relayed(self.slot)).or_else(|| self.paths.guess().map(Way::Direct))
    }

    /// The key of probes, known to both hosts and nobody else.
    pub fn path_key(&mut self, keys: &Keys) -> Secret {
        *self.path_key.get_or_insert_with(|| keys.of_paths_to(self.key))
    }

    /// Sends it a packet. True: timers have to be looked at.
    pub fn transmit(&mut self, packet: &[u8], outlet: &mut Outlet, keys: &Keys, now_ms: u64) -> bool {
        let begins = !self.paths.is_active(now_ms);
        self.paths.sent(now_ms);
        self.refresh(outlet, keys, now_ms);
        if self.waiting < WAITING {
            self.encapsulate(packet, outlet, keys, now_ms);
        }
        begins || self.greeting.is_some()
    }

    /// Takes in a WireGuard packet. What it contains is in `scratch` then, of the length that is told, and where the
    /// packet says to be from.
    pub fn receive(
        &mut self,
        origin: (Way, IpAddr),
        datagram: &[u8],
        scratch: &mut [u8],
        outlet: &mut Outlet,
        keys: &Keys,
        now_ms: u64,
    ) -> Option<(usize, Ipv4Addr)> {
        let (way, from) = origin;
        let (is_data, is_response) = (datagram.first() == Some(&DATA), datagram.first() == Some(&RESPONSE));
        if self.session.is_none() && (is_data || is_response) || scratch.len() < datagram.len() {
            return None;
        }
        self.refresh(outlet, keys, now_ms);
        let content = match self.session(keys).decapsulate(Some(from), datagram, scratch) {
            TunnResult::WriteToNetwork(reply) => {
                let begins = is_response || reply.first() == Some(&RESPONSE);
                outlet.send_bytes(way, now_ms, reply);
                if begins {
                    (self.greeting, self.handshake_ms, self.used_ms) = (None, Some(now_ms), now_ms);
                }
                if is_response {
                    self.confirm = Some((now_ms + CONFIRM_MS, CONFIRMATIONS));
                    self.heard(way, now_ms);
                    self.send_waiting(outlet, keys, now_ms);
                } else if let (true, Way::Direct(address)) = (begins, way) {
                    // A first message may be a replay.
                    self.paths.probed(address, now_ms);
                }
                return None;
            }
            TunnResult::WriteToTunnelV4(packet, source) => Some((packet.len(), source)),
            TunnResult::Done if is_data => None,
            TunnResult::Err(WireGuardError::WrongTai64nTimestamp) => {
                // Its clock is behind what it was, as that of a board without one after a start. Then this host begins.
                if self.greeting.as_ref().is_none_or(|greeting| now_ms >= greeting.sent_ms + ANSWER_MS) {
                    self.greet(true, outlet, keys, now_ms);
                }
                return None;
            }
            _ => return None,
        };
        self.confirm = None;
        self.heard(way, now_ms);
        if let Some((length, _)) = content {
            self.received += length as u64;
            self.used_ms = now_ms;
        }
        if self.waiting > 0 {
            self.send_waiting(outlet, keys, now_ms);
        }
        content
    }

    /// Does what is due.
    pub fn tick(&mut self, outlet: &mut Outlet, keys: &Keys, now_ms: u64) {
        while let Some(outgoing) = self.paths.poll(now_ms) {
            let kind = if outgoing.asks { Kind::Probe } else { Kind::Keepalive };
            let probe = Probe { kind, slot: outlet.registrar.slot(), token: outgoing.token };
            let bytes = probe.encode(&self.path_key(keys));
            outlet.send_bytes(Way::Direct(outgoing.to), now_ms, &bytes);
        }
        let way = self.way(outlet);
        if let Some(Way::Relayed(_)) = way
            && self.paths.is_active(now_ms)
            && now_ms >= self.called_ms + CALL_MS
        {
            self.called_ms = now_ms;
            let probe = Probe { kind: Kind::Probe, slot: outlet.registrar.slot(), token: now_ms };
            let bytes = probe.encode(&self.path_key(keys));
            outlet.send_bytes(Way::Relayed(self.slot), now_ms, &bytes);
        }
        if now_ms >= self.used_ms + FORGET_MS && self.greeting.is_none() {
            (self.session, self.waiting) = (None, 0);
        }
        if self.session.is_some() && now_ms >= self.ticked_ms + self.tick_ms(now_ms) {
            self.run_timers(outlet, keys, now_ms);
        }
        if self.greet_at_ms.is_some_and(|at_ms| now_ms >= at_ms) {
            self.greet_at_ms = None;
            if self.handshake_ms.is_none() && self.greeting.is_none() {
                self.greet(false, outlet, keys, now_ms);
            }
        }
        if let Some(greeting) = &self.greeting
            && (greeting.way != way || self.greeting_ms(greeting, now_ms).is_some_and(|at_ms| now_ms >= at_ms))
        {
            self.greet(true, outlet, keys, now_ms);
        }
        if let Some((at_ms, left)) = self.confirm
            && now_ms >= at_ms
        {
            self.confirm = left.checked_sub(1).map(|left| (now_ms + CONFIRM_MS, left));
            self.encapsulate(&[], outlet, keys, now_ms);
        }
    }

    /// When it has to be [`tick`](Peer::tick)ed, unless something happens before.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let session = self.session.as_ref().map(|_| self.ticked_ms + self.tick_ms(now_ms));
        let greeting = self.greeting.as_ref().and_then(|greeting| self.greeting_ms(greeting, now_ms));
        let confirm = self.confirm.map(|(at_ms, _)| at_ms);
        [self.paths.next_ms(now_ms), session, self.greet_at_ms, greeting, confirm].into_iter().flatten().min()
    }

    fn tick_ms(&self, now_ms: u64) -> u64 {
        let busy = self.greeting.is_some() || now_ms < self.used_ms + BUSY_MS;
        if busy { BUSY_TICK_MS } else { IDLE_TICK_MS }
    }

    /// When a handshake is to be sent again.
    fn greeting_ms(&self, greeting: &Greeting, now_ms: u64) -> Option<u64> {
        let goes_on = greeting.count < GREETINGS || self.paths.is_active(now_ms);
        goes_on.then(|| greeting.sent_ms + 1000 * u64::from(greeting.count.min(GREETING_LIMIT_S)))
    }

    fn heard(&mut self, way: Way, now_ms: u64) {
        self.greeting = None;
        if let Way::Direct(address) = way {
            self.paths.heard(address, now_ms);
        }
    }

    /// The session takes its own time from its timers alone: they must not be older than what happens.
    fn refresh(&mut self, outlet: &mut Outlet, keys: &Keys, now_ms: u64) {
        if self.session.is_some() && now_ms >= self.ticked_ms + BUSY_TICK_MS {
            self.run_timers(outlet, keys, now_ms);
        }
    }

    fn run_timers(&mut self, outlet: &mut Outlet, keys: &Keys, now_ms: u64) {
        self.ticked_ms = now_ms;
        let way = self.way(outlet);
        let mut first = None;
        let mut expired = false;
        let session = self.session(keys);
        let mut run = |room: &mut [u8]| match session.update_timers(room) {
            TunnResult::WriteToNetwork(bytes) => {
                first = bytes.first().copied();
                bytes.len()
            }
            TunnResult::Err(WireGuardError::ConnectionExpired) => {
                expired = true;
                0
            }
            _ => 0,
        };
        match way {
            Some(way) => outlet.send(way, now_ms, run),
            None => _ = run(&mut [0; 256]),
        }
        if expired {
            (self.session, self.greeting, self.confirm, self.waiting) = (None, None, None, 0);
        } else if first.is_some_and(|first| first != DATA) {
            self.note_greeting(way, now_ms);
        }
    }

    fn greet(&mut self, again: bool, outlet: &mut Outlet, keys: &Keys, now_ms: u64) {
        self.refresh(outlet, keys, now_ms);
        let way = self.way(outlet);
        let session = self.session(keys);
        let mut begun = false;
        let mut write = |room: &mut [u8]| match session.format_handshake_initiation(room, again) {
            TunnResult::WriteToNetwork(bytes) => {
                begun = true;
                bytes.len()
            }
            _ => 0,
        };
        match way {
            Some(way) => outlet.send(way, now_ms, write),
            None => _ = write(&mut [0; 256]),
        }
        if begun {
            self.note_greeting(way, now_ms);
        }
    }

    fn note_greeting(&mut self, way: Option<Way>, now_ms: u64) {
        let count = self.greeting.as_ref().map_or(0, |greeting| greeting.count);
        self.greeting = Some(Greeting { sent_ms: now_ms, count: count.saturating_add(1), way });
    }

    fn encapsulate(&mut self, packet: &[u8], outlet: &mut Outlet, keys: &Keys, now_ms: u64) {
        let way = self.way(outlet);
        let is_new = self.handshake_ms.is_none();
        let mut first = None;
        let session = self.session(keys);
        let mut write = |room: &mut [u8]| match session.encapsulate(packet, room) {
            TunnResult::WriteToNetwork(bytes) => {
                first = bytes.first().copied();
                bytes.len()
            }
            _ => 0,
        };
        match way {
            Some(way) => outlet.send(way, now_ms, write),
            // It waits for a way; the room is for a handshake that is lost.
            None if is_new => _ = write(&mut [0; 256]),
            None => return,
        }
        self.used_ms = now_ms;
        match first {
            Some(DATA) => self.sent += packet.len() as u64,
            first => {
                self.waiting = self.waiting.saturating_add(1);
                if first.is_some() {
                    self.note_greeting(way, now_ms);
                }
            }
        }
    }

    fn send_waiting(&mut self, outlet: &mut Outlet, keys: &Keys, now_ms: u64) {
        let Some(way) = self.way(outlet) else { return };
        // What is too much for the session goes back to waiting there: so no more than there was.
        for _ in 0..=self.waiting {
            let mut sent = 0;
            outlet.send(way, now_ms, |room| match self.session(keys).decapsulate(None, &[], room) {
                TunnResult::WriteToNetwork(bytes) => {
                    sent = bytes.len();
                    bytes.len()
                }
                _ => 0,
            });
            if sent == 0 {
                break;
            }
            self.sent += sent.saturating_sub(32) as u64;
        }
        self.waiting = 0;
    }

    fn session(&mut self, keys: &Keys) -> &mut Tunn {
        self.session.get_or_insert_with(|| {
            let limiter = Some(keys.limiter.clone());
            let key = PublicKey::from(self.key);
            Box::new(Tunn::new(keys.secret.clone(), key, None, None, self.number, limiter))
        })
    }
}
