//! What the bridge copies, limits and refuses, by the names it counts under: flooding, split horizon, isolation, storm
//! limits, packets that wait for a next hop. A whole weir without root: frames come from files and sources, and go to
//! files.
//!
//! Every test ends with `Weir::stop`: the books of the worker close, nothing was dropped under another name, and every
//! packet buffer is back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]

mod common;
#[path = "garbage/frames.rs"]
#[allow(dead_code, reason = "this test needs a part of the frames")]
mod frames;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use common::files::{read_pcap, write_pcap};
use common::weir::{Weir, head_here, number};
use common::{Scratch, wait_for};
use frames::*;

const BLUE: u32 = 10;
const BROADCAST: [u8; 6] = [0xff; 6];
/// A station that no table has.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 9, 9];
/// The first VTEP is the frames' `PEER_V4`.
const OTHER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0xee, 3];
/// A multiple of what `limiter.rs` lets through at once.
const BURST: u64 = 32;

/// The station `number`, which nobody learns: it is where the configuration says, or nowhere.
const fn station(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, number]
}

fn frame(to: [u8; 6], from: [u8; 6], octets: usize) -> Vec<u8> {
    // An ethertype for experiments (IEEE 802): nothing on the way knows it.
    ethernet(to, from, 0x88b5, &vec![0x5a; octets - 14])
}

/// The frame as a VTEP sends it to weir.
fn tunnelled(from: Ipv4Addr, inner: &[u8]) -> Vec<u8> {
    let payload = vxlan(8, BLUE, inner);
    ethernet(WEIR_MAC, PEER_MAC, IPV4, &V4 { from, ..V4::TO_US }.packet(17, &udp(50_000, 4789, &payload, None)))
}

/// A file of frames, and its path as text.
fn file(scratch: &Scratch, name: &str, frames: &[Vec<u8>]) -> String {
    write_pcap(&scratch.path(name), frames.iter().map(Vec::as_slice));
    scratch.text(name)
}

fn frames_of(path: &Path) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    read_pcap(path, |frame| frames.push(frame.to_vec()));
    frames
}

/// A port of the network `network`, or with other lines in their place.
fn port(name: &str, device: &str, more: &str) -> String {
    format!("[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\n{more}\n\n")
}

/// The uplink; `more` are its neighbours.
fn uplink(device: &str, more: &str) -> String {
    format!(
        "[[port]]\nname = \"up\"\ndevice = \"{device}\"\nrole = \"uplink\"\naddresses = [\"{OURS_V4}/24\"]\n\
         mac = \"{}\"\nmtu = 1600\n{more}\n\n",
        text(WEIR_MAC)
    )
}

/// The network that everything is in; `more` are its VTEPs, entries and limits.
fn blue(more: &str) -> String {
    format!("[[network]]\nname = \"blue\"\nvni = {BLUE}\nmac_learning = false\n{more}\n\n")
}

const IN_BLUE: &str = "network = \"blue\"";

fn text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn knows(mac: [u8; 6], place: &str) -> String {
    format!("{{ mac = \"{}\", {place} }}", text(mac))
}

/// One of the worker's terms of the conservation law.
#[track_caller]
fn total(weir: &Weir, term: &str) -> u64 {
    number(&weir.show("workers")[0], &format!("/totals/{term}"))
}

/// Waits until the worker has received `packets`, and has nothing in its hands.
#[track_caller]
fn received(weir: &Weir, packets: u64) {
    wait_for("the frames of the files", 20, || (weir.received() == packets && total(weir, "held") == 0).then_some(()));
}

/// Frames that one port received, and those of them that were dropped for one reason.
#[track_caller]
fn received_and_dropped(weir: &Weir, port: &str, reason: &str) -> (u64, u64) {
    let status = weir.port(port);
    let drops = status["drops"].as_array().unwrap().iter();
    let dropped = drops.filter(|one| one[0] == reason).map(|one| one[1].as_u64().unwrap()).sum();
    (number(&status, "/counters/rx_packets"), dropped)
}

/// The second of the two.
#[track_caller]
fn dropped_from(weir: &Weir, port: &str, reason: &str) -> u64 {
    received_and_dropped(weir, port, reason).1
}

