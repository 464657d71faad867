use super::*;
use crate::wire::protocol;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn addresses() -> (Ipv6Addr, Ipv6Addr) {
    ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap())
}

fn ip_between(source: Ipv6Addr, destination: Ipv6Addr) -> Ipv6Header {
    Ipv6Header::new(source, destination, protocol::ICMPV6, 32).with_hop_limit(HOP_LIMIT)
}

fn solicitation() -> (Ipv6Header, Vec<u8>) {
    let (source, target) = addresses();
    let destination = ipv6::solicited_node(target);
    let message = NeighbourMessage::solicitation(source, destination, target, MAC);
    (ip_between(source, destination), message.as_bytes().to_vec())
}

fn refused(ip: &Ipv6Header, message: &[u8]) -> bool {
    matches!(parse(ip, message), Err(DropReason::NdMalformed))
}

const GOLDEN: [u8; 32] = [
    0x87, 0x00, 0x7a, 0x97, 0, 0, 0, 0, // type 135
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, // target
    1, 1, 2, 0, 0, 0, 0, 1, // source link-layer address
];

#[test]
fn a_solicitation_in_golden_octets_both_ways() {
    let (ip, message) = solicitation();
    assert_eq!(message, GOLDEN);
    assert_eq!(icmpv6::sum(ip.source(), ip.destination(), &message).finish(), 0);
    let parsed = parse(&ip, &message).unwrap();
    assert_eq!(parsed.to_string(), "ND who has fe80::2?");
    let NdMessage::NeighbourSolicitation { target, options } = parsed else { panic!("{parsed}") };
    assert_eq!((target, options.source_link_layer()), (addresses().1, Some(MAC)));
    assert_eq!(options.target_link_layer(), None);
}

#[test]
fn an_advertisement_both_ways() {
    let (source, destination) = addresses();
    let ip = ip_between(source, destination);
    let message = NeighbourMessage::advertisement(source, destination, source, MAC, false, true);
    assert_eq!(icmpv6::sum(source, destination, message.as_bytes()).finish(), 0);
    assert_eq!(message.as_bytes()[4..8], [0x60, 0, 0, 0]);
    let parsed = parse(&ip, message.as_bytes()).unwrap();
    assert_eq!(parsed.to_string(), "ND fe80::1 is at 02:00:00:00:00:01");
    let NdMessage::NeighbourAdvertisement { target, router, solicited, overrides, options } = parsed else {
        panic!("{parsed}")
    };
    assert_eq!((target, router, solicited, overrides), (source, false, true, true));
    assert_eq!(options.target_link_layer(), Some(MAC));
    let group = ip_between(source, "ff02::1".parse().unwrap());
    assert!(refused(&group, message.as_bytes()), "solicited, and to a group");
    let router = NeighbourMessage::advertisement(source, destination, source, MAC, true, false);
    assert_eq!(router.as_bytes()[4], 0xa0);
    assert!(parse(&group, router.as_bytes()).is_ok());
}

/// RFC 4861 § 7.1.1: "The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have been forwarded
/// by a router."
#[test]
fn the_hop_limit_must_be_255() {
    let (ip, message) = solicitation();
    assert!(refused(&ip.with_hop_limit(254), &message));
    assert!(refused(&ip.with_hop_limit(0), &message));
}

/// RFC 4861 § 7.1.1: "ICMP Code is 0", "ICMP length (derived from the IP length) is 24 or more octets", "Target Address is
/// not a multicast address", "All included options have a length that is greater than zero".
#[test]
fn the_message_itself_is_checked() {
    let (ip, message) = solicitation();
    let changed = |offset: usize, value: u8| {
        let mut message = message.clone();
        message[offset] = value;
        message
    };
    assert!(refused(&ip, &changed(1, 1)), "code");
    assert!(refused(&ip, &message[..23]), "length");
    assert!(parse(&ip, &message[..24]).is_ok(), "without options");
    assert!(refused(&ip, &changed(8, 0xff)), "multicast target");
    assert!(refused(&ip, &changed(25, 0)), "option of length 0");
    assert!(refused(&ip, &changed(25, 2)), "option beyond the message");
    assert!(refused(&ip, &message[..25]), "half an option header");
    assert!(refused(&ip, &changed(0, kind::REDIRECT)), "another type");
    assert_eq!(parse(&ip, &message[..7]).map(drop), Err(DropReason::IcmpMalformed));
}

/// RFC 4861 § 7.1.1: "If the IP source address is the unspecified address, the IP destination address is a
/// solicited-node multicast address", and "there is no source link-layer address option in the message".
#[test]
fn a_probe_for_duplicates_names_no_sender() {
    let (ip, message) = solicitation();
    let probe = ip_between(Ipv6Addr::UNSPECIFIED, ip.destination());
    assert!(refused(&probe, &message), "names a MAC address");
    assert!(parse(&probe, &message[..24]).is_ok());
    assert!(refused(&ip_between(Ipv6Addr::UNSPECIFIED, addresses().1), &message[..24]), "to a unicast address");
}

#[test]
fn routers() {
    let (source, destination) = addresses();
    let ip = ip_between(source, destination);
    let mut advertisement = [134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 1, 0, 0, 0, 2].to_vec();
    advertisement.extend([5, 1, 0, 0, 0, 0, 0x05, 0xdc]);
    advertisement.extend([3, 4, 64, 0xc0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 0]);
    advertisement.extend("2001:db8::".parse::<Ipv6Addr>().unwrap().octets());
    advertisement.extend([200, 1, 0, 0, 0, 0, 0, 0]);
    let parsed = parse(&ip, &advertisement).unwrap();
    assert_eq!(parsed.to_string(), "ND router advertisement, lifetime 1800 s");
    let NdMessage::RouterAdvertisement { header, mut options } = parsed else { panic!("{parsed}") };
    assert_eq!((header.hop_limit(), header.reachable_millis(), header.retransmit_millis()), (64, 1, 2));
    assert_eq!(options.next(), Some(NdOption::Mtu(1500)));
    let Some(NdOption::Prefix(prefix)) = options.next() else { panic!("no prefix") };
    assert_eq!((prefix.prefix_bits(), prefix.on_link(), prefix.valid_secs()), (64, true, 9));
    assert_eq!(prefix.prefix(), "2001:db8::".parse::<Ipv6Addr>().unwrap());
    assert!(matches!(options.next(), Some(NdOption::Other { kind: 200, octets }) if octets.len() == 8));
    assert_eq!(options.next(), None);

    let global = ip_between("2001:db8::1".parse().unwrap(), destination);
    assert!(refused(&global, &advertisement), "RFC 4861 § 6.1.2: the source is a link-local address");
    assert!(refused(&ip, &advertisement[..15]));

    let solicitation = [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 1];
    assert_eq!(parse(&ip, &solicitation).unwrap().to_string(), "ND router solicitation");
    let unspecified = ip_between(Ipv6Addr::UNSPECIFIED, destination);
    assert!(refused(&unspecified, &solicitation) && parse(&unspecified, &solicitation[..8]).is_ok());
}
