//! Splitting the busy cycles over the stages.
//!
//! Per burst size the mean over the sampled bursts is scaled to the exact number of bursts of that size: unbiased,
//! because a burst is chosen before its size is known. The estimates are then apportioned to the busy cycles, which
//! are exact, so the rows sum to them; the factor between the two is shown and should be close to 1.

use super::account::{BURST_SLOTS, Row};
use super::counters::{LedgerCounters, PerSize, add, subtract};

/// Counters of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowCounters {
    /// Runs, exact.
    pub calls: u64,
    /// Packets over all runs, exact.
    pub packets: u64,
    /// Cycles in sampled bursts, by size of the received burst.
    pub cycles: PerSize,
    /// Sampled bursts in which this row ran, by size of the received burst.
    pub samples: PerSize,
}

impl Default for RowCounters {
    fn default() -> Self {
        Self { calls: 0, packets: 0, cycles: [0; BURST_SLOTS], samples: [0; BURST_SLOTS] }
    }
}

impl RowCounters {
    pub(super) fn delta(&self, earlier: &Self) -> Self {
        let mut out = self.clone();
        out.calls = out.calls.saturating_sub(earlier.calls);
        out.packets = out.packets.saturating_sub(earlier.packets);
        subtract(&mut out.cycles, &earlier.cycles);
        subtract(&mut out.samples, &earlier.samples);
        out
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.packets += other.packets;
        add(&mut self.cycles, &other.cycles);
        add(&mut self.samples, &other.samples);
    }
}

/// Busy cycles by row.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSplit {
    /// Cycles of each row, in the order of the counters' rows; sums to the busy account exactly.
    pub cycles: Vec<u64>,
    /// Measured busy cycles (without flushes) ÷ scaled samples; exactly 1 at level `full`.
    pub scale: f64,
    /// Part of these busy cycles that lies in burst sizes of which at least one burst was sampled.
    pub coverage: f64,
}

impl StageSplit {
    /// The split of `counters`, or `None` while there are busy cycles but no sample to split them by.
    pub fn new(counters: &LedgerCounters) -> Option<Self> {
        let busy: u64 = counters.busy.iter().sum();
        // Flushes of a round are measured, not estimated: they are taken out first and given to `tx` last.
        let direct = busy.saturating_sub(counters.flush_cycles);
        let estimates: Vec<u64> = counters.rows.iter().map(|row| estimate(row, counters)).collect();
        let estimated: u128 = estimates.iter().map(|cycles| u128::from(*cycles)).sum();
        if direct > 0 && estimated == 0 {
            return None;
        }
        let mut cycles = apportion(direct, &estimates);
        if let Some(tx) = cycles.get_mut(Row::TX.index()) {
            *tx += busy - direct;
        }
        let scale = if estimated == 0 { 1.0 } else { direct as f64 / estimated as f64 };
        Some(Self { cycles, scale, coverage: coverage(counters, busy) })
    }
}

/// Σ over sizes of: mean cycles of the sampled bursts × number of timed bursts.
fn estimate(row: &RowCounters, counters: &LedgerCounters) -> u64 {
    let mut sum = 0_u128;
    for (slot, (cycles, sampled)) in row.cycles.iter().zip(&counters.sampled_bursts).enumerate() {
        if *sampled > 0 {
            sum += u128::from(*cycles) * u128::from(counters.timed_bursts(slot)) / u128::from(*sampled);
        }
    }
    u64::try_from(sum).unwrap_or(u64::MAX)
}

fn coverage(counters: &LedgerCounters, busy: u64) -> f64 {
    if busy == 0 {
        return 1.0;
    }
    let sampled = counters.busy.iter().zip(&counters.sampled_bursts).filter(|(_, samples)| **samples > 0);
    sampled.map(|(cycles, _)| *cycles).sum::<u64>() as f64 / busy as f64
}

/// Splits `total` in proportion to `weights` into integers that sum to it: floors first, then one each to the
/// largest remainders, ties to the earlier. Without any weight all goes to the row `loop` (or the last there is).
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut parts = vec![0; weights.len()];
    if sum == 0 {
        let at = Row::LOOP.index().min(weights.len().saturating_sub(1));
        if let Some(part) = parts.get_mut(at) {
            *part = total;
        }
        return parts;
    }
    let mut remainders = Vec::with_capacity(weights.len());
    let mut given = 0_u64;
    for (at, (part, weight)) in parts.iter_mut().zip(weights).enumerate() {
        let product = u128::from(total) * u128::from(*weight);
        // weight ≤ sum, so the quotient is at most `total`.
        *part = (product / sum) as u64;
        given += *part;
        remainders.push((product % sum, at));
    }
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, at) in remainders.iter().take((total - given) as usize) {
        if let Some(part) = parts.get_mut(*at) {
            *part += 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_remainder_gets_the_odd_cycle() {
        assert_eq!(apportion(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(apportion(10, &[5, 1, 1]), [7, 2, 1]);
        assert_eq!(apportion(7, &[0, 0, 0, 0]), [0, 0, 7, 0]);
        assert_eq!(apportion(5, &[]), Vec::<u64>::new());
    }

    proptest! {
        #[test]
        fn parts_sum_exactly_and_are_within_one_of_their_share(
            total in 0..u64::MAX, weights in prop::collection::vec(0..u64::MAX, 1..20)
        ) {
            let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
            let parts = apportion(total, &weights);
            prop_assert_eq!(parts.iter().map(|p| u128::from(*p)).sum::<u128>(), u128::from(total));
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = (u128::from(total) * u128::from(*weight)).checked_div(sum).unwrap_or(0) as u64;
                prop_assert!(sum == 0 || *part == floor || *part == floor + 1);
            }
        }
    }
}
