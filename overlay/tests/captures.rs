//! Real traffic: every frame of every capture parses, and every checksum of a whole packet is right.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use overlay::packet::checksum::{finish_partial, verify_l4};
use overlay::packet::flow::flow_hash;
use overlay::packet::{Checksum, PacketBuf, VecBuf, layout};
use overlay::wire::checksum::{Sum, checksum};
use overlay::wire::ethernet::ethertype;
use overlay::wire::{
    ArpPacket, Icmpv4Header, Icmpv6Header, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader, VxlanHeader, nd, protocol,
    vxlan,
};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;

/// What was found, by name: the test says how many of each there are, so that a parser that gives up early is seen.
type Found = BTreeMap<String, usize>;

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcap"))
        .collect();
    files.sort();
    files
}

/// Each packet of the file and where its network header is to be looked for: `None` behind Ethernet, else the EtherType of
/// what follows PPP's four octets.
fn packets(path: &Path) -> Vec<(Option<u16>, Vec<u8>)> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let link = reader.header().datalink;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        assert_eq!(packet.orig_len as usize, packet.data.len(), "{}: a cut packet", path.display());
        let behind_ppp = match link {
            DataLink::ETHERNET => None,
            DataLink::PPP => match packet.data[..4] {
                [0xff, 0x03, 0x00, 0x21] => Some(ethertype::IPV4),
                [0xff, 0x03, 0x02, 0x81] => Some(ethertype::MPLS),
                ref other => panic!("{}: PPP header {other:02x?}", path.display()),
            },
            other => panic!("{}: link type {other:?}", path.display()),
        };
        packets.push((behind_ppp, packet.data.into_owned()));
    }
    assert!(!packets.is_empty(), "{}", path.display());
    packets
}

fn count(found: &mut Found, what: &str) {
    *found.entry(what.to_owned()).or_default() += 1;
}

/// Parses a frame down to what weir knows, and frames within it.
fn dissect(frame: &[u8], found: &mut Found) {
    let layout = layout::ethernet(frame).unwrap();
    assert_ne!(flow_hash(frame, layout.ethertype, usize::from(layout.l3_offset)), 0);
    dissect_l3(frame, layout.ethertype, layout.l3_offset, found);
}

fn dissect_l3(frame: &[u8], ethertype: u16, l3_offset: u16, found: &mut Found) {
    let l3 = &frame[usize::from(l3_offset)..];
    match ethertype {
        ethertype::ARP => {
            let (arp, _) = ArpPacket::parse(l3).unwrap();
            count(found, if arp.operation() == 1 { "ARP request" } else { "ARP reply" });
        }
        ethertype::IPV4 => {
            let packet = Ipv4Header::parse(l3).unwrap();
            let header_octets = packet.header.header_octets();
            assert_eq!(checksum(&l3[..header_octets]), 0);
            count(found, "IPv4");
            dissect_ip(frame, &layout::ipv4(frame, l3_offset, frame.len()).unwrap(), packet.payload, found);
        }
        ethertype::IPV6 => {
            let packet = Ipv6Header::parse(l3).unwrap();
            count(found, "IPv6");
            let ip = layout::ipv6(frame, l3_offset, frame.len()).unwrap();
            if ip.protocol == protocol::ICMPV6 {
                dissect_icmpv6(packet.header, packet.payload, found);
            }
            dissect_ip(frame, &ip, packet.payload, found);
        }
        other => count(found, &format!("EtherType {other:#06x}")),
    }
}

fn dissect_ip(frame: &[u8], ip: &overlay::packet::IpLayout, payload: &[u8], found: &mut Found) {
    assert!(!ip.fragment);
    assert_eq!(&frame[usize::from(ip.l4_offset)..ip.end()], payload, "layout and wire disagree");
    let whole = VecBuf::from_octets(frame);
    assert!(verify_l4(&whole, ip), "wrong checksum: {ip:?}");
    let middle = usize::from(ip.l4_offset) + payload.len() / 2;
    let split = VecBuf::with_segments(&[&frame[..middle], &[], &frame[middle..]]);
    assert!(verify_l4(&split, ip), "wrong checksum across segments: {ip:?}");
    match ip.protocol {
        protocol::UDP => {
            let (udp, data) = UdpHeader::parse(payload).unwrap();
            count(found, if udp.checksum() == 0 { "UDP without checksum" } else { "UDP" });
            if udp.destination_port() == vxlan::PORT {
                let (vxlan, inner) = VxlanHeader::parse(data).unwrap();
                count(found, &format!("VXLAN {}", vxlan.vni()));
                dissect(inner, found);
            }
        }
        protocol::TCP => {
            let tcp = TcpHeader::parse(payload).unwrap();
            count(found, "TCP");
            assert_eq!(tcp.header.header_octets() + tcp.data.len(), payload.len());
            recompute_tcp(frame, ip);
        }
        protocol::ICMP => {
            let (icmp, _) = Icmpv4Header::parse(payload).unwrap();
            count(found, if icmp.is_error() { "ICMP error" } else { "ICMP echo" });
        }
        protocol::ICMPV6 => count(found, "ICMPv6"),
        other => count(found, &format!("protocol {other}")),
    }
}

