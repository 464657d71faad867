//! The flow hash: which packets belong together, as far as load distribution is concerned.

use crate::accel::crc32c;
use crate::wire::ethernet::ethertype;
use crate::wire::{ipv4, ipv6, protocol};

/// Hash of the flow of the frame that starts with `head`, over
///
/// - addresses, protocol and ports, for TCP, UDP and SCTP in IPv4 or IPv6;
/// - addresses and protocol, for other protocols and for fragments (all fragments of a packet hash alike);
/// - addresses and flow label, for IPv6 with extension headers (RFC 6438 § 3);
/// - MAC addresses and EtherType, for all else, and where the headers are cut short;
///
/// by CRC32C for IPv4 and by widening multiplication, folded, for all else: any part of it can index a table. Never 0, which is "not computed" in
/// [`Meta`](super::Meta). `ethertype` and `l3_offset` come from [`layout::ethernet`](super::layout::ethernet); nothing
/// else is checked. The direction counts: a reply hashes differently.
#[inline]
pub fn flow_hash(head: &[u8], ethertype: u16, l3_offset: usize) -> u32 {
    let hash = match ethertype {
        ethertype::IPV4 => v4(head, l3_offset),
        ethertype::IPV6 => v6(head, l3_offset),
        _ => None,
    };
    finish(hash.unwrap_or_else(|| mac(head, ethertype)))
}

/// What an encapsulation wants to know of the frame it takes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inner {
    /// The [`flow_hash`].
    pub flow_hash: u32,
    /// TOS or traffic class of the IP packet in the frame, behind at most one VLAN tag; 0 when there is none.
    pub traffic_class: u8,
}

impl Inner {
    /// Of the frame that starts with `head`.
    #[inline(always)]
    pub fn of(head: &[u8]) -> Self {
        Self::of_usual(head).unwrap_or_else(|| Self::of_any(head))
    }

    /// Likewise for the usual case, IPv4 without options that is no fragment and has ports; `None` for all others.
    #[inline(always)]
    pub fn of_usual(head: &[u8]) -> Option<Self> {
        let f = head.first_chunk::<38>()?;
        // EtherType, version, header length, TOS; then flags and fragment offset, TTL, protocol: as they lie.
        let [first, second] = [12, 20].map(|at| word(f, at));
        let second = second & 0xff00_ff3f;
        // No fragment, and one of these protocols: what is left is the protocol's octet.
        let usual = first & 0xff_ffff == 0x45_0008
            && [protocol::UDP, protocol::TCP, protocol::SCTP]
                .map(|protocol| u32::from(protocol) << 24)
                .contains(&second);
        if !usual {
            return None;
        }
        let addresses = u64::from(word(f, 26)) | u64::from(word(f, 30)) << 32;
        let flow_hash = finish(v4_hash(addresses, u64::from(word(f, 34)) | u64::from(second) << 8));
        Some(Self { flow_hash, traffic_class: (first >> 24) as u8 })
    }

    #[inline(never)]
    fn of_any(head: &[u8]) -> Self {
        let ethertype = match head.first_chunk::<14>() {
            Some([.., high, low]) => u16::from_be_bytes([*high, *low]),
            None => 0,
        };
        let behind = |ethertype: u16, header: &[u8]| match (ethertype, header) {
            (ethertype::IPV4, [_, tos, ..]) => *tos,
            (ethertype::IPV6, [first, second, ..]) => first << 4 | second >> 4,
            _ => 0,
        };
        let rest = head.get(14..).unwrap_or_default();
        let traffic_class = match (ethertype, rest) {
            (ethertype::VLAN | ethertype::VLAN_SERVICE, [_, _, high, low, header @ ..]) => {
                behind(u16::from_be_bytes([*high, *low]), header)
            }
            _ => behind(ethertype, rest),
        };
        Self { flow_hash: flow_hash(head, ethertype, 14), traffic_class }
    }
}

/// Four octets at a constant offset, as they lie.
#[inline(always)]
fn word<const N: usize>(frame: &[u8; N], at: usize) -> u32 {
    frame.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |octets| u32::from_le_bytes(*octets))
}

/// A half, each of whose bits depends on all that went in; never 0.
#[inline(always)]
const fn finish(hash: u64) -> u32 {
    match hash as u32 {
        0 => 1,
        hash => hash,
    }
}

/// The source port of an encapsulated flow: "the dynamic/private port range 49152-65535" (RFC 7348 § 5).
#[inline]
pub const fn entropy_port(hash: u32) -> u16 {
    0xc000 | (hash >> 18) as u16
}

#[inline(always)]
fn v4(head: &[u8], l3_offset: usize) -> Option<u64> {
    let header: &[u8; ipv4::HEADER_OCTETS] = head.get(l3_offset..)?.first_chunk()?;
    let addresses = u64::from_le_bytes(*header.last_chunk()?);
    let [version_ihl, _, _, _, _, _, offset_high, offset_low, _, protocol, ..] = *header;
    // "More fragments" or an offset: the ports are in the first fragment only.
    let fragment = u16::from_be_bytes([offset_high, offset_low]) & 0x3fff != 0;
    let header_octets = usize::from(version_ihl & 0x0f) * 4;
    let ports = if has_ports(protocol) && !fragment { ports(head, l3_offset + header_octets) } else { 0 };
    Some(v4_hash(addresses, u64::from(ports) | u64::from(protocol) << 32))
}

/// Two instructions, where [`fold`] is some ten: most packets are IPv4. Whoever can choose addresses and ports can make flows
/// collide, as with any hash without a secret; that spoils their own spread only.
#[inline(always)]
fn v4_hash(addresses: u64, rest: u64) -> u64 {
    u64::from(crc32c(crc32c(0, addresses), rest))
}

#[inline(always)]
fn v6(head: &[u8], l3_offset: usize) -> Option<u64> {
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
    let hosts = fold(u64::from_le_bytes(source_low), u64::from_le_bytes(destination_low));
    let networks = fold(u64::from_le_bytes(source_high) ^ hosts, u64::from_le_bytes(destination_high));
    Some(fold(networks, u64::from(last) | u64::from(next_header) << 32))
}

#[inline(always)]
fn mac(head: &[u8], ethertype: u16) -> u64 {
    let Some(&addresses) = head.first_chunk::<12>() else { return fold(u64::from(ethertype), 0) };
    let [a @ .., _, _, _, _] = addresses;
    let [_, _, _, _, _, _, _, _, b @ ..] = addresses;
    fold(u64::from_le_bytes(a), u64::from(u32::from_le_bytes(b)) | u64::from(ethertype) << 32)
}

/// A product of 128 bits, folded: the fastest good mixing there is on a 64-bit machine (Wang Yi's wyhash). The constants
/// are of its kind: odd, half their bits set, so that no sensible input is their complement.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a ^ 0xa076_1d64_78bd_642f) as u128 * (b ^ 0xe703_7ed1_a0b4_28db) as u128;
    (product >> 64) as u64 ^ product as u64
}

/// Both ports as they lie in the packet, or 0 when it ends before.
#[inline(always)]
fn ports(head: &[u8], l4_offset: usize) -> u32 {
    head.get(l4_offset..).and_then(<[u8]>::first_chunk).map_or(0, |ports| u32::from_le_bytes(*ports))
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

#[cfg(test)]
mod tests;
