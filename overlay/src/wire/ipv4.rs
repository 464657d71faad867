//! IPv4 (RFC 791; receiver's checks of RFC 1812 § 5.2.2; DSCP of RFC 2474, ECN of RFC 3168).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version|  IHL  |   DSCP    |ECN|          Total length         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Identification        |0|D|M|     Fragment offset     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Time to live |    Protocol   |        Header checksum        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                         Source address                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                      Destination address                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                   Options (IHL × 4 − 20 octets)               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;
use core::net::Ipv4Addr;

use zerocopy::byteorder::{BE, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{checksum, update_u16, update_u32};
use super::{Ecn, ProtocolInfo, view};
use crate::reason::DropReason;

/// Octets of a header without options.
pub const HEADER_OCTETS: usize = 20;
/// Octets of a header with the most options.
pub const HEADER_OCTETS_MAX: usize = 60;
/// Time to live of packets that weir makes (RFC 1700).
pub const TTL_DEFAULT: u8 = 64;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "IPv4",
    rfc: "RFC 791",
    header_octets_min: HEADER_OCTETS,
    file: "ipv4",
    parse_check: |octets| Ipv4Header::parse(octets).map(drop),
};

/// The header's fixed 20 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ipv4Header {
    version_ihl: u8,
    tos: u8,
    total_length: U16<BE>,
    identification: U16<BE>,
    flags_offset: U16<BE>,
    ttl: u8,
    protocol: u8,
    checksum: U16<BE>,
    source: [u8; 4],
    destination: [u8; 4],
}

/// A packet that passed all checks: its parts, without what followed it in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4Packet<'a> {
    /// The fixed part.
    pub header: &'a Ipv4Header,
    /// Options and their padding: 0..=40 octets.
    pub options: &'a [u8],
    /// What the packet carries.
    pub payload: &'a [u8],
}

