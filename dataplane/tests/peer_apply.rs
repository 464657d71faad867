//! `weir apply` while packets flow: ports, networks, VTEPs, static entries and the ledger's level come and go, and the
//! ports that a change does not touch lose nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]
#![allow(clippy::format_push_string, reason = "a configuration is put together section by section")]

mod common;

use std::net::Ipv4Addr;

use common::capture::Captured;
use common::files::{SEQUENCE_AT, all_in_order};
use common::net::Netns;
use common::weir::{Weir, head_on, number};
use common::{Scratch, soak, wait_for};
use serde_json::Value;

const STAYS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const CROSSES: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// What every configuration of the test has in common: two sources and the files that their packets end in. The second
/// pair is in a network that changes around it. Two workers, and each source's packets are handed over once.
fn common_part(scratch: &Scratch, level: &str, blue: &str) -> String {
    let mut text = head_on(scratch, 512, 65536, "[0, 1]");
    // The same head every time: it is read at start only.
    text = text.replace(&prefix_of(&text), "weir-peer-apply");
    text += &format!("[ledger]\nlevel = \"{level}\"\n\n");
    text += "[[network]]\nname = \"still\"\nvni = 1\nmacs = [{ mac = \"02:00:00:00:00:02\", port = \"still-to\" }]\n\n";
    text += &format!("[[network]]\nname = \"blue\"\nvni = 2\n{blue}\n\n");
    for (name, from, mac, worker) in [("still", STAYS, 1, 0), ("blue", CROSSES, 3, 1)] {
        text += &format!(
            "[[port]]\nname = \"{name}-from\"\nrole = \"container\"\nnetwork = \"{name}\"\nqueue_workers = [{worker}]\n\
             device = \"source:size=60,flows=8,src_mac=02:00:00:00:00:{mac:02x},dst_mac=02:00:00:00:00:{to:02x},\
             src_ip={from},rate_pps=20000,seq={SEQUENCE_AT}\"\n\n\
             [[port]]\nname = \"{name}-to\"\ndevice = \"pcap:,{file}\"\nrole = \"container\"\nnetwork = \"{name}\"\n\
             queue_workers = [{other}]\n\n",
            to = mac + 1,
            file = scratch.text(&format!("{name}.pcap")),
            other = 1 - worker,
        );
    }
    text
}

