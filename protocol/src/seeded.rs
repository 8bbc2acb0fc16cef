//! Random tests that can be repeated: a failure prints its seed, and `MUSTER_SEED=n` runs that one alone.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::String;
use std::vec::Vec;

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Those of this seed.
    pub fn of(seed: u64) -> Random {
        Random(seed)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// In `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }

    /// One time in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Of this length.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number() as u8).collect()
    }

    /// Of up to `limit` bytes, with characters of all sizes.
    pub fn text(&mut self, limit: usize) -> String {
        let want = self.below(limit + 1);
        let mut text = String::new();
        while text.len() < want {
            let c = ['a', '/', ' ', 'ü', '€', '🐳'][self.below(6)];
            if text.len() + c.len_utf8() > want {
                break;
            }
            text.push(c);
        }
        text
    }
}

/// Runs a test once for each of so many seeds.
pub fn for_seeds(count: u64, test: impl Fn(&mut Random)) {
    let alone = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds: Range<u64> = alone.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&mut Random(seed)))) {
            std::eprintln!("failed with MUSTER_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
