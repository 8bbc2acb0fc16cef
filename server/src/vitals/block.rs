//! What stands in a file: one block after the other, each with the rows of all hosts for one minute or hour.
//!
//! ```text
//! length u32 | sum u64 | time i64 | rows
//! ```
//!
//! The length is that of the rows. The sum is XXH3-64 of what stands behind it. Time is the beginning of the minute or
//! hour by the server's clock, in milliseconds since 1970. Numbers are little-endian, rows postcard.

use super::row::Row;
use muster_protocol::batch::sum;

/// Bytes in front of the rows.
pub(super) const HEADER: usize = 4 + 8 + 8;

/// The most bytes of rows that a block can have: 300,000 hosts. More is damage.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

/// The bytes of a block; `None` if the rows are too many for one.
pub(super) fn encode(at_ms: i64, rows: &[Row]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    bytes[HEADER - 8..].copy_from_slice(&at_ms.to_le_bytes());
    let mut bytes = postcard::to_extend(rows, bytes).ok()?;
    let length = bytes.len() - HEADER;
    if length > LONGEST {
        return None;
    }
    let sum = sum(&bytes[12..]);
    bytes[..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    bytes[4..12].copy_from_slice(&sum.to_le_bytes());
    Some(bytes)
}

/// The beginning of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Of the rows, in bytes.
    pub length: usize,
    sum: u64,
    /// See the top.
    pub at_ms: i64,
}

impl Header {
    /// Reads one; `None` if it cannot be one.
    pub(super) fn read(bytes: &[u8; HEADER]) -> Option<Header> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let header = Header { length, sum: number(4)?, at_ms: number(12)?.cast_signed() };
        // No block is without rows, and what a disk has not written reads as zeros.
        (1..=LONGEST).contains(&length).then_some(header)
    }

    /// The rows behind it; `None` if they are not what was written.
    pub(super) fn rows(&self, body: &[u8]) -> Option<Vec<Row>> {
        let mut summed = Vec::with_capacity(8 + body.len());
        summed.extend_from_slice(&self.at_ms.to_le_bytes());
        summed.extend_from_slice(body);
        if sum(&summed) != self.sum {
            return None;
        }
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{Field, Sums};
    use super::*;
    use muster_protocol::id::HostId;

    pub(in super::super) fn row(host: u8, cpu: i64) -> Row {
        let mut sums = Sums::default();
        sums.add(Field::Cpu, cpu);
        Row::of(HostId([host; 8]), &sums).expect("a row")
    }

    fn read(bytes: &[u8]) -> Option<Vec<Row>> {
        let header = Header::read(bytes.first_chunk()?)?;
        header.rows(bytes.get(HEADER..HEADER + header.length)?)
    }

    /// Files of released versions have these bytes.
    #[test]
    fn a_block_is_frozen() {
        let bytes = encode(1_700_000_040_000, &[row(1, 150), row(2, 7)]).expect("bytes");
        let hex: String = bytes[12..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4004e6cf8b01000002".to_owned() + "010101010101010101019601" + "0202020202020202010107");
        assert_eq!(bytes[..4], [24, 0, 0, 0]);
        assert_eq!(read(&bytes), Some(vec![row(1, 150), row(2, 7)]));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let bytes = encode(60_000, &[row(1, 150)]).expect("bytes");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(read(&changed), None, "byte {at}");
        }
        assert_eq!(read(&[0; 100]), None, "what was never written");
    }
}
