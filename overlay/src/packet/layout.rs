//! Where the headers of a frame lie: run for every packet, so it looks at no more than it must.

use crate::reason::DropReason;
use crate::wire::ethernet::ethertype;
use crate::wire::{Ipv4Header, Ipv6Header, ethernet as eth, ipv4, ipv6, vlan};

/// Octets of an Ethernet header with one tag.
const TAGGED_OCTETS: usize = eth::HEADER_OCTETS + vlan::TAG_OCTETS;

/// What the first 18 octets of a frame say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EthernetLayout {
    /// EtherType behind the tag, if there is one; below [`ethertype::MIN`] it is an IEEE 802.2 length.
    pub ethertype: u16,
    /// Where the network header starts: 14, or 18 behind a tag.
    pub l3_offset: u16,
    /// The VLAN, 1..=4095; `None` when untagged or priority-tagged.
    pub vlan: Option<u16>,
    /// Priority code point of the tag, else 0.
    pub priority: u8,
}

impl EthernetLayout {
    /// Whether a tag is present, with or without a VLAN.
    #[inline]
    pub const fn is_tagged(&self) -> bool {
        self.l3_offset as usize != eth::HEADER_OCTETS
    }
}

/// The layout of the frame that starts with `head`.
///
/// One tag is looked at, customer (0x8100) or service (0x88a8); a further tag is the EtherType of what follows. A tag with
/// VID 0 says "no VLAN, but this priority" (IEEE 802.1Q § 6.9). [`DropReason::EthernetTruncated`] below 14 octets,
/// [`DropReason::VlanTruncated`] below 18 with a tag.
#[inline]
pub fn ethernet(head: &[u8]) -> Result<EthernetLayout, DropReason> {
    let Some(&[.., high, low]) = head.first_chunk::<{ eth::HEADER_OCTETS }>() else {
        return Err(DropReason::EthernetTruncated);
    };
    let ethertype = u16::from_be_bytes([high, low]);
    if !vlan::is_tpid(ethertype) {
        return Ok(EthernetLayout { ethertype, l3_offset: eth::HEADER_OCTETS as u16, vlan: None, priority: 0 });
    }
    let Some(&[.., control_high, control_low, high, low]) = head.first_chunk::<TAGGED_OCTETS>() else {
        return Err(DropReason::VlanTruncated);
    };
    let control = u16::from_be_bytes([control_high, control_low]);
    let vid = control & 0x0fff;
    Ok(EthernetLayout {
        ethertype: u16::from_be_bytes([high, low]),
        l3_offset: TAGGED_OCTETS as u16,
        vlan: if vid == vlan::VID_PRIORITY { None } else { Some(vid) },
        priority: (control >> 13) as u8,
    })
}

/// What the network header says. Offsets are octets from the start of the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpLayout {
    /// 4 or 6.
    pub version: u8,
    /// The payload's protocol, behind extension headers: see [`crate::wire::protocol`].
    pub protocol: u8,
    /// The whole TOS or traffic class octet.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// This is a part of a packet (an IPv6 "atomic fragment" is not, RFC 6946).
    pub fragment: bool,
    /// The protocol's header is here: no fragment, or the first one.
    pub first: bool,
    /// Where the IP header starts.
    pub l3_offset: u16,
    /// Where the protocol's header starts.
    pub l4_offset: u16,
    /// Where the IP packet ends; what follows is the frame's padding. May be beyond the first segment.
    pub payload_end: u32,
}

impl IpLayout {
    /// Octets of the protocol's header and data.
    #[inline]
    pub const fn payload_octets(&self) -> usize {
        (self.payload_end as usize).saturating_sub(self.l4_offset as usize)
    }

    /// Where the IP packet ends, as an index.
    #[inline]
    pub const fn end(&self) -> usize {
        self.payload_end as usize
    }
}

