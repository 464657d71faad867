//! Transport checksums of packets in segments: finishing what a guest left undone, and verifying.

use super::layout::IpLayout;
use super::{Checksum, PacketBuf};
use crate::reason::DropReason;
use crate::wire::checksum::{Sum, zero_to_ones};
use crate::wire::{Ipv4Header, Ipv6Header, icmpv4, icmpv6, protocol, tcp, udp, view};

/// Completes a [`Checksum::Partial`] in software: sums from `checksum_start` to the end of the packet, which includes the
/// pseudo header's sum that the guest left in the field, and stores the complement there. The state becomes
/// [`Checksum::Good`]; with another state nothing happens.
///
/// [`DropReason::ChecksumOffsets`], and nothing changed, when the field is not within the packet. A field at offset 6 is
/// UDP's, where 0 would say that there is no checksum: 0xffff is stored (RFC 768).
pub fn finish_partial<P: PacketBuf>(packet: &mut P) -> Result<(), DropReason> {
    let meta = packet.meta();
    if meta.checksum != Checksum::Partial {
        return Ok(());
    }
    let start = usize::from(meta.checksum_start);
    let offset = usize::from(meta.checksum_offset);
    let end = packet.packet_octets();
    if start + offset + 2 > end {
        return Err(DropReason::ChecksumOffsets);
    }
    let mut checksum = sum_range(packet, start, end, Sum::new()).finish();
    if offset == udp::CHECKSUM_OFFSET {
        checksum = zero_to_ones(checksum);
    }
    let octets = checksum.to_be_bytes();
    let written = match packet.head_mut().get_mut(start + offset..).and_then(<[u8]>::first_chunk_mut) {
        Some(field) => {
            *field = octets;
            true
        }
        None => packet.write_at(start + offset, &octets),
    };
    if !written {
        return Err(DropReason::ChecksumOffsets);
    }
    packet.meta_mut().checksum = Checksum::Good;
    Ok(())
}

/// Whether the transport checksum of the IP packet at `ip` is right, for TCP, UDP, ICMP and ICMPv6, across segments.
///
/// What cannot be verified passes: fragments, other protocols, and UDP over IPv4 without a checksum. UDP over IPv6
/// without a checksum does not pass (RFC 8200 § 8.1); whoever allows it (RFC 6935) asks
/// [`UdpHeader::checksum`](crate::wire::UdpHeader::checksum) first. A header that is cut short or whose length is
/// impossible does not pass. `packet`'s metadata is not looked at.
pub fn verify_l4<P: PacketBuf>(packet: &P, ip: &IpLayout) -> bool {
    if ip.fragment {
        return true;
    }
    let start = usize::from(ip.l4_offset);
    let available = ip.payload_octets();
    let length = match ip.protocol {
        protocol::UDP => {
            let Some([_, _, _, _, high, low, checksum @ ..]) = read_at::<P, { udp::HEADER_OCTETS }>(packet, start)
            else {
                return false;
            };
            if checksum == [0, 0] {
                return ip.version == 4;
            }
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < udp::HEADER_OCTETS || length > available {
                return false;
            }
            length
        }
        protocol::TCP if available < tcp::HEADER_OCTETS => return false,
        protocol::ICMP if ip.version == 4 && available < icmpv4::HEADER_OCTETS => return false,
        protocol::ICMPV6 if ip.version == 6 && available < icmpv6::HEADER_OCTETS => return false,
        protocol::TCP | protocol::ICMP | protocol::ICMPV6 => available,
        _ => return true,
    };
    if start + length > packet.packet_octets() {
        return false;
    }
    let Some(pseudo) = pseudo_header(packet.head(), ip, length) else { return false };
    sum_range(packet, start, start + length, pseudo).finish() == 0
}

/// The pseudo header's sum for `length` octets of the packet's protocol; `None` when the IP header is not in `head`.
#[inline]
fn pseudo_header(head: &[u8], ip: &IpLayout, length: usize) -> Option<Sum> {
    let octets = head.get(usize::from(ip.l3_offset)..)?;
    if ip.version == 4 {
        let (header, _) = view::<Ipv4Header>(octets, DropReason::Ipv4Truncated).ok()?;
        return Some(match ip.protocol {
            protocol::ICMP => Sum::new(),
            other => Sum::pseudo_v4(header.source(), header.destination(), other, length as u16),
        });
    }
    let (header, _) = view::<Ipv6Header>(octets, DropReason::Ipv6Truncated).ok()?;
    Some(Sum::pseudo_v6(header.source(), header.destination(), ip.protocol, length as u32))
}

/// Adds the octets `start..end` of the packet to `sum`; the caller has checked that they exist.
#[inline]
pub(crate) fn sum_range<P: PacketBuf>(packet: &P, start: usize, end: usize, mut sum: Sum) -> Sum {
    if let Some(octets) = packet.head().get(start..end) {
        sum.add(octets);
        return sum;
    }
    let mut position = 0;
    packet.for_each_segment(&mut |segment| {
        let from = start.saturating_sub(position).min(segment.len());
        let to = end.saturating_sub(position).min(segment.len());
        sum.add(segment.get(from..to).unwrap_or_default());
        position += segment.len();
    });
    sum
}

/// Copies `N` octets at `start` out of the packet, whatever segments they lie in.
#[inline]
fn read_at<P: PacketBuf, const N: usize>(packet: &P, start: usize) -> Option<[u8; N]> {
    if let Some(octets) = packet.head().get(start..).and_then(<[u8]>::first_chunk) {
        return Some(*octets);
    }
    let mut octets = [0; N];
    let (mut position, mut filled) = (0, 0);
    packet.for_each_segment(&mut |segment| {
        let from = (start + filled).saturating_sub(position).min(segment.len());
        for (place, octet) in octets.iter_mut().skip(filled).zip(segment.iter().skip(from)) {
            *place = *octet;
            filled += 1;
        }
        position += segment.len();
    });
    (filled == N).then_some(octets)
}

#[cfg(test)]
mod tests;
