//! What a ledger has counted: plain numbers, copied between rounds, subtracted for a window, added over workers.

use super::account::{Account, BURST_SLOTS, LedgerConfig, Level, Row, RowSpec};
use super::histogram::{BurstHistogram, GapHistogram};
use super::ledger::Ledger;
use super::stages::RowCounters;

/// Costs of the bursts that came from one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Packets received.
    pub packets: u64,
    /// Bursts received.
    pub bursts: u64,
    /// Busy cycles of these bursts, shares of flushes included, stolen intervals not.
    pub cycles: u64,
}

impl Bill {
    fn delta(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bursts: self.bursts.saturating_sub(earlier.bursts),
            cycles: self.cycles.saturating_sub(earlier.cycles),
        }
    }
}

/// Numbers indexed by the size of the receive burst, `0..=64`.
pub type PerSize = [u64; BURST_SLOTS];

/// The raw state of one ledger, of a window of it, or of several added up.
///
/// `elapsed_cycles` comes from the first and the last stamp alone and is independent of the accounts: their equality
/// is the closure check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerCounters {
    /// Workers added up.
    pub workers: u64,
    /// Level at the time of the copy.
    pub level: Level,
    /// Sample interval at the time of the copy.
    pub sample_interval: u32,
    /// Gap threshold at the time of the copy.
    pub gap_threshold_cycles: u64,
    /// Last stamp minus first stamp.
    pub elapsed_cycles: u64,
    /// Cycles by [`Account`]; the entry of `busy` stays 0, its cycles are in `busy`.
    pub accounts: [u64; Account::COUNT],
    /// Busy cycles by burst size, shares of flushes included.
    pub busy: PerSize,
    /// Bursts received, by size.
    pub bursts: PerSize,
    /// Bursts whose interval was stolen, by size: they have no busy cycles.
    pub stolen_bursts: PerSize,
    /// Bursts with stage stamps that were kept, by size.
    pub sampled_bursts: PerSize,
    /// Cycles of flushes of a whole round, part of `busy`; all of them belong to the `tx` row.
    pub flush_cycles: u64,
    /// Packets received.
    pub packets: u64,
    /// Polls that returned nothing.
    pub empty_polls: u64,
    /// Intervals booked to `stolen`.
    pub stolen_intervals: u64,
    /// Calibrated cost of one stamp.
    pub stamp_cost_cycles: u64,
    /// Cycles of a burst between loop stamps, without the flush of a round.
    pub burst_histogram: BurstHistogram,
    /// Lengths of the stolen intervals.
    pub gap_histogram: GapHistogram,
    /// Names and kinds of the rows.
    pub specs: Box<[RowSpec]>,
    /// Counters of the rows, in the order of `specs`.
    pub rows: Box<[RowCounters]>,
    /// Bills by port index; the last is shared by all ports beyond the capacity.
    pub bills: Box<[Bill]>,
}

impl LedgerCounters {
    /// Zeroes, for the fixed rows and `stages`, with the capacities of `config`.
    pub(super) fn new(stages: &[RowSpec], config: &LedgerConfig) -> Self {
        let specs: Box<[RowSpec]> = Row::FIXED.iter().chain(stages).copied().collect();
        Self {
            workers: 1,
            level: config.level,
            sample_interval: config.sample_interval,
            gap_threshold_cycles: config.gap_threshold_cycles,
            elapsed_cycles: 0,
            accounts: [0; Account::COUNT],
            busy: [0; BURST_SLOTS],
            bursts: [0; BURST_SLOTS],
            stolen_bursts: [0; BURST_SLOTS],
            sampled_bursts: [0; BURST_SLOTS],
            flush_cycles: 0,
            packets: 0,
            empty_polls: 0,
            stolen_intervals: 0,
            stamp_cost_cycles: config.stamp_cost_cycles,
            burst_histogram: BurstHistogram::default(),
            gap_histogram: GapHistogram::default(),
            rows: vec![RowCounters::default(); specs.len()].into_boxed_slice(),
            specs,
            bills: vec![Bill::default(); config.port_capacity + 1].into_boxed_slice(),
        }
    }

    /// Takes over the state of `ledger`. Allocates nothing when both have the same rows and capacities, as a copy
    /// made by [`Ledger::counters`] of the same ledger has.
    pub fn copy_from(&mut self, ledger: &Ledger) {
        let from = ledger.raw();
        let Self { specs, rows, bills, .. } = self;
        specs.clone_from(&from.specs);
        rows.clone_from(&from.rows);
        bills.clone_from(&from.bills);
        self.copy_plain(from);
        ledger.complete(self);
    }

    /// Everything but the boxed slices.
    fn copy_plain(&mut self, from: &Self) {
        self.workers = from.workers;
        self.level = from.level;
        self.accounts = from.accounts;
        self.busy = from.busy;
        self.bursts = from.bursts;
        self.stolen_bursts = from.stolen_bursts;
        self.sampled_bursts = from.sampled_bursts;
        self.flush_cycles = from.flush_cycles;
        self.packets = from.packets;
        self.empty_polls = from.empty_polls;
        self.stolen_intervals = from.stolen_intervals;
        self.stamp_cost_cycles = from.stamp_cost_cycles;
        self.burst_histogram.clone_from(&from.burst_histogram);
        self.gap_histogram.clone_from(&from.gap_histogram);
    }

