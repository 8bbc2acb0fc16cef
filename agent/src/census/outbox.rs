//! Readings on their way from the engine to the uplink: at most two parts, of which one is being sent.

use std::collections::VecDeque;

/// Parts that may wait. A list that has more has to wait for the uplink, and the engine with it.
const PARTS: usize = 2;

/// Encoded records, in parts that fit into a message.
#[derive(Debug, Default)]
pub struct Outbox {
    parts: VecDeque<Vec<u8>>,
    /// A buffer to use again.
    spare: Option<Vec<u8>>,
}

impl Outbox {
    /// Whether another part may be put in.
    pub fn has_room(&self) -> bool {
        self.parts.len() < PARTS
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A buffer of some bytes, to be made as long as is needed.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.take().unwrap_or_default()
    }

    /// Puts in a part: the first `len` bytes of a buffer.
    pub fn put(&mut self, mut buffer: Vec<u8>, len: usize) {
        buffer.truncate(len);
        if len > 0 {
            self.parts.push_back(buffer);
        } else {
            self.spare = Some(buffer);
        }
    }

    /// The part to send next; empty if there is none.
    pub fn first(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    /// The first part has arrived.
    pub fn sent(&mut self) {
        self.spare = self.parts.pop_front().or(self.spare.take());
    }

    /// What was read before a welcome is not to be sent after it.
    pub fn clear(&mut self) {
        self.parts.clear();
    }
}
