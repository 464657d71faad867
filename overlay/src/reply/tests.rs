//! Questions and answers against scapy's packets, and what is not answered.

use std::net::IpAddr;

use proptest::prelude::*;

use super::golden::*;
use super::*;
use crate::num::MacAddr;
use crate::packet::{Checksum, PacketBuf, VecBuf, layout};
use crate::reason::DropReason;

const ASKER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWNER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn packet(hex: &str) -> VecBuf {
    VecBuf::from_octets(&octets(hex))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn discovery(hex: &str) -> Discovery {
    Discovery::of(&packet(hex)).unwrap().unwrap()
}

/// Sets octets of a message and repairs its ICMPv6 checksum.
fn nd_with(hex: &str, changes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = octets(hex);
    for &(at, to) in changes {
        frame[at] = to;
    }
    frame[56..58].fill(0);
    let address = |at: usize| std::net::Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).unwrap());
    let sum = crate::wire::icmpv6::sum(address(22), address(38), &frame[54..]).finish();
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn fresh(write: impl FnOnce(&mut [u8; FRESH_OCTETS]) -> usize) -> Vec<u8> {
    let mut out = [0xa5; FRESH_OCTETS];
    let octets = write(&mut out);
    out[..octets].to_vec()
}

#[test]
fn fresh_messages_are_those_that_scapy_builds() {
    let (IpAddr::V4(a4), IpAddr::V4(b4)) = (ip("10.0.0.1"), ip("10.0.0.2")) else { unreachable!() };
    let (IpAddr::V6(a6), IpAddr::V6(b6)) = (ip("fd00::1"), ip("fd00::2")) else { unreachable!() };
    assert_eq!(fresh(|out| arp_request(out, ASKER, a4, b4, None)), octets(ARP_REQUEST));
    assert_eq!(fresh(|out| gratuitous_arp(out, ASKER, a4)), octets(ARP_ANNOUNCEMENT));
    assert_eq!(fresh(|out| neighbour_solicitation(out, ASKER, a6, b6, None)), octets(NS));
    assert_eq!(fresh(|out| unsolicited_advertisement(out, OWNER, b6, false)), octets(NA_TO_ALL));
    assert_eq!(fresh(|out| solicit(out, ASKER, a4.into(), b4.into(), None).unwrap()), octets(ARP_REQUEST));
    assert_eq!(fresh(|out| solicit(out, ASKER, a6.into(), b6.into(), None).unwrap()), octets(NS));
    assert_eq!(solicit(&mut [0; FRESH_OCTETS], ASKER, a6.into(), b4.into(), None), None);
    let mut unicast = octets(ARP_REQUEST);
    unicast[..6].copy_from_slice(&OWNER.0);
    assert_eq!(fresh(|out| arp_request(out, ASKER, a4, b4, Some(OWNER))), unicast);
    let unicast = fresh(|out| neighbour_solicitation(out, ASKER, a6, b6, Some(OWNER)));
    let said = Discovery::of(&VecBuf::from_octets(&unicast)).unwrap().unwrap();
    assert!(said.unicast && said.asks == Some(ip("fd00::2")) && said.claim == Some((ip("fd00::1"), ASKER)));
}

#[test]
fn questions_become_the_answers_that_scapy_builds() {
    for (question, expected) in [
        (ARP_REQUEST, ARP_REPLY),
        (ARP_PROBE, ARP_PROBE_REPLY),
        (NS, NA),
        (NS_UNICAST, NA),
        // RFC 4861 § 7.2.4: "If the source of the solicitation is the unspecified address, the node MUST set the
        // Solicited flag to zero and multicast the advertisement to the all-nodes address."
        (NS_PROBE, NA_TO_ALL),
    ] {
        for padding in [0, 18] {
            let mut padded = octets(question);
            padded.extend(std::iter::repeat_n(0, padding));
            let mut packet = VecBuf::from_octets(&padded);
            packet.meta_mut().checksum = Checksum::Unknown;
            let said = Discovery::of(&packet).unwrap().unwrap();
            answer(&mut packet, &said, OWNER, false).unwrap();
            assert_eq!(packet.octets(), octets(expected));
            assert_eq!(packet.meta().checksum, Checksum::Good);
        }
    }
}

#[test]
fn a_router_says_that_it_is_one() {
    let mut packet = packet(NS);
    answer(&mut packet, &discovery(NS), OWNER, true).unwrap();
    assert_eq!(packet.octets()[58], 0xe0);
}

