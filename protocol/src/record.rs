//! Framing: a version byte, then records of (kind, length, payload).
//!
//! A kind is frozen once released: a change is a new kind. A receiver skips kinds that it does not know, which
//! is why each record says its length.

use serde::{Deserialize, Serialize};

/// The first byte of every message.
pub const VERSION: u8 = 1;

/// What a record is. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// [`crate::join::Join`]
    Join = 1,
    /// [`crate::join::Joined`]
    Joined = 2,
    /// [`crate::hello::Hello`]
    Hello = 3,
    /// [`crate::hello::Welcome`]
    Welcome = 4,
    /// [`crate::batch::Batch`]
    Batch = 5,
    /// A sequence number, then [`crate::event::Event`]
    Event = 6,
    /// A sequence number, then [`crate::event::Gap`]
    Gap = 7,
    /// A sequence number, then [`crate::container::Container`]
    Container = 8,
    /// [`crate::batch::Absent`]
    Absent = 9,
    /// [`crate::batch::ListEnd`]
    ListEnd = 10,
    /// [`crate::batch::Engine`]
    Engine = 11,
    /// [`crate::batch::Answer`]
    Answer = 12,
    /// [`crate::batch::Refused`]
    Refused = 13,
    /// As [`Kind::Container`], as part of a reading of all containers
    Listed = 14,
    /// [`crate::batch::Digest`]
    Digest = 15,
    /// [`crate::batch::Differs`]
    Differs = 16,
    /// [`crate::orders::Session`]
    Session = 17,
    /// [`crate::orders::Settings`]
    Settings = 18,
    /// [`crate::orders::Trust`]
    Trust = 19,
    /// [`crate::orders::Trusted`]
    Trusted = 20,
    /// [`crate::orders::Renew`]
    Renew = 21,
    /// [`crate::orders::Renewed`]
    Renewed = 22,
    /// [`crate::vitals::Vitals`]
    Vitals = 23,
    /// [`crate::vitals::Usage`]
    Usage = 24,
    /// [`crate::vitals::Disk`]
    Disk = 25,
    /// [`crate::vitals::Pace`]
    Pace = 26,
    /// [`crate::network::NetworkHello`]
    NetworkHello = 27,
    /// [`crate::network::NetworkMember`]
    NetworkMember = 28,
    /// [`crate::network::NetworkPath`]
    NetworkPath = 29,
    /// [`crate::network::NetworkEcho`]
    NetworkEcho = 30,
    /// [`crate::network::NetworkPlan`]
    NetworkPlan = 31,
    /// [`crate::network::NetworkPeer`]
    NetworkPeer = 32,
    /// [`crate::network::NetworkRelay`]
    NetworkRelay = 33,
    /// [`crate::network::NetworkGuest`]
    NetworkGuest = 34,
    /// [`crate::network::NetworkName`]
    NetworkName = 35,
    /// [`crate::network::NetworkGone`]
    NetworkGone = 36,
    /// [`crate::network::NetworkSum`]
    NetworkSum = 37,
    /// [`crate::network::NetworkProbe`]
    NetworkProbe = 38,
}

impl Kind {
    /// All kinds that this version understands, in the order of their numbers.
    pub const ALL: [Kind; 38] = [
        Kind::Join,
        Kind::Joined,
        Kind::Hello,
        Kind::Welcome,
        Kind::Batch,
        Kind::Event,
        Kind::Gap,
        Kind::Container,
        Kind::Absent,
        Kind::ListEnd,
        Kind::Engine,
        Kind::Answer,
        Kind::Refused,
        Kind::Listed,
        Kind::Digest,
        Kind::Differs,
        Kind::Session,
        Kind::Settings,
        Kind::Trust,
        Kind::Trusted,
        Kind::Renew,
        Kind::Renewed,
        Kind::Vitals,
        Kind::Usage,
        Kind::Disk,
        Kind::Pace,
        Kind::NetworkHello,
        Kind::NetworkMember,
        Kind::NetworkPath,
        Kind::NetworkEcho,
        Kind::NetworkPlan,
        Kind::NetworkPeer,
        Kind::NetworkRelay,
        Kind::NetworkGuest,
        Kind::NetworkName,
        Kind::NetworkGone,
        Kind::NetworkSum,
        Kind::NetworkProbe,
    ];

    /// The kind of this number, if this version knows it.
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing at all, or a version that this code does not speak.
    Version,
    /// A length that points past the end.
    Length,
    /// A payload that does not decode as its kind, or that breaks one of its limits.
    Payload(Kind),
    /// A record where it does not belong, or a missing one.
    Order,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Malformed::Version => write!(f, "not a message of version {VERSION}"),
            Malformed::Length => write!(f, "a record is longer than the message"),
            Malformed::Payload(kind) => write!(f, "a {kind:?} record does not decode"),
            Malformed::Order => write!(f, "a record is missing or out of place"),
        }
    }
}

