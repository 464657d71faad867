//! The frames of the demo: real ones, embedded in the binary, and those that are made for measuring.

use std::fs::File;
use std::io::{BufReader, BufWriter, Cursor, Read, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use overlay::wire::checksum::{Sum, checksum};
use overlay::wire::protocol;
use pcap_file::PcapError;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

/// A frame without FCS.
pub(super) type Frame = Vec<u8>;

/// Captures from the test suite of tcpdump; `overlay/tests/captures/README.md` has their licence.
macro_rules! capture {
    ($file:literal) => {
        include_bytes!(concat!("../../../../overlay/tests/captures/", $file))
    };
}

/// One segment of HTTP, tagged with VLAN [`WEB_VLAN`].
pub(super) const WEB: &[&[u8]] = &[capture!("ipv4_tcp_http_xml.pcap")];
/// The VLAN of [`WEB`].
pub(super) const WEB_VLAN: u16 = 165;
/// A DNS query over TCP from handshake to FIN, one over UDP; router advertisement and multicast listener reports over IPv6.
pub(super) const UNTAGGED: &[&[u8]] = &[capture!("dns_tcp.pcap"), capture!("dns_udp.pcap"), capture!("icmpv6.pcap")];
/// Ping and ARP in VXLAN, as another implementation sent it.
pub(super) const VXLAN: &[&[u8]] = &[capture!("vxlan.pcap")];

/// Flows of the measurement, and the hosts that they go to: those of `weir-bench`.
pub(super) const FLOWS: u32 = 256;
const HOSTS: u32 = 200;
/// Octets of a frame of the measurement, without FCS: the smallest that Ethernet allows.
pub(super) const LOAD_OCTETS: usize = 60;

/// The frames of several captures, one after the other.
pub(super) fn frames(captures: &[&[u8]]) -> Result<Vec<Frame>, PcapError> {
    let mut all = Vec::new();
    for capture in captures {
        all.extend(read_from(Cursor::new(capture))?);
    }
    Ok(all)
}

/// The frames of a file.
pub(super) fn read(file: &Path) -> Result<Vec<Frame>, PcapError> {
    read_from(BufReader::new(File::open(file).map_err(PcapError::IoError)?))
}

fn read_from(source: impl Read) -> Result<Vec<Frame>, PcapError> {
    let mut reader = PcapReader::new(source)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet?.data.into_owned());
    }
    Ok(frames)
}

/// Writes frames to a file.
pub(super) fn write(file: &Path, frames: &[Frame]) -> Result<(), PcapError> {
    let mut writer = PcapWriter::new(BufWriter::new(File::create(file).map_err(PcapError::IoError)?))?;
    for frame in frames {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, frame.len() as u32, frame))?;
    }
    writer.into_writer().flush().map_err(PcapError::IoError)
}

/// The frame as the other end would send it: Ethernet and IPv4 addresses swapped. Checksums do not mind, a sum has no order.
pub(super) fn turned_round(mut frame: Frame) -> Frame {
    if let Some(head) = frame.first_chunk_mut::<34>() {
        (0..6).for_each(|at| head.swap(at, at + 6));
        (26..30).for_each(|at| head.swap(at, at + 4));
    }
    frame
}

/// The 802.1Q tag of a VLAN at priority 0.
fn tag(vlan: u16) -> [u8; 4] {
    let [high, low] = vlan.to_be_bytes();
    [0x81, 0x00, high, low]
}

/// The frame without the tag of [`WEB_VLAN`], if it has one.
pub(super) fn untagged(mut frame: Frame) -> Frame {
    if frame.get(12..16) == Some(&tag(WEB_VLAN)) {
        frame.drain(12..16);
    }
    frame
}

/// The frame with the tag of [`WEB_VLAN`].
pub(super) fn tagged(mut frame: Frame) -> Frame {
    let at = frame.len().min(12);
    frame.splice(at..at, tag(WEB_VLAN));
    frame
}

/// The MAC address of host `host` on side 1 (sends) or 2 (receives).
fn host_mac(side: u8, host: u8) -> [u8; 6] {
    [2, 0, 0, 0, side, host]
}

/// The MAC addresses that the measurement's frames go to.
pub(super) fn receivers() -> impl Iterator<Item = overlay::num::MacAddr> {
    (0..HOSTS as u8).map(|host| overlay::num::MacAddr(host_mac(2, host)))
}

/// One UDP over IPv4 frame for each flow.
pub(super) fn load() -> Vec<Frame> {
    (0..FLOWS).map(load_frame).collect()
}

fn load_frame(flow: u32) -> Frame {
    const IP_OCTETS: u16 = (LOAD_OCTETS - 14) as u16;
    let host = (flow % HOSTS) as u8;
    let (from, to) = (Ipv4Addr::new(10, 1, 0, host + 1), Ipv4Addr::new(10, 2, 0, host + 1));
    let length = IP_OCTETS.to_be_bytes();
    let before = [0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, protocol::UDP];
    let after = [from.octets(), to.octets()].concat();
    let ip_sum = checksum(&[&before[..], &[0, 0], &after].concat());

    let ports = [(1000 + flow as u16).to_be_bytes(), 2000_u16.to_be_bytes(), (IP_OCTETS - 20).to_be_bytes()].concat();
    let payload = [b'x'; LOAD_OCTETS - 14 - 20 - 8];
    let summed = [&ports[..], &[0, 0], &payload].concat();
    let udp_sum = Sum::pseudo_v4(from, to, protocol::UDP, IP_OCTETS - 20).with(&summed).finish_udp();
    let (destination, source) = (host_mac(2, host), host_mac(1, host));
    let parts: [&[u8]; 9] = [
        &destination,
        &source,
        &[0x08, 0x00],
        &before,
        &ip_sum.to_be_bytes(),
        &after,
        &ports,
        &udp_sum.to_be_bytes(),
        &payload,
    ];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_whole_and_turning_twice_changes_nothing() {
        let counts = [WEB, UNTAGGED, VXLAN].map(|captures| frames(captures).unwrap().len());
        assert_eq!(counts, [1, 18, 10]);
        for frame in frames(WEB).unwrap() {
            assert_ne!(untagged(frame.clone()), frame);
            assert_eq!(tagged(untagged(frame.clone())), frame);
        }
        for frame in frames(UNTAGGED).unwrap() {
            assert_eq!(untagged(frame.clone()), frame);
        }
        for frame in frames(VXLAN).unwrap() {
            let turned = turned_round(frame.clone());
            assert_ne!(turned, frame);
            assert_eq!(checksum(&turned[14..34]), 0, "the IPv4 header checksum still holds");
            assert_eq!(turned_round(turned), frame);
        }
    }

    #[test]
    fn load_frames_have_the_least_size_and_good_checksums() {
        let frames = load();
        assert_eq!(frames.len(), FLOWS as usize);
        for frame in frames {
            assert_eq!(frame.len(), LOAD_OCTETS);
            assert_eq!(checksum(&frame[14..34]), 0);
            let [from, to] = [26, 30].map(|at| Ipv4Addr::from(*frame[at..].first_chunk::<4>().unwrap()));
            let sum = Sum::pseudo_v4(from, to, protocol::UDP, 26).with(&frame[34..]);
            // Data with its own checksum sums to zero, which UDP writes as all ones.
            assert_eq!(sum.finish_udp(), 0xffff);
        }
    }
}