#[test]
fn what_a_packet_says_is_understood() {
    let said = discovery(ARP_REQUEST);
    assert_eq!(said.claim, Some((ip("10.0.0.1"), ASKER)));
    assert_eq!((said.asks, said.unicast, said.is_probe()), (Some(ip("10.0.0.2")), false, false));
    let said = discovery(ARP_REPLY);
    assert_eq!((said.claim, said.asks, said.unicast), (Some((ip("10.0.0.2"), OWNER)), None, true));
    let said = discovery(ARP_PROBE);
    assert_eq!((said.claim, said.asks, said.is_probe()), (None, Some(ip("10.0.0.2")), true));
    assert!(discovery(ARP_ANNOUNCEMENT).is_announcement());
    let said = discovery(NS);
    assert_eq!((said.claim, said.asks), (Some((ip("fd00::1"), ASKER)), Some(ip("fd00::2"))));
    assert_eq!(discovery(NS_UNICAST).claim, None, "no option, no claim");
    assert!(discovery(NS_PROBE).is_probe());
    let said = discovery(NA);
    assert_eq!((said.claim, said.asks, said.is_probe()), (Some((ip("fd00::2"), OWNER)), None, false));
    assert!(said.overrides && discovery(ARP_REPLY).overrides && discovery(NS).overrides);
    assert_eq!(Discovery::of(&packet(ECHO_V4)), Ok(None));
    assert_eq!(Discovery::of(&packet(ECHO_V6)), Ok(None));
    let mut other = octets(ARP_REQUEST);
    other[21] = 3;
    assert_eq!(Discovery::of(&VecBuf::from_octets(&other)), Ok(None), "a RARP request");
}

#[test]
fn only_questions_to_all_are_answered_for_others() {
    assert_eq!(asked_for(&packet(ARP_REQUEST)), Some(ip("10.0.0.2")));
    assert_eq!(asked_for(&packet(NS)), Some(ip("fd00::2")));
    for silent in [ARP_REPLY, ARP_ANNOUNCEMENT, ARP_PROBE, NS_UNICAST, NS_PROBE, NA, ECHO_V4] {
        assert_eq!(asked_for(&packet(silent)), None, "{silent}");
    }
    let mut unicast = octets(ARP_REQUEST);
    unicast[..6].copy_from_slice(&OWNER.0);
    assert_eq!(asked_for(&VecBuf::from_octets(&unicast)), None);
    for (first, silent) in [(10, false), (127, true), (224, true), (0, true)] {
        let mut frame = octets(ARP_REQUEST);
        frame[41] = if first == 0 { 0 } else { 2 };
        frame[38] = first;
        assert_eq!(asked_for(&VecBuf::from_octets(&frame)).is_none(), silent);
    }
    for probe in [ARP_PROBE, NS_PROBE] {
        assert!(discovery(probe).is_answered_for(OWNER), "the address is another's: a conflict");
        assert!(!discovery(probe).is_answered_for(ASKER), "the address is the asker's own");
    }
}

#[test]
fn malformed_messages_are_refused_by_name() {
    let refused = |octets: &[u8]| Discovery::of(&VecBuf::from_octets(octets)).unwrap_err();
    let mut arp = octets(ARP_REQUEST);
    assert_eq!(refused(&arp[..41]), DropReason::ArpMalformed);
    let split = VecBuf::with_segments(&[&arp[..30], &arp[30..]]);
    assert_eq!(Discovery::of(&split), Err(DropReason::HeaderSplit));
    arp[18] = 7;
    assert_eq!(refused(&arp), DropReason::ArpMalformed);
    // RFC 4861 § 7.1.1: "The IP Hop Limit field has a value of 255".
    assert_eq!(refused(&nd_with(NS, &[(21, 254)])), DropReason::NdMalformed);
    assert_eq!(refused(&nd_with(NS, &[(55, 1)])), DropReason::NdMalformed);
    assert_eq!(refused(&nd_with(NS, &[(79, 0)])), DropReason::NdMalformed, "an option of length 0");
    assert_eq!(refused(&nd_with(NS, &[(62, 0xff)])), DropReason::NdMalformed, "a multicast target");
    // A group address is no station's, and answering it would make many packets of one.
    assert_eq!(refused(&nd_with(NS, &[(22, 0xff)])), DropReason::NdMalformed, "source address");
    assert_eq!(refused(&nd_with(NS, &[(80, 0x03)])), DropReason::NdMalformed, "source link-layer address");
    assert_eq!(refused(&nd_with(NA, &[(80, 0x03)])), DropReason::NdMalformed, "target link-layer address");
    for (at, to) in [(22, 0x03), (28, 224)] {
        let mut arp = octets(ARP_REQUEST);
        arp[at] = to;
        assert_eq!(refused(&arp), DropReason::ArpMalformed);
    }
    let mut spoiled = octets(NS);
    spoiled[56] ^= 1;
    assert_eq!(refused(&spoiled), DropReason::IcmpMalformed);
    let mut offloaded = VecBuf::from_octets(&spoiled);
    offloaded.meta_mut().checksum = Checksum::Partial;
    assert!(Discovery::of(&offloaded).unwrap().is_some());
    let frame = octets(NS);
    let split = VecBuf::with_segments(&[&frame[..80], &frame[80..]]);
    assert_eq!(Discovery::of(&split), Err(DropReason::HeaderSplit));
}

