//! Garbage that knows where it hurts: frames of all protocols, some right, some with one fault aimed at one check, some
//! with random damage.

pub(crate) mod frames;

use std::net::Ipv4Addr;

use frames::*;
use overlay::reason::DropReason;

use crate::common::files::Random;

/// Configured networks.
pub(crate) const BLUE: u32 = 100;
pub(crate) const RED: u32 = 200;

const STATION: [u8; 6] = [2, 0, 0, 0, 0, 0x10];
const BROADCAST: [u8; 6] = [0xff; 6];

fn noise(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most + 1)).map(|_| random.next() as u8).collect()
}

/// A station's address, from a set small enough that they meet.
fn station(random: &mut Random) -> [u8; 6] {
    [2, 0, 0, 0, 1, random.below(64) as u8]
}

/// A well formed frame as a container sends it.
pub(crate) fn from_container(random: &mut Random) -> Vec<u8> {
    let source = station(random);
    let to = match random.below(4) {
        0 => BROADCAST,
        1 => [1, 0, 0x5e, 0, 0, 1],
        _ => station(random),
    };
    let (near, far) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    let between = Some((near.into(), far.into()));
    let payload = noise(random, 200);
    let v4 = V4 { from: near, to: far, tos: random.next() as u8, fragment: 0 };
    match random.below(8) {
        0 => ethernet(BROADCAST, source, ARP, &arp(1, (source, near), far)),
        1 => ethernet(to, source, IPV4, &v4.packet(17, &udp(1000, 2000, &payload, between))),
        2 => ethernet(to, source, IPV4, &v4.packet(6, &tcp(5, &payload))),
        3 => ethernet(to, source, IPV4, &v4.packet(1, &echo_v4(&payload))),
        4 => ethernet(to, source, IPV6, &ipv6(PEER_V6, OURS_V6, 17, 64, &udp(1000, 2000, &payload, None))),
        5 => {
            let to = [0x33, 0x33, 0xff, 0, 0, 1];
            let message = icmpv6(PEER_V6, OURS_V6, solicitation(OURS_V6, source));
            ethernet(to, source, IPV6, &ipv6(PEER_V6, OURS_V6, 58, 255, &message))
        }
        6 => ethernet(to, source, random.next() as u16 | 0x0800, &payload),
        _ => tagged(ethernet(to, source, IPV4, &v4.packet(17, &udp(1, 2, &payload, None))), 10),
    }
}

/// An inner frame that a tunnel accepts.
fn inner(random: &mut Random) -> Vec<u8> {
    loop {
        let frame = from_container(random);
        if frame.get(12..14) != Some(&[0x81, 0]) {
            return frame;
        }
    }
}

/// VXLAN over IPv4, with everything that can be said of it.
fn tunnel_v4(ip: V4, flags: u8, vni: u32, inner: &[u8], summed: bool) -> Vec<u8> {
    let between = summed.then_some((ip.from.into(), ip.to.into()));
    to_us_v4(&ip.packet(17, &udp(50000, 4789, &vxlan(flags, vni, inner), between)))
}

fn to_us_v4(packet: &[u8]) -> Vec<u8> {
    ethernet(WEIR_MAC, PEER_MAC, IPV4, packet)
}

fn to_us_v6(next: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(WEIR_MAC, PEER_MAC, IPV6, &ipv6(PEER_V6, OURS_V6, next, 64, payload))
}

/// A well formed frame from the underlay.
pub(crate) fn from_underlay(random: &mut Random) -> Vec<u8> {
    let payload = noise(random, 200);
    let vni = random.pick(&[BLUE, RED]);
    match random.below(9) {
        0..=2 => tunnel_v4(V4::TO_US, 8, vni, &inner(random), random.below(2) == 0),
        3 => {
            let between = Some((PEER_V6.into(), OURS_V6.into()));
            to_us_v6(17, &udp(50000, 4789, &vxlan(8, vni, &inner(random)), between))
        }
        4 => ethernet(BROADCAST, PEER_MAC, ARP, &arp(1, (PEER_MAC, PEER_V4), OURS_V4)),
        5 => to_us_v4(&V4::TO_US.packet(1, &echo_v4(&payload))),
        6 => {
            let message = icmpv6(PEER_V6, OURS_V6, solicitation(OURS_V6, PEER_MAC));
            ethernet(WEIR_MAC, PEER_MAC, IPV6, &ipv6(PEER_V6, OURS_V6, 58, 255, &message))
        }
        7 => to_us_v4(&V4::TO_US.packet(6, &tcp(5, &payload))),
        _ => to_us_v4(&V4::TO_US.packet(17, &udp(53, 5353, &payload, None))),
    }
}

