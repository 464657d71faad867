//! Where a MAC address is, in 32 bits.

use super::{PortId, TunnelId};
use std::fmt;

/// Where a MAC address is: bits 0-15 the port or tunnel, 16-27 the VLAN, 28 whether it is a tunnel, 29 whether it is
/// static.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct MacDestination(u32);

const TUNNEL: u32 = 1 << 28;
const STATIC: u32 = 1 << 29;

/// [`MacDestination`], unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MacTarget {
    /// Behind a port of ours, tagged with this VLAN identifier (0 = untagged).
    Port(PortId, u16),
    /// Behind a remote endpoint.
    Tunnel(TunnelId),
}

impl MacDestination {
    /// Behind a port, with a VLAN identifier (its low 12 bits; 0 = untagged).
    #[inline]
    pub const fn port(port: PortId, vlan: u16) -> Self {
        Self(port.0 as u32 | (vlan as u32 & 0x0fff) << 16)
    }

    /// Behind a remote endpoint.
    #[inline]
    pub const fn tunnel(tunnel: TunnelId) -> Self {
        Self(tunnel.0 as u32 | TUNNEL)
    }

    /// The same, configured: neither moved nor aged by what packets say.
    #[inline]
    #[must_use]
    pub const fn pinned(self) -> Self {
        Self(self.0 | STATIC)
    }

    /// Whether it is configured, not learned.
    #[inline]
    pub const fn is_static(self) -> bool {
        self.0 & STATIC != 0
    }

    /// Whether both name the same place, static or not.
    #[inline]
    pub const fn same_place(self, other: Self) -> bool {
        (self.0 ^ other.0) & !STATIC == 0
    }

    /// Port or tunnel.
    #[inline]
    pub const fn target(self) -> MacTarget {
        if self.0 & TUNNEL != 0 {
            MacTarget::Tunnel(TunnelId(self.0 as u16))
        } else {
            MacTarget::Port(PortId(self.0 as u16), (self.0 >> 16) as u16 & 0x0fff)
        }
    }

    /// The packed form.
    #[inline]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// From the packed form.
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for MacDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.target(), if self.is_static() { " static" } else { "" })
    }
}
