//! Devices that cannot be opened, from outside: `weir run` and `weir apply` say the place, what is wrong and what to do, end
//! with exit code 2, and leave nothing behind and nothing changed.
//!
//! Needs neither root nor hugepages nor a NIC; started as root, it becomes somebody else where permission has to be missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in tests, where a failed expectation is a failed test"
)]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use common::Scratch;
use common::process::{Running, Said, run};
use common::weir::{Weir, head_on};
use serde_json::Value;

/// The binary under test.
const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// A configuration's start: a worker on the last CPU that this process may use, as CPU 0 is everybody's.
fn start_of(scratch: &Scratch) -> String {
    let cpu = core_affinity::get_core_ids().unwrap().last().unwrap().id;
    let head = head_on(scratch, 256, 4096, &format!("[{cpu}]"));
    format!("{head}[[network]]\nname = \"blue\"\nvni = 100\n")
}

fn port(name: &str, device: &str) -> String {
    format!("\n[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\nnetwork = \"blue\"\n")
}

/// Devices that cannot be opened, each with what has to be said of it; and the listener that makes one of them so.
fn bad_devices(scratch: &Scratch) -> (Vec<(String, Vec<String>)>, UnixListener) {
    let busy = scratch.text("busy.sock");
    let listener = UnixListener::bind(&busy).unwrap();
    std::fs::write(scratch.path("plain"), "precious").unwrap();
    let said = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let devices = vec![
        (format!("vhost-user:{busy}"), said(&["port \"b\"", "it is in use", "choose another path"])),
        (format!("vhost-user:/tmp/{}", "x".repeat(108)), said(&["octets", "choose a shorter path"])),
        (format!("vhost-user:{}", scratch.text("no-folder/x.sock")), said(&["port \"b\"", "no folder", "create it"])),
        (format!("vhost-user:{}", scratch.text("plain")), said(&["port \"b\"", "is not a socket", "choose another"])),
        (format!("pcap:{}", scratch.text("missing.pcap")), said(&["missing.pcap", "there is no file"])),
        ("0000:ff:1f.7".to_owned(), said(&["port \"b\"", "0000:ff:1f.7", "no such device", "dpdk-devbind.py"])),
        ("af-packet:weir-nothing0".to_owned(), said(&["port \"b\"", "weir-nothing0", "no such device", "`ip link`"])),
    ];
    (devices, listener)
}

/// Fails unless the command was refused with exit code 2, and its message has the place of `device` in `text`, a remedy,
/// and all of `parts`.
#[track_caller]
fn refused(said: &Said, file: &str, text: &str, device: &str, parts: &[String]) {
    assert_eq!(said.status.code(), Some(2), "{}\n{}{}", said.command, said.out, said.err);
    let line = text.lines().position(|line| line == format!("device = \"{device}\"")).unwrap() + 1;
    let place = format!("{file}:{line}:10: error: ");
    for part in [&place, "  help: "].into_iter().map(str::to_owned).chain(parts.iter().cloned()) {
        assert!(said.err.contains(&part), "{device}: not told: {part:?}\n{}", said.err);
    }
}

/// `weir run` as a user who may do nothing: from a copy, as a user's binary may lie in a folder that only its owner may
/// enter, with sockets in a folder that everybody may write to.
fn powerless(scratch: &Scratch) -> Vec<String> {
    let binary = scratch.text("weir");
    std::fs::copy(WEIR, &binary).unwrap();
    std::fs::set_permissions(scratch.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut line = Vec::new();
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        line.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned));
    }
    line.extend([binary, "run".into(), "-c".into()]);
    line
}

/// Runs `line` to its end, which must come: a weir that started would not end.
fn ends(line: &[String], file: &str) -> Said {
    let line = line.iter().map(String::as_str).chain([file]);
    run(["timeout", "--signal=KILL", "30"].into_iter().chain(line))
}

#[test]
fn a_start_is_refused_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let file = scratch.text("bad.toml");
    let (devices, listener) = bad_devices(&scratch);
    for (device, parts) in devices {
        // Port a opens first; its socket must be gone in the end.
        let guest = scratch.text("guest.sock");
        let text = start_of(&scratch) + &port("a", &format!("vhost-user:{guest}")) + &port("b", &device);
        std::fs::write(&file, &text).unwrap();
        refused(&ends(&[WEIR, "run", "-c"].map(str::to_owned), &file), &file, &text, &device, &parts);
        assert!(!Path::new(&guest).exists(), "{device}: the socket of port a was left behind");
        assert!(!scratch.path("weir.sock").exists(), "{device}: the control socket was left behind");
    }
    // What was there before is still there.
    assert_eq!(std::fs::read_to_string(scratch.path("plain")).unwrap(), "precious");
    drop(UnixStream::connect(scratch.path("busy.sock")).unwrap());
    drop(listener);
}

