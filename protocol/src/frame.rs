//! Messages on a line: an upgraded connection that carries nothing else, either way.
//!
//! A frame is a varint and a message. The varint's lowest bit is a flag, the others are the message's length in
//! bytes. From an agent the flag wants an answer; from a server it says that this is one. Answers come in the order
//! in which they were wanted; what a server says without being asked may come at any time.

use crate::limits;
use crate::record::{Kind, Malformed, Reader};

/// What an agent asks for by `Upgrade:`, and where it does so is up to HTTP.
pub const PROTOCOL: &str = "muster/1";

/// The longest beginning of a frame, in bytes.
pub const LONGEST_HEAD: usize = 3;

const _: () = assert!(limits::MESSAGE * 2 < 1 << (7 * LONGEST_HEAD));

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the message that follows: 1 to [`limits::MESSAGE`].
    pub length: usize,
    /// From an agent: an answer is wanted. From a server: this is one.
    pub flag: bool,
}

impl Head {
    /// The beginning's bytes, of which the first so many count; `None` if no message has this length.
    pub fn encode(self) -> Option<([u8; LONGEST_HEAD], usize)> {
        if !(1..=limits::MESSAGE).contains(&self.length) {
            return None;
        }
        let mut value = self.length << 1 | usize::from(self.flag);
        let mut bytes = [0; LONGEST_HEAD];
        let mut used = 0;
        for byte in &mut bytes {
            used += 1;
            *byte = (value & 0x7f) as u8;
            value >>= 7;
            if value == 0 {
                break;
            }
            *byte |= 0x80;
        }
        Some((bytes, used))
    }
}

/// Reads the beginning of one frame, byte by byte.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadReader {
    value: usize,
    bytes: usize,
}

impl HeadReader {
    /// Takes the next byte. Answers the beginning once it is complete; after that or an error, start anew.
    ///
    /// Fails if there is no such length, or if fewer bytes would have said the same.
    pub fn push(&mut self, byte: u8) -> Result<Option<Head>, Malformed> {
        if self.bytes == LONGEST_HEAD {
            return Err(Malformed::Length);
        }
        self.value |= usize::from(byte & 0x7f) << (7 * self.bytes);
        self.bytes += 1;
        if byte & 0x80 != 0 {
            return if self.bytes == LONGEST_HEAD { Err(Malformed::Length) } else { Ok(None) };
        }
        let head = Head { length: self.value >> 1, flag: self.value & 1 == 1 };
        let padded = byte == 0 && self.bytes > 1;
        if padded || !(1..=limits::MESSAGE).contains(&head.length) {
            return Err(Malformed::Length);
        }
        Ok(Some(head))
    }

    /// Whether a frame has begun.
    pub fn has_begun(&self) -> bool {
        self.bytes > 0
    }
}

/// A frame that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// See [`Head::flag`].
    pub flag: bool,
    /// Its message.
    pub message: &'a [u8],
    /// What follows it.
    pub rest: &'a [u8],
}

/// The first frame in `bytes`; `None` if it is not complete yet.
pub fn split(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let mut reader = HeadReader::default();
    for (at, byte) in bytes.iter().enumerate() {
        if let Some(head) = reader.push(*byte)? {
            let rest = &bytes[at + 1..];
            let split = rest.split_at_checked(head.length);
            return Ok(split.map(|(message, rest)| Frame { flag: head.flag, message, rest }));
        }
    }
    Ok(None)
}

/// Whether an agent's message has to be answered: it has more in it than that the host is there, how it and its engine do
/// and that its containers are the same. What does not decode does.
pub fn wants_answer(message: &[u8]) -> bool {
    let Ok(mut records) = Reader::message(message) else { return true };
    loop {
        match records.next_record() {
            Ok(Some(record)) => {
                use Kind::{Batch, Digest, Disk, Engine, Session, Usage, Vitals};
                if !matches!(record.kind, Session | Batch | Engine | Digest | Vitals | Disk | Usage) {
                    return true;
                }
            }
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn frame(flag: bool, message: &[u8]) -> Vec<u8> {
        let (head, used) = Head { length: message.len(), flag }.encode().unwrap();
        [&head[..used], message].concat()
    }

    #[test]
    fn frames_of_every_length_come_back_whatever_follows() {
        for length in [1, 2, 63, 64, 127, 128, 8191, 8192, limits::MESSAGE - 1, limits::MESSAGE] {
            for flag in [false, true] {
                let message = std::vec![7; length];
                let bytes = frame(flag, &message);
                assert_eq!(split(&bytes), Ok(Some(Frame { flag, message: &message, rest: &[] })));
                let more = [&bytes[..], &[1, 2, 3]].concat();
                assert_eq!(split(&more), Ok(Some(Frame { flag, message: &message, rest: &[1, 2, 3] })));
                for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                    assert_eq!(split(&bytes[..cut]), Ok(None));
                }
            }
        }
        assert_eq!(frame(true, &[9; 63]).len(), 64, "a heartbeat's frame costs one byte");
    }

    #[test]
    fn lengths_that_no_message_has_are_errors() {
        for length in [0, limits::MESSAGE + 1, usize::MAX >> 2] {
            assert_eq!(Head { length, flag: true }.encode(), None);
        }
        // Nothing, too much, and a number written longer than it has to be.
        let too_much = ((limits::MESSAGE + 1) << 1) as u32;
        let too_much = [too_much as u8 | 0x80, (too_much >> 7) as u8 | 0x80, (too_much >> 14) as u8];
        for bytes in [&[0][..], &[1], &too_much, &[0x80, 0x80, 0x80], &[0xff, 0xff, 0xff, 1], &[0x84, 0]] {
            assert_eq!(split(bytes), Err(Malformed::Length), "{bytes:?}");
        }
    }

    #[test]
    fn only_bare_messages_need_no_answer() {
        for (message, wants) in [
            (&[1u8][..], false),
            (&[1, 5, 1, 0], false),
            (&[1, 17, 1, 0, 5, 1, 0, 11, 1, 0, 15, 1, 0], false),
            // A kind that is not known says nothing.
            (&[1, 5, 1, 0, 200, 1, 0], false),
            (&[1, 5, 1, 0, 15, 1, 0, 23, 1, 0, 25, 1, 0, 24, 1, 0], false),
            (&[1, 5, 1, 0, 6, 1, 0], true),
            (&[1, 5, 1, 0, 10, 1, 0], true),
            (&[1, 3, 1, 0], true),
            (&[1, 20, 1, 0], true),
            (&[1, 5, 9, 0], true),
            (&[2], true),
            (&[], true),
        ] {
            assert_eq!(wants_answer(message), wants, "{message:?}");
        }
    }
}