    /// Cycles of one account.
    pub fn account(&self, account: Account) -> u64 {
        match account {
            Account::Busy => self.busy.iter().sum(),
            other => self.accounts.get(other as usize).copied().unwrap_or(0),
        }
    }

    /// Sum of all accounts.
    pub fn booked_cycles(&self) -> u64 {
        Account::ALL.iter().map(|account| self.account(*account)).sum()
    }

    /// Stamped cycles minus booked cycles: 0 when the books close.
    pub fn closure_error_cycles(&self) -> i64 {
        self.elapsed_cycles.wrapping_sub(self.booked_cycles()).cast_signed()
    }

    /// Bursts of size `slot` that have busy cycles, that is without the stolen ones.
    pub fn timed_bursts(&self, slot: usize) -> u64 {
        let all = self.bursts.get(slot).copied().unwrap_or(0);
        all.saturating_sub(self.stolen_bursts.get(slot).copied().unwrap_or(0))
    }

    /// Bursts of at least one packet.
    pub fn total_bursts(&self) -> u64 {
        self.bursts.iter().skip(1).sum()
    }

    /// What was counted since `earlier`, a copy of the same ledger. Rows and bills that `earlier` did not have count
    /// from zero.
    #[must_use]
    pub fn delta(&self, earlier: &Self) -> Self {
        let mut out = self.clone();
        out.elapsed_cycles = out.elapsed_cycles.saturating_sub(earlier.elapsed_cycles);
        subtract(&mut out.accounts, &earlier.accounts);
        subtract(&mut out.busy, &earlier.busy);
        subtract(&mut out.bursts, &earlier.bursts);
        subtract(&mut out.stolen_bursts, &earlier.stolen_bursts);
        subtract(&mut out.sampled_bursts, &earlier.sampled_bursts);
        out.flush_cycles = out.flush_cycles.saturating_sub(earlier.flush_cycles);
        out.packets = out.packets.saturating_sub(earlier.packets);
        out.empty_polls = out.empty_polls.saturating_sub(earlier.empty_polls);
        out.stolen_intervals = out.stolen_intervals.saturating_sub(earlier.stolen_intervals);
        out.burst_histogram = self.burst_histogram.delta(&earlier.burst_histogram);
        out.gap_histogram = self.gap_histogram.delta(&earlier.gap_histogram);
        for (row, then) in out.rows.iter_mut().zip(&earlier.rows) {
            *row = row.delta(then);
        }
        for (bill, then) in out.bills.iter_mut().zip(&earlier.bills) {
            *bill = bill.delta(then);
        }
        out
    }

    /// Adds another worker's counters; rows are matched by name, bills by port index. The level shown is the lower one.
    pub fn merge(&mut self, other: &Self) {
        self.workers += other.workers;
        if (other.level as u8) < self.level as u8 {
            self.level = other.level;
        }
        self.elapsed_cycles += other.elapsed_cycles;
        add(&mut self.accounts, &other.accounts);
        add(&mut self.busy, &other.busy);
        add(&mut self.bursts, &other.bursts);
        add(&mut self.stolen_bursts, &other.stolen_bursts);
        add(&mut self.sampled_bursts, &other.sampled_bursts);
        self.flush_cycles += other.flush_cycles;
        self.packets += other.packets;
        self.empty_polls += other.empty_polls;
        self.stolen_intervals += other.stolen_intervals;
        self.stamp_cost_cycles = self.stamp_cost_cycles.max(other.stamp_cost_cycles);
        self.burst_histogram.merge(&other.burst_histogram);
        self.gap_histogram.merge(&other.gap_histogram);
        self.merge_rows(other);
        self.merge_bills(other);
    }

    fn merge_rows(&mut self, other: &Self) {
        for (spec, more) in other.specs.iter().zip(&other.rows) {
            let at = self.specs.iter().position(|mine| mine.name == spec.name);
            if let Some(row) = at.and_then(|at| self.rows.get_mut(at)) {
                row.merge(more);
            } else {
                self.specs = self.specs.iter().copied().chain([*spec]).collect();
                self.rows = self.rows.iter().cloned().chain([more.clone()]).collect();
            }
        }
    }

    /// The last bill of each side is the one shared by ports beyond the capacity, so it keeps its place at the end.
    fn merge_bills(&mut self, other: &Self) {
        let ports = self.bills.len().max(other.bills.len()).saturating_sub(1);
        let split = |bills: &[Bill]| {
            let (shared, own) = bills.split_last().map_or((Bill::default(), bills), |(last, own)| (*last, own));
            (shared, own.to_vec())
        };
        let ((shared, mut own), (more_shared, more)) = (split(&self.bills), split(&other.bills));
        own.resize(ports, Bill::default());
        own.push(shared);
        for (bill, more) in own.iter_mut().zip(&more) {
            add_bill(bill, more);
        }
        if let Some(last) = own.last_mut() {
            add_bill(last, &more_shared);
        }
        self.bills = own.into_boxed_slice();
    }
}

fn add_bill(bill: &mut Bill, more: &Bill) {
    bill.packets += more.packets;
    bill.bursts += more.bursts;
    bill.cycles += more.cycles;
}

pub(super) fn add(to: &mut [u64], more: &[u64]) {
    for (value, more) in to.iter_mut().zip(more) {
        *value += more;
    }
}

pub(super) fn subtract(from: &mut [u64], earlier: &[u64]) {
    for (value, earlier) in from.iter_mut().zip(earlier) {
        *value = value.saturating_sub(*earlier);
    }
}
