//! What the tunnel's thread does: packets from the device go to the peer whose block they are for, and what peers send
//! from their own blocks goes to the device.

mod table;

use super::device::Device;
use super::echo::Echoes;
use super::keys::Keys;
use super::outlet::{Outlet, Way};
use super::peer::Peer;
use super::registrar::Registrar;
use super::segments::{Joiner, split};
use super::udp::{Received, Socket};
use super::{Dropped, Path, Settings};
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use muster_protocol::network::probe::{self, Kind, Probe};
use muster_protocol::network::relay::{self, Action, Forwarder, Guest, Rate};
use muster_protocol::network::{Prefix, Reach};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Reads of one kind until the other one has its turn.
const TURN: usize = 8;
/// Handshakes a second that are worked on, of all peers; beyond that they have to show that they hear.
const HANDSHAKES: u64 = 100;
/// The longest datagram.
const DATAGRAM: usize = 65_535;
/// What a session adds to a packet, and what its own packets need at least.
const SESSION: usize = 32 + 148;

/// All of the tunnel but its thread.
pub struct Carrier {
    started: Instant,
    keys: Keys,
    device: Device,
    /// The device is gone.
    failed: bool,
    outlet: Outlet,
    peers: Vec<Option<Peer>>,
    by_key: HashMap<[u8; 32], u32>,
    by_slot: HashMap<u32, u32>,
    /// First and last addresses of blocks, and whose they are; sorted.
    routes: Vec<(u32, u32, u32)>,
    own: Vec<Prefix>,
    forwarder: Forwarder,
    guests: Vec<Guest>,
    echoes: Echoes,
    joiner: Joiner,
    received: Vec<u8>,
    scratch: Vec<u8>,
    segment: Vec<u8>,
    /// Timers have to be looked at, whatever time it is.
    stirred: bool,
    next_ms: Option<u64>,
    dropped: Dropped,
}

impl Carrier {
    /// Opens the device and the socket.
    pub fn open(settings: &Settings, rate: Rate) -> io::Result<Carrier> {
        let secret = StaticSecret::from(settings.key);
        let public = PublicKey::from(&secret);
        let limiter = Arc::new(RateLimiter::new(&public, HANDSHAKES * 2)); // each is counted twice
        let first_number = u32::from_ne_bytes(random()?);
        let socket = Socket::bind(settings.port)?;
        let longest = usize::from(settings.mtu) + SESSION;
        Ok(Carrier {
            started: Instant::now(),
            keys: Keys { secret, public, limiter, first_number },
            device: Device::open(&settings.device, settings.mtu)?,
            failed: false,
            outlet: Outlet::new(socket, Registrar::new(random()?), longest),
            peers: Vec::new(),
            by_key: HashMap::new(),
            by_slot: HashMap::new(),
            routes: Vec::new(),
            own: Vec::new(),
            forwarder: Forwarder::new(random()?, rate),
            guests: Vec::new(),
            echoes: Echoes::default(),
            joiner: Joiner::default(),
            received: vec![0; DATAGRAM],
            scratch: vec![0; DATAGRAM + SESSION],
            segment: vec![0; usize::from(settings.mtu)],
            stirred: false,
            next_ms: None,
            dropped: Dropped::default(),
        })
    }

    /// The device, for those who wait for it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The socket likewise.
    pub fn socket(&self) -> &Socket {
        &self.outlet.socket
    }

    /// Whether the device is gone.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Registers with the relays at once.
    pub fn register(&mut self) {
        let now_ms = self.now_ms();
        self.outlet.registrar.renew(now_ms);
        self.stirred = true;
    }

    /// How each peer is reached.
    pub fn paths(&self) -> Vec<Path> {
        use muster_protocol::network::Way as Told;
        let now_ms = self.now_ms();
        let told = |peer: &Peer| {
            let direct = peer.paths.current();
            let relay = self.outlet.registrar.usable();
            let (way, endpoint) = match (direct, relay) {
                (Some(direct), _) if direct.reach == Reach::Lan => (Told::Lan, Some(direct.to)),
                (Some(direct), _) => (Told::Direct, Some(direct.to)),
                (None, Some(relay)) => (Told::Relayed, Some(relay.address)),
                (None, None) => (Told::None, None),
            };
            let since = |ms: u64| u32::try_from(now_ms.saturating_sub(ms) / 1000).unwrap_or(u32::MAX);
            let handshake_s = peer.handshake_ms.map(since);
            Path { host: peer.host, way, endpoint, handshake_s, received: peer.received, sent: peer.sent }
        };
        self.peers.iter().flatten().map(told).collect()
    }

