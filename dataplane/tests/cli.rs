//! The command line from outside: the binary is run, shown, changed, asked over HTTP, and given bad input.
//!
//! Needs neither root nor hugepages nor a NIC: ports are null, pcap and source. What needs root is said at its test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in tests, where a failed expectation is a failed test"
)]

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use common::Scratch;
use common::process::{Said, run};
use common::weir::{Weir, head, number};
use serde_json::Value;

/// The binary under test.
const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// A CPU that this process may use: the last, as CPU 0 is everybody's.
fn cpu() -> usize {
    core_affinity::get_core_ids().unwrap().last().unwrap().id
}

fn start_of(scratch: &Scratch) -> String {
    head(scratch, 256, 8192).replace("cores = [1]", &format!("cores = [{}]", cpu()))
}

const TWO_PORTS: &str = "
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

const GREEN: &str = "
[[network]]
name = \"green\"
vni = 200

[[port]]
name = \"c\"
device = \"null\"
role = \"container\"
network = \"green\"
";

/// Runs `weir WORDS`.
fn weir(words: &[&str]) -> Said {
    run([&[WEIR], words].concat())
}

/// Fails unless the command was refused with exit code 2 and a message with all of `parts`.
#[track_caller]
fn refused(said: &Said, parts: &[&str]) {
    assert_eq!(said.status.code(), Some(2), "{}\n{}{}", said.command, said.out, said.err);
    for part in parts {
        assert!(said.err.contains(part), "{}: not told: {part:?}\n{}", said.command, said.err);
    }
}

/// Runs weir with a configuration that it must refuse; nothing may be left of it.
#[track_caller]
fn start_refused(scratch: &Scratch, toml: &str, parts: &[&str]) {
    let file = scratch.text("bad.toml");
    std::fs::write(&file, toml).unwrap();
    // `run` waits for the end of the process: a weir that started would not come back.
    refused(&run(["timeout", "--signal=KILL", "30", WEIR, "run", "-c", &file]), parts);
    assert!(!scratch.path("weir.sock").exists(), "a socket was left behind");
}

