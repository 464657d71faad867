//! weir with testpmd as the container: vhost-user in both roles, several queues, many ports, and guests that are killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests: a failed expectation is a failed test"
)]
#![allow(clippy::format_push_string, reason = "a configuration is put together section by section")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use common::capture::Captured;
use common::files::{SEQUENCE_AT, all_in_order, read_pcap, write_pcap};
use common::testpmd::{Guest, Testpmd};
use common::weir::{Weir, head, head_on, number};
use common::{Scratch, soak, wait_for};

/// The MAC address of guest `index`.
fn guest_mac(index: usize) -> String {
    format!("02:00:00:00:01:{index:02x}")
}

const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 2, 0];

/// A frame from the source to guest `index`: a minimal IPv4 UDP datagram with its checksums.
fn frame_to(index: usize) -> Vec<u8> {
    let mut frame = unsummed_frame_to(index);
    // Over the pseudo header (addresses, protocol, length) and the datagram.
    let sum = overlay::wire::checksum::checksum(&[&frame[26..34], &[0, 17, 0, 26], &frame[34..]].concat());
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The same, the UDP checksum left out.
fn unsummed_frame_to(index: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 1, index as u8];
    frame.extend(SOURCE_MAC);
    frame.extend([8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 19, 0, index as u8]);
    let sum = overlay::wire::checksum::checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend([4, 0, 0, 9, 0, 26, 0, 0]);
    frame.resize(60, index as u8);
    frame
}

/// A network whose source, of so many queues, sends to each guest in turn, `rate_pps` in all; what the guests send back is
/// written to `back.pcap`.
fn guests_config(scratch: &Scratch, guests: &[Guest], rate_pps: u32, queues: u16) -> String {
    let frames: Vec<Vec<u8>> = (0..guests.len()).map(frame_to).collect();
    write_pcap(&scratch.path("to-guests.pcap"), frames.iter().map(Vec::as_slice));
    let mut text = "[[network]]\nname = \"guests\"\nvni = 1\nmacs = [\n".to_owned();
    writeln!(text, "  {{ mac = \"02:00:00:00:02:00\", port = \"back\" }},").unwrap();
    for index in 0..guests.len() {
        writeln!(text, "  {{ mac = \"{}\", port = \"v{index}\" }},", guest_mac(index)).unwrap();
    }
    text += "]\n\n";
    let frames = scratch.text("to-guests.pcap");
    text += &format!(
        "[[port]]\nname = \"gen\"\ndevice = \"source:frames={frames},rate_pps={rate_pps}\"\nrole = \"container\"\n\
         network = \"guests\"\nrx_queues = {queues}\n\n\
         [[port]]\nname = \"back\"\ndevice = \"pcap:,{}\"\nrole = \"container\"\nnetwork = \"guests\"\n\n",
        scratch.text("back.pcap")
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

/// What guests sent back and weir passed on, as tshark sees it: the first hundred thousand frames.
#[track_caller]
fn judge_back(scratch: &Scratch, least: u64) {
    Captured::from_file(&scratch.path("back.pcap")).first(100_000).judge_sums(least, &[("ip", least), ("udp", least)]);
}

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
    let weir = Weir::start(&scratch, &(head(&scratch, 512, 65536) + &guests_config(&scratch, &guests, 20_000, 1)));
    // A process has at most 32 Ethernet devices in Debian's DPDK.
    let mut testpmds: Vec<_> = guests_of(&guests, 20, |some| Testpmd::start(&scratch, some));
    for index in 0..guests.len() {
        weir.wait_until_up(&format!("v{index}"), true);
    }
    all_answer(&weir, guests.len(), 50, &mut testpmds);
    // What the guests sent back has reached the port that it is for.
    assert!(weir.counter("back", "tx_packets") > 40 * 50);
    drop(testpmds);
    for index in 0..guests.len() {
        weir.wait_until_up(&format!("v{index}"), false);
    }
    weir.stop(TO_GUESTS);
    judge_back(&scratch, 40 * 50);
    let seen = Captured::from_file(&scratch.path("back.pcap")).first(100_000).fields("frame", "eth.src");
    let seen: BTreeSet<String> = seen.into_iter().collect();
    assert_eq!(seen, (0..40).map(guest_mac).collect(), "each guest's frames were judged");
}

/// A testpmd for each `most` guests.
fn guests_of(guests: &[Guest], most: usize, start: impl Fn(&[Guest]) -> Testpmd) -> Vec<Testpmd> {
    let mut mac_of = guests.to_vec();
    mac_of.iter_mut().enumerate().for_each(|(index, guest)| guest.mac = guest_mac(index));
    mac_of.chunks(most).map(start).collect()
}

/// What a guest gets, written by the guest's own side.
#[test]
#[ignore = "needs root: run `make peers`"]
fn what_weir_gives_a_guest_is_well_formed() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 1, 1);
    let weir = Weir::start(&scratch, &(head(&scratch, 256, 16384) + &guests_config(&scratch, &guests, 20_000, 1)));
    let file = scratch.path("guest.pcap");
    let mut testpmd = Testpmd::start_into(&scratch, &guests[0], &file);
    weir.wait_until_up("v0", true);
    wait_for("frames to the guest", 20, || {
        testpmd.assert_runs();
        (weir.counter("v0", "tx_packets") > 20_000).then_some(())
    });
    testpmd.quit();
    weir.wait_until_up("v0", false);
    let sent = weir.counter("v0", "tx_packets");
    weir.stop(TO_GUESTS);
    Captured::from_file(&file).judge_sums(15_000, &[("ip", 15_000), ("udp", 15_000)]);
    let mut came = 0;
    read_pcap(&file, |frame| {
        assert_eq!(frame, frame_to(0), "a frame was changed on its way to the guest");
        came += 1;
    });
    assert!(came <= sent, "{came} frames came, {sent} were sent");
}

