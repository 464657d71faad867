//! The figures of a report follow from the counters, and what is not known is null.

use super::report::CapacityBasis;
use super::*;

fn close(a: Option<f64>, b: f64) -> bool {
    a.is_some_and(|a| (a - b).abs() <= 1e-9 * b.abs().max(1.0))
}

/// 1 GHz, 3000 bursts of each of `sizes`: rx 100 + 10 n, forward 50 n cycles; empty polls, housekeeping, a source.
fn window(level: Level, sizes: &[usize]) -> LedgerCounters {
    let mut ledger = ledger(&LedgerConfig { sample_interval: 4, ..config(level) });
    let mut now = 1;
    ledger.start(now);
    for _ in 0..3000 {
        for &n in sizes {
            now += 30;
            ledger.close(Account::Source, now);
            let sampled = ledger.sample_next();
            now += 100 + 10 * n as u64;
            if sampled {
                ledger.stage(Row::RX, n, now);
            } else {
                ledger.visit(Row::RX, n);
            }
            now += 50 * n as u64;
            if sampled {
                ledger.stage(FORWARD, n, now);
            } else {
                ledger.visit(FORWARD, n);
            }
            ledger.close_burst(3, n, now);
            now += 40;
            ledger.close_empty(now);
        }
    }
    now += 12_345;
    ledger.close(Account::Housekeeping, now);
    ledger.counters()
}

fn input(window: &LedgerCounters) -> ReportInput {
    ReportInput {
        scope: "worker 1".to_owned(),
        tsc_hz: 1_000_000_000,
        elapsed_nanos: window.elapsed_cycles,
        burst: 32,
        port_names: [(3, "red".to_owned())].into(),
        ..ReportInput::default()
    }
}

#[test]
fn figures_follow_from_the_counters() {
    for level in [Level::Sampled, Level::Full] {
        let counters = window(level, &[1, 8, 32]);
        let r = Report::new(&counters, &input(&counters));
        let packets = 3000.0 * 41.0;
        let per_packet = |cycles: f64| cycles / packets;
        assert_eq!((r.packets, r.bursts, r.closure_error_cycles), (123_000, 9000, Some(0)));
        assert!(close(r.mean_rx_burst, 41.0 / 3.0));
        assert!(close(r.wall_clock_error, 0.0));
        assert!(close(r.cycles_per_packet, per_packet(9000.0 * 100.0 + packets * 60.0 + 12_345.0)));
        assert!(close(r.framework.c_io, per_packet(9000.0 * 100.0) + 10.0), "{:?}", r.framework);
        assert!(close(r.framework.c_task, 50.0));
        assert!(close(r.framework.c_busy, per_packet(9000.0 * 40.0)));
        assert!(close(r.framework.c_busy_remainder, per_packet(9000.0 * 40.0)));
        assert!(close(r.framework.c_other, per_packet(9000.0 * 30.0 + 12_345.0)));
        assert!(close(r.container.c_io, per_packet(9000.0 * 100.0) + 60.0));
        assert_eq!(r.container.c_task, None);
        assert!(close(r.container.c_busy_difference, 0.0));
        assert!(close(r.c_f, 100.0) && close(r.c_p, 60.0));
        assert_eq!(r.lambda_max_basis, Some(CapacityBasis::FittedLine));
        assert!(close(r.lambda_max_pps, 1e9 * 32.0 / (100.0 + 32.0 * 60.0)));
        let lambda = packets / (counters.elapsed_cycles as f64 / 1e9);
        assert!(close(r.utilisation, lambda / r.lambda_max_pps.unwrap()));
        assert!(close(r.headroom, 1.0 - r.utilisation.unwrap()));
        let stages: f64 = r.stages.iter().filter_map(|s| s.cycles_per_packet).sum();
        assert!(close(Some(stages), r.framework.c_io.unwrap() + 50.0));
        assert_eq!((r.ports.len(), r.ports[0].port.as_str(), r.ports[0].packets), (1, "red", 123_000));
        assert!(close(Some(r.ports[0].share), 1.0));
        assert_eq!(r.burst_sizes.iter().map(|s| s.burst).collect::<Vec<_>>(), [1, 8, 32]);
    }
}

#[test]
fn the_remainder_sees_a_clock_that_disagrees() {
    let counters = window(Level::Full, &[8]);
    let late = ReportInput { elapsed_nanos: counters.elapsed_cycles * 2, ..input(&counters) };
    let r = Report::new(&counters, &late);
    assert!(close(r.wall_clock_error, 0.5));
    let missing = counters.elapsed_cycles as f64 / counters.packets as f64;
    assert!(close(r.framework.c_busy_difference, missing));
    assert_eq!(r.closure_error_cycles, Some(0), "the books close all the same: that is why both are shown");
}

