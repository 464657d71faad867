//! What holds for every protocol of the registry.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::num::{MacAddr, Vni};
use crate::reason::Origin;

/// A well-formed example of each protocol, by file.
fn example(file: &str) -> Vec<u8> {
    let (a, b) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let (c, d) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    match file {
        "ethernet" => EthernetHeader::new(mac, mac, ethernet::ethertype::ARP).as_bytes().to_vec(),
        "vlan" => VlanTag::new(1, 2, ethernet::ethertype::IPV4).as_bytes().to_vec(),
        "arp" => ArpPacket::request(mac, a, b).as_bytes().to_vec(),
        "ipv4" => Ipv4Header::new(a, b, protocol::UDP, 0).as_bytes().to_vec(),
        "ipv6" => Ipv6Header::new(c, d, protocol::UDP, 0).as_bytes().to_vec(),
        "icmpv4" => Icmpv4Header::echo_request(1, 2).with_checksum_over(&[]).as_bytes().to_vec(),
        "icmpv6" => Icmpv6Header::echo_request(1, 2).with_checksum_over(c, d, &[]).as_bytes().to_vec(),
        "nd" => [133, 0, 0, 0, 0, 0, 0, 0].to_vec(),
        "udp" => UdpHeader::new(1, 2, 0).as_bytes().to_vec(),
        "tcp" => TcpHeader::new(1, 2, 3, 4, 0).as_bytes().to_vec(),
        "vxlan" => VxlanHeader::new(Vni::from_low_bits(1)).as_bytes().to_vec(),
        other => panic!("add an example of {other} here"),
    }
}

/// Adding a file without its entry, or an entry without its file, fails here. `checksum` is arithmetic, no protocol.
#[test]
fn every_file_has_an_entry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|stem| !["mod", "tests", "checksum"].contains(&stem.as_str()))
        .collect();
    let entries: BTreeSet<String> = PROTOCOLS.iter().map(|protocol| protocol.file.to_owned()).collect();
    assert_eq!(files, entries);
    assert_eq!(PROTOCOLS.len(), entries.len(), "a file is entered twice");
}

/// The shortest header parses, and no part of it does.
#[test]
fn the_smallest_header_is_the_smallest_that_parses() {
    for protocol in PROTOCOLS {
        let octets = example(protocol.file);
        assert_eq!(octets.len(), protocol.header_octets_min, "{}", protocol.name);
        assert_eq!((protocol.parse_check)(&octets), Ok(()), "{}", protocol.name);
        for length in 0..octets.len() {
            let reason = (protocol.parse_check)(&octets[..length]).unwrap_err();
            assert!(matches!(reason.origin(), Origin::Parse | Origin::Decap), "{} {length}: {reason}", protocol.name);
        }
    }
}

/// A reason that a parser of `file` gives says so in its name, so that a counter leads to the protocol.
fn is_own_reason(file: &str, reason: DropReason) -> bool {
    let prefix = match file {
        "icmpv4" | "icmpv6" => "icmp",
        other => other,
    };
    reason.name().starts_with(prefix) || (file == "nd" && reason == DropReason::IcmpMalformed)
}

proptest! {
    #[test]
    fn noise_gives_a_value_or_a_reason(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        for protocol in PROTOCOLS {
            if let Err(reason) = (protocol.parse_check)(&octets) {
                prop_assert!(is_own_reason(protocol.file, reason), "{}: {}", protocol.name, reason);
            }
        }
    }

    /// One changed octet of a right header, and noise behind it, reaches further into the parsers than noise.
    #[test]
    fn a_changed_example_gives_a_value_or_a_reason(
        at in 0_usize..64, value: u8, tail in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        for protocol in PROTOCOLS {
            let mut octets = example(protocol.file);
            let length = octets.len();
            octets[at % length] = value;
            octets.extend_from_slice(&tail);
            if let Err(reason) = (protocol.parse_check)(&octets) {
                prop_assert!(is_own_reason(protocol.file, reason), "{}: {}", protocol.name, reason);
            }
        }
    }

    /// A header is its octets: any that are long enough come back as they were.
    #[test]
    fn a_header_is_its_octets(octets: [u8; 60]) {
        fn round_trip<T>(octets: &[u8]) -> bool
        where
            T: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned,
        {
            let (header, _) = view::<T>(octets, DropReason::Loop).unwrap();
            let mut out = [0; 60];
            let left = emit(header, &mut out).unwrap().len();
            out[..60 - left] == octets[..60 - left] && left + size_of::<T>() == 60
        }
        prop_assert!(round_trip::<EthernetHeader>(&octets));
        prop_assert!(round_trip::<VlanTag>(&octets));
        prop_assert!(round_trip::<ArpPacket>(&octets));
        prop_assert!(round_trip::<Ipv4Header>(&octets));
        prop_assert!(round_trip::<Ipv6Header>(&octets));
        prop_assert!(round_trip::<Icmpv4Header>(&octets));
        prop_assert!(round_trip::<Icmpv6Header>(&octets));
        prop_assert!(round_trip::<UdpHeader>(&octets));
        prop_assert!(round_trip::<TcpHeader>(&octets));
        prop_assert!(round_trip::<VxlanHeader>(&octets));
    }
}

#[test]
fn emit_writes_all_or_nothing() {
    let header = VlanTag::new(1, 0, 2);
    let mut short = [9; 3];
    assert!(emit(&header, &mut short).is_none());
    assert_eq!(short, [9; 3]);
    let mut long = [9; 6];
    assert_eq!(emit(&header, &mut long).map(|rest| rest.len()), Some(2));
    assert_eq!(long, [0, 1, 0, 2, 9, 9]);
}

/// RFC 3168 § 5, figure 1.
#[test]
fn ecn_code_points() {
    for (bits, name) in [(0b00, "Not-ECT"), (0b01, "ECT(1)"), (0b10, "ECT(0)"), (0b11, "CE")] {
        let ecn = Ecn::from_tos(0xfc | bits);
        assert_eq!((ecn.bits(), ecn.to_string()), (bits, name.to_owned()));
    }
}
