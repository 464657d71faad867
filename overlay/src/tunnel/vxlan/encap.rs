//! Push: a prebuilt header, a few fields patched.

use std::net::IpAddr;

use super::{FLAG_VNI, OVERHEAD_V4_OCTETS, OVERHEAD_V6_OCTETS};
use crate::num::{MacAddr, Vni};
use crate::packet::PacketBuf;
use crate::packet::checksum::sum_range;
use crate::packet::flow::entropy_port;
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

/// The prebuilt outer headers towards one remote endpoint. Over IPv4, a push reads one cache line of it.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct VxlanEncap {
    /// IPv4: sum of the header's constant words. IPv6: unused.
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

const SHIFT_V4: i16 = 50;
const SHIFT_V6: i16 = 70;
const _: () = assert!(SHIFT_V4 as usize == OVERHEAD_V4_OCTETS && SHIFT_V6 as usize == OVERHEAD_V6_OCTETS);
const _: () = assert!(core::mem::offset_of!(VxlanEncap, template) + OVERHEAD_V4_OCTETS <= 64);

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
            ip_sum: ip_sum.folded(),
            udp_sum: udp_sum.folded(),
            copied,
            fixed,
            ipv6: udp_offset == UDP_V6,
            udp_checksum,
            template,
        }
    }

    /// Octets that [`VxlanEncap::push`] puts before the frame: 50 or 70.
    #[inline]
    pub const fn overhead_octets(&self) -> usize {
        if self.ipv6 { OVERHEAD_V6_OCTETS } else { OVERHEAD_V4_OCTETS }
    }

    /// Puts the outer headers before the frame in `packet`.
    ///
    /// `flow_hash` chooses the UDP source port ([`entropy_port`]). A partial checksum of the inner frame
    /// ([`crate::packet::Checksum::Partial`]) must have been finished where an outer UDP checksum is computed, and an
    /// inner VLAN tag stripped where RFC 7348 § 6.1 applies: both are the caller's business. Offsets in the metadata
    /// keep pointing at what they pointed at.
    ///
    /// # Errors
    /// [`DropReason::Headroom`] or, beyond 65,535 octets, [`DropReason::MtuExceeded`]; the packet is unchanged.
    #[inline]
    pub fn push<P: PacketBuf>(
        &self,
        packet: &mut P,
        vni: Vni,
        next_hop_mac: MacAddr,
        flow_hash: u32,
    ) -> Result<(), DropReason> {
        let octets = packet.packet_octets();
        let udp_octets = match u16::try_from(octets) {
            Ok(octets) if octets <= u16::MAX - 20 - UDP_OVERHEAD_OCTETS => octets + UDP_OVERHEAD_OCTETS,
            _ => return Err(DropReason::MtuExceeded),
        };
        let traffic_class = (inner_traffic_class(packet.head()) & self.copied) | self.fixed;
        let source_port = entropy_port(flow_hash);
        let vni = (vni.get() << 8).to_be_bytes();
        let udp_checksum =
            if self.udp_checksum { self.udp_checksum(packet, octets, udp_octets, source_port, vni) } else { [0; 2] };
        if self.ipv6 {
            let header = packet.prepend::<OVERHEAD_V6_OCTETS>().ok_or(DropReason::Headroom)?;
            *header = self.template;
            header[0..6].copy_from_slice(&next_hop_mac.0);
            header[14] = 0x60 | traffic_class >> 4;
            header[15] = traffic_class << 4;
            header[18..20].copy_from_slice(&udp_octets.to_be_bytes());
            header[54..56].copy_from_slice(&source_port.to_be_bytes());
            header[58..60].copy_from_slice(&udp_octets.to_be_bytes());
            header[60..62].copy_from_slice(&udp_checksum);
            header[66..70].copy_from_slice(&vni);
            packet.meta_mut().shift(SHIFT_V6);
        } else {
            let header = packet.prepend::<OVERHEAD_V4_OCTETS>().ok_or(DropReason::Headroom)?;
            if let Some(template) = self.template.first_chunk() {
                *header = *template;
            }
            let total = udp_octets + 20;
            let sum = u32::from(self.ip_sum) + u32::from(total) + u32::from(traffic_class);
            header[0..6].copy_from_slice(&next_hop_mac.0);
            header[15] = traffic_class;
            header[16..18].copy_from_slice(&total.to_be_bytes());
            header[24..26].copy_from_slice(&fold_few(sum).to_be_bytes());
            header[34..36].copy_from_slice(&source_port.to_be_bytes());
            header[38..40].copy_from_slice(&udp_octets.to_be_bytes());
            header[40..42].copy_from_slice(&udp_checksum);
            header[46..50].copy_from_slice(&vni);
            packet.meta_mut().shift(SHIFT_V4);
        }
        Ok(())
    }

    #[inline(never)]
    fn udp_checksum<P: PacketBuf>(
        &self,
        packet: &P,
        octets: usize,
        udp_octets: u16,
        source_port: u16,
        vni: [u8; 4],
    ) -> [u8; 2] {
        let length = udp_octets.to_be_bytes();
        // The length counts twice: in the pseudo header and in the UDP header.
        let sum =
            Sum::from_folded(self.udp_sum).with(&length).with(&length).with(&source_port.to_be_bytes()).with(&vni);
        sum_range(packet, 0, octets, sum).finish_udp().to_be_bytes()
    }
}

/// The checksum of a few 16-bit words, from their sum.
#[inline]
const fn fold_few(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// The traffic class of the IP packet in this frame; 0 when there is none.
#[inline]
fn inner_traffic_class(frame: &[u8]) -> u8 {
    match frame.first_chunk::<16>() {
        Some([.., 0x08, 0x00, _, tos]) => *tos,
        Some([.., 0x86, 0xdd, first, second]) => first << 4 | second >> 4,
        Some([.., 0x81, 0x00, _, _] | [.., 0x88, 0xa8, _, _]) => tagged_traffic_class(frame),
        _ => 0,
    }
}

/// [`inner_traffic_class`] of a frame with one VLAN tag.
#[inline(never)]
fn tagged_traffic_class(frame: &[u8]) -> u8 {
    match frame.first_chunk::<20>() {
        Some([.., 0x08, 0x00, _, tos]) => *tos,
        Some([.., 0x86, 0xdd, first, second]) => first << 4 | second >> 4,
        _ => 0,
    }
}

fn octets16(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
