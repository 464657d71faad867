use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::packet::{VecBuf, layout};
use crate::wire::{Icmpv4Header, Icmpv6Header, TcpHeader, UdpHeader};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Udp,
    Tcp,
    Icmp,
}

/// An IP packet whose transport checksum field holds `checksum(pseudo sum)`.
fn packet(six: bool, kind: Kind, data: &[u8], field: impl Fn(Sum) -> u16) -> (Vec<u8>, usize) {
    let (header, protocol, offset) = match kind {
        Kind::Udp => (UdpHeader::new(1, 2, data.len() as u16).as_bytes().to_vec(), protocol::UDP, udp::CHECKSUM_OFFSET),
        Kind::Tcp => (TcpHeader::new(1, 2, 3, 4, 0x10).as_bytes().to_vec(), protocol::TCP, tcp::CHECKSUM_OFFSET),
        Kind::Icmp if six => {
            (Icmpv6Header::echo_request(1, 2).as_bytes().to_vec(), protocol::ICMPV6, icmpv6::CHECKSUM_OFFSET)
        }
        Kind::Icmp => (Icmpv4Header::echo_request(1, 2).as_bytes().to_vec(), protocol::ICMP, icmpv4::CHECKSUM_OFFSET),
    };
    let mut transport = [&header, data].concat();
    let length = transport.len() as u16;
    let (ip, pseudo) = if six {
        let header = Ipv6Header::new(0xfe80_u128.into(), 7.into(), protocol, length);
        let pseudo = Sum::pseudo_v6(header.source(), header.destination(), protocol, u32::from(length));
        (header.as_bytes().to_vec(), pseudo)
    } else {
        let header = Ipv4Header::new(0xc000_0201.into(), 0x0a00_0001.into(), protocol, length);
        let pseudo = Sum::pseudo_v4(header.source(), header.destination(), protocol, length);
        (header.as_bytes().to_vec(), if kind == Kind::Icmp { Sum::new() } else { pseudo })
    };
    transport[offset..offset + 2].copy_from_slice(&field(pseudo).to_be_bytes());
    ([vec![0; 14], ip, transport].concat(), offset)
}

/// The packet cut into segments, the headers of Ethernet and IP in the first.
fn segmented(octets: &[u8], l4: usize, cuts: &[usize]) -> VecBuf {
    let mut places: Vec<usize> = cuts.iter().map(|cut| l4 + cut % (octets.len() - l4 + 1)).collect();
    places.extend([0, octets.len()]);
    places.sort_unstable();
    VecBuf::with_segments(&places.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect::<Vec<_>>())
}

fn ip(buf: &VecBuf) -> IpLayout {
    layout::ip(&buf.octets(), 14, buf.packet_octets()).unwrap()
}

fn partial(buf: &mut VecBuf, start: u16, offset: u16) {
    let meta = buf.meta_mut();
    (meta.checksum, meta.checksum_start, meta.checksum_offset) = (Checksum::Partial, start, offset);
}

proptest! {
    /// What a guest leaves undone is completed to what verification accepts, wherever segments end.
    #[test]
    fn a_finished_checksum_verifies(
        six: bool,
        kind in prop_oneof![Just(Kind::Udp), Just(Kind::Tcp), Just(Kind::Icmp)],
        data in proptest::collection::vec(any::<u8>(), 0..80),
        cuts in proptest::collection::vec(0_usize..120, 0..4),
        flip in any::<proptest::sample::Index>(),
    ) {
        let (octets, offset) = packet(six, kind, &data, Sum::folded);
        let l4 = if six { 54 } else { 34 };
        let mut buf = segmented(&octets, l4, &cuts);
        partial(&mut buf, l4 as u16, offset as u16);
        prop_assert_eq!(finish_partial(&mut buf), Ok(()));
        prop_assert_eq!(buf.meta().checksum, Checksum::Good);
        let layout = ip(&buf);
        prop_assert!(verify_l4(&buf, &layout));

        let done = buf.octets();
        prop_assert_eq!(&done[..l4 + offset], &octets[..l4 + offset], "nothing but the field changes");
        prop_assert_eq!(&done[l4 + offset + 2..], &octets[l4 + offset + 2..]);

        // One flipped bit anywhere in the transport is found, but for UDP's lengths, which change what is covered.
        let mut broken = done;
        let place = l4 + flip.index(broken.len() - l4);
        broken[place] ^= 0x10;
        let exempt = broken[l4 + 6..l4 + 8] == [0, 0] || (l4 + 4..l4 + 6).contains(&place);
        prop_assume!(kind != Kind::Udp || !exempt);
        prop_assert!(!verify_l4(&segmented(&broken, l4, &cuts), &layout));
    }

    #[test]
    fn offsets_outside_are_refused_and_change_nothing(start: u16, offset: u16, octets in proptest::collection::vec(any::<u8>(), 0..90)) {
        let mut buf = VecBuf::from_octets(&octets);
        partial(&mut buf, start, offset);
        let inside = usize::from(start) + usize::from(offset) + 2 <= octets.len();
        prop_assert_eq!(finish_partial(&mut buf).is_ok(), inside);
        if !inside {
            prop_assert_eq!(finish_partial(&mut buf), Err(DropReason::ChecksumOffsets));
            prop_assert_eq!(buf.octets(), octets);
            prop_assert_eq!(buf.meta().checksum, Checksum::Partial);
        }
    }
}

