//! A network (broadcast domain) as the packet path sees it.

use std::collections::HashMap;
use std::net::IpAddr;

use overlay::num::{MacAddr, PortId, TunnelId, Vni};

/// A port's membership in a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The port.
    pub port: PortId,
    /// The VLAN identifier its frames carry there; 0 = untagged.
    pub vlan: u16,
}

/// One network.
#[derive(Clone, Debug)]
pub struct NetworkEntry {
    /// Its identifier on the wire.
    pub vni: Vni,
    /// Local ports, for flooding.
    pub members: Box<[Member]>,
    /// Remote VTEPs: the head-end replication list, and who may send to us. Sorted.
    pub tunnels: Box<[TunnelId]>,
    /// Whether source addresses are learned.
    pub learning: bool,
    /// Whether ARP and ND for known bindings are answered here instead of being flooded.
    pub suppress: bool,
    /// Broadcast, unknown and multicast frames a second and worker; 0 = no limit.
    pub storm_limit_pps: u32,
    /// Known addresses, for suppression.
    pub bindings: HashMap<IpAddr, MacAddr>,
}

impl Default for NetworkEntry {
    fn default() -> Self {
        Self {
            vni: Vni::from_low_bits(0),
            members: Box::default(),
            tunnels: Box::default(),
            learning: false,
            suppress: false,
            storm_limit_pps: 0,
            bindings: HashMap::new(),
        }
    }
}

impl NetworkEntry {
    /// Whether `tunnel` leads to a VTEP of this network.
    #[inline]
    pub fn has_tunnel(&self, tunnel: TunnelId) -> bool {
        match &*self.tunnels {
            [only] => *only == tunnel,
            many => many.binary_search(&tunnel).is_ok(),
        }
    }
}
