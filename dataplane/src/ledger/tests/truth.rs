//! The ledger is true, not only closed: a simulated worker whose stages burn known cycles, on a clock whose reads
//! cost cycles themselves and are counted.

use std::cell::Cell;
use std::rc::Rc;

use super::*;

/// Cycles a read of the simulated clock takes.
const STAMP: u64 = 22;

#[derive(Clone, Default)]
struct SimClock {
    now: Rc<Cell<u64>>,
    reads: Rc<Cell<u64>>,
}

impl SimClock {
    fn burn(&self, cycles: u64) {
        self.now.set(self.now.get() + cycles);
    }
}

impl Clock for SimClock {
    fn now(&self) -> u64 {
        self.reads.set(self.reads.get() + 1);
        let now = self.now.get();
        self.burn(STAMP);
        now
    }
}

/// What the simulated stages cost: cycles per burst and per packet.
#[derive(Clone, Copy)]
struct Costs {
    rx: (u64, u64),
    parse: (u64, u64),
    forward: (u64, u64),
    tx: (u64, u64),
    empty: u64,
}

const COSTS: Costs = Costs { rx: (60, 11), parse: (25, 13), forward: (40, 21), tx: (55, 9), empty: 40 };

struct Sim {
    clock: SimClock,
    meter: Meter<SimClock>,
    costs: Costs,
    noise: u64,
}

impl Sim {
    fn new(level: Level, costs: Costs) -> Self {
        let clock = SimClock::default();
        clock.burn(1000);
        let config = LedgerConfig { stamp_cost_cycles: STAMP, gap_threshold_cycles: 20_000, ..config(level) };
        let meter = Meter::new(ledger(&config), clock.clone());
        clock.reads.set(0);
        Self { clock, meter, costs, noise: 1 }
    }

    /// Burst sizes between 0 and 32 that repeat after no short time; the same for every run.
    fn arrivals(&mut self) -> usize {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.noise >> 33) % 33) as usize
    }

    fn burn(&self, (fixed, each): (u64, u64), packets: usize) {
        self.clock.burn(fixed + each * packets as u64);
    }

    fn graph<const SAMPLED: bool>(&mut self, packets: usize) {
        self.meter.stage::<SAMPLED>(Row::RX, packets);
        self.burn(self.costs.parse, packets);
        self.meter.stage::<SAMPLED>(PARSE, packets);
        self.burn(self.costs.forward, packets);
        self.meter.stage::<SAMPLED>(FORWARD, packets);
    }

    /// One round over `queues` queues; with one queue the flush is part of the burst.
    fn round(&mut self, queues: u16) {
        self.meter.begin_round();
        let mut sent = 0;
        for queue in 0..queues {
            let sampled = self.meter.sample_next();
            let packets = self.arrivals();
            if packets == 0 {
                self.clock.burn(self.costs.empty);
                self.meter.close_empty();
                continue;
            }
            self.burn(self.costs.rx, packets);
            if sampled {
                self.graph::<true>(packets);
            } else {
                self.graph::<false>(packets);
            }
            sent += packets;
            if queues == 1 {
                self.burn(self.costs.tx, packets);
                if sampled {
                    self.meter.stage::<true>(Row::TX, packets);
                } else {
                    self.meter.stage::<false>(Row::TX, packets);
                }
            }
            self.meter.close_burst(queue, packets);
        }
        if queues > 1 && sent > 0 {
            self.burn(self.costs.tx, sent);
            self.meter.close_flush(sent);
        }
        self.meter.end_round();
    }

    fn run(level: Level, costs: Costs, queues: u16, rounds: u32) -> LedgerCounters {
        let mut sim = Self::new(level, costs);
        for _ in 0..rounds {
            sim.round(queues);
        }
        let counters = sim.meter.ledger.counters();
        assert_eq!(counters.closure_error_cycles(), 0);
        counters
    }
}

/// Cycles per received packet of each row.
fn rows(counters: &LedgerCounters) -> Vec<f64> {
    let split = StageSplit::new(counters).unwrap();
    split.cycles.iter().map(|cycles| *cycles as f64 / counters.packets as f64).collect()
}

#[test]
fn at_full_every_row_is_exactly_what_its_stage_burnt() {
    for queues in [1, 5] {
        let counters = Sim::run(Level::Full, COSTS, queues, 2000);
        let split = StageSplit::new(&counters).unwrap();
        let bursts = counters.total_bursts();
        let burnt = |(fixed, each): (u64, u64)| fixed * bursts + each * counters.packets;
        assert_eq!(split.cycles[Row::RX.index()], burnt(COSTS.rx));
        assert_eq!(split.cycles[PARSE.index()], burnt(COSTS.parse));
        assert_eq!(split.cycles[FORWARD.index()], burnt(COSTS.forward));
        assert_eq!(split.cycles[Row::LOOP.index()], 0, "the stamps are the instrument's, not the loop's");
        if queues == 1 {
            assert_eq!(split.cycles[Row::TX.index()], burnt(COSTS.tx));
        } else {
            assert_eq!(split.cycles[Row::TX.index()], counters.flush_cycles);
        }
    }
}

