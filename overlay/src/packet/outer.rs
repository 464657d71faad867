//! What a frame from the underlay is: ours to decapsulate, ours to answer, the host's, or nobody's.
//!
//! The outer headers are parsed here once; [`crate::tunnel`] pops with what was found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::IpLayout;
use crate::reason::DropReason;
use crate::wire::{ethernet, protocol, udp, vxlan};

mod local;
mod slow;
#[cfg(test)]
mod tests;

pub use local::{LocalAddresses, LocalAddressesError};

const ETHERNET_OCTETS: usize = ethernet::HEADER_OCTETS;
const UDP_OCTETS: usize = udp::HEADER_OCTETS;
const VXLAN_OCTETS: usize = vxlan::HEADER_OCTETS;
/// Where the UDP header is behind IPv4 without options.
pub const UDP_OFFSET_V4: u16 = 34;
/// Where it is behind IPv6 without extension headers.
const UDP_OFFSET_V6: u16 = 54;

/// What classifying needs to know of an uplink.
#[derive(Clone, Debug)]
pub struct UnderlayParams {
    /// The UDP port on which VXLAN arrives.
    pub udp_port: u16,
    /// Our addresses.
    pub local: LocalAddresses,
}

/// A frame from the underlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// VXLAN to one of our addresses; lengths and, over IPv4, the header checksum are verified.
    Vxlan(OuterUdp),
    /// ARP, unverified: see [`crate::reply`].
    Arp,
    /// An ICMPv6 neighbour solicitation or advertisement to one of our addresses or to a group, unverified.
    Nd(IpLayout),
    /// Any other IPv4 packet to one of our addresses: ICMP, or the host's.
    Ipv4(IpLayout),
    /// Any other IPv6 packet to one of our addresses.
    Ipv6(IpLayout),
    /// Not IP, tagged, or not to one of our addresses (groups and broadcast included).
    Other,
}

/// The outer headers of a VXLAN packet, as far as the tunnel needs them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OuterUdp {
    /// The remote endpoint's address, high and low half; an IPv4 address is the low 32 bits. Two words and no `IpAddr`:
    /// one that is stored octet by octet and loaded as words stalls the CPU.
    source: [u64; 2],
    /// The VXLAN header, as a big-endian number.
    pub vxlan: u64,
    /// Offset of the UDP header from the start of the frame.
    pub udp_offset: u16,
    /// UDP length: header and payload, at least 16 and within the packet.
    pub udp_octets: u16,
    /// The checksum field, wire order read as a number; 0 = none.
    pub udp_checksum: u16,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// Whether the outer header is IPv6.
    pub ipv6: bool,
}

impl OuterUdp {
    /// The outer headers of the frame that starts with `head`, whose UDP header [`classify`] or [`vxlan_offset`] found at
    /// `udp_offset`. `None` when the frame ends before, which cannot be then.
    #[inline(always)]
    pub fn read(head: &[u8], udp_offset: u16) -> Option<Self> {
        let headers: &[u8; UDP_OCTETS + VXLAN_OCTETS] = head.get(usize::from(udp_offset)..)?.first_chunk()?;
        let udp = word(headers, 0);
        let ip: &[u8; 20] = head.get(ETHERNET_OCTETS..)?.first_chunk()?;
        let ipv6 = ip[0] >> 4 == 6;
        let (source, traffic_class) = if ipv6 {
            let address = head.get(22..)?.first_chunk()?;
            (halves(u128::from_be_bytes(*address)), ip[0] << 4 | ip[1] >> 4)
        } else {
            ([0, word(ip, 12) >> 32], ip[1])
        };
        Some(Self {
            source,
            vxlan: word(headers, 8),
            udp_offset,
            udp_octets: (udp >> 16) as u16,
            udp_checksum: udp as u16,
            traffic_class,
            ipv6,
        })
    }

    /// Whether both came from the same endpoint.
    #[inline(always)]
    pub const fn same_source(&self, source: [u64; 2]) -> bool {
        (self.source[0] ^ source[0]) | (self.source[1] ^ source[1]) == 0
    }

    /// The remote endpoint's address for [`OuterUdp::same_source`].
    #[inline(always)]
    pub const fn source_words(&self) -> [u64; 2] {
        self.source
    }

    /// The remote endpoint.
    #[inline]
    pub const fn source(&self) -> IpAddr {
        let [high, low] = self.source;
        if self.ipv6 {
            IpAddr::V6(Ipv6Addr::from_bits((high as u128) << 64 | low as u128))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(low as u32))
        }
    }
}

