//! `weir-bench cost` as a user starts it: without root and hugepages, and its JSON as documented.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

/// Without hugepages even for root, and a pool that fits anywhere.
fn weir_bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir-bench"))
        .args(arguments)
        .args(["--memory", "no-huge", "--mbufs", "4096"])
        .output()
        .unwrap()
}

fn cost(arguments: &[&str]) -> Value {
    let output = weir_bench(&[&["cost", "--json", "--flows", "16", "--seconds", "0.3"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is no number in {value:#}"))
}

fn stage_names(cost: &Value) -> Vec<&str> {
    cost["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect()
}

#[test]
fn l2_forward_says_what_a_packet_costs_and_closes_its_books() {
    let cost = cost(&["--scenario", "l2-forward", "--no-sweep"]);
    assert_eq!((cost["scenario"].as_str(), cost["flows"].as_u64()), (Some("l2-forward"), Some(16)));
    assert_eq!((cost["frame_bytes"].as_u64(), cost["burst"].as_u64()), (Some(64), Some(32)));
    assert_eq!(cost["closure_error_cycles"].as_i64(), Some(0));
    assert_eq!(cost["generator_limited"].as_bool(), Some(false));
    for path in ["/packets", "/cycles_per_packet", "/framework/c_io", "/framework/c_task", "/container/c_io", "/tsc_hz"]
    {
        assert!(number(&cost, path) > 0.0, "{path}");
    }
    for path in
        ["/framework/c_busy", "/container/c_busy", "/wall_clock_error", "/instrument_overhead", "/lambda_max_pps"]
    {
        assert!(number(&cost, path) >= 0.0, "{path}");
    }
    // What nobody told stays unknown, and is not zero: the container's own work, and a line through one burst size.
    for path in ["/container/c_task", "/c_f", "/c_p"] {
        assert_eq!(cost.pointer(path), Some(&Value::Null), "{path}");
    }
    assert!((number(&cost, "/mean_rx_burst") - 32.0).abs() < 1e-9);

    // Every packet went through, and every buffer came back.
    assert_eq!(cost["way"]["imbalance"].as_i64(), Some(0));
    assert_eq!(cost["way"]["rx"], cost["way"]["tx"]);
    assert_eq!(cost["way"]["drops"].as_object().map(serde_json::Map::len), Some(0));
    assert_eq!(cost["missing_mbufs"].as_u64(), Some(0));

    // The rows sum to what both views say.
    let stages = cost["stages"].as_array().unwrap();
    let sum: f64 = stages.iter().map(|stage| stage["cycles_per_packet"].as_f64().unwrap()).sum();
    let views = number(&cost, "/framework/c_io") + number(&cost, "/framework/c_task");
    assert!((sum - views).abs() < 1e-6 * views, "{sum} and {views}");
    assert!((number(&cost, "/container/c_io") - views).abs() < 1e-6 * views);
    for stage in ["rx", "tx", "access-input", "bridge"] {
        assert!(stage_names(&cost).contains(&stage), "{stage}");
    }
    assert!(!stage_names(&cost).contains(&"vxlan-encap"));
    for path in ["/conditions/dpdk", "/conditions/machine/cpu_model", "/conditions/machine/kernel"] {
        assert!(cost.pointer(path).and_then(Value::as_str).is_some_and(|text| !text.is_empty()), "{path}");
    }
    assert_eq!(cost["conditions"]["memory"].as_str(), Some("no-huge"));
    assert_eq!(cost["conditions"]["mbufs"].as_u64(), Some(4096));
}

#[test]
fn the_sweep_fits_a_cost_line_and_tunnels_are_really_used() {
    let file = std::env::temp_dir().join(format!("weir-bench-emitted-{}.pcap", std::process::id()));
    let capture = ["--capture", "40", "--capture-file", file.to_str().unwrap()];
    let cost = cost(&[&["--scenario", "vxlan-encap"], &capture[..]].concat());
    assert!(number(&cost, "/c_p") > 0.0);
    assert_eq!(cost["lambda_max_basis"].as_str(), Some("fitted_line"));
    assert_eq!(cost["way"]["encapsulated"], cost["way"]["rx"]);
    assert!(stage_names(&cost).contains(&"vxlan-encap"));
    // 40 frames of 110 octets: 50 octets of outer headers before 60 of the container's.
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 24 + 40 * (16 + 110));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn decapsulation_takes_the_outer_headers_off() {
    let cost = cost(&["--scenario", "vxlan-decap", "--no-sweep"]);
    assert_eq!((cost["frame_bytes"].as_u64(), cost["rx_frame_bytes"].as_u64()), (Some(64), Some(114)));
    assert_eq!(cost["way"]["decapsulated"], cost["way"]["rx"]);
}

#[test]
fn bad_arguments_are_answered_with_what_would_be_right() {
    for (arguments, words) in [
        (&["cost", "--scenario", "l3"][..], "there is no scenario \"l3\"; there are:"),
        (&["cost", "--scenario", "l2-forward", "--seconds", "inf"], "--seconds inf"),
        (&["cost", "--scenario", "l2-forward", "--seconds", "0"], "give a time between"),
        (&["cost", "--scenario", "l2-forward", "--cpu", "999"], "CPU 999"),
        (&["cost", "--scenario", "l2-forward", "--flows", "0"], "1..=60000"),
        (&["price", "--pairs", "3"], "3"),
    ] {
        let output = weir_bench(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
