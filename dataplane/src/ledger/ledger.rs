//! The hot half: one ledger per worker, owned by it, plain numbers, called with every time stamp.
//!
//! Stamps are chained: each `close_*` books `now − last` to one account and makes `now` the start of the next
//! interval, so the sum closes by construction. Nothing here allocates, locks, reads a clock or panics.

use super::account::{Account, LedgerConfig, LedgerError, Level, MAX_BURST, MAX_ROWS, Measure, Row, RowSpec};
use super::counters::LedgerCounters;

/// One burst of the present poll round, remembered until the flush.
#[derive(Clone, Copy, Debug, Default)]
struct RoundBurst {
    port: u16,
    slot: u16,
}

/// Exact counts of one row.
#[derive(Clone, Copy, Debug, Default)]
struct Visits {
    calls: u64,
    packets: u64,
}

/// Cycle accounts of one worker. All stamps are TSC values of the worker's core.
#[derive(Debug)]
pub struct Ledger {
    first: u64,
    last: u64,
    started: bool,
    /// Latest stage stamp of the burst being sampled.
    stage_last: u64,
    stamp_cost: u64,
    gap_threshold: u64,
    level: Level,
    /// The present poll carries stage stamps.
    sampling: bool,
    /// Polls until the next sampled one.
    countdown: u32,
    sample_interval: u32,
    prng: u64,
    /// Rows touched by the sampled burst, one bit each.
    touched: u64,
    /// Cycles of the sampled burst per row, committed by `close_burst`.
    pending: [u64; MAX_ROWS],
    /// Instrument's part of the sampled burst so far.
    pending_instrument: u64,
    /// Runs and packets by row: apart from the rows' other counters, since each burst counts here and rarely there.
    visits: [Visits; MAX_ROWS],
    /// Packets of bursts above [`MAX_BURST`], as far as they are above it.
    beyond: u64,
    round: Box<[RoundBurst]>,
    round_len: usize,
    round_packets: u64,
    counters: LedgerCounters,
}

impl Ledger {
    /// A ledger for `stages` (the registry's rows, in order; see [`Row::stage`]). Allocates all it will ever need.
    ///
    /// # Errors
    /// [`LedgerError::TooManyStages`] beyond `MAX_ROWS − 3` stages.
    pub fn new(stages: &[RowSpec], config: &LedgerConfig) -> Result<Self, LedgerError> {
        let max = MAX_ROWS - Row::FIXED.len();
        if stages.len() > max {
            return Err(LedgerError::TooManyStages { given: stages.len(), max });
        }
        Ok(Self {
            first: 0,
            last: 0,
            started: false,
            stage_last: 0,
            stamp_cost: config.stamp_cost_cycles,
            gap_threshold: config.gap_threshold_cycles,
            level: config.level,
            sampling: false,
            countdown: 1,
            sample_interval: interval(config.sample_interval),
            prng: config.seed | 1,
            touched: 0,
            pending: [0; MAX_ROWS],
            pending_instrument: 0,
            visits: [Visits::default(); MAX_ROWS],
            beyond: 0,
            round: vec![RoundBurst::default(); config.round_capacity].into_boxed_slice(),
            round_len: 0,
            round_packets: 0,
            counters: LedgerCounters::new(stages, config),
        })
    }

    /// First stamp, before the loop. A second call books what passed in between to `reconfiguration`.
    pub fn start(&mut self, now: u64) {
        if self.started {
            self.close(Account::Reconfiguration, now);
        } else {
            (self.first, self.last, self.started) = (now, now, true);
        }
    }

    /// Level in force.
    #[inline]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Changes the level between rounds; the time since the last stamp is booked to `unattributed` when leaving
    /// `off`, else to `reconfiguration`.
    pub fn set_level(&mut self, level: Level, now: u64) {
        if self.level == Level::Off {
            self.tick(now);
        } else {
            self.close(Account::Reconfiguration, now);
        }
        self.level = level;
        self.counters.level = level;
    }