/// The run-time files' prefix, which `head` makes a new one of every time.
fn prefix_of(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("file_prefix")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

const BLUE_MACS: &str = "macs = [{ mac = \"02:00:00:00:00:04\", port = \"blue-to\" }]";

fn uplink(vtep: &str, remote: &Netns) -> (String, String) {
    let port = format!(
        "[[port]]\nname = \"up0\"\ndevice = \"tap:up0@{}\"\nrole = \"uplink\"\naddresses = [\"198.51.100.1/24\"]\n\
         mac = \"02:00:00:00:ee:01\"\nmtu = 1600\n\n",
        remote.name()
    );
    (port, format!("{BLUE_MACS}\nvteps = [{vtep}]"))
}

/// Applies it, and checks what is said of it: how long each worker was held up.
#[track_caller]
fn apply(weir: &Weir, what: &str, toml: &str) -> Value {
    let answer = weir.apply(toml);
    let blocked = answer.get("blocked_cycles").and_then(Value::as_array);
    let blocked = blocked.unwrap_or_else(|| panic!("{what}: no blocked cycles: {answer:#}"));
    assert_eq!(blocked.len(), 2, "{what}: one number for each worker: {answer:#}");
    assert!(blocked.iter().all(|cycles| cycles.as_u64().is_some_and(|cycles| cycles > 0)), "{what}: {answer:#}");
    answer
}

/// Fails unless every report of the ledger is of this level.
#[track_caller]
fn measures_at(weir: &Weir, level: &str) {
    let reports = weir.show("ledger");
    let reports = reports.as_array().unwrap();
    // Two workers, and both together.
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|report| report["level"] == level), "not all at level {level}: {reports:#?}");
    // What is asked of each worker's thread, CPU and core is there for all of them together too.
    for report in reports {
        number(report, "/involuntary_switches");
        number(report, "/steal_ticks");
        assert!(report["core_cycles_per_tsc_cycle"].as_f64().is_some_and(|ratio| ratio > 0.1), "{report:#}");
    }
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn changes_lose_nothing_on_what_they_do_not_touch() {
    let scratch = Scratch::new();
    let remote = Netns::new("remote");
    let base = common_part(&scratch, "sampled", BLUE_MACS);
    let weir = Weir::start(&scratch, &base);
    let flows = |weir: &Weir| {
        let seen = weir.counter("still-to", "tx_packets");
        wait_for("packets to flow on", 10, || (weir.counter("still-to", "tx_packets") > seen + 2000).then_some(()));
    };
    let names = |topic: &str| -> Vec<String> {
        let list = weir.show(topic);
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    flows(&weir);
    measures_at(&weir, "sampled");

    for round in 0..soak(3) {
        // A port and a network.
        let more = "[[network]]\nname = \"green\"\nvni = 3\n\n\
                    [[port]]\nname = \"extra\"\ndevice = \"null\"\nrole = \"container\"\nnetwork = \"green\"\n\n\
                    [[port]]\nname = \"beside\"\ndevice = \"null\"\nrole = \"container\"\nnetwork = \"blue\"\n\n";
        apply(&weir, "add a port and a network", &(base.clone() + more));
        assert!(names("ports").contains(&"extra".to_owned()) && names("networks").contains(&"green".to_owned()));
        flows(&weir);

        // An uplink and a VTEP, another VTEP, static entries of the network that the second pair is in.
        let (up, blue) = uplink("\"198.51.100.2\"", &remote);
        apply(&weir, "add an uplink and a VTEP", &(common_part(&scratch, "sampled", &blue) + &up));
        assert!(!names("ports").contains(&"extra".to_owned()) && !names("networks").contains(&"green".to_owned()));
        assert_eq!(weir.find("tunnels", "remote", "198.51.100.2")["uplink"], "up0");
        flows(&weir);
        let (up, blue) = uplink("\"198.51.100.2\", \"198.51.100.3\"", &remote);
        let blue = blue.replace("macs = [", "macs = [{ mac = \"02:00:00:00:00:99\", vtep = \"198.51.100.3\" }, ");
        let whole = common_part(&scratch, "full", &blue) + &up;
        apply(&weir, "add a VTEP and an entry, measure everything", &whole);
        assert_eq!(weir.find("macs", "mac", "02:00:00:00:00:99")["vtep"], "198.51.100.3");
        measures_at(&weir, "full");
        flows(&weir);

        // The same file again: nothing to do.
        let again = weir.apply(&whole);
        assert_eq!(weir.show("ports").as_array().map(Vec::len), Some(5), "{again:#}");

        // Refused as a whole: what is wrong is told, and nothing has changed.
        let before = (names("ports"), names("networks"));
        for (wrong, why) in [
            (whole.replace("mbufs = 65536", "mbufs = 32768"), "pool.mbufs"),
            (
                whole.clone()
                    + "[[port]]\nname = \"twice\"\ndevice = \"null\"\nrole = \"container\"\nnetwork = \"none\"\n",
                "none",
            ),
            (
                whole.clone()
                    + "[[port]]\nname = \"gone\"\ndevice = \"tap:x@weir-no-such-netns\"\nrole = \"container\"\nnetwork = \"blue\"\n",
                "weir-no-such-netns",
            ),
        ] {
            let said = weir.try_apply(&wrong, &[]);
            assert_eq!(said.status.code(), Some(2), "round {round}: {why}: {}{}", said.out, said.err);
            assert!((said.err + &said.out).contains(why), "round {round}: the message does not say {why:?}");
            assert_eq!((names("ports"), names("networks")), before);
        }
        // The device goes to a port with another name, and back with another MTU.
        let renamed = whole.replace("name = \"up0\"", "name = \"up1\"");
        apply(&weir, "give the uplink's device to another port", &renamed);
        assert!(names("ports").contains(&"up1".to_owned()) && !names("ports").contains(&"up0".to_owned()));
        assert_eq!(weir.find("tunnels", "remote", "198.51.100.2")["uplink"], "up1");
        flows(&weir);
        apply(&weir, "give it back, with another MTU", &whole.replace("mtu = 1600", "mtu = 1700"));
        let link = remote.ip("link show up0");
        assert!(link.contains("mtu 1700"), "the kernel's side of the tap has the new MTU: {link}");
        apply(&weir, "and again as it was", &whole);
        flows(&weir);

        // A dry run changes nothing.
        let dry = weir.try_apply(&base, &["--dry-run"]);
        assert!(dry.status.success(), "{}", dry.err);
        assert_eq!((names("ports"), names("networks")), before);
        flows(&weir);

        apply(&weir, "take everything back, measure nothing", &base.replace("level = \"sampled\"", "level = \"off\""));
        assert_eq!(names("ports").len(), 4);
        measures_at(&weir, "off");
        flows(&weir);
        apply(&weir, "measure again", &base);
        measures_at(&weir, "sampled");
    }

    weir.assert_balanced();
    let mut received = Vec::new();
    for name in ["still-from", "blue-from"] {
        let port = weir.port(name);
        assert_eq!(number(&port, "/counters/dropped"), 0, "{port:#}");
        received.push(number(&port, "/counters/rx_packets"));
    }
    // Kernels talk of their own accord on a tap that comes up.
    weir.stop(&["not_for_us", "host_absent"]);
    for ((file, from), received) in [("still.pcap", STAYS), ("blue.pcap", CROSSES)].into_iter().zip(received) {
        let seen = all_in_order(&scratch.path(file), from, 0, 1);
        assert!(seen >= received, "{file}: {seen} of {received} packets");
        // The first 20,000 are enough for tshark: the same flows all the time.
        let captured = Captured::from_file(&scratch.path(file)).first(20_000);
        captured.judge(2000);
        captured.verified("ip", 2000);
    }
}