    /// Sends an echo request to a peer's address. False: none of the peers has it, or too many are waited for.
    pub fn echo(&mut self, host: muster_protocol::id::HostId, from: u32, to: u32, done: SyncSender<Duration>) -> bool {
        let Ok(token) = random() else { return false };
        let peer = self.route(to).filter(|number| self.peer(*number).is_some_and(|peer| peer.host == host));
        let Some(peer) = peer else { return false };
        let Some(packet) = self.echoes.ask(from, to, token, done) else { return false };
        let now_ms = self.now_ms();
        if let Some(Some(peer)) = self.peers.get_mut(peer as usize) {
            peer.transmit(&packet, &mut self.outlet, &self.keys, now_ms);
        }
        self.stirred = true;
        true
    }

    /// Does all that can be done now, and tells how long there will be nothing to do unless something comes. None: for
    /// ever.
    pub fn work(&mut self, from_device: bool, from_socket: bool) -> Option<Duration> {
        let now_ms = self.now_ms();
        if from_device && !self.failed {
            self.read_device(now_ms);
        }
        if from_socket {
            self.read_socket(now_ms);
        }
        if self.stirred || self.next_ms.is_some_and(|next_ms| now_ms >= next_ms) {
            self.stirred = false;
            self.tick(now_ms);
        }
        self.outlet.flush();
        self.next_ms.map(|next_ms| Duration::from_millis(next_ms.saturating_sub(now_ms)))
    }

    fn read_device(&mut self, now_ms: u64) {
        for _ in 0..TURN {
            let buffer = match self.device.read() {
                Ok(Some(buffer)) => buffer,
                Ok(None) => break,
                Err(error) => {
                    log::error!("the tunnel's device is gone ({error}): it has to be made again");
                    self.failed = true;
                    break;
                }
            };
            let (routes, peers) = (&self.routes, &mut self.peers);
            let (outlet, keys, dropped) = (&mut self.outlet, &self.keys, &mut self.dropped);
            let longest = self.segment.len();
            let mut stirred = false;
            let known = split(buffer, &mut self.segment, |packet| {
                let to = address(packet, 16).and_then(|to| route(routes, to));
                let Some(Some(peer)) = to.and_then(|number| peers.get_mut(number as usize)) else {
                    dropped.unroutable += 1;
                    return;
                };
                if packet.len() <= longest {
                    stirred |= peer.transmit(packet, outlet, keys, now_ms);
                } else {
                    dropped.unroutable += 1;
                }
            });
            self.dropped.unroutable += u64::from(!known);
            self.stirred |= stirred;
        }
    }

    fn read_socket(&mut self, now_ms: u64) {
        let mut buffer = std::mem::take(&mut self.received);
        for _ in 0..TURN {
            match self.outlet.socket.receive(&mut buffer) {
                Ok(Some(Received { length, each, from })) => {
                    for datagram in buffer[..length].chunks_mut(each) {
                        self.datagram(from, datagram, now_ms);
                    }
                }
                Ok(None) => break,
                // An error of an earlier datagram, which is gone with this.
                Err(_) => {}
            }
        }
        self.received = buffer;
        let device = &self.device;
        self.joiner.flush(|bytes| device.write(bytes));
    }

    fn datagram(&mut self, from: SocketAddr, datagram: &mut [u8], now_ms: u64) {
        match datagram.first() {
            Some(&(relay::REGISTER | relay::FORWARD)) => {
                if let Action::Send { length, to, .. } = self.forwarder.handle(&mut self.guests, now_ms, from, datagram)
                {
                    self.outlet.send_bytes(Way::Direct(to), now_ms, &datagram[..length]);
                }
            }
            Some(&relay::REGISTERED) => {
                self.stirred |= self.outlet.registrar.answered(from, datagram, now_ms);
            }
            Some(&relay::FORWARDED) => match self.outlet.registrar.unwrap(from, datagram, now_ms) {
                Some((slot, packet)) => self.packet(Way::Relayed(slot), from, packet, now_ms),
                None => self.dropped.unknown += 1,
            },
            _ => self.packet(Way::Direct(from), from, datagram, now_ms),
        }
    }

    /// Takes in what a peer has sent, on whichever way.
    fn packet(&mut self, way: Way, from: SocketAddr, datagram: &[u8], now_ms: u64) {
        let known = match datagram.first() {
            Some(1..=4) => self.session_packet(way, from, datagram, now_ms),
            _ => self.probe(way, datagram, now_ms),
        };
        self.dropped.unknown += u64::from(known.is_none());
    }

