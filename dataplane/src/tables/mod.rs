//! What workers read while they forward: an immutable snapshot built by the control thread, and the few tables that are
//! updated in place (MAC addresses, neighbours).
//!
//! A snapshot is replaced as a whole through [`crate::sync::Published`]; identifiers stay with their objects across
//! snapshots, so that counters carry over.

mod counters;
mod limiter;
mod network;
mod port;
mod tunnel;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use overlay::fib::mac::MacTable;
use overlay::fib::neighbour::NeighbourTable;
use overlay::fib::vni::VniTable;
use overlay::fib::vtep::VtepTable;
use overlay::num::{NeighbourId, NetworkId, PortId, TunnelId};
use overlay::packet::outer::UnderlayParams;
use overlay::tunnel::vxlan::VxlanReceive;

pub use counters::{Counters, NetworkCounters, PortCounters, Totals, TunnelCounters};
pub use limiter::Limiter;
pub use network::{Member, NetworkEntry};
pub use port::{PortEntry, Role};
pub use tunnel::{NeighbourEntry, TunnelEntry};

/// Everything a worker needs to know about the world, indexed by dense identifiers.
#[derive(Debug)]
pub struct Tables {
    /// By [`PortId`]; vacant ids have [`Role::Vacant`].
    pub ports: Box<[PortEntry]>,
    /// By [`NetworkId`].
    pub networks: Box<[NetworkEntry]>,
    /// By [`TunnelId`].
    pub tunnels: Box<[TunnelEntry]>,
    /// By `NeighbourId`: where and how to ask for each next hop.
    pub neighbour_entries: Box<[NeighbourEntry]>,
    /// (uplink, address) → next hop: whose answers are of interest.
    pub next_hops: HashMap<(PortId, IpAddr), NeighbourId>,
    /// VNI → network.
    pub vnis: VniTable,
    /// Outer source address → tunnel.
    pub vteps: VtepTable,
    /// Which arriving packets are tunnelled to us.
    pub underlay: UnderlayParams,
    /// Receive checks of VXLAN.
    pub vxlan: VxlanReceive,
    /// Packets a second, per worker, to our own responders and to the host's stack.
    pub host_rate_pps: u32,
    /// Packets that may wait for one next hop.
    pub parked_per_neighbour: u16,
    /// (network, MAC) → port or tunnel; updated in place by the control thread.
    pub macs: Arc<MacTable>,
    /// Next-hop MAC addresses; updated in place by the control thread.
    pub neighbours: Arc<NeighbourTable>,
}

impl Tables {
    /// Full limiters for all networks that have a storm limit, one for each of their ingress ports; see
    /// [`NetworkEntry::storm_limiter`].
    pub fn storm_limiters(&self) -> Box<[Limiter]> {
        let count = self.networks.iter().map(|network| network.storm_ingress.len()).sum();
        vec![Limiter::default(); count].into()
    }

    /// The port, if the identifier names one.
    #[inline]
    pub fn port(&self, id: PortId) -> Option<&PortEntry> {
        self.ports.get(id.index())
    }

    /// The network, if the identifier names one.
    #[inline]
    pub fn network(&self, id: NetworkId) -> Option<&NetworkEntry> {
        self.networks.get(id.index())
    }

    /// The tunnel, if the identifier names one.
    #[inline]
    pub fn tunnel(&self, id: TunnelId) -> Option<&TunnelEntry> {
        self.tunnels.get(id.index())
    }
}
