//! Random tests that can be repeated: a failure prints its seed, and `MUSTER_SEED=n` runs that one alone.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// splitmix64.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// In `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// One time in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Runs a test once for each of so many seeds.
pub fn for_seeds(count: u64, test: impl Fn(&mut Random)) {
    let alone = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    for seed in alone.map_or(0..count, |seed| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&mut Random(seed)))) {
            eprintln!("failed with MUSTER_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