/// The layout of the IP packet at `l3_offset` of a frame of `packet_octets`, of which `head` is the first segment. For
/// packets that weir itself receives: it makes all checks of the header (RFC 1812 § 5.2.2, RFC 8200). The version is
/// taken from the header; where an EtherType says it, use [`ipv4()`] or [`ipv6()`].
///
/// Errors are those of [`Ipv4Header::parse_header`] and [`ipv6::walk`], or [`DropReason::HeaderSplit`] when the headers
/// reach beyond the first segment of a longer packet.
#[inline]
pub fn ip(head: &[u8], l3_offset: u16, packet_octets: usize) -> Result<IpLayout, DropReason> {
    match head.get(usize::from(l3_offset)) {
        Some(first) if first >> 4 == 6 => ipv6(head, l3_offset, packet_octets),
        _ => ipv4(head, l3_offset, packet_octets),
    }
}

/// [`ip`] for what an EtherType says is IPv4 or IPv6; for another EtherType, `None`.
#[inline]
pub fn ip_of(head: &[u8], ethernet: &EthernetLayout, packet_octets: usize) -> Option<Result<IpLayout, DropReason>> {
    match ethernet.ethertype {
        ethertype::IPV4 => Some(ipv4(head, ethernet.l3_offset, packet_octets)),
        ethertype::IPV6 => Some(ipv6(head, ethernet.l3_offset, packet_octets)),
        _ => None,
    }
}

/// [`ip`] for a packet that must be IPv4.
#[inline]
pub fn ipv4(head: &[u8], l3_offset: u16, packet_octets: usize) -> Result<IpLayout, DropReason> {
    let start = usize::from(l3_offset);
    let octets = head.get(start..).unwrap_or_default();
    let header = Ipv4Header::parse_header(octets, packet_octets.saturating_sub(start))
        .map_err(|reason| split(reason, DropReason::Ipv4Truncated, head, packet_octets, start + ipv4::HEADER_OCTETS))?;
    Ok(IpLayout {
        version: 4,
        protocol: header.protocol(),
        tos: header.tos(),
        ttl: header.ttl(),
        fragment: header.is_fragment(),
        first: header.fragment_offset_octets() == 0,
        l3_offset,
        // At most 60 octets further: an offset that does not fit cannot have passed the length checks of a frame
        // below 64 KiB, and saturates in a longer one.
        l4_offset: l3_offset.saturating_add(header.header_octets() as u16),
        payload_end: u32::from(l3_offset) + u32::from(header.total_octets()),
    })
}

/// [`ip`] for a packet that must be IPv6.
#[inline]
pub fn ipv6(head: &[u8], l3_offset: u16, packet_octets: usize) -> Result<IpLayout, DropReason> {
    let start = usize::from(l3_offset);
    let octets = head.get(start..).unwrap_or_default();
    let header = Ipv6Header::parse_header(octets, packet_octets.saturating_sub(start))
        .map_err(|reason| split(reason, DropReason::Ipv6Truncated, head, packet_octets, start + ipv6::HEADER_OCTETS))?;
    let end = start + header.packet_octets();
    let upper = ipv6::walk(octets.get(..header.packet_octets()).unwrap_or(octets))
        .map_err(|reason| split(reason, DropReason::Ipv6Truncated, head, end, end))?;
    let fragment = upper.fragment.filter(|fragment| !fragment.is_atomic());
    Ok(IpLayout {
        version: 6,
        protocol: upper.protocol,
        tos: header.traffic_class(),
        ttl: header.hop_limit(),
        fragment: fragment.is_some(),
        first: fragment.is_none_or(|fragment| fragment.offset_octets == 0),
        l3_offset,
        l4_offset: l3_offset.saturating_add(upper.offset as u16),
        payload_end: end as u32,
    })
}

/// A header that is cut by the end of the first segment, while the packet goes on, is not truncated but split.
#[cold]
fn split(reason: DropReason, truncated: DropReason, head: &[u8], packet: usize, needed: usize) -> DropReason {
    if reason == truncated && head.len() < packet && needed <= packet { DropReason::HeaderSplit } else { reason }
}

#[cfg(test)]
mod tests;