/// Two workers, each sending on a transmit queue of its own to guests of four queues, which answer on the queue that a frame
/// came on: two queues of each guest carry traffic both ways.
#[test]
#[ignore = "needs root: run `make peers`"]
fn several_queues_in_both_roles() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 2, 4);
    let head = head_on(&scratch, 256, 16384, "[0, 1]");
    let weir = Weir::start(&scratch, &(head + &guests_config(&scratch, &guests, 20_000, 2)));
    let mut testpmds = vec![Testpmd::start(&scratch, &guests)];
    for name in ["v0", "v1"] {
        weir.wait_until_up(name, true);
    }
    all_answer(&weir, 2, 5000, &mut testpmds);
    drop(testpmds);
    for name in ["v0", "v1"] {
        weir.wait_until_up(name, false);
    }

    // Nothing comes from the guests any more: the counts stand still.
    let workers = weir.show("workers");
    let mut answered = 0;
    for name in ["v0", "v1"] {
        let queues = workers.as_array().unwrap().iter().flat_map(|worker| worker["queues"].as_array().unwrap());
        let packets: Vec<u64> =
            queues.filter(|queue| queue["port"] == name).map(|queue| number(queue, "/packets")).collect();
        assert_eq!(packets.len(), 4, "{name}: all four queues are polled: {workers:#}");
        let all: u64 = packets.iter().sum();
        let busy = packets.iter().filter(|&&count| count * 5 >= all).count();
        assert!(busy >= 2, "{name}: fewer than two queues carry 20 % of what came: {packets:?}");
        assert_eq!(all, weir.counter(name, "rx_packets"), "{name}: {packets:?}");
        answered += all;
    }
    // All that came went to the one queue of `back`, or was dropped between the workers and counted.
    let lost = weir.dropped("handoff_full");
    let back = weir.counter("back", "tx_packets");
    assert_eq!(answered, back + lost, "{answered} packets came from guests, {back} went on, {lost} were dropped");
    weir.stop(&[TO_GUESTS, &["handoff_full"]].concat());
    judge_back(&scratch, 5000);
    let mut written = 0;
    read_pcap(&scratch.path("back.pcap"), |_| written += 1);
    assert_eq!(written, back, "frames in the file");
}

const LOAD: Ipv4Addr = Ipv4Addr::new(198, 18, 7, 1);
/// One frame in so many ends in a file: at 30 % of what a worker can do, a file of all would be gigabytes.
const CHECKED_ONE_IN: u64 = 32;

