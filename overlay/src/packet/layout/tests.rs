use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::num::MacAddr;
use crate::wire::{EthernetHeader, VlanTag, protocol};

fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let header = EthernetHeader::new(MacAddr::BROADCAST, MacAddr([2, 0, 0, 0, 0, 1]), ethertype);
    [header.as_bytes(), payload].concat()
}

fn v4(payload_octets: u16) -> Vec<u8> {
    let header = Ipv4Header::new([192, 0, 2, 1].into(), [192, 0, 2, 2].into(), protocol::UDP, payload_octets);
    [header.with_tos(0xb9).as_bytes(), &vec![7; usize::from(payload_octets)]].concat()
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header::new(1.into(), 2.into(), next, payload.len() as u16).with_traffic_class(0xb9);
    [header.as_bytes(), payload].concat()
}

#[test]
fn untagged_tagged_and_priority_tagged() {
    let untagged = ethernet(&frame(ethertype::IPV4, &[])).unwrap();
    assert_eq!(untagged, EthernetLayout { ethertype: ethertype::IPV4, l3_offset: 14, vlan: None, priority: 0 });
    assert!(!untagged.is_tagged());
    for tpid in [ethertype::VLAN, ethertype::VLAN_SERVICE] {
        let tagged = ethernet(&frame(tpid, VlanTag::new(100, 5, ethertype::IPV6).as_bytes())).unwrap();
        assert_eq!(tagged, EthernetLayout { ethertype: ethertype::IPV6, l3_offset: 18, vlan: Some(100), priority: 5 });
    }
    let priority = ethernet(&frame(ethertype::VLAN, VlanTag::new(0, 5, ethertype::IPV6).as_bytes())).unwrap();
    assert_eq!((priority.vlan, priority.priority, priority.is_tagged()), (None, 5, true));
    let double = ethernet(&frame(ethertype::VLAN_SERVICE, VlanTag::new(1, 0, ethertype::VLAN).as_bytes())).unwrap();
    assert_eq!((double.ethertype, double.vlan), (ethertype::VLAN, Some(1)));
}

#[test]
fn short_frames_have_a_reason_at_each_length() {
    let octets = frame(ethertype::VLAN, VlanTag::new(1, 0, ethertype::IPV4).as_bytes());
    for length in 0..=octets.len() {
        let expected = match length {
            0..14 => Err(DropReason::EthernetTruncated),
            14..18 => Err(DropReason::VlanTruncated),
            _ => Ok(Some(1)),
        };
        assert_eq!(ethernet(&octets[..length]).map(|layout| layout.vlan), expected, "{length}");
    }
}

#[test]
fn ipv4_ends_before_the_padding() {
    let mut octets = frame(ethertype::IPV4, &v4(9));
    octets.resize(60, 0);
    let layout = ip(&octets, 14, octets.len()).unwrap();
    let expected = IpLayout {
        version: 4,
        protocol: protocol::UDP,
        tos: 0xb9,
        ttl: 64,
        fragment: false,
        first: true,
        l3_offset: 14,
        l4_offset: 34,
        payload_end: 43,
    };
    assert_eq!(layout, expected);
    assert_eq!((layout.payload_octets(), layout.end()), (9, 43));
    let of = |ethertype| ip_of(&octets, &EthernetLayout { ethertype, ..ethernet(&octets).unwrap() }, octets.len());
    assert_eq!(of(ethertype::IPV4), Some(Ok(expected)));
    assert_eq!(of(ethertype::IPV6), Some(Err(DropReason::Ipv6Version)));
    assert_eq!(of(ethertype::ARP), None);
}

#[test]
fn ipv6_extension_headers_are_passed_and_fragments_known() {
    let octets = frame(ethertype::IPV6, &v6(protocol::DESTINATION_OPTIONS, &[17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 3]));
    let layout = ip(&octets, 14, octets.len()).unwrap();
    assert_eq!((layout.version, layout.protocol, layout.tos, layout.ttl), (6, protocol::UDP, 0xb9, 64));
    assert_eq!((layout.l4_offset, layout.payload_end, layout.fragment, layout.first), (62, 65, false, true));
    let of = |offset: [u8; 2]| {
        let octets = frame(ethertype::IPV6, &v6(protocol::FRAGMENT, &[17, 0, offset[0], offset[1], 0, 0, 0, 1]));
        ip(&octets, 14, octets.len()).map(|layout| (layout.fragment, layout.first))
    };
    assert_eq!(of([0, 0]), Ok((false, true)), "atomic");
    assert_eq!(of([0, 1]), Ok((true, true)));
    assert_eq!(of([5, 0xa8]), Ok((true, false)));
}

