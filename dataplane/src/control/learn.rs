//! What workers saw: MAC addresses for the bridge, next hops for the tunnels. The control thread is the only writer of
//! both tables.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use overlay::fib::mac::{Inserted, MacDestination, MacKey, MacTable};
use overlay::fib::neighbour::Neighbour;
use overlay::num::{MacAddr, NeighbourId, NetworkId, PortId};

use super::ids::Ids;
use super::{ControlError, Controller};
use crate::config::{Config, MacPlace, Name};
use crate::worker::{Command, Event};

/// Seconds after which a next hop in use is asked again whether it is still there (RFC 4861 § 10: REACHABLE_TIME).
const REACHABLE_SECS: u32 = 30;
/// Questions without an answer after which it is not.
const PROBES_MAX: u8 = 3;
/// Events taken in at one tick.
const EVENTS_A_TICK: usize = 65_536;

/// What the control thread remembers of next hops.
#[derive(Debug, Default)]
pub(super) struct NextHops {
    heard: HashMap<NeighbourId, Heard>,
    /// MAC addresses that did not fit the table, so far.
    pub macs_refused: u64,
}

/// One next hop.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    secs: u32,
    probes: u8,
    fixed: bool,
}

impl Controller {
    pub(super) fn take_in_events(&mut self) {
        let now = self.now_secs();
        for _ in 0..EVENTS_A_TICK {
            let Some(event) = self.events.0.pop() else { return };
            match event {
                Event::Learn { key, destination } => self.learn_mac(key, destination, now),
                Event::Neighbour { port, address, mac } => self.learn_next_hop(port, address, mac, now),
                Event::Unreachable { neighbour } => {
                    // Asked again by the next packet that needs it.
                    self.neighbours.set(neighbour, Neighbour::Unresolved);
                    tracing::warn!(next_hop = ?self.ids.neighbours.address(neighbour), "does not answer");
                }
            }
        }
    }

    fn learn_mac(&mut self, key: MacKey, destination: MacDestination, now: u32) {
        if !self.places.contains(&(key.network(), destination)) {
            // Seen before a change that took the place out of the network.
            return;
        }
        match self.macs.insert(key, destination, now) {
            Inserted::Moved(from) => tracing::debug!(?key, ?from, to = ?destination, "a MAC address moved"),
            Inserted::Full => {
                self.next_hops.macs_refused += 1;
                if self.next_hops.macs_refused.is_power_of_two() {
                    tracing::warn!(refused = self.next_hops.macs_refused, "the MAC table is full: raise limits.macs");
                }
            }
            _ => {}
        }
    }

    fn learn_next_hop(&mut self, port: PortId, address: IpAddr, mac: MacAddr, now: u32) {
        let Some(id) = self.ids.neighbours.find(port, address) else { return };
        let heard = self.next_hops.heard.entry(id).or_default();
        if heard.fixed {
            return;
        }
        *heard = Heard { secs: now, probes: 0, fixed: false };
        if self.neighbours.get(id) != Neighbour::Resolved(mac) {
            tracing::info!(%address, %mac, "next hop resolved");
            self.neighbours.set(id, Neighbour::Resolved(mac));
        }
    }

    pub(super) fn age_macs(&mut self, now: u32) {
        let ageing: HashMap<NetworkId, Option<u32>> = self
            .config
            .networks
            .values()
            .map(|network| {
                let secs = network.settings.mac_ageing_s;
                (self.ids.network(network.name.as_str()), (secs != 0).then_some(secs))
            })
            .collect();
        self.macs.age(now, |network| ageing.get(&network).copied().flatten());
    }

    /// Asks next hops that are in use again, and forgets those that do not answer.
    pub(super) fn refresh_next_hops(&mut self, now: u32) -> Result<(), ControlError> {
        let mut ask = Vec::new();
        for (id, heard) in &mut self.next_hops.heard {
            let resolved = matches!(self.neighbours.get(*id), Neighbour::Resolved(_));
            let used =
                self.neighbours.last_used_secs(*id).is_some_and(|used| now.saturating_sub(used) < REACHABLE_SECS);
            if heard.fixed || !resolved || !used || now.saturating_sub(heard.secs) < REACHABLE_SECS {
                continue;
            }
            if heard.probes >= PROBES_MAX {
                heard.probes = 0;
                tracing::warn!(next_hop = ?self.ids.neighbours.address(*id), "no longer answers");
                self.neighbours.set(*id, Neighbour::Unresolved);
            } else {
                heard.probes += 1;
                ask.push(*id);
            }
        }
        if ask.is_empty() {
            return Ok(());
        }
        for id in ask {
            self.crew.order(0, Command::Ask(id))?;
        }
        // Workers look at their orders when the epoch has changed.
        self.crew.epochs.advance();
        Ok(())
    }

