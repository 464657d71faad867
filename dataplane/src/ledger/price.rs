//! What the instrument itself costs: one stamp, and the whole sampled ledger against none.

use serde::{Deserialize, Serialize};

/// Pairs of back-to-back reads used to calibrate a stamp.
const STAMP_READS: usize = 10_001;

/// Cost of one time stamp: the median distance of back-to-back reads of `clock`, in its own cycles. The median, since
/// a single preemption is worth a hundred thousand stamps.
pub fn stamp_cost(mut clock: impl FnMut() -> u64) -> u64 {
    let mut deltas: Vec<u64> = Vec::with_capacity(STAMP_READS);
    let mut last = clock();
    for _ in 0..STAMP_READS {
        let now = clock();
        deltas.push(now.saturating_sub(last));
        last = now;
    }
    let middle = deltas.len() / 2;
    *deltas.select_nth_unstable(middle).1
}

/// Price of the ledger from alternating runs without and with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedOverhead {
    /// Pairs used.
    pub pairs: usize,
    /// Median of `with ÷ without − 1`; 0.01 is one per cent.
    pub median: f64,
    /// Lower end of the confidence interval of the median.
    pub low: f64,
    /// Upper end of the confidence interval of the median.
    pub high: f64,
    /// Confidence actually reached by the interval, at least 0.95.
    pub confidence: f64,
}

/// Why a price could not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// An interval from fewer pairs would be too wide to say anything.
    #[error("the price of the instrument needs at least {needed} pairs of runs, {given} were measured: measure longer")]
    TooFewPairs {
        /// Pairs measured.
        given: usize,
        /// Pairs needed.
        needed: usize,
    },
    /// A cost that is not a positive number.
    #[error("pair {index} of the price measurement holds a cost that is not positive: no packets in that run?")]
    NotPositive {
        /// Position of the pair, from 0.
        index: usize,
    },
}

impl PairedOverhead {
    /// Fewest pairs accepted.
    pub const MIN_PAIRS: usize = 21;

    /// Price from pairs of `(cost without, cost with)`, both in the same unit (cycles per packet), each pair measured
    /// one after the other so that slow drifts cancel.
    ///
    /// The interval is that of the sign test: the k-th smallest and k-th largest ratio, with the largest k whose
    /// confidence `1 − 2·P(Bin(n, ½) < k)` is at least 95 %. It assumes nothing about the distribution.
    ///
    /// # Errors
    /// Fewer than [`PairedOverhead::MIN_PAIRS`] pairs, or a cost that is not positive and finite.
    pub fn from_pairs(pairs: &[(f64, f64)]) -> Result<Self, PriceError> {
        if pairs.len() < Self::MIN_PAIRS {
            return Err(PriceError::TooFewPairs { given: pairs.len(), needed: Self::MIN_PAIRS });
        }
        let good = |cost: f64| cost.is_finite() && cost > 0.0;
        if let Some(index) = pairs.iter().position(|(without, with)| !good(*without) || !good(*with)) {
            return Err(PriceError::NotPositive { index });
        }
        let mut ratios: Vec<f64> = pairs.iter().map(|(without, with)| with / without - 1.0).collect();
        ratios.sort_by(f64::total_cmp);
        let n = ratios.len();
        let (k, confidence) = sign_test_rank(n);
        let at = |index: usize| ratios.get(index).copied().unwrap_or(f64::NAN);
        let median = f64::midpoint(at((n - 1) / 2), at(n / 2));
        Ok(Self { pairs: n, median, low: at(k - 1), high: at(n - k), confidence })
    }
}

/// Largest rank k ≥ 1 with `1 − 2·P(Bin(n, ½) ≤ k − 1) ≥ 0.95`, and that confidence.
fn sign_test_rank(n: usize) -> (usize, f64) {
    // P(Bin = i), from i = 0 in logarithms so that 2^-n does not vanish for thousands of pairs.
    let mut log_p = -(n as f64) * std::f64::consts::LN_2;
    let mut below = log_p.exp();
    let (mut k, mut confidence) = (1, 1.0 - 2.0 * below);
    for i in 1..n / 2 {
        log_p += ((n - i + 1) as f64 / i as f64).ln();
        below += log_p.exp();
        if 1.0 - 2.0 * below < 0.95 {
            break;
        }
        (k, confidence) = (i + 1, 1.0 - 2.0 * below);
    }
    (k, confidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_costs_the_median_distance_and_ignores_preemption() {
        let mut now = 0;
        let mut reads = 0_u64;
        let cost = stamp_cost(|| {
            reads += 1;
            now += if reads.is_multiple_of(100) { 1_000_000 } else { 22 };
            now
        });
        assert_eq!(cost, 22);
    }

    #[test]
    fn ranks_match_the_published_sign_test_table() {
        // n → k of the 95 % interval for a median: 21 → 6, 25 → 8, 30 → 10, 40 → 14, 50 → 18.
        for (n, k) in [(21, 6), (25, 8), (30, 10), (40, 14), (50, 18)] {
            assert_eq!(sign_test_rank(n).0, k, "n = {n}");
        }
        let (_, confidence) = sign_test_rank(21);
        assert!((confidence - 0.973_397).abs() < 1e-6, "{confidence}");
    }

    #[test]
    fn the_price_is_the_paired_median_within_its_interval() {
        // Ratios 0.000, 0.001 … 0.020 on a base that drifts: the drift cancels within each pair.
        let pairs: Vec<(f64, f64)> = (0..21_u32)
            .rev()
            .map(|i| (100.0 + f64::from(i), (100.0 + f64::from(i)) * (1.0 + f64::from(i) / 1000.0)))
            .collect();
        let price = PairedOverhead::from_pairs(&pairs).unwrap();
        assert!((price.median - 0.010).abs() < 1e-12);
        assert!((price.low - 0.005).abs() < 1e-12);
        assert!((price.high - 0.015).abs() < 1e-12);
        assert!(price.confidence >= 0.95);
    }

    #[test]
    fn too_few_or_senseless_pairs_are_refused() {
        let twenty = vec![(1.0, 1.0); 20];
        assert_eq!(PairedOverhead::from_pairs(&twenty), Err(PriceError::TooFewPairs { given: 20, needed: 21 }));
        let mut pairs = vec![(1.0, 1.0); 21];
        pairs[3].0 = 0.0;
        assert_eq!(PairedOverhead::from_pairs(&pairs), Err(PriceError::NotPositive { index: 3 }));
    }
}
