//! weir with testpmd as the container: vhost-user in both roles, several queues, many ports, and guests that are killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]
#![allow(clippy::format_push_string, reason = "a configuration is put together section by section")]

mod common;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use common::capture::Captured;
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
/// One frame in so many ends in a file: at 20 % of what a worker can do, a file of all would be gigabytes.
const CHECKED_ONE_IN: u64 = 16;

/// A network of its own beside the guests': a source of numbered packets at `rate_pps` (0 = as many as possible), a port that
/// swallows most of them, and `checked`, which takes every 16th.
fn bystanders(scratch: &Scratch, rate_pps: u64, checked: &str) -> String {
    let frame = |to: u8| {
        let mut frame = frame_to(0);
        frame[..12].copy_from_slice(&[2, 0, 0, 0, 3, to, 2, 0, 0, 0, 3, 1]);
        frame[26..30].copy_from_slice(&LOAD.octets());
        frame[24..26].fill(0);
        let sum = overlay::wire::checksum::checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    let mut frames = vec![frame(2); CHECKED_ONE_IN as usize - 1];
    frames.push(frame(3));
    write_pcap(&scratch.path("load.pcap"), frames.iter().map(Vec::as_slice));
    let source = format!("source:frames={},rate_pps={rate_pps},seq={SEQUENCE_AT}", scratch.text("load.pcap"));
    let mut text = "[[network]]\nname = \"load\"\nvni = 50\nmacs = [\n\
                    { mac = \"02:00:00:00:03:02\", port = \"load-to\" },\n\
                    { mac = \"02:00:00:00:03:03\", port = \"checked\" },\n]\n\n"
        .to_owned();
    for (name, device) in [("load-from", &*source), ("load-to", "null"), ("checked", checked)] {
        text += &format!(
            "[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\nnetwork = \"load\"\n\n"
        );
    }
    text
}

/// What came from the load's source, and what went to its two sinks, at one moment.
#[track_caller]
fn load(weir: &Weir) -> (u64, u64) {
    let ports = weir.show("ports");
    let count = |name: &str, counter: &str| {
        let port = ports.as_array().unwrap().iter().find(|port| port["name"] == name).unwrap();
        assert_eq!(number(port, "/counters/dropped") + number(port, "/counters/tx_dropped"), 0, "{port:#}");
        number(port, &format!("/counters/{counter}"))
    };
    (count("load-from", "rx_packets"), count("load-to", "tx_packets") + count("checked", "tx_packets"))
}

/// Guests are killed again and again, while other ports carry 20 % of what the worker can: they lose nothing, and the
/// guests' ports come back.
#[test]
#[ignore = "needs root: run `make peers`"]
fn killed_guests_cost_only_their_own_ports() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 2, 2);
    let head = head(&scratch, 512, 65536) + &guests_config(&scratch, &guests, 20_000);
    let weir = Weir::start(&scratch, &format!("{head}{}", bystanders(&scratch, 0, "null")));

    // What the worker can do, guests absent.
    wait_for("the load", 10, || (load(&weir).1 > 10_000).then_some(()));
    let (before, start) = (load(&weir).1, Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    // 20 % of it.
    let rate_pps = (load(&weir).1 - before) * 200_000 / start.elapsed().as_micros() as u64;
    let checked = format!("pcap:,{}", scratch.text("checked.pcap"));
    weir.apply(&format!("{head}{}", bystanders(&scratch, rate_pps, &checked)));
    let (came_before, went_before) = load(&weir);
    let mut last = came_before;

    for round in 0..soak(20) {
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
        let (now, _) = load(&weir);
        assert!(now > last + 10_000, "round {round}: the load does not flow: {now} packets, {last} a round before");
        last = now;
    }

    // The bystanders: all that came in went out.
    let (came, went) = load(&weir);
    let (came, went) = (came - came_before, went - went_before);
    assert_eq!(came, went, "{came} packets came in beside the killed guests, {went} went out");
    weir.stop(TO_GUESTS);
    // Every 16th number is looked at.
    let seen = all_in_order(&scratch.path("checked.pcap"), LOAD, CHECKED_ONE_IN - 1, CHECKED_ONE_IN);
    assert!(seen >= came / CHECKED_ONE_IN, "{seen} numbers are in the file, of {came} packets");
    // The first 20,000 are enough for tshark: all are the same but for the number.
    let captured = Captured::from_file(&scratch.path("checked.pcap")).first(20_000);
    captured.judge(10_000);
    captured.verified("ip", 10_000);
}
