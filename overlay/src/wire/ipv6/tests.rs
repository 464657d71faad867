use proptest::prelude::*;

use super::*;

const GOLDEN: [u8; 40] = [
    0x6b, 0x8d, 0xbe, 0xef, 0x00, 0x04, 0x3b,
    0x40, // version, class 0xb8, label 0xdbeef, 4 octets, nothing follows
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

fn addresses() -> (Ipv6Addr, Ipv6Addr) {
    ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
}

/// A packet whose header is followed by `chain`, the first of which is of type `first`.
fn packet(first: u8, chain: &[u8]) -> Vec<u8> {
    let (source, destination) = addresses();
    let header = Ipv6Header::new(source, destination, first, chain.len() as u16);
    [header.as_bytes(), chain].concat()
}

fn upper(first: u8, chain: &[u8]) -> Result<UpperLayer, DropReason> {
    Ipv6Header::parse(&packet(first, chain)).map(|packet| packet.upper)
}

#[test]
fn golden_octets_both_ways() {
    let (source, destination) = addresses();
    let value = Ipv6Header::new(source, destination, protocol::NO_NEXT_HEADER, 4)
        .with_traffic_class(0xb8)
        .with_flow_label(0xd_beef);
    assert_eq!(value.as_bytes(), GOLDEN);
    let octets = [GOLDEN.as_slice(), b"datapadding"].concat();
    let parsed = Ipv6Header::parse(&octets).unwrap();
    assert_eq!(*parsed.header, value);
    assert_eq!(parsed.payload, b"data");
    assert_eq!((value.dscp(), value.ecn(), value.flow_label()), (46, Ecn::NotEct, 0xd_beef));
    assert_eq!(
        value.to_string(),
        "IPv6 2001:db8::1 > 2001:db8::2 next header 59 payload 4 hop limit 64 dscp 46 Not-ECT"
    );
}

#[test]
fn each_check_has_its_own_reason() {
    assert_eq!(Ipv6Header::parse(&GOLDEN[..39]).map(drop), Err(DropReason::Ipv6Truncated));
    assert_eq!(Ipv6Header::parse(&GOLDEN).map(drop), Err(DropReason::Ipv6PayloadLength));
    assert!(Ipv6Header::parse_header(&GOLDEN, 44).is_ok(), "the payload may be in further segments");
    let mut octets = GOLDEN;
    octets[0] = 0x4b;
    assert_eq!(Ipv6Header::parse(&octets).map(drop), Err(DropReason::Ipv6Version));
}

#[test]
fn all_kinds_of_extension_headers_are_passed() {
    let chain = [
        &[protocol::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0][..], // hop-by-hop, 8 octets
        &[protocol::ROUTING, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // destination options, 16 octets
        &[protocol::AH, 0, 0, 0, 0, 0, 0, 0],                      // routing, 8 octets
        &[protocol::FRAGMENT, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],    // authentication, 12 octets
        &[protocol::UDP, 0, 0x00, 0x01, 0xde, 0xad, 0xbe, 0xef],   // first fragment
        &[0; 8],
    ]
    .concat();
    let found = upper(protocol::HOP_BY_HOP, &chain).unwrap();
    assert_eq!((found.protocol, found.offset), (protocol::UDP, 40 + 8 + 16 + 8 + 12 + 8));
    let fragment = found.fragment.unwrap();
    assert_eq!(fragment, Fragment { offset_octets: 0, more: true, identification: 0xdead_beef });
    assert!(!fragment.is_atomic());
}

#[test]
fn the_walk_ends_behind_the_header_of_a_later_fragment() {
    let found = upper(protocol::FRAGMENT, &[protocol::DESTINATION_OPTIONS, 0, 0x05, 0xa8, 0, 0, 0, 1, 0xff]).unwrap();
    assert_eq!((found.protocol, found.offset), (protocol::DESTINATION_OPTIONS, 48));
    assert_eq!(found.fragment.map(|f| f.offset_octets), Some(1448));
}

/// RFC 6946: offset 0 and no more fragments is a whole packet.
#[test]
fn an_atomic_fragment_is_whole() {
    let found = upper(protocol::FRAGMENT, &[protocol::UDP, 0, 0, 0, 0, 0, 0, 1]).unwrap();
    assert!(found.fragment.is_some_and(Fragment::is_atomic));
}

/// RFC 8200 § 4.1: hop-by-hop options are "restricted to appear immediately after an IPv6 header only".
#[test]
fn hop_by_hop_options_come_first_or_not_at_all() {
    let options = [protocol::HOP_BY_HOP, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(upper(protocol::DESTINATION_OPTIONS, &[options, options].concat()), Err(DropReason::Ipv6Extension));
}

#[test]
fn long_cut_and_doubled_chains_are_refused() {
    let options = [protocol::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
    let last = [protocol::NO_NEXT_HEADER, 0, 1, 4, 0, 0, 0, 0];
    let chain = |length: usize| [vec![options; length - 1].concat(), last.to_vec()].concat();
    assert_eq!(
        upper(protocol::DESTINATION_OPTIONS, &chain(EXTENSIONS_MAX)).map(|u| u.offset),
        Ok(40 + 8 * EXTENSIONS_MAX)
    );
    assert_eq!(upper(protocol::DESTINATION_OPTIONS, &chain(EXTENSIONS_MAX + 1)), Err(DropReason::Ipv6Extension));
    let two = [protocol::FRAGMENT, 0, 0, 1, 0, 0, 0, 1, protocol::UDP, 0, 0, 1, 0, 0, 0, 1];
    assert_eq!(upper(protocol::FRAGMENT, &two), Err(DropReason::Ipv6Extension));
    assert_eq!(upper(protocol::ROUTING, &[protocol::UDP, 1, 0, 0, 0, 0, 0, 0]), Err(DropReason::Ipv6Truncated));
    for length in 0..8 {
        assert_eq!(upper(protocol::DESTINATION_OPTIONS, &last[..length]), Err(DropReason::Ipv6Truncated), "{length}");
    }
}

#[test]
fn solicited_node_address_of_rfc_4291() {
    let address: Ipv6Addr = "4037::1:800:200e:8c6c".parse().unwrap();
    assert_eq!(solicited_node(address), "ff02::1:ff0e:8c6c".parse::<Ipv6Addr>().unwrap());
}

proptest! {
    #[test]
    fn fields_do_not_spill(
        class: u8, label in 0_u32..1 << 20, next: u8, hops: u8, length: u16, ecn in 0_u8..4, ends: [u128; 2],
    ) {
        let mut value = Ipv6Header::new(0.into(), 0.into(), next, 0).with_flow_label(label | 0xfff0_0000);
        value.set_source(ends[0].into());
        value.set_destination(ends[1].into());
        value.set_hop_limit(hops);
        value.set_payload_octets(length);
        value.set_traffic_class(class);
        prop_assert_eq!(value.traffic_class(), class);
        value.set_ecn(Ecn::from_tos(ecn));
        prop_assert_eq!((value.version(), value.flow_label()), (6, label));
        prop_assert_eq!((value.dscp(), value.ecn().bits()), (class >> 2, ecn));
        prop_assert_eq!((value.next_header(), value.hop_limit(), value.payload_octets()), (next, hops, length));
        prop_assert_eq!((value.source().to_bits(), value.destination().to_bits()), (ends[0], ends[1]));
        prop_assert_eq!(Ipv6Header::parse_header(value.as_bytes(), 40 + usize::from(length)), Ok(&value));
    }

    /// Whatever the chain is, the walk ends within it.
    #[test]
    fn the_walk_stays_inside(first: u8, chain in proptest::collection::vec(prop_oneof![
        Just(protocol::HOP_BY_HOP), Just(protocol::ROUTING), Just(protocol::FRAGMENT), Just(protocol::AH), any::<u8>(),
    ], 0..120)) {
        let octets = packet(first, &chain);
        match walk(&octets) {
            Ok(found) => prop_assert!((40..=octets.len()).contains(&found.offset)),
            Err(reason) => {
                prop_assert!(matches!(reason, DropReason::Ipv6Truncated | DropReason::Ipv6Extension), "{}", reason);
            }
        }
    }
}