impl core::error::Error for Malformed {}

/// The buffer has no room for a record. Nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Writes records into a fixed buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

/// Kind and the longest length that a record can have.
const HEADER: usize = 1 + 3;

impl<'b> Writer<'b> {
    /// A message: the version byte is written.
    pub fn message(buffer: &'b mut [u8]) -> Result<Writer<'b>, Full> {
        *buffer.first_mut().ok_or(Full)? = VERSION;
        Ok(Writer { buffer, len: 1 })
    }

    /// Records without the version byte, to be put into a message later by [`Writer::raw`].
    pub fn records(buffer: &'b mut [u8]) -> Writer<'b> {
        Writer { buffer, len: 0 }
    }

    /// Goes on behind the `len` bytes that the buffer already holds.
    pub fn resume(buffer: &'b mut [u8], len: usize) -> Writer<'b> {
        Writer { buffer, len }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Appends one record.
    pub fn record<T: Serialize + ?Sized>(&mut self, kind: Kind, payload: &T) -> Result<(), Full> {
        let at = self.len;
        let body = self.buffer.get_mut(at + HEADER..).ok_or(Full)?;
        let size = postcard::to_slice(payload, body).map_err(|_| Full)?.len();
        self.close(at, kind, size)
    }

    /// Appends a record whose payload is a sequence number followed by bytes that were encoded before.
    pub fn numbered(&mut self, kind: Kind, seq: u64, body: &[u8]) -> Result<(), Full> {
        self.numbered_from(kind, seq, body, &[])
    }

    /// As [`Writer::numbered`], for bytes that lie in two pieces (a ring).
    pub fn numbered_from(&mut self, kind: Kind, seq: u64, head: &[u8], tail: &[u8]) -> Result<(), Full> {
        let at = self.len;
        let room = self.buffer.get_mut(at + HEADER..).ok_or(Full)?;
        let number = postcard::to_slice(&seq, room).map_err(|_| Full)?.len();
        let size = number + head.len() + tail.len();
        let room = room.get_mut(number..size).ok_or(Full)?;
        room[..head.len()].copy_from_slice(head);
        room[head.len()..].copy_from_slice(tail);
        self.close(at, kind, size)
    }

    /// Appends records that another writer made.
    pub fn raw(&mut self, records: &[u8]) -> Result<(), Full> {
        let room = self.buffer.get_mut(self.len..self.len + records.len()).ok_or(Full)?;
        room.copy_from_slice(records);
        self.len += records.len();
        Ok(())
    }

    /// Moves the payload up against a header of the size that it needs.
    fn close(&mut self, at: usize, kind: Kind, size: usize) -> Result<(), Full> {
        let mut header = [0u8; HEADER];
        header[0] = kind as u8;
        let length = u32::try_from(size).map_err(|_| Full)?;
        let used = 1 + postcard::to_slice(&length, &mut header[1..]).map_err(|_| Full)?.len();
        self.buffer.copy_within(at + HEADER..at + HEADER + size, at + used);
        self.buffer[at..at + used].copy_from_slice(&header[..used]);
        self.len = at + used + size;
        Ok(())
    }
}

/// One record as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its payload, not decoded yet.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// Decodes the payload. Bytes behind it are ignored, as the frozen kinds allow.
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T, Malformed> {
        postcard::from_bytes(self.payload).map_err(|_| Malformed::Payload(self.kind))
    }

    /// Splits a payload that begins with a sequence number.
    pub fn numbered(&self) -> Result<(u64, &'a [u8]), Malformed> {
        postcard::take_from_bytes(self.payload).map_err(|_| Malformed::Payload(self.kind))
    }
}

/// Reads the records of a message, skipping kinds that this version does not know.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the version byte.
    pub fn message(bytes: &'a [u8]) -> Result<Reader<'a>, Malformed> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Reader { rest }),
            _ => Err(Malformed::Version),
        }
    }

    /// Of records without the version byte, as [`Writer::records`] makes them.
    pub fn records(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next record of a known kind, or `None` at the end.
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, Malformed> {
        while let Some((&number, rest)) = self.rest.split_first() {
            let (length, rest) = postcard::take_from_bytes::<u32>(rest).map_err(|_| Malformed::Length)?;
            let length = length as usize;
            let payload = rest.get(..length).ok_or(Malformed::Length)?;
            self.rest = &rest[length..];
            if let Some(kind) = Kind::from_number(number) {
                return Ok(Some(Record { kind, payload }));
            }
        }
        Ok(None)
    }

    /// The next record, which has to be of this kind, decoded.
    pub fn expect<T: Deserialize<'a>>(&mut self, kind: Kind) -> Result<T, Malformed> {
        match self.next_record()? {
            Some(record) if record.kind == kind => record.decode(),
            _ => Err(Malformed::Order),
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