/// Takes a segment's checksum away, leaves the pseudo header's sum as a guest does, and lets it be finished.
fn recompute_tcp(frame: &[u8], ip: &overlay::packet::IpLayout) {
    let (header, _) = overlay::wire::view::<Ipv4Header>(
        &frame[usize::from(ip.l3_offset)..],
        overlay::reason::DropReason::Ipv4Truncated,
    )
    .unwrap();
    let field = usize::from(ip.l4_offset) + 16;
    let pseudo = Sum::pseudo_v4(header.source(), header.destination(), protocol::TCP, ip.payload_octets() as u16);
    let mut octets = frame[..ip.end()].to_vec();
    octets[field..field + 2].copy_from_slice(&pseudo.folded().to_be_bytes());
    let mut packet = VecBuf::from_octets(&octets);
    packet.meta_mut().checksum = Checksum::Partial;
    packet.meta_mut().checksum_start = ip.l4_offset;
    packet.meta_mut().checksum_offset = 16;
    finish_partial(&mut packet).unwrap();
    assert_eq!(packet.octets(), &frame[..ip.end()]);
}

fn dissect_icmpv6(ip: &Ipv6Header, message: &[u8], found: &mut Found) {
    let (icmp, _) = Icmpv6Header::parse(ip.source(), ip.destination(), message).unwrap();
    if let 133..=136 = icmp.kind() {
        let parsed = nd::parse(ip, message).unwrap();
        let nd::NdMessage::RouterAdvertisement { options, .. } = parsed else { return };
        count(found, "router advertisement");
        options.for_each(|option| match option {
            nd::NdOption::Prefix(_) => count(found, "prefix option"),
            nd::NdOption::SourceLinkLayer(_) => count(found, "source option"),
            nd::NdOption::Mtu(_) => count(found, "MTU option"),
            nd::NdOption::TargetLinkLayer(_) => count(found, "target option"),
            nd::NdOption::Other { kind, .. } => count(found, &format!("option {kind}")),
        });
    }
}

#[test]
fn every_frame_parses_and_every_checksum_is_right() {
    let mut all = Vec::new();
    for path in captures() {
        let mut found = Found::new();
        for (behind_ppp, frame) in packets(&path) {
            match behind_ppp {
                None => dissect(&frame, &mut found),
                Some(ethertype) => dissect_l3(&frame, ethertype, 4, &mut found),
            }
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let list: Vec<String> = found.iter().map(|(what, times)| format!("{what} {times}")).collect();
        all.push(format!("{name}: {}", list.join(", ")));
    }
    assert_eq!(all, include_str!("captures/found.txt").lines().collect::<Vec<_>>());
}

/// No frame, cut anywhere, makes anything panic; a cut within the headers has a reason.
#[test]
fn cut_frames_have_a_reason() {
    for path in captures() {
        for (behind_ppp, frame) in packets(&path) {
            let l3_offset = if behind_ppp.is_some() { 4 } else { layout::ethernet(&frame).unwrap().l3_offset };
            for length in 0..frame.len() {
                let cut = &frame[..length];
                if behind_ppp.is_none() {
                    assert_eq!(layout::ethernet(cut).is_err(), length < usize::from(l3_offset), "{length}");
                }
                if let Ok(ip) = layout::ip(cut, l3_offset, length) {
                    assert!(ip.end() <= length);
                    verify_l4(&VecBuf::from_octets(cut), &ip);
                }
                assert_ne!(flow_hash(cut, ethertype::IPV4, usize::from(l3_offset)), 0);
            }
        }
    }
}
