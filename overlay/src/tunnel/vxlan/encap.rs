//! Push: a prebuilt header, a few fields patched.

use std::net::IpAddr;

use super::{FLAG_VNI, OVERHEAD_V4_OCTETS, OVERHEAD_V6_OCTETS};
use crate::num::{MacAddr, Vni};
use crate::packet::PacketBuf;
use crate::packet::checksum::sum_range;
use crate::packet::flow::{Inner, entropy_port};
use crate::reason::DropReason;
use crate::tunnel::outer::{Dscp, Outer};
use crate::wire::checksum::Sum;
use crate::wire::{udp, vxlan};

const UDP_V4: usize = 34;
const UDP_V6: usize = 54;
/// UDP and VXLAN headers: what the UDP length counts beside the frame.
const UDP_OVERHEAD_OCTETS: u16 = (udp::HEADER_OCTETS + vxlan::HEADER_OCTETS) as u16;

/// What a [`VxlanEncap`] is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VxlanParams {
    /// Addresses and policy of the outer header.
    pub outer: Outer,
    /// The uplink's MAC address: source of the outer frame.
    pub source_mac: MacAddr,
}

/// The prebuilt outer headers towards one remote endpoint; [`VxlanEncap::towards`] completes them for a burst.
#[derive(Clone, Debug)]
pub struct VxlanEncap {
    /// IPv4: sum of the header's constant words, in the order of the wire. IPv6: unused.
    ip_sum: u16,
    /// Sum of what is constant in the UDP checksum: pseudo header, ports, VXLAN flags.
    udp_sum: u16,
    /// Which bits of the inner traffic class are copied: all of it, or only ECN.
    copied: u8,
    /// The fixed DSCP, in place.
    fixed: u8,
    ipv6: bool,
    udp_checksum: bool,
    /// The headers; over IPv4, the first 50 octets.
    template: [u8; OVERHEAD_V6_OCTETS],
}

/// A [`VxlanEncap`] with the VNI and the next hop filled in: what the packets of a burst that go one way share.
#[derive(Clone, Debug)]
pub struct VxlanPush<'a> {
    encap: &'a VxlanEncap,
    vni: Vni,
    next_hop: MacAddr,
    /// The longest frame to be pushed before.
    max_frame_octets: u32,
    /// Over IPv4: the headers.
    v4: PushV4,
    /// IPv4 without UDP checksum.
    plain: bool,
}

/// What [`VxlanPush`] needs over IPv4, and no more: a loop that has a copy of its own keeps it in registers.
#[derive(Clone, Debug)]
pub struct PushV4 {
    /// The headers. What differs from packet to packet is patched.
    header: [u8; OVERHEAD_V4_OCTETS],
    /// As in [`VxlanEncap`].
    ip_sum: u16,
    copied: u8,
    fixed: u8,
}

/// The longest frame whose outer packet is not longer than 65,535 octets, over IPv4.
const FRAME_MAX_OCTETS: u32 = (u16::MAX - 20 - UDP_OVERHEAD_OCTETS) as u32;