#[test]
fn floods_go_once_to_every_vtep_and_not_from_tunnel_to_tunnel() {
    let scratch = Scratch::new();
    // Station 1 is behind the port c1, 2 behind c2, 3 behind the other VTEP.
    let near = [
        frame(BROADCAST, station(1), 100),
        frame(BROADCAST, station(1), 200),
        frame(NOBODY, station(1), 300),
        frame(station(3), station(1), 400),
    ];
    let far = [
        tunnelled(PEER_V4, &frame(BROADCAST, station(4), 101)),
        tunnelled(PEER_V4, &frame(NOBODY, station(4), 102)),
        tunnelled(OTHER_V4, &frame([1, 0, 0x5e, 0, 0, 1], station(3), 103)),
        tunnelled(PEER_V4, &frame(station(2), station(4), 104)),
        // Behind the other tunnel: the VTEPs talk to each other without us.
        tunnelled(PEER_V4, &frame(station(3), station(4), 105)),
        tunnelled(PEER_V4, &frame(station(3), station(4), 106)),
    ];
    let neighbours = format!(
        "neighbours = [{{ address = \"{PEER_V4}\", mac = \"{}\" }}, {{ address = \"{OTHER_V4}\", mac = \"{}\" }}]",
        text(PEER_MAC),
        text(OTHER_MAC)
    );
    let macs = [
        knows(station(1), "port = \"c1\""),
        knows(station(2), "port = \"c2\""),
        knows(station(3), &format!("vtep = \"{OTHER_V4}\"")),
    ];
    let config = head_here(&scratch, 256, 8192)
        + &blue(&format!("vteps = [\"{PEER_V4}\", \"{OTHER_V4}\"]\nmacs = [{}]", macs.join(", ")))
        + &uplink(&format!("pcap:{},{}", file(&scratch, "far", &far), scratch.text("up")), &neighbours)
        + &port("c1", &format!("pcap:{},{}", file(&scratch, "near", &near), scratch.text("c1")), IN_BLUE)
        + &port("c2", &format!("pcap:,{}", scratch.text("c2")), IN_BLUE);
    let weir = Weir::start(&scratch, &config);
    received(&weir, 10);

    assert_eq!(weir.drops(), [("split_horizon".to_owned(), 2)]);
    assert_eq!(dropped_from(&weir, "up", "split_horizon"), 2);
    // From c1 three floods of three ways each, from tunnels three of two: all ways but the last get a copy.
    assert_eq!(total(&weir, "created"), 3 * 2 + 3);
    assert_eq!(number(&weir.find("networks", "name", "blue"), "/counters/flooded"), 6);
    weir.stop(&["split_horizon"]);

    // (outer destination, next hop, inner frame) of what left through the uplink, whatever the order.
    let mut sent: Vec<_> = frames_of(&scratch.path("up"))
        .iter()
        .map(|frame| {
            assert_eq!((&frame[6..12], &frame[12..14], frame[23]), (&WEIR_MAC[..], &[8, 0][..], 17));
            assert_eq!((&frame[26..30], &frame[36..38]), (&OURS_V4.octets()[..], &[0x12, 0xb5][..]));
            assert_eq!((&frame[42..46], &frame[46..50]), (&[8, 0, 0, 0][..], &[0, 0, BLUE as u8, 0][..]));
            (frame[30..34].to_vec(), frame[..6].to_vec(), frame[50..].to_vec())
        })
        .collect();
    sent.sort();
    let to =
        |address: Ipv4Addr, mac: [u8; 6], frame: &Vec<u8>| (address.octets().to_vec(), mac.to_vec(), frame.clone());
    let mut due: Vec<_> = near[..3].iter().map(|frame| to(PEER_V4, PEER_MAC, frame)).collect();
    due.extend(near.iter().map(|frame| to(OTHER_V4, OTHER_MAC, frame)));
    due.sort();
    assert!(sent == due, "{} frames were sent into tunnels, {} were to be: {sent:02x?}", sent.len(), due.len());

    let sizes = |name: &str| {
        let mut sizes: Vec<_> = frames_of(&scratch.path(name)).iter().map(Vec::len).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes("c1"), [101, 102, 103], "nothing comes back to where it came from");
    assert_eq!(sizes("c2"), [100, 101, 102, 103, 104, 200, 300]);
}