/// One HTTP request by hand, as curl would send it: status and body.
#[track_caller]
fn http(scratch: &Scratch, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(scratch.path("weir.sock")).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn everything_is_shown_and_the_books_are_closed() {
    let scratch = Scratch::new();
    let weir = Weir::start(&scratch, &format!("{}{TWO_PORTS}", start_of(&scratch)));
    common::wait_for("traffic", 20, || (weir.received() > 1000).then_some(()));
    for topic in ["workers", "ports", "networks", "macs", "drops"] {
        assert_ne!(weir.show(topic).as_array().map(Vec::len), Some(0), "{topic}");
    }
    for topic in ["neighbours", "tunnels"] {
        assert_eq!(weir.show(topic), Value::Array(Vec::new()), "{topic}: there is no VTEP");
    }
    weir.assert_balanced();
    let mac = weir.find("macs", "network", "blue");
    assert_eq!(mac.get("port"), Some(&Value::from("a")), "{mac:#}");
    // What came in at one port went out at the other. Received first: packets go on coming.
    assert!(weir.counter("a", "rx_packets") <= weir.counter("b", "tx_packets") + 20_000);
    assert!(weir.counter("b", "tx_packets") > 1000);

    let graph = weir.show("graph");
    assert!(graph.pointer("/stages/0/edges/0").is_some_and(|edge| edge == "drop"), "{graph:#}");
    weir.stop(&[]);
}

#[test]
fn the_ledger_is_shown_over_a_window_and_since_the_start() {
    let scratch = Scratch::new();
    let running = Weir::start(&scratch, &format!("{}{TWO_PORTS}", start_of(&scratch)));
    let socket = scratch.text("weir.sock");
    let ledger = |flags: &[&str]| weir(&[&["show", "ledger", "--socket", &socket], flags].concat()).ok();
    for flags in [&["--json", "--window", "0.2"][..], &["--json", "--since-start"]] {
        let reports = json(&ledger(flags));
        let report = reports.pointer("/0").unwrap_or_else(|| panic!("{reports:#}"));
        assert_eq!(report.get("closure_error_cycles"), Some(&Value::from(0)), "{report:#}");
        let accounts = report.get("accounts").and_then(Value::as_array).unwrap();
        let sum: u64 = accounts.iter().map(|account| number(account, "/cycles")).sum();
        assert_eq!(sum, number(report, "/elapsed_cycles"));
    }
    let text = ledger(&["--window", "0.2"]);
    for part in ["Ledger of worker 0", "cycles/packet", "Closure error: 0 cycles"] {
        assert!(text.contains(part), "{text}");
    }
    refused(&weir(&["show", "ledger", "--window", "0"]), &["0.001 to 600 seconds"]);
    running.stop(&[]);
}

#[test]
fn tables_name_their_figures_and_metrics_agree_with_them() {
    let scratch = Scratch::new();
    let running = Weir::start(&scratch, &format!("{}{TWO_PORTS}", start_of(&scratch)));
    let socket = scratch.text("weir.sock");
    common::wait_for("traffic", 20, || (running.received() > 1000).then_some(()));
    let table = |topic: &str| weir(&["show", topic, "-s", &socket]).ok();
    for (topic, parts) in [
        ("workers", &["imbalance", "empty polls", "a:0"][..]),
        ("ports", &["rx octets", "source:flows=4", "null"]),
        ("networks", &["VNI", "blue", "flooded"]),
        ("macs", &["learned", "port a"]),
        ("drops", &["no packet was dropped"]),
        ("neighbours", &["no next hops"]),
        ("tunnels", &["no tunnels"]),
    ] {
        let text = table(topic);
        for part in parts {
            assert!(text.contains(part), "{topic}: {part:?} is missing\n{text}");
        }
    }
    assert!(weir(&["show", "drops", "--all", "-s", &socket]).ok().contains("vxlan_vni_unknown"));
    assert!(weir(&["show", "graph", "--live", "-s", &socket]).ok().contains("calls"));

    let before = running.counter("a", "rx_packets");
    let (status, page) = http(&scratch, "GET", "/metrics", "");
    assert_eq!(status, 200, "{page}");
    let metric = |name: &str| -> u64 {
        let lines = page.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert!(metric("weir_port_rx_packets_total{port=\"a\"") >= before);
    assert_eq!(metric("weir_worker_imbalance_packets"), 0);
    let busy = metric("weir_worker_cycles_total{worker=\"0\",account=\"busy\"");
    assert!(busy > 0);
    assert_eq!(metric("weir_stage_cycles_total"), busy, "the stages' cycles sum to the busy account");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(page.contains(&format!("# TYPE {name} ")), "{line}");
    }
    running.stop(&[]);
}

#[test]
fn apply_changes_a_running_weir_all_or_nothing() {
    let scratch = Scratch::new();
    let head = start_of(&scratch);
    let before = format!("{head}{TWO_PORTS}");
    let weir = Weir::start(&scratch, &before);
    let config = || json(&http(&scratch, "GET", "/v1/config", "").1);
    let original = config();

    // A dry run says what would be, and leaves it at that.
    let after = format!("{before}{GREEN}");
    let said = weir.try_apply(&after, &["--dry-run"]);
    let answer = json(&said.ok());
    let diff = answer.get("diff").unwrap().to_string();
    assert!(diff.contains("+ network green vni 200") && diff.contains("+ port c container null"), "{answer:#}");
    assert_eq!(config(), original);

    // Then it is.
    let answer = weir.apply(&after);
    assert_eq!(answer.get("blocked_cycles").and_then(Value::as_array).map(Vec::len), Some(1), "{answer:#}");
    assert!(number(&answer, "/tsc_hz") > 0);
    assert_eq!(number(&weir.find("networks", "name", "green"), "/vni"), 200);
    let changed = config();
    assert_ne!(changed, original);
    assert_eq!(weir.apply(&after).get("diff"), Some(&Value::Array(Vec::new())), "nothing to change");

    // What is read at start only is refused as a whole, with the rest of the file.
    let start_only = before.replace("mbufs = 8192", "mbufs = 4096");
    refused(&weir.try_apply(&start_only, &[]), &["pool.mbufs: 8192 -> 4096", "restart"]);
    refused(&weir.try_apply(&start_only, &["--dry-run"]), &["pool.mbufs"]);
    let (status, body) = http(&scratch, "POST", "/v1/apply", &start_only);
    assert_eq!(status, 409, "{body}");
    assert_eq!(json(&body).pointer("/restart/0/field"), Some(&Value::from("pool.mbufs")));

    // A file that is wrong, by name and place; by the command line and by the server.
    let wrong = after.replace("vni = 200", "vni = 100");
    refused(&weir.try_apply(&wrong, &[]), &["apply.toml:", "VNI 100 is already that of network \"blue\""]);
    let (status, body) = http(&scratch, "POST", "/v1/apply?file=mine.toml", &wrong);
    assert_eq!(status, 422, "{body}");
    let answer = json(&body);
    assert_eq!(answer.pointer("/diagnostics/0/code"), Some(&Value::from("vni-twice")));
    assert_eq!(answer.pointer("/diagnostics/0/file"), Some(&Value::from("mine.toml")));
    assert!(number(&answer, "/diagnostics/0/line") > 0);

    // A device that cannot be opened, together with a change that could be made.
    let device = format!("{before}{}", GREEN.replace("\"null\"", "\"net_nothing_like_it0\""));
    refused(&weir.try_apply(&device, &[]), &["port \"c\"", "nothing was changed"]);
    assert_eq!(config(), changed, "nothing was changed by all that was refused");

    weir.apply(&before);
    assert_eq!(config(), original);
    weir.stop(&["no_network", "port_down", "shutdown"]);
}

#[test]
fn requests_that_make_no_sense_are_told_so() {
    let scratch = Scratch::new();
    let weir = Weir::start(&scratch, &format!("{}{TWO_PORTS}", start_of(&scratch)));
    for (method, path, status, part) in [
        ("GET", "/v1/nothing", 404, "nothing at this path"),
        ("POST", "/v1/ports", 405, "method"),
        ("GET", "/v1/ledger?window_ms=0", 400, "1 to 600000 ms"),
        ("GET", "/v1/ledger?windw_ms=5", 400, "windw_ms"),
        ("POST", "/v1/apply?dry_run=perhaps", 400, "`true` or `false`"),
        ("POST", "/v1/apply", 409, "read at start only"),
    ] {
        let (answered, body) = http(&scratch, method, path, "");
        assert_eq!(answered, status, "{method} {path}: {body}");
        let body = json(&body);
        let error = body.get("error").and_then(Value::as_str).unwrap();
        assert!(error.contains(part), "{method} {path}: {error}");
        assert!(body.get("remedy").and_then(Value::as_str).is_some_and(|remedy| !remedy.is_empty()), "{body:#}");
    }
    weir.stop(&[]);
}

#[test]
fn a_wrong_file_is_refused_with_place_and_remedy() {
    let scratch = Scratch::new();
    let good = format!("{}{TWO_PORTS}", start_of(&scratch));
    let line_of = |text: &str, what: &str| text.lines().position(|line| line.contains(what)).unwrap() + 1;
    let place = |text: &str, what: &str| format!("bad.toml:{}:", line_of(text, what));

    let text = good.replace("mbufs = ", "mbuffs = ");
    start_refused(&scratch, &text, &[&place(&text, "mbuffs"), "unknown key `mbuffs`", "did you mean `mbufs`?"]);
    let text = good.replace("vni = 100", "vni = \"100\"");
    start_refused(&scratch, &text, &[&place(&text, "vni"), "wrong type", "an integer"]);
    let text = format!("{good}{}", GREEN.replace("vni = 200", "vni = 100"));
    start_refused(&scratch, &text, &["VNI 100", "help: give each network a VNI of its own"]);
    let text = good.replace("\"null\"", "\"nul\"");
    start_refused(&scratch, &text, &[&place(&text, "nul\""), "nul", "help:"]);
    let text = good.replace(&format!("cores = [{}]", cpu()), "cores = [4000]");
    start_refused(&scratch, &text, &["bad.toml:", "CPU 4000", "help:"]);
    let text = good.replace("weir.sock", &"x".repeat(108));
    start_refused(&scratch, &text, &[&place(&text, "socket = "), "octets", "choose a shorter path"]);
    let text = good.replace("memory = \"no-huge\"", "memory = \"hugepages\"");
    let text = text.replace("memory_mib = 256", "memory_mib = 1048576");
    start_refused(&scratch, &text, &["1048576 MiB of hugepages", "this machine has", "help: reserve hugepages"]);

    let text = good.replace("mbufs = 8192", "mbufs = 1000000");
    start_refused(&scratch, &text, &[&place(&text, "memory_mib"), "the pool alone takes", "lower `pool.mbufs`"]);

    refused(&weir(&["run", "-c", "/nowhere/weir.toml"]), &["/nowhere/weir.toml", "cannot be read", "help:"]);
    refused(&weir(&["run"]), &["--config"]);
    refused(&weir(&["run", "--confg", "x"]), &["--confg", "--config"]);
}

#[test]
fn a_start_that_fails_half_way_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let good = format!("{}{TWO_PORTS}", start_of(&scratch));
    // Port a opens, then b does not.
    let text = good.replace("\"null\"", "\"net_nothing_like_it0\"");
    start_refused(&scratch, &text, &["port \"b\"", "net_nothing_like_it0"]);
    // A vhost-user socket that was made before is gone, too.
    let vhost = scratch.text("guest.sock");
    let text = text.replace("source:flows=4,rate_pps=20000", &format!("vhost-user:{vhost}"));
    start_refused(&scratch, &text, &["port \"b\""]);
    assert!(!std::path::Path::new(&vhost).exists(), "a vhost-user socket was left behind");
    // EAL's own options, where they collide and where they are wrong.
    let file = scratch.text("good.toml");
    std::fs::write(&file, &good).unwrap();
    refused(&weir(&["run", "-c", &file, "--", "-l", "0-1"]), &["-l", "workers.cores"]);
    refused(&weir(&["run", "-c", &file, "--", "--no-such-option"]), &["EAL did not start", "EAL arguments"]);
    assert!(!scratch.path("weir.sock").exists());
}

