//! ICMP echo: the reply, made of the request.

use std::net::Ipv4Addr;

use crate::num::MacAddr;
use crate::packet::checksum::{finish_partial, verify_l4};
use crate::packet::{Checksum, IpLayout, PacketBuf};
use crate::reason::DropReason;
use crate::wire::{
    EthernetHeader, Icmpv4Header, Icmpv6Header, Ipv4Header, Ipv6Header, ethernet, icmpv4, icmpv6, ipv4, ipv6, protocol,
    view_mut,
};

/// Turns an echo request to one of our addresses into its reply: addresses swapped, TTL 64, checksums updated without a
/// look at the body (RFC 1624). `ip` is the packet's layout, at offset 14.
///
/// `false`, and the packet unchanged, when it is no echo request or one that needs the host's stack: a fragment, or with
/// options or extension headers.
///
/// # Errors
/// [`DropReason::IcmpMalformed`] when truncated, with a wrong checksum or from an address that is not a host's;
/// [`DropReason::NotForUs`] when it was sent to a group on the link (RFC 1122 § 3.3.6);
/// [`DropReason::SourceMacMulticast`].
pub fn echo_reply<P: PacketBuf>(packet: &mut P, ip: &IpLayout) -> Result<bool, DropReason> {
    let (icmp, header_octets, request) = match ip.version {
        4 => (protocol::ICMP, ipv4::HEADER_OCTETS, icmpv4::kind::ECHO_REQUEST),
        _ => (protocol::ICMPV6, ipv6::HEADER_OCTETS, icmpv6::kind::ECHO_REQUEST),
    };
    let l3_offset = usize::from(ip.l3_offset);
    let plain = ip.protocol == icmp
        && !ip.fragment
        && l3_offset == ethernet::HEADER_OCTETS
        && usize::from(ip.l4_offset) == l3_offset + header_octets;
    if !plain {
        return Ok(false);
    }
    if ip.payload_octets() < icmpv4::HEADER_OCTETS {
        return Err(DropReason::IcmpMalformed);
    }
    let Some([kind, code, ..]) = packet.head().get(usize::from(ip.l4_offset)..).and_then(<[u8]>::first_chunk::<8>)
    else {
        return Err(DropReason::HeaderSplit);
    };
    if [*kind, *code] != [request, 0] {
        return Ok(false);
    }
    match packet.meta().checksum {
        Checksum::Good => {}
        Checksum::Partial => finish_partial(packet)?,
        Checksum::Unknown | Checksum::Bad => {
            if !verify_l4(packet, ip) {
                return Err(DropReason::IcmpMalformed);
            }
        }
    }
    let (ethernet, rest) = view_mut::<EthernetHeader>(packet.head_mut(), DropReason::HeaderSplit)?;
    let (from, to) = (ethernet.source(), ethernet.destination());
    if to.is_multicast() {
        return Err(DropReason::NotForUs);
    }
    if from.is_multicast() {
        return Err(DropReason::SourceMacMulticast);
    }
    if ip.version == 4 {
        reply_v4(rest)?;
    } else {
        reply_v6(rest)?;
    }
    swap(packet.head_mut(), from, to)?;
    packet.meta_mut().flow_hash = 0;
    Ok(true)
}

fn swap(head: &mut [u8], from: MacAddr, to: MacAddr) -> Result<(), DropReason> {
    let (ethernet, _) = view_mut::<EthernetHeader>(head, DropReason::HeaderSplit)?;
    ethernet.set_destination(from);
    ethernet.set_source(to);
    Ok(())
}

fn reply_v4(octets: &mut [u8]) -> Result<(), DropReason> {
    let (ip, rest) = view_mut::<Ipv4Header>(octets, DropReason::HeaderSplit)?;
    let (icmp, _) = view_mut::<Icmpv4Header>(rest, DropReason::HeaderSplit)?;
    let (source, destination) = (ip.source(), ip.destination());
    if source.is_unspecified() || source.is_multicast() || source == Ipv4Addr::BROADCAST {
        return Err(DropReason::IcmpMalformed);
    }
    ip.set_source(destination);
    ip.set_destination(source);
    ip.set_ttl(ipv4::TTL_DEFAULT);
    icmp.make_echo_reply();
    Ok(())
}

fn reply_v6(octets: &mut [u8]) -> Result<(), DropReason> {
    let (ip, rest) = view_mut::<Ipv6Header>(octets, DropReason::HeaderSplit)?;
    let (icmp, _) = view_mut::<Icmpv6Header>(rest, DropReason::HeaderSplit)?;
    let (source, destination) = (ip.source(), ip.destination());
    if source.is_unspecified() || source.is_multicast() {
        return Err(DropReason::IcmpMalformed);
    }
    ip.set_source(destination);
    ip.set_destination(source);
    ip.set_hop_limit(ipv6::HOP_LIMIT_DEFAULT);
    icmp.make_echo_reply();
    Ok(())
}
