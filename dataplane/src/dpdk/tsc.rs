//! The time-stamp counter: the clock of the ledger.

use std::hint::black_box;
use std::time::Duration;

use overlay::num::Nanos;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("weir's ledger reads the x86-64 time-stamp counter; other processors are not supported yet");

/// The counter, in ticks. Not serialising: instructions around it may move a few ticks across.
#[inline(always)]
pub fn rdtsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets user space execute it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Converts between ticks and nanoseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TscClock {
    hz: u64,
    /// Nanoseconds a tick, times 2³².
    nanos_per_tick: u64,
    /// Ticks a nanosecond, times 2³².
    ticks_per_nano: u64,
}

impl TscClock {
    /// A clock of `hz` ticks a second.
    pub fn new(hz: u64) -> Self {
        let hz = hz.max(1);
        let giga = 1_000_000_000_u128;
        Self {
            hz,
            nanos_per_tick: ((giga << 32) / u128::from(hz)) as u64,
            ticks_per_nano: ((u128::from(hz) << 32) / giga) as u64,
        }
    }

    /// Ticks a second.
    #[inline]
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// Ticks as nanoseconds, rounded down.
    #[inline]
    pub const fn to_nanos(&self, ticks: u64) -> Nanos {
        Nanos(((ticks as u128 * self.nanos_per_tick as u128) >> 32) as u64)
    }

    /// Nanoseconds as ticks, rounded down.
    #[inline]
    pub const fn to_ticks(&self, nanos: Nanos) -> u64 {
        ((nanos.0 as u128 * self.ticks_per_nano as u128) >> 32) as u64
    }
}

/// CLOCK_MONOTONIC_RAW, which nobody slews.
pub fn monotonic_raw() -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable, and the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &raw mut time) };
    Nanos(time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs())
}

/// Both clocks at one moment: the closest of several attempts, so that a preemption between the reads does no harm.
pub fn both_clocks() -> (u64, Nanos) {
    let mut best = (u64::MAX, 0, Nanos(0));
    for _ in 0..64 {
        let before = rdtsc();
        let nanos = monotonic_raw();
        let after = rdtsc();
        let width = after.wrapping_sub(before);
        if width < best.0 {
            best = (width, before + width / 2, nanos);
        }
    }
    (best.1, best.2)
}

/// Measures the counter's frequency against CLOCK_MONOTONIC_RAW for `duration`, sleeping. A hundred milliseconds give an
/// error below 10⁻⁶.
pub fn calibrate(duration: Duration) -> TscClock {
    let (first_tick, first) = both_clocks();
    std::thread::sleep(duration.max(Duration::from_millis(1)));
    let (last_tick, last) = both_clocks();
    let ticks = u128::from(last_tick.wrapping_sub(first_tick));
    let nanos = u128::from(last.since(first).0.max(1));
    TscClock::new((ticks * 1_000_000_000 / nanos) as u64)
}

/// How many core cycles pass in one tick of the counter, by a chain of dependent additions, each of which takes exactly
/// one core cycle. The fastest of several runs, so that preemption does no harm. Takes some ten
/// milliseconds, so that a core that slept has come up to its clock.
pub fn core_cycles_per_tsc() -> f64 {
    const ADDS: u64 = 8 * 10_000;
    let mut fewest = u64::MAX;
    for _ in 0..400 {
        let mut value = black_box(1_u64);
        let step = black_box(3_u64);
        let start = rdtsc();
        for _ in 0..ADDS / 8 {
            // SAFETY: eight additions on two registers; no memory, no stack.
            unsafe {
                std::arch::asm!(
                    "add {v}, {s}", "add {v}, {s}", "add {v}, {s}", "add {v}, {s}",
                    "add {v}, {s}", "add {v}, {s}", "add {v}, {s}", "add {v}, {s}",
                    v = inout(reg) value, s = in(reg) step, options(pure, nomem, nostack)
                );
            }
        }
        let ticks = rdtsc().wrapping_sub(start);
        black_box(value);
        fewest = fewest.min(ticks);
    }
    ADDS as f64 / fewest.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_loses_no_more_than_rounding() {
        let clock = TscClock::new(2_600_000_000);
        assert!((2_599_999_999..=2_600_000_000).contains(&clock.to_ticks(Nanos(1_000_000_000))));
        assert!((999_999_999..=1_000_000_000).contains(&clock.to_nanos(2_600_000_000).0));
        for ticks in [0, 1, 26, 2_600, 2_600_000_000, 1 << 60] {
            let back = clock.to_ticks(clock.to_nanos(ticks));
            let tolerance = 3 + ticks / (1 << 30);
            assert!(ticks.abs_diff(back) <= tolerance, "{ticks} became {back}");
        }
    }

    #[test]
    fn calibration_agrees_with_itself() {
        let (one, two) = (calibrate(Duration::from_millis(50)), calibrate(Duration::from_millis(50)));
        assert!(one.hz() > 100_000_000, "{one:?}");
        assert!(one.hz().abs_diff(two.hz()) < one.hz() / 1000, "{one:?} {two:?}");
    }
}
