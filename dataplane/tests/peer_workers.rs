//! Two workers: they share the load, exchange packets both ways, and keep every flow in order.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]

mod common;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use common::capture::Captured;
use common::files::{SEQUENCE_AT, sequences, write_pcap};
use common::weir::{Weir, head_on, number};
use common::{Scratch, soak, wait_for};

const FLOWS: u64 = 16;
const A: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// A source whose every queue sends `FLOWS` flows to the MAC address ending in `to`.
fn source(from: Ipv4Addr, mac: u8, to: u8, rate_pps: u32) -> String {
    format!(
        "source:size=60,flows={FLOWS},src_mac=02:00:00:00:00:{mac:02x},dst_mac=02:00:00:00:00:{to:02x},src_ip={from},\
         rate_pps={rate_pps},seq={SEQUENCE_AT}"
    )
}

fn port(name: &str, device: &str, more: &str) -> String {
    format!("[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\nnetwork = \"lab\"\n{more}\n\n")
}

/// Packets that a port of the other worker could not take at once: its worker had lost its CPU for a while. Counted, and
/// then missing in the file by that very number.
const MAY_DROP: &[&str] = &["handoff_full"];

/// The frames of each file that tshark looks at, from its beginning: the numbers in all of them are looked at anyway.
const JUDGED: usize = 20_000;

/// Two sources, one polled by each worker, send to each other's side: A's packets leave by a port whose only transmit queue
/// belongs to worker 1, B's by one of worker 0, so both directions are handed over. A third port has a transmit queue for
/// each worker and takes a part of both.
#[test]
#[ignore = "needs root: run `make peers`"]
fn two_workers_share_exchange_and_keep_order() {
    let scratch = Scratch::new();
    let mut config = head_on(&scratch, 512, 65536, "[0, 1]");
    config += "[[network]]\nname = \"lab\"\nvni = 1\nmacs = [\n\
               { mac = \"02:00:00:00:00:a2\", port = \"a-out\" },\n{ mac = \"02:00:00:00:00:b2\", port = \"b-out\" },\n\
               { mac = \"02:00:00:00:00:c2\", port = \"both\" },\n]\n\n";
    // Paced: this is about sharing and order, not about speed.
    config += &port("a", &source(A, 0xa1, 0xb2, 100_000), "queue_workers = [0]");
    config += &port("b", &source(B, 0xb1, 0xa2, 100_000), "queue_workers = [1]");
    config += &port("c", &source(Ipv4Addr::new(198, 18, 0, 3), 0xc1, 0xc2, 50_000), "queue_workers = [0]");
    config += &port("d", &source(Ipv4Addr::new(198, 18, 0, 4), 0xd1, 0xc2, 50_000), "queue_workers = [1]");
    config +=
        &port("spread", &source(Ipv4Addr::new(198, 18, 0, 5), 0xe1, 0xc2, 50_000), "rx_queues = 2\ntx_queues = 2");
    config += &port("a-out", &format!("pcap:,{}", scratch.text("a.pcap")), "queue_workers = [0]");
    config += &port("b-out", &format!("pcap:,{}", scratch.text("b.pcap")), "queue_workers = [1]");
    config += &port("both", "null", "rx_queues = 2\ntx_queues = 2");
    let weir = Weir::start(&scratch, &config);
    assert_eq!(weir.port("b-out")["tx_workers"], serde_json::json!([1]));
    assert_eq!(weir.port("both")["tx_workers"].as_array().map(Vec::len), Some(2));

    let enough = soak(300_000);
    wait_for("traffic in both directions", 60, || {
        let out = |name| weir.counter(name, "tx_packets");
        (out("a-out") > enough && out("b-out") > enough && out("both") > enough).then_some(())
    });

    // Each worker carries its part, and each queue of the port that has two.
    let workers = weir.show("workers");
    let workers = workers.as_array().unwrap();
    let received: Vec<u64> = workers.iter().map(|worker| number(worker, "/rx_packets")).collect();
    assert_share(&received, "workers");
    let spread: Vec<u64> = workers
        .iter()
        .flat_map(|worker| worker["queues"].as_array().unwrap())
        .filter(|queue| queue["port"] == "spread")
        .map(|queue| number(queue, "/packets"))
        .collect();
    assert_eq!(spread.len(), 2, "{workers:#?}");
    assert_share(&spread, "queues of one port");
    for worker in workers {
        assert!(number(worker, "/totals/handed_over") > enough / 2, "{worker:#}");
        assert!(number(worker, "/totals/taken_over") > enough / 2, "{worker:#}");
    }

    let lost = weir.dropped("handoff_full");
    weir.stop(MAY_DROP);
    let missing = in_order(&scratch.path("b.pcap"), A, enough) + in_order(&scratch.path("a.pcap"), B, enough);
    assert!(missing <= lost, "{missing} numbers are missing in the files, but only {lost} packets were dropped");
    for name in ["a.pcap", "b.pcap"] {
        judge(&scratch.path(name), JUDGED);
    }
}

/// The frames are well formed, and the IPv4 header checksum is right in each of them; of UDP there is none.
#[track_caller]
fn judge(path: &Path, least: usize) {
    let captured = Captured::from_file(path).first(JUDGED);
    captured.judge(least);
    captured.verified("ip", least);
}