#[test]
fn a_stage_that_burns_k_more_raises_its_own_row_by_k_and_no_other() {
    let k = 50;
    let slower = Costs { forward: (COSTS.forward.0, COSTS.forward.1 + k), ..COSTS };
    for (level, tolerance) in [(Level::Full, 1e-9), (Level::Sampled, 0.05)] {
        for queues in [1, 5] {
            let before = rows(&Sim::run(level, COSTS, queues, 40_000));
            let after = rows(&Sim::run(level, slower, queues, 40_000));
            for (row, (before, after)) in before.iter().zip(&after).enumerate() {
                let raised = after - before;
                if row == FORWARD.index() {
                    let k = k as f64;
                    assert!((raised - k).abs() <= tolerance * k, "{level:?}, {queues} queues: {raised}, not {k}");
                } else {
                    assert!(raised.abs() <= tolerance, "{level:?}, {queues} queues, row {row} moved by {raised}");
                }
            }
        }
    }
}

#[test]
fn sampled_agrees_with_full_on_the_same_traffic() {
    let full = rows(&Sim::run(Level::Full, COSTS, 3, 30_000));
    let sampled = rows(&Sim::run(Level::Sampled, COSTS, 3, 30_000));
    for (row, (full, sampled)) in full.iter().zip(&sampled).enumerate() {
        assert!((full - sampled).abs() < 0.05, "row {row}: full {full}, sampled {sampled}");
    }
}

#[test]
fn the_cost_line_of_the_worker_is_that_of_its_stages() {
    let line = Fit::of_busy(&Sim::run(Level::Sampled, COSTS, 1, 60_000)).unwrap();
    assert!((line.c_f - 180.0).abs() < 1e-6 && (line.c_p - 54.0).abs() < 1e-6, "{line:?}");
    let parse = Fit::of_row(&Sim::run(Level::Full, COSTS, 1, 60_000), PARSE.index()).unwrap();
    assert!((parse.c_f - 25.0).abs() < 1e-6 && (parse.c_p - 13.0).abs() < 1e-6, "{parse:?}");
}

#[test]
fn preempted_bursts_do_not_tilt_the_cost_line() {
    let mut sim = Sim::new(Level::Sampled, COSTS);
    for round in 0..60_000 {
        if round % 50 == 0 {
            sim.clock.burn(1_000_000);
        }
        sim.round(1);
    }
    let counters = sim.meter.ledger.counters();
    assert_eq!((counters.closure_error_cycles(), counters.stolen_intervals), (0, 1200));
    let line = Fit::of_busy(&counters).unwrap();
    assert!((line.c_f - 180.0).abs() < 1e-6 && (line.c_p - 54.0).abs() < 1e-6, "{line:?}");
}

#[test]
fn off_reads_the_clock_at_most_twice_a_loop() {
    for queues in [0, 1, 4, 40] {
        let mut sim = Sim::new(Level::Off, COSTS);
        for _ in 0..100 {
            let before = sim.clock.reads.get();
            sim.round(queues);
            assert!(sim.clock.reads.get() - before <= 2);
        }
        let counters = sim.meter.ledger.counters();
        assert_eq!(counters.account(Account::Unattributed), counters.elapsed_cycles);
        assert!(counters.elapsed_cycles > 0);
        let by_size: u64 = counters.bursts.iter().zip(0_u64..).map(|(bursts, size)| bursts * size).sum();
        assert_eq!(counters.packets, by_size);
        assert_eq!(counters.packets > 0, queues > 0);
    }
}

#[test]
fn sampled_reads_once_a_poll_and_stage_stamps_on_the_sample_only() {
    let mut sim = Sim::new(Level::Sampled, COSTS);
    for _ in 0..32_000 {
        sim.round(1);
    }
    let counters = sim.meter.ledger.counters();
    let samples: u64 = counters.sampled_bursts.iter().sum();
    // Rx, two stages and tx in a sampled burst; one stamp ends every burst and every empty poll.
    let expected = counters.total_bursts() + counters.empty_polls + 4 * samples;
    assert_eq!(sim.clock.reads.get(), expected);
    assert!((900..1100).contains(&samples), "{samples}");
}

#[test]
fn what_the_stamps_cost_is_in_the_instrument_and_nowhere_else() {
    let counters = Sim::run(Level::Full, COSTS, 1, 5000);
    assert_eq!(counters.account(Account::Instrument), counters.total_bursts() * 5 * STAMP);
    assert_eq!(counters.account(Account::Empty), counters.empty_polls * (COSTS.empty + STAMP));
}

#[test]
fn a_worker_without_queues_still_moves_in_time() {
    let mut sim = Sim::new(Level::Sampled, COSTS);
    for _ in 0..10 {
        sim.clock.burn(100);
        sim.round(0);
    }
    let counters = sim.meter.ledger.counters();
    assert_eq!(counters.account(Account::Empty), counters.elapsed_cycles);
    assert_eq!(counters.elapsed_cycles, 10 * (100 + STAMP));
}