    /// Measures this way from now on; called between rounds. Does nothing when it does so already. The time since the
    /// last stamp is booked as by [`Ledger::set_level`], and judged by the old gap threshold; the distance to the next
    /// sample is drawn anew, so that a long one does not delay a short interval.
    pub fn measure(&mut self, measure: Measure, now: u64) {
        let sample_interval = interval(measure.sample_interval);
        if (self.level, self.sample_interval, self.gap_threshold)
            == (measure.level, sample_interval, measure.gap_threshold_cycles)
        {
            return;
        }
        self.set_level(measure.level, now);
        self.gap_threshold = measure.gap_threshold_cycles;
        if self.sample_interval != sample_interval {
            self.sample_interval = sample_interval;
            self.countdown = self.draw();
        }
    }

    /// A fresh copy of the counters, allocated; refresh it with [`LedgerCounters::copy_from`].
    pub fn counters(&self) -> LedgerCounters {
        let mut copy = self.counters.clone();
        self.complete(&mut copy);
        copy
    }

    /// Fills in a copy what the counters in place do not have.
    pub(super) fn complete(&self, copy: &mut LedgerCounters) {
        copy.elapsed_cycles = self.elapsed_cycles();
        (copy.sample_interval, copy.gap_threshold_cycles) = (self.sample_interval, self.gap_threshold);
        copy.packets = self.packets();
        for row in &mut copy.rows {
            (row.calls, row.packets) = (0, 0);
        }
        for (index, visits) in self.visits.iter().enumerate() {
            // A row that was not registered counts as `loop`.
            let index = if index < copy.rows.len() { index } else { Row::LOOP.index() };
            if let Some(row) = copy.rows.get_mut(index) {
                row.calls += visits.calls;
                row.packets += visits.packets;
            }
        }
    }

    /// The counters in place; see [`Ledger::complete`].
    pub(super) fn raw(&self) -> &LedgerCounters {
        &self.counters
    }

    /// The last stamp: the worker's present time without another read of the clock.
    #[inline]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Last stamp minus first stamp.
    pub fn elapsed_cycles(&self) -> u64 {
        self.last - self.first
    }

    /// Packets received so far, without a copy: counted by the sizes of their bursts.
    pub fn packets(&self) -> u64 {
        let sized = (0..).zip(&self.counters.bursts).map(|(size, bursts): (u64, _)| size * bursts);
        sized.sum::<u64>() + self.beyond
    }

    /// Counts a burst by its size; gives the size's place.
    #[inline]
    fn size(&mut self, packets: usize) -> usize {
        let slot = packets.min(MAX_BURST);
        self.counters.bursts[slot] += 1;
        if packets > MAX_BURST {
            self.beyond += (packets - MAX_BURST) as u64;
        }
        slot
    }

    /// Position of `row` in the arrays; a row that was not registered counts as `loop`.
    #[inline]
    fn place(&self, row: Row) -> usize {
        if row.index() < self.counters.rows.len() { row.index() } else { Row::LOOP.index() }
    }

    /// Forgets the bursts of the round before, where it ended without [`Ledger::close_flush`].
    #[inline]
    pub fn begin_round(&mut self) {
        self.round_len = 0;
        self.round_packets = 0;
    }

    /// Whether the coming poll carries stage stamps: never at `off`, always at `full`, one in N at `sampled`. Decided
    /// before the burst is received, so independent of its size; the distance between samples is drawn from
    /// `1..=2N−1`, so it cannot lock onto a pattern of queues.
    #[inline]
    pub fn sample_next(&mut self) -> bool {
        match self.level {
            Level::Off => self.sampling = false,
            Level::Full => self.open_sample(),
            Level::Sampled => {
                self.countdown = self.countdown.wrapping_sub(1);
                self.sampling = false;
                if self.countdown == 0 {
                    self.countdown = self.draw();
                    self.open_sample();
                }
            }
        }
        self.sampling
    }

    #[inline]
    fn open_sample(&mut self) {
        self.sampling = true;
        self.stage_last = self.last;
        self.drop_pending();
    }

    #[inline]
    fn drop_pending(&mut self) {
        let mut left = self.touched;
        while left != 0 {
            if let Some(cycles) = self.pending.get_mut(left.trailing_zeros() as usize) {
                *cycles = 0;
            }
            left &= left - 1;
        }
        self.touched = 0;
        self.pending_instrument = 0;
    }

    /// Distance to the next sample, uniform in `1..=2N−1` (xorshift64, mean N).
    #[inline]
    fn draw(&mut self) -> u32 {
        let mut x = self.prng;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.prng = x;
        let span = u64::from(self.sample_interval) * 2 - 1;
        1 + (((x >> 32) * span) >> 32) as u32
    }