#[test]
fn an_application_that_reports_its_cost_fills_the_container_view_only() {
    let counters = window(Level::Full, &[8]);
    let told = ReportInput { container_c_task: Some(700.0), ..input(&counters) };
    let (with, without) = (Report::new(&counters, &told), Report::new(&counters, &input(&counters)));
    assert_eq!(with.container.c_task, Some(700.0));
    assert_eq!(with.container.c_busy_remainder, without.container.c_busy_remainder);
    assert_eq!(with.framework, without.framework);
}

#[test]
fn without_a_line_capacity_needs_full_bursts() {
    let full = window(Level::Sampled, &[32]);
    let r = Report::new(&full, &input(&full));
    assert_eq!((r.c_f, r.c_p), (None, None));
    assert!(r.line_unknown.as_deref().unwrap().contains("1 of 3 burst sizes"), "{:?}", r.line_unknown);
    assert_eq!(r.lambda_max_basis, Some(CapacityBasis::FullBursts));
    assert!(close(r.lambda_max_pps, 1e9 / r.cycles_per_packet.unwrap()));

    let small = window(Level::Sampled, &[8]);
    let r = Report::new(&small, &input(&small));
    assert_eq!((r.lambda_max_pps, r.utilisation, r.headroom, r.lambda_max_basis), (None, None, None, None));
}

#[test]
fn json_has_the_promised_fields_and_nulls_for_the_unknown() {
    let counters = window(Level::Sampled, &[8]);
    let report = Report::new(&counters, &input(&counters));
    let json = serde_json::to_value(&report).unwrap();
    for field in [
        "packets",
        "cycles_per_packet",
        "mean_rx_burst",
        "closure_error_cycles",
        "wall_clock_error",
        "instrument_overhead",
        "tsc_hz",
    ] {
        assert!(json[field].is_number(), "{field}: {}", json[field]);
    }
    for field in ["c_f", "c_p", "lambda_max_pps"] {
        assert!(json.as_object().unwrap().contains_key(field) && json[field].is_null(), "{field}");
    }
    for view in ["framework", "container"] {
        assert!(json[view]["c_io"].is_number() && json[view]["c_busy"].is_number());
    }
    assert!(json["framework"]["c_task"].is_number() && json["container"]["c_task"].is_null());
    assert_eq!(json["stages"][0]["name"], "rx");
    assert!(json["stages"][0]["cycles_per_packet"].is_number());
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn at_off_only_totals_are_known() {
    let mut ledger = ledger(&config(Level::Off));
    ledger.start(1);
    ledger.count_burst(32);
    ledger.tick(3201);
    let counters = ledger.counters();
    let r = Report::new(&counters, &input(&counters));
    assert!(close(r.total_cycles_per_packet, 100.0));
    assert_eq!((r.cycles_per_packet, r.closure_error_cycles, r.busy_percent), (None, None, None));
    assert_eq!((r.framework.c_io, r.container.c_busy, r.instrument_overhead), (None, None, None));
    assert!(render(&r).contains("the level was off"));
}

#[test]
fn an_empty_window_has_no_figures_and_no_nonsense() {
    let counters = ledger(&config(Level::Sampled)).counters();
    let r = Report::new(&counters, &ReportInput::default());
    assert_eq!((r.mean_rx_burst, r.cycles_per_packet, r.wall_clock_error, r.lambda_pps), (None, None, None, None));
    let text = render(&r);
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert!(!serde_json::to_string(&r).unwrap().is_empty());
}

#[test]
fn several_workers_have_the_sum_of_their_clocks() {
    let one = window(Level::Full, &[1, 8, 32]);
    let mut both = one.clone();
    both.merge(&one);
    let (single, double) = (Report::new(&one, &input(&one)), Report::new(&both, &input(&one)));
    assert_eq!((double.workers, double.closure_error_cycles), (2, Some(0)));
    assert!(close(double.wall_clock_error, 0.0));
    assert_eq!(double.cycles_per_packet, single.cycles_per_packet);
    assert!(close(double.lambda_max_pps, 2.0 * single.lambda_max_pps.unwrap()));
    assert!(close(double.utilisation, single.utilisation.unwrap()));
}

#[test]
fn the_text_names_units_roll_ups_and_conditions() {
    let counters = window(Level::Sampled, &[1, 8, 32]);
    let text = render(&Report::new(&counters, &input(&counters)));
    for part in [
        "level sampled",
        "mean burst 13.67 of 32 configured",
        "Closure error: 0 cycles",
        "framework (c_IO: rx, tx, buffers, loop)",
        "container (c_IO: whole dataplane)",
        "not reported",
        "c_f = 100.0 ± 0.0 cycles/burst, c_p = 60.00 ± 0.00 cycles/packet",
        "fitted line at burst 32",
        "busy % is not utilisation",
        "not measured in this process",
        "red",
    ] {
        assert!(text.contains(part), "missing {part:?} in\n{text}");
    }
}