#[test]
fn ipv4_fragments_are_known() {
    let of = |offset: u16, more: bool| {
        let mut header = Ipv4Header::new(1.into(), 2.into(), 17, 0);
        header.set_fragment(offset, more);
        let octets = frame(ethertype::IPV4, header.as_bytes());
        ip(&octets, 14, octets.len()).map(|layout| (layout.fragment, layout.first))
    };
    assert_eq!(of(0, false), Ok((false, true)));
    assert_eq!(of(0, true), Ok((true, true)));
    assert_eq!(of(1480, true), Ok((true, false)));
    assert_eq!(of(1480, false), Ok((true, false)));
}

/// A header that the first segment cuts is "split", not "truncated", when the packet goes on.
#[test]
fn a_split_header_is_not_a_truncated_one() {
    let four = frame(ethertype::IPV4, &v4(9));
    assert_eq!(ip(&four[..30], 14, four.len()), Err(DropReason::HeaderSplit));
    assert_eq!(ip(&four[..30], 14, 30), Err(DropReason::Ipv4Truncated));
    assert!(ip(&four[..34], 14, four.len()).is_ok(), "the payload is elsewhere");
    assert_eq!(ip(&four[..34], 14, 34), Err(DropReason::Ipv4TotalLength));
    let six = frame(ethertype::IPV6, &v6(protocol::ROUTING, &[17, 0, 1, 4, 0, 0, 0, 0]));
    assert_eq!(ip(&six[..50], 14, six.len()), Err(DropReason::HeaderSplit));
    assert_eq!(ip(&six[..58], 14, six.len()), Err(DropReason::HeaderSplit));
    assert_eq!(ip(&six[..50], 14, 50), Err(DropReason::Ipv6Truncated));
    let lying = frame(ethertype::IPV6, &v6(protocol::ROUTING, &[17, 9, 1, 4, 0, 0, 0, 0]));
    assert_eq!(ip(&lying, 14, lying.len()), Err(DropReason::Ipv6Truncated), "the chain leaves the packet");
}

proptest! {
    /// Noise, cuts and lengths that lie: a layout lies within the packet, or there is a reason.
    #[test]
    fn a_layout_lies_within_the_packet(
        noise in proptest::collection::vec(any::<u8>(), 0..100), version in 0_u8..3, l3_offset in 0_u16..40, extra in 0_usize..2000,
    ) {
        let mut head = noise;
        if let Some(first) = head.get_mut(usize::from(l3_offset)) {
            *first = [0x45, 0x46, 0x60][usize::from(version)];
        }
        let packet_octets = head.len() + extra;
        if let Ok(layout) = ip(&head, l3_offset, packet_octets) {
            prop_assert!(l3_offset < layout.l4_offset);
            prop_assert!(usize::from(layout.l4_offset) <= layout.end() && layout.end() <= packet_octets);
        }
        if let Ok(layout) = ethernet(&head) {
            prop_assert!(usize::from(layout.l3_offset) <= head.len());
            prop_assert!(layout.vlan.is_none_or(|vid| vid != 0 && vid < 4096));
        }
    }

    #[test]
    fn every_cut_of_a_good_packet_has_a_reason(payload in 0_u16..60, six: bool, cut in 0_usize..200) {
        let octets = if six { v6(protocol::UDP, &vec![0; usize::from(payload)]) } else { v4(payload) };
        let octets = frame(if six { ethertype::IPV6 } else { ethertype::IPV4 }, &octets);
        prop_assert!(ip(&octets, 14, octets.len()).is_ok());
        prop_assert!(cut >= octets.len() || ip(&octets[..cut], 14, cut).is_err());
    }
}
