//! Log-linear histogram of cycles: powers of two with four sub-buckets, so a reading is at most 25 % high.

use serde::{Deserialize, Serialize};

/// Octaves covered above the lowest bound.
const OCTAVES: usize = 18;
/// Sub-buckets of an octave.
const SUBS: usize = 4;
/// All buckets: one below the range, the range, one above it.
pub const BUCKETS: usize = OCTAVES * SUBS + 2;

/// Histogram over `2^LOW .. 2^(LOW + 18)` ticks, with one bucket below and one above that range.
///
/// Bursts use `LOW = 6` (64 ticks to 16 M ticks), gaps `LOW = 14` (16 k to 4 G ticks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const LOW: u32> {
    counts: [u64; BUCKETS],
    max: u64,
}

/// Cycles of one burst.
pub type BurstHistogram = Histogram<6>;
/// Cycles of one stolen interval.
pub type GapHistogram = Histogram<14>;

impl<const LOW: u32> Default for Histogram<LOW> {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], max: 0 }
    }
}

impl<const LOW: u32> Histogram<LOW> {
    /// Bucket of `value`; always below [`BUCKETS`].
    #[inline]
    fn bucket(value: u64) -> usize {
        if value < 1 << LOW {
            return 0;
        }
        let log2 = value.ilog2();
        let sub = (value >> (log2 - 2)) & 3;
        (1 + (log2 - LOW) as usize * SUBS + sub as usize).min(BUCKETS - 1)
    }

    /// Largest value that falls into `bucket`.
    fn upper(bucket: usize) -> u64 {
        if bucket == 0 {
            return (1 << LOW) - 1;
        }
        if bucket >= BUCKETS - 1 {
            return u64::MAX;
        }
        let (octave, sub) = ((bucket - 1) / SUBS, (bucket - 1) % SUBS);
        let log2 = LOW + octave as u32;
        (1 << log2) + (sub as u64 + 1) * (1 << (log2 - 2)) - 1
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(Self::bucket(value)) {
            *count += 1;
        }
        self.max = self.max.max(value);
    }

    /// Values counted.
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Largest value, exact since the start; over a window see [`Histogram::delta`].
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Smallest bucket bound that at least `quantile` (0..=1) of the values do not exceed; `None` when empty.
    /// At most 25 % above the true value, never above the maximum.
    pub fn percentile(&self, quantile: f64) -> Option<u64> {
        let total = self.len();
        if total == 0 {
            return None;
        }
        // A quantile outside 0..=1 reads as the nearer end.
        let rank = total as f64 * quantile.clamp(0.0, 1.0);
        let mut seen = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= rank {
                return Some(Self::upper(bucket).min(self.max));
            }
        }
        Some(self.max)
    }

    /// p50, p99, p99.9 and maximum.
    pub fn summary(&self) -> Option<Percentiles> {
        Some(Percentiles {
            p50: self.percentile(0.5)?,
            p99: self.percentile(0.99)?,
            p999: self.percentile(0.999)?,
            max: self.max,
        })
    }

    /// What was counted since `earlier`. The maximum of the window is exact where it is a new one, else the bound of
    /// the highest bucket that grew.
    #[must_use]
    pub fn delta(&self, earlier: &Self) -> Self {
        let mut out = Self::default();
        let mut top = None;
        for (bucket, ((count, now), then)) in out.counts.iter_mut().zip(&self.counts).zip(&earlier.counts).enumerate() {
            *count = now.saturating_sub(*then);
            if *count > 0 {
                top = Some(bucket);
            }
        }
        out.max = match top {
            None => 0,
            Some(_) if self.max > earlier.max => self.max,
            Some(bucket) => Self::upper(bucket).min(self.max),
        };
        out
    }

    /// Adds the counts of another worker.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max = self.max.max(other.max);
    }
}

/// Readings of a histogram, in TSC cycles; each at most 25 % high, the maximum exact unless it fell in an earlier window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_the_documented_bounds() {
        assert_eq!(BurstHistogram::bucket(63), 0);
        assert_eq!(BurstHistogram::bucket(64), 1);
        assert_eq!(BurstHistogram::bucket(79), 1);
        assert_eq!(BurstHistogram::bucket(80), 2);
        assert_eq!(BurstHistogram::bucket((1 << 24) - 1), BUCKETS - 2);
        assert_eq!(BurstHistogram::bucket(1 << 24), BUCKETS - 1);
        assert_eq!(BurstHistogram::bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(GapHistogram::bucket(1 << 14), 1);
    }

    #[test]
    fn an_empty_histogram_has_no_percentile() {
        assert_eq!(BurstHistogram::default().percentile(0.5), None);
        assert_eq!(BurstHistogram::default().summary(), None);
    }

    #[test]
    fn a_window_without_a_new_maximum_reports_the_bound_of_its_highest_bucket() {
        let mut h = BurstHistogram::default();
        h.record(1_000_000);
        let earlier = h.clone();
        h.record(1000);
        let window = h.delta(&earlier);
        assert_eq!(window.len(), 1);
        assert_eq!(window.max(), 1023);
        h.record(2_000_000);
        assert_eq!(h.delta(&earlier).max(), 2_000_000);
        assert_eq!(h.delta(&h.clone()).max(), 0);
    }

    proptest! {
        #[test]
        fn a_reading_is_at_most_a_quarter_high(mut values in prop::collection::vec(64_u64..1 << 24, 1..200), q in 0.0..1.0_f64) {
            let mut h = BurstHistogram::default();
            for v in &values {
                h.record(*v);
            }
            values.sort_unstable();
            let rank = values.len() as f64 * q;
            let exact = *values.iter().enumerate().find(|(i, _)| (i + 1) as f64 >= rank).unwrap().1;
            let read = h.percentile(q).unwrap();
            prop_assert!(read >= exact && read <= exact + exact / 4, "exact {exact}, read {read}");
            prop_assert!(read <= h.max());
        }

        #[test]
        fn every_value_lies_within_its_bucket(v: u64) {
            let b = BurstHistogram::bucket(v);
            prop_assert!(v <= BurstHistogram::upper(b));
            prop_assert!(b == 0 || v > BurstHistogram::upper(b - 1));
        }
    }
}
