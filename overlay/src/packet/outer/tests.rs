//! What a frame from the underlay is taken for.

use super::*;
use crate::num::MacAddr;
use crate::num::Vni;
use crate::packet::VecBuf;
use crate::packet::flow::Inner;
use crate::tunnel::outer::Outer;
use crate::tunnel::vxlan::{VxlanEncap, VxlanParams};
use crate::wire::checksum::checksum;

const OURS: [&str; 4] = ["192.0.2.7", "2001:db8::7", "192.0.2.2", "2001:db8::2"];

fn params() -> UnderlayParams {
    let ours: Vec<IpAddr> = OURS.iter().map(|text| text.parse().unwrap()).collect();
    UnderlayParams { udp_port: 4789, local: LocalAddresses::new(&ours).unwrap() }
}

fn vxlan(ipv6: bool) -> Vec<u8> {
    let [local, remote] = if ipv6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
    let outer = Outer::new(local.parse().unwrap(), remote.parse().unwrap(), 4789).unwrap();
    let mut packet = VecBuf::from_octets(&[0; 60]);
    VxlanEncap::new(&VxlanParams { outer, source_mac: MacAddr([2, 0, 0, 0, 0, 1]) })
        .towards(Vni::from_low_bits(5), MacAddr([2, 0, 0, 0, 0, 2]), u32::MAX)
        .push(&mut packet, Inner { flow_hash: 1, traffic_class: 0 })
        .unwrap();
    packet.octets()
}

fn of(frame: &[u8]) -> Result<Arrival, DropReason> {
    classify(frame, frame.len(), &params())
}

/// Sets octets and repairs the IPv4 header checksum.
fn v4_with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = vxlan(false);
    for &(at, to) in changes {
        frame[at] = to;
    }
    repair(&mut frame);
    frame
}

fn repair(frame: &mut [u8]) {
    let end = 14 + usize::from(frame[14] & 0x0f) * 4;
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..end]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

fn v6_with(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = vxlan(true);
    for &(at, to) in changes {
        frame[at] = to;
    }
    frame
}

#[test]
fn vxlan_to_us_is_found_over_both_families() {
    let expected = |source: &str, udp_offset, udp_checksum: u16| OuterUdp {
        source: match source.parse().unwrap() {
            IpAddr::V4(v4) => [0, v4.to_bits().into()],
            IpAddr::V6(v6) => halves(v6.to_bits()),
        },
        vxlan: 0x0800_0000_0000_0500,
        udp_offset,
        udp_octets: 76,
        udp_checksum,
        traffic_class: 0,
        ipv6: source.contains(':'),
    };
    assert_eq!(of(&vxlan(false)), Ok(Arrival::Vxlan(expected("192.0.2.1", 34, 0))));
    let v6 = vxlan(true);
    let sum = u16::from_be_bytes([v6[60], v6[61]]);
    assert_ne!(sum, 0);
    assert_eq!(of(&v6), Ok(Arrival::Vxlan(expected("2001:db8::1", 54, sum))));
    for source in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(expected(source, 0, 0).source(), source.parse::<IpAddr>().unwrap());
    }
}

/// The fast way and the careful way must not tell different stories.
#[test]
fn the_careful_way_agrees_with_the_fast_one() {
    for frame in [vxlan(false), vxlan(true)] {
        let careful = slow::classify(&frame, frame.len(), &params());
        assert!(matches!(careful, Ok(Arrival::Vxlan(_))));
        assert_eq!(of(&frame), careful);
        for at in 12..frame.len().min(70) {
            for bit in 0..8 {
                let mut other = frame.clone();
                other[at] ^= 1 << bit;
                if other[12] == 8 {
                    // Both with a right checksum and with a wrong one.
                    assert_eq!(of(&other), slow::classify(&other, other.len(), &params()), "bit {bit} of octet {at}");
                    if usize::from(other[14] & 0x0f) >= 5 && !(24..26).contains(&at) {
                        repair(&mut other);
                    }
                }
                assert_eq!(of(&other), slow::classify(&other, other.len(), &params()), "bit {bit} of octet {at}");
            }
        }
    }
}

