//! VLAN tags (IEEE 802.1Q § 9.6; service tags of 802.1ad have the same form).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | PCP |D|          VID          |           EtherType           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! The tag protocol identifier (TPID) before it is the EtherType of the header that the tag follows.

use core::fmt;

use zerocopy::byteorder::{BE, U16};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{ProtocolInfo, ethernet::ethertype, view};
use crate::reason::DropReason;

/// Octets of a tag, counted from behind its TPID.
pub const TAG_OCTETS: usize = 4;
/// The largest VID that names a VLAN; 4095 is reserved.
pub const VID_MAX: u16 = 4094;
/// The VID of a frame that has a priority and no VLAN.
pub const VID_PRIORITY: u16 = 0;

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "VLAN",
    rfc: "IEEE 802.1Q",
    header_octets_min: TAG_OCTETS,
    file: "vlan",
    parse_check: |octets| VlanTag::parse(octets).map(drop),
};

/// Whether an EtherType says that a tag follows.
#[inline]
pub const fn is_tpid(ethertype: u16) -> bool {
    ethertype == ethertype::VLAN || ethertype == ethertype::VLAN_SERVICE
}

/// Tag control information and the EtherType behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct VlanTag {
    control: U16<BE>,
    ethertype: U16<BE>,
}

impl VlanTag {
    /// The tag and what follows it; [`DropReason::VlanTruncated`] below 4 octets.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        view(octets, DropReason::VlanTruncated)
    }

    /// A tag; the low 12 bits of `vid` and the low 3 of `priority` count, the drop eligible indicator is clear.
    #[inline]
    pub const fn new(vid: u16, priority: u8, ethertype: u16) -> Self {
        Self { control: U16::new((priority as u16) << 13 | vid & 0x0fff), ethertype: U16::new(ethertype) }
    }

    /// VLAN identifier, 0..=4095; 0 is "none, priority only".
    #[inline]
    pub const fn vid(&self) -> u16 {
        self.control.get() & 0x0fff
    }

    /// Priority code point, 0..=7.
    #[inline]
    pub const fn priority(&self) -> u8 {
        (self.control.get() >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    pub const fn drop_eligible(&self) -> bool {
        self.control.get() & 0x1000 != 0
    }

    /// EtherType of what follows.
    #[inline]
    pub const fn ethertype(&self) -> u16 {
        self.ethertype.get()
    }
}

impl fmt::Display for VlanTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VLAN {} priority {} type {:#06x}", self.vid(), self.priority(), self.ethertype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_octets_both_ways() {
        let value = VlanTag::new(2748, 5, ethertype::IPV4);
        assert_eq!(value.as_bytes(), [0xaa, 0xbc, 0x08, 0x00]);
        let octets = [0xba, 0xbc, 0x08, 0x00, 0x45];
        let (parsed, rest) = VlanTag::parse(&octets).unwrap();
        assert_eq!((parsed.vid(), parsed.priority(), parsed.drop_eligible()), (2748, 5, true));
        assert_eq!(parsed.ethertype(), ethertype::IPV4);
        assert_eq!(rest, [0x45]);
        assert_eq!(parsed.to_string(), "VLAN 2748 priority 5 type 0x0800");
    }

    #[test]
    fn values_beyond_their_bits_do_not_spill() {
        assert_eq!(VlanTag::new(0xf001, 0xff, 0).as_bytes(), [0xe0, 0x01, 0, 0]);
        assert!(is_tpid(0x8100) && is_tpid(0x88a8) && !is_tpid(0x0800) && !is_tpid(0x9100));
    }
}