/// Finds out what a frame from the underlay is.
///
/// `head` is the packet's first segment, `packet_octets` the length over all segments. The usual case, an untagged
/// frame with an IP header without options and UDP to the VXLAN port of one of our addresses, is recognized without
/// a call; everything else, errors included, takes the careful way.
///
/// A fragment that shows the VXLAN port is refused ([`DropReason::UnderlayFragment`]); the later fragments of that
/// packet do not show it and come back as [`Arrival::Ipv4`] or [`Arrival::Ipv6`] with `fragment` set.
#[inline]
pub fn classify(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> Result<Arrival, DropReason> {
    match vxlan_offset(head, packet_octets, params).and_then(|offset| OuterUdp::read(head, offset)) {
        Some(outer) => Ok(Arrival::Vxlan(outer)),
        None => slow::classify(head, packet_octets, params),
    }
}

/// Where the UDP header is, of a VXLAN packet to one of our addresses that is as usual as can be: [`classify`] without
/// what it finds out of others. `None` says nothing: ask [`classify`].
#[inline]
pub fn vxlan_offset(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> Option<u16> {
    if is_vxlan_over_ipv4(head, packet_octets, params) {
        Some(UDP_OFFSET_V4)
    } else if is_vxlan_over_ipv6(head, packet_octets, params) {
        Some(UDP_OFFSET_V6)
    } else {
        None
    }
}

/// Untagged, without options or fragments, to one of our addresses and our port, all lengths and the header checksum
/// right. Eight octets at a time, since each packet that arrives is asked all of this.
#[inline(always)]
fn is_vxlan_over_ipv4(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> bool {
    let Some(f) = head.first_chunk::<50>() else { return false };
    // EtherType, version, header length, TOS, total length, identification.
    let first = word(f, 12);
    // Flags, fragment offset, TTL, protocol, checksum, half of the source.
    let second = word(f, 20);
    // The other half, the destination, the UDP source port.
    let third = word(f, 28);
    // UDP destination port, length, checksum, half of what follows.
    let udp = word(f, 36);
    let total = (first >> 16) as u16;
    let udp_octets = (udp >> 32) as u16;
    // DF and the reserved bit may be set.
    let expected = first >> 40 == 0x08_0045
        && second & 0x3fff_00ff_0000_0000 == u64::from(protocol::UDP) << 32
        && (udp >> 48) as u16 == params.udp_port
        && params.local.contains_v4((third >> 16) as u32);
    expected
        && usize::from(total) + ETHERNET_OCTETS <= packet_octets
        && usize::from(udp_octets) + 20 <= usize::from(total)
        && usize::from(udp_octets) >= UDP_OCTETS + VXLAN_OCTETS
        && is_intact(first & 0xffff_ffff_ffff, second, third >> 16)
}

/// Whether these words of an IPv4 header, checksum included, sum to all ones (RFC 1071 § 1).
#[inline(always)]
const fn is_intact(first: u64, second: u64, third: u64) -> bool {
    // Two of the three are below 2⁴⁸, so only one addition can carry.
    let (sum, carry) = (first + third).overflowing_add(second);
    let sum = (sum & 0xffff_ffff) + (sum >> 32) + carry as u64;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

#[inline]
fn is_vxlan_over_ipv6(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> bool {
    let Some(f) = head.first_chunk::<70>() else { return false };
    let payload = usize::from(u16::from_be_bytes([f[18], f[19]]));
    let udp_octets = u16::from_be_bytes([f[58], f[59]]);
    [f[12], f[13], f[14] >> 4] == [0x86, 0xdd, 6]
        && f[20] == protocol::UDP
        && u16::from_be_bytes([f[56], f[57]]) == params.udp_port
        && params.local.contains_v6(u128::from_be_bytes(chunk16(f, 38)))
        && payload + 54 <= packet_octets
        && usize::from(udp_octets) <= payload
        && usize::from(udp_octets) >= UDP_OCTETS + VXLAN_OCTETS
}

/// Eight octets at a constant offset, as a number.
#[inline(always)]
fn word<const N: usize>(frame: &[u8; N], at: usize) -> u64 {
    frame.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// High and low half.
#[inline(always)]
const fn halves(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

/// Sixteen octets at a constant offset.
#[inline(always)]
fn chunk16(frame: &[u8; 70], at: usize) -> [u8; 16] {
    frame.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}
