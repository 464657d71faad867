//! The judge of what weir sends is judged itself: right frames pass, and each kind of wrong one does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: a failed expectation is a failed test")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::Scratch;
use common::capture::{Captured, has_tshark};
use common::files::write_pcap;
use overlay::wire::checksum::checksum;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where the checksums are, and the first octets of payload behind TCP.
const IP_SUM: usize = 24;
const TCP_SUM: usize = 50;
const UDP_SUM: usize = 40;
const TCP_PAYLOAD: usize = 54;

/// A frame from 10.0.0.1 to 10.0.0.2 with right checksums.
fn frame(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![4, 0, 0x17, 0x70];
    if protocol == TCP {
        segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 16, 0, 0, 0, 0, 0]);
    } else {
        segment.extend(((8 + payload.len()) as u16).to_be_bytes());
        segment.extend([0, 0]);
    }
    segment.extend(payload);
    let mut ip = vec![0x45, 0];
    ip.extend(((20 + segment.len()) as u16).to_be_bytes());
    ip.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let octets = (segment.len() as u16).to_be_bytes();
    let sum = checksum(&[&ip[12..20], &[0, protocol], &octets, &segment].concat());
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([ip, segment].concat());
    let at = if protocol == TCP { TCP_SUM } else { UDP_SUM };
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn with(mut frame: Vec<u8>, at: usize, octets: [u8; 2]) -> Vec<u8> {
    frame[at..at + 2].copy_from_slice(&octets);
    frame
}

/// A TCP segment whose checksum is 0: its first octets of payload make up for all others.
fn summed_to_zero() -> Vec<u8> {
    let plain = frame(TCP, b"\0\0weir");
    let sum = [plain[TCP_SUM], plain[TCP_SUM + 1]];
    let frame = frame(TCP, &[&sum[..], b"weir"].concat());
    assert_eq!(frame[TCP_SUM..TCP_SUM + 2], [0, 0]);
    assert_eq!(frame[TCP_PAYLOAD..TCP_PAYLOAD + 2], sum);
    frame
}

/// What the judge says of these frames behind two good ones: `None` when it lets them pass.
fn verdict(frames: &[Vec<u8>], verified: &[(&str, u64)]) -> Option<String> {
    let scratch = Scratch::new();
    let file = scratch.path("judged.pcap");
    let all = [&[frame(TCP, b"weir"), frame(UDP, b"weir")][..], frames].concat();
    write_pcap(&file, all.iter().map(Vec::as_slice));
    let judged = catch_unwind(AssertUnwindSafe(|| Captured::from_file(&file).judge_sums(2, verified)));
    judged.err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn right_frames_pass_and_their_checksums_were_verified() {
    if !has_tshark() {
        return;
    }
    assert_eq!(verdict(&[], &[("ip", 2), ("tcp", 1), ("udp", 1)]), None);
    assert_eq!(verdict(&[summed_to_zero()], &[("tcp", 2)]), None);
    // Linux's way to write zero.
    assert_eq!(verdict(&[with(summed_to_zero(), TCP_SUM, [0xff, 0xff])], &[("tcp", 2)]), None);
}

#[test]
fn every_kind_of_spoiled_frame_fails() {
    if !has_tshark() {
        return;
    }
    let tcp = || frame(TCP, b"weir");
    let spoiled = |frame: Vec<u8>, at: usize| {
        let octets = [frame[at] ^ 0x11, frame[at + 1]];
        with(frame, at, octets)
    };
    let mut cut = tcp();
    cut.truncate(TCP_SUM);
    for (what, frame) in [
        ("bad ip checksum", spoiled(tcp(), IP_SUM)),
        ("bad tcp checksum", spoiled(tcp(), TCP_SUM)),
        // 0xffff where something else than 0 would be right is as wrong as any other.
        ("bad tcp checksum", with(tcp(), TCP_SUM, [0xff, 0xff])),
        ("bad tcp checksum", spoiled(tcp(), TCP_PAYLOAD)),
        ("bad udp checksum", spoiled(frame(UDP, b"weir"), UDP_SUM)),
        ("malformed", cut),
        // A UDP length beyond the packet.
        ("malformed", with(frame(UDP, b"weir"), UDP_SUM - 2, [1, 0])),
        // An IP length beyond the frame.
        ("an error by itself", with(tcp(), 16, [5, 0])),
    ] {
        let said = verdict(&[frame], &[]).unwrap_or_else(|| panic!("passed: {what}"));
        assert!(said.contains("1 of 3 frames are bad") && said.contains("frame 3: "), "{said}");
        assert!(said.contains(what), "not {what:?}: {said}");
    }
}

#[test]
fn a_judge_that_verified_nothing_fails() {
    if !has_tshark() {
        return;
    }
    // Too few frames, and frames without the checksums that were to be judged.
    assert!(verdict(&[], &[("udp", 2)]).is_some_and(|said| said.contains("only 1 udp checksums")));
    let absent = with(frame(UDP, b"weir"), UDP_SUM, [0, 0]);
    assert!(verdict(&[absent], &[("udp", 2)]).is_some_and(|said| said.contains("only 1 udp checksums")));
    assert!(verdict(&[], &[("icmp", 1)]).is_some());
}