/// As many VTEPs as a burst holds: what goes into tunnels fills a frame of the graph, and must not be taken for what
/// stands before it there.
#[test]
fn a_flood_as_wide_as_a_burst_reaches_its_own_port_too() {
    let scratch = Scratch::new();
    let vteps: Vec<_> = (0..64).map(|index| Ipv4Addr::new(198, 51, 100, 100 + index)).collect();
    let quoted: Vec<_> = vteps.iter().map(|vtep| format!("\"{vtep}\"")).collect();
    let known: Vec<_> =
        vteps.iter().map(|vtep| format!("{{ address = \"{vtep}\", mac = \"{}\" }}", text(PEER_MAC))).collect();
    let near = [frame(BROADCAST, station(1), 100)];
    let config = head_here(&scratch, 256, 8192)
        + &blue(&format!("vteps = [{}]", quoted.join(", ")))
        + &uplink(&format!("pcap:,{}", scratch.text("up")), &format!("neighbours = [{}]", known.join(", ")))
        + &port("c1", &format!("pcap:{},", file(&scratch, "near", &near)), IN_BLUE)
        + &port("c2", &format!("pcap:,{}", scratch.text("c2")), IN_BLUE);
    let weir = Weir::start(&scratch, &config);
    received(&weir, 1);
    assert_eq!(total(&weir, "created"), 64);
    assert_eq!(number(&weir.port("up"), "/counters/tx_octets"), 64 * 150);
    assert_eq!(number(&weir.port("c2"), "/counters/tx_octets"), 100);
    weir.stop(&[]);
    assert_eq!(frames_of(&scratch.path("c2")), near);
    let mut remotes: Vec<_> = frames_of(&scratch.path("up")).iter().map(|frame| frame[33]).collect();
    remotes.sort_unstable();
    assert_eq!(remotes, (100..164).collect::<Vec<u8>>());
}

#[test]
fn frames_that_may_not_go_on_are_dropped_by_name() {
    let scratch = Scratch::new();
    let frames = [
        // A bridge's own: never forwarded (IEEE 802.1Q § 8.6.3).
        frame([1, 0x80, 0xc2, 0, 0, 0], station(1), 60),
        frame([1, 0x80, 0xc2, 0, 0, 0x0f], station(1), 60),
        // The largest frame for an MTU of 576 octets, and one octet more: addressed, and flooded.
        frame(station(2), station(1), 590),
        frame(station(2), station(1), 591),
        frame(BROADCAST, station(1), 591),
        // Back to where it came from.
        frame(station(5), station(1), 60),
        // With 50 octets around it, this is the largest for an uplink of 1,600 octets, and one more.
        frame(station(3), station(1), 1564),
        frame(station(3), station(1), 1565),
    ];
    let macs = [
        knows(station(2), "port = \"small\""),
        knows(station(3), &format!("vtep = \"{PEER_V4}\"")),
        knows(station(5), "port = \"c1\""),
    ];
    let neighbours = format!("neighbours = [{{ address = \"{PEER_V4}\", mac = \"{}\" }}]", text(PEER_MAC));
    let config = head_here(&scratch, 256, 8192)
        + &blue(&format!("vteps = [\"{PEER_V4}\"]\nmacs = [{}]", macs.join(", ")))
        + &uplink(&format!("pcap:,{}", scratch.text("up")), &neighbours)
        + &port("c1", &format!("pcap:{}", file(&scratch, "frames", &frames)), &format!("{IN_BLUE}\nmtu = 9000"))
        + &port("small", &format!("pcap:,{}", scratch.text("small")), &format!("{IN_BLUE}\nmtu = 576"));
    let weir = Weir::start(&scratch, &config);
    received(&weir, 8);
    for (reason, packets) in [("reserved_mac", 2), ("mtu_exceeded", 3), ("same_port", 1)] {
        assert_eq!(dropped_from(&weir, "c1", reason), packets, "{reason}: {:?}", weir.drops());
    }
    // The flood's copy for the VTEP is no larger than that way allows.
    assert_eq!((total(&weir, "created"), weir.counter("up", "tx_packets")), (1, 2));
    weir.stop(&["reserved_mac", "mtu_exceeded", "same_port"]);
    let passed: Vec<_> = frames_of(&scratch.path("small")).iter().map(Vec::len).collect();
    assert_eq!(passed, [590]);
}