#[test]
fn an_apply_is_refused_and_changes_nothing() {
    let scratch = Scratch::new();
    let guest = scratch.text("guest.sock");
    // Without `mac` a null device makes one up whenever it is opened.
    let mac = "mac = \"02:00:00:00:00:77\"\n";
    let before = start_of(&scratch) + &port("a", &format!("vhost-user:{guest}")) + &port("n", "null") + mac;
    let weir = Weir::start(&scratch, &before);
    let state = || (weir.show("ports"), weir.show("networks"));
    let was = state();
    assert_eq!(was.0.as_array().map(Vec::len), Some(2), "{:#}", was.0);

    let file = scratch.text("weir.apply.toml");
    let (devices, listener) = bad_devices(&scratch);
    for (device, parts) in devices {
        // Port a0 opens before b does not, and is closed again.
        let fresh = scratch.text("fresh.sock");
        let text = before.clone() + &port("a0", &format!("vhost-user:{fresh}")) + &port("b", &device);
        let said = weir.try_apply(&text, &[]);
        refused(&said, &file, &text, &device, &parts);
        assert_eq!(state(), was, "{device}: something was changed");
        assert!(!Path::new(&fresh).exists(), "{device}: the socket of port a0 was left behind");
        // A port that is there gets a device that cannot be opened: it is opened again as it was.
        let text = before.replace("device = \"null\"", &format!("device = \"{device}\""));
        let parts: Vec<_> = parts.iter().map(|part| part.replace("\"b\"", "\"n\"")).collect();
        refused(&weir.try_apply(&text, &[]), &file, &text, &device, &parts);
        assert_eq!(state(), was, "{device}: something was changed");
    }
    drop(listener);

    for (text, part) in [
        (before.replace("vni = ", "vnl = "), "unknown key `vnl`"),
        (before.replace("vni = 100", "vni = true"), "wrong type"),
        (format!("{before}[[network]]\nname = \"green\"\nvni = 100\n"), "VNI 100 is already that of network \"blue\""),
        (before.clone() + &port("n", "null"), "there is already a port \"n\""),
        (before.clone() + &port("b", &format!("vhost-user:{guest}")), "is already that of another port"),
        (before.replace("cores = [", "cores = [4000, "), "workers.cores"),
        (before.replace("\"no-huge\"", "\"hugepages\""), "eal.memory"),
        (before.replace("weir.sock", &"x".repeat(110)), "octets"),
        (before.replace("weir.sock", "busy.sock"), "control.socket"),
    ] {
        assert_ne!(text, before, "{part}");
        let said = weir.try_apply(&text, &[]);
        assert_eq!(said.status.code(), Some(2), "{part}\n{}{}", said.out, said.err);
        assert!(said.err.contains(part) && said.err.contains("help: "), "not told: {part:?}\n{}", said.err);
        assert_eq!(state(), was, "{part}: something was changed");
    }
    weir.stop(&[]);
}

#[test]
fn a_missing_permission_is_named() {
    let scratch = Scratch::new();
    let file = scratch.text("bad.toml");
    let line = powerless(&scratch);
    let locked = scratch.path("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    let devices = [
        ("tap:weir-no0".to_owned(), ["permission is missing", "CAP_NET_ADMIN"]),
        ("af-packet:lo".to_owned(), ["permission is missing", "CAP_NET_RAW"]),
        (format!("vhost-user:{}/x.sock", locked.display()), ["cannot be created", "writable for the user"]),
    ];
    for (device, parts) in &devices {
        let parts = parts.map(str::to_owned);
        let guest = scratch.text("guest.sock");
        let text = start_of(&scratch) + &port("a", &format!("vhost-user:{guest}")) + &port("b", device);
        std::fs::write(&file, &text).unwrap();
        refused(&ends(&line, &file), &file, &text, device, &parts);
        assert!(!Path::new(&guest).exists(), "{device}: the socket of port a was left behind");
        assert!(!scratch.path("weir.sock").exists(), "{device}: the control socket was left behind");
    }

    // And while it runs.
    let before = start_of(&scratch) + &port("n", "null");
    std::fs::write(&file, &before).unwrap();
    let mut running = Running::start(line.iter().map(String::as_str).chain([&*file]), &scratch.path("weir.log"));
    let socket = scratch.text("weir.sock");
    let ports = || {
        let said = run([WEIR, "show", "ports", "--json", "-s", &socket]);
        said.status.success().then(|| serde_json::from_str::<Value>(&said.out).unwrap())
    };
    let was = common::wait_for("weir", 30, || {
        assert!(running.ended().is_none(), "{}", running.tail());
        ports()
    });
    for (device, parts) in &devices {
        let text = before.clone() + &port("b", device);
        std::fs::write(&file, &text).unwrap();
        refused(&run([WEIR, "apply", &file, "-s", &socket]), &file, &text, device, &parts.map(str::to_owned));
        assert_eq!(ports(), Some(was.clone()), "{device}: something was changed");
    }
    running.signal("TERM");
    assert!(running.wait(20).success(), "{}", running.tail());
}