/// A frame with the one fault that `reason` is about; the flag says whether it is for the uplink or for a container port.
/// `None` for reasons that are not about a packet's octets.
pub(crate) fn aimed(reason: DropReason, random: &mut Random) -> Option<(bool, Vec<u8>)> {
    use DropReason as R;
    let inner = inner(random);
    let plain = || tunnel_v4(V4::TO_US, 8, BLUE, &inner, false);
    let cut = |mut frame: Vec<u8>, octets: usize| {
        frame.truncate(octets);
        frame
    };
    let set = |mut frame: Vec<u8>, at: usize, octet: u8| {
        frame[at] = octet;
        frame
    };
    let near = |frame| Some((false, frame));
    let frame = match reason {
        R::EthernetTruncated => {
            let frame = cut(plain(), 1 + random.below(13));
            return Some((random.below(2) == 0, frame));
        }
        R::SourceMacMulticast => return near(set(from_container(random), 6, 1 | random.next() as u8)),
        R::VlanTruncated => return near(cut(tagged(from_container(random), 10), 14 + random.below(4))),
        R::VlanUnknown => return near(tagged(from_container(random), 11 + random.below(4000) as u16)),
        R::ArpMalformed => {
            let request = ethernet(BROADCAST, PEER_MAC, ARP, &arp(1, (PEER_MAC, PEER_V4), OURS_V4));
            if random.below(2) == 0 {
                cut(request, 14 + random.below(28))
            } else {
                set(request, 14 + random.below(6), 9)
            }
        }
        R::Ipv4Truncated => cut(plain(), 14 + random.below(20)),
        R::Ipv4Version => set(plain(), 14, random.pick(&[0x05, 0x15, 0x55, 0x65, 0xf5])),
        R::Ipv4HeaderLength => set(plain(), 14, 0x40 + random.below(5) as u8),
        R::Ipv4TotalLength => {
            let mut packet = V4::TO_US.packet(17, &udp(50000, 4789, &vxlan(8, BLUE, &inner), None));
            let total =
                if random.below(2) == 0 { random.below(20) } else { packet.len() + 1 + random.below(9000) } as u16;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            sum_v4(&mut packet);
            to_us_v4(&packet)
        }
        R::Ipv4Checksum => set(plain(), 24 + random.below(2), random.next() as u8),
        R::Ipv6Truncated => cut(to_us_v6(17, &udp(50000, 4789, &vxlan(8, BLUE, &inner), None)), 14 + random.below(40)),
        R::Ipv6Version => {
            set(to_us_v6(17, &udp(50000, 4789, &inner, None)), 14, random.pick(&[0x00, 0x40, 0x50, 0x70, 0xf0]))
        }
        R::Ipv6PayloadLength => set(to_us_v6(17, &udp(50000, 4789, &inner, None)), 18, 0x40 + random.below(0x40) as u8),
        // A hop-by-hop header behind another one, or more headers than anybody sends.
        R::Ipv6Extension => {
            if random.below(2) == 0 {
                to_us_v6(60, &[0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0])
            } else {
                to_us_v6(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(20 + random.below(10)))
            }
        }
        R::UdpTruncated => to_us_v4(&V4::TO_US.packet(17, &udp(50000, 4789, &[], None)[..random.below(8)])),
        R::UdpLength => {
            let mut frame = plain();
            // Below the header's, or beyond the packet.
            let length = if random.below(2) == 0 { random.below(8) } else { frame.len() + random.below(9000) } as u16;
            frame[38..40].copy_from_slice(&length.to_be_bytes());
            frame
        }
        R::UdpChecksum => {
            let frame = tunnel_v4(V4::TO_US, 8, BLUE, &inner, true);
            let last = frame.len() - 1;
            let flipped = frame[last] ^ (1 << random.below(8));
            set(frame, last, flipped)
        }
        R::UdpZeroChecksum6 => to_us_v6(17, &udp(50000, 4789, &vxlan(8, BLUE, &inner), None)),
        R::TcpMalformed => match random.below(3) {
            0 => to_us_v4(&V4::TO_US.packet(6, &tcp(random.below(5) as u8, &inner))),
            1 => to_us_v4(&V4::TO_US.packet(6, &tcp(5, &[])[..random.below(20)])),
            _ => to_us_v6(6, &tcp(15, &[0; 30])),
        },
        R::IcmpMalformed => {
            let frame = to_us_v4(&V4::TO_US.packet(1, &echo_v4(&inner)));
            let flipped = frame[37] ^ (1 << random.below(8));
            set(frame, 37, flipped)
        }
        // RFC 4861 § 7.1.1: the hop limit must be 255.
        R::NdMalformed => {
            let message = icmpv6(PEER_V6, OURS_V6, solicitation(OURS_V6, PEER_MAC));
            let hop_limit = random.below(255) as u8;
            ethernet(WEIR_MAC, PEER_MAC, IPV6, &ipv6(PEER_V6, OURS_V6, 58, hop_limit, &message))
        }
        // Options that are longer than a buffer of the test's pool.
        R::HeaderSplit => {
            let words = 80 + random.below(40);
            let mut options = vec![17, (words - 1) as u8];
            options.resize(words * 8, 0);
            options.extend(udp(50000, 4789, &vxlan(8, BLUE, &inner), None));
            to_us_v6(60, &options)
        }
        R::UnderlayFragment => tunnel_v4(V4 { fragment: 0x2000, ..V4::TO_US }, 8, BLUE, &inner, false),
        R::VxlanTruncated => to_us_v4(&V4::TO_US.packet(17, &udp(50000, 4789, &[8; 7][..random.below(8)], None))),
        R::VxlanFlags => tunnel_v4(V4::TO_US, random.next() as u8 & !8, BLUE, &inner, false),
        R::VxlanVniUnknown => tunnel_v4(V4::TO_US, 8, 1000 + random.below(1 << 20) as u32, &inner, false),
        R::VxlanVtepUnknown => {
            let from = Ipv4Addr::new(198, 51, 100, 3 + random.below(250) as u8);
            tunnel_v4(V4 { from, ..V4::TO_US }, 8, BLUE, &inner, false)
        }
        R::VxlanInnerTruncated => tunnel_v4(V4::TO_US, 8, BLUE, &inner[..random.below(14)], false),
        R::VxlanInnerVlan => tunnel_v4(V4::TO_US, 8, BLUE, &tagged(inner, random.below(4096) as u16), false),
        // Congestion experienced outside, not ECN capable inside (RFC 6040 § 4.2).
        R::EcnIllegal => {
            let ip = V4 { from: Ipv4Addr::new(10, 0, 0, 1), to: Ipv4Addr::new(10, 0, 0, 2), tos: 0, fragment: 0 };
            let inner = ethernet(STATION, station(random), IPV4, &ip.packet(17, &udp(1, 2, &[], None)));
            tunnel_v4(V4 { tos: 3, ..V4::TO_US }, 8, BLUE, &inner, false)
        }
        _ => return None,
    };
    Some((true, frame))
}