#[test]
fn isolated_ports_hear_each_other_only_until_they_are_isolated() {
    let scratch = Scratch::new();
    let source = |to: [u8; 6]| format!("source:rate_pps=500,dst_mac={}", text(to));
    let macs = [knows(station(2), "port = \"two\""), knows(station(3), "port = \"open\"")];
    let config = |isolated: &str| {
        let one = format!("{IN_BLUE}\nisolated = {isolated}");
        blue(&format!("macs = [{}]", macs.join(", ")))
            + &port("addressed", &source(station(2)), &one)
            + &port("flooded", &source(BROADCAST), &one)
            + &port("two", "null", &one)
            + &port("open", "null", IN_BLUE)
            + &port("back", &source(station(2)), IN_BLUE)
    };
    let head = head_here(&scratch, 256, 8192);
    let weir = Weir::start(&scratch, &(head.clone() + &config("false")));
    let sent = |port: &str| weir.counter(port, "tx_packets");
    // `much` more on a port than now.
    let grows = |port: &str, much: u64| {
        let before = sent(port);
        wait_for(&format!("packets to {port}"), 20, || (sent(port) >= before + much).then_some(()));
    };
    grows("two", 100);
    grows("open", 100);
    assert_eq!(weir.drops(), [], "nobody is isolated");

    weir.apply(&(head.clone() + &config("true")));
    let isolated = |port: &str| dropped_from(&weir, port, "isolated");
    wait_for("isolation", 20, || (isolated("addressed") >= 100).then_some(()));
    // The isolated port hears the one that is not, and nobody else. What that one sent is read around what arrived, so
    // that it cannot be less.
    let back = weir.counter("back", "rx_packets");
    let before = sent("two");
    grows("open", 500);
    let after = sent("two");
    let back = weir.counter("back", "rx_packets") - back;
    assert!(after > before, "from a port that is not isolated");
    assert!(after - before <= back, "{} to the isolated port, {back} from `back`", after - before);
    assert_eq!((isolated("flooded"), isolated("back")), (0, 0), "a flood leaves isolated ports out");

    weir.apply(&(head + &config("false")));
    let before = isolated("addressed");
    grows("two", 100);
    assert_eq!(isolated("addressed"), before);
    weir.stop(&["isolated"]);
}

#[test]
fn a_storm_is_limited_where_it_comes_in_and_starves_nobody_else() {
    let scratch = Scratch::new();
    let storm = file(&scratch, "storm", &[tunnelled(PEER_V4, &frame(BROADCAST, station(4), 60))]);
    let limit_pps = 200;
    let source = |rate: &str| format!("source:dst_mac={},{rate}", text(BROADCAST));
    let config = head_here(&scratch, 256, 8192)
        + &blue(&format!("vteps = [\"{PEER_V4}\"]\nstorm_limit_pps = {limit_pps}"))
        + &uplink(&format!("source:frames={storm},rate_pps=20000"), "")
        + &port("noisy", &source("rate_pps=20000"), IN_BLUE)
        // A quarter of the limit, and after a pause no more at once than the limit allows.
        + &port("quiet", &source("rate_pps=50,burst=8"), IN_BLUE)
        + &port("out", "null", IN_BLUE);
    // The next hop never answers: what a port floods into the tunnel waits for it, and is dropped under other names.
    let begin = Instant::now();
    let weir = Weir::start(&scratch, &config);
    wait_for("a few seconds of quiet", 60, || (weir.counter("quiet", "rx_packets") >= 100).then_some(()));
    let held_to_the_limit = |port: &str, begin: Instant| {
        let (received, dropped) = received_and_dropped(&weir, port, "storm_limit");
        let at_most = (begin.elapsed() * limit_pps).as_secs() + BURST + 1;
        let passed = received - dropped;
        assert!(dropped > 0 && passed > 0, "{port}: {passed} of {received} passed");
        assert!(passed <= at_most, "{port}: {passed} of {received} passed, at most {at_most} may");
    };
    held_to_the_limit("noisy", begin);
    held_to_the_limit("up", begin);
    assert_eq!(dropped_from(&weir, "quiet", "storm_limit"), 0, "{:?}", weir.drops());

    // A port that comes later is held to the limit as well.
    let begin = Instant::now();
    weir.apply(&(config + &port("late", &source("rate_pps=20000"), IN_BLUE)));
    wait_for("the storm of the port that came late", 60, || (weir.counter("late", "rx_packets") >= 5000).then_some(()));
    held_to_the_limit("late", begin);
    assert_eq!(dropped_from(&weir, "quiet", "storm_limit"), 0, "{:?}", weir.drops());
    // Floods to the late port while it is not in service yet have nowhere to go.
    weir.stop(&["storm_limit", "neighbour_pending_full", "neighbour_unreachable", "port_down"]);
}

