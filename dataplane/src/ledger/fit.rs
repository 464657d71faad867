//! The cost line `y = c_f + c_p·n`: fixed cycles of a burst and cycles of each of its packets.

use serde::{Deserialize, Serialize};

use super::counters::LedgerCounters;

/// Burst sizes needed before a line is shown: two points always lie on one.
pub const MIN_SIZES: usize = 3;
/// Bursts needed of each of these sizes.
pub const MIN_BURSTS: u64 = 1000;
/// Sampled bursts needed of each size for the line of one stage.
pub const MIN_STAGE_SAMPLES: u64 = 100;

/// Mean cycles of the bursts of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Packets in the burst.
    pub packets: f64,
    /// Mean cycles of such a burst.
    pub cycles: f64,
    /// Number of bursts behind the mean.
    pub weight: f64,
}

/// A weighted least-squares line over burst sizes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Cycles per burst, whatever its size.
    pub c_f: f64,
    /// Cycles per packet.
    pub c_p: f64,
    /// Standard error of `c_f`, from the scatter of the means about the line; `None` with two points.
    pub c_f_standard_error: Option<f64>,
    /// Standard error of `c_p`.
    pub c_p_standard_error: Option<f64>,
    /// Part of the variance between burst sizes that the line explains; `None` where there is no variance.
    pub r_squared: Option<f64>,
    /// Burst sizes used.
    pub sizes: usize,
    /// Bursts used.
    pub bursts: u64,
}

/// Why there is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitUnknown {
    /// The load has not shown enough burst sizes often enough.
    #[error(
        "unknown: {sizes} of {MIN_SIZES} burst sizes have {MIN_BURSTS} bursts each; vary the load or the configured burst"
    )]
    TooFewSizes {
        /// Sizes that have enough bursts.
        sizes: usize,
    },
    /// All points at one size, or no weight.
    #[error("unknown: the burst sizes do not differ")]
    Degenerate,
}

impl Fit {
    /// Line over all busy cycles, flushes included, from every size with at least [`MIN_BURSTS`] bursts. Stolen bursts
    /// are left out, which trims the means of the only outliers that matter.
    ///
    /// # Errors
    /// [`FitUnknown`] until at least [`MIN_SIZES`] sizes qualify.
    pub fn of_busy(counters: &LedgerCounters) -> Result<Self, FitUnknown> {
        let points =
            counters.busy.iter().enumerate().map(|(size, cycles)| (size, *cycles, counters.timed_bursts(size)));
        Self::of_sums(points, MIN_BURSTS)
    }

    /// Line of one row, from sizes with at least [`MIN_STAGE_SAMPLES`] sampled bursts. Flushes of whole rounds are
    /// not sampled by size and therefore not part of the line of `tx`.
    ///
    /// # Errors
    /// [`FitUnknown`] until at least [`MIN_SIZES`] sizes qualify, or where there is no such row.
    pub fn of_row(counters: &LedgerCounters, row: usize) -> Result<Self, FitUnknown> {
        let row = counters.rows.get(row).ok_or(FitUnknown::TooFewSizes { sizes: 0 })?;
        let sums = row.cycles.iter().zip(&counters.sampled_bursts).enumerate();
        Self::of_sums(sums.map(|(size, (cycles, samples))| (size, *cycles, *samples)), MIN_STAGE_SAMPLES)
    }

    /// `(size, sum of cycles, bursts)`; size 0 has no place on the line.
    fn of_sums(sums: impl Iterator<Item = (usize, u64, u64)>, least: u64) -> Result<Self, FitUnknown> {
        let points: Vec<Point> = sums
            .filter(|(size, _, bursts)| *size > 0 && *bursts >= least)
            .map(|(size, cycles, bursts)| Point {
                packets: size as f64,
                cycles: cycles as f64 / bursts as f64,
                weight: bursts as f64,
            })
            .collect();
        if points.len() < MIN_SIZES {
            return Err(FitUnknown::TooFewSizes { sizes: points.len() });
        }
        Self::through(&points).ok_or(FitUnknown::Degenerate)
    }

    /// Weighted least squares through any two or more points of different sizes; centred, so that it loses no digits.
    pub fn through(points: &[Point]) -> Option<Self> {
        let weight: f64 = points.iter().map(|p| p.weight).sum();
        if weight <= 0.0 {
            return None;
        }
        let mean = |of: fn(&Point) -> f64| points.iter().map(|p| p.weight * of(p)).sum::<f64>() / weight;
        let (mean_n, mean_y) = (mean(|p| p.packets), mean(|p| p.cycles));
        let (mut s_nn, mut s_ny, mut s_yy) = (0.0, 0.0, 0.0);
        for p in points {
            let (dn, dy) = (p.packets - mean_n, p.cycles - mean_y);
            s_nn += p.weight * dn * dn;
            s_ny += p.weight * dn * dy;
            s_yy += p.weight * dy * dy;
        }
        if s_nn <= 0.0 {
            return None;
        }
        let c_p = s_ny / s_nn;
        let c_f = mean_y - c_p * mean_n;
        let residual: f64 = points.iter().map(|p| p.weight * (p.cycles - c_f - c_p * p.packets).powi(2)).sum();
        let variance = (points.len() > 2).then(|| residual / (points.len() - 2) as f64);
        Some(Self {
            c_f,
            c_p,
            c_f_standard_error: variance.map(|v| (v * (1.0 / weight + mean_n * mean_n / s_nn)).sqrt()),
            c_p_standard_error: variance.map(|v| (v / s_nn).sqrt()),
            r_squared: (s_yy > 0.0).then(|| (1.0 - residual / s_yy).clamp(0.0, 1.0)),
            sizes: points.len(),
            bursts: points.iter().map(|p| p.weight as i64).sum::<i64>().unsigned_abs(),
        })
    }