    /// Works out anew where addresses may be, and forgets those learned elsewhere: a port or a VTEP that left a network
    /// must not get its frames any more, nor may an identifier that another object has now.
    pub(super) fn confine_macs(&mut self) {
        self.places = places(&self.config, &self.ids);
        let places = &self.places;
        self.macs.remove_where(|key, destination| {
            !destination.is_static() && !places.contains(&(key.network(), destination))
        });
    }

    /// Brings the static entries of the configuration into the tables, and takes out those that it no longer has.
    pub(super) fn apply_static_entries(&mut self) {
        let now = self.now_secs();
        let wanted = static_macs(&self.config, &self.ids);
        self.macs.remove_where(|key, destination| destination.is_static() && !wanted.contains_key(&key));
        for (key, destination) in wanted {
            if self.macs.insert(key, destination, now) == Inserted::Full {
                tracing::warn!(?key, "a static MAC address does not fit the table: raise limits.macs");
            }
        }
        let fixed = static_next_hops(&self.config, &self.ids);
        for (id, heard) in &mut self.next_hops.heard {
            if heard.fixed && !fixed.contains_key(id) {
                heard.fixed = false;
                self.neighbours.set(*id, Neighbour::Unresolved);
            }
        }
        for (id, mac) in fixed {
            self.next_hops.heard.insert(id, Heard { secs: now, probes: 0, fixed: true });
            self.neighbours.set(id, Neighbour::Resolved(mac));
        }
    }

    /// Whether a next hop's address is configured.
    pub(super) fn next_hop_is_static(&self, id: NeighbourId) -> bool {
        self.next_hops.heard.get(&id).is_some_and(|heard| heard.fixed)
    }

    /// Seconds since a next hop was heard last.
    pub(super) fn next_hop_heard_secs(&self, id: NeighbourId) -> Option<u32> {
        self.next_hops.heard.get(&id).map(|heard| self.now_secs().saturating_sub(heard.secs))
    }
}

/// Where an address of a network may be learned: its members, each with its VLAN, and its VTEPs.
fn places(config: &Config, ids: &Ids) -> HashSet<(NetworkId, MacDestination)> {
    let mut places = HashSet::new();
    for network in config.networks.values() {
        let name = network.name.as_str();
        let id = ids.network(name);
        let ports = config
            .members(name)
            .map(|(port, vlan)| MacDestination::port(ids.port(port.name.as_str()), vlan.unwrap_or(0)));
        let tunnels = network.vteps.iter().map(|vtep| MacDestination::tunnel(ids.tunnel(*vtep)));
        places.extend(ports.chain(tunnels).map(|place| (id, place)));
    }
    places
}

fn static_macs(config: &Config, ids: &Ids) -> HashMap<MacKey, MacDestination> {
    let mut wanted = HashMap::new();
    for network in config.networks.values() {
        let id = ids.network(network.name.as_str());
        for (mac, place) in &network.macs {
            let destination = match place {
                MacPlace::Port { port, vlan } => MacDestination::port(ids.port(Name::as_str(port)), vlan.unwrap_or(0)),
                MacPlace::Vtep { vtep } => MacDestination::tunnel(ids.tunnel(*vtep)),
            };
            wanted.insert(MacTable::key(id, *mac), destination.pinned());
        }
    }
    wanted
}

fn static_next_hops(config: &Config, ids: &Ids) -> HashMap<NeighbourId, MacAddr> {
    let mut fixed = HashMap::new();
    for (port, _) in config.uplinks() {
        let uplink = ids.port(port.name.as_str());
        for (address, mac) in &port.neighbours {
            if let Some(id) = ids.neighbours.find(uplink, *address) {
                fixed.insert(id, *mac);
            }
        }
    }
    fixed
}
