//! Datagrams by which two hosts find out on which path they reach each other: see `WIRE.md`.

use super::relay::{Secret, same, tag};

/// Bytes of each of them.
pub const LENGTH: usize = 21;

/// What it asks or says. Numbers are the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Answer to where this came from. Through a relay: try your paths to me; it is not answered.
    Probe = 0x64,
    /// An answer, with the token of what it answers.
    Answer = 0x65,
    /// Keeps a way through NATs open.
    Keepalive = 0x66,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Which.
    pub kind: Kind,
    /// The sender's number.
    pub slot: u32,
    /// Not to be guessed by others.
    pub token: u64,
}

impl Probe {
    /// As it is sent, with the key that both hosts share.
    pub fn encode(&self, key: &Secret) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        out[0] = self.kind as u8;
        out[1..5].copy_from_slice(&self.slot.to_le_bytes());
        out[5..13].copy_from_slice(&self.token.to_le_bytes());
        let tag = tag(key, &out[..13], &[]);
        out[13..].copy_from_slice(&tag);
        out
    }

    /// Reads one. None if it was not made with the key.
    pub fn decode(key: &Secret, datagram: &[u8]) -> Option<Probe> {
        let datagram: &[u8; LENGTH] = datagram.try_into().ok()?;
        let kind = [Kind::Probe, Kind::Answer, Kind::Keepalive].into_iter().find(|kind| *kind as u8 == datagram[0])?;
        let (body, found) = datagram.split_last_chunk()?;
        let token = u64::from_le_bytes(*body.last_chunk()?);
        same(&tag(key, body, &[]), found).then_some(Probe { kind, slot: slot(datagram)?, token })
    }
}

/// Who says to have sent a datagram, so that the key can be found. None if it is none of these.
pub fn slot(datagram: &[u8]) -> Option<u32> {
    let datagram: &[u8; LENGTH] = datagram.try_into().ok()?;
    let slot = datagram.get(1..)?.first_chunk()?;
    Some(u32::from_le_bytes(*slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let probe = Probe { kind: Kind::Answer, slot: 3, token: 0x0807_0605_0403_0201 };
        let bytes = probe.encode(b"key of two hosts");
        assert_eq!(bytes[..13], [0x65, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(bytes[13..], GOLDEN_TAG);
        assert_eq!((slot(&bytes), Probe::decode(b"key of two hosts", &bytes)), (Some(3), Some(probe)));
    }

    const GOLDEN_TAG: [u8; 8] = [200, 91, 10, 205, 34, 150, 145, 173];

    #[test]
    fn every_changed_bit_shows() {
        let key = [5; 16];
        let bytes = Probe { kind: Kind::Probe, slot: 1, token: 2 }.encode(&key);
        for bit in 0..LENGTH * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Probe::decode(&key, &changed), None, "bit {bit}");
        }
        assert_eq!(Probe::decode(&[6; 16], &bytes), None);
        assert_eq!((Probe::decode(&key, &bytes[1..]), slot(&[])), (None, None));
    }
}
