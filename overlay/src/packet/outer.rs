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

/// The outer headers of a VXLAN packet, as far as the tunnel needs them: 32 octets, half a cache line, because bursts of
/// them are handed from stage to stage.
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

const _: () = assert!(size_of::<OuterUdp>() == 32);

impl OuterUdp {
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
    if let Some(outer) = vxlan_over_ipv4(head, packet_octets, params) {
        return Ok(Arrival::Vxlan(outer));
    }
    if let Some(outer) = vxlan_over_ipv6(head, packet_octets, params) {
        return Ok(Arrival::Vxlan(outer));
    }
    slow::classify(head, packet_octets, params)
}

#[inline]
fn vxlan_over_ipv4(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> Option<OuterUdp> {
    let f = head.first_chunk::<50>()?;
    let [type_high, type_low, version_ihl, tos] = [f[12], f[13], f[14], f[15]];
    let total = u16::from_be_bytes([f[16], f[17]]);
    let udp_octets = u16::from_be_bytes([f[38], f[39]]);
    // EtherType, version, header length; unfragmented (DF and the reserved bit may be set); UDP; its port.
    let expected = [type_high, type_low, version_ihl] == [0x08, 0x00, 0x45]
        && [f[20] & 0x3f, f[21]] == [0, 0]
        && f[23] == protocol::UDP
        && u16::from_be_bytes([f[36], f[37]]) == params.udp_port;
    if !expected
        || !params.local.contains_v4(u32::from_be_bytes([f[30], f[31], f[32], f[33]]))
        || usize::from(total) + ETHERNET_OCTETS > packet_octets
        || usize::from(udp_octets) + 20 > usize::from(total)
        || usize::from(udp_octets) < UDP_OCTETS + VXLAN_OCTETS
    {
        return None;
    }
    let words = [
        [f[14], f[15], f[16], f[17]],
        [f[18], f[19], f[20], f[21]],
        [f[22], f[23], f[24], f[25]],
        [f[26], f[27], f[28], f[29]],
        [f[30], f[31], f[32], f[33]],
    ];
    // In native order: the sum of an intact header is all ones in any (RFC 1071 § 2 B).
    let sum: u64 = words.into_iter().map(|word| u64::from(u32::from_ne_bytes(word))).sum();
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    if (sum & 0xffff) + (sum >> 16) != 0xffff {
        return None;
    }
    Some(OuterUdp {
        source: [0, u64::from(u32::from_be_bytes([f[26], f[27], f[28], f[29]]))],
        vxlan: u64::from_be_bytes([f[42], f[43], f[44], f[45], f[46], f[47], f[48], f[49]]),
        udp_offset: 34,
        udp_octets,
        udp_checksum: u16::from_be_bytes([f[40], f[41]]),
        traffic_class: tos,
        ipv6: false,
    })
}

#[inline]
fn vxlan_over_ipv6(head: &[u8], packet_octets: usize, params: &UnderlayParams) -> Option<OuterUdp> {
    let f = head.first_chunk::<70>()?;
    let payload = usize::from(u16::from_be_bytes([f[18], f[19]]));
    let udp_octets = u16::from_be_bytes([f[58], f[59]]);
    let expected = [f[12], f[13], f[14] >> 4] == [0x86, 0xdd, 6]
        && f[20] == protocol::UDP
        && u16::from_be_bytes([f[56], f[57]]) == params.udp_port;
    if !expected
        || !params.local.contains_v6(u128::from_be_bytes(chunk16(f, 38)))
        || payload + 54 > packet_octets
        || usize::from(udp_octets) > payload
        || usize::from(udp_octets) < UDP_OCTETS + VXLAN_OCTETS
    {
        return None;
    }
    Some(OuterUdp {
        source: halves(u128::from_be_bytes(chunk16(f, 22))),
        vxlan: u64::from_be_bytes([f[62], f[63], f[64], f[65], f[66], f[67], f[68], f[69]]),
        udp_offset: 54,
        udp_octets,
        udp_checksum: u16::from_be_bytes([f[60], f[61]]),
        traffic_class: f[14] << 4 | f[15] >> 4,
        ipv6: true,
    })
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