    /// Ends a stage run of `packets` packets in a sampled burst: its row gets the time since the stamp before.
    /// Outside a sampled burst it counts the visit only.
    #[inline]
    pub fn stage(&mut self, row: Row, packets: usize, now: u64) {
        self.visit(row, packets);
        if !self.sampling {
            return;
        }
        let now = now.max(self.stage_last);
        let delta = now - self.stage_last;
        self.stage_last = now;
        let instrument = delta.min(self.stamp_cost);
        self.pending_instrument += instrument;
        let place = self.place(row);
        if let Some(cycles) = self.pending.get_mut(place) {
            *cycles += delta - instrument;
            self.touched |= 1 << place;
        }
    }

    /// Counts a stage run of `packets` packets, without its time.
    #[inline]
    pub fn visit(&mut self, row: Row, packets: usize) {
        if let Some(visits) = self.visits.get_mut(row.index()) {
            visits.calls += 1;
            visits.packets += packets as u64;
        }
    }

    /// Ends a poll that returned nothing. A stage sample of that poll is void.
    #[inline]
    pub fn close_empty(&mut self, now: u64) {
        self.counters.empty_polls += 1;
        self.close(Account::Empty, now);
    }

    /// Ends an interval that belongs to `account`. For `Busy` use [`Ledger::close_burst`]: closed here it counts as
    /// work without a received packet.
    #[inline]
    pub fn close(&mut self, account: Account, now: u64) {
        self.sampling = false;
        let delta = self.advance(now);
        if delta > self.gap_threshold && account.can_be_stolen() {
            self.book_stolen(delta);
            return;
        }
        let instrument = if account.bears_instrument() { delta.min(self.stamp_cost) } else { 0 };
        self.add(Account::Instrument, instrument);
        if account == Account::Busy {
            self.counters.busy[0] += delta - instrument;
        } else {
            self.add(account, delta - instrument);
        }
    }

    /// Time since the last stamp, which `now` becomes. A clock that went backwards gives 0.
    #[inline]
    fn advance(&mut self, now: u64) -> u64 {
        let now = now.max(self.last);
        let delta = now - self.last;
        self.last = now;
        delta
    }

    /// The end of a sampled burst cannot lie before its last stage stamp, or its parts would pass the whole.
    #[inline]
    fn not_before_stage(&self, now: u64) -> u64 {
        if self.sampling { now.max(self.stage_last) } else { now }
    }

    #[inline]
    fn add(&mut self, account: Account, cycles: u64) {
        // `account as usize` is below COUNT by the enum's definition; the compiler sees it.
        self.counters.accounts[account as usize] += cycles;
    }

    #[cold]
    #[inline(never)]
    fn book_stolen(&mut self, delta: u64) {
        self.add(Account::Stolen, delta);
        self.counters.stolen_intervals += 1;
        self.counters.gap_histogram.record(delta);
    }

    /// Ends a burst of `packets` packets received from the port of index `port`: counts it, and books its cycles to
    /// its size and to its port. Stage samples are kept here, unless the interval was stolen. The burst bears its part of the
    /// round's flush.
    #[inline]
    pub fn close_burst(&mut self, port: u16, packets: usize, now: u64) {
        if self.close_whole_burst(port, packets, now)
            && let Some(burst) = self.round.get_mut(self.round_len)
        {
            let slot = packets.min(MAX_BURST);
            *burst = RoundBurst { port, slot: slot as u16 };
            self.round_len += 1;
            self.round_packets += slot as u64;
        }
    }

    /// The same for a burst whose flush is part of it. Says whether it was booked as busy, not as stolen.
    #[inline]
    pub fn close_whole_burst(&mut self, port: u16, packets: usize, now: u64) -> bool {
        let slot = self.size(packets);
        let delta = self.advance(self.not_before_stage(now));
        let stolen = delta > self.gap_threshold;
        let instrument = if self.sampling { self.close_sample(slot, stolen) } else { delta.min(self.stamp_cost) };
        let counters = &mut self.counters;
        let shared = counters.bills.len().saturating_sub(1);
        let bill = counters.bills.get_mut(usize::from(port).min(shared));
        if stolen {
            if let Some(bill) = bill {
                bill.packets += packets as u64;
                bill.bursts += 1;
            }
            counters.stolen_bursts[slot] += 1;
            self.book_stolen(delta);
            return false;
        }
        let busy = delta - instrument;
        counters.accounts[Account::Instrument as usize] += instrument;
        counters.busy[slot] += busy;
        counters.burst_histogram.record(busy);
        if let Some(bill) = bill {
            bill.packets += packets as u64;
            bill.bursts += 1;
            bill.cycles += busy;
        }
        true
    }