/// A network of its own beside the guests': a source of numbered packets at `rate_pps` (0 = as many as possible), a port that
/// swallows most of them, and `checked`, which takes every 32nd.
fn bystanders(scratch: &Scratch, rate_pps: u64, checked: &str) -> String {
    let frame = |to: u8| {
        let mut frame = unsummed_frame_to(0);
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

/// A time since some moment, less that for which something else had the worker's CPU.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: Instant,
    waited: Duration,
}

impl Span {
    fn begin(weir: &Weir) -> Self {
        Self { begin: Instant::now(), waited: weir.waited(1) }
    }

    fn micros(self, weir: &Weir) -> u64 {
        let waited = weir.waited(1).saturating_sub(self.waited);
        self.begin.elapsed().saturating_sub(waited).as_micros().max(1) as u64
    }
}

/// Guests are killed again and again, while other ports carry at least 20 % of what the worker can: they lose nothing, and
/// the guests' ports come back.
///
/// The capacity is measured here, and 30 % of it are asked of the source, which gives up packets that come due while nobody
/// polls: 20 % have to be left of it. Time for which something else had the worker's CPU counts for neither, so that a
/// machine with other work passes; time for which a kill holds up the worker counts.
#[test]
#[ignore = "needs root: run `make peers`"]
fn killed_guests_cost_only_their_own_ports() {
    let scratch = Scratch::new();
    let guests = guests(&scratch, 2, 2);
    let head = head(&scratch, 512, 65536) + &guests_config(&scratch, &guests, 20_000, 1);
    let weir = Weir::start(&scratch, &format!("{head}{}", bystanders(&scratch, 0, "null")));

    // What the worker can do, guests absent: the capacity that 20 % are of.
    wait_for("the load", 10, || (load(&weir).1 > 10_000).then_some(()));
    let (before, start) = (load(&weir).1, Span::begin(&weir));
    std::thread::sleep(Duration::from_secs(1));
    let capacity_pps = (load(&weir).1 - before) * 1_000_000 / start.micros(&weir);
    let rate_pps = capacity_pps * 3 / 10;
    eprintln!(
        "the worker carries {capacity_pps} packets/s; {rate_pps} packets/s are asked for beside the killed guests"
    );
    let checked = format!("pcap:,{}", scratch.text("checked.pcap"));
    weir.apply(&format!("{head}{}", bystanders(&scratch, rate_pps, &checked)));
    let (came_before, went_before) = load(&weir);
    let (start, mut last) = (Span::begin(&weir), (Span::begin(&weir), came_before));
    // What has come since `since`, in percent of the capacity.
    let share = |since: Span, packets: u64| packets * 100_000_000 / (capacity_pps * since.micros(&weir));
    let mut shares = Vec::new();

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
        shares.push(share(last.0, now - last.1));
        last = (Span::begin(&weir), now);
    }
    let whole = share(start, last.1 - came_before);
    let waited = weir.waited(1).saturating_sub(start.waited);
    eprintln!("{whole} % of the capacity flowed, the CPU elsewhere for {waited:?}; by round: {shares:?} %");
    assert!(whole >= 20, "only {whole} % of the capacity flowed beside the killed guests; by round: {shares:?} %");
    assert!(shares.iter().all(|share| *share >= 10), "the load stood still beside the killed guests: {shares:?} %");

    // The bystanders: all that came in went out.
    let (came, went) = load(&weir);
    let (came, went) = (came - came_before, went - went_before);
    assert_eq!(came, went, "{came} packets came in beside the killed guests, {went} went out");
    weir.stop(TO_GUESTS);
    judge_back(&scratch, 20 * 100);
    Captured::from_file(&scratch.path("checked.pcap")).first(100_000).judge_sums(10_000, &[("ip", 10_000)]);
    // Every 32nd number is looked at.
    let seen = all_in_order(&scratch.path("checked.pcap"), LOAD, CHECKED_ONE_IN - 1, CHECKED_ONE_IN);
    assert!(seen >= came / CHECKED_ONE_IN, "{seen} numbers are in the file, of {came} packets");
}
