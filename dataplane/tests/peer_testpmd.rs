//! weir with testpmd as the container: vhost-user in both roles, several queues, many ports, and guests that are killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]

mod common;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use common::files::{SEQUENCE_AT, all_in_order, write_pcap};
use common::testpmd::{Guest, Testpmd};
use common::weir::{Weir, head, number};
use common::{Scratch, soak, wait_for};

/// The MAC address of guest `index`.
fn guest_mac(index: usize) -> String {
    format!("02:00:00:00:01:{index:02x}")
}

const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 2, 0];

/// A frame from the source to guest `index`: a minimal IPv4 UDP datagram, its checksum left out.
fn frame_to(index: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 1, index as u8];
    frame.extend(SOURCE_MAC);
    frame.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 19, 0, index as u8]);
    let sum = overlay::wire::checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend([4, 0, 0, 9, 0, 26, 0, 0]);
    frame.resize(60, index as u8);
    frame
}

/// A network whose source sends to each guest in turn, `rate_pps` in all.
fn guests_config(scratch: &Scratch, guests: &[Guest], rate_pps: u32) -> String {
    let frames: Vec<Vec<u8>> = (0..guests.len()).map(frame_to).collect();
    write_pcap(&scratch.path("to-guests.pcap"), frames.iter().map(Vec::as_slice));
    let mut text = "[[network]]\nname = \"guests\"\nvni = 1\nmacs = [\n".to_owned();
    writeln!(text, "  {{ mac = \"02:00:00:00:02:00\", port = \"gen\" }},").unwrap();
    for index in 0..guests.len() {
        writeln!(text, "  {{ mac = \"{}\", port = \"v{index}\" }},", guest_mac(index)).unwrap();
    }
    text += "]\n\n";
    let frames = scratch.text("to-guests.pcap");
    text += &format!(
        "[[port]]\nname = \"gen\"\ndevice = \"source:frames={frames},rate_pps={rate_pps}\"\nrole = \"container\"\n\
         network = \"guests\"\n\n"
    );
    for (index, guest) in guests.iter().enumerate() {
        let client = if guest.server { ",client" } else { "" };
        text += &format!(
            "[[port]]\nname = \"v{index}\"\ndevice = \"vhost-user:{}{client}\"\nrole = \"container\"\n\
             network = \"guests\"\nrx_queues = {q}\ntx_queues = {q}\n\n",
            guest.socket.display(),
            q = guest.queues
        );
    }
    text
}

fn guests(scratch: &Scratch, count: usize, queues: u16) -> Vec<Guest> {
    let guest = |index: usize| Guest {
        socket: scratch.path(&format!("v{index}.sock")),
        // Every other guest listens.
        server: index % 2 == 1,
        queues,
        mac: guest_mac(index),
    };
    (0..count).map(guest).collect()
}

/// Frames to a guest that is not there yet, or slower than the traffic: testpmd shares a CPU with the test itself.
const TO_GUESTS: &[&str] = &["port_down", "tx_full"];

/// Waits until every guest has sent back `more` packets beyond what it had.
#[track_caller]
fn all_answer(weir: &Weir, count: usize, more: u64, testpmds: &mut [Testpmd]) {
    let counted = |weir: &Weir| -> Vec<u64> {
        let ports = weir.show("ports");
        let of = |name: String| ports.as_array().unwrap().iter().find(|port| port["name"] == name.as_str()).cloned();
        (0..count).map(|index| number(&of(format!("v{index}")).unwrap(), "/counters/rx_packets")).collect()
    };
    let before = counted(weir);
    let until = Instant::now() + Duration::from_secs(40);
    loop {
        testpmds.iter_mut().for_each(Testpmd::assert_runs);
        let now = counted(weir);
        if now.iter().zip(&before).all(|(now, before)| *now >= before + more) {
            return;
        }
        assert!(
            Instant::now() < until,
            "not all guests answer: {now:?} packets back, {before:?} before\n{:#}\n{}\n{}",
            weir.show("ports"),
            testpmds.first().map(Testpmd::tail).unwrap_or_default(),
            weir.tail()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn forty_guests_at_once() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 40, 1);
    let weir = Weir::start(&scratch, &(head(&scratch, 512, 65536) + &guests_config(&scratch, &guests, 20_000)));
    // A process has at most 32 Ethernet devices in Debian's DPDK.
    let mut testpmds: Vec<_> = guests_of(&guests, 20, |some| Testpmd::start(&scratch, some));
    for index in 0..guests.len() {
        weir.wait_until_up(&format!("v{index}"), true);
    }
    all_answer(&weir, guests.len(), 50, &mut testpmds);
    // What the guests sent back has reached the source's port.
    assert!(weir.counter("gen", "tx_packets") > 40 * 50);
    drop(testpmds);
    for index in 0..guests.len() {
        weir.wait_until_up(&format!("v{index}"), false);
    }
    weir.stop(TO_GUESTS);
}

/// A testpmd for each `most` guests.
fn guests_of(guests: &[Guest], most: usize, start: impl Fn(&[Guest]) -> Testpmd) -> Vec<Testpmd> {
    let mut mac_of = guests.to_vec();
    mac_of.iter_mut().enumerate().for_each(|(index, guest)| guest.mac = guest_mac(index));
    mac_of.chunks(most).map(start).collect()
}

#[test]
#[ignore = "needs root: run `make peers`"]
fn several_queues_in_both_roles() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 2, 4);
    let weir = Weir::start(&scratch, &(head(&scratch, 256, 16384) + &guests_config(&scratch, &guests, 20_000)));
    let mut testpmds = vec![Testpmd::start(&scratch, &guests)];
    for name in ["v0", "v1"] {
        weir.wait_until_up(name, true);
    }
    all_answer(&weir, 2, 1000, &mut testpmds);
    // weir sends on the one queue that its worker owns, and polls all four of each guest.
    let workers = weir.show("workers");
    for name in ["v0", "v1"] {
        let queues = workers[0]["queues"].as_array().unwrap();
        let polled = queues.iter().filter(|queue| queue["port"] == name).count();
        assert_eq!(polled, 4, "{name}: {workers:#}");
    }
    drop(testpmds);
    weir.stop(TO_GUESTS);
}

