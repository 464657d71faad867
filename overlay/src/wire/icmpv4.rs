//! ICMP for IPv4 (RFC 792; router's use of it: RFC 1812 § 4.3; next-hop MTU: RFC 1191 § 4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |     Code      |           Checksum            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Echo: identifier (16), sequence (16); too big: 0 (16), MTU   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! The checksum is over the message alone, without a pseudo header.

use core::fmt;

use zerocopy::byteorder::{BE, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{Sum, checksum, update_u16};
use super::{ProtocolInfo, view};
use crate::reason::DropReason;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 8;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 2;

/// Message types (IANA "ICMP Type Numbers").
pub mod kind {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    /// Source quench (deprecated, RFC 6633).
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Codes of "destination unreachable" (RFC 792, RFC 1812 § 5.2.7.1).
pub mod unreachable {
    /// No route to the network.
    pub const NETWORK: u8 = 0;
    /// The host does not answer.
    pub const HOST: u8 = 1;
    /// The host does not have the protocol.
    pub const PROTOCOL: u8 = 2;
    /// Nobody listens on the port.
    pub const PORT: u8 = 3;
    /// Too big for the next hop, and must not be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Forbidden by a rule.
    pub const ADMINISTRATIVELY_PROHIBITED: u8 = 13;
}

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "ICMP",
    rfc: "RFC 792",
    header_octets_min: HEADER_OCTETS,
    file: "icmpv4",
    parse_check: |octets| Icmpv4Header::parse(octets).map(drop),
};

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct Icmpv4Header {
    kind: u8,
    code: u8,
    checksum: U16<BE>,
    first: U16<BE>,
    second: U16<BE>,
}

impl Icmpv4Header {
    /// The header of a whole message and its body; [`DropReason::IcmpMalformed`] below 8 octets or with a wrong
    /// checksum.
    #[inline]
    pub fn parse(message: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        if checksum(message) != 0 {
            return Err(DropReason::IcmpMalformed);
        }
        Self::parse_header(message)
    }

    /// The header at the front of `octets`; [`DropReason::IcmpMalformed`] below 8 octets. The checksum is not looked at.
    #[inline]
    pub fn parse_header(octets: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        view(octets, DropReason::IcmpMalformed)
    }

    /// An echo request, checksum 0.
    #[inline]
    pub const fn echo_request(identifier: u16, sequence: u16) -> Self {
        Self::new(kind::ECHO_REQUEST, 0, identifier, sequence)
    }

    /// An echo reply, checksum 0.
    #[inline]
    pub const fn echo_reply(identifier: u16, sequence: u16) -> Self {
        Self::new(kind::ECHO_REPLY, 0, identifier, sequence)
    }

    /// "Fragmentation needed" with the MTU of the next hop (RFC 1191 § 4), checksum 0. The body is the packet that was
    /// too big: header and first octets.
    #[inline]
    pub const fn fragmentation_needed(mtu_octets: u16) -> Self {
        Self::new(kind::DESTINATION_UNREACHABLE, unreachable::FRAGMENTATION_NEEDED, 0, mtu_octets)
    }

    /// An error message without parameter, checksum 0. The body is the packet at fault: header and first octets.
    #[inline]
    pub const fn error(kind: u8, code: u8) -> Self {
        Self::new(kind, code, 0, 0)
    }

    #[inline]
    const fn new(kind: u8, code: u8, first: u16, second: u16) -> Self {
        Self { kind, code, checksum: U16::ZERO, first: U16::new(first), second: U16::new(second) }
    }

    /// With the checksum of header and body.
    #[inline]
    #[must_use]
    pub fn with_checksum_over(mut self, body: &[u8]) -> Self {
        self.checksum = U16::ZERO;
        self.checksum = U16::new(Sum::new().with(self.as_bytes()).with(body).finish());
        self
    }

    /// Turns an echo request into its reply, in place; the checksum follows without a look at the body (RFC 1624).
    #[inline]
    pub const fn make_echo_reply(&mut self) {
        let old = u16::from_be_bytes([self.kind, self.code]);
        self.checksum = U16::new(update_u16(self.checksum.get(), old, u16::from_be_bytes([kind::ECHO_REPLY, 0])));
        self.kind = kind::ECHO_REPLY;
        self.code = 0;
    }

    /// Type, see [`kind`].
    #[inline]
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Code, see [`mod@unreachable`].
    #[inline]
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// Checksum as written.
    #[inline]
    pub const fn checksum(&self) -> u16 {
        self.checksum.get()
    }

    /// Identifier of an echo request or reply.
    #[inline]
    pub const fn identifier(&self) -> u16 {
        self.first.get()
    }

    /// Sequence number of an echo request or reply.
    #[inline]
    pub const fn sequence(&self) -> u16 {
        self.second.get()
    }

    /// The next hop's MTU in octets, in "fragmentation needed".
    #[inline]
    pub const fn mtu_octets(&self) -> u16 {
        self.second.get()
    }

    /// Whether this is an error message, to which no error may be sent (RFC 1812 § 4.3.2.7).
    #[inline]
    pub const fn is_error(&self) -> bool {
        matches!(
            self.kind,
            kind::DESTINATION_UNREACHABLE
                | kind::SOURCE_QUENCH
                | kind::REDIRECT
                | kind::TIME_EXCEEDED
                | kind::PARAMETER_PROBLEM
        )
    }
}

impl fmt::Display for Icmpv4Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, sequence) = (self.identifier(), self.sequence());
        match (self.kind, self.code) {
            (kind::ECHO_REQUEST, _) => write!(f, "ICMP echo request id {id} seq {sequence}"),
            (kind::ECHO_REPLY, _) => write!(f, "ICMP echo reply id {id} seq {sequence}"),
            (kind::DESTINATION_UNREACHABLE, unreachable::FRAGMENTATION_NEEDED) => {
                write!(f, "ICMP fragmentation needed, mtu {}", self.mtu_octets())
            }
            (kind, code) => write!(f, "ICMP type {kind} code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 12] = [8, 0, 0x1f, 0x35, 0x00, 0x07, 0x00, 0x01, b'd', b'a', b't', b'a'];

    #[test]
    fn golden_octets_both_ways() {
        let value = Icmpv4Header::echo_request(7, 1).with_checksum_over(b"data");
        assert_eq!(value.as_bytes(), &GOLDEN[..8]);
        let (parsed, body) = Icmpv4Header::parse(&GOLDEN).unwrap();
        assert_eq!((*parsed, body), (value, b"data".as_slice()));
        assert_eq!((parsed.identifier(), parsed.sequence()), (7, 1));
        assert_eq!(parsed.to_string(), "ICMP echo request id 7 seq 1");
    }

    #[test]
    fn a_wrong_checksum_and_a_cut_header_are_refused() {
        let mut octets = GOLDEN;
        octets[11] ^= 1;
        assert_eq!(Icmpv4Header::parse(&octets), Err(DropReason::IcmpMalformed));
        assert!(Icmpv4Header::parse_header(&octets).is_ok());
        assert_eq!(Icmpv4Header::parse(&GOLDEN[..7]), Err(DropReason::IcmpMalformed));
        assert_eq!(Icmpv4Header::parse(&[0xff; 2]), Err(DropReason::IcmpMalformed));
    }

    #[test]
    fn a_reply_made_in_place_has_the_checksum_of_a_new_one() {
        let mut octets = GOLDEN;
        let (header, _) = super::super::view_mut::<Icmpv4Header>(&mut octets, DropReason::IcmpMalformed).unwrap();
        header.make_echo_reply();
        assert_eq!(*header, Icmpv4Header::echo_reply(7, 1).with_checksum_over(b"data"));
        assert!(Icmpv4Header::parse(&octets).is_ok());
    }

    #[test]
    fn errors_are_known_as_such() {
        let too_big = Icmpv4Header::fragmentation_needed(1450);
        assert_eq!(too_big.as_bytes(), [3, 4, 0, 0, 0, 0, 0x05, 0xaa]);
        assert_eq!(too_big.to_string(), "ICMP fragmentation needed, mtu 1450");
        assert!(too_big.is_error() && Icmpv4Header::error(kind::TIME_EXCEEDED, 0).is_error());
        assert!(!Icmpv4Header::echo_request(0, 0).is_error() && !Icmpv4Header::echo_reply(0, 0).is_error());
    }
}
