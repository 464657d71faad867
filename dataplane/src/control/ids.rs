//! Dense identifiers for things that have names: given out once, kept while the thing exists, so that counters and MAC
//! entries survive a change of the configuration.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use overlay::fib::neighbour::NeighbourIndex;
use overlay::num::{NetworkId, PortId, TunnelId};

use crate::config::{Config, Limits, Name};

/// Identifiers of one kind.
#[derive(Clone, Debug)]
pub(super) struct IdMap<K> {
    ids: HashMap<K, u16>,
    free: Vec<u16>,
}

impl<K: Eq + Hash + Clone> IdMap<K> {
    fn new(capacity: u16) -> Self {
        Self { ids: HashMap::new(), free: (0..capacity).rev().collect() }
    }

    /// The identifier of `key`, if it has one.
    pub(super) fn get<Q: ?Sized + Eq + Hash>(&self, key: &Q) -> Option<u16>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.ids.get(key).copied()
    }

    /// The identifier of `key`, new if need be; the flag says whether it is new. `None` when none is left.
    fn intern(&mut self, key: K) -> Option<(u16, bool)> {
        if let Some(id) = self.ids.get(&key) {
            return Some((*id, false));
        }
        let id = self.free.pop()?;
        self.ids.insert(key, id);
        Some((id, true))
    }

    /// Takes back the identifiers of all keys that `keep` does not want; returns them.
    fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) -> Vec<u16> {
        let mut gone = Vec::new();
        self.ids.retain(|key, id| {
            let kept = keep(key);
            if !kept {
                gone.push(*id);
            }
            kept
        });
        self.free.extend(gone.iter().rev());
        gone
    }

    /// All keys and their identifiers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, u16)> {
        self.ids.iter().map(|(key, id)| (key, *id))
    }
}

/// More things than the limits allow. The configuration checks catch this before; it is the last line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more {what} than limits.{what} = {limit}: raise the limit and restart")]
pub struct LimitExceeded {
    /// What there is too much of.
    pub what: &'static str,
    /// How many fit.
    pub limit: u16,
}

/// Identifiers that were given out for the first time, or again: what was counted under them belongs to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fresh {
    /// New ports.
    pub ports: Vec<PortId>,
    /// New networks.
    pub networks: Vec<NetworkId>,
    /// New tunnels.
    pub tunnels: Vec<TunnelId>,
}

/// Identifiers that nobody uses any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Released {
    /// Ports that went.
    pub ports: Vec<PortId>,
    /// Networks that went.
    pub networks: Vec<NetworkId>,
    /// Tunnels that went.
    pub tunnels: Vec<TunnelId>,
}

/// All identifiers in use.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    /// By the port's name.
    pub ports: IdMap<Name>,
    /// By the network's name.
    pub networks: IdMap<Name>,
    /// By the remote VTEP's address.
    pub tunnels: IdMap<IpAddr>,
    /// By uplink and address.
    pub neighbours: NeighbourIndex,
    limits: Limits,
}

impl Ids {
    /// None in use.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            ports: IdMap::new(limits.ports),
            networks: IdMap::new(limits.networks),
            tunnels: IdMap::new(limits.tunnels),
            neighbours: NeighbourIndex::new(limits.neighbours),
            limits,
        }
    }

    /// Gives identifiers to everything in `config` that has none yet.
    ///
    /// # Errors
    /// When a limit is reached.
    pub(super) fn assign(&mut self, config: &Config) -> Result<Fresh, LimitExceeded> {
        let limits = self.limits;
        let mut fresh = Fresh::default();
        for name in config.ports.keys() {
            let full = LimitExceeded { what: "ports", limit: limits.ports };
            let (id, new) = self.ports.intern(name.clone()).ok_or(full)?;
            fresh.ports.extend(new.then_some(PortId(id)));
        }
        for (name, network) in &config.networks {
            let full = LimitExceeded { what: "networks", limit: limits.networks };
            let (id, new) = self.networks.intern(name.clone()).ok_or(full)?;
            fresh.networks.extend(new.then_some(NetworkId(id)));
            for vtep in &network.vteps {
                let full = LimitExceeded { what: "tunnels", limit: limits.tunnels };
                let (id, new) = self.tunnels.intern(*vtep).ok_or(full)?;
                fresh.tunnels.extend(new.then_some(TunnelId(id)));
            }
        }
        Ok(fresh)
    }

    /// Takes back what `config` does not name any more.
    pub(super) fn release(&mut self, config: &Config) -> Released {
        let wanted = |vtep: &IpAddr| config.networks.values().any(|network| network.vteps.contains(vtep));
        let ports = self.ports.retain(|name| config.ports.contains_key(name));
        Released {
            ports: ports.into_iter().map(PortId).collect(),
            networks: self
                .networks
                .retain(|name| config.networks.contains_key(name))
                .into_iter()
                .map(NetworkId)
                .collect(),
            tunnels: self.tunnels.retain(wanted).into_iter().map(TunnelId).collect(),
        }
    }

    /// The port's identifier, or `NONE`.
    pub(super) fn port(&self, name: &str) -> PortId {
        self.ports.get(name).map_or(PortId::NONE, PortId)
    }

    /// The network's identifier, or `NONE`.
    pub(super) fn network(&self, name: &str) -> NetworkId {
        self.networks.get(name).map_or(NetworkId::NONE, NetworkId)
    }

    /// The tunnel's identifier, or `NONE`.
    pub(super) fn tunnel(&self, remote: IpAddr) -> TunnelId {
        self.tunnels.get(&remote).map_or(TunnelId::NONE, TunnelId)
    }

    /// The name of the port with this identifier.
    pub(super) fn port_name(&self, id: PortId) -> Option<&Name> {
        self.ports.iter().find(|(_, other)| *other == id.0).map(|(name, _)| name)
    }

    /// The name of the network with this identifier.
    pub(super) fn network_name(&self, id: NetworkId) -> Option<&Name> {
        self.networks.iter().find(|(_, other)| *other == id.0).map(|(name, _)| name)
    }

    /// The address of the tunnel with this identifier.
    pub(super) fn tunnel_address(&self, id: TunnelId) -> Option<IpAddr> {
        self.tunnels.iter().find(|(_, other)| *other == id.0).map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(networks: &[(&str, u32)]) -> Config {
        let network = |(name, vni): &(&str, u32)| format!("[[network]]\nname = \"{name}\"\nvni = {vni}\n");
        Config::parse(&networks.iter().map(network).collect::<Vec<_>>().concat(), "test").unwrap()
    }

    #[test]
    fn identifiers_stay_with_their_names_and_come_back_when_they_go() {
        let mut ids = Ids::new(Limits { networks: 2, ..Limits::default() });
        let fresh = ids.assign(&config(&[("a", 1), ("b", 2)])).unwrap();
        assert_eq!(fresh.networks.len(), 2);
        let (a, b) = (ids.network("a"), ids.network("b"));
        let next = config(&[("b", 2)]);
        assert_eq!(ids.assign(&next).unwrap(), Fresh::default());
        assert_eq!(ids.release(&next).networks, [a]);
        let fresh = ids.assign(&config(&[("b", 2), ("c", 3)])).unwrap();
        assert_eq!((fresh.networks, ids.network("b")), (vec![a], b));
        let error = ids.assign(&config(&[("b", 2), ("c", 3), ("d", 4)])).unwrap_err();
        assert_eq!(error.to_string(), "more networks than limits.networks = 2: raise the limit and restart");
    }
}
