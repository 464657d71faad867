//! VXLAN (RFC 7348 § 5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |R|R|R|R|I|R|R|R|                   Reserved                    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |       VXLAN Network Identifier (VNI)          |   Reserved    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;

use zerocopy::byteorder::{BE, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{ProtocolInfo, view};
use crate::num::Vni;
use crate::reason::DropReason;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 8;
/// UDP destination port (RFC 7348 § 5).
pub const PORT: u16 = 4789;
/// The I flag: the VNI is valid.
const FLAG_VNI: u8 = 0x08;

/// The registry's entry.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "VXLAN",
    rfc: "RFC 7348",
    header_octets_min: HEADER_OCTETS,
    file: "vxlan",
    parse_check: |octets| VxlanHeader::parse(octets).map(drop),
};

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct VxlanHeader {
    flags: u8,
    reserved: [u8; 3],
    vni_reserved: U32<BE>,
}

impl VxlanHeader {
    /// The header and the inner frame. [`DropReason::VxlanTruncated`] below 8 octets, [`DropReason::VxlanFlags`] without
    /// the I flag; reserved bits may be anything.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<(&Self, &[u8]), DropReason> {
        let (header, inner) = view::<Self>(octets, DropReason::VxlanTruncated)?;
        if header.flags & FLAG_VNI == 0 {
            return Err(DropReason::VxlanFlags);
        }
        Ok((header, inner))
    }

    /// A header for this network; reserved bits are zero.
    #[inline]
    pub const fn new(vni: Vni) -> Self {
        Self { flags: FLAG_VNI, reserved: [0; 3], vni_reserved: U32::new(vni.get() << 8) }
    }

    /// The network identifier.
    #[inline]
    pub const fn vni(&self) -> Vni {
        Vni::from_low_bits(self.vni_reserved.get() >> 8)
    }
}

impl fmt::Display for VxlanHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VXLAN vni {}", self.vni())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [u8; 8] = [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0];

    #[test]
    fn golden_octets_both_ways() {
        let value = VxlanHeader::new(Vni::from_low_bits(0x12_3456));
        assert_eq!(value.as_bytes(), GOLDEN);
        assert_eq!(*VxlanHeader::parse(&GOLDEN).unwrap().0, value);
        assert_eq!(value.to_string(), "VXLAN vni 1193046");
        assert_eq!(VxlanHeader::new(Vni::from_low_bits(Vni::MAX)).as_bytes(), [8, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
    }

    /// RFC 7348 § 5: "the I flag MUST be set to 1 for a valid VXLAN Network ID (VNI)"; the other bits "MUST be set to
    /// zero on transmission and ignored on receipt".
    #[test]
    fn the_i_flag_is_needed_and_reserved_bits_are_ignored() {
        let (noisy, _) = VxlanHeader::parse(&[0xff, 1, 2, 3, 0x12, 0x34, 0x56, 0xff]).unwrap();
        assert_eq!(noisy.vni().get(), 0x12_3456);
        assert_eq!(VxlanHeader::parse(&[0xf7, 0, 0, 0, 0, 0, 1, 0]), Err(DropReason::VxlanFlags));
        assert_eq!(VxlanHeader::parse(&GOLDEN[..7]), Err(DropReason::VxlanTruncated));
    }
}
