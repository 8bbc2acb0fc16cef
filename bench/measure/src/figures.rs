//! Percentiles, and how numbers are written.

/// The value below which this part of the samples lies; `None` without samples. Sorts them.
pub fn percentile(samples: &mut [u64], part: f64) -> Option<u64> {
    samples.sort_unstable();
    let last = samples.len().checked_sub(1)?;
    samples.get((last as f64 * part).round() as usize).copied()
}

/// Median, 99th percentile and maximum of nanoseconds, as milliseconds.
pub fn milliseconds(samples: &mut [u64]) -> String {
    let of = |part, samples: &mut [u64]| percentile(samples, part).map_or(f64::NAN, |nano| nano as f64 / 1e6);
    let (p50, p99, most) = (of(0.5, samples), of(0.99, samples), of(1.0, samples));
    format!("{p50:.1} / {p99:.1} / {most:.1}")
}

/// How many times `ours` fits into `theirs`.
pub fn ratio(ours: f64, theirs: f64) -> String {
    if ours > 0.0 { format!("1 : {:.1}", theirs / ours) } else { "-".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        assert_eq!(percentile(&mut [], 0.5), None);
        assert_eq!(percentile(&mut [7], 0.99), Some(7));
        let mut samples: Vec<u64> = (0..=100).rev().collect();
        assert_eq!(percentile(&mut samples, 0.5), Some(50));
        assert_eq!(percentile(&mut samples, 0.99), Some(99));
        assert_eq!(percentile(&mut samples, 1.0), Some(100));
    }
}
