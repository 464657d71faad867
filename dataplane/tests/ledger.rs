//! What `weir show ledger` says of a running weir, and what `weir apply` changes about it. Needs no root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]

mod common;

use common::Scratch;
use common::weir::{Weir, head_here, number};
use serde_json::Value;

const PORTS: &str = "
[[network]]
name = \"blue\"
vni = 100

[[port]]
name = \"a\"
device = \"source:flows=4,rate_pps=20000\"
role = \"container\"
network = \"blue\"

[[port]]
name = \"b\"
device = \"null\"
role = \"container\"
network = \"blue\"
";

/// Bursts of a window, and those of them that were stamped at every stage.
fn bursts(report: &Value) -> (u64, u64) {
    let sizes = report["burst_sizes"].as_array().unwrap();
    sizes
        .iter()
        .map(|size| (number(size, "/bursts"), number(size, "/sampled")))
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

#[test]
fn every_key_of_the_ledger_takes_effect_while_it_runs() {
    let scratch = Scratch::new();
    let base = head_here(&scratch, 256, 8192) + PORTS;
    let text = |ledger: &str| format!("{base}[ledger]\n{ledger}\n");
    // A gap of a second: nothing is stolen, whatever else runs on the machine.
    let rarely = text("sample_one_in = 65536\ngap_us = 1000000");
    let weir = Weir::start(&scratch, &rarely);
    let window = |level: &str, one_in: u64, gap_us: u64| {
        let reports = weir.show("ledger");
        let [report] = reports.as_array().unwrap().as_slice() else { panic!("one worker, one report: {reports:#}") };
        assert_eq!(report["level"], level, "{report:#}");
        assert_eq!(number(report, "/sample_one_in"), one_in);
        assert_eq!(number(report, "/gap_cycles"), number(report, "/tsc_hz") / 1_000_000 * gap_us);
        assert!(number(report, "/packets") > 0, "{report:#}");
        report.clone()
    };

    let report = window("sampled", 65536, 1_000_000);
    // Numbers, whatever they are: the kernel's witnesses of this worker.
    for witness in ["/involuntary_switches", "/steal_ticks"] {
        number(&report, witness);
    }
    let ratio = report["core_cycles_per_tsc_cycle"].as_f64().unwrap();
    assert!(ratio.is_finite() && ratio > 0.1, "{ratio} core cycles in a tick");
    let (all, sampled) = bursts(&report);
    assert!(sampled * 2 < all, "one poll in 65,536: {sampled} of {all} bursts");

    weir.apply(&text("sample_one_in = 1\ngap_us = 1000000"));
    let report = window("sampled", 1, 1_000_000);
    let (all, sampled) = bursts(&report);
    assert_eq!((sampled, number(&report, "/stolen_intervals")), (all, 0), "every burst: {report:#}");

    weir.apply(&text("sample_one_in = 1\ngap_us = 1"));
    let report = window("sampled", 1, 1);
    assert!(number(&report, "/stolen_intervals") > 0, "nothing takes a microsecond: {report:#}");

    for level in ["off", "full", "sampled"] {
        weir.apply(&text(&format!("level = \"{level}\"\nsample_one_in = 16")));
        let report = window(level, 16, 20);
        let closed = if level == "off" { Value::Null } else { Value::from(0) };
        assert_eq!(report["closure_error_cycles"], closed, "{level}");
    }
    weir.stop(&[]);
}
