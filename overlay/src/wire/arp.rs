//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |       Hardware type (1)       |    Protocol type (0x0800)     |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Hw length (6) | Pr length (4) |           Operation           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Sender hardware address                    |
//! +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                               |  Sender protocol address ...  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  ... sender protocol address  |  Target hardware address ...  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
//! |                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Target protocol address                    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;
use core::net::Ipv4Addr;

use zerocopy::byteorder::{BE, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{ProtocolInfo, ethernet::ethertype, view};
use crate::num::MacAddr;
use crate::reason::DropReason;

/// Octets of a packet.
pub const PACKET_OCTETS: usize = 28;
/// Operation: who has the target protocol address?
pub const REQUEST: u16 = 1;
/// Operation: the sender has.
pub const REPLY: u16 = 2;
const HARDWARE_ETHERNET: u16 = 1;

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "ARP",
    rfc: "RFC 826",
    header_octets_min: PACKET_OCTETS,
    file: "arp",
    parse_check: |octets| ArpPacket::parse(octets).map(drop),
};

/// The whole packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct ArpPacket {
    hardware_type: U16<BE>,
    protocol_type: U16<BE>,
    hardware_octets: u8,
    protocol_octets: u8,
    operation: U16<BE>,
    sender_mac: [u8; 6],
    sender_ip: [u8; 4],
    target_mac: [u8; 6],
    target_ip: [u8; 4],
}

impl ArpPacket {
    /// The packet and the padding that follows it.
    ///
    /// [`DropReason::ArpMalformed`] below 28 octets, or when the address types or lengths are not those of Ethernet and
    /// IPv4, the checks that RFC 826 ("Packet Reception") makes first. The operation may be any.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        let (packet, rest) = view::<Self>(octets, DropReason::ArpMalformed)?;
        let right = packet.hardware_type.get() == HARDWARE_ETHERNET
            && packet.protocol_type.get() == ethertype::IPV4
            && packet.hardware_octets == 6
            && packet.protocol_octets == 4;
        if right { Ok((packet, rest)) } else { Err(DropReason::ArpMalformed) }
    }

    /// A packet with these values.
    #[inline]
    pub const fn new(
        operation: u16,
        sender_mac: MacAddr,
        sender_ip: Ipv4Addr,
        target_mac: MacAddr,
        target_ip: Ipv4Addr,
    ) -> Self {
        Self {
            hardware_type: U16::new(HARDWARE_ETHERNET),
            protocol_type: U16::new(ethertype::IPV4),
            hardware_octets: 6,
            protocol_octets: 4,
            operation: U16::new(operation),
            sender_mac: sender_mac.0,
            sender_ip: sender_ip.octets(),
            target_mac: target_mac.0,
            target_ip: target_ip.octets(),
        }
    }

    /// "Who has `target_ip`? Tell `sender_ip`"; with both the same it is an announcement (RFC 5227 § 3).
    #[inline]
    pub const fn request(sender_mac: MacAddr, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Self {
        Self::new(REQUEST, sender_mac, sender_ip, MacAddr::ZERO, target_ip)
    }

    /// The answer to this request: the address asked for is at `mac`.
    #[inline]
    #[must_use]
    pub const fn answer(&self, mac: MacAddr) -> Self {
        Self::new(REPLY, mac, self.target_ip(), self.sender_mac(), self.sender_ip())
    }

    /// [`REQUEST`], [`REPLY`] or another value.
    #[inline]
    pub const fn operation(&self) -> u16 {
        self.operation.get()
    }

    /// Sender hardware address.
    #[inline]
    pub const fn sender_mac(&self) -> MacAddr {
        MacAddr(self.sender_mac)
    }

    /// Sender protocol address.
    #[inline]
    pub const fn sender_ip(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.sender_ip;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Target hardware address; without meaning in a request.
    #[inline]
    pub const fn target_mac(&self) -> MacAddr {
        MacAddr(self.target_mac)
    }

    /// Target protocol address.
    #[inline]
    pub const fn target_ip(&self) -> Ipv4Addr {
        let [a, b, c, d] = self.target_ip;
        Ipv4Addr::new(a, b, c, d)
    }
}

impl fmt::Display for ArpPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation() {
            REQUEST => write!(f, "ARP who has {}? tell {} ({})", self.target_ip(), self.sender_ip(), self.sender_mac()),
            REPLY => write!(f, "ARP {} is at {}", self.sender_ip(), self.sender_mac()),
            other => write!(f, "ARP operation {other} from {} ({})", self.sender_ip(), self.sender_mac()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 28] = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2];

    #[test]
    fn golden_octets_both_ways() {
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let value = ArpPacket::request(mac, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(value.as_bytes(), GOLDEN);
        assert_eq!(*ArpPacket::parse(&GOLDEN).unwrap().0, value);
        assert_eq!(value.to_string(), "ARP who has 192.0.2.2? tell 192.0.2.1 (02:00:00:00:00:01)");
    }

    #[test]
    fn an_answer_goes_back_to_who_asked() {
        let request = *ArpPacket::parse(&GOLDEN).unwrap().0;
        let answer = request.answer(MacAddr([2, 0, 0, 0, 0, 2]));
        assert_eq!(answer.operation(), REPLY);
        assert_eq!(answer.sender_ip(), request.target_ip());
        assert_eq!(answer.target_ip(), request.sender_ip());
        assert_eq!(answer.target_mac(), request.sender_mac());
        assert_eq!(answer.to_string(), "ARP 192.0.2.2 is at 02:00:00:00:00:02");
    }

    #[test]
    fn other_address_types_are_refused() {
        for (offset, value) in [(1, 6), (2, 0x86), (3, 1), (4, 8), (5, 16)] {
            let mut octets = GOLDEN;
            octets[offset] = value;
            assert_eq!(ArpPacket::parse(&octets), Err(DropReason::ArpMalformed), "octet {offset} = {value}");
        }
        assert_eq!(ArpPacket::parse(&GOLDEN[..27]), Err(DropReason::ArpMalformed));
    }
}
