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
    /// Broadcast, unknown and multicast frames a second from each ingress port, on each worker; 0 = no limit.
    pub storm_limit_pps: u32,
    /// Where frames of this network may come from, when there is a limit: each port has a limiter. Sorted.
    pub storm_ingress: Box<[PortId]>,
    /// The number of the first one's limiter; the others follow.
    pub storm_first: usize,
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
            storm_ingress: Box::default(),
            storm_first: 0,
            bindings: HashMap::new(),
        }
    }
}

impl NetworkEntry {
    /// The number of the limiter of frames from `ingress`; `None` where there is no limit.
    #[inline]
    pub fn storm_limiter(&self, ingress: PortId) -> Option<usize> {
        self.storm_ingress.binary_search(&ingress).ok().map(|at| self.storm_first + at)
    }

    /// Whether `tunnel` leads to a VTEP of this network.
    #[inline]
    pub fn has_tunnel(&self, tunnel: TunnelId) -> bool {
        match &*self.tunnels {
            [only] => *only == tunnel,
            many => many.binary_search(&tunnel).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ingress_port_of_a_network_has_a_limiter_of_its_own() {
        let network = |ports: &[u16], storm_first| NetworkEntry {
            storm_ingress: ports.iter().copied().map(PortId).collect(),
            storm_first,
            ..NetworkEntry::default()
        };
        let (one, two) = (network(&[2, 5, 9], 0), network(&[1, 5], 3));
        let of = |network: &NetworkEntry| [1, 2, 5, 9].map(|port| network.storm_limiter(PortId(port)));
        assert_eq!(of(&one), [None, Some(0), Some(1), Some(2)]);
        assert_eq!(of(&two), [Some(3), None, Some(4), None]);
    }
}