#[test]
fn packets_wait_for_a_next_hop_in_bounds_and_weir_answers_in_bounds() {
    let scratch = Scratch::new();
    let near: Vec<_> = (0..10).map(|number| frame(station(3), station(1), 60 + number)).collect();
    let stranger = Ipv4Addr::new(198, 51, 100, 77);
    let question = ethernet(BROADCAST, PEER_MAC, ARP, &arp(1, (PEER_MAC, stranger), OURS_V4));
    let asked = vec![question; 500];
    let (parked, limit_pps) = (4, 10);
    let config = head_here(&scratch, 256, 8192)
        + &format!("[limits]\nparked_per_neighbour = {parked}\n\n[host]\nrate_limit_pps = {limit_pps}\n\n")
        + &blue(&format!("vteps = [\"{PEER_V4}\"]\nmacs = [{}]", knows(station(3), &format!("vtep = \"{PEER_V4}\""))))
        + &uplink(&format!("pcap:{},{}", file(&scratch, "asked", &asked), scratch.text("up")), "")
        + &port("c1", &format!("pcap:{}", file(&scratch, "near", &near)), IN_BLUE);
    let begin = Instant::now();
    let weir = Weir::start(&scratch, &config);
    wait_for("the frames of the files", 20, || (weir.received() == 510).then_some(()));
    let dropped = |reason: &str| dropped_from(&weir, "c1", reason);
    assert_eq!(dropped("neighbour_pending_full"), 10 - parked);
    // Nobody answers: three questions, a second apart, then the rest is given up.
    wait_for("the end of patience", 30, || (dropped("neighbour_unreachable") != 0).then_some(()));
    assert_eq!((dropped("neighbour_unreachable"), total(&weir, "held")), (parked, 0));
    assert!(begin.elapsed().as_secs() >= 3, "three questions take three seconds");
    assert_eq!(total(&weir, "created"), 3, "the questions");

    let refused = dropped_from(&weir, "up", "host_rate_limit");
    let answered = 500 - refused;
    let at_most = (begin.elapsed() * limit_pps).as_secs() + BURST + 1;
    assert!(refused > 0 && answered > 0 && answered <= at_most, "{answered} answered, at most {at_most} may be");
    weir.stop(&["neighbour_pending_full", "neighbour_unreachable", "host_rate_limit"]);

    let sent = frames_of(&scratch.path("up"));
    let is = |frame: &[u8], operation: u8, target: Ipv4Addr| {
        frame[12..14] == [8, 6] && frame[20..22] == [0, operation] && frame[38..42] == target.octets()
    };
    let questions = sent.iter().filter(|frame| is(frame, 1, PEER_V4)).count();
    let answers = sent.iter().filter(|frame| is(frame, 2, stranger)).count();
    assert_eq!((questions, answers as u64, sent.len() as u64), (3, answered, 3 + answered));
}