const LOAD: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 1);
const CHECKED: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 2);

/// Two further networks. `load` carries sequence-numbered packets at `rate_pps` (0 = as many as possible) to a port that
/// swallows them, under counters; `checked` some of the same kind to a file, where every number is looked at.
fn bystanders(scratch: &Scratch, rate_pps: u64) -> String {
    let source = |from: Ipv4Addr, mac: &str, to: &str, rate: u64| {
        format!(
            "source:size=60,flows=16,src_mac={mac},dst_mac={to},src_ip={from},rate_pps={rate},seq={SEQUENCE_AT}"
        )
    };
    let load = source(LOAD, "02:00:00:00:03:01", "02:00:00:00:03:02", rate_pps);
    let checked = source(CHECKED, "02:00:00:00:04:01", "02:00:00:00:04:02", 20_000);
    let mut text = String::new();
    for (index, (name, from, to)) in
        [("load", load, "null".to_owned()), ("checked", checked, format!("pcap:,{}", scratch.text("checked.pcap")))]
            .into_iter()
            .enumerate()
    {
        text += &format!(
            "[[network]]\nname = \"{name}\"\nvni = {vni}\nmacs = [{{ mac = \"02:00:00:00:0{mac}:02\", port = \"{name}-to\" }}]\n\n\
             [[port]]\nname = \"{name}-from\"\ndevice = \"{from}\"\nrole = \"container\"\nnetwork = \"{name}\"\n\n\
             [[port]]\nname = \"{name}-to\"\ndevice = \"{to}\"\nrole = \"container\"\nnetwork = \"{name}\"\n\n",
            vni = 50 + index,
            mac = 3 + index,
        );
    }
    text
}

/// Guests are killed again and again, while other ports carry 20 % of what the worker can: they lose nothing, and the
/// guests' ports come back.
#[test]
#[ignore = "needs root: run `make peers`"]
fn killed_guests_cost_only_their_own_ports() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 2, 2);
    let head = head(&scratch, 512, 65536);
    let common = guests_config(&scratch, &guests, 20_000);
    let weir = Weir::start(&scratch, &format!("{head}{common}{}", bystanders(&scratch, 0)));

    // What the worker can do, guests absent.
    let moved = |weir: &Weir| weir.counter("load-to", "tx_packets");
    wait_for("the load", 10, || (moved(&weir) > 10_000).then_some(()));
    let (before, start) = (moved(&weir), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let capacity_pps = (moved(&weir) - before) as f64 / start.elapsed().as_secs_f64();
    let rate_pps = (capacity_pps * 0.2) as u64;
    weir.apply(&format!("{head}{common}{}", bystanders(&scratch, rate_pps)));

    let kills = soak(20);
    for round in 0..kills {
        let mut testpmds = vec![Testpmd::start(&scratch, &guests)];
        for name in ["v0", "v1"] {
            weir.wait_until_up(name, true);
        }
        // Killed in the middle of traffic, a little later every time.
        all_answer(&weir, 2, 100 + 50 * (round % 7), &mut testpmds);
        testpmds.pop().unwrap().kill();
        for name in ["v0", "v1"] {
            weir.wait_until_up(name, false);
        }
    }

    // The bystanders: all that came in went out, and nothing was dropped under their names.
    for name in ["load-from", "checked-from"] {
        let port = weir.port(name);
        assert_eq!(number(&port, "/counters/dropped"), 0, "{port:#}");
    }
    let sink = weir.port("load-to");
    assert_eq!(number(&sink, "/counters/tx_dropped"), 0, "{sink:#}");
    // In this order: what comes in between the two questions is in the second only.
    let out = weir.counter("load-to", "tx_packets");
    let into = weir.counter("load-from", "rx_packets");
    assert!(into > rate_pps * kills / 4, "the load did not flow: {into} packets at {rate_pps} pps");
    // The first rate's packets left through the same sink, and were counted under a source that is gone.
    assert!(out >= before, "{out}");
    let checked = weir.counter("checked-from", "rx_packets");
    weir.stop(TO_GUESTS);
    let seen = all_in_order(&scratch.path("checked.pcap"), CHECKED);
    assert!(seen >= checked && seen > 20_000, "{seen} of {checked} packets are in the file");
}