/// At least 20 % each.
#[track_caller]
fn assert_share(counts: &[u64], what: &str) {
    let all: u64 = counts.iter().sum();
    assert!(counts.iter().all(|count| count * 5 >= all), "{what} do not share the load: {counts:?}");
}

/// Checks that the flows of `from` are whole in kind and in order; gives how many numbers are missing.
#[track_caller]
fn in_order(path: &Path, from: Ipv4Addr, least: u64) -> u64 {
    let flows = sequences(path);
    let mut missing = 0;
    let mut count = 0;
    let of = |seen: &(u32, u16)| seen.0 == from.to_bits();
    assert_eq!(flows.keys().filter(|flow| of(flow)).count() as u64, FLOWS, "{}: {flows:?}", path.display());
    for (flow, seen) in flows.iter().filter(|(flow, _)| of(flow)) {
        assert_eq!(seen.disordered, 0, "{}: flow {flow:?}: {seen:?}", path.display());
        // A flow has every FLOWS-th number.
        missing += (seen.last - seen.first) / FLOWS + 1 - seen.count;
        count += seen.count;
    }
    assert!(count >= least, "{}: only {count} packets", path.display());
    missing
}

/// Two ports that read and write files, each polled by another worker; A has one transmit queue, B one for each worker.
/// They are as fast as they can be, so the ring between the workers may overflow: that is counted, and order holds.
#[test]
#[ignore = "needs root: run `make peers`"]
fn two_ports_exchange_both_ways_at_full_speed() {
    let scratch = Scratch::new();
    let each = 50_000_u64;
    let file = |name: &str, from: Ipv4Addr, mac: u8, to: u8| {
        let frames: Vec<Vec<u8>> = (0..each).map(|number| numbered(from, mac, to, number)).collect();
        write_pcap(&scratch.path(name), frames.iter().map(Vec::as_slice));
    };
    file("a-in.pcap", A, 0xa1, 0xb1);
    file("b-in.pcap", B, 0xb1, 0xa1);
    let path = |name: &str| scratch.text(name);
    let mut config = head_on(&scratch, 512, 65536, "[0, 1]");
    config += "[[network]]\nname = \"lab\"\nvni = 1\nmacs = [\n\
               { mac = \"02:00:00:00:00:a1\", port = \"a\" },\n{ mac = \"02:00:00:00:00:b1\", port = \"b\" },\n]\n\n";
    config += &port("a", &format!("pcap:{},{}", path("a-in.pcap"), path("a-out.pcap")), "queue_workers = [0]");
    // Two queues each way: a file for each.
    let b = format!(
        "net_pcap_b,rx_pcap={0},rx_pcap={0},tx_pcap={1},tx_pcap={2}",
        path("b-in.pcap"),
        path("b-out0.pcap"),
        path("b-out1.pcap")
    );
    config += &port("b", &b, "rx_queues = 2\ntx_queues = 2\nqueue_workers = [1, 0]");
    let weir = Weir::start(&scratch, &config);
    let come = || weir.counter("a", "rx_packets") + weir.counter("b", "rx_packets");
    wait_for("all frames", 30, || (come() >= 3 * each).then_some(()));
    std::thread::sleep(Duration::from_millis(200));
    let lost = weir.dropped("handoff_full");
    assert!(weir.counter("a", "tx_packets") > 0 && weir.counter("b", "tx_packets") > 0);
    let handed: Vec<u64> =
        weir.show("workers").as_array().unwrap().iter().map(|worker| number(worker, "/totals/handed_over")).collect();
    assert!(handed.iter().any(|count| *count != 0), "nothing crossed: {handed:?}");
    weir.stop(MAY_DROP);

    // From A: one worker reads it and sends it on that worker's own queue of B.
    let mut count = 0;
    for name in ["b-out0.pcap", "b-out1.pcap"] {
        for (flow, seen) in sequences(&scratch.path(name)) {
            assert_eq!(seen.disordered, 0, "{name}: flow {flow:?}: {seen:?}");
            count += seen.count;
        }
    }
    assert_eq!(count, each, "A's packets");
    // From B: the same frames on two queues, so every number comes twice, and only the sum can be told.
    let back: u64 = sequences(&scratch.path("a-out.pcap")).values().map(|seen| seen.count).sum();
    assert_eq!(back + lost, 2 * each, "B's packets, {lost} dropped");
    judge(&scratch.path("a-out.pcap"), 1000);
    // Which of B's queues a worker takes is its own affair: one file may be empty.
    for name in ["b-out0.pcap", "b-out1.pcap"] {
        let path = scratch.path(name);
        if !sequences(&path).is_empty() {
            judge(&path, 1);
        }
    }
}

/// A frame of flow `number % FLOWS` with its number.
fn numbered(from: Ipv4Addr, mac: u8, to: u8, number: u64) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, mac, 8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0];
    frame.extend(from.octets());
    frame.extend([198, 19, 0, 1]);
    let sum = overlay::wire::checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend((1024 + (number % FLOWS) as u16).to_be_bytes());
    frame.extend([0, 9, 0, 26, 0, 0]);
    frame.extend(number.to_be_bytes());
    frame.resize(60, 0);
    frame
}
