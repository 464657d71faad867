//! UDP (RFC 768; zero checksums over IPv6: RFC 6935).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Source port          |        Destination port       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |             Length            |            Checksum           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;

use zerocopy::byteorder::{BE, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{ProtocolInfo, view};
use crate::reason::DropReason;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 8;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 6;

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "UDP",
    rfc: "RFC 768",
    header_octets_min: HEADER_OCTETS,
    file: "udp",
    parse_check: |octets| UdpHeader::parse(octets).map(drop),
};

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct UdpHeader {
    source_port: U16<BE>,
    destination_port: U16<BE>,
    length: U16<BE>,
    checksum: U16<BE>,
}

impl UdpHeader {
    /// The header and its data, `octets` being the IP packet's whole payload. What the IP payload has beyond the UDP
    /// length is left away.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        let header = Self::parse_header(octets, octets.len())?;
        let data = octets.get(HEADER_OCTETS..usize::from(header.length_octets())).ok_or(DropReason::UdpLength)?;
        Ok((header, data))
    }

    /// The header at the front of `octets`, the IP payload being `payload_octets` long from there on, further segments
    /// included.
    ///
    /// [`DropReason::UdpTruncated`] below 8 octets, [`DropReason::UdpLength`] when the length field is below 8 or beyond
    /// the IP payload. The checksum is not looked at: see [`crate::packet::checksum::verify_l4`].
    #[inline]
    pub fn parse_header(octets: &[u8], payload_octets: usize) -> Result<&Self, DropReason> {
        let (header, _) = view::<Self>(octets, DropReason::UdpTruncated)?;
        let length = usize::from(header.length_octets());
        if length < HEADER_OCTETS || length > payload_octets {
            return Err(DropReason::UdpLength);
        }
        Ok(header)
    }

    /// A header for `data_octets` of data (at most 65,527), without checksum.
    #[inline]
    pub const fn new(source_port: u16, destination_port: u16, data_octets: u16) -> Self {
        Self {
            source_port: U16::new(source_port),
            destination_port: U16::new(destination_port),
            length: U16::new(data_octets.saturating_add(HEADER_OCTETS as u16)),
            checksum: U16::ZERO,
        }
    }

    /// With this checksum field.
    #[inline]
    #[must_use]
    pub const fn with_checksum(mut self, checksum: u16) -> Self {
        self.set_checksum(checksum);
        self
    }

    /// Source port.
    #[inline]
    pub const fn source_port(&self) -> u16 {
        self.source_port.get()
    }

    /// Destination port.
    #[inline]
    pub const fn destination_port(&self) -> u16 {
        self.destination_port.get()
    }

    /// Octets of header and data.
    #[inline]
    pub const fn length_octets(&self) -> u16 {
        self.length.get()
    }

    /// Checksum as written; 0 = none.
    #[inline]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets the checksum field; a computed checksum comes from
    /// [`Sum::finish_udp`](super::checksum::Sum::finish_udp).
    #[inline]
    pub const fn set_checksum(&mut self, checksum: u16) {
        self.checksum = U16::new(checksum);
    }
}

impl fmt::Display for UdpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UDP {} > {} length {}", self.source_port, self.destination_port, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 8] = [0xc0, 0x01, 0x12, 0xb5, 0x00, 0x0c, 0xab, 0xcd];

    #[test]
    fn golden_octets_both_ways() {
        let value = UdpHeader::new(0xc001, 4789, 4).with_checksum(0xabcd);
        assert_eq!(value.as_bytes(), GOLDEN);
        let octets = [GOLDEN.as_slice(), b"data and more"].concat();
        let (parsed, data) = UdpHeader::parse(&octets).unwrap();
        assert_eq!(*parsed, value);
        assert_eq!(data, b"data");
        assert_eq!(value.to_string(), "UDP 49153 > 4789 length 12");
    }

    #[test]
    fn lengths_are_checked_against_the_ip_payload() {
        assert_eq!(UdpHeader::parse(&GOLDEN), Err(DropReason::UdpLength));
        assert!(UdpHeader::parse_header(&GOLDEN, 12).is_ok());
        assert_eq!(UdpHeader::parse_header(&GOLDEN, 11), Err(DropReason::UdpLength));
        assert_eq!(UdpHeader::parse(&GOLDEN[..7]), Err(DropReason::UdpTruncated));
        let mut short = GOLDEN;
        short[5] = 7;
        assert_eq!(UdpHeader::parse(&short), Err(DropReason::UdpLength));
    }
}
