//! The judge judged: tshark, as the tests ask it, refuses frames that are spoiled on purpose, and a run of tshark that
//! verifies nothing is no acquittal.
//!
//! Needs neither root nor hugepages nor a NIC; without tshark it says so and passes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests: a failed expectation is a failed test"
)]

mod common;

use std::net::Ipv4Addr;

use common::Scratch;
use common::capture::Captured;
use common::files::write_pcap;
use overlay::wire::checksum::{Sum, checksum, zero_to_ones};

const UDP: u8 = 17;
const TCP: u8 = 6;
/// Octets of Ethernet and IPv4 headers.
const L4: usize = 34;

/// A frame with right checksums: UDP or TCP, with 32 octets of payload that no dissector takes for its own.
fn frame(protocol: u8) -> Vec<u8> {
    let (from, to) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let mut segment = vec![0xc3, 0x50, 0xc3, 0x51];
    let at = if protocol == UDP {
        segment.extend([0, 40, 0, 0]);
        6
    } else {
        segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
        16
    };
    segment.extend([0; 8]);
    segment.extend((0..24).map(|number| 0xa0 + number));
    let mut sum = Sum::pseudo_v4(from, to, protocol, segment.len() as u16);
    sum.add(&segment);
    segment[at..at + 2].copy_from_slice(&zero_to_ones(sum.finish()).to_be_bytes());

    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame[16..18].copy_from_slice(&(20 + segment.len() as u16).to_be_bytes());
    header_checksum(&mut frame);
    frame.extend(segment);
    frame
}

fn header_checksum(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..L4]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// A frame in VXLAN, the outer UDP checksum left out.
fn tunnelled(inner: &[u8]) -> Vec<u8> {
    let mut frame = frame(UDP);
    frame.truncate(L4);
    frame[16..18].copy_from_slice(&(36 + inner.len() as u16).to_be_bytes());
    header_checksum(&mut frame);
    frame.extend([0xc3, 0x50, 0x12, 0xb5]);
    frame.extend((16 + inner.len() as u16).to_be_bytes());
    frame.extend([0, 0, 8, 0, 0, 0, 0, 0, 100, 0]);
    frame.extend(inner);
    frame
}

fn no_tshark() -> bool {
    let none = std::process::Command::new("tshark").arg("--version").output().is_err();
    if none {
        eprintln!("there is no tshark: nothing is judged");
    }
    none
}

/// Four good frames, and after them the one in question.
fn captured(scratch: &Scratch, name: &str, frame_in_question: &[u8]) -> Captured {
    let file = scratch.path(&format!("{name}.pcap"));
    let good = [frame(UDP), frame(TCP), tunnelled(&frame(UDP)), tunnelled(&frame(TCP))];
    write_pcap(&file, good.iter().map(Vec::as_slice).chain([frame_in_question]));
    Captured::from_file(&file)
}

#[test]
fn one_spoiled_frame_is_found() {
    if no_tshark() {
        return;
    }
    let scratch = Scratch::new();
    let good = captured(&scratch, "good", &frame(TCP));
    good.judge(5);
    good.verified("ip", 5);
    good.verified("tcp", 3);
    good.verified("udp", 2);

    let spoil = |mut frame: Vec<u8>, at: usize| {
        frame[at] ^= 0x55;
        frame
    };
    let last = |frame: &[u8]| frame.len() - 1;
    let (udp, tcp) = (frame(UDP), frame(TCP));
    let cut = |frame: &[u8], octets: usize| frame[..frame.len() - octets].to_vec();
    let cases = [
        ("ipv4-checksum", spoil(udp.clone(), 24)),
        ("ipv4-ttl", spoil(udp.clone(), 22)),
        ("udp-checksum", spoil(udp.clone(), L4 + 6)),
        ("udp-payload", spoil(udp.clone(), last(&udp))),
        ("tcp-checksum", spoil(tcp.clone(), L4 + 16)),
        ("tcp-payload", spoil(tcp.clone(), last(&tcp))),
        ("ethernet-cut", cut(&tcp, tcp.len() - 10)),
        ("tcp-header-cut", cut(&tcp, 40)),
        ("payload-cut", cut(&udp, 8)),
        ("outer-ipv4-checksum", spoil(tunnelled(&tcp), 24)),
        ("inner-ipv4-checksum", tunnelled(&spoil(tcp.clone(), 24))),
        ("inner-tcp-payload", tunnelled(&spoil(tcp.clone(), last(&tcp)))),
        ("inner-udp-payload", tunnelled(&spoil(udp.clone(), last(&udp)))),
        ("inner-frame-cut", tunnelled(&cut(&tcp, 40))),
    ];
    for (name, spoiled) in cases {
        let verdict = captured(&scratch, name, &spoiled).verdict(5);
        assert!(verdict.as_ref().is_err_and(|why| why.starts_with("1 of 5 frames are bad")), "{name}: {verdict:?}");
    }
    // The tests call what panics.
    let spoiled = captured(&scratch, "panics", &spoil(tcp, 24));
    assert!(std::panic::catch_unwind(|| spoiled.judge(5)).is_err());
    // Inside the tunnel: not looked at where only the outside is asked for; outside of it: found there too.
    captured(&scratch, "inside", &tunnelled(&spoil(udp.clone(), 24))).outside().judge(5);
    let outside = captured(&scratch, "outside", &spoil(tunnelled(&udp), 24)).outside().verdict(5);
    assert!(outside.is_err_and(|why| why.starts_with("1 of 5 frames are bad")));
    // Behind the frames that are asked for.
    captured(&scratch, "behind", &spoil(udp, 24)).first(4).judge(4);
}

#[test]
fn nothing_verified_is_no_acquittal() {
    if no_tshark() {
        return;
    }
    let scratch = Scratch::new();
    let good = captured(&scratch, "good", &frame(UDP));
    let few = good.verdict(6).unwrap_err();
    assert!(few.contains("only 5 frames"), "{few}");
    for (off, named) in [("ip", "no ip.checksum"), ("udp", "no udp.checksum"), ("tcp", "no tcp.checksum")] {
        let why = good.clone().option(&format!("{off}.check_checksum:FALSE")).verdict(5).unwrap_err();
        assert!(why.contains(named), "{off}: {why}");
    }
    // Frames of a protocol without a checksum.
    let file = scratch.path("none.pcap");
    let mut other = frame(UDP);
    other[12..14].copy_from_slice(&[0x88, 0xb5]);
    write_pcap(&file, [&*other]);
    let why = Captured::from_file(&file).verdict(1).unwrap_err();
    assert!(why.contains("verified no checksum"), "{why}");
}