#[test]
fn the_control_socket_is_taken_from_nobody() {
    let scratch = Scratch::new();
    let good = format!("{}{TWO_PORTS}", start_of(&scratch));
    let file = scratch.text("good.toml");
    std::fs::write(&file, &good).unwrap();
    let run_at = |socket: &str| run(["timeout", "--signal=KILL", "30", WEIR, "run", "-c", &file, "-s", socket]);

    refused(
        &run_at(&format!("/tmp/{}", "x".repeat(110))),
        &["octets", "107 are the most", "help: choose a shorter one"],
    );
    let missing = scratch.text("no-such-folder/weir.sock");
    refused(&run_at(&missing), &["no-such-folder", "does not exist", "help: create it"]);
    let plain = scratch.text("plain");
    std::fs::write(&plain, "precious").unwrap();
    refused(&run_at(&plain), &["no socket", "help:"]);
    assert_eq!(std::fs::read_to_string(&plain).unwrap(), "precious");

    let first = Weir::start(&scratch, &good);
    refused(&run_at(&scratch.text("weir.sock")), &["in use by another weir", "help: stop that one"]);
    assert!(first.received() < u64::MAX, "the first one still answers");
    first.stop(&[]);

    // What a weir that was killed left behind is taken over.
    drop(UnixListener::bind(scratch.path("weir.sock")).unwrap());
    Weir::start(&scratch, &good).stop(&[]);
}

