//! Frames of 9,000 octets and more through a running weir, from a file into VXLAN and back, octet for octet; tshark judges
//! what went into the tunnel. They are longer than a packet buffer, so every one of them is a chain.
//!
//! Needs neither root nor hugepages nor a NIC.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in tests, where a failed expectation is a failed test"
)]

mod common;

use std::net::Ipv4Addr;
use std::path::Path;

use common::Scratch;
use common::capture::Captured;
use common::files::{Random, read_pcap, write_pcap};
use common::weir::{Weir, head_on};
use overlay::wire::checksum::{Sum, checksum, zero_to_ones};

/// Octets of outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348 § 5).
const OUTER_OCTETS: usize = 14 + 20 + 8 + 8;
/// Octets of Ethernet, IPv4 and UDP headers.
const INNER_OCTETS: usize = 14 + 20 + 8;
/// The longest frame of an MTU of 9,000 octets, 9,000 octets as such, one octet around what is in one buffer and in two,
/// with and without the outer headers, and the usual ones.
const FRAMES: [usize; 14] = [9014, 9000, 8999, 2047, 2048, 2049, 1998, 1999, 4095, 4096, 4097, 1514, 64, 60];

/// A UDP over IPv4 frame of so many octets with random payload and right checksums.
fn frame(octets: usize, random: &mut Random) -> Vec<u8> {
    let (from, to) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let udp_octets = (octets - 34) as u16;
    let mut frame = vec![0; 34];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17]);
    frame[16..18].copy_from_slice(&(20 + udp_octets).to_be_bytes());
    frame[26..30].copy_from_slice(&from.octets());
    frame[30..34].copy_from_slice(&to.octets());
    let header = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    // Ports whose payload tshark leaves alone.
    frame.extend([0xc3, 0x50, 0xc3, 0x51]);
    frame.extend(udp_octets.to_be_bytes());
    frame.extend([0, 0]);
    // Nor is it to take the payload for something that it knows by how it begins.
    frame.extend((INNER_OCTETS..octets).map(|at| if at < INNER_OCTETS + 8 { 0 } else { random.next() as u8 }));
    let mut sum = Sum::pseudo_v4(from, to, 17, udp_octets);
    sum.add(&frame[34..]);
    frame[40..42].copy_from_slice(&zero_to_ones(sum.finish()).to_be_bytes());
    frame
}

fn frames_of(path: &Path) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    read_pcap(path, |frame| frames.push(frame.to_vec()));
    frames
}

/// Fails at the first frame that is not as it should be, without printing 9,000 octets.
#[track_caller]
fn same(what: &str, expected: &[Vec<u8>], found: &[Vec<u8>]) {
    let octets = |frames: &[Vec<u8>]| frames.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(octets(expected), octets(found), "{what}: octets of frames");
    for (expected, found) in expected.iter().zip(found) {
        let at = expected.iter().zip(found).position(|(one, other)| one != other);
        assert_eq!(at, None, "{what}: the frame of {} octets differs from here on", expected.len());
    }
}

/// One weir between a container and a tunnel, until as many packets have left by `port` as there are frames.
fn pass(scratch: &Scratch, container: &str, wire: &str, port: &str) {
    let cpu = core_affinity::get_core_ids().unwrap().last().unwrap().id;
    let head = head_on(scratch, 256, 8192, &format!("[{cpu}]"));
    let weir = Weir::start(
        scratch,
        &format!(
            r#"{head}[[network]]
name = "blue"
vni = 100
vteps = ["198.51.100.2"]
mac_learning = false

[[port]]
name = "container"
device = "{container}"
role = "container"
network = "blue"
mtu = 9000

[[port]]
name = "uplink"
device = "{wire}"
role = "uplink"
mac = "02:aa:00:00:00:01"
addresses = ["198.51.100.1/24"]
neighbours = [{{ address = "198.51.100.2", mac = "02:aa:00:00:00:02" }}]
mtu = 9100
"#
        ),
    );
    let all = FRAMES.len() as u64;
    common::wait_for("all frames", 20, || {
        (weir.received() == all && weir.counter(port, "tx_packets") == all).then_some(())
    });
    weir.stop(&[]);
}

#[test]
fn jumbo_frames_go_through_a_tunnel_and_back_octet_for_octet() {
    let scratch = Scratch::new();
    let mut random = Random(9000);
    let sent: Vec<Vec<u8>> = FRAMES.iter().map(|octets| frame(*octets, &mut random)).collect();
    let [input, wire, back, output] = ["in", "wire", "back", "out"].map(|name| scratch.path(&format!("{name}.pcap")));
    write_pcap(&input, sent.iter().map(Vec::as_slice));

    pass(&scratch, &format!("pcap:{}", input.display()), &format!("pcap:,{}", wire.display()), "uplink");
    let tunnelled = frames_of(&wire);
    let inner: Vec<_> = tunnelled.iter().map(|frame| frame[OUTER_OCTETS..].to_vec()).collect();
    same("inside the tunnel", &sent, &inner);
    for frame in &tunnelled {
        let length = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
        assert_eq!([length(16), length(38)], [frame.len() - 14, frame.len() - 34], "outer lengths of IPv4 and UDP");
    }
    judge(&wire);

    // The other VTEP's frames are these with the ends exchanged; a sum does not mind.
    let mut answers = tunnelled;
    for frame in &mut answers {
        (0..6).for_each(|at| frame.swap(at, at + 6));
        (26..30).for_each(|at| frame.swap(at, at + 4));
    }
    write_pcap(&back, answers.iter().map(Vec::as_slice));
    pass(&scratch, &format!("pcap:,{}", output.display()), &format!("pcap:{}", back.display()), "container");
    same("behind the tunnel", &sent, &frames_of(&output));
}

/// What tshark says of the frames in VXLAN. `scripts/setup.sh` installs it for tests; a user who builds without it is not
/// stopped here.
fn judge(file: &Path) {
    if std::process::Command::new("tshark").arg("--version").output().is_err() {
        return;
    }
    let captured = Captured::from_file(file);
    captured.judge(FRAMES.len());
    assert_eq!(captured.count("vxlan.vni == 100"), FRAMES.len());
    assert_eq!(captured.count("frame.len == 9064 && ip.len == 9050 && udp.length == 9030 && ip.len == 9000"), 1);
    // Of every frame the inner checksum is there and right.
    assert_eq!(captured.count("udp.port == 50000 && udp.checksum.status == 1"), FRAMES.len());
}