impl VxlanEncap {
    /// Builds the headers.
    pub fn new(params: &VxlanParams) -> Self {
        let Outer { local, remote, ttl, dscp, udp_port, udp_checksum, dont_fragment } = params.outer;
        let mut template = [0; OVERHEAD_V6_OCTETS];
        template[6..12].copy_from_slice(&params.source_mac.0);
        let mut udp_sum = Sum::new().with(&[0, 17]).with(&udp_port.to_be_bytes()).with(&[FLAG_VNI, 0]);
        let mut ip_sum = Sum::new();
        let udp_offset = match (local, remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                template[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
                template[20] = if dont_fragment { 0x40 } else { 0 };
                template[22] = ttl;
                template[23] = 17;
                template[26..30].copy_from_slice(&local.octets());
                template[30..34].copy_from_slice(&remote.octets());
                ip_sum = ip_sum.with(&template[14..34]);
                udp_sum = udp_sum.with(&template[26..34]);
                UDP_V4
            }
            (local, remote) => {
                template[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
                template[20] = 17;
                template[21] = ttl;
                template[22..38].copy_from_slice(&octets16(local));
                template[38..54].copy_from_slice(&octets16(remote));
                udp_sum = udp_sum.with(&template[22..54]);
                UDP_V6
            }
        };
        template[udp_offset + 2..udp_offset + 4].copy_from_slice(&udp_port.to_be_bytes());
        template[udp_offset + 8] = FLAG_VNI;
        let (copied, fixed) = match dscp {
            Dscp::Copy => (0xff, 0),
            Dscp::Fixed(value) => (0x03, value << 2),
        };
        Self {
            ip_sum: ip_sum.folded().to_be(),
            udp_sum: udp_sum.folded(),
            copied,
            fixed,
            ipv6: udp_offset == UDP_V6,
            udp_checksum,
            template,
        }
    }

    /// Octets that [`VxlanPush::push`] puts before the frame: 50 or 70.
    #[inline]
    pub const fn overhead_octets(&self) -> usize {
        if self.ipv6 { OVERHEAD_V6_OCTETS } else { OVERHEAD_V4_OCTETS }
    }

    /// The headers of packets of the network `vni` that go to the endpoint by `next_hop`, with frames of up to
    /// `max_frame_octets` in them.
    pub fn towards(&self, vni: Vni, next_hop: MacAddr, max_frame_octets: u32) -> VxlanPush<'_> {
        let mut header = [0; OVERHEAD_V4_OCTETS];
        if let Some(template) = self.template.first_chunk::<OVERHEAD_V4_OCTETS>() {
            header = *template;
        }
        header[0..6].copy_from_slice(&next_hop.0);
        header[46..50].copy_from_slice(&wire_vni(vni));
        let Self { ip_sum, copied, fixed, ipv6, udp_checksum, .. } = *self;
        let plain = !ipv6 && !udp_checksum;
        let max_frame_octets = max_frame_octets.min(FRAME_MAX_OCTETS);
        let v4 = PushV4 { header, ip_sum, copied, fixed };
        VxlanPush { encap: self, vni, next_hop, max_frame_octets, v4, plain }
    }

    #[inline(never)]
    fn udp_checksum<P: PacketBuf>(
        &self,
        packet: &P,
        octets: usize,
        udp_octets: u16,
        source_port: u16,
        vni: [u8; 4],
    ) -> u16 {
        let length = udp_octets.to_be_bytes();
        // The length counts twice: in the pseudo header and in the UDP header.
        let sum =
            Sum::from_folded(self.udp_sum).with(&length).with(&length).with(&source_port.to_be_bytes()).with(&vni);
        sum_range(packet, 0, octets, sum).finish_udp()
    }
}