#[test]
fn truncation_at_every_length_has_a_reason() {
    for frame in [vxlan(false), vxlan(true)] {
        for length in 0..frame.len() {
            let result = of(&frame[..length]);
            let reason = result.expect_err("a truncated packet is none");
            let l3_octets = if frame[12] == 8 { 20 } else { 40 };
            let expected = match length {
                0..14 => DropReason::EthernetTruncated,
                _ if length < 14 + l3_octets && l3_octets == 20 => DropReason::Ipv4Truncated,
                _ if length < 14 + l3_octets => DropReason::Ipv6Truncated,
                _ if l3_octets == 20 => DropReason::Ipv4TotalLength,
                _ => DropReason::Ipv6PayloadLength,
            };
            assert_eq!(reason, expected, "at {length}");
        }
        // The packet is whole, but its headers are not in the first segment.
        for head in 0..if frame[12] == 8 { 50 } else { 70 } {
            assert_eq!(classify(&frame[..head], frame.len(), &params()), Err(DropReason::HeaderSplit), "{head}");
        }
    }
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    // IPv4 total length 96, UDP length 76.
    assert_eq!(of(&v4_with(&[(17, 19)])), Err(DropReason::Ipv4TotalLength));
    assert_eq!(of(&v4_with(&[(17, 97)])), Err(DropReason::Ipv4TotalLength));
    assert_eq!(of(&v4_with(&[(17, 27)])), Err(DropReason::UdpTruncated));
    assert_eq!(of(&v4_with(&[(39, 7)])), Err(DropReason::UdpLength));
    assert_eq!(of(&v4_with(&[(39, 77)])), Err(DropReason::UdpLength));
    assert_eq!(of(&v4_with(&[(39, 15)])), Err(DropReason::VxlanTruncated));
    assert!(matches!(of(&v4_with(&[(39, 16)])), Ok(Arrival::Vxlan(_))));
    assert_eq!(of(&v6_with(&[(19, 77)])), Err(DropReason::Ipv6PayloadLength));
    assert_eq!(of(&v6_with(&[(19, 75)])), Err(DropReason::UdpLength));
    assert_eq!(of(&v6_with(&[(59, 15)])), Err(DropReason::VxlanTruncated));
}

#[test]
fn broken_headers_are_named() {
    let mut frame = vxlan(false);
    frame[24] ^= 1;
    assert_eq!(of(&frame), Err(DropReason::Ipv4Checksum));
    assert_eq!(of(&v4_with(&[(14, 0x65)])), Err(DropReason::Ipv4Version));
    let mut short = vxlan(false);
    short[14] = 0x44;
    assert_eq!(of(&short), Err(DropReason::Ipv4HeaderLength));
    assert_eq!(of(&v6_with(&[(14, 0x40)])), Err(DropReason::Ipv6Version));
}

#[test]
fn fragments_that_show_the_port_are_refused_and_later_ones_are_the_hosts() {
    assert_eq!(of(&v4_with(&[(20, 0x20)])), Err(DropReason::UnderlayFragment));
    assert!(matches!(of(&v4_with(&[(20, 0x60)])), Err(DropReason::UnderlayFragment)), "with DF too");
    match of(&v4_with(&[(21, 0x04)])) {
        Ok(Arrival::Ipv4(ip)) => assert!(ip.fragment),
        other => panic!("{other:?}"),
    }
    let fragment = |offset_and_more: u8| {
        let mut frame = v6_with(&[(19, 84), (20, 44)]);
        frame.splice(54..54, [17, 0, 0, offset_and_more, 0, 0, 0, 1]);
        of(&frame)
    };
    assert_eq!(fragment(1), Err(DropReason::UnderlayFragment));
    assert!(matches!(fragment(8), Ok(Arrival::Ipv6(ip)) if ip.fragment));
    // RFC 6946: an "atomic fragment" is a whole packet.
    assert!(matches!(fragment(0), Ok(Arrival::Vxlan(outer)) if outer.udp_offset == 62));
}

#[test]
fn options_and_extension_headers_are_stepped_over() {
    let mut frame = v4_with(&[(14, 0x46), (17, 100)]);
    frame.splice(34..34, [1, 1, 1, 0]);
    repair(&mut frame);
    assert!(matches!(of(&frame), Ok(Arrival::Vxlan(outer)) if outer.udp_offset == 38));
    let mut frame = v6_with(&[(19, 84), (20, 60)]);
    frame.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
    assert!(matches!(of(&frame), Ok(Arrival::Vxlan(outer)) if outer.udp_offset == 62));
}

