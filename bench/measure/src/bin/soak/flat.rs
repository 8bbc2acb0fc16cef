//! Whether a series of figures is flat: a rule that looks at nothing but the figures.

/// What the mean of the second half may have above that of the first.
pub const MEAN: f64 = 32.0;
/// And the most of the second half above the most of the first.
pub const MOST: f64 = 64.0;

/// Two halves of a series, held against each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Halves {
    /// By how much the mean has grown.
    pub mean: f64,
    /// By how much the most has grown.
    pub most: f64,
    /// Of the line that fits all samples best, in units for each sample.
    pub slope: f64,
}

impl Halves {
    /// Of samples that were taken at even times. `None` if there are fewer than four.
    pub fn of(samples: &[f64]) -> Option<Halves> {
        let (first, second) = samples.split_at(samples.len() / 2);
        if first.len() < 2 {
            return None;
        }
        let most = |half: &[f64]| half.iter().copied().fold(f64::MIN, f64::max);
        let middle = (samples.len() - 1) as f64 / 2.0;
        let all = mean(samples);
        let (mut rise, mut run) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            rise += (n as f64 - middle) * (sample - all);
            run += (n as f64 - middle).powi(2);
        }
        Some(Halves { mean: mean(second) - mean(first), most: most(second) - most(first), slope: rise / run })
    }

    /// Neither the mean nor the most has grown by more than noise.
    pub fn is_flat(&self) -> bool {
        self.mean <= MEAN && self.most <= MOST
    }
}

/// The mean; NaN without samples.
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(sample: impl Fn(f64) -> f64) -> Halves {
        let samples: Vec<f64> = (0..1200).map(|n| sample(f64::from(n))).collect();
        Halves::of(&samples).expect("enough samples")
    }

    #[test]
    fn what_goes_up_and_down_is_flat_and_what_creeps_is_not() {
        let waves = halves(|n| 700.0 + 100.0 * (n / 20.0).sin());
        assert!(waves.is_flat() && waves.slope.abs() < 0.01, "{waves:?}");
        assert!(halves(|n| 900.0 - n / 10.0).is_flat(), "less is flat");
        let creeping = halves(|n| 700.0 + 100.0 * (n / 20.0).sin() + n / 15.0);
        assert!(!creeping.is_flat(), "{creeping:?}");
        assert!((halves(|n| n / 15.0).slope - 1.0 / 15.0).abs() < 1e-9);
        let jump = halves(|n| if n > 1100.0 { 790.0 } else { 700.0 });
        assert!(jump.mean < MEAN && !jump.is_flat(), "{jump:?}");
        assert_eq!(Halves::of(&[1.0, 2.0, 3.0]), None);
    }
}