impl Ipv4Header {
    /// Parses a whole packet, Ethernet padding behind it allowed. The checks are those of [`Ipv4Header::parse_header`].
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<Ipv4Packet<'_>, DropReason> {
        let header = Self::parse_header(octets, octets.len())?;
        let packet = octets.get(..usize::from(header.total_octets())).ok_or(DropReason::Ipv4TotalLength)?;
        let (head, payload) = packet.split_at_checked(header.header_octets()).ok_or(DropReason::Ipv4TotalLength)?;
        Ok(Ipv4Packet { header, options: head.get(HEADER_OCTETS..).unwrap_or_default(), payload })
    }

    /// The header at the front of `octets`, the packet being `packet_octets` long from there on, further segments
    /// included. Makes the checks that RFC 1812 § 5.2.2 asks of a router, in this order:
    ///
    /// | reason | when |
    /// |---|---|
    /// | [`DropReason::Ipv4Truncated`] | less than 20 octets, or less than the header's |
    /// | [`DropReason::Ipv4Version`] | the version is not 4 |
    /// | [`DropReason::Ipv4HeaderLength`] | header length below 20 octets |
    /// | [`DropReason::Ipv4TotalLength`] | total length below the header's or beyond the packet |
    /// | [`DropReason::Ipv4Checksum`] | wrong header checksum |
    #[inline]
    pub fn parse_header(octets: &[u8], packet_octets: usize) -> Result<&Self, DropReason> {
        let (header, _) = view::<Self>(octets, DropReason::Ipv4Truncated)?;
        if header.version() != 4 {
            return Err(DropReason::Ipv4Version);
        }
        let header_octets = header.header_octets();
        if header_octets < HEADER_OCTETS {
            return Err(DropReason::Ipv4HeaderLength);
        }
        let with_options = octets.get(..header_octets).ok_or(DropReason::Ipv4Truncated)?;
        let total_octets = usize::from(header.total_octets());
        if total_octets < header_octets || total_octets > packet_octets {
            return Err(DropReason::Ipv4TotalLength);
        }
        if checksum(with_options) != 0 {
            return Err(DropReason::Ipv4Checksum);
        }
        Ok(header)
    }

    /// A header without options for `payload_octets` of payload (at most 65,515): "don't fragment", TTL 64,
    /// identification 0 (RFC 6864 § 4.1), TOS 0, checksum right.
    #[inline]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload_octets: u16) -> Self {
        let mut header = Self {
            version_ihl: 0x45,
            tos: 0,
            total_length: U16::new(payload_octets.saturating_add(HEADER_OCTETS as u16)),
            identification: U16::ZERO,
            flags_offset: U16::new(DONT_FRAGMENT),
            ttl: TTL_DEFAULT,
            protocol,
            checksum: U16::ZERO,
            source: source.octets(),
            destination: destination.octets(),
        };
        header.checksum = U16::new(checksum(header.as_bytes()));
        header
    }

    /// With this TOS octet.
    #[inline]
    #[must_use]
    pub const fn with_tos(mut self, tos: u8) -> Self {
        self.set_tos(tos);
        self
    }

    /// With this time to live.
    #[inline]
    #[must_use]
    pub const fn with_ttl(mut self, ttl: u8) -> Self {
        self.set_ttl(ttl);
        self
    }

    /// With or without "don't fragment".
    #[inline]
    #[must_use]
    pub const fn with_dont_fragment(mut self, set: bool) -> Self {
        let old = self.flags_offset.get();
        self.set_flags_offset(if set { old | DONT_FRAGMENT } else { old & !DONT_FRAGMENT });
        self
    }

    /// Version field.
    #[inline]
    pub const fn version(&self) -> u8 {
        self.version_ihl >> 4
    }

    /// Octets of the header, options included, as the IHL field has them: 0..=60.
    #[inline]
    pub const fn header_octets(&self) -> usize {
        (self.version_ihl & 0x0f) as usize * 4
    }

    /// Octets of the packet, header included.
    #[inline]
    pub const fn total_octets(&self) -> u16 {
        self.total_length.get()
    }

    /// The whole TOS octet.
    #[inline]
    pub const fn tos(&self) -> u8 {
        self.tos
    }

    /// Differentiated services code point, 0..=63.
    #[inline]
    pub const fn dscp(&self) -> u8 {
        self.tos >> 2
    }

    /// Congestion notification.
    #[inline]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_tos(self.tos)
    }

    /// Identification, of use in fragments only.
    #[inline]
    pub const fn identification(&self) -> u16 {
        self.identification.get()
    }

    /// "Don't fragment".
    #[inline]
    pub const fn dont_fragment(&self) -> bool {
        self.flags_offset.get() & DONT_FRAGMENT != 0
    }

    /// "More fragments".
    #[inline]
    pub const fn more_fragments(&self) -> bool {
        self.flags_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Where this fragment's payload lies in the whole, in octets: a multiple of 8.
    #[inline]
    pub const fn fragment_offset_octets(&self) -> u16 {
        (self.flags_offset.get() & OFFSET_MASK) << 3
    }

    /// Whether this is a fragment, the first one included.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        self.flags_offset.get() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// Time to live.
    #[inline]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Protocol of the payload, see [`super::protocol`].
    #[inline]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Header checksum as written.
    #[inline]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Source address.
    #[inline]
    pub const fn source(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.source;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Destination address.
    #[inline]
    pub const fn destination(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.destination;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Sets the TOS octet; the checksum follows.
    #[inline]
    pub const fn set_tos(&mut self, tos: u8) {
        let version_ihl = self.version_ihl;
        self.update(u16::from_be_bytes([version_ihl, self.tos]), u16::from_be_bytes([version_ihl, tos]));
        self.tos = tos;
    }

    /// Sets the code point (low 6 bits); the checksum follows.
    #[inline]
    pub const fn set_dscp(&mut self, dscp: u8) {
        self.set_tos(dscp << 2 | self.tos & 0b11);
    }

    /// Sets the congestion notification; the checksum follows.
    #[inline]
    pub const fn set_ecn(&mut self, ecn: Ecn) {
        self.set_tos(self.tos & !0b11 | ecn.bits());
    }

    /// Sets the time to live; the checksum follows.
    #[inline]
    pub const fn set_ttl(&mut self, ttl: u8) {
        let protocol = self.protocol;
        self.update(u16::from_be_bytes([self.ttl, protocol]), u16::from_be_bytes([ttl, protocol]));
        self.ttl = ttl;
    }

    /// Sets the octets of the packet, header included; the checksum follows.
    #[inline]
    pub const fn set_total_octets(&mut self, octets: u16) {
        self.update(self.total_length.get(), octets);
        self.total_length = U16::new(octets);
    }

    /// Sets the identification; the checksum follows.
    #[inline]
    pub const fn set_identification(&mut self, identification: u16) {
        self.update(self.identification.get(), identification);
        self.identification = U16::new(identification);
    }

    /// Sets fragment offset (octets, rounded down to a multiple of 8) and "more fragments"; "don't fragment" stays and
    /// the checksum follows.
    #[inline]
    pub const fn set_fragment(&mut self, offset_octets: u16, more: bool) {
        let more = if more { MORE_FRAGMENTS } else { 0 };
        self.set_flags_offset(self.flags_offset.get() & DONT_FRAGMENT | more | offset_octets >> 3);
    }

    /// Sets the source address; the checksum follows.
    #[inline]
    pub const fn set_source(&mut self, address: Ipv4Addr) {
        let old = u32::from_be_bytes(self.source);
        self.checksum = U16::new(update_u32(self.checksum.get(), old, address.to_bits()));
        self.source = address.octets();
    }

    /// Sets the destination address; the checksum follows.
    #[inline]
    pub const fn set_destination(&mut self, address: Ipv4Addr) {
        let old = u32::from_be_bytes(self.destination);
        self.checksum = U16::new(update_u32(self.checksum.get(), old, address.to_bits()));
        self.destination = address.octets();
    }

    #[inline]
    const fn set_flags_offset(&mut self, value: u16) {
        self.update(self.flags_offset.get(), value);
        self.flags_offset = U16::new(value);
    }

    /// The checksum after a field changed.
    #[inline]
    const fn update(&mut self, old: u16, new: u16) {
        self.checksum = U16::new(update_u16(self.checksum.get(), old, new));
    }
}

impl fmt::Display for Ipv4Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPv4 {} > {} protocol {}", self.source(), self.destination(), self.protocol)?;
        write!(f, " length {} ttl {} dscp {} {}", self.total_length, self.ttl, self.dscp(), self.ecn())?;
        if self.is_fragment() {
            let more = if self.more_fragments() { "+" } else { "" };
            write!(f, " fragment {}@{}{more}", self.identification, self.fragment_offset_octets())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::protocol;
    use super::*;

    /// The example of RFC 1071-style worked computations: a UDP datagram of 95 octets.
    const GOLDEN: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8,
        0x00, 0xc7,
    ];

    fn packet() -> Vec<u8> {
        [GOLDEN.as_slice(), &[0; 95]].concat()
    }

    #[test]
    fn golden_octets_both_ways() {
        let value = Ipv4Header::new(Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 199), protocol::UDP, 95);
        assert_eq!(value.as_bytes(), GOLDEN);
        let octets = packet();
        let parsed = Ipv4Header::parse(&octets).unwrap();
        assert_eq!(*parsed.header, value);
        assert_eq!((parsed.options.len(), parsed.payload.len()), (0, 95));
        assert_eq!(value.to_string(), "IPv4 192.168.0.1 > 192.168.0.199 protocol 17 length 115 ttl 64 dscp 0 Not-ECT");
    }

    #[test]
    fn each_check_of_rfc_1812_has_its_own_reason() {
        let broken = |offset: usize, value: u8| {
            let mut octets = packet();
            octets[offset] = value;
            Ipv4Header::parse(&octets).map(|p| p.payload.len())
        };
        assert_eq!(broken(0, 0x65), Err(DropReason::Ipv4Version));
        assert_eq!(broken(0, 0x44), Err(DropReason::Ipv4HeaderLength));
        assert_eq!(broken(3, 19), Err(DropReason::Ipv4TotalLength));
        assert_eq!(broken(3, 116), Err(DropReason::Ipv4TotalLength));
        assert_eq!(broken(8, 63), Err(DropReason::Ipv4Checksum));
        assert_eq!(Ipv4Header::parse(&GOLDEN[..19]).map(drop), Err(DropReason::Ipv4Truncated));
        let mut options = GOLDEN;
        options[0] = 0x46;
        assert_eq!(Ipv4Header::parse(&options).map(drop), Err(DropReason::Ipv4Truncated));
    }

    #[test]
    fn options_are_no_payload_and_padding_is_neither() {
        let mut octets = [GOLDEN.as_slice(), &[1, 1, 1, 0], b"data", &[0xee; 6]].concat();
        octets[0] = 0x46;
        octets[3] = 28;
        octets[10..12].fill(0);
        let sum = checksum(&octets[..24]);
        octets[10..12].copy_from_slice(&sum.to_be_bytes());
        let parsed = Ipv4Header::parse(&octets).unwrap();
        assert_eq!((parsed.options, parsed.payload), ([1, 1, 1, 0].as_slice(), b"data".as_slice()));
    }

    #[test]
    fn a_payload_in_further_segments_is_not_a_short_packet() {
        assert!(Ipv4Header::parse_header(&GOLDEN, 115).is_ok());
        assert_eq!(Ipv4Header::parse_header(&GOLDEN, 114), Err(DropReason::Ipv4TotalLength));
    }

    #[test]
    fn fragments() {
        let mut header = *Ipv4Header::parse_header(&GOLDEN, 115).unwrap();
        assert!(header.dont_fragment() && !header.is_fragment());
        header = header.with_dont_fragment(false);
        header.set_identification(7);
        header.set_fragment(1480, true);
        assert!(header.is_fragment() && header.more_fragments() && !header.dont_fragment());
        assert_eq!(header.fragment_offset_octets(), 1480);
        assert!(header.to_string().ends_with("fragment 7@1480+"));
        header.set_fragment(1480, false);
        assert!(header.is_fragment() && !header.more_fragments());
    }

    proptest! {
        #[test]
        fn setters_leave_the_checksum_as_a_recomputation_would(
            source: u32, destination: u32, tos: u8, ttl: u8, total in 20_u16..=115, id: u16,
            offset: u16, more: bool, ecn in 0_u8..4, dscp in 0_u8..64,
        ) {
            let mut header = *Ipv4Header::parse_header(&GOLDEN, 115).unwrap();
            header.set_source(source.into());
            header.set_destination(destination.into());
            header.set_tos(tos);
            header.set_ttl(ttl);
            header.set_total_octets(total);
            header.set_identification(id);
            header.set_fragment(offset, more);
            prop_assert_eq!(header.tos(), tos);
            header.set_ecn(Ecn::from_tos(ecn));
            header.set_dscp(dscp);
            prop_assert_eq!((header.dscp(), header.ecn().bits()), (dscp, ecn));
            let mut fresh = header;
            fresh.checksum = U16::ZERO;
            prop_assert_eq!(header.checksum(), checksum(fresh.as_bytes()));
            let octets = [header.as_bytes(), &[0; 95]].concat();
            prop_assert_eq!(*Ipv4Header::parse(&octets).unwrap().header, header);
        }
    }
}