    /// Ends the sample of a burst: commits it to the rows unless `stolen`. Gives the instrument's part of the burst.
    #[inline(never)]
    fn close_sample(&mut self, slot: usize, stolen: bool) -> u64 {
        self.sampling = false;
        if stolen {
            // What is pending is dropped when the next sample opens.
            return 0;
        }
        // `last` is already the end of the burst; what follows the last stage stamp is the loop's own.
        let rest = self.last.saturating_sub(self.stage_last);
        let cut = rest.min(self.stamp_cost);
        let instrument = self.pending_instrument + cut;
        self.pending[Row::LOOP.index()] += rest - cut;
        self.touched |= 1 << Row::LOOP.index();
        let mut left = self.touched;
        self.counters.sampled_bursts[slot] += 1;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            left &= left - 1;
            if let (Some(row), Some(cycles)) = (self.counters.rows.get_mut(index), self.pending.get_mut(index)) {
                row.cycles[slot] += *cycles;
                row.samples[slot] += 1;
                *cycles = 0;
            }
        }
        self.touched = 0;
        self.pending_instrument = 0;
        instrument
    }

    /// Ends the flush of a round in which `sent` packets were handed to transmit queues. Its cycles are measured
    /// exactly, belong to the row `tx`, and are split over the bursts of the round by their packets (integers, by
    /// cumulative rounding: each share is within one cycle of its part and the shares sum exactly).
    ///
    /// The row `tx` gains a call but no packets: the stage that buffered them has counted them.
    /// A flush in a round without bursts is `empty` when nothing was sent, else work of burst size 0.
    #[inline]
    pub fn close_flush(&mut self, sent: usize, now: u64) {
        if self.round_packets == 0 && sent == 0 {
            self.begin_round();
            self.close(Account::Empty, now);
            return;
        }
        self.visit(Row::TX, 0);
        self.sampling = false;
        let delta = self.advance(now);
        if delta > self.gap_threshold {
            self.begin_round();
            self.book_stolen(delta);
            return;
        }
        let instrument = delta.min(self.stamp_cost);
        self.add(Account::Instrument, instrument);
        let cycles = delta - instrument;
        self.counters.flush_cycles += cycles;
        self.split_flush(cycles);
        self.begin_round();
    }

    fn split_flush(&mut self, cycles: u64) {
        let counters = &mut self.counters;
        let total = self.round_packets;
        if total == 0 {
            counters.busy[0] += cycles;
            return;
        }
        let shared = counters.bills.len().saturating_sub(1);
        let (mut seen, mut given) = (0_u64, 0_u64);
        for burst in self.round.iter().take(self.round_len) {
            seen += u64::from(burst.slot);
            let upto = mul_div(cycles, seen, total);
            let share = upto - given;
            given = upto;
            counters.busy[usize::from(burst.slot).min(MAX_BURST)] += share;
            if let Some(bill) = counters.bills.get_mut(usize::from(burst.port).min(shared)) {
                bill.cycles += share;
            }
        }
    }

    /// Level `off`: one stamp a loop. Books the time since the last stamp, unsplit.
    #[inline]
    pub fn tick(&mut self, now: u64) {
        self.sampling = false;
        let delta = self.advance(now);
        self.add(Account::Unattributed, delta);
    }

    /// Level `off`: counts a burst without its time.
    #[inline]
    pub fn count_burst(&mut self, packets: usize) {
        self.size(packets);
    }
}

/// A sample interval that [`Ledger::draw`] can work with.
fn interval(wanted: u32) -> u32 {
    wanted.clamp(1, 1 << 20)
}

/// `a · b / d`, exact also where the product passes 64 bits; `b ≤ d`, `d > 0`.
#[inline]
fn mul_div(a: u64, b: u64, d: u64) -> u64 {
    match a.checked_mul(b) {
        Some(product) => product / d,
        None => (u128::from(a) * u128::from(b) / u128::from(d)) as u64,
    }
}
