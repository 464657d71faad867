//! `weir demo` from outside: it runs with nothing prepared, its books are closed, and tshark finds nothing wrong with what
//! it sent. Needs neither root nor hugepages nor a NIC.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in tests, where a failed expectation is a failed test"
)]

mod common;

use common::Scratch;
use common::capture::Captured;
use common::process::run;
use serde_json::Value;

/// The binary under test.
const WEIR: &str = env!("CARGO_BIN_EXE_weir");

#[track_caller]
fn count(of: &Value, at: &str) -> u64 {
    of.pointer(at).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {at} in {of:#}"))
}

/// Packet conservation, from the figures that are shown; and drops are all named.
#[track_caller]
fn balanced(packets: &Value) {
    let held = packets.get("held").and_then(Value::as_i64).unwrap();
    let come = count(packets, "/packets_in") + count(packets, "/created");
    let gone = ["/packets_out", "/punted", "/consumed", "/dropped"].map(|term| count(packets, term));
    assert_eq!(i128::from(come), i128::from(gone.iter().sum::<u64>()) + i128::from(held), "{packets:#}");
    assert_eq!(packets.get("imbalance"), Some(&Value::from(0)), "{packets:#}");
    let drops = packets.get("drops").and_then(Value::as_array).unwrap();
    let named: u64 = drops.iter().map(|drop| count(drop, "/packets")).sum();
    assert_eq!(named, count(packets, "/dropped"), "{packets:#}");
    for drop in drops {
        assert!(drop.get("reason").and_then(Value::as_str).is_some_and(|name| !name.is_empty()), "{drop:#}");
    }
}

#[test]
fn the_demo_accounts_for_every_packet_and_every_cycle() {
    let scratch = Scratch::new();
    let out = scratch.text("out.pcap");
    let said = run(["timeout", "--signal=KILL", "60", WEIR, "demo", "--seconds", "0.5", "--json", "--out", &out]);
    let found: Value = serde_json::from_str(&said.ok()).unwrap();
    assert_eq!(found.get("wrong"), Some(&Value::Array(Vec::new())), "{found:#}");
    assert_eq!(count(&found, "/missing_mbufs"), 0);
    assert_eq!(found.get("imbalance"), Some(&Value::from(0)));

    let part = |at: &str| found.pointer(at).unwrap_or_else(|| panic!("no {at} in {found:#}"));
    for way in ["/correctness/encap", "/correctness/decap", "/correctness/foreign"] {
        let way = part(way);
        balanced(way);
        assert_eq!(count(way, "/exact"), count(way, "/expected"), "{way:#}");
        assert_eq!(count(way, "/emitted"), count(way, "/expected"), "{way:#}");
    }
    // 19 frames from two containers: each is flooded to the other container and to the VTEP.
    let encap = part("/correctness/encap");
    assert_eq!([count(encap, "/packets_in"), count(encap, "/packets_out")], [19, 38]);
    assert_eq!([count(encap, "/encapsulated"), count(encap, "/dropped")], [19, 0], "{encap:#}");
    // And back to both.
    let decap = part("/correctness/decap");
    assert_eq!([count(decap, "/decapsulated"), count(decap, "/packets_out")], [19, 38], "{decap:#}");
    // Five of ten frames are for the VTEP whose place weir takes.
    let foreign = part("/correctness/foreign");
    assert_eq!([count(foreign, "/decapsulated"), count(foreign, "/dropped")], [5, 5], "{foreign:#}");
    assert_eq!(foreign.pointer("/drops/0/reason"), Some(&Value::from("not_for_us")));

    let packets = part("/measurement/packets");
    balanced(packets);
    assert!(count(packets, "/packets_out") > 0, "{packets:#}");
    for books in ["/measurement/ledger", "/measurement/half_load/ledger"] {
        let ledger = part(books);
        assert_eq!(ledger.get("closure_error_cycles"), Some(&Value::from(0)), "{ledger:#}");
        let accounts = ledger.get("accounts").and_then(Value::as_array).unwrap();
        let booked: u64 = accounts.iter().map(|account| count(account, "/cycles")).sum();
        assert_eq!(booked, count(ledger, "/elapsed_cycles"), "{ledger:#}");
        for view in ["/framework/c_io", "/framework/c_task", "/framework/c_busy", "/container/c_io"] {
            assert!(ledger.pointer(view).is_some_and(Value::is_number), "{view}: {ledger:#}");
        }
    }
    assert_eq!(count(part("/measurement/price/paired"), "/pairs"), 21);
    assert!(part("/measurement/capacity/lambda_max_pps").is_number());

    judge(&out);
}

/// What tshark says of the frames in VXLAN. `scripts/setup.sh` installs it for tests; a user who builds without it is not
/// stopped here.
fn judge(file: &str) {
    if std::process::Command::new("tshark").arg("--version").output().is_err() {
        return;
    }
    let captured = Captured::from_file(file.as_ref());
    captured.judge(19);
    assert_eq!(captured.count("vxlan.vni == 100"), 19);
    for inner in ["http", "dns", "icmpv6"] {
        captured.has_some(&format!("vxlan && {inner}"));
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_runs() {
    let said = run([WEIR, "demo", "--out", "/nowhere/demo-out.pcap"]);
    assert_eq!(said.status.code(), Some(2), "{}", said.err);
    assert!(said.err.contains("/nowhere/demo-out.pcap cannot be written"), "{}", said.err);
    let said = run([WEIR, "demo", "--seconds", "0"]);
    assert_eq!(said.status.code(), Some(2), "{}", said.err);
}
