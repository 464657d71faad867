//! Pop: the receive checks, the ECN field, and the cut.

use std::net::IpAddr;

use super::{FLAG_VNI, OVERHEAD_V4_OCTETS};
use crate::num::Vni;
use crate::packet::checksum::sum_range;
use crate::packet::outer::OuterUdp;
use crate::packet::{Checksum, Flags, PacketBuf};
use crate::reason::DropReason;
use crate::tunnel::ecn::{decapsulate, may_change_inner};
use crate::wire::checksum::{Sum, update_u16};
use crate::wire::{Ecn, ethernet, udp, vxlan};

/// UDP and VXLAN headers.
const HEADERS_OCTETS: u16 = (udp::HEADER_OCTETS + vxlan::HEADER_OCTETS) as u16;
const ETHERNET_OCTETS: u16 = ethernet::HEADER_OCTETS as u16;

/// What is accepted on receipt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VxlanReceive {
    /// Whether a UDP checksum that is present is verified (RFC 7348 § 5: it may be).
    pub verify_checksum: bool,
    /// Whether a zero checksum is accepted over IPv6 (RFC 6935 § 5). Over IPv4 it always is.
    pub accept_zero_checksum_ipv6: bool,
    /// Whether an inner frame may carry a VLAN tag (RFC 7348 § 6.1).
    pub allow_inner_vlan: bool,
}

impl Default for VxlanReceive {
    fn default() -> Self {
        Self { verify_checksum: true, accept_zero_checksum_ipv6: false, allow_inner_vlan: false }
    }
}

/// Where a packet came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Popped {
    /// The network identifier.
    pub vni: Vni,
    /// The remote endpoint.
    pub source: IpAddr,
}

/// The VNI of a packet, when its I flag is set; other reserved bits are ignored on receipt (RFC 7348 § 5).
///
/// Works on what [`classify`](crate::packet::outer::classify) found: the VNIs of a burst can be looked up before the
/// packets are touched again.
#[inline]
pub const fn inspect(outer: &OuterUdp) -> Result<Vni, DropReason> {
    if outer.vxlan >> 56 & FLAG_VNI as u64 == 0 {
        return Err(DropReason::VxlanFlags);
    }
    Ok(Vni::from_low_bits((outer.vxlan >> 8) as u32))
}

/// [`inspect`] and [`pop_inspected`] in one.
#[inline]
pub fn pop<P: PacketBuf>(packet: &mut P, outer: &OuterUdp, params: &VxlanReceive) -> Result<Popped, DropReason> {
    let vni = inspect(outer)?;
    pop_inspected(packet, outer, params)?;
    Ok(Popped { vni, source: outer.source() })
}

/// Pops a packet that [`RecentOuters`](super::RecentOuters) has found, and whose offsets and hash nobody has noted: what
/// [`pop_inspected`] does to such. `false`, and nothing has changed, where the head is too short, which it is not then.
#[inline(always)]
pub fn pop_recent<P: PacketBuf>(packet: &mut P) -> bool {
    if !packet.trim_front(OVERHEAD_V4_OCTETS) {
        return false;
    }
    let meta = packet.meta_mut();
    meta.flags = meta.flags.with(Flags::FROM_TUNNEL);
    meta.checksum = Checksum::Unknown;
    true
}

