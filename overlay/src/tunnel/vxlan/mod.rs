//! VXLAN (RFC 7348): Ethernet frames in UDP.
//!
//! ```text
//! Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8 | VXLAN 8 | inner Ethernet frame
//! ```

use crate::wire::vxlan::HEADER_OCTETS;

mod decap;
mod encap;
#[cfg(test)]
mod golden;
mod recent;
#[cfg(test)]
mod tests;

pub use decap::{Popped, VxlanReceive, inspect, pop, pop_inspected, pop_recent};
pub use encap::{PushV4, VxlanEncap, VxlanParams, VxlanPush};
pub use recent::RecentOuters;

/// Octets that VXLAN over IPv4 puts before a frame.
pub const OVERHEAD_V4_OCTETS: usize = 14 + 20 + 8 + HEADER_OCTETS;
/// Octets that VXLAN over IPv6 puts before a frame.
pub const OVERHEAD_V6_OCTETS: usize = 14 + 40 + 8 + HEADER_OCTETS;

/// The I flag within the first octet: the VNI is valid.
const FLAG_VNI: u8 = 0x08;
