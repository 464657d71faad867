//! IPv6 and its extension headers (RFC 8200; authentication header of RFC 4302).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Traffic class |              Flow label               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Payload length        |  Next header  |   Hop limit   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                  Source address (16 octets)                   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                Destination address (16 octets)                |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Jumbograms (RFC 2675) are not supported: their payload length of 0 is taken at its word.

use core::fmt;
use core::net::Ipv6Addr;

use zerocopy::byteorder::{BE, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Ecn, ProtocolInfo, protocol, view};
use crate::reason::DropReason;

/// Octets of the header without extensions.
pub const HEADER_OCTETS: usize = 40;
/// Hop limit of packets that weir makes.
pub const HOP_LIMIT_DEFAULT: u8 = 64;
/// More extension headers than this are not walked.
pub const EXTENSIONS_MAX: usize = 8;

const OFFSET_MASK: u16 = 0xfff8;
const MORE_FRAGMENTS: u16 = 1;

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "IPv6",
    rfc: "RFC 8200",
    header_octets_min: HEADER_OCTETS,
    file: "ipv6",
    parse_check: |octets| Ipv6Header::parse(octets).map(drop),
};

/// The header's fixed 40 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ipv6Header {
    version_class_label: U32<BE>,
    payload_length: U16<BE>,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}

/// What a fragment header says (RFC 8200 § 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Where the fragment lies in the whole, in octets: a multiple of 8.
    pub offset_octets: u16,
    /// Whether fragments follow.
    pub more: bool,
    /// Identification.
    pub identification: u32,
}

impl Fragment {
    /// An "atomic fragment" is whole: offset 0, no more (RFC 6946).
    #[inline]
    pub const fn is_atomic(self) -> bool {
        self.offset_octets == 0 && !self.more
    }
}

/// What the extension headers lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpperLayer {
    /// The first next header value that is not an extension header's.
    pub protocol: u8,
    /// Where it starts, in octets from the start of the IPv6 header. In a fragment that is not the first, what is there
    /// is not the protocol's header.
    pub offset: usize,
    /// Present when a fragment header was passed.
    pub fragment: Option<Fragment>,
}

/// A packet that passed all checks: its parts, without what followed it in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Packet<'a> {
    /// The fixed part.
    pub header: &'a Ipv6Header,
    /// What the extension headers lead to.
    pub upper: UpperLayer,
    /// The octets from `upper.offset` on.
    pub payload: &'a [u8],
}

impl Ipv6Header {
    /// Parses a whole packet, Ethernet padding behind it allowed, and walks its extension headers.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<Ipv6Packet<'_>, DropReason> {
        let header = Self::parse_header(octets, octets.len())?;
        let packet = octets.get(..header.packet_octets()).ok_or(DropReason::Ipv6PayloadLength)?;
        let upper = walk(packet)?;
        let payload = packet.get(upper.offset..).ok_or(DropReason::Ipv6Truncated)?;
        Ok(Ipv6Packet { header, upper, payload })
    }

    /// The header at the front of `octets`, the packet being `packet_octets` long from there on, further segments
    /// included.
    ///
    /// [`DropReason::Ipv6Truncated`] below 40 octets, [`DropReason::Ipv6Version`] when the version is not 6,
    /// [`DropReason::Ipv6PayloadLength`] when the payload would end beyond the packet.
    #[inline]
    pub fn parse_header(octets: &[u8], packet_octets: usize) -> Result<&Self, DropReason> {
        let (header, _) = view::<Self>(octets, DropReason::Ipv6Truncated)?;
        if header.version() != 6 {
            return Err(DropReason::Ipv6Version);
        }
        if header.packet_octets() > packet_octets {
            return Err(DropReason::Ipv6PayloadLength);
        }
        Ok(header)
    }

    /// A header for `payload_octets` of payload: hop limit 64, traffic class and flow label 0.
    #[inline]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8, payload_octets: u16) -> Self {
        Self {
            version_class_label: U32::new(6 << 28),
            payload_length: U16::new(payload_octets),
            next_header,
            hop_limit: HOP_LIMIT_DEFAULT,
            source: source.octets(),
            destination: destination.octets(),
        }
    }

    /// With this traffic class octet.
    #[inline]
    #[must_use]
    pub const fn with_traffic_class(mut self, class: u8) -> Self {
        self.set_traffic_class(class);
        self
    }

    /// With this flow label (low 20 bits).
    #[inline]
    #[must_use]
    pub const fn with_flow_label(mut self, label: u32) -> Self {
        self.version_class_label = U32::new(self.version_class_label.get() & 0xfff0_0000 | label & 0x000f_ffff);
        self
    }

    /// With this hop limit.
    #[inline]
    #[must_use]
    pub const fn with_hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Version field.
    #[inline]
    pub const fn version(&self) -> u8 {
        (self.version_class_label.get() >> 28) as u8
    }

    /// The whole traffic class octet.
    #[inline]
    pub const fn traffic_class(&self) -> u8 {
        (self.version_class_label.get() >> 20) as u8
    }

    /// Differentiated services code point, 0..=63.
    #[inline]
    pub const fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }

    /// Congestion notification.
    #[inline]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_tos(self.traffic_class())
    }

    /// Flow label, 20 bits.
    #[inline]
    pub const fn flow_label(&self) -> u32 {
        self.version_class_label.get() & 0x000f_ffff
    }

    /// Octets behind the header, extension headers included.
    #[inline]
    pub const fn payload_octets(&self) -> u16 {
        self.payload_length.get()
    }

    /// Octets of the packet, header included.
    #[inline]
    pub const fn packet_octets(&self) -> usize {
        HEADER_OCTETS + self.payload_length.get() as usize
    }

    /// Protocol of what follows the header, see [`protocol`]; may be an extension header.
    #[inline]
    pub const fn next_header(&self) -> u8 {
        self.next_header
    }

    /// Hop limit.
    #[inline]
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// Source address.
    #[inline]
    pub const fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.source)
    }

    /// Destination address.
    #[inline]
    pub const fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.destination)
    }

    /// Sets the traffic class octet.
    #[inline]
    pub const fn set_traffic_class(&mut self, class: u8) {
        self.version_class_label = U32::new(self.version_class_label.get() & 0xf00f_ffff | (class as u32) << 20);
    }

    /// Sets the congestion notification.
    #[inline]
    pub const fn set_ecn(&mut self, ecn: Ecn) {
        self.set_traffic_class(self.traffic_class() & !0b11 | ecn.bits());
    }

    /// Sets the hop limit.
    #[inline]
    pub const fn set_hop_limit(&mut self, hop_limit: u8) {
        self.hop_limit = hop_limit;
    }

    /// Sets the octets behind the header.
    #[inline]
    pub const fn set_payload_octets(&mut self, octets: u16) {
        self.payload_length = U16::new(octets);
    }

    /// Sets the source address; a transport checksum that covers it is the caller's.
    #[inline]
    pub const fn set_source(&mut self, address: Ipv6Addr) {
        self.source = address.octets();
    }

    /// Sets the destination address; a transport checksum that covers it is the caller's.
    #[inline]
    pub const fn set_destination(&mut self, address: Ipv6Addr) {
        self.destination = address.octets();
    }
}

