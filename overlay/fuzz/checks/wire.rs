//! Every protocol of the registry on the same octets: a value or a reason, and what a value claims holds.

use overlay::reason::Origin;
use overlay::wire::checksum::checksum;
use overlay::wire::{
    ArpPacket, Ecn, EthernetHeader, Icmpv4Header, Icmpv6Header, Ipv4Header, Ipv6Header, PROTOCOLS, TcpHeader,
    UdpHeader, VlanTag, VxlanHeader, nd,
};

/// The fuzz target's and the regression test's one function.
pub(crate) fn run(octets: &[u8]) {
    for protocol in PROTOCOLS {
        match (protocol.parse_check)(octets) {
            Ok(()) => assert!(octets.len() >= protocol.header_octets_min, "{}", protocol.name),
            Err(reason) => assert!(matches!(reason.origin(), Origin::Parse | Origin::Decap), "{reason}"),
        }
    }
    ipv4(octets);
    ipv6(octets);
    texts(octets);
}

/// The parts add up, and setters keep the checksum as right as it was.
fn ipv4(octets: &[u8]) {
    let Ok(packet) = Ipv4Header::parse(octets) else { return };
    let parts = 20 + packet.options.len() + packet.payload.len();
    assert_eq!(parts, usize::from(packet.header.total_octets()));
    let mut header = *packet.header;
    header.set_ttl(header.ttl().wrapping_sub(1));
    header.set_ecn(Ecn::Ce);
    header.set_source(header.destination());
    header.set_identification(0xffff);
    header.set_fragment(header.identification(), header.more_fragments());
    let mut head = zerocopy_bytes(&header).to_vec();
    head.extend_from_slice(packet.options);
    assert_eq!(checksum(&head), 0, "{header}");
}

/// The walk ends inside, and neighbour discovery's options add up.
fn ipv6(octets: &[u8]) {
    let Ok(packet) = Ipv6Header::parse(octets) else { return };
    assert_eq!(packet.upper.offset + packet.payload.len(), packet.header.packet_octets());
    if let Ok(nd::NdMessage::NeighbourSolicitation { options, .. }) = nd::parse(packet.header, packet.payload) {
        let option_octets: usize = options
            .map(|option| match option {
                nd::NdOption::Prefix(_) => 32,
                nd::NdOption::Other { octets, .. } => octets.len(),
                _ => 8,
            })
            .sum();
        assert_eq!(option_octets, packet.payload.len() - nd::NEIGHBOUR_OCTETS);
    }
}

/// A header can be shown whatever it says.
fn texts(octets: &[u8]) {
    fn show<T: std::fmt::Display, R>(parsed: Result<(&T, R), overlay::reason::DropReason>) {
        assert!(parsed.map_or_else(|reason| reason.to_string(), |(header, _)| header.to_string()).len() > 3);
    }
    show(EthernetHeader::parse(octets));
    show(VlanTag::parse(octets));
    show(ArpPacket::parse(octets));
    show(Ipv4Header::parse(octets).map(|packet| (packet.header, ())));
    show(Ipv6Header::parse(octets).map(|packet| (packet.header, ())));
    show(Icmpv4Header::parse_header(octets));
    show(Icmpv6Header::parse_header(octets));
    show(UdpHeader::parse(octets));
    show(TcpHeader::parse(octets).map(|segment| (segment.header, ())));
    show(VxlanHeader::parse(octets));
}

/// The header's octets, written out.
fn zerocopy_bytes(header: &Ipv4Header) -> [u8; 20] {
    let mut octets = [0; 20];
    assert_eq!(overlay::wire::emit(header, &mut octets).map(|rest| rest.len()), Some(0));
    octets
}
