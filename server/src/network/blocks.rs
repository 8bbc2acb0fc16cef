//! Which blocks of the range are given away. No block is held twice; blocks that were given back are given again last,
//! and the oldest of them first, so that an address rests for as long as it can before somebody else has it.

use std::collections::{BTreeSet, VecDeque};

/// The blocks that can be given, by their index in the range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// How many blocks the range has.
    total: u32,
    /// The lowest that was never given.
    next: u32,
    /// Given back, the oldest first.
    freed: VecDeque<u32>,
}

impl Pool {
    /// None of so many is given yet.
    pub fn new(total: u32) -> Pool {
        Pool { total, next: 0, freed: VecDeque::new() }
    }

    /// As it was stored, while `held` are given away. What does not fit together is put right: what is held is not free,
    /// and what is neither held nor in `freed` has been given back.
    pub fn restored(total: u32, next: u32, freed: &[u32], held: impl Iterator<Item = u32>) -> Pool {
        let held: BTreeSet<u32> = held.filter(|index| *index < total).collect();
        let next = held.last().map_or(next, |last| next.max(last + 1)).min(total);
        let mut free = VecDeque::new();
        let mut known = held;
        for index in freed.iter().copied().chain(0..next) {
            if index < next && known.insert(index) {
                free.push_back(index);
            }
        }
        Pool { total, next, freed: free }
    }

    /// Gives one away; `None` if none is left.
    pub fn take(&mut self) -> Option<u32> {
        if self.next < self.total {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.freed.pop_front()
    }

    /// Takes some back.
    pub fn give_back(&mut self, blocks: impl IntoIterator<Item = u32>) {
        self.freed.extend(blocks);
    }

    /// How many blocks the range has.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// How many are given away.
    pub fn held(&self) -> u32 {
        self.next.saturating_sub(u32::try_from(self.freed.len()).unwrap_or(u32::MAX))
    }

    /// To be stored: the lowest that was never given, and those that were given back, the oldest first.
    pub fn parts(&self) -> (u32, Vec<u32>) {
        (self.next, self.freed.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_were_never_given_come_first_and_then_the_oldest_that_came_back() {
        let mut pool = Pool::new(4);
        assert_eq!([pool.take(), pool.take(), pool.take()], [Some(0), Some(1), Some(2)]);
        pool.give_back([1]);
        pool.give_back([0]);
        assert_eq!(pool.held(), 1);
        assert_eq!([pool.take(), pool.take(), pool.take(), pool.take()], [Some(3), Some(1), Some(0), None]);
        assert_eq!(pool.held(), 4);
    }

    #[test]
    fn what_was_stored_is_put_right() {
        let mut pool = Pool::restored(8, 3, &[2, 2, 7, 1], [1, 4, 99].into_iter());
        // Held are 1 and 4; 0, 2 and 3 were given once, and only 2 says when it came back.
        assert_eq!(pool.parts(), (5, vec![2, 0, 3]));
        let given: Vec<u32> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(given, [5, 6, 7, 2, 0, 3]);
        assert_eq!(Pool::restored(2, 9, &[], [].into_iter()).parts(), (2, vec![0, 1]));
    }
}