/// Checks a VXLAN packet that [`classify`](crate::packet::outer::classify) described as `outer`, and leaves its inner
/// frame: outer headers and what follows the UDP datagram are cut, the outer ECN field is combined into the inner IP
/// header (RFC 6040), whose checksum is updated (RFC 1624).
///
/// The metadata forgets what it knew of the outer packet (offsets, hash, checksum) and gets [`Flags::FROM_TUNNEL`].
/// A partial checksum that lies within the inner frame stays.
#[inline]
pub fn pop_inspected<P: PacketBuf>(packet: &mut P, outer: &OuterUdp, params: &VxlanReceive) -> Result<(), DropReason> {
    let udp_offset = usize::from(outer.udp_offset);
    let front = udp_offset + usize::from(HEADERS_OCTETS);
    let end = udp_offset + usize::from(outer.udp_octets);
    if outer.udp_octets < HEADERS_OCTETS + ETHERNET_OCTETS {
        return Err(DropReason::VxlanInnerTruncated);
    }
    if outer.udp_checksum == 0 {
        if outer.ipv6 && !params.accept_zero_checksum_ipv6 {
            return Err(DropReason::UdpZeroChecksum6);
        }
    } else if params.verify_checksum && !udp_is_intact(packet, outer) {
        return Err(DropReason::UdpChecksum);
    }
    let Some(ethernet) = packet.head().get(front..).and_then(<[u8]>::first_chunk::<14>) else {
        return Err(DropReason::HeaderSplit);
    };
    if matches!(ethernet, [.., 0x81, 0x00] | [.., 0x88, 0xa8]) && !params.allow_inner_vlan {
        return Err(DropReason::VxlanInnerVlan);
    }
    if may_change_inner(outer.traffic_class) {
        combine_ecn(packet.head_mut(), front, end, outer.traffic_class)?;
    }
    if packet.packet_octets() != end && !packet.truncate(end) {
        return Err(DropReason::UdpLength);
    }
    if !packet.trim_front(front) {
        return Err(DropReason::HeaderSplit);
    }
    let meta = packet.meta_mut();
    meta.l3_offset = 0;
    meta.l4_offset = 0;
    meta.flow_hash = 0;
    meta.flags = meta.flags.with(Flags::FROM_TUNNEL);
    if meta.checksum == Checksum::Partial && usize::from(meta.checksum_start) >= front {
        meta.checksum_start -= front as u16;
    } else {
        meta.checksum = Checksum::Unknown;
    }
    Ok(())
}

/// Whether the outer UDP checksum is right, or left to a device that did not touch it: a sender on this host that
/// counts on offload fills in the pseudo header's sum only, and no wire was there to spoil the packet.
#[inline(never)]
fn udp_is_intact<P: PacketBuf>(packet: &P, outer: &OuterUdp) -> bool {
    let meta = packet.meta();
    if meta.checksum == Checksum::Partial && meta.checksum_start == outer.udp_offset {
        return true;
    }
    // The addresses: 26..34 in an IPv4 frame, 22..54 in an IPv6 frame.
    let addresses = if outer.ipv6 { 22..54 } else { 26..34 };
    let Some(addresses) = packet.head().get(addresses) else { return false };
    let sum = Sum::new().with(addresses).with(&[0, 17]).with(&outer.udp_octets.to_be_bytes());
    let start = usize::from(outer.udp_offset);
    sum_range(packet, start, start + usize::from(outer.udp_octets), sum).finish() == 0
}

/// Combines the outer ECN field into the IP header of the frame at `front..end`, behind at most two VLAN tags.
#[inline(never)]
fn combine_ecn(head: &mut [u8], front: usize, end: usize, outer_traffic_class: u8) -> Result<(), DropReason> {
    // Octets that the packet has but the head does not make the difference between a split and a short header.
    let missing = if end > head.len() { Err(DropReason::HeaderSplit) } else { Ok(()) };
    let outer = Ecn::from_tos(outer_traffic_class);
    let mut at = front + 12;
    for _ in 0..3 {
        let Some(rest) = head.get_mut(at..end.min(head.len()).max(at)) else { return missing };
        match rest {
            [0x81, 0x00, ..] | [0x88, 0xa8, ..] => at += 4,
            [0x08, 0x00, ip @ ..] => {
                let Some(header) = ip.first_chunk_mut::<20>() else { return missing };
                let tos = header[1];
                let new = decapsulate(Ecn::from_tos(tos), outer).ok_or(DropReason::EcnIllegal)?;
                if new == Ecn::from_tos(tos) {
                    return Ok(());
                }
                header[1] = tos & !0x03 | new as u8;
                let field = u16::from_be_bytes([header[10], header[11]]);
                let field = update_u16(field, u16::from(tos), u16::from(header[1]));
                header[10..12].copy_from_slice(&field.to_be_bytes());
                return Ok(());
            }
            [0x86, 0xdd, ip @ ..] => {
                let Some([_, second]) = ip.first_chunk_mut::<2>() else { return missing };
                let new = decapsulate(Ecn::from_tos(*second >> 4), outer).ok_or(DropReason::EcnIllegal)?;
                *second = *second & !0x30 | (new as u8) << 4;
                return Ok(());
            }
            [_, _, ..] => return Ok(()),
            _ => return missing,
        }
    }
    Ok(())
}