/// The two octets that all extension headers but the fragment header start with.
#[derive(FromBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
struct ExtensionHeader {
    next_header: u8,
    length: u8,
}

/// The fragment header.
#[derive(FromBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
struct FragmentHeader {
    next_header: u8,
    reserved: u8,
    offset_flags: U16<BE>,
    identification: U32<BE>,
}

/// Follows the extension headers of the packet in `octets`, which start at the IPv6 header and end with the packet or
/// with its first segment.
///
/// [`DropReason::Ipv6Truncated`] when `octets` ends first, [`DropReason::Ipv6Extension`] when there are more than
/// [`EXTENSIONS_MAX`], when a hop-by-hop header is not the first (RFC 8200 § 4.1), or when a second fragment header
/// follows. The walk ends behind the header of a fragment that is not the first.
#[inline]
pub fn walk(octets: &[u8]) -> Result<UpperLayer, DropReason> {
    let (header, mut rest) = view::<Ipv6Header>(octets, DropReason::Ipv6Truncated)?;
    let mut upper = UpperLayer { protocol: header.next_header, offset: HEADER_OCTETS, fragment: None };
    for index in 0..=EXTENSIONS_MAX {
        let length = match upper.protocol {
            protocol::HOP_BY_HOP if index != 0 => return Err(DropReason::Ipv6Extension),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                let (extension, _) = view::<ExtensionHeader>(rest, DropReason::Ipv6Truncated)?;
                upper.protocol = extension.next_header;
                (usize::from(extension.length) + 1) * 8
            }
            protocol::AH => {
                let (extension, _) = view::<ExtensionHeader>(rest, DropReason::Ipv6Truncated)?;
                upper.protocol = extension.next_header;
                (usize::from(extension.length) + 2) * 4
            }
            protocol::FRAGMENT => {
                if upper.fragment.is_some() {
                    return Err(DropReason::Ipv6Extension);
                }
                let (extension, _) = view::<FragmentHeader>(rest, DropReason::Ipv6Truncated)?;
                upper.protocol = extension.next_header;
                upper.fragment = Some(Fragment {
                    offset_octets: extension.offset_flags.get() & OFFSET_MASK,
                    more: extension.offset_flags.get() & MORE_FRAGMENTS != 0,
                    identification: extension.identification.get(),
                });
                size_of::<FragmentHeader>()
            }
            _ => return Ok(upper),
        };
        rest = rest.get(length..).ok_or(DropReason::Ipv6Truncated)?;
        upper.offset += length;
        if upper.fragment.is_some_and(|fragment| fragment.offset_octets != 0) {
            return Ok(upper);
        }
    }
    Err(DropReason::Ipv6Extension)
}

/// The solicited-node multicast address of `address` (RFC 4291 § 2.7.1).
#[inline]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., b, c, d] = address.octets();
    Ipv6Addr::from_octets([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, b, c, d])
}

impl fmt::Display for Ipv6Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv6 {} > {} next header {}", self.source(), self.destination(), self.next_header)?;
        write!(f, " payload {} hop limit {} dscp {} {}", self.payload_length, self.hop_limit, self.dscp(), self.ecn())
    }
}

#[cfg(test)]
mod tests;