impl VxlanPush<'_> {
    /// Puts the outer headers before the frame in `packet`.
    ///
    /// `inner` is what [`Inner::of`] says of the frame; its hash chooses the UDP source port ([`entropy_port`]). A partial checksum of the inner frame
    /// ([`crate::packet::Checksum::Partial`]) must have been finished, and an inner VLAN tag stripped where RFC 7348 § 6.1
    /// applies: both are the caller's business. The metadata forgets the inner headers' offsets.
    ///
    /// # Errors
    /// [`DropReason::Headroom`] or, when the frame is too long, [`DropReason::MtuExceeded`]; the packet is unchanged.
    #[inline]
    pub fn push<P: PacketBuf>(&self, packet: &mut P, inner: Inner) -> Result<(), DropReason> {
        let octets = packet.packet_octets();
        if octets > self.max_frame_octets as usize {
            return Err(DropReason::MtuExceeded);
        }
        let pushed = if self.plain {
            self.v4.push(packet, octets as u16, inner, 0)
        } else {
            self.push_other(packet, octets as u16, inner)
        };
        if !pushed {
            return Err(DropReason::Headroom);
        }
        let meta = packet.meta_mut();
        (meta.l3_offset, meta.l4_offset) = (0, 0);
        Ok(())
    }

    /// For a packet whose outer header is IPv4's and has no UDP checksum, [`PushV4::push`] does the same.
    #[inline]
    pub fn plain(&self) -> Option<&PushV4> {
        self.plain.then_some(&self.v4)
    }

    /// Octets that are put before each frame.
    #[inline]
    pub const fn overhead_octets(&self) -> usize {
        self.encap.overhead_octets()
    }

    /// The longest frame to be pushed before.
    #[inline]
    pub const fn max_frame_octets(&self) -> usize {
        self.max_frame_octets as usize
    }

    /// Over IPv6, or with a UDP checksum.
    #[inline(never)]
    fn push_other<P: PacketBuf>(&self, packet: &mut P, octets: u16, inner: Inner) -> bool {
        let encap = self.encap;
        let udp_octets = octets + UDP_OVERHEAD_OCTETS;
        let source_port = entropy_port(inner.flow_hash);
        let udp_checksum = if encap.udp_checksum {
            encap.udp_checksum(packet, usize::from(octets), udp_octets, source_port, wire_vni(self.vni))
        } else {
            0
        };
        if !encap.ipv6 {
            return self.v4.push(packet, octets, inner, udp_checksum);
        }
        let traffic_class = (inner.traffic_class & encap.copied) | encap.fixed;
        self.push_v6(packet, traffic_class, udp_octets, source_port, udp_checksum)
    }

    #[inline]
    fn push_v6<P: PacketBuf>(
        &self,
        packet: &mut P,
        traffic_class: u8,
        udp_octets: u16,
        source_port: u16,
        udp_checksum: u16,
    ) -> bool {
        let Some(header) = packet.prepend::<OVERHEAD_V6_OCTETS>() else { return false };
        *header = self.encap.template;
        header[0..6].copy_from_slice(&self.next_hop.0);
        header[14] = 0x60 | traffic_class >> 4;
        header[15] = traffic_class << 4;
        header[18..20].copy_from_slice(&udp_octets.to_be_bytes());
        header[54..56].copy_from_slice(&source_port.to_be_bytes());
        header[58..60].copy_from_slice(&udp_octets.to_be_bytes());
        header[60..62].copy_from_slice(&udp_checksum.to_be_bytes());
        header[66..70].copy_from_slice(&wire_vni(self.vni));
        true
    }
}

impl PushV4 {
    /// Puts the headers before a frame of `octets`, at most [`VxlanPush::max_frame_octets`]. `false`, and nothing changed, where the
    /// headroom is too short. The metadata's offsets stay what they are: on the usual way nobody has noted any.
    #[inline(always)]
    pub fn push<P: PacketBuf>(&self, packet: &mut P, octets: u16, inner: Inner, udp_checksum: u16) -> bool {
        let Some(header) = packet.prepend::<OVERHEAD_V4_OCTETS>() else { return false };
        let udp_octets = octets + UDP_OVERHEAD_OCTETS;
        let total = (udp_octets + 20).to_be();
        let traffic_class = (inner.traffic_class & self.copied) | self.fixed;
        // In the order of the wire, which RFC 1071 § 2 (B) allows.
        let sum = end_around(end_around(self.ip_sum, total), u16::from(traffic_class).to_be());
        *header = self.header;
        header[15] = traffic_class;
        header[16..18].copy_from_slice(&total.to_ne_bytes());
        header[24..26].copy_from_slice(&(!sum).to_ne_bytes());
        header[34..36].copy_from_slice(&entropy_port(inner.flow_hash).to_be_bytes());
        header[38..40].copy_from_slice(&udp_octets.to_be_bytes());
        if udp_checksum != 0 {
            header[40..42].copy_from_slice(&udp_checksum.to_be_bytes());
        }
        true
    }
}

/// The VNI and the reserved octet behind it (RFC 7348 § 5).
#[inline]
const fn wire_vni(vni: Vni) -> [u8; 4] {
    (vni.get() << 8).to_be_bytes()
}

/// One's complement addition (RFC 1071 § 1).
#[inline(always)]
const fn end_around(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u16)
}

fn octets16(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