    fn session_packet(&mut self, way: Way, from: SocketAddr, datagram: &[u8], now_ms: u64) -> Option<()> {
        let number = match Tunn::parse_incoming_packet(datagram).ok()? {
            Packet::HandshakeInit(first) => {
                self.keys.limiter.reset_count();
                let mut cookie = [0; 64];
                match self.keys.limiter.verify_packet(Some(from.ip()), datagram, &mut cookie) {
                    Ok(_) => {}
                    Err(TunnResult::WriteToNetwork(reply)) => {
                        self.outlet.send_bytes(way, now_ms, reply);
                        return None;
                    }
                    Err(_) => return None,
                }
                let half = parse_handshake_anon(&self.keys.secret, &self.keys.public, &first).ok()?;
                self.stirred = true;
                *self.by_key.get(&half.peer_static_public)?
            }
            Packet::HandshakeResponse(response) => {
                self.keys.limiter.reset_count();
                self.stirred = true;
                self.session_number(response.receiver_idx)
            }
            Packet::PacketCookieReply(reply) => self.session_number(reply.receiver_idx),
            Packet::PacketData(data) => self.session_number(data.receiver_idx),
        };
        let peer = self.peers.get_mut(number as usize)?.as_mut()?;
        if matches!(way, Way::Relayed(slot) if slot != peer.slot) {
            return None;
        }
        let before = peer.paths.current();
        let content = peer.receive((way, from.ip()), datagram, &mut self.scratch, &mut self.outlet, &self.keys, now_ms);
        self.stirred |= before != peer.paths.current();
        let Some((length, source)) = content else { return Some(()) };
        let packet = &self.scratch[..length];
        if !peer.owns(source.to_bits()) {
            self.dropped.foreign_source += 1;
        } else if !address(packet, 16).is_some_and(|to| self.own.iter().any(|block| block.contains(to))) {
            self.dropped.foreign_destination += 1;
        } else if !self.echoes.take(packet) {
            let device = &self.device;
            self.joiner.push(packet, |bytes| device.write(bytes));
        }
        Some(())
    }

    fn probe(&mut self, way: Way, datagram: &[u8], now_ms: u64) -> Option<()> {
        let number = *self.by_slot.get(&probe::slot(datagram)?)?;
        let peer = self.peers.get_mut(number as usize)?.as_mut()?;
        let key = peer.path_key(&self.keys);
        let found = Probe::decode(&key, datagram)?;
        match (found.kind, way) {
            (Kind::Probe, Way::Direct(from)) => {
                peer.paths.probed(from, now_ms);
                let answer = Probe { kind: Kind::Answer, slot: self.outlet.registrar.slot(), token: found.token };
                self.outlet.send_bytes(way, now_ms, &answer.encode(&key));
            }
            (Kind::Probe, Way::Relayed(_)) => peer.paths.called(now_ms),
            (Kind::Answer, Way::Direct(from)) => peer.paths.answered(from, found.token, now_ms),
            (Kind::Keepalive, Way::Direct(from)) => peer.paths.probed(from, now_ms),
            (Kind::Answer | Kind::Keepalive, Way::Relayed(_)) => return None,
        }
        self.stirred = true;
        Some(())
    }

    fn tick(&mut self, now_ms: u64) {
        while let Some(out) = self.outlet.registrar.poll(now_ms) {
            self.outlet.send_bytes(Way::Direct(out.to), now_ms, &out.bytes[..out.length]);
        }
        let mut next_ms = self.outlet.registrar.next_ms();
        for peer in self.peers.iter_mut().flatten() {
            peer.tick(&mut self.outlet, &self.keys, now_ms);
            next_ms = [next_ms, peer.next_ms(now_ms)].into_iter().flatten().min();
        }
        self.next_ms = next_ms;
    }

    /// Whose session a packet is for.
    fn session_number(&self, receiver: u32) -> u32 {
        (receiver >> 8).wrapping_sub(self.keys.first_number) & 0x00ff_ffff
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, &Peer)> {
        (0..).zip(&self.peers).filter_map(|(number, peer)| Some((number, peer.as_ref()?)))
    }

    fn peer(&self, number: u32) -> Option<&Peer> {
        self.peers.get(number as usize)?.as_ref()
    }

    fn route(&self, to: u32) -> Option<u32> {
        route(&self.routes, to)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// Whose block an address is in. Blocks do not overlap.
fn route(routes: &[(u32, u32, u32)], to: u32) -> Option<u32> {
    let behind = routes.partition_point(|(first, ..)| *first <= to);
    let (_, last, number) = routes.get(behind.checked_sub(1)?)?;
    (to <= *last).then_some(*number)
}

fn address(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk().map(|bytes| Ipv4Addr::from(*bytes).to_bits())
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}
