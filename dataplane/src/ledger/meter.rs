//! A ledger with its clock: reads the clock only where the level asks for a stamp.
//!
//! The worker's loop calls the meter without looking at the level; at `off` the one read is that of
//! [`Meter::end_round`]. Tests drive the same loop with a clock that counts its reads.

use super::account::{Account, Level, Measure, Row};
use super::ledger::Ledger;

/// A source of TSC values. Any `Fn() -> u64` is one.
pub trait Clock {
    /// Present value of the counter.
    fn now(&self) -> u64;
}

impl<F: Fn() -> u64> Clock for F {
    #[inline(always)]
    fn now(&self) -> u64 {
        self()
    }
}

/// A [`Ledger`] and the [`Clock`] it is stamped with.
#[derive(Debug)]
pub struct Meter<C> {
    /// The ledger; for copies, level changes and everything that is not stamped.
    pub ledger: Ledger,
    clock: C,
    /// Last stamp before the present round.
    round_start: u64,
}

impl<C: Clock> Meter<C> {
    /// Joins a ledger and a clock, and sets the first stamp.
    pub fn new(mut ledger: Ledger, clock: C) -> Self {
        let round_start = clock.now();
        ledger.start(round_start);
        Self { ledger, clock, round_start }
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Whether intervals are stamped.
    #[inline]
    fn on(&self) -> bool {
        self.ledger.level() != Level::Off
    }

    /// See [`Ledger::begin_round`].
    #[inline]
    pub fn begin_round(&mut self) {
        self.round_start = self.ledger.last();
        self.ledger.begin_round();
    }

    /// See [`Ledger::sample_next`].
    #[inline]
    pub fn sample_next(&mut self) -> bool {
        self.ledger.sample_next()
    }

    /// Ends a stage run. `SAMPLED` is the answer of [`Meter::sample_next`], made a constant so that the graph's
    /// unsampled copy holds no trace of stamps; see [`Ledger::stage`] and [`Ledger::visit`].
    #[inline]
    pub fn stage<const SAMPLED: bool>(&mut self, row: Row, packets: usize) {
        if SAMPLED {
            self.ledger.stage(row, packets, self.clock.now());
        } else if self.on() {
            self.ledger.visit(row, packets);
        }
    }

    /// See [`Ledger::close_empty`].
    #[inline]
    pub fn close_empty(&mut self) {
        if self.on() {
            self.ledger.close_empty(self.clock.now());
        }
    }

    /// See [`Ledger::close_burst`].
    #[inline]
    pub fn close_burst(&mut self, port: u16, packets: usize) {
        if self.on() {
            self.ledger.close_burst(port, packets, self.clock.now());
        } else {
            self.ledger.count_burst(packets);
        }
    }

    /// See [`Ledger::close_whole_burst`].
    #[inline]
    pub fn close_whole_burst(&mut self, port: u16, packets: usize) {
        if self.on() {
            self.ledger.close_whole_burst(port, packets, self.clock.now());
        } else {
            self.ledger.count_burst(packets);
        }
    }

    /// See [`Ledger::close_flush`].
    #[inline]
    pub fn close_flush(&mut self, sent: usize) {
        if self.on() {
            self.ledger.close_flush(sent, self.clock.now());
        }
    }

    /// See [`Ledger::close`].
    #[inline]
    pub fn close(&mut self, account: Account) {
        if self.on() {
            self.ledger.close(account, self.clock.now());
        }
    }

    /// End of a poll round: the only stamp of level `off`. At the others it stamps only a round that nothing else
    /// did, as that of a worker without queues, so that time never stands still.
    #[inline]
    pub fn end_round(&mut self) {
        if !self.on() {
            self.ledger.tick(self.clock.now());
        } else if self.ledger.last() == self.round_start {
            self.ledger.close(Account::Empty, self.clock.now());
        }
    }

    /// See [`Ledger::measure`].
    pub fn measure(&mut self, measure: Measure) {
        let now = self.clock.now();
        self.ledger.measure(measure, now);
    }
}
