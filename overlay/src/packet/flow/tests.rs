use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::num::MacAddr;
use crate::wire::{EthernetHeader, Ipv4Header, Ipv6Header};

fn frame(ethertype: u16, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let ethernet = EthernetHeader::new(MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]), ethertype);
    [ethernet.as_bytes(), header, payload].concat()
}

fn v4_hash(source: u32, protocol: u8, ports: u32) -> u32 {
    let header = Ipv4Header::new(source.into(), 0x0a00_0001.into(), protocol, 8);
    let payload = [ports.to_be_bytes(), [0; 4]].concat();
    flow_hash(&frame(ethertype::IPV4, header.as_bytes(), &payload), ethertype::IPV4, 14)
}

fn v6_hash(source: u128, label: u32, next: u8, ports: u32) -> u32 {
    let header = Ipv6Header::new(source.into(), 1.into(), next, 8).with_flow_label(label);
    let payload = [ports.to_be_bytes(), [0; 4]].concat();
    flow_hash(&frame(ethertype::IPV6, header.as_bytes(), &payload), ethertype::IPV6, 14)
}

/// Computed apart from this code, with Python's integers: a change of the hash re-shuffles flows over tunnels and
/// workers.
#[test]
fn known_hashes() {
    assert_eq!(v4_hash(0xc000_0201, protocol::UDP, 0x1234_5678), 0x8ec8_c1db);
    assert_eq!(v6_hash(0xfe80, 0, protocol::TCP, 0x1234_5678), 0xe7b0_84e3);
}

#[test]
fn ports_count_where_there_are_ports() {
    for protocol in [protocol::TCP, protocol::UDP, protocol::SCTP] {
        assert_ne!(v4_hash(1, protocol, 1), v4_hash(1, protocol, 2));
        assert_ne!(v6_hash(1, 0, protocol, 1), v6_hash(1, 0, protocol, 2));
    }
    for (four, six) in [(protocol::ICMP, protocol::ICMPV6), (protocol::GRE, protocol::GRE)] {
        assert_eq!(v4_hash(1, four, 1), v4_hash(1, four, 2));
        assert_eq!(v6_hash(1, 0, six, 1), v6_hash(1, 0, six, 2));
    }
    assert_ne!(v4_hash(1, protocol::TCP, 1), v4_hash(1, protocol::UDP, 1));
    assert_ne!(v6_hash(1, 0, protocol::TCP, 1), v6_hash(1, 0, protocol::UDP, 1));
}

#[test]
fn the_flow_label_counts_behind_extension_headers_only() {
    assert_eq!(v6_hash(1, 7, protocol::UDP, 1), v6_hash(1, 8, protocol::UDP, 1));
    assert_ne!(v6_hash(1, 7, protocol::FRAGMENT, 1), v6_hash(1, 8, protocol::FRAGMENT, 1));
    assert_eq!(v6_hash(1, 7, protocol::FRAGMENT, 1), v6_hash(1, 7, protocol::FRAGMENT, 2), "no ports in a fragment");
}

#[test]
fn all_fragments_of_a_packet_hash_alike() {
    let of = |offset: u16, more: bool, payload: [u8; 8]| {
        let mut header = Ipv4Header::new(1.into(), 2.into(), protocol::UDP, 8);
        header.set_fragment(offset, more);
        flow_hash(&frame(ethertype::IPV4, header.as_bytes(), &payload), ethertype::IPV4, 14)
    };
    let first = of(0, true, [1; 8]);
    assert_eq!(first, of(1480, true, [2; 8]));
    assert_eq!(first, of(2960, false, [3; 8]));
    assert_ne!(of(0, false, [1; 8]), of(0, false, [2; 8]));
}

#[test]
fn options_are_skipped() {
    let header = Ipv4Header::new(1.into(), 2.into(), protocol::UDP, 12);
    let mut with_options = header.as_bytes().to_vec();
    with_options[0] = 0x46;
    let of = |payload: &[u8]| flow_hash(&frame(ethertype::IPV4, &with_options, payload), ethertype::IPV4, 14);
    assert_eq!(of(&[1, 1, 1, 1, 5, 5, 5, 5]), of(&[0, 0, 0, 0, 5, 5, 5, 5]));
    assert_ne!(of(&[1, 1, 1, 1, 5, 5, 5, 5]), of(&[1, 1, 1, 1, 5, 5, 5, 6]));
}

#[test]
fn other_ethertypes_hash_their_mac_addresses() {
    let of = |ethertype: u16, octets: &[u8]| flow_hash(octets, ethertype, 14);
    let octets = frame(ethertype::ARP, &[1; 28], &[]);
    assert_eq!(of(ethertype::ARP, &octets), of(ethertype::ARP, &frame(ethertype::ARP, &[2; 28], &[])));
    assert_ne!(of(ethertype::ARP, &octets), of(ethertype::MPLS, &octets));
    for place in 0..12 {
        let mut other = octets.clone();
        other[place] ^= 1;
        assert_ne!(of(ethertype::ARP, &octets), of(ethertype::ARP, &other), "octet {place}");
    }
    assert_eq!(of(ethertype::IPV4, &octets[..33]), of(ethertype::IPV4, &octets[..14]), "a cut header is not read");
}

/// Neighbouring addresses and ports spread over 256 buckets of the top bits, and of the low bits, like chance would have it.
#[test]
fn high_and_low_bits_both_spread_neighbours() {
    for shift in [0, 24] {
        let mut buckets = [0_u32; 256];
        for address in 0..64 {
            for port in 0..256 {
                let hash = v4_hash(0x0a01_0000 + address, protocol::UDP, (0xc000 + port) << 16 | 0x50);
                buckets[(hash >> shift & 0xff) as usize] += 1;
            }
        }
        let chi_squared: f64 = buckets.iter().map(|&n| (f64::from(n) - 64.0).powi(2) / 64.0).sum();
        // 255 degrees of freedom: mean 255, standard deviation 22.6; the input is fixed, so this is no gamble.
        assert!(chi_squared < 370.0, "bits from {shift}: {chi_squared}");
    }
}

proptest! {
    #[test]
    fn never_zero_and_never_a_panic(
        head in proptest::collection::vec(any::<u8>(), 0..100), l3_offset in 0_usize..120,
        ethertype in prop_oneof![Just(ethertype::IPV4), Just(ethertype::IPV6), any::<u16>()],
    ) {
        prop_assert_ne!(flow_hash(&head, ethertype, l3_offset), 0);
    }

    #[test]
    fn what_a_tunnel_asks_is_what_the_careful_way_finds(
        mut head in proptest::collection::vec(any::<u8>(), 0..100),
        start in prop_oneof![Just([0x08, 0x00, 0x45]), Just([0x08, 0x00, 0x46]), Just([0x86, 0xdd, 0x6f]), any::<[u8; 3]>()],
        fragment in prop_oneof![Just([0x40, 0x00]), any::<[u8; 2]>()],
        protocol in prop_oneof![Just(6_u8), Just(17), Just(132), any::<u8>()],
    ) {
        if head.len() >= 24 {
            head[12..15].copy_from_slice(&start);
            head[20..22].copy_from_slice(&fragment);
            head[23] = protocol;
        }
        prop_assert_eq!(Inner::of(&head), Inner::of_any(&head));
    }

    #[test]
    fn entropy_ports_are_dynamic_and_come_from_the_top(hash: u32) {
        prop_assert!(entropy_port(hash) >= 49_152);
        prop_assert_eq!(entropy_port(hash) & 0x3fff, (hash >> 18) as u16);
    }
}
