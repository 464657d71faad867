//! The books close, whatever the worker does.

use proptest::prelude::*;

use super::*;

/// One call of the worker's loop; times are signed steps of the clock, so it can also run backwards.
#[derive(Clone, Debug)]
enum Op {
    Burst { port: u16, packets: usize, stages: Vec<(usize, i64)>, rest: i64 },
    Empty { stage: Option<i64>, rest: i64 },
    Flush { sent: usize, step: i64 },
    Close { account: usize, step: i64 },
    BeginRound,
    Restart(i64),
}

fn step() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0_i64..3000, 1 => 9_990_i64..10_050, 1 => 0_i64..1 << 40, 1 => -500_i64..0]
}

fn op() -> impl Strategy<Value = Op> {
    let stages = prop::collection::vec((0_usize..70, step()), 0..6);
    prop_oneof![
        6 => (any::<u16>().prop_map(|p| p % 7), 0_usize..80, stages, step())
            .prop_map(|(port, packets, stages, rest)| Op::Burst { port, packets, stages, rest }),
        3 => (prop::option::of(step()), step()).prop_map(|(stage, rest)| Op::Empty { stage, rest }),
        2 => (0_usize..200, step()).prop_map(|(sent, step)| Op::Flush { sent, step }),
        2 => (0_usize..Account::COUNT, step()).prop_map(|(account, step)| Op::Close { account, step }),
        1 => Just(Op::BeginRound),
        1 => step().prop_map(Op::Restart),
    ]
}

/// Applies the calls; gives the cycles booked to bursts of size 0 outside bursts and flushes.
fn play(ledger: &mut Ledger, now: &mut u64, ops: &[Op]) {
    for op in ops {
        let mut to = |step: i64| {
            *now = now.saturating_add_signed(step);
            *now
        };
        match op {
            Op::Burst { port, packets, stages, rest } => {
                let sampled = ledger.sample_next();
                for (row, step) in stages {
                    let now = to(*step);
                    if sampled {
                        ledger.stage(Row::stage(*row), *packets, now);
                    } else {
                        ledger.visit(Row::stage(*row), *packets);
                    }
                }
                ledger.close_burst(*port, *packets, to(*rest));
            }
            Op::Empty { stage, rest } => {
                if let (true, Some(step)) = (ledger.sample_next(), stage) {
                    ledger.stage(Row::RX, 0, to(*step));
                }
                ledger.close_empty(to(*rest));
            }
            Op::Flush { sent, step } => ledger.close_flush(*sent, to(*step)),
            Op::Close { account, step } => ledger.close(Account::ALL[*account], to(*step)),
            Op::BeginRound => ledger.begin_round(),
            Op::Restart(step) => ledger.start(to(*step)),
        }
    }
}

fn ledger_with_cost(level: Level, stamp_cost_cycles: u64, sample_interval: u32) -> (Ledger, u64) {
    let mut ledger = ledger(&LedgerConfig { sample_interval, stamp_cost_cycles, ..config(level) });
    let now = 1 << 41;
    ledger.start(now);
    (ledger, now)
}

