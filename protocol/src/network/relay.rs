//! Datagrams between a guest and its relay, and what a relay does with them: see `WIRE.md`.
//!
//! A relay forwards what its guests send each other and cannot read it. It sends to a guest only where the guest has shown
//! that it hears: an address is taken over once a cookie that was sent to it has come back from it.

use core::hash::Hasher;
use core::net::{IpAddr, SocketAddr};
use siphasher::sip::SipHasher24;

mod forwarder;

pub use forwarder::{Action, Counters, Forwarder, Guest, Rate};

/// Guest to relay: here I am.
pub const REGISTER: u8 = 0x60;
/// Relay to guest: this is where I see you.
pub const REGISTERED: u8 = 0x61;
/// Guest to relay: for another guest.
pub const FORWARD: u8 = 0x62;
/// Relay to guest: from another guest.
pub const FORWARDED: u8 = 0x63;

/// Bytes in front of a packet that is forwarded.
pub const OVERHEAD: usize = 17;

/// Seconds between registrations that keep the way from the relay to the guest open.
pub const KEEP_S: u64 = 25;

/// A guest that was silent for so long, in milliseconds, is not sent to any more: its address may be somebody else's.
pub const SILENCE_MS: u64 = 120_000;

const TAG: usize = 8;
const REGISTER_V4: usize = 27;
const REGISTER_V6: usize = 39;

/// A secret that a guest and its relay share.
pub type Secret = [u8; 16];

/// The longest registration, in bytes.
pub const REGISTER_LIMIT: usize = REGISTER_V6;

/// What a relay answers to a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The number that the registration had; 0: it answers none, and the guest has to register again.
    pub number: u32,
    /// To be shown from now on.
    pub cookie: u64,
    /// Where the relay sees the guest.
    pub observed: SocketAddr,
}

/// Writes a registration into `out` and tells its length. It is as long as its answer, which has an address of the kind
/// that the relay's is.
pub fn register(
    secret: &Secret,
    slot: u32,
    number: u32,
    cookie: u64,
    relay: SocketAddr,
    out: &mut [u8; REGISTER_LIMIT],
) -> usize {
    let length = if canonical(relay).is_ipv4() { REGISTER_V4 } else { REGISTER_V6 };
    out.fill(0);
    out[0] = REGISTER;
    out[1..5].copy_from_slice(&slot.to_le_bytes());
    out[5..9].copy_from_slice(&number.to_le_bytes());
    out[9..17].copy_from_slice(&cookie.to_le_bytes());
    let tag = tag(secret, &out[..length - TAG], &[]);
    out[length - TAG..length].copy_from_slice(&tag);
    length
}

/// Reads an answer. None if it is not from the relay that shares the secret.
pub fn read_answer(secret: &Secret, datagram: &[u8]) -> Option<Answer> {
    if datagram.first() != Some(&REGISTERED) {
        return None;
    }
    let (body, found) = datagram.split_last_chunk::<TAG>()?;
    let address: IpAddr = match datagram.len() {
        REGISTER_V4 => array::<4>(body, 13)?.into(),
        REGISTER_V6 => array::<16>(body, 13)?.into(),
        _ => return None,
    };
    let port = u16::from_le_bytes(array(body, body.len().checked_sub(2)?)?);
    let answer = Answer {
        number: u32::from_le_bytes(array(body, 1)?),
        cookie: u64::from_le_bytes(array(body, 5)?),
        observed: SocketAddr::new(address, port),
    };
    same(&tag(secret, body, &[]), found).then_some(answer)
}

/// Writes what stands before a packet for another guest into the first [`OVERHEAD`] bytes of `datagram`; the packet follows
/// there already. Does nothing if it is shorter than that.
pub fn wrap(secret: &Secret, from: u32, to: u32, datagram: &mut [u8]) {
    seal(secret, FORWARD, from, to, datagram);
}

/// Who has sent a packet that came through the relay which shares the secret, and the packet. None if it did not, or if it
/// is for another guest.
pub fn unwrap<'a>(secret: &Secret, own: u32, datagram: &'a [u8]) -> Option<(u32, &'a [u8])> {
    let (from, to, packet) = open(secret, FORWARDED, datagram)?;
    (to == own).then_some((from, packet))
}

/// An IPv4 address that a socket for both kinds shows as an IPv6 one, as what it is.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn ends(datagram: &[u8]) -> Option<(u32, u32)> {
    let long_enough = datagram.len() > OVERHEAD;
    long_enough.then_some((u32::from_le_bytes(array(datagram, 1)?), u32::from_le_bytes(array(datagram, 5)?)))
}

fn seal(secret: &Secret, kind: u8, from: u32, to: u32, datagram: &mut [u8]) {
    let Some((header, packet)) = datagram.split_first_chunk_mut::<OVERHEAD>() else { return };
    header[0] = kind;
    header[1..5].copy_from_slice(&from.to_le_bytes());
    header[5..9].copy_from_slice(&to.to_le_bytes());
    let tag = tag(secret, &header[..9], packet);
    header[9..].copy_from_slice(&tag);
}

fn open<'a>(secret: &Secret, kind: u8, datagram: &'a [u8]) -> Option<(u32, u32, &'a [u8])> {
    let (from, to) = ends(datagram)?;
    let (header, packet) = datagram.split_first_chunk::<OVERHEAD>()?;
    let found = array(header, 9)?;
    (header[0] == kind && same(&tag(secret, &header[..9], packet), &found)).then_some((from, to, packet))
}

pub(super) fn tag(secret: &Secret, head: &[u8], packet: &[u8]) -> [u8; TAG] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(head);
    hasher.write(packet);
    hasher.finish().to_le_bytes()
}

/// Compares without telling by its duration where they differ.
pub(super) fn same(one: &[u8; TAG], other: &[u8; TAG]) -> bool {
    core::hint::black_box(one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
