//! Long packets to and from the kernel: one that stands for many is taken apart before it is sent, and many that came are
//! put together before the kernel gets them. Each saves a way through the whole of the kernel for every packet.
//!
//! The kernel puts a header in front of each, that of virtio-net: flags, what it stands for, and where checksums belong.

use super::checksum::{add, finish, fold, pseudo};

/// Bytes of the header in front.
pub const HEADER: usize = 10;
/// The longest packet that the kernel gives or takes.
pub const LONGEST: usize = 65_535;

const NEEDS_CHECKSUM: u8 = 1;
const SINGLE: u8 = 0;
const TCP_V4: u8 = 1;
const UDP: u8 = 5;
const ECN: u8 = 0x80;

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const CWR: u8 = 0x80;

/// Takes apart what the kernel gave, header in front, and hands over each packet. `scratch` is written over; packets that
/// do not fit in there are dropped. False: it is nothing that is carried, such as IPv6.
pub fn split(buffer: &mut [u8], scratch: &mut [u8], each: impl FnMut(&[u8])) -> bool {
    split_checked(buffer, scratch, each).is_some()
}

fn split_checked(buffer: &mut [u8], scratch: &mut [u8], mut each: impl FnMut(&[u8])) -> Option<()> {
    let (header, packet) = buffer.split_first_chunk_mut::<HEADER>()?;
    let [flags, kind, ..] = *header;
    let number = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
    let (size, start, offset) = (number(4), number(6), number(8));
    if packet.first()? >> 4 != 4 || packet.len() < 20 {
        return None;
    }
    if kind == SINGLE {
        if flags & NEEDS_CHECKSUM != 0 {
            let sum = finish(add(0, packet.get(start..)?));
            packet.get_mut(start..)?.get_mut(offset..offset + 2)?.copy_from_slice(&sum);
        }
        each(packet);
        return Some(());
    }
    let (protocol, place, fixed) = match kind & !ECN {
        TCP_V4 => (PROTOCOL_TCP, 16, 20),
        UDP => (PROTOCOL_UDP, 6, 8),
        _ => return None,
    };
    let outer = usize::from(packet[0] & 15) * 4;
    if packet[9] != protocol || size == 0 || outer < 20 {
        return None;
    }
    let inner = match protocol {
        PROTOCOL_TCP => usize::from(packet.get(outer + 12)? >> 4) * 4,
        _ => fixed,
    };
    let head = outer + inner;
    if inner < fixed || packet.len() <= head || scratch.len() < head + size {
        return None;
    }
    let (head_bytes, content) = packet.split_at(head);
    let count = content.len().div_ceil(size);
    let identification = u16::from_be_bytes([head_bytes[4], head_bytes[5]]);
    for (at, part) in content.chunks(size).enumerate() {
        let length = head + part.len();
        let out = &mut scratch[..length];
        out[..head].copy_from_slice(head_bytes);
        out[head..].copy_from_slice(part);
        out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        out[4..6].copy_from_slice(&identification.wrapping_add(at as u16).to_be_bytes());
        out[10..12].fill(0);
        let sum = finish(add(0, &out[..outer]));
        out[10..12].copy_from_slice(&sum);
        if protocol == PROTOCOL_TCP {
            let sequence = u32::from_be_bytes([out[outer + 4], out[outer + 5], out[outer + 6], out[outer + 7]]);
            let sequence = sequence.wrapping_add((at * size) as u32);
            out[outer + 4..outer + 8].copy_from_slice(&sequence.to_be_bytes());
            if at + 1 < count {
                out[outer + 13] &= !(FIN | PSH);
            }
            if at > 0 {
                out[outer + 13] &= !CWR;
            }
        } else {
            out[outer + 4..outer + 6].copy_from_slice(&((length - outer) as u16).to_be_bytes());
        }
        out[outer + place..outer + place + 2].fill(0);
        let mut sum = finish(add(pseudo(&out[..outer], length - outer), &out[outer..]));
        if protocol == PROTOCOL_UDP && sum == [0, 0] {
            sum = [0xff, 0xff];
        }
        out[outer + place..outer + place + 2].copy_from_slice(&sum);
        each(out);
    }
    Some(())
}

