//! What the packet path asks of a packet buffer. An mbuf is one, [`VecBuf`](super::VecBuf) is its twin for tests.

use super::Meta;

/// A packet of one or more segments.
///
/// Headers are read and written in the first segment ("head"). Nothing here assumes that the payload is contiguous or
/// that the packet fits an MTU.
pub trait PacketBuf {
    /// The first segment's octets.
    fn head(&self) -> &[u8];

    /// The first segment's octets, for writing.
    fn head_mut(&mut self) -> &mut [u8];

    /// Octets of the whole packet, all segments.
    fn packet_octets(&self) -> usize;

    /// Grows the head by `N` octets at its front and returns them (content undefined), or `None` when the headroom is
    /// smaller than `N`, in which case nothing has changed.
    fn prepend<const N: usize>(&mut self) -> Option<&mut [u8; N]>;

    /// Removes `octets` from the front of the head. `false`, and nothing changed, when the head is shorter.
    fn trim_front(&mut self, octets: usize) -> bool;

    /// Cuts the packet to `octets`, across segments (Ethernet padding after the IP packet, for one). `false`, and
    /// nothing changed, when the packet is shorter.
    fn truncate(&mut self, octets: usize) -> bool;

    /// Calls `visit` with each segment's octets in order: for checksums over the payload.
    fn for_each_segment(&self, visit: &mut dyn FnMut(&[u8]));

    /// Writes `octets` at `offset` from the start of the packet, across segments; `false`, and nothing written, when the
    /// packet is shorter. For checksums that lie beyond the first segment; not for the fast path.
    fn write_at(&mut self, offset: usize, octets: &[u8]) -> bool;

    /// The metadata that travels with the packet.
    fn meta(&self) -> &Meta;

    /// The metadata, for writing.
    fn meta_mut(&mut self) -> &mut Meta;
}
