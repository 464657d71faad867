//! Ethernet II framing (IEEE 802.3 § 3.1.1, RFC 894).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                      Destination address                      |
//! +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                               |                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
//! |                        Source address                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           EtherType           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::byteorder::{BE, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{ProtocolInfo, view};
use crate::num::MacAddr;
use crate::reason::DropReason;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 14;

/// EtherTypes (IANA "IEEE 802 Numbers").
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IEEE 802.1Q customer VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// MPLS with downstream-assigned label.
    pub const MPLS: u16 = 0x8847;
    /// IEEE 802.1ad service VLAN tag.
    pub const VLAN_SERVICE: u16 = 0x88a8;
    /// Smallest value that is a type; below, the field is the length of an IEEE 802.2 frame.
    pub const MIN: u16 = 0x0600;
}

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "Ethernet",
    rfc: "RFC 894",
    header_octets_min: HEADER_OCTETS,
    file: "ethernet",
    parse_check: |octets| EthernetHeader::parse(octets).map(drop),
};

/// The header: addresses and EtherType.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct EthernetHeader {
    destination: [u8; 6],
    source: [u8; 6],
    ethertype: U16<BE>,
}

impl EthernetHeader {
    /// The header and what follows it; [`DropReason::EthernetTruncated`] below 14 octets.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        view(octets, DropReason::EthernetTruncated)
    }

    /// A header with these values.
    #[inline]
    pub const fn new(destination: MacAddr, source: MacAddr, ethertype: u16) -> Self {
        Self { destination: destination.0, source: source.0, ethertype: U16::new(ethertype) }
    }

    /// Destination address.
    #[inline]
    pub const fn destination(&self) -> MacAddr {
        MacAddr(self.destination)
    }

    /// Source address.
    #[inline]
    pub const fn source(&self) -> MacAddr {
        MacAddr(self.source)
    }

    /// EtherType, or below [`ethertype::MIN`] a length.
    #[inline]
    pub const fn ethertype(&self) -> u16 {
        self.ethertype.get()
    }

    /// Sets the destination address.
    #[inline]
    pub const fn set_destination(&mut self, address: MacAddr) {
        self.destination = address.0;
    }

    /// Sets the source address.
    #[inline]
    pub const fn set_source(&mut self, address: MacAddr) {
        self.source = address.0;
    }

    /// Sets the EtherType.
    #[inline]
    pub const fn set_ethertype(&mut self, ethertype: u16) {
        self.ethertype = U16::new(ethertype);
    }
}

impl fmt::Display for EthernetHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ethernet {} > {} type {:#06x}", self.source(), self.destination(), self.ethertype)
    }
}

/// The group address that an IPv4 multicast address is sent to (RFC 1112 § 6.4).
#[inline]
pub const fn multicast_v4(group: Ipv4Addr) -> MacAddr {
    let [_, b, c, d] = group.octets();
    MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}

/// The group address that an IPv6 multicast address is sent to (RFC 2464 § 7).
#[inline]
pub const fn multicast_v6(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd];

    #[test]
    fn golden_octets_both_ways() {
        let value = EthernetHeader::new(MacAddr::BROADCAST, MacAddr([2, 0, 0, 0, 0, 1]), ethertype::IPV6);
        assert_eq!(value.as_bytes(), GOLDEN);
        let (parsed, rest) = EthernetHeader::parse(&GOLDEN).unwrap();
        assert_eq!(*parsed, value);
        assert!(rest.is_empty());
        assert_eq!(parsed.to_string(), "Ethernet 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x86dd");
    }

    #[test]
    fn setters_write_their_own_field_only() {
        let mut value = *EthernetHeader::parse(&GOLDEN).unwrap().0;
        value.set_destination(MacAddr([2, 0, 0, 0, 0, 9]));
        value.set_source(MacAddr([2, 0, 0, 0, 0, 8]));
        value.set_ethertype(ethertype::ARP);
        assert_eq!(value.as_bytes(), [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 8, 6]);
    }

    #[test]
    fn group_addresses_of_the_rfcs() {
        assert_eq!(multicast_v4(Ipv4Addr::new(224, 128, 0, 251)).0, [0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb]);
        assert_eq!(multicast_v6("ff02::1:ff00:1".parse().unwrap()).0, [0x33, 0x33, 0xff, 0x00, 0x00, 0x01]);
    }
}