#[test]
fn only_a_partial_checksum_is_touched() {
    for state in [Checksum::Unknown, Checksum::Good, Checksum::Bad] {
        let mut buf = VecBuf::from_octets(&[1; 20]);
        buf.meta_mut().checksum = state;
        assert_eq!(finish_partial(&mut buf), Ok(()));
        assert_eq!((buf.octets(), buf.meta().checksum), (vec![1; 20], state));
    }
}

/// RFC 768: a computed zero is sent as all ones. TCP knows no such rule.
#[test]
fn a_zero_becomes_ones_for_udp_only() {
    for (offset, expected) in [(6, 0xff), (16, 0x00)] {
        let mut octets = [0; 20];
        octets[..2].copy_from_slice(&[0xff, 0xff]);
        let mut buf = VecBuf::from_octets(&octets);
        partial(&mut buf, 0, offset);
        assert_eq!(finish_partial(&mut buf), Ok(()));
        assert_eq!(buf.octets()[usize::from(offset)..][..2], [expected; 2]);
    }
}

/// RFC 8200 § 8.1: over IPv6 a UDP checksum of zero is to be discarded by default; over IPv4 it is "no checksum".
#[test]
fn udp_without_checksum() {
    for six in [false, true] {
        let (octets, _) = packet(six, Kind::Udp, b"data", |_| 0);
        let buf = VecBuf::from_octets(&octets);
        assert_eq!(verify_l4(&buf, &ip(&buf)), !six);
    }
}

#[test]
fn what_follows_the_ip_packet_is_not_summed() {
    let (mut octets, _) = packet(false, Kind::Tcp, b"data", Sum::folded);
    let mut buf = VecBuf::from_octets(&octets);
    partial(&mut buf, 34, 16);
    finish_partial(&mut buf).unwrap();
    octets = buf.octets();
    octets.extend([0xaa; 3]);
    let padded = VecBuf::from_octets(&octets);
    assert!(verify_l4(&padded, &ip(&padded)));
}

#[test]
fn impossible_lengths_do_not_pass_and_the_unknown_does() {
    let (mut octets, _) = packet(false, Kind::Udp, b"data", |_| 1);
    for length in [7, 13] {
        octets[39] = length;
        let buf = VecBuf::from_octets(&octets);
        assert!(!verify_l4(&buf, &ip(&buf)), "UDP length {length}");
    }
    let short = |protocol: u8| {
        let header = Ipv4Header::new(1.into(), 2.into(), protocol, 7);
        let buf = VecBuf::from_octets(&[&[0; 14][..], header.as_bytes(), &[0; 7]].concat());
        verify_l4(&buf, &ip(&buf))
    };
    for protocol in [protocol::UDP, protocol::TCP, protocol::ICMP] {
        assert!(!short(protocol), "{protocol}");
    }
    assert!(short(protocol::GRE));
    let mut fragment = Ipv4Header::new(1.into(), 2.into(), protocol::UDP, 7);
    fragment.set_fragment(8, false);
    let buf = VecBuf::from_octets(&[&[0; 14][..], fragment.as_bytes(), &[0; 7]].concat());
    assert!(verify_l4(&buf, &ip(&buf)), "a fragment cannot be verified");
}
