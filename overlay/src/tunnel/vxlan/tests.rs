//! Push against scapy's packets, pop against push, and each reason for refusing.

use std::net::IpAddr;

use proptest::prelude::*;

use super::golden;
use super::*;
use crate::num::{MacAddr, NetworkId, PortId, TunnelId, Vni};
use crate::packet::flow::Inner;
use crate::packet::outer::{Arrival, LocalAddresses, OuterUdp, UnderlayParams, classify};
use crate::packet::{Checksum, Flags, Meta, PacketBuf, VecBuf};
use crate::reason::DropReason;
use crate::tunnel::outer::{Dscp, Outer};
use crate::wire::Ecn;
use crate::wire::checksum::{Sum, checksum};

const VNI: u32 = 0x0012_3456;
const FLOW_HASH: u32 = 0x1234_5678;
const SOURCE_MAC: MacAddr = MacAddr([2, 0xaa, 0, 0, 0, 1]);
const NEXT_HOP: MacAddr = MacAddr([2, 0xaa, 0, 0, 0, 2]);

fn octets(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn outer(ipv6: bool) -> Outer {
    let [local, remote] = if ipv6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
    Outer::new(local.parse().unwrap(), remote.parse().unwrap(), 4789).unwrap()
}

fn encap(outer: Outer) -> VxlanEncap {
    VxlanEncap::new(&VxlanParams { outer, source_mac: SOURCE_MAC })
}

fn push(outer: Outer, packet: &mut VecBuf) -> Result<(), DropReason> {
    encap(outer).towards(Vni::from_low_bits(VNI), NEXT_HOP, u32::MAX).push(packet, inner(packet, FLOW_HASH))
}

fn pushed(outer: Outer, inner: &[u8]) -> Vec<u8> {
    let mut packet = VecBuf::from_octets(inner);
    push(outer, &mut packet).unwrap();
    packet.octets()
}

/// The remote end's view: the addresses that we send to are its own.
fn underlay() -> UnderlayParams {
    let local = LocalAddresses::new(&[outer(false).remote, outer(true).remote]).unwrap();
    UnderlayParams { udp_port: 4789, local }
}

/// What the frame says of itself, but for the hash.
fn inner(packet: &VecBuf, flow_hash: u32) -> Inner {
    Inner { flow_hash, ..Inner::of(packet.head()) }
}

fn found(packet: &VecBuf) -> OuterUdp {
    match classify(packet.head(), packet.packet_octets(), &underlay()) {
        Ok(Arrival::Vxlan(outer)) => outer,
        other => panic!("not VXLAN: {other:?}"),
    }
}

fn popped(octets: &[u8], params: VxlanReceive) -> Result<VecBuf, DropReason> {
    let mut packet = VecBuf::from_octets(octets);
    let outer = found(&packet);
    pop(&mut packet, &outer, &params).map(|_| packet)
}

#[test]
fn pushing_gives_the_packets_that_scapy_gives() {
    let v4 = octets(golden::INNER_V4);
    let v6 = octets(golden::INNER_V6);
    let with_checksum = Outer { udp_checksum: true, ..outer(false) };
    let fixed = Outer { dscp: Dscp::Fixed(10), udp_checksum: false, ..outer(true) };
    assert_eq!(pushed(outer(false), &v4), octets(golden::OUTER_V4));
    assert_eq!(pushed(with_checksum, &v4), octets(golden::OUTER_V4_CHECKSUM));
    assert_eq!(pushed(outer(true), &v6), octets(golden::OUTER_V6));
    assert_eq!(pushed(fixed, &v6), octets(golden::OUTER_V6_FIXED));
    assert_eq!(encap(outer(false)).overhead_octets(), 50);
    assert_eq!(encap(outer(true)).overhead_octets(), 70);
}

#[test]
fn popping_gives_back_what_was_pushed_and_where_it_came_from() {
    for (hex, inner) in [
        (golden::OUTER_V4, golden::INNER_V4),
        (golden::OUTER_V4_CHECKSUM, golden::INNER_V4),
        (golden::OUTER_V6, golden::INNER_V6),
    ] {
        let mut packet = VecBuf::from_octets(&octets(hex));
        let outer = found(&packet);
        *packet.meta_mut() = Meta { flow_hash: 1, l3_offset: 14, ..Meta::received(PortId(3)) };
        let popped = pop(&mut packet, &outer, &VxlanReceive::default()).unwrap();
        assert_eq!(popped.vni.get(), VNI);
        let source: IpAddr = if hex == golden::OUTER_V6 { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
        assert_eq!(popped.source, source);
        assert_eq!(packet.octets(), octets(inner));
        let meta = packet.meta();
        assert_eq!((meta.ingress, meta.flow_hash, meta.l3_offset), (PortId(3), 0, 0));
        assert!(meta.flags.contains(Flags::FROM_TUNNEL));
    }
}

#[test]
fn the_dscp_policy_keeps_ecn_and_frames_without_ip_have_none() {
    let mut arp = octets(golden::INNER_V4);
    arp[13] = 0x06;
    assert_eq!(pushed(outer(false), &arp)[15], 0);
    assert_eq!(pushed(outer(false), &arp[..14])[15], 0, "nothing but an Ethernet header");
    let fixed = Outer { dscp: Dscp::Fixed(10), ..outer(false) };
    assert_eq!(pushed(fixed, &octets(golden::INNER_V4))[15], 10 << 2 | 0b10);
    let mut tagged = octets(golden::INNER_V4);
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    assert_eq!(pushed(outer(false), &tagged)[15], 0xba);
}

#[test]
fn a_push_without_room_changes_nothing() {
    let inner = octets(golden::INNER_V4);
    for (ipv6, headroom) in [(false, 49), (true, 69)] {
        let mut packet = VecBuf::with_headroom(headroom, &[&inner]);
        packet.meta_mut().l3_offset = 14;
        assert_eq!(push(outer(ipv6), &mut packet), Err(DropReason::Headroom));
        assert_eq!(packet.octets(), inner);
        assert_eq!(packet.meta().l3_offset, 14);
    }
}

#[test]
fn lengths_end_at_16_bits() {
    let most = usize::from(u16::MAX) - 36;
    assert!(pushed(outer(false), &vec![0; most]).len() == most + 50);
    let mut packet = VecBuf::from_octets(&vec![0; most + 1]);
    assert_eq!(push(outer(false), &mut packet), Err(DropReason::MtuExceeded));
    assert_eq!(packet.packet_octets(), most + 1);
}

#[test]
fn each_receive_check_refuses_by_its_name() {
    let strict = VxlanReceive::default();
    let good = octets(golden::OUTER_V4_CHECKSUM);
    let zero = octets(golden::OUTER_V4);
    let changed = |at: usize, to: u8| {
        let mut octets = zero.clone();
        octets[at] = to;
        octets
    };
    assert_eq!(popped(&changed(42, 0xf7), strict).unwrap_err(), DropReason::VxlanFlags);
    // RFC 7348 § 5: the other flags "MUST be set to zero on transmission and ignored on receipt".
    assert!(popped(&changed(42, 0xff), strict).is_ok());
    assert!(popped(&changed(49, 0xff), strict).is_ok(), "reserved octet after the VNI");
    let mut spoiled = good.clone();
    *spoiled.last_mut().unwrap() ^= 1;
    assert_eq!(popped(&spoiled, strict).unwrap_err(), DropReason::UdpChecksum);
    assert!(popped(&spoiled, VxlanReceive { verify_checksum: false, ..strict }).is_ok());

    let mut tagged = zero.clone();
    tagged[62..64].copy_from_slice(&[0x81, 0x00]);
    assert_eq!(popped(&tagged, strict).unwrap_err(), DropReason::VxlanInnerVlan);
    assert!(popped(&tagged, VxlanReceive { allow_inner_vlan: true, ..strict }).is_ok());

    let v6 = octets(golden::OUTER_V6_FIXED);
    assert_eq!(popped(&v6, strict).unwrap_err(), DropReason::UdpZeroChecksum6);
    assert!(popped(&v6, VxlanReceive { accept_zero_checksum_ipv6: true, ..strict }).is_ok());

    let short = pushed(outer(false), &[0; 13]);
    assert_eq!(popped(&short, strict).unwrap_err(), DropReason::VxlanInnerTruncated);
    assert!(popped(&pushed(outer(false), &[0; 14]), strict).is_ok());

    // The frame's first segment ends within the inner Ethernet header.
    let mut split = VecBuf::with_segments(&[&zero[..60], &zero[60..]]);
    let outer = found(&split);
    assert_eq!(pop(&mut split, &outer, &strict), Err(DropReason::HeaderSplit));
    assert_eq!(split.octets(), zero, "refused, not changed");
    // What `classify` saw is no longer there.
    let mut cut = VecBuf::from_octets(&zero[..80]);
    assert_eq!(pop(&mut cut, &outer, &strict), Err(DropReason::UdpLength));
}

#[test]
fn padding_behind_the_datagram_is_cut() {
    let inner = octets(golden::INNER_V4);
    let mut padded = octets(golden::OUTER_V4_CHECKSUM);
    padded.extend([0xee; 9]);
    assert_eq!(popped(&padded, VxlanReceive::default()).unwrap().octets(), inner);
}

#[test]
fn a_checksum_left_to_the_device_is_not_an_error() {
    let mut spoiled = octets(golden::OUTER_V4_CHECKSUM);
    spoiled[40] ^= 1;
    let mut packet = VecBuf::from_octets(&spoiled);
    let outer = found(&packet);
    packet.meta_mut().checksum = Checksum::Partial;
    packet.meta_mut().checksum_start = 34;
    packet.meta_mut().checksum_offset = 6;
    pop(&mut packet, &outer, &VxlanReceive::default()).unwrap();
    assert_eq!(packet.meta().checksum, Checksum::Unknown);

    // One that lies within the inner frame stays to be finished.
    let mut packet = VecBuf::from_octets(&octets(golden::OUTER_V4));
    packet.meta_mut().checksum = Checksum::Partial;
    packet.meta_mut().checksum_start = 84;
    pop(&mut packet, &found(&VecBuf::from_octets(&octets(golden::OUTER_V4))), &VxlanReceive::default()).unwrap();
    assert_eq!((packet.meta().checksum, packet.meta().checksum_start), (Checksum::Partial, 34));
}

/// All sixteen pairs of inner and outer field, for both inner families, with and without a tag.
#[test]
fn the_outer_ecn_field_reaches_the_inner_header() {
    let params = VxlanReceive { allow_inner_vlan: true, ..VxlanReceive::default() };
    for (inner_hex, tag) in [
        (golden::INNER_V4, &[][..]),
        (golden::INNER_V6, &[]),
        (golden::INNER_V4, &[0x81, 0, 0, 5]),
        (golden::INNER_V6, &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6]),
    ] {
        for inner_ecn in 0..4_u8 {
            for outer_ecn in 0..4_u8 {
                let mut inner = octets(inner_hex);
                let v4 = inner[12] == 0x08;
                set_ecn(&mut inner, inner_ecn);
                inner.splice(12..12, tag.iter().copied());
                let mut octets = pushed(outer(false), &inner);
                octets[15] = octets[15] & !3 | outer_ecn;
                let sum = {
                    octets[24..26].fill(0);
                    checksum(&octets[14..34])
                };
                octets[24..26].copy_from_slice(&sum.to_be_bytes());
                let expected =
                    crate::tunnel::ecn::decapsulate(Ecn::from_tos(inner_ecn), Ecn::from_tos(outer_ecn)).map(|ecn| {
                        let mut frame = inner.clone();
                        frame.drain(12..12 + tag.len());
                        set_ecn(&mut frame, ecn.bits());
                        assert!(!v4 || checksum(&frame[14..34]) == 0);
                        frame.splice(12..12, tag.iter().copied());
                        frame
                    });
                let got = popped(&octets, params);
                assert_eq!(got.map(|packet| packet.octets()), expected.ok_or(DropReason::EcnIllegal));
            }
        }
    }
}

fn set_ecn(frame: &mut [u8], ecn: u8) {
    if frame[12] == 0x08 {
        frame[15] = frame[15] & !3 | ecn;
        frame[24..26].fill(0);
        let sum = checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        frame[15] = frame[15] & !0x30 | ecn << 4;
    }
}

#[test]
fn congestion_is_not_lost_when_the_inner_header_is_out_of_reach() {
    let inner = octets(golden::INNER_V4);
    let mut packet = pushed(outer(false), &inner);
    packet[15] = 3;
    packet[24..26].fill(0);
    let sum = checksum(&packet[14..34]);
    packet[24..26].copy_from_slice(&sum.to_be_bytes());
    let mut split = VecBuf::with_segments(&[&packet[..70], &packet[70..]]);
    let found = found(&split);
    assert_eq!(pop(&mut split, &found, &VxlanReceive::default()), Err(DropReason::HeaderSplit));
}

/// The inner frame cut in up to three segments; the first holds its Ethernet and IP header.
fn segments(frame: &[u8], cuts: (usize, usize)) -> VecBuf {
    let first = (34 + cuts.0).min(frame.len());
    let second = (first + cuts.1).min(frame.len());
    VecBuf::with_segments(&[&frame[..first], &frame[first..second], &frame[second..]])
}

proptest! {
    #[test]
    fn push_and_pop_are_inverse(
        payload in prop::collection::vec(any::<u8>(), 20..400),
        (ipv6, udp_checksum, tos, vni, hash) in (any::<bool>(), any::<bool>(), any::<u8>(), any::<u32>(), any::<u32>()),
        fixed in prop::option::of(0..64_u8),
        cuts in (0..300_usize, 0..300_usize),
        padding in 0..8_usize,
    ) {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, tos];
        frame.extend(&payload);
        let vni = Vni::from_low_bits(vni);
        let dscp = fixed.map_or(Dscp::Copy, Dscp::Fixed);
        let outer = Outer { dscp, udp_checksum, ..outer(ipv6) };
        let mut packet = segments(&frame, cuts);
        let headers = inner(&packet, hash);
        encap(outer).towards(vni, NEXT_HOP, u32::MAX).push(&mut packet, headers).unwrap();
        let wire = packet.octets();
        prop_assert_eq!(wire.len(), frame.len() + encap(outer).overhead_octets());
        prop_assert!(ipv6 || checksum(&wire[14..34]) == 0);
        let dscp = fixed.map_or(tos & !3, |dscp| dscp << 2);
        let mut padded = wire.clone();
        padded.resize(wire.len() + padding, 0xee);
        let mut packet = segments(&padded, (cuts.0 + 70, cuts.1));
        let found = found(&packet);
        prop_assert_eq!(found.traffic_class, dscp | tos & 3);
        prop_assert_eq!(found.udp_checksum != 0, udp_checksum);
        let params = VxlanReceive { accept_zero_checksum_ipv6: true, ..VxlanReceive::default() };
        let popped = pop(&mut packet, &found, &params).unwrap();
        prop_assert_eq!(popped, Popped { vni, source: outer.local });
        prop_assert_eq!(packet.octets(), frame);
    }

    #[test]
    fn every_single_bit_is_covered_by_the_checksum(bit in 0..63 * 8_usize) {
        let mut spoiled = octets(golden::OUTER_V4_CHECKSUM);
        // From the UDP header on; its length and destination port are checked by `classify`.
        spoiled[34 + bit / 8] ^= 1 << (bit % 8);
        let packet = VecBuf::from_octets(&spoiled);
        if let Ok(Arrival::Vxlan(outer)) = classify(packet.head(), packet.packet_octets(), &underlay()) {
            let mut packet = packet;
            let refused = pop(&mut packet, &outer, &VxlanReceive::default());
            prop_assert!(matches!(refused, Err(DropReason::UdpChecksum | DropReason::VxlanFlags)), "{:?}", refused);
        }
    }

    #[test]
    fn noise_is_refused_or_popped_but_never_fatal(
        mut octets in prop::sample::select(vec![golden::OUTER_V4, golden::OUTER_V6, golden::OUTER_V4_CHECKSUM]).prop_map(octets),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
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
        let params = VxlanReceive { verify_checksum: false, accept_zero_checksum_ipv6: true, allow_inner_vlan: true };
        if let Ok(Arrival::Vxlan(outer)) = classify(packet.head(), packet.packet_octets(), &underlay()) {
            let before = packet.octets();
            if pop(&mut packet, &outer, &params).is_ok() {
                prop_assert!(packet.packet_octets() >= 14);
                prop_assert!(packet.packet_octets() + 50 <= before.len());
            }
        }
    }

    #[test]
    fn what_was_seen_lately_passes_all_checks(
        mut octets in prop::sample::select(vec![golden::OUTER_V4, golden::OUTER_V6, golden::OUTER_V4_CHECKSUM]).prop_map(octets),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        mend in any::<bool>(),
        padding in prop_oneof![3 => Just(0_usize), 1 => 0_usize..9],
    ) {
        let recent = recent();
        let whole = octets.len();
        octets.resize(whole + padding, 0);
        for (at, to) in noise {
            let at = at.index(octets.len());
            octets[at] = to;
        }
        if mend {
            let sum = Sum::new().with(&octets[14..24]).with(&octets[26..34]).finish();
            octets[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        let (mut plain, mut careful) = (VecBuf::from_octets(&octets), VecBuf::from_octets(&octets));
        if recent.find(&plain, PORT).is_some() {
            let Ok(Arrival::Vxlan(outer)) = classify(careful.head(), careful.packet_octets(), &underlay()) else {
                panic!("found, but not VXLAN to us: {octets:x?}");
            };
            prop_assert_eq!(outer.udp_offset, 34);
            prop_assert!(pop_recent(&mut plain));
            let source = "192.0.2.1".parse().unwrap();
            let popped = pop(&mut careful, &outer, &VxlanReceive { allow_inner_vlan: true, ..VxlanReceive::default() });
            prop_assert_eq!(popped, Ok(Popped { vni: Vni::from_low_bits(VNI), source }));
            prop_assert_eq!(format!("{:?}", plain.meta()), format!("{:?}", careful.meta()));
            prop_assert_eq!(plain.octets(), careful.octets());
        }
    }

    /// Each field of the outer headers that says where a packet belongs, or that it is unusual: none may be overlooked.
    #[test]
    fn what_may_differ_between_packets_does_and_nothing_else(at in 0..50_usize, to in any::<u8>()) {
        let mut octets = octets(golden::OUTER_V4);
        let before = octets[at];
        octets[at] = to;
        let sum = Sum::new().with(&octets[14..24]).with(&octets[26..34]).finish();
        octets[24..26].copy_from_slice(&sum.to_be_bytes());
        let changed = before ^ to;
        let free = match at {
            // Source MAC; identification, TTL; checksum, which was made right again; source port; reserved octets of VXLAN.
            6..=11 | 18 | 19 | 22 | 24 | 25 | 34 | 35 | 43..=45 | 49 => true,
            // TOS but for the bit of CE and ECT(1); DF and the reserved flag; VXLAN's reserved flags.
            15 => changed & 1 == 0,
            20 => changed.trailing_zeros() >= 6,
            42 => changed & 0x08 == 0,
            _ => changed == 0,
        };
        let found = recent().find(&VecBuf::from_octets(&octets), PORT);
        prop_assert_eq!(found, free.then_some((NetworkId(3), TunnelId(5))), "octet {}: {:#x} to {:#x}", at, before, to);
    }
}

const PORT: PortId = PortId(9);

/// Has seen the golden packet.
fn recent() -> RecentOuters {
    let mut recent = RecentOuters::default();
    recent.note(&octets(golden::OUTER_V4), PORT, NetworkId(3), TunnelId(5));
    recent
}

#[test]
fn what_was_seen_lately_is_found_until_it_is_forgotten() {
    let packet = VecBuf::from_octets(&octets(golden::OUTER_V4));
    let mut recent = recent();
    assert_eq!(RecentOuters::default().find(&packet, PORT), None);
    assert_eq!(recent.find(&packet, PORT), Some((NetworkId(3), TunnelId(5))));
    assert_eq!(recent.find(&packet, PortId(8)), None, "from another uplink");
    recent.forget();
    assert_eq!(recent.find(&packet, PORT), None);
    for unusual in [golden::OUTER_V6, golden::OUTER_V4_CHECKSUM] {
        let unusual = octets(unusual);
        recent.note(&unusual, PORT, NetworkId(3), TunnelId(5));
        assert_eq!(recent.find(&VecBuf::from_octets(&unusual), PORT), None);
    }
    let mut popped = packet;
    assert!(pop_recent(&mut popped));
    assert_eq!(popped.octets(), octets(golden::INNER_V4));
}