#[test]
fn what_is_not_vxlan_goes_its_way() {
    assert!(matches!(of(&v4_with(&[(37, 0xb6)])), Ok(Arrival::Ipv4(ip)) if ip.protocol == 17), "another port");
    let tcp = [(23, 6), (46, 0x50)];
    assert!(matches!(of(&v4_with(&tcp)), Ok(Arrival::Ipv4(ip)) if ip.protocol == 6 && ip.l4_offset == 34));
    assert_eq!(of(&v4_with(&[(33, 9)])), Ok(Arrival::Other), "another address");
    assert!(matches!(of(&v6_with(&[(57, 0xb6)])), Ok(Arrival::Ipv6(_))));
    assert_eq!(of(&v6_with(&[(53, 9)])), Ok(Arrival::Other));
    assert_eq!(of(&v4_with(&[(12, 0x81), (13, 0x00)])), Ok(Arrival::Other), "tagged");
    assert_eq!(of(&v4_with(&[(13, 0x06)])), Ok(Arrival::Arp));
    for kind in [135, 136] {
        assert!(matches!(of(&v6_with(&[(20, 58), (54, kind)])), Ok(Arrival::Nd(ip)) if ip.l4_offset == 54));
        let group = [(20, 58), (54, kind), (38, 0xff), (39, 0x02)];
        assert!(matches!(of(&v6_with(&group)), Ok(Arrival::Nd(_))), "to a group");
    }
    assert!(matches!(of(&v6_with(&[(20, 58), (54, 128)])), Ok(Arrival::Ipv6(_))), "an echo request");
    assert_eq!(of(&v6_with(&[(20, 58), (54, 128), (38, 0xff), (39, 0x02)])), Ok(Arrival::Other));
}

#[test]
fn tcp_whose_header_is_not_there_is_refused() {
    // The data offset is below 20 octets, or beyond the packet; a later fragment has none.
    assert_eq!(of(&v4_with(&[(23, 6), (46, 0x40)])), Err(DropReason::TcpMalformed));
    assert_eq!(of(&v4_with(&[(23, 6), (46, 0x50), (16, 0), (17, 39)])), Err(DropReason::TcpMalformed));
    assert_eq!(of(&v4_with(&[(23, 6), (46, 0xf0), (16, 0), (17, 79)])), Err(DropReason::TcpMalformed));
    assert!(matches!(of(&v4_with(&[(23, 6), (46, 0xf0), (16, 0), (17, 80)])), Ok(Arrival::Ipv4(_))));
    assert!(matches!(of(&v4_with(&[(23, 6), (46, 0), (21, 1)])), Ok(Arrival::Ipv4(ip)) if !ip.first));
    assert_eq!(of(&v6_with(&[(20, 6), (66, 0)])), Err(DropReason::TcpMalformed));
    assert!(matches!(of(&v6_with(&[(20, 6), (66, 0x50)])), Ok(Arrival::Ipv6(_))));
}

#[test]
fn local_addresses_are_few_unicast_and_all_found() {
    let v4 = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
    let v6 = |n: u128| IpAddr::V6(Ipv6Addr::from_bits((0xfd00_u128 << 112) + n));
    let mut all: Vec<IpAddr> = (0..16).map(v4).chain((0..16).map(v6)).collect();
    all.push(v4(3));
    let local = LocalAddresses::new(&all).unwrap();
    assert!(all.iter().all(|address| local.contains(*address)));
    assert!(!local.contains(v4(16)) && !local.contains(v6(16)));
    all.push(v4(16));
    assert_eq!(LocalAddresses::new(&all).unwrap_err(), LocalAddressesError::TooMany { family: "IPv4" });
    all.pop();
    all.push(v6(16));
    assert_eq!(LocalAddresses::new(&all).unwrap_err(), LocalAddressesError::TooMany { family: "IPv6" });
    for bad in ["0.0.0.0", "::", "224.0.0.1", "ff02::1"] {
        let bad: IpAddr = bad.parse().unwrap();
        assert_eq!(LocalAddresses::new(&[bad]).unwrap_err(), LocalAddressesError::NotUnicast(bad));
        assert!(!LocalAddresses::default().contains(bad));
    }
}