#[test]
fn an_answer_that_cannot_be_made_leaves_the_packet_alone() {
    let question = octets(NS_UNICAST);
    let mut tight = VecBuf::with_headroom(7, &[&question]);
    let said = Discovery::of(&tight).unwrap().unwrap();
    assert_eq!(answer(&mut tight, &said, OWNER, false), Err(DropReason::Headroom));
    assert_eq!(tight.octets(), question);
    let mut reply = packet(ARP_REPLY);
    let said = discovery(ARP_REPLY);
    assert_eq!(answer(&mut reply, &said, OWNER, false), Err(DropReason::NotForUs));
    assert_eq!(reply.octets(), octets(ARP_REPLY));
    let mut nobody = octets(ARP_REQUEST);
    nobody[38] = 224;
    let mut packet = VecBuf::from_octets(&nobody);
    let said = Discovery::of(&packet).unwrap().unwrap();
    assert_eq!(answer(&mut packet, &said, OWNER, false), Err(DropReason::NotForUs));
    assert_eq!(packet.octets(), nobody);
}

fn echo(octets: &[u8]) -> (Result<bool, DropReason>, Vec<u8>) {
    let mut packet = VecBuf::from_octets(octets);
    let layout = layout::ip(packet.head(), 14, octets.len()).unwrap();
    (echo_reply(&mut packet, &layout), packet.octets())
}

#[test]
fn echo_requests_become_the_replies_that_scapy_builds() {
    for (request, reply) in [(ECHO_V4, ECHO_V4_REPLY), (ECHO_V6, ECHO_V6_REPLY)] {
        let request = octets(request);
        assert_eq!(echo(&request), (Ok(true), octets(reply)));
        // The body may lie in further segments.
        let head = request.len() - 5;
        let mut packet = VecBuf::with_segments(&[&request[..head], &request[head..]]);
        let layout = layout::ip(packet.head(), 14, request.len()).unwrap();
        assert_eq!(echo_reply(&mut packet, &layout), Ok(true));
        assert_eq!(packet.octets(), octets(reply));
        assert_eq!(echo(&octets(reply)), (Ok(false), octets(reply)), "a reply is no request");
    }
}

#[test]
fn echo_requests_at_fault_are_refused_by_name() {
    let with = |hex: &str, at: usize, to: u8| {
        let mut frame = octets(hex);
        frame[at] = to;
        if frame[12] == 8 {
            frame[24..26].fill(0);
            let sum = crate::wire::checksum::checksum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        frame
    };
    for (frame, reason) in [
        (with(ECHO_V4, 37, 0), DropReason::IcmpMalformed),
        (with(ECHO_V6, 60, 9), DropReason::IcmpMalformed),
        (with(ECHO_V4, 26, 224), DropReason::IcmpMalformed),
        (with(ECHO_V4, 0, 0xff), DropReason::NotForUs),
        (with(ECHO_V6, 0, 0x33), DropReason::NotForUs),
        (with(ECHO_V4, 6, 3), DropReason::SourceMacMulticast),
        (with(ECHO_V4, 17, 27), DropReason::IcmpMalformed),
    ] {
        assert_eq!(echo(&frame), (Err(reason), frame));
    }
    // What is the host's: a fragment, options, another protocol.
    let fragment = with(ECHO_V4, 20, 0x20);
    assert_eq!(echo(&fragment), (Ok(false), fragment));
    let udp = with(ECHO_V4, 23, 17);
    assert_eq!(echo(&udp), (Ok(false), udp));
}

proptest! {
    #[test]
    fn noise_is_never_fatal(
        mut octets in prop::sample::select(vec![ARP_REQUEST, NS, NS_UNICAST, NS_PROBE, NA, ECHO_V4, ECHO_V6])
            .prop_map(octets),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(),
        head in any::<prop::sample::Index>(),
    ) {
        for (at, to) in noise {
            let at = at.index(octets.len());
            octets[at] = to;
        }
        let kept = &octets[..=keep.index(octets.len())];
        let (first, second) = kept.split_at(head.index(kept.len() + 1));
        let mut packet = VecBuf::with_segments(&[first, second]);
        packet.meta_mut().checksum = Checksum::Good;
        if let Ok(Some(said)) = Discovery::of(&packet)
            && answer(&mut packet, &said, OWNER, false).is_ok()
        {
            let answered = Discovery::of(&packet).unwrap().unwrap();
            prop_assert_eq!(answered.asks, None);
            prop_assert_eq!(answered.claim, said.asks.map(|address| (address, OWNER)));
        }
        let mut packet = VecBuf::with_segments(&[first, second]);
        packet.meta_mut().checksum = Checksum::Good;
        if let Ok(layout) = layout::ip(packet.head(), 14, packet.packet_octets()) {
            let _ = echo_reply(&mut packet, &layout);
        }
    }
}
