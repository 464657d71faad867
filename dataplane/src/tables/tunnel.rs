//! A remote VTEP and the way to it.

use std::net::{IpAddr, Ipv4Addr};

use overlay::num::{MacAddr, NeighbourId, PortId};
use overlay::tunnel::vxlan::VxlanEncap;

/// One remote VTEP.
#[derive(Clone, Debug)]
pub struct TunnelEntry {
    /// Its address.
    pub remote: IpAddr,
    /// The prepared headers; `None` for a vacant identifier or when no uplink leads there.
    pub encap: Option<VxlanEncap>,
    /// The next hop on the way.
    pub neighbour: NeighbourId,
    /// The uplink it leaves through.
    pub egress: PortId,
    /// Largest inner frame, in octets, that fits the uplink once encapsulated.
    pub max_inner_octets: u32,
}

impl Default for TunnelEntry {
    fn default() -> Self {
        Self {
            remote: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            encap: None,
            neighbour: NeighbourId::NONE,
            egress: PortId::NONE,
            max_inner_octets: 0,
        }
    }
}

/// How to ask for one next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeighbourEntry {
    /// The next hop's address; unspecified for a vacant identifier.
    pub address: IpAddr,
    /// The uplink to ask on.
    pub port: PortId,
    /// Our own address on that uplink.
    pub source: IpAddr,
    /// Our own MAC address on that uplink.
    pub source_mac: MacAddr,
}

impl Default for NeighbourEntry {
    fn default() -> Self {
        let none = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self { address: none, port: PortId::NONE, source: none, source_mac: MacAddr::ZERO }
    }
}
