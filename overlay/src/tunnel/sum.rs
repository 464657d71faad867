//! The Internet checksum over a part of a packet.

use crate::packet::PacketBuf;
use crate::wire::checksum::Sum;

/// Adds the `octets` octets from `start` of the packet, over all segments, to `sum`.
pub(crate) fn add_packet<P: PacketBuf>(mut sum: Sum, packet: &P, start: usize, octets: usize) -> Sum {
    let mut skip = start;
    let mut left = octets;
    packet.for_each_segment(&mut |segment| {
        let from = skip.min(segment.len());
        skip -= from;
        let rest = segment.get(from..).unwrap_or_default();
        let part = rest.get(..left.min(rest.len())).unwrap_or_default();
        left -= part.len();
        sum.add(part);
    });
    sum
}