/// Puts together packets that came, for the kernel: TCP segments that follow each other become one.
pub struct Joiner {
    /// The header, and one packet.
    buffer: Vec<u8>,
    /// Of the headers of IP and TCP, in the packet.
    head: usize,
    /// Bytes of content of each segment.
    size: usize,
    count: usize,
    next_sequence: u32,
    /// Nothing may follow: the last one was short, or wants to be delivered.
    closed: bool,
}

impl Default for Joiner {
    /// Empty, with room for the longest packet.
    fn default() -> Joiner {
        let buffer = Vec::with_capacity(HEADER + LONGEST);
        Joiner { buffer, head: 0, size: 0, count: 0, next_sequence: 0, closed: true }
    }
}

impl Joiner {
    /// Takes a packet. `write` gets what is complete by that, header in front.
    pub fn push(&mut self, packet: &[u8], mut write: impl FnMut(&[u8])) {
        let Some((head, content)) = joinable(packet) else {
            self.flush(&mut write);
            self.start(packet);
            return self.flush(write);
        };
        if self.continues(packet, head, content) {
            self.buffer.extend_from_slice(&packet[head..]);
            self.count += 1;
            self.buffer[HEADER + 33] |= packet[33] & PSH;
        } else {
            self.flush(write);
            self.start(packet);
            (self.head, self.size, self.closed) = (head, content, false);
        }
        self.next_sequence = sequence(packet).wrapping_add(content as u32);
        self.closed = content < self.size || packet[33] & PSH != 0;
    }

    /// Writes what there is.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8])) {
        if self.count > 1 {
            let length = self.buffer.len() - HEADER;
            let (header, packet) = self.buffer.split_at_mut(HEADER);
            header[..2].copy_from_slice(&[NEEDS_CHECKSUM, TCP_V4]);
            for (at, number) in [(2, self.head), (4, self.size), (6, 20), (8, 16)] {
                header[at..at + 2].copy_from_slice(&(number as u16).to_ne_bytes());
            }
            packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            packet[10..12].fill(0);
            let sum = finish(add(0, &packet[..20]));
            packet[10..12].copy_from_slice(&sum);
            // The kernel, or its device, adds up the rest.
            let sum = fold(pseudo(&packet[..20], length - 20));
            packet[36..38].copy_from_slice(&sum);
        }
        if self.count > 0 {
            write(&self.buffer);
        }
        self.buffer.clear();
        (self.count, self.closed) = (0, true);
    }

    fn start(&mut self, packet: &[u8]) {
        self.buffer.extend_from_slice(&[0; HEADER]);
        self.buffer.extend_from_slice(packet);
        self.count = 1;
    }

    /// Whether it is the next segment of what there is, and fits.
    fn continues(&self, packet: &[u8], head: usize, content: usize) -> bool {
        let same = |range: std::ops::Range<usize>| {
            self.buffer.get(HEADER + range.start..HEADER + range.end) == packet.get(range)
        };
        !self.closed
            && self.head == head
            && content <= self.size
            && self.buffer.len() + content <= HEADER + LONGEST
            && sequence(packet) == self.next_sequence
            // Kind of service, flags and time to live, addresses and ports.
            && same(1..2)
            && same(6..9)
            && same(12..24)
            // What was received, the window, and options.
            && same(28..33)
            && same(34..36)
            && same(40..head)
    }
}

/// The lengths of headers and content of a TCP segment that may be joined with others. Its checksum is right.
fn joinable(packet: &[u8]) -> Option<(usize, usize)> {
    let plain = *packet.first()? == 0x45 && packet.len() > 40 && packet[9] == PROTOCOL_TCP;
    // Of fragments the flags are other ones.
    if !plain || packet[6] & 0xbf != 0 || packet[7] != 0 || packet[33] & !PSH != ACK {
        return None;
    }
    let head = 20 + usize::from(packet[32] >> 4) * 4;
    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    if head < 40 || length != packet.len() || length <= head {
        return None;
    }
    let right = fold(add(0, &packet[..20])) == [0xff, 0xff]
        && fold(add(pseudo(packet, length - 20), &packet[20..])) == [0xff, 0xff];
    right.then_some((head, length - head))
}

fn sequence(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[24], packet[25], packet[26], packet[27]])
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
