//! The careful way: options, extension headers, everything that is not VXLAN, and the reason when it is malformed.

use super::{Arrival, OuterUdp, UDP_OCTETS, UnderlayParams, VXLAN_OCTETS, halves};
use crate::packet::layout::{self, IpLayout};
use crate::reason::DropReason;
use crate::wire::ethernet::ethertype;
use crate::wire::{Ipv4Header, Ipv6Header, TcpHeader, UdpHeader, icmpv6, protocol, tcp, view};

/// See [`super::classify`].
#[inline(never)]
pub(super) fn classify(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> Result<Arrival, DropReason> {
    let Some([.., high, low]) = head.first_chunk::<14>() else {
        let truncated = packet_octets < super::ETHERNET_OCTETS;
        return Err(if truncated { DropReason::EthernetTruncated } else { DropReason::HeaderSplit });
    };
    let frame = Frame { head, packet_octets, params };
    match u16::from_be_bytes([*high, *low]) {
        ethertype::IPV4 => frame.ipv4(),
        ethertype::IPV6 => frame.ipv6(),
        ethertype::ARP => Ok(Arrival::Arp),
        _ => Ok(Arrival::Other),
    }
}

#[derive(Clone, Copy)]
struct Frame<'a> {
    head: &'a [u8],
    packet_octets: usize,
    params: &'a UnderlayParams,
}

impl Frame<'_> {
    fn at(&self, offset: u16) -> &[u8] {
        self.head.get(usize::from(offset)..).unwrap_or_default()
    }

    fn ipv4(self) -> Result<Arrival, DropReason> {
        let ip = layout::ipv4(self.head, super::ETHERNET_OCTETS as u16, self.packet_octets)?;
        let (header, _) = view::<Ipv4Header>(self.at(ip.l3_offset), DropReason::HeaderSplit)?;
        if !self.params.local.contains_v4(header.destination().to_bits()) {
            return Ok(Arrival::Other);
        }
        Ok(self.transport(&ip, [0, u64::from(header.source().to_bits())])?.map_or(Arrival::Ipv4(ip), Arrival::Vxlan))
    }

    fn ipv6(self) -> Result<Arrival, DropReason> {
        let ip = layout::ipv6(self.head, super::ETHERNET_OCTETS as u16, self.packet_octets)?;
        let (header, _) = view::<Ipv6Header>(self.at(ip.l3_offset), DropReason::HeaderSplit)?;
        let destination = header.destination();
        let ours = self.params.local.contains_v6(destination.to_bits());
        if (ours || destination.is_multicast()) && ip.protocol == protocol::ICMPV6 && !ip.fragment {
            if ip.payload_octets() == 0 {
                return Err(DropReason::IcmpMalformed);
            }
            let kind = *self.at(ip.l4_offset).first().ok_or(DropReason::HeaderSplit)?;
            if matches!(kind, icmpv6::kind::NEIGHBOUR_SOLICITATION | icmpv6::kind::NEIGHBOUR_ADVERTISEMENT) {
                return Ok(Arrival::Nd(ip));
            }
        }
        if !ours {
            return Ok(Arrival::Other);
        }
        Ok(self.transport(&ip, halves(header.source().to_bits()))?.map_or(Arrival::Ipv6(ip), Arrival::Vxlan))
    }

    /// The VXLAN packet in this IP packet; `None` when it is something else that is well formed as far as its ports.
    fn transport(self, ip: &IpLayout, source: [u64; 2]) -> Result<Option<OuterUdp>, DropReason> {
        if ip.protocol == protocol::TCP && ip.first {
            return self.tcp(ip).map(|()| None);
        }
        self.udp(ip, source)
    }

    /// The host's own stack gets no segment whose header is not there. RFC 1858 asks the same of first
    /// fragments.
    fn tcp(self, ip: &IpLayout) -> Result<(), DropReason> {
        if ip.payload_octets() < tcp::HEADER_OCTETS {
            return Err(DropReason::TcpMalformed);
        }
        let (header, _) = view::<TcpHeader>(self.at(ip.l4_offset), DropReason::HeaderSplit)?;
        let octets = header.header_octets();
        if octets < tcp::HEADER_OCTETS || octets > ip.payload_octets() { Err(DropReason::TcpMalformed) } else { Ok(()) }
    }

    /// The VXLAN packet in this IP packet; `None` when it is something else.
    fn udp(self, ip: &IpLayout, source: [u64; 2]) -> Result<Option<OuterUdp>, DropReason> {
        if ip.protocol != protocol::UDP || !ip.first {
            return Ok(None);
        }
        let offset = usize::from(ip.l4_offset);
        if ip.payload_octets() < UDP_OCTETS {
            return Err(DropReason::UdpTruncated);
        }
        let (udp, payload) = view::<UdpHeader>(self.at(ip.l4_offset), DropReason::HeaderSplit)?;
        if udp.destination_port() != self.params.udp_port {
            return Ok(None);
        }
        if ip.fragment {
            return Err(DropReason::UnderlayFragment);
        }
        let udp_octets = usize::from(udp.length_octets());
        if udp_octets < UDP_OCTETS || udp_octets > ip.payload_octets() || offset + udp_octets > self.packet_octets {
            return Err(DropReason::UdpLength);
        }
        if udp_octets < UDP_OCTETS + VXLAN_OCTETS {
            return Err(DropReason::VxlanTruncated);
        }
        Ok(Some(OuterUdp {
            source,
            vxlan: u64::from_be_bytes(*payload.first_chunk().ok_or(DropReason::HeaderSplit)?),
            udp_offset: ip.l4_offset,
            udp_octets: udp.length_octets(),
            udp_checksum: udp.checksum(),
            traffic_class: ip.tos,
            ipv6: ip.version == 6,
        }))
    }
}
