//! Which bursts are stamped, and what a preempted one does to the samples.

use super::*;

#[test]
fn one_poll_in_n_is_sampled_on_average() {
    for interval in [1, 2, 32, 100] {
        let mut ledger = ledger(&LedgerConfig { sample_interval: interval, ..config(Level::Sampled) });
        ledger.start(1);
        let polls = 320_000;
        let sampled = (0..polls).filter(|_| ledger.sample_next()).count() as f64;
        let expected = f64::from(polls) / f64::from(interval);
        assert!((sampled / expected - 1.0).abs() < 0.03, "1 in {interval}: {sampled} of {polls}");
    }
}

#[test]
fn a_pattern_as_long_as_the_interval_is_not_locked_onto() {
    // 32 queues polled in turn, one of them with full bursts: a fixed countdown of 32 would see it always or never.
    let mut ledger = ledger(&config(Level::Sampled));
    ledger.start(1);
    let mut full = 0_u32;
    let mut all = 0_u32;
    for poll in 0..640_000 {
        if ledger.sample_next() {
            all += 1;
            full += u32::from(poll % 32 == 7);
        }
    }
    let share = f64::from(full) / f64::from(all);
    assert!((share * 32.0 - 1.0).abs() < 0.15, "share {share}");
}

#[test]
fn off_never_samples_and_full_always_does() {
    let mut off = ledger(&config(Level::Off));
    let mut full = ledger(&config(Level::Full));
    assert!((0..1000).all(|_| !off.sample_next() && full.sample_next()));
}

#[test]
fn a_long_interval_is_stolen_and_its_sample_void() {
    let mut ledger = ledger(&config(Level::Full));
    ledger.start(1000);
    ledger.sample_next();
    ledger.stage(PARSE, 4, 1100);
    ledger.close_burst(2, 4, 1200);
    ledger.sample_next();
    ledger.stage(PARSE, 4, 60_000);
    ledger.close_burst(2, 4, 61_200);
    let counters = ledger.counters();
    assert_eq!(counters.account(Account::Stolen), 60_000);
    assert_eq!(counters.account(Account::Busy), 200);
    assert_eq!((counters.bursts[4], counters.timed_bursts(4), counters.sampled_bursts[4]), (2, 1, 1));
    assert_eq!(counters.rows[PARSE.index()].cycles[4], 100);
    assert_eq!(counters.rows[PARSE.index()].packets, 8, "packets are counted whoever had the core");
    assert_eq!(counters.bills[2], counters::Bill { packets: 8, bursts: 2, cycles: 200 });
    assert_eq!((counters.stolen_intervals, counters.gap_histogram.max()), (1, 60_000));
}

#[test]
fn only_intervals_that_are_short_by_nature_can_be_stolen() {
    for account in Account::ALL {
        let mut ledger = ledger(&config(Level::Sampled));
        ledger.start(1);
        ledger.close(account, 10_001);
        ledger.close(account, 10_001 + 10_001);
        let short = [Account::Busy, Account::Empty, Account::Handoff, Account::Source].contains(&account);
        let counters = ledger.counters();
        if short {
            assert_eq!((counters.account(account), counters.account(Account::Stolen)), (10_000, 10_001), "{account:?}");
        } else {
            assert_eq!(counters.account(account), 20_001, "{account:?}");
        }
    }
}

#[test]
fn the_estimate_uses_exact_burst_counts_not_the_sampled_mix() {
    // Two sizes with different costs; the samples hold as many of each, the traffic holds nine to one.
    let mut ledger = ledger(&LedgerConfig { sample_interval: 1 << 20, ..config(Level::Sampled) });
    let mut now = 1;
    ledger.start(now);
    let mut burst = |ledger: &mut Ledger, packets: usize, parse: u64, sampled: bool| {
        if sampled {
            ledger.set_level(Level::Full, now);
        }
        ledger.sample_next();
        now += parse;
        if sampled {
            ledger.stage(PARSE, packets, now);
        } else {
            ledger.visit(PARSE, packets);
        }
        now += 50;
        if sampled {
            ledger.stage(FORWARD, packets, now);
        }
        ledger.close_burst(0, packets, now);
        ledger.set_level(Level::Sampled, now);
    };
    // The very first poll after a start is always sampled; spend it on an empty one.
    ledger.sample_next();
    ledger.close_empty(1);
    for at in 0..900 {
        burst(&mut ledger, 32, 1000, at % 90 == 0);
    }
    for at in 0..100 {
        burst(&mut ledger, 1, 200, at % 10 == 0);
    }
    let counters = ledger.counters();
    assert_eq!((counters.sampled_bursts[32], counters.sampled_bursts[1]), (10, 10));
    let split = StageSplit::new(&counters).unwrap();
    assert_eq!(split.cycles[PARSE.index()], 900 * 1000 + 100 * 200);
    assert_eq!(split.cycles[FORWARD.index()], 1000 * 50);
    assert!((split.scale - 1.0).abs() < f64::EPSILON && (split.coverage - 1.0).abs() < f64::EPSILON);
}

#[test]
fn without_any_sample_the_split_is_unknown_not_zero() {
    let mut ledger = ledger(&LedgerConfig { sample_interval: 1 << 20, ..config(Level::Sampled) });
    ledger.start(1);
    ledger.sample_next();
    ledger.close_empty(2);
    ledger.close_burst(0, 8, 500);
    assert_eq!(StageSplit::new(&ledger.counters()), None);
}

#[test]
fn the_interval_and_the_threshold_change_while_it_runs() {
    let mut ledger = ledger(&LedgerConfig { sample_interval: 1 << 20, ..config(Level::Sampled) });
    ledger.start(1000);
    ledger.sample_next();
    ledger.close_empty(1100);
    let sampled = |ledger: &mut Ledger, polls: u32| (0..polls).filter(|_| ledger.sample_next()).count();
    // The first poll drew a distance of a million or so: another interval must not wait for its end.
    let wanted = Measure { level: Level::Sampled, sample_interval: 1, gap_threshold_cycles: 50_000 };
    ledger.measure(wanted, 1300);
    assert_eq!(sampled(&mut ledger, 100), 100);
    ledger.measure(Measure { sample_interval: 10, ..wanted }, 1300);
    let tenth = sampled(&mut ledger, 100_000);
    assert!((9_000..11_000).contains(&tenth), "{tenth} of 100,000 at one in 10");

    ledger.close(Account::Busy, 51_300);
    assert_eq!(ledger.counters().stolen_intervals, 0, "as long as the new threshold, longer than the old one");
    ledger.measure(Measure { gap_threshold_cycles: 20, ..wanted }, 51_310);
    ledger.close(Account::Busy, 51_331);
    let counters = ledger.counters();
    assert_eq!((counters.stolen_intervals, counters.account(Account::Stolen)), (1, 21));
    // What lay between the last stamp and the changes is no packet's.
    assert_eq!(counters.account(Account::Reconfiguration), 200 + 10);
    assert_eq!((counters.sample_interval, counters.gap_threshold_cycles), (1, 20));
    assert_eq!(counters.closure_error_cycles(), 0);

    // The same again is no change: nothing is booked.
    ledger.measure(Measure { gap_threshold_cycles: 20, ..wanted }, 60_000);
    assert_eq!(ledger.counters(), counters);
}
