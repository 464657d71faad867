//! Messages that nobody asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::num::MacAddr;
use crate::wire::ethernet::{ethertype, multicast_v6};
use crate::wire::nd::{self, NeighbourMessage};
use crate::wire::{ArpPacket, EthernetHeader, Ipv6Header, emit, ipv6, protocol};

/// Octets of the longest message: a neighbour solicitation with its option. An ARP frame is shorter, 42 octets; devices
/// pad it where the link asks for it.
pub const FRESH_OCTETS: usize = 14 + 40 + NeighbourMessage::OCTETS;
/// Octets of an ARP frame.
pub(super) const ARP_FRAME_OCTETS: usize = 42;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// "Who has `target`? Tell `ip`" (RFC 826), broadcast, or to one station to see whether it is still there (RFC 1122
/// § 2.3.2.1). Returns the octets written.
pub fn arp_request(
    out: &mut [u8; FRESH_OCTETS],
    mac: MacAddr,
    ip: Ipv4Addr,
    target: Ipv4Addr,
    unicast_to: Option<MacAddr>,
) -> usize {
    arp(out, unicast_to.unwrap_or(MacAddr::BROADCAST), mac, &ArpPacket::request(mac, ip, target))
}

/// "`ip` is at `mac`", to all (an ARP announcement, RFC 5227 § 3). Returns the octets written.
pub fn gratuitous_arp(out: &mut [u8; FRESH_OCTETS], mac: MacAddr, ip: Ipv4Addr) -> usize {
    arp(out, MacAddr::BROADCAST, mac, &ArpPacket::request(mac, ip, ip))
}

/// "Who has `target`? Tell `ip`" to the target's solicited-node group, or to one station (RFC 4861 § 7.2.2), with the
/// source link-layer address option. Returns the octets written.
pub fn neighbour_solicitation(
    out: &mut [u8; FRESH_OCTETS],
    mac: MacAddr,
    ip: Ipv6Addr,
    target: Ipv6Addr,
    unicast_to: Option<MacAddr>,
) -> usize {
    let group = ipv6::solicited_node(target);
    let (destination_mac, destination) = unicast_to.map_or((multicast_v6(group), group), |station| (station, target));
    let message = NeighbourMessage::solicitation(ip, destination, target, mac);
    neighbour(out, (destination_mac, mac), (destination, ip), &message)
}

/// "`ip` is at `mac`", to all nodes, replacing what they knew (RFC 4861 § 7.2.6). Returns the octets written.
pub fn unsolicited_advertisement(out: &mut [u8; FRESH_OCTETS], mac: MacAddr, ip: Ipv6Addr, router: bool) -> usize {
    advertisement(out, mac, ip, None, router)
}

/// [`arp_request`] or [`neighbour_solicitation`]; `None` when the addresses are of different families.
pub fn solicit(
    out: &mut [u8; FRESH_OCTETS],
    mac: MacAddr,
    ip: IpAddr,
    target: IpAddr,
    unicast_to: Option<MacAddr>,
) -> Option<usize> {
    match (ip, target) {
        (IpAddr::V4(ip), IpAddr::V4(target)) => Some(arp_request(out, mac, ip, target, unicast_to)),
        (IpAddr::V6(ip), IpAddr::V6(target)) => Some(neighbour_solicitation(out, mac, ip, target, unicast_to)),
        _ => None,
    }
}

/// "`target` is at `mac`", to the station that asked, or to all nodes.
pub(super) fn advertisement(
    out: &mut [u8; FRESH_OCTETS],
    mac: MacAddr,
    target: Ipv6Addr,
    asker: Option<(MacAddr, Ipv6Addr)>,
    router: bool,
) -> usize {
    let (destination_mac, destination) = asker.unwrap_or((multicast_v6(ALL_NODES), ALL_NODES));
    let message = NeighbourMessage::advertisement(target, destination, target, mac, router, asker.is_some());
    neighbour(out, (destination_mac, mac), (destination, target), &message)
}

pub(super) fn arp(out: &mut [u8; FRESH_OCTETS], destination: MacAddr, source: MacAddr, packet: &ArpPacket) -> usize {
    emit(&EthernetHeader::new(destination, source, ethertype::ARP), out).and_then(|rest| emit(packet, rest));
    ARP_FRAME_OCTETS
}

fn neighbour(
    out: &mut [u8; FRESH_OCTETS],
    (destination_mac, source_mac): (MacAddr, MacAddr),
    (destination, source): (Ipv6Addr, Ipv6Addr),
    message: &NeighbourMessage,
) -> usize {
    let ip = Ipv6Header::new(source, destination, protocol::ICMPV6, NeighbourMessage::OCTETS as u16)
        .with_hop_limit(nd::HOP_LIMIT);
    emit(&EthernetHeader::new(destination_mac, source_mac, ethertype::IPV6), out)
        .and_then(|rest| emit(&ip, rest))
        .and_then(|rest| emit(message, rest));
    FRESH_OCTETS
}