    /// Packets per second that one core of `hz` cycles per second carries at bursts of `burst`:
    /// `λ_max = f·b/(c_f + b·c_p)`. `None` where the line has no positive cost at that size.
    pub fn lambda_max_pps(&self, hz: f64, burst: f64) -> Option<f64> {
        let cycles = self.c_f + burst * self.c_p;
        (cycles > 0.0 && burst > 0.0).then(|| hz * burst / cycles)
    }

    /// Burst size at which the loop settles under `lambda` packets per second, fluid approximation
    /// `n* = λ·c_f/(f − λ·c_p)`, good from three packets up; `None` beyond capacity.
    pub fn settled_burst(&self, hz: f64, lambda: f64) -> Option<f64> {
        let spare = hz - lambda * self.c_p;
        (spare > 0.0).then(|| lambda * self.c_f / spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, LedgerConfig};

    fn point(packets: f64, cycles: f64) -> Point {
        Point { packets, cycles, weight: 1.0 }
    }

    fn close(a: f64, b: f64, relative: f64) -> bool {
        (a - b).abs() <= relative * b.abs()
    }

    #[test]
    fn two_published_points_of_a_rust_driver_give_its_line() {
        // ixy.rs, E3-1230 v3: 100 cycles per packet at batch 32, 120 at batch 8; C: 94 and 108.
        let rust = Fit::through(&[point(32.0, 3200.0), point(8.0, 960.0)]).unwrap();
        assert!(close(rust.c_p, 93.333, 1e-4) && close(rust.c_f, 213.33, 1e-4), "{rust:?}");
        assert_eq!(rust.c_p_standard_error, None);
        let c = Fit::through(&[point(32.0, 32.0 * 94.0), point(8.0, 8.0 * 108.0)]).unwrap();
        assert!(close(c.c_p, 89.33, 1e-3) && close(c.c_f, 149.33, 1e-3), "{c:?}");
    }

    #[test]
    fn capacity_and_settled_burst_match_the_poll_mode_model() {
        let line = Fit::through(&[point(1.0, 300.0), point(2.0, 400.0), point(3.0, 500.0)]).unwrap();
        assert!(close(line.lambda_max_pps(2.3e9, 32.0).unwrap(), 21.647e6, 1e-4));
        for (mpps, burst) in [(15.0, 3.75), (18.0, 7.20), (20.0, 13.33), (21.0, 21.0)] {
            assert!(close(line.settled_burst(2.3e9, mpps * 1e6).unwrap(), burst, 2e-3), "{mpps}");
        }
        assert_eq!(line.settled_burst(2.3e9, 23.1e6), None);
    }

    #[test]
    fn errors_and_r_squared_match_a_worked_example() {
        // n = 1..5, y = 2.2, 4.1, 6.0, 8.3, 9.9: slope 1.96, intercept 0.22, residuals 0.02, −0.04, −0.10,
        // 0.24, −0.12, whose squares sum to 0.084; Σ(y − 6.1)² = 38.5.
        let y = [2.2, 4.1, 6.0, 8.3, 9.9];
        let points: Vec<Point> = y.iter().zip(1_u32..).map(|(y, n)| point(f64::from(n), *y)).collect();
        let fit = Fit::through(&points).unwrap();
        assert!(close(fit.c_p, 1.96, 1e-9) && close(fit.c_f, 0.22, 1e-6), "{fit:?}");
        // s² = 0.084/3; SE(c_p)² = s²/10; SE(c_f)² = s²·(1/5 + 9/10).
        assert!(close(fit.c_p_standard_error.unwrap().powi(2), 0.0028, 1e-6), "{fit:?}");
        assert!(close(fit.c_f_standard_error.unwrap().powi(2), 0.0308, 1e-6), "{fit:?}");
        assert!(close(fit.r_squared.unwrap(), 1.0 - 0.084 / 38.5, 1e-9), "{fit:?}");
    }

    #[test]
    fn one_size_has_no_line() {
        assert_eq!(Fit::through(&[point(8.0, 1.0), point(8.0, 2.0)]), None);
        assert_eq!(Fit::through(&[]), None);
    }

    #[test]
    fn the_line_is_unknown_until_three_sizes_have_a_thousand_bursts() {
        let mut ledger = Ledger::new(&[], &LedgerConfig::new(2_300_000_000)).unwrap();
        let mut now = 1;
        ledger.start(now);
        let mut burst = |ledger: &mut Ledger, n: u64| {
            now += 213 + 93 * n;
            ledger.close_burst(0, n as usize, now);
        };
        for _ in 0..1000 {
            burst(&mut ledger, 1);
            burst(&mut ledger, 8);
        }
        for _ in 0..999 {
            burst(&mut ledger, 32);
        }
        assert_eq!(Fit::of_busy(&ledger.counters()), Err(FitUnknown::TooFewSizes { sizes: 2 }));
        burst(&mut ledger, 32);
        let fit = Fit::of_busy(&ledger.counters()).unwrap();
        assert!(close(fit.c_f, 213.0, 1e-9) && close(fit.c_p, 93.0, 1e-9), "{fit:?}");
        assert_eq!((fit.sizes, fit.bursts), (3, 3000));
        assert!(close(fit.r_squared.unwrap(), 1.0, 1e-9));
    }
}
