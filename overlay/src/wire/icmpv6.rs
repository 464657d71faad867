//! ICMPv6 (RFC 4443). Neighbour discovery has its own file, [`super::nd`].
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |     Code      |           Checksum            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |    Echo: identifier (16), sequence (16); too big: MTU (32)    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! The checksum covers the IPv6 pseudo header too (RFC 4443 § 2.3).

use core::fmt;
use core::net::Ipv6Addr;

use zerocopy::byteorder::{BE, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::{Sum, update_u16};
use super::{ProtocolInfo, protocol, view};
use crate::reason::DropReason;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 8;
/// Where the checksum lies in the header.
pub const CHECKSUM_OFFSET: usize = 2;

/// Message types (IANA "ICMPv6 type Numbers"). Below [`kind::INFORMATIONAL`] they are errors.
pub mod kind {
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// The first type that is no error (RFC 4443 § 2.1).
    pub const INFORMATIONAL: u8 = 128;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation (RFC 4861).
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement (RFC 4861).
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation (RFC 4861).
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861).
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect (RFC 4861).
    pub const REDIRECT: u8 = 137;
}

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "ICMPv6",
    rfc: "RFC 4443",
    header_octets_min: HEADER_OCTETS,
    file: "icmpv6",
    parse_check: |octets| Icmpv6Header::parse_header(octets).map(drop),
};

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct Icmpv6Header {
    kind: u8,
    code: u8,
    checksum: U16<BE>,
    parameter: U32<BE>,
}

/// The sum over pseudo header and message: [`Sum::finish`] of it is the checksum, or 0 when a right one is in place.
/// The message's length must be below 2³².
#[inline]
pub fn sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Sum {
    Sum::pseudo_v6(source, destination, protocol::ICMPV6, message.len() as u32).with(message)
}

impl Icmpv6Header {
    /// The header of a whole message between these addresses, and its body; [`DropReason::IcmpMalformed`] below 8 octets
    /// or with a wrong checksum.
    #[inline]
    pub fn parse(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        if sum(source, destination, message).finish() != 0 {
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
        Self::error(kind::ECHO_REQUEST, 0, (identifier as u32) << 16 | sequence as u32)
    }

    /// An echo reply, checksum 0.
    #[inline]
    pub const fn echo_reply(identifier: u16, sequence: u16) -> Self {
        Self::error(kind::ECHO_REPLY, 0, (identifier as u32) << 16 | sequence as u32)
    }

    /// "Packet too big" with the MTU of the next hop (RFC 4443 § 3.2), checksum 0. The body is as much of the packet as
    /// fits 1,280 octets.
    #[inline]
    pub const fn packet_too_big(mtu_octets: u32) -> Self {
        Self::error(kind::PACKET_TOO_BIG, 0, mtu_octets)
    }

    /// An error message with its parameter (0 where there is none), checksum 0.
    #[inline]
    pub const fn error(kind: u8, code: u8, parameter: u32) -> Self {
        Self { kind, code, checksum: U16::ZERO, parameter: U32::new(parameter) }
    }

    /// With the checksum of pseudo header, header and body.
    #[inline]
    #[must_use]
    pub fn with_checksum_over(mut self, source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> Self {
        self.checksum = U16::ZERO;
        let length = (HEADER_OCTETS + body.len()) as u32;
        let pseudo = Sum::pseudo_v6(source, destination, protocol::ICMPV6, length);
        self.checksum = U16::new(pseudo.with(self.as_bytes()).with(body).finish());
        self
    }

    /// Turns an echo request into its reply, in place; the checksum follows without a look at the body (RFC 1624), which
    /// is right when source and destination address are exchanged or the caller accounts for their change.
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

    /// Code.
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
        (self.parameter.get() >> 16) as u16
    }

    /// Sequence number of an echo request or reply.
    #[inline]
    pub const fn sequence(&self) -> u16 {
        self.parameter.get() as u16
    }

    /// The next hop's MTU in octets, in "packet too big".
    #[inline]
    pub const fn mtu_octets(&self) -> u32 {
        self.parameter.get()
    }

    /// Whether this is an error message, to which no error may be sent (RFC 4443 § 2.4 (e.1)).
    #[inline]
    pub const fn is_error(&self) -> bool {
        self.kind < kind::INFORMATIONAL
    }
}

impl fmt::Display for Icmpv6Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, sequence) = (self.identifier(), self.sequence());
        match self.kind {
            kind::ECHO_REQUEST => write!(f, "ICMPv6 echo request id {id} seq {sequence}"),
            kind::ECHO_REPLY => write!(f, "ICMPv6 echo reply id {id} seq {sequence}"),
            kind::PACKET_TOO_BIG => write!(f, "ICMPv6 packet too big, mtu {}", self.mtu_octets()),
            kind => write!(f, "ICMPv6 type {kind} code {}", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const DESTINATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const GOLDEN: [u8; 12] = [128, 0, 0x4b, 0x79, 0x00, 0x07, 0x00, 0x01, b'd', b'a', b't', b'a'];

    #[test]
    fn golden_octets_both_ways() {
        let value = Icmpv6Header::echo_request(7, 1).with_checksum_over(SOURCE, DESTINATION, b"data");
        assert_eq!(value.as_bytes(), &GOLDEN[..8]);
        let (parsed, body) = Icmpv6Header::parse(SOURCE, DESTINATION, &GOLDEN).unwrap();
        assert_eq!((*parsed, body), (value, b"data".as_slice()));
        assert_eq!((parsed.identifier(), parsed.sequence()), (7, 1));
        assert_eq!(parsed.to_string(), "ICMPv6 echo request id 7 seq 1");
    }

    #[test]
    fn the_checksum_covers_the_addresses() {
        let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);
        assert_eq!(Icmpv6Header::parse(SOURCE, other, &GOLDEN), Err(DropReason::IcmpMalformed));
        assert!(Icmpv6Header::parse(DESTINATION, SOURCE, &GOLDEN).is_ok(), "a sum does not know the order");
        assert_eq!(Icmpv6Header::parse_header(&GOLDEN[..7]), Err(DropReason::IcmpMalformed));
    }

    #[test]
    fn a_reply_made_in_place_has_the_checksum_of_a_new_one() {
        let mut header = *Icmpv6Header::parse_header(&GOLDEN).unwrap().0;
        header.make_echo_reply();
        assert_eq!(header, Icmpv6Header::echo_reply(7, 1).with_checksum_over(DESTINATION, SOURCE, b"data"));
    }

    #[test]
    fn errors_are_known_as_such() {
        let too_big = Icmpv6Header::packet_too_big(0x1_0203);
        assert_eq!(too_big.as_bytes(), [2, 0, 0, 0, 0, 1, 2, 3]);
        assert!(too_big.is_error() && !Icmpv6Header::echo_request(1, 1).is_error());
        assert_eq!(too_big.to_string(), "ICMPv6 packet too big, mtu 66051");
    }
}
