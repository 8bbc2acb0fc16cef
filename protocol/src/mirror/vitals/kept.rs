//! What is kept of the values of one thing, and how fast those grow that do.

use crate::vitals::Measured;
use crate::vitals::step::Step;

/// When a message was made, and the newest one of the same run before it, by the agent's clock.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub before: Option<u64>,
    pub at: u64,
}

/// What is kept of the fields of one thing.
#[derive(Debug, Clone)]
pub(super) struct Kept<const F: usize> {
    /// Those that are known.
    fields: u32,
    /// Those that were known before everything was said anew: good for a rate.
    known_before: u32,
    values: [u64; F],
    /// When each was said, in tenths of a second by the agent's clock, which is enough for 13 years.
    said: [u32; F],
    /// How fast each grew when it was said, in thousandths of its unit a second.
    rates: [u32; F],
}

/// Not known.
const NO_RATE: u32 = u32::MAX;
const TENTH_MS: u64 = 100;

impl<const F: usize> Default for Kept<F> {
    fn default() -> Kept<F> {
        Kept { fields: 0, known_before: 0, values: [0; F], said: [0; F], rates: [NO_RATE; F] }
    }
}

impl<const F: usize> Kept<F> {
    /// Nothing is known of it any more; what was is good for rates.
    pub fn forgotten(mut self) -> Kept<F> {
        self.known_before = self.fields;
        self.fields = 0;
        self
    }

    pub fn hear<const N: usize>(&mut self, steps: &[Step; F], values: &Measured<N>, now: Now, whole: bool) {
        if whole {
            (self.known_before, self.fields) = (self.fields, 0);
        }
        for (field, value) in values.iter() {
            let (bit, field) = (1_u32 << field, usize::from(field));
            let Some(step) = steps.get(field) else { continue };
            let known = (self.fields | self.known_before) & bit != 0;
            self.rates[field] = match (step, now.before) {
                (Step::Grown(step), Some(before)) if known => self.grown(field, value, *step, before, now.at),
                _ => NO_RATE,
            };
            self.fields |= bit;
            self.values[field] = value;
            self.said[field] = u32::try_from(now.at / TENTH_MS).unwrap_or(u32::MAX);
        }
        self.known_before = 0;
    }

    /// How fast a value has grown since the message before, in thousandths a second.
    ///
    /// If that did not say it, it had grown by less than a step until then. As much of the growth as the step allows is
    /// spread evenly over the whole time, so that what grows slowly is seen to do so; the rest is of the time since.
    fn grown(&self, field: usize, value: u64, step: u64, before: u64, at: u64) -> u32 {
        let (Some(grown), Some(passed)) = (value.checked_sub(self.values[field]), at.checked_sub(before)) else {
            return NO_RATE;
        };
        if passed == 0 {
            return NO_RATE;
        }
        let (grown, passed) = (u128::from(grown), u128::from(passed));
        let silent = u128::from(before.saturating_sub(u64::from(self.said[field]) * TENTH_MS));
        let earlier = (grown * silent / (silent + passed)).min(u128::from(step));
        per_second(grown - earlier, passed)
    }

    pub fn get(&self, field: usize) -> Option<u64> {
        (self.fields & 1 << field != 0).then(|| self.values[field])
    }

    /// Milliseconds from when a field was said until `at`.
    fn quiet(&self, field: usize, at: u64) -> u64 {
        at.saturating_sub(u64::from(self.said[field]) * TENTH_MS)
    }

    /// How fast a field grows as of `at`, in units a second, `scale` of them in each of its own.
    pub fn rate(&self, steps: &[Step; F], field: usize, at: u64, scale: u64) -> Option<u64> {
        self.get(field)?;
        let Step::Grown(step) = steps[field] else { return None };
        let quiet = self.quiet(field, at);
        let rate = if quiet < 2 * TENTH_MS {
            Some(self.rates[field]).filter(|rate| *rate != NO_RATE)?
        } else {
            // Faster, and it would have been said.
            let most = per_second(u128::from(step), u128::from(quiet));
            if self.rates[field] == NO_RATE { 0 } else { self.rates[field].min(most) }
        };
        Some((u64::from(rate) * scale + 500) / 1000)
    }

    /// What a field that passes by itself is as of `at`.
    pub fn passed(&self, field: usize, at: u64) -> Option<u64> {
        Some(self.get(field)?.saturating_add(self.quiet(field, at) / 1000))
    }
}

/// In thousandths.
fn per_second(amount: u128, milliseconds: u128) -> u32 {
    let rate = amount * 1_000_000 / milliseconds.max(1);
    u32::try_from(rate).unwrap_or(NO_RATE).min(NO_RATE - 1)
}
