//! What else the command line promises: the ledger watched until interrupted, DPDK's log in weir's, the idle ladder's middle
//! step, hundreds of guests in one weir, and the demonstration for a user without any permission.
//!
//! Needs neither root nor hugepages nor a NIC; started as root, the demonstration becomes somebody else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "in tests, where a failed expectation is a failed test"
)]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;

use common::Scratch;
use common::process::{Running, run};
use common::weir::{Weir, head_on, number};
use serde_json::Value;

/// The binary under test.
const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// A configuration's start: a worker on the last CPU that this process may use, as CPU 0 is everybody's.
fn start_of(scratch: &Scratch) -> String {
    let cpu = core_affinity::get_core_ids().unwrap().last().unwrap().id;
    let head = head_on(scratch, 256, 8192, &format!("[{cpu}]"));
    format!("{head}[[network]]\nname = \"blue\"\nvni = 100\n")
}

fn port(name: &str, device: &str) -> String {
    format!("\n[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\nnetwork = \"blue\"\n")
}

const SOURCE: &str = "source:flows=4,rate_pps=20000";

#[test]
fn the_ledger_is_watched_one_line_a_window_until_interrupted() {
    let scratch = Scratch::new();
    let weir = Weir::start(&scratch, &(start_of(&scratch) + &port("a", SOURCE) + &port("b", "null")));
    let socket = scratch.text("weir.sock");
    let log = scratch.path("watch.log");
    let mut watch =
        Running::start([WEIR, "show", "ledger", "--watch", "--json", "--window", "0.2", "-s", &socket], &log);
    common::wait_for("three windows", 30, || {
        assert!(watch.ended().is_none(), "{}", watch.tail());
        (watch.said().lines().count() >= 3).then_some(())
    });
    watch.signal("INT");
    // By the signal, as any other filter; nothing says that something went wrong.
    assert_eq!(watch.wait(10).signal(), Some(2), "{}", watch.tail());
    let said = watch.said();
    assert!(said.ends_with('\n'), "the last line is not whole");
    let mut elapsed = Vec::new();
    for line in said.lines() {
        let reports: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}\n{line}"));
        assert_eq!(reports.as_array().map(Vec::len), Some(1), "one worker, one report: {line}");
        assert_eq!(reports.pointer("/0/closure_error_cycles"), Some(&Value::from(0)), "{line}");
        elapsed.push(number(&reports, "/0/elapsed_cycles"));
    }
    assert!(elapsed.iter().all(|cycles| *cycles > 0), "{elapsed:?}");
    assert!(elapsed.windows(2).any(|pair| pair[0] != pair[1]), "the same window again and again: {elapsed:?}");
    weir.stop(&[]);
}

#[test]
fn arguments_for_eal_arrive_and_its_log_is_weirs() {
    let scratch = Scratch::new();
    let file = scratch.text("weir.toml");
    std::fs::write(&file, start_of(&scratch) + &port("a", "null")).unwrap();
    let socket = scratch.path("weir.sock");
    // Without an argument for EAL, whose debug messages do not exist then; and with one.
    for (extra, debug) in [(None, false), (Some("--log-level=lib.eal:debug"), true)] {
        let log = scratch.path(&format!("log-{debug}"));
        let line = [WEIR, "--log", "info,eal=trace", "--log-format", "json", "run", "-c", &file, "--"];
        let mut weir = Running::start(line.into_iter().chain(extra), &log);
        common::wait_for("weir", 30, || {
            assert!(weir.ended().is_none(), "{}", weir.tail());
            (socket.exists() && weir.said().contains("running: ")).then_some(())
        });
        weir.signal("TERM");
        assert!(weir.wait(20).success(), "{}", weir.tail());
        let said = weir.said();
        let mut levels = Vec::new();
        // Nothing but weir's own form: a line that EAL wrote past it would not be JSON.
        for line in said.lines() {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if event.get("target") == Some(&Value::from("eal")) {
                levels.push(event.get("level").and_then(Value::as_str).unwrap().to_owned());
            }
        }
        assert!(!levels.is_empty(), "EAL said nothing\n{said}");
        assert_eq!(levels.iter().any(|level| level == "DEBUG"), debug, "{extra:?}\n{said}");
    }
}

