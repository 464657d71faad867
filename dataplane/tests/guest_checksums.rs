//! A guest that leaves checksums to the device, through a running weir to a port that cannot finish them: weir has to, in
//! software, and every octet of what comes out is checked.
//!
//! The guest is a virtio-user device in this process; neither root nor hugepages nor a NIC are needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in tests, where a failed expectation is a failed test"
)]

mod common;
mod dpdk_common;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use common::Scratch;
use common::capture::Captured;
use common::files::read_pcap;
use common::weir::{Weir, head_on};
use dataplane::dpdk::vhost::NoWorkers;
use dataplane::dpdk::{Burst, TscClock};
use dataplane::port::{OpenParams, Port, PortSpec};
use dpdk_common::{eal, pool_of, wait_until};
use overlay::num::PortId;
use overlay::packet::{Checksum, PacketBuf};
use overlay::wire::checksum::{Sum, checksum, zero_to_ones};

/// A frame as a guest hands it out, and as it has to arrive.
struct Case {
    open: Vec<u8>,
    finished: Vec<u8>,
    start: u16,
    offset: u16,
}

const UDP: u8 = 17;
const TCP: u8 = 6;

/// A UDP or TCP frame over IPv4 or IPv6 with so many octets of payload, its checksum field with the pseudo header's sum.
fn case(version: u8, protocol: u8, payload: &[u8]) -> Case {
    let mut transport = match protocol {
        UDP => vec![0xc3, 0x50, 0xc3, 0x51, 0, 0, 0, 0],
        // Sequence numbers, 5 words of header, ACK, window.
        _ => vec![0xc3, 0x50, 0xc3, 0x51, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0],
    };
    let octets = (transport.len() + payload.len()) as u16;
    let offset = if protocol == UDP { 6 } else { 16 };
    if protocol == UDP {
        transport[4..6].copy_from_slice(&octets.to_be_bytes());
    }
    transport.extend_from_slice(payload);

    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8];
    let pseudo = if version == 4 {
        let (from, to) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        header[2..4].copy_from_slice(&(20 + octets).to_be_bytes());
        header.extend(from.octets());
        header.extend(to.octets());
        let sum = checksum(&header).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        frame.extend([0x08, 0x00]);
        frame.extend(header);
        Sum::pseudo_v4(from, to, protocol, octets)
    } else {
        let from: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let to: Ipv6Addr = "2001:db8::2".parse().unwrap();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(octets.to_be_bytes());
        frame.extend([protocol, 64]);
        frame.extend(from.octets());
        frame.extend(to.octets());
        Sum::pseudo_v6(from, to, protocol, u32::from(octets))
    };
    let start = frame.len();
    let at = start + offset;
    // As the peer has to see it: summed up here, with the field zero, not by what is under test.
    let mut sum = pseudo;
    sum.add(&transport);
    let right = if protocol == UDP { zero_to_ones(sum.finish()) } else { sum.finish() };
    frame.extend(transport);
    let (mut open, mut finished) = (frame.clone(), frame);
    open[at..at + 2].copy_from_slice(&pseudo.folded().to_be_bytes());
    finished[at..at + 2].copy_from_slice(&right.to_be_bytes());
    Case { open, finished, start: start as u16, offset: offset as u16 }
}

/// Both protocols over both versions: empty, odd, in one buffer and in several.
fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for version in [4, 6] {
        for protocol in [UDP, TCP] {
            for octets in [1, 18, 1000, 8000, 8001] {
                let payload: Vec<u8> = (0..octets).map(|at| if at < 8 { 0_u32 } else { at * 7 } as u8).collect();
                all.push(case(version, protocol, &payload));
            }
        }
    }
    // A payload with which UDP's sum is zero, which has to be told as ones (RFC 768).
    let sum = u16::from_be_bytes(case(4, UDP, &[0, 0]).finished[40..42].try_into().unwrap());
    let zero = case(4, UDP, &sum.to_be_bytes());
    assert_eq!(zero.finished[40..42], [0xff, 0xff]);
    all.push(zero);
    all
}

#[test]
fn checksums_that_a_guest_left_open_are_finished_for_a_port_that_cannot() {
    let scratch = Scratch::new();
    let cpu = core_affinity::get_core_ids().unwrap().last().unwrap().id;
    let head = head_on(&scratch, 256, 8192, &format!("[{cpu}]"));
    let (socket, output) = (scratch.text("guest.sock"), scratch.path("out.pcap"));
    let port = |name: &str, device: &str| {
        format!("\n[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\nrole = \"container\"\nnetwork = \"blue\"\n")
    };
    let weir = Weir::start(
        &scratch,
        &format!(
            "{head}[[network]]\nname = \"blue\"\nvni = 100\nmtu = 9000\n{}{}",
            port("guest", &format!("vhost-user:{socket}")),
            port("file", &format!("pcap:,{}", output.display())),
        ),
    );

    let _hold = eal();
    let pool = pool_of("guest", 4095, 2048);
    let params = OpenParams::new(pool.clone(), Arc::new(NoWorkers), TscClock::new(1_000_000_000));
    let params = OpenParams { mtu: 9000, ..params };
    let spec: PortSpec = format!("virtio-user:{socket}").parse().unwrap();
    let (guest, rx, mut tx) = Port::open("guest", PortId(1), &spec, &params).unwrap();
    weir.wait_until_up("guest", true);
    assert!(tx[0].caps().checksum, "the guest would sum up by itself");
    let cases = cases();
    for (sent, case) in (1..).zip(&cases) {
        let mut mbuf = pool.alloc().unwrap();
        assert!(mbuf.append(&case.open, &pool));
        let meta = mbuf.meta_mut();
        (meta.checksum, meta.checksum_start, meta.checksum_offset) = (Checksum::Partial, case.start, case.offset);
        let mut burst = Burst::new();
        burst.push(mbuf).unwrap();
        assert_eq!(tx[0].tx(&mut burst), 1);
        wait_until("the frame is through", || weir.counter("file", "tx_packets") == sent);
    }
    guest.close(rx, tx).unwrap();
    weir.stop(&[]);

    let mut arrived = Vec::new();
    read_pcap(&output, |frame| arrived.push(frame.to_vec()));
    assert_eq!(arrived.len(), cases.len());
    for (found, case) in arrived.iter().zip(&cases) {
        let octets = case.open.len();
        assert_eq!(found.len(), octets);
        let field = usize::from(case.start + case.offset);
        assert_ne!(case.open[field..field + 2], case.finished[field..field + 2], "{octets} octets: nothing to finish");
        assert_eq!(found[field..field + 2], case.finished[field..field + 2], "{octets} octets: the checksum");
        assert!(*found == case.finished, "{octets} octets: something else than the checksum was changed");
    }
    if std::process::Command::new("tshark").arg("--version").output().is_ok() {
        Captured::from_file(&output).judge(cases.len());
    }
}
