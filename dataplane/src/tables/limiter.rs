//! A token bucket on the TSC: one worker's, no locks.

/// Lets at most `rate` packets a second through, with bursts of up to a tenth of a second's worth (at least 32).
#[derive(Clone, Copy, Debug, Default)]
pub struct Limiter {
    /// Ticks of credit; one packet costs `tsc_hz / rate`.
    credit_ticks: u64,
    last_tsc: u64,
}

impl Limiter {
    /// Whether one more packet may pass at `now_tsc`. A rate of zero means no limit.
    #[inline]
    pub fn allow(&mut self, now_tsc: u64, tsc_hz: u64, rate_pps: u32) -> bool {
        if rate_pps == 0 {
            return true;
        }
        let cost = (tsc_hz / u64::from(rate_pps)).max(1);
        let ceiling = (tsc_hz / 10).max(cost.saturating_mul(32));
        let earned = now_tsc.saturating_sub(self.last_tsc);
        self.last_tsc = now_tsc;
        self.credit_ticks = self.credit_ticks.saturating_add(earned).min(ceiling);
        if self.credit_ticks < cost {
            return false;
        }
        self.credit_ticks -= cost;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_a_second_and_zero_is_no_limit() {
        let (hz, rate) = (1_000_000, 100);
        let mut limiter = Limiter::default();
        // Fill the bucket, empty it, then offer ten times the rate for a second.
        while limiter.allow(hz, hz, rate) {}
        let passed = (0..1000).filter(|i| limiter.allow(hz + (i + 1) * 1000, hz, rate)).count();
        assert_eq!(passed, 100);
        assert!((0..10_000).all(|_| limiter.allow(0, hz, 0)));
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_away() {
        let mut limiter = Limiter::default();
        while limiter.allow(1_000_000, 1_000_000, 10) {}
        assert!(!limiter.allow(5, 1_000_000, 10));
    }
}