/// Needs root, to become somebody else; a user who is not root has no permission to begin with.
#[test]
fn no_permission_is_told() {
    let scratch = Scratch::new();
    let good = format!("{}{TWO_PORTS}", start_of(&scratch));
    let file = scratch.text("good.toml");
    std::fs::write(&file, &good).unwrap();
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let mut line = vec!["timeout", "--signal=KILL", "30"];
    if root {
        line.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    // A user's binary may lie in a folder that only its owner may enter.
    let binary = scratch.text("weir");
    std::fs::copy(WEIR, &binary).unwrap();
    line.extend([&binary, "run", "-c", &file, "-s", "/weir-test.sock"]);
    refused(
        &run(line),
        &["no permission to create the control socket /weir-test.sock", "help: run weir as a user who may"],
    );
}

#[test]
fn systemd_is_told_and_sigint_ends_with_closed_books() {
    let scratch = Scratch::new();
    let file = scratch.text("weir.toml");
    std::fs::write(&file, format!("{}{TWO_PORTS}", start_of(&scratch))).unwrap();
    let systemd = UnixDatagram::bind(scratch.path("notify.sock")).unwrap();
    systemd.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut told = [0; 64];
    let mut hear = || {
        let octets = systemd.recv(&mut told).expect("weir tells systemd");
        String::from_utf8_lossy(&told[..octets]).into_owned()
    };
    let mut child = std::process::Command::new(WEIR)
        .args(["--log-format", "json", "run", "-c", &file])
        .env("NOTIFY_SOCKET", scratch.path("notify.sock"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let ready = hear();
    run(["kill", "-INT", &child.id().to_string()]).ok();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(child.wait().unwrap().success(), "{log}");
    assert_eq!([ready, hear()], ["READY=1", "STOPPING=1"], "{log}");
    let messages: Vec<String> =
        log.lines().map(|line| json(line).pointer("/fields/message").unwrap().to_string()).collect();
    let plan = format!("rx 0 → worker 0 (CPU {})", cpu());
    assert!(messages.iter().any(|message| message.contains("port a") && message.contains(&plan)), "{log}");
    let last = messages.last().unwrap();
    assert!(last.contains("packets: rx ") && last.contains("all packet buffers are back"), "{last}");
}

#[test]
fn nobody_to_ask_is_a_failure_and_not_bad_input() {
    let scratch = Scratch::new();
    let said = weir(&["show", "ports", "-s", &scratch.text("weir.sock")]);
    assert_eq!(said.status.code(), Some(1), "{}", said.err);
    assert!(said.err.contains("no weir answers") && said.err.contains("weir run -c"), "{}", said.err);
    refused(&weir(&["show", "prots"]), &["prots", "ports"]);
}

#[test]
fn check_says_all_there_is_to_say() {
    let scratch = Scratch::new();
    let file = scratch.text("weir.toml");
    std::fs::write(&file, format!("{}{TWO_PORTS}", start_of(&scratch))).unwrap();
    let out = weir(&["check", &file]).ok();
    assert!(out.contains("OK, 2 ports, 1 network, 0 remote VTEPs, 1 worker on CPU"), "{out}");
    let answer = json(&weir(&["check", "--json", &file]).ok());
    assert_eq!(answer.pointer("/summary/ports"), Some(&Value::from(2)), "{answer:#}");

    std::fs::write(&file, "[workers]\ncores = [4000]\nburts = 3\n[pool]\nmbufs = \"many\"\n").unwrap();
    let said = weir(&["check", "--json", &file]);
    assert_eq!(said.status.code(), Some(2));
    let codes = |said: &Said| -> Vec<String> {
        let found = json(&said.out);
        let found = found.get("diagnostics").and_then(Value::as_array).unwrap();
        found.iter().map(|one| one.get("code").and_then(Value::as_str).unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&said), ["unknown-key", "type"], "all mistakes of the file at once");
    std::fs::write(&file, "[workers]\ncores = [4000]\n").unwrap();
    assert_eq!(codes(&weir(&["check", "--json", &file])), ["no-such-cpu"]);
    weir(&["check", "--any-machine", &file]).ok();
}

#[test]
fn what_needs_no_running_weir_is_printed() {
    assert!(json(&weir(&["config", "schema"]).ok()).pointer("/properties/port").is_some());
    let devices = weir(&["config", "devices"]).ok();
    assert!(devices.contains("vhost-user:PATH") && devices.contains("\n    "), "{devices}");
    assert!(weir(&["show", "graph"]).ok().contains("vxlan-encap"));
    assert!(weir(&["show", "graph", "--format", "mermaid"]).ok().starts_with("flowchart"));
    assert!(weir(&["show", "graph", "--format", "dot"]).ok().starts_with("digraph"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(weir(&["completions", shell]).ok().contains("ledger"), "{shell}");
    }
    for words in [&["--help"][..], &["run", "--help"], &["check", "--help"], &["apply", "--help"], &["show", "--help"]]
    {
        let help = weir(words).ok();
        assert!(help.contains("Examples:"), "{words:?}\n{help}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let line = format!("set -o pipefail; {WEIR} config schema | head -c 1 >/dev/null");
    run(["bash", "-c", &line]).ok();
}
