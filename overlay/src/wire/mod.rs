//! Wire formats, one protocol a file.
//!
//! Every file has the same inner order: the picture of the header and its RFC, constants, the header as a plain
//! structure over octets, parsing, getters, setters and constructors, `Display`, tests.
//!
//! # Contract
//!
//! - **Parsing never panics** and never allocates. Whatever the octets are, the outcome is a view of them or a
//!   [`DropReason`].
//! - **`parse` checks what a receiver of the packet must check**, as each function says, and is for octets that came from
//!   outside. A header structure on its own promises its length only: one that was read by other means than `parse`
//!   may say anything, and its getters return what is written there.
//! - **A header's lengths are about the packet, a slice is about the first segment.** Functions called `parse_header`
//!   take the packet's length beside the octets of the head, because the payload may lie in further segments; `parse` is
//!   for octets that are the whole packet.
//! - **Header structures are values**: `Copy`, without padding, in network byte order. To send one, make it with its
//!   constructor and [`emit`] it, or write it over the octets returned by
//!   [`PacketBuf::prepend`](crate::packet::PacketBuf::prepend) with `write_to`.
//! - **Setters of IPv4 keep the header checksum right** (RFC 1624). Checksums of transport headers are the caller's: they
//!   cover a payload that the header does not know.
//!
//! Adding a protocol is one new file and its two lines here: `pub mod` and an entry in [`PROTOCOLS`], from which tests,
//! fuzz targets and documentation are made.

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod nd;
pub mod tcp;
pub mod udp;
pub mod vlan;
pub mod vxlan;

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::reason::DropReason;

pub use arp::ArpPacket;
pub use ethernet::EthernetHeader;
pub use icmpv4::Icmpv4Header;
pub use icmpv6::Icmpv6Header;
pub use ipv4::Ipv4Header;
pub use ipv6::Ipv6Header;
pub use tcp::TcpHeader;
pub use udp::UdpHeader;
pub use vlan::VlanTag;
pub use vxlan::VxlanHeader;

/// What is common to all protocols: an entry of [`PROTOCOLS`].
#[derive(Clone, Copy, Debug)]
pub struct ProtocolInfo {
    /// Short name, as in text for people.
    pub name: &'static str,
    /// The document that defines the format.
    pub rfc: &'static str,
    /// Octets of the smallest header.
    pub header_octets_min: usize,
    /// The file in `src/wire`, without `.rs`.
    pub file: &'static str,
    /// Parses octets that start with this protocol's header, options included, as strictly as a receiver does.
    pub parse_check: fn(&[u8]) -> Result<(), DropReason>,
}

/// Every protocol of this module.
pub const PROTOCOLS: &[ProtocolInfo] = &[
    ethernet::PROTOCOL,
    vlan::PROTOCOL,
    arp::PROTOCOL,
    ipv4::PROTOCOL,
    ipv6::PROTOCOL,
    icmpv4::PROTOCOL,
    icmpv6::PROTOCOL,
    nd::PROTOCOL,
    udp::PROTOCOL,
    tcp::PROTOCOL,
    vxlan::PROTOCOL,
];

/// Protocol numbers of IPv4's protocol and IPv6's next header field (IANA "Protocol Numbers").
pub mod protocol {
    /// IPv6 hop-by-hop options (RFC 8200 § 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// IPv4 in IP (RFC 2003).
    pub const IPV4: u8 = 4;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// IPv6 in IP (RFC 2473).
    pub const IPV6: u8 = 41;
    /// IPv6 routing header (RFC 8200 § 4.4).
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header (RFC 8200 § 4.5).
    pub const FRAGMENT: u8 = 44;
    /// GRE (RFC 2784).
    pub const GRE: u8 = 47;
    /// ESP (RFC 4303).
    pub const ESP: u8 = 50;
    /// Authentication header (RFC 4302).
    pub const AH: u8 = 51;
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: u8 = 58;
    /// IPv6: nothing follows (RFC 8200 § 4.7).
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options (RFC 8200 § 4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// SCTP (RFC 9260).
    pub const SCTP: u8 = 132;
}

/// Explicit congestion notification: the low two bits of IPv4's TOS and IPv6's traffic class (RFC 3168 § 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Ecn {
    /// Not ECN-capable transport.
    NotEct = 0b00,
    /// ECN-capable transport (1).
    Ect1 = 0b01,
    /// ECN-capable transport (0).
    Ect0 = 0b10,
    /// Congestion experienced.
    Ce = 0b11,
}

impl Ecn {
    /// The low two bits of a TOS or traffic class octet.
    #[inline]
    pub const fn from_tos(tos: u8) -> Self {
        match tos & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "Not-ECT",
            Self::Ect1 => "ECT(1)",
            Self::Ect0 => "ECT(0)",
            Self::Ce => "CE",
        })
    }
}

/// A view of the header `T` at the front of `octets` and what follows it, or `truncated`.
#[inline(always)]
pub fn view<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    octets: &[u8],
    truncated: DropReason,
) -> Result<(&T, &[u8]), DropReason> {
    T::ref_from_prefix(octets).map_err(|_| truncated)
}

/// [`view`], for writing.
#[inline(always)]
pub fn view_mut<T: FromBytes + IntoBytes + KnownLayout + Unaligned>(
    octets: &mut [u8],
    truncated: DropReason,
) -> Result<(&mut T, &mut [u8]), DropReason> {
    T::mut_from_prefix(octets).map_err(|_| truncated)
}

/// Writes `header` to the front of `into` and returns what follows it; `None`, and nothing written, when it does not fit.
#[inline(always)]
pub fn emit<'a, T: IntoBytes + Immutable>(header: &T, into: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (front, rest) = into.split_at_mut_checked(size_of::<T>())?;
    front.copy_from_slice(header.as_bytes());
    Some(rest)
}

#[cfg(test)]
mod tests;