proptest! {
    #[test]
    fn every_cycle_is_in_exactly_one_account(
        ops in prop::collection::vec(op(), 0..120), full: bool, cost in 0_u64..60, interval in 1_u32..6
    ) {
        let level = if full { Level::Full } else { Level::Sampled };
        let (mut ledger, mut now) = ledger_with_cost(level, cost, interval);
        for op in &ops {
            play(&mut ledger, &mut now, std::slice::from_ref(op));
            let counters = ledger.counters();
            prop_assert_eq!(counters.elapsed_cycles, counters.booked_cycles(), "after {:?}", op);
        }
        let counters = ledger.counters();
        // The gaps' histogram saw exactly what is stolen; bursts and packets are all there.
        prop_assert_eq!(counters.gap_histogram.len(), counters.stolen_intervals);
        let received: usize = ops.iter().map(|op| if let Op::Burst { packets, .. } = op { *packets } else { 0 }).sum();
        prop_assert_eq!(counters.packets, received as u64);
        prop_assert_eq!(counters.bills.iter().map(|bill| bill.packets).sum::<u64>(), received as u64);
        // The split over the rows sums to busy, as integers.
        if let Some(split) = StageSplit::new(&counters) {
            prop_assert_eq!(split.cycles.iter().sum::<u64>(), counters.account(Account::Busy));
        }
    }

    #[test]
    fn at_full_the_rows_are_the_busy_cycles_without_any_scaling(
        ops in prop::collection::vec(op(), 0..80), cost in 0_u64..60
    ) {
        // Busy closed by hand has no burst and so no rows.
        let by_hand = |op: &Op| matches!(op, Op::Close { account, .. } if Account::ALL[*account] == Account::Busy);
        let ops: Vec<Op> = ops.into_iter().filter(|op| !by_hand(op)).collect();
        let (mut ledger, mut now) = ledger_with_cost(Level::Full, cost, 1);
        play(&mut ledger, &mut now, &ops);
        let counters = ledger.counters();
        let rows: u64 = counters.rows.iter().flat_map(|row| row.cycles).sum();
        prop_assert_eq!(rows + counters.flush_cycles, counters.account(Account::Busy));
        let split = StageSplit::new(&counters).unwrap();
        prop_assert!((split.scale - 1.0).abs() < f64::EPSILON);
        for (at, row) in counters.rows.iter().enumerate() {
            let flush = if at == Row::TX.index() { counters.flush_cycles } else { 0 };
            prop_assert_eq!(split.cycles[at], row.cycles.iter().sum::<u64>() + flush);
        }
    }

    #[test]
    fn a_flush_is_shared_by_packets_and_its_shares_sum(
        sizes in prop::collection::vec((0_u16..4, 1_usize..65), 1..8), cycles in 0_u64..10_000
    ) {
        let (mut ledger, mut now) = ledger_with_cost(Level::Sampled, 0, 1 << 20);
        ledger.begin_round();
        for (port, packets) in &sizes {
            ledger.close_burst(*port, *packets, now);
        }
        now += cycles;
        ledger.close_flush(1, now);
        let counters = ledger.counters();
        let total: usize = sizes.iter().map(|(_, packets)| packets).sum();
        prop_assert_eq!(counters.account(Account::Busy), cycles);
        prop_assert_eq!(counters.bills.iter().map(|bill| bill.cycles).sum::<u64>(), cycles);
        for (port, bill) in counters.bills.iter().take(4).enumerate() {
            let mine: Vec<usize> = sizes.iter().filter(|s| usize::from(s.0) == port).map(|s| s.1).collect();
            let fair = cycles as f64 * mine.iter().sum::<usize>() as f64 / total as f64;
            prop_assert!((bill.cycles as f64 - fair).abs() <= mine.len() as f64, "port {port}: {bill:?}, fair {fair}");
        }
    }

    #[test]
    fn a_window_and_what_went_before_make_the_whole(
        before in prop::collection::vec(op(), 0..40), after in prop::collection::vec(op(), 0..40), full: bool
    ) {
        let level = if full { Level::Full } else { Level::Sampled };
        let (mut ledger, mut now) = ledger_with_cost(level, 20, 3);
        play(&mut ledger, &mut now, &before);
        let earlier = ledger.counters();
        play(&mut ledger, &mut now, &after);
        let whole = ledger.counters();
        let window = whole.delta(&earlier);
        prop_assert_eq!(window.closure_error_cycles(), 0);
        let mut sum = earlier.clone();
        sum.merge(&window);
        prop_assert_eq!(sum.workers, 2);
        sum.workers = 1;
        prop_assert_eq!(sum, whole);
    }

    #[test]
    fn a_change_of_level_loses_no_cycle(
        parts in prop::collection::vec((prop::collection::vec(op(), 0..15), 0_usize..3, 0_u64..5000), 0..8)
    ) {
        let (mut ledger, mut now) = ledger_with_cost(Level::Sampled, 20, 3);
        for (ops, level, step) in parts {
            play(&mut ledger, &mut now, &ops);
            now += step;
            ledger.set_level([Level::Off, Level::Sampled, Level::Full][level], now);
            now += step;
            if level == 0 {
                ledger.tick(now);
            }
            prop_assert_eq!(ledger.counters().closure_error_cycles(), 0);
        }
    }
}

#[test]
fn the_sum_of_workers_closes_and_matches_rows_by_name() {
    let run = |stages: &[RowSpec], row: Row, cycles: u64| {
        let mut ledger = Ledger::new(stages, &config(Level::Full)).unwrap();
        ledger.start(100);
        ledger.sample_next();
        ledger.stage(row, 8, 100 + cycles);
        ledger.close_burst(1, 8, 100 + cycles);
        ledger.counters()
    };
    let mut sum = run(&STAGES, FORWARD, 500);
    // The same stage at another place, and one that the first worker does not have.
    let turned = [STAGES[1], RowSpec { name: "nat", kind: RowKind::Task }];
    sum.merge(&run(&turned, Row::stage(0), 70));
    sum.merge(&run(&turned, Row::stage(1), 9));
    assert_eq!((sum.workers, sum.packets, sum.closure_error_cycles()), (3, 24, 0));
    assert_eq!(sum.bills[1].cycles, 579);
    let split = StageSplit::new(&sum).unwrap();
    let cycles_of = |name: &str| split.cycles[sum.specs.iter().position(|spec| spec.name == name).unwrap()];
    assert_eq!((cycles_of("forward"), cycles_of("nat"), cycles_of("parse")), (570, 9, 0));
}

#[test]
fn bills_of_ports_beyond_the_capacity_stay_apart_when_workers_are_added() {
    let run = |port_capacity: usize, port: u16| {
        let mut ledger = ledger(&LedgerConfig { port_capacity, ..config(Level::Sampled) });
        ledger.start(1);
        ledger.close_burst(port, 4, 101);
        ledger.counters()
    };
    let mut sum = run(2, 9);
    sum.merge(&run(4, 3));
    assert_eq!(sum.bills.len(), 5);
    assert_eq!((sum.bills[3].cycles, sum.bills[4].cycles), (100, 100));
}

#[test]
fn a_copy_is_refreshed_in_place() {
    let mut ledger = ledger(&config(Level::Full));
    ledger.start(5);
    let mut copy = ledger.counters();
    let places = (copy.rows.as_ptr(), copy.bills.as_ptr(), copy.specs.as_ptr());
    ledger.sample_next();
    ledger.stage(PARSE, 3, 50);
    ledger.close_burst(0, 3, 60);
    copy.copy_from(&ledger);
    assert_eq!(copy, ledger.counters());
    assert_eq!(places, (copy.rows.as_ptr(), copy.bills.as_ptr(), copy.specs.as_ptr()));
}

#[test]
fn too_many_stages_are_refused() {
    let stages = vec![STAGES[0]; 62];
    let error = Ledger::new(&stages, &config(Level::Full)).unwrap_err();
    assert_eq!(error, LedgerError::TooManyStages { given: 62, max: 61 });
    assert!(Ledger::new(&stages[..61], &config(Level::Full)).is_ok());
    assert_eq!(Row::stage(60).index(), 63);
    assert_eq!(Row::stage(61), Row::LOOP);
}