#[test]
fn workers_that_pause_forward_everything() {
    let scratch = Scratch::new();
    let head = start_of(&scratch);
    let text = head.replace("idle = \"sleep\"", "idle = \"pause\"");
    assert_ne!(head, text);
    let weir = Weir::start(&scratch, &(text.clone() + &port("a", SOURCE) + &port("b", "null")));
    common::wait_for("traffic", 20, || (weir.counter("b", "tx_packets") > 2000).then_some(()));
    // Pausing has an account of its own: that of the sleeping worker, which the polling one leaves empty.
    let idle = || {
        let said = run([WEIR, "show", "ledger", "--json", "--window", "0.2", "-s", &scratch.text("weir.sock")]).ok();
        let reports: Value = serde_json::from_str(&said).unwrap();
        let accounts = reports.pointer("/0/accounts").and_then(Value::as_array).unwrap();
        let line = accounts.iter().find(|line| line.get("account") == Some(&Value::from("idle")));
        number(line.unwrap_or_else(|| panic!("no account idle: {reports:#}")), "/cycles")
    };
    assert!(idle() > 0, "a worker that pauses books it");
    // Live, down the ladder and up again.
    for way in ["sleep", "poll", "pause"] {
        let changed = text.replace("idle = \"pause\"", &format!("idle = \"{way}\""));
        weir.apply(&(changed + &port("a", SOURCE) + &port("b", "null")));
        assert_eq!(idle() > 0, way != "poll", "{way}");
        let before = weir.counter("b", "tx_packets");
        common::wait_for(way, 20, || (weir.counter("b", "tx_packets") > before + 2000).then_some(()));
    }
    weir.stop(&[]);
}

#[test]
fn three_hundred_guests_have_a_port_each() {
    let scratch = Scratch::new();
    let mut text = start_of(&scratch).replace("mbufs = 8192", "mbufs = 32768") + "\n[limits]\nports = 300\n";
    let socket = |index: usize| scratch.text(&format!("g{index}.sock"));
    for index in 0..300 {
        text += &port(&format!("guest-{index}"), &format!("vhost-user:{}", socket(index)));
    }
    let weir = Weir::start(&scratch, &text);
    let ports = weir.show("ports");
    let ports = ports.as_array().unwrap();
    assert_eq!(ports.len(), 300);
    for index in 0..300 {
        let name = format!("guest-{index}");
        let found = ports.iter().find(|port| port.get("name") == Some(&Value::from(&*name)));
        assert_eq!(found.and_then(|port| port.get("up")), Some(&Value::Bool(false)), "{name}: {found:?}");
        assert!(std::path::Path::new(&socket(index)).exists(), "{name} has no socket");
    }
    weir.stop(&[]);
    for index in 0..300 {
        assert!(!std::path::Path::new(&socket(index)).exists(), "the socket of guest-{index} was left behind");
    }
}

#[test]
fn the_demo_needs_no_permission_and_prints_its_main_figures() {
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // A user's binary may lie in a folder that only its owner may enter.
    let (binary, out) = (scratch.text("weir"), scratch.text("out.pcap"));
    std::fs::copy(WEIR, &binary).unwrap();
    let mut line = vec!["timeout", "--signal=KILL", "120"];
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        line.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    line.extend([&*binary, "demo", "--out", &out]);
    let began = std::time::Instant::now();
    let text = run(line).ok();
    // Promised are less than 20 s; a slow machine is not a bug.
    eprintln!("weir demo took {:.1} s", began.elapsed().as_secs_f64());
    for part in DEMO {
        assert!(text.contains(part), "not told: {part:?}\n{text}");
    }
    assert!(std::fs::metadata(&out).unwrap().len() > 24, "{out} holds no frame");
}

/// Main figures of the demonstration.
const DEMO: [&str; 10] = [
    "PART 1: is every packet where it belongs?",
    "19 of 19 frames left in VXLAN, octet for octet",
    "38 of 38 frames arrived octet for octet",
    "10 of 10 frames arrived octet for octet as they were inside",
    "dropped 5 not_for_us:",
    "c_IO",
    "closure error        0 cycles",
    "cost line            ",
    "lambda_max           ",
    "Every packet is accounted for, every packet buffer is back, every cycle is booked.",
];
