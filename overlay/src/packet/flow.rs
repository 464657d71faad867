//! The flow hash: which packets belong together, as far as load distribution is concerned.

use crate::accel::{crc32c_u32, crc32c_u64};
use crate::wire::ethernet::ethertype;
use crate::wire::{ipv4, ipv6, protocol};

/// Hash of the flow of the frame that starts with `head`: CRC32C over
///
/// - addresses, protocol and ports, for TCP, UDP and SCTP in IPv4 or IPv6;
/// - addresses and protocol, for other protocols and for fragments (all fragments of a packet hash alike);
/// - addresses and flow label, for IPv6 with extension headers (RFC 6438 § 3);
/// - MAC addresses and EtherType, for all else, and where the headers are cut short;
///
/// finalised so that the high bits are as good as the low ones. Never 0, which is "not computed" in
/// [`Meta`](super::Meta). `ethertype` and `l3_offset` come from [`layout::ethernet`](super::layout::ethernet); nothing
/// else is checked. The direction counts: a reply hashes differently.
#[inline]
pub fn flow_hash(head: &[u8], ethertype: u16, l3_offset: usize) -> u32 {
    let crc = match ethertype {
        ethertype::IPV4 => v4(head, l3_offset),
        ethertype::IPV6 => v6(head, l3_offset),
        _ => None,
    };
    finalise(crc.unwrap_or_else(|| mac(head, ethertype)))
}

/// The source port of an encapsulated flow: "the dynamic/private port range 49152-65535" (RFC 7348 § 5).
#[inline]
pub const fn entropy_port(hash: u32) -> u16 {
    0xc000 | (hash >> 18) as u16
}

#[inline(always)]
fn v4(head: &[u8], l3_offset: usize) -> Option<u32> {
    let header: &[u8; ipv4::HEADER_OCTETS] = head.get(l3_offset..)?.first_chunk()?;
    let addresses = u64::from_ne_bytes(*header.last_chunk()?);
    let [version_ihl, _, _, _, _, _, offset_high, offset_low, _, protocol, ..] = *header;
    // "More fragments" or an offset: the ports are in the first fragment only.
    let fragment = u16::from_be_bytes([offset_high, offset_low]) & 0x3fff != 0;
    let header_octets = usize::from(version_ihl & 0x0f) * 4;
    let ports = if has_ports(protocol) && !fragment { ports(head, l3_offset + header_octets) } else { 0 };
    Some(crc32c_u64(crc32c_u64(u32::from(protocol), addresses), u64::from(ports)))
}

#[inline(always)]
fn v6(head: &[u8], l3_offset: usize) -> Option<u32> {
    let header: &[u8; ipv6::HEADER_OCTETS] = head.get(l3_offset..)?.first_chunk()?;
    let (words, _) = header.as_chunks::<8>();
    let [first, source_high, source_low, destination_high, destination_low] = *words else { return None };
    let [_, label_high, label_mid, label_low, _, _, next_header, _] = first;
    let last = if has_ports(next_header) {
        ports(head, l3_offset + ipv6::HEADER_OCTETS)
    } else if is_extension(next_header) {
        u32::from_be_bytes([0, label_high & 0x0f, label_mid, label_low])
    } else {
        0
    };
    let crc = crc32c_u64(u32::from(next_header), u64::from_ne_bytes(source_high));
    let crc = crc32c_u64(crc, u64::from_ne_bytes(source_low));
    let crc = crc32c_u64(crc, u64::from_ne_bytes(destination_high));
    let crc = crc32c_u64(crc, u64::from_ne_bytes(destination_low));
    Some(crc32c_u32(crc, last))
}

#[inline(always)]
fn mac(head: &[u8], ethertype: u16) -> u32 {
    let Some(&addresses) = head.first_chunk::<12>() else { return u32::from(ethertype) };
    let [a @ .., _, _, _, _] = addresses;
    let [_, _, _, _, _, _, _, _, b @ ..] = addresses;
    crc32c_u32(crc32c_u64(u32::from(ethertype), u64::from_ne_bytes(a)), u32::from_ne_bytes(b))
}

/// Both ports as they lie in the packet, or 0 when it ends before.
#[inline(always)]
fn ports(head: &[u8], l4_offset: usize) -> u32 {
    head.get(l4_offset..).and_then(<[u8]>::first_chunk).map_or(0, |ports| u32::from_ne_bytes(*ports))
}

#[inline(always)]
const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
}

#[inline(always)]
const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::AH | protocol::DESTINATION_OPTIONS
    )
}

/// A CRC is linear: bits of the result depend on few bits each. Multiply and mix, a bijection (constant of
/// `MurmurHash3`'s finaliser), so that any part of the hash can index a table.
#[inline(always)]
const fn finalise(crc: u32) -> u32 {
    let mixed = (crc ^ crc >> 16).wrapping_mul(0x85eb_ca6b);
    let mixed = mixed ^ mixed >> 13;
    let mixed = mixed.wrapping_mul(0xc2b2_ae35);
    let mixed = mixed ^ mixed >> 16;
    if mixed == 0 { 1 } else { mixed }
}

#[cfg(test)]
mod tests;
