//! How long many answers took, in a fixed amount of memory.

/// Buckets of one power of two: values are told apart to about 3 %.
const FINE: usize = 32;
/// What 64 bits of nanoseconds need.
const BUCKETS: usize = 60 * FINE;

/// Counts of durations, in buckets that grow with them.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, longest: 0 }
    }
}

impl Histogram {
    /// Counts a duration in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, in microseconds.
    pub fn max_micros(&self) -> f64 {
        micros(self.longest)
    }

    /// The duration that this share of all (0.99) does not exceed, in microseconds; 0 where nothing was counted.
    pub fn quantile_micros(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank"
        )]
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return micros(upper(at).min(self.longest));
            }
        }
        0.0
    }
}

fn micros(nanos: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let micros = nanos as f64 / 1000.0;
    (micros * 10.0).round() / 10.0
}

fn bucket(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize;
    // The first two powers have a bucket for each value.
    let coarse = bits.saturating_sub(FINE.ilog2() as usize + 1);
    coarse * FINE + usize::try_from(value >> coarse).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let coarse = (bucket / FINE).saturating_sub(1);
    let first = (bucket - coarse * FINE) as u64;
    (first + 1).checked_shl(u32::try_from(coarse).unwrap_or(u32::MAX)).map_or(u64::MAX, |next| next.wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, FINE, Histogram, bucket, upper};

    #[test]
    fn buckets_follow_one_another_and_hold_what_falls_into_them() {
        for at in 0..BUCKETS - 1 {
            assert_eq!((bucket(upper(at)), bucket(upper(at) + 1)), (at, at + 1));
        }
        assert!(bucket(u64::MAX) < BUCKETS && upper(bucket(u64::MAX)) == u64::MAX);
        for value in [0, 1, 63, 64, 65, 1000, 123_456, 9_876_543_210] {
            let edge = upper(bucket(value));
            assert!(edge >= value && edge - value <= value / FINE as u64, "{value} {edge}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile_micros(0.5).to_bits(), 0);
        for value in 1..=1000 {
            histogram.record(value * 1000);
        }
        let near = |share: f64, wanted: f64| {
            let told = histogram.quantile_micros(share);
            assert!(told >= wanted && told <= wanted * 1.04, "{share}: {told}");
        };
        near(0.5, 500.0);
        near(0.99, 990.0);
        near(0.999, 999.0);
        assert_eq!((histogram.count(), histogram.max_micros().to_bits()), (1000, 1000.0_f64.to_bits()));
    }
}