/// Octets of fields that parsers trust: EtherType, lengths, versions, flags, protocols, ports.
const TENDER: &[usize] =
    &[12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 34, 36, 37, 38, 39, 40, 41, 42, 46, 47, 48, 54, 58, 59, 62, 66, 68];
const TENDER_VALUES: &[u8] =
    &[0x00, 0x01, 0x06, 0x08, 0x11, 0x3a, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0x81, 0x86, 0xa8, 0xdd, 0xff];

/// Damages a frame in one to four places.
pub(crate) fn mutate(mut frame: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        if frame.is_empty() {
            frame = noise(random, 100);
        }
        let at = random.below(frame.len());
        match random.below(8) {
            0 => frame.truncate(at + 1),
            1 => frame[at] ^= 1 << random.below(8),
            2 => frame[at] = random.next() as u8,
            3 | 4 => {
                let (at, value) = (random.pick(TENDER), random.pick(TENDER_VALUES));
                if let Some(octet) = frame.get_mut(at) {
                    *octet = value;
                }
            }
            5 if frame.len() >= 14 => frame = tagged(frame, random.next() as u16),
            6 => frame.extend(noise(random, 600)),
            _ => {
                // A piece twice.
                let piece: Vec<u8> = frame.iter().skip(at).take(40).copied().collect();
                frame.splice(at..at, piece);
            }
        }
        frame.truncate(1900);
    }
    if frame.is_empty() { vec![0] } else { frame }
}
