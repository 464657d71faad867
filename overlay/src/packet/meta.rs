//! Per-packet metadata: one cache line in the mbuf's private area.

use crate::fib::pair::Pair;
use crate::num::{NetworkId, PortId, TunnelId};

/// What is known of the innermost transport checksum.
///
/// A guest may leave its checksum to the device (virtio `VIRTIO_NET_HDR_F_NEEDS_CSUM`); a device may have verified it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Checksum {
    /// Nobody looked: it is whatever the sender wrote.
    #[default]
    Unknown = 0,
    /// Verified by a device or known to be right.
    Good = 1,
    /// A device says that it is wrong.
    Bad = 2,
    /// The field at `checksum_start + checksum_offset` holds the pseudo-header's sum only; whoever sends the packet to
    /// a place that expects a checksum must finish it from `checksum_start` to the end of the packet.
    Partial = 3,
}

/// A segmentation request that came with the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Segmentation {
    /// The packet goes as it is.
    #[default]
    None = 0,
    /// TCP over IPv4, to be cut to `segment_octets` of payload.
    TcpV4 = 1,
    /// TCP over IPv6, likewise.
    TcpV6 = 2,
    /// UDP, likewise.
    Udp = 3,
}

/// Bits of [`Meta::flags`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// Copied to the trace ring at every stage.
    pub const TRACE: Self = Self(1);
    /// Arrived through a tunnel: may not leave through one of the same network (split horizon).
    pub const FROM_TUNNEL: Self = Self(1 << 1);
    /// Made by weir (ARP request, ICMP reply): has no ingress to be billed.
    pub const CREATED: Self = Self(1 << 2);

    /// Whether all bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other` set.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What stages tell each other about a packet. One cache line, plain data.
///
/// The first half is valid from rx on: fields that no stage has filled are zero or `NONE` ([`Meta::received`]). The
/// second half is whatever the buffer's last user left until the stage that a field's text names has written it:
/// every store counts, and most packets never need these.
///
/// Offsets are octets from the start of the packet as it is at that moment; whoever prepends or trims adjusts what it
/// does not invalidate.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Meta {
    /// The port it came in on; stays when it crosses workers, so that costs are billed to it.
    pub ingress: PortId,
    /// The network it belongs to, once known.
    pub network: NetworkId,
    /// The tunnel it came from (after decap) or goes to (before encap).
    pub tunnel: TunnelId,
    /// The port it leaves on, once known.
    pub egress: PortId,
    /// Hash of the flow's addresses and ports; 0 = not computed. Nobody needs it behind the stage that computes it so far.
    pub flow_hash: u32,
    /// Offset of the network header; 0 = not parsed.
    pub l3_offset: u16,
    /// Offset of the transport header; 0 = not parsed.
    pub l4_offset: u16,
    /// What is known of the innermost transport checksum.
    pub checksum: Checksum,
    /// Bits.
    pub flags: Flags,
    /// The VLAN identifier it came in with, already removed; 0 = untagged.
    pub vlan: u16,
    /// With [`Checksum::Partial`]: where summing starts.
    pub checksum_start: u16,
    /// With [`Checksum::Partial`]: the field's offset from `checksum_start`.
    pub checksum_offset: u16,
    /// Octets of payload per segment, with a segmentation request.
    pub segment_octets: u16,
    /// Segmentation request.
    pub segmentation: Segmentation,
    /// Times the packet re-entered the graph (at most 3, then it is dropped as `loop`).
    pub reentries: u8,
    /// With the drop stage: the [`DropReason`](crate::reason::DropReason)'s number.
    pub reason: u8,
    /// The stage at which a parked or handed-over packet resumes.
    pub resume: u8,
    /// VRF of the packet, once known.
    pub vrf: u16,
    /// The stations, for the worker's memory of pairs, and where the packet came into its network. Written by the stages
    /// that find the network.
    pub pair: Pair,
    /// Session of the packet; 0 = none. Written by NAT.
    pub session: u32,
    /// The worker that owns the packet's session, when it is not the one that received it. Written by NAT.
    pub owner: u16,
}

/// Where a packet comes from and where it goes: ingress, network, tunnel and egress of [`Meta`] as they lie there, in one
/// word. A store of eight octets costs a quarter of four stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Ways(u64);

impl Ways {
    /// A packet that came in on `ingress` into `network`; it goes nowhere yet.
    #[inline]
    pub const fn new(ingress: PortId, network: NetworkId) -> Self {
        Self(ingress.0 as u64 | (network.0 as u64) << 16 | u64::MAX << 32)
    }

    /// A packet that came in on `ingress` through `tunnel` into `network`; it goes nowhere yet.
    #[inline(always)]
    pub const fn through(ingress: PortId, network: NetworkId, tunnel: TunnelId) -> Self {
        Self::new(ingress, network).with_way(tunnel.0 as u32 | (PortId::NONE.0 as u32) << 16)
    }

    /// The same with tunnel and egress: the low and the high half of `way`.
    #[inline(always)]
    #[must_use]
    pub const fn with_way(self, way: u32) -> Self {
        Self(self.0 & 0xffff_ffff | (way as u64) << 32)
    }
}

const _: () = assert!(
    core::mem::offset_of!(Meta, ingress) == 0
        && core::mem::offset_of!(Meta, network) == 2
        && core::mem::offset_of!(Meta, tunnel) == 4
        && core::mem::offset_of!(Meta, egress) == 6
        && cfg!(target_endian = "little"),
    "Ways are the first eight octets of Meta"
);

/// Octets of [`Meta`] that are valid from rx on: its first half.
pub const META_RECEIVED_OCTETS: usize = core::mem::offset_of!(Meta, pair);
const _: () = assert!(META_RECEIVED_OCTETS == 32);
const _: () = assert!(core::mem::size_of::<Meta>() <= 64);

impl Meta {
    /// The metadata of a packet that has just come in on `ingress`.
    #[inline]
    pub fn received(ingress: PortId) -> Self {
        Self { ingress, ..Self::default() }
    }

    /// Network and tunnel as one number: packets for which it is the same get the same outer headers.
    #[inline(always)]
    pub const fn encapsulation(&self) -> u32 {
        self.network.0 as u32 | (self.tunnel.0 as u32) << 16
    }

    /// Moves all known offsets by `delta` octets: positive after a prepend, negative after a trim.
    #[inline]
    pub fn shift(&mut self, delta: i16) {
        for offset in [&mut self.l3_offset, &mut self.l4_offset] {
            if *offset != 0 {
                *offset = offset.wrapping_add_signed(delta);
            }
        }
        if self.checksum == Checksum::Partial {
            self.checksum_start = self.checksum_start.wrapping_add_signed(delta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_keep_pointing_at_what_they_pointed_at() {
        let mut meta = Meta { l3_offset: 14, ..Meta::received(PortId(1)) };
        meta.shift(50);
        assert_eq!((meta.l3_offset, meta.l4_offset, meta.checksum_start), (64, 0, 0), "unknown stays unknown");
        let partial = Meta { checksum: Checksum::Partial, checksum_start: 34, l4_offset: 34, ..meta };
        meta = partial;
        meta.shift(-4);
        assert_eq!((meta.l3_offset, meta.l4_offset, meta.checksum_start), (60, 30, 30));
    }
}
