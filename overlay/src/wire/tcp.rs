//! TCP (RFC 9293 § 3.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Source port          |       Destination port        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        Sequence number                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Acknowledgment number                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Offset| Rsrvd |C|E|U|A|P|R|S|F|            Window             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           Checksum            |        Urgent pointer         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                Options (offset × 4 − 20 octets)               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;

use zerocopy::byteorder::{BE, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{ProtocolInfo, view};
use crate::reason::DropReason;

/// Octets of a header without options.
pub const HEADER_OCTETS: usize = 20;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 16;

/// Control bits, as [`TcpHeader::flags`] has them.
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment number is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;
    /// ECN echo (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;
}

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "TCP",
    rfc: "RFC 9293",
    header_octets_min: HEADER_OCTETS,
    file: "tcp",
    parse_check: |octets| TcpHeader::parse(octets).map(drop),
};

/// The header's fixed 20 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct TcpHeader {
    source_port: U16<BE>,
    destination_port: U16<BE>,
    sequence: U32<BE>,
    acknowledgment: U32<BE>,
    data_offset: u8,
    flags: u8,
    window: U16<BE>,
    checksum: U16<BE>,
    urgent: U16<BE>,
}

/// A segment's parts.
#[derive(Clone, Copy, Debug)]
pub struct TcpSegment<'a> {
    /// The fixed part.
    pub header: &'a TcpHeader,
    /// Options and their padding: 0..=40 octets.
    pub options: &'a [u8],
    /// Data.
    pub data: &'a [u8],
}

impl TcpHeader {
    /// The segment's parts, `octets` being the IP packet's whole payload. [`DropReason::TcpMalformed`] below 20 octets or
    /// when the data offset is below 20 octets or beyond the payload. The checksum is not looked at.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<TcpSegment<'_>, DropReason> {
        let (header, _) = view::<Self>(octets, DropReason::TcpMalformed)?;
        let (head, data) = octets.split_at_checked(header.header_octets()).ok_or(DropReason::TcpMalformed)?;
        let options = head.get(HEADER_OCTETS..).ok_or(DropReason::TcpMalformed)?;
        Ok(TcpSegment { header, options, data })
    }

    /// A header without options and checksum.
    #[inline]
    pub const fn new(source_port: u16, destination_port: u16, sequence: u32, acknowledgment: u32, flags: u8) -> Self {
        Self {
            source_port: U16::new(source_port),
            destination_port: U16::new(destination_port),
            sequence: U32::new(sequence),
            acknowledgment: U32::new(acknowledgment),
            data_offset: 5 << 4,
            flags,
            window: U16::ZERO,
            checksum: U16::ZERO,
            urgent: U16::ZERO,
        }
    }

    /// With this window field.
    #[inline]
    #[must_use]
    pub const fn with_window(mut self, window: u16) -> Self {
        self.window = U16::new(window);
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

    /// Sequence number.
    #[inline]
    pub const fn sequence(&self) -> u32 {
        self.sequence.get()
    }

    /// Acknowledgment number, with [`flags::ACK`].
    #[inline]
    pub const fn acknowledgment(&self) -> u32 {
        self.acknowledgment.get()
    }

    /// Octets of the header, options included, as the data offset field has them: 0..=60.
    #[inline]
    pub const fn header_octets(&self) -> usize {
        (self.data_offset >> 4) as usize * 4
    }

    /// Control bits, see [`flags`].
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Window as written, not scaled.
    #[inline]
    pub const fn window(&self) -> u16 {
        self.window.get()
    }

    /// Checksum as written.
    #[inline]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Sets the checksum field.
    #[inline]
    pub const fn set_checksum(&mut self, checksum: u16) {
        self.checksum = U16::new(checksum);
    }
}

impl fmt::Display for TcpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TCP {} > {} seq {}", self.source_port, self.destination_port, self.sequence)?;
        if self.flags & flags::ACK != 0 {
            write!(f, " ack {}", self.acknowledgment)?;
        }
        write!(f, " flags ")?;
        for (index, letter) in "FSRPAUEC".chars().enumerate() {
            if self.flags & (1 << index) != 0 {
                write!(f, "{letter}")?;
            }
        }
        write!(f, " window {}", self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 20] = [0x00, 0x50, 0xc0, 0x00, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 0xff, 0xff, 0xab, 0xcd, 0, 0];

    #[test]
    fn golden_octets_both_ways() {
        let mut value = TcpHeader::new(80, 0xc000, 1, 2, flags::SYN | flags::ACK).with_window(0xffff);
        value.set_checksum(0xabcd);
        assert_eq!(value.as_bytes(), GOLDEN);
        let parsed = TcpHeader::parse(&GOLDEN).unwrap();
        assert_eq!(*parsed.header, value);
        assert!(parsed.options.is_empty() && parsed.data.is_empty());
        assert_eq!(value.to_string(), "TCP 80 > 49152 seq 1 ack 2 flags SA window 65535");
    }

    #[test]
    fn options_end_at_the_data_offset() {
        let mut octets = [GOLDEN.as_slice(), &[2, 4, 5, 0xb4], b"data"].concat();
        octets[12] = 0x60;
        let parsed = TcpHeader::parse(&octets).unwrap();
        assert_eq!((parsed.options, parsed.data), ([2, 4, 5, 0xb4].as_slice(), b"data".as_slice()));
        for offset in [0x40, 0x80] {
            octets[12] = offset;
            assert_eq!(TcpHeader::parse(&octets).map(drop), Err(DropReason::TcpMalformed));
        }
        assert_eq!(TcpHeader::parse(&octets[..19]).map(drop), Err(DropReason::TcpMalformed));
    }
}
