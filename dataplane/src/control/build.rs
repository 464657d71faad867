//! From the resolved configuration to the snapshot that workers read.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use overlay::fib::mac::MacTable;
use overlay::fib::neighbour::NeighbourTable;
use overlay::fib::vni::VniTable;
use overlay::fib::vtep::VtepTable;
use overlay::num::{MacAddr, NeighbourId, NetworkId, PortId, TunnelId};
use overlay::packet::outer::{LocalAddresses, UnderlayParams};
use overlay::tunnel::outer::{Dscp, Outer};
use overlay::tunnel::vxlan::{VxlanEncap, VxlanParams, VxlanReceive};

use super::ids::Ids;
use crate::config::{self, Config, Port, Uplink, Workers};
use crate::tables::{Member, NeighbourEntry, NetworkEntry, PortEntry, Role, Tables, TunnelEntry};

/// Octets of an Ethernet header.
const ETHERNET_OCTETS: u32 = 14;
/// Entries of a port's table of VLANs.
const VLANS: usize = 4096;

/// The snapshot contradicts itself; the configuration checks catch all but the last few cases before.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Too many local addresses, or one that cannot be ours.
    #[error("port addresses: {0}")]
    Local(#[from] overlay::packet::outer::LocalAddressesError),
    /// A VNI used twice.
    #[error("VNI {0} is used by two networks: give each its own")]
    Vni(String),
    /// A VTEP listed twice; cannot come from a configuration, whose lists are sets.
    #[error("VTEP {0} is listed twice")]
    Vtep(IpAddr),
    /// More next hops than the limit.
    #[error("more next hops than limits.neighbours: raise the limit and restart")]
    Neighbours,
}

/// What the running system adds to the configuration.
#[derive(Debug)]
pub(super) struct World<'a> {
    /// The MAC address that each port turned out to have.
    pub macs: &'a HashMap<PortId, MacAddr>,
    /// The shared table of MAC addresses.
    pub mac_table: &'a Arc<MacTable>,
    /// The shared table of next hops.
    pub neighbour_table: &'a Arc<NeighbourTable>,
}

/// Builds the snapshot for `config`. Interns the next hops it needs in `ids`.
///
/// # Errors
/// See [`BuildError`].
pub(super) fn build(config: &Config, ids: &mut Ids, world: &World<'_>) -> Result<Tables, BuildError> {
    let limits = config.limits;
    let mut ports = vec![PortEntry::default(); usize::from(limits.ports)];
    for port in config.ports.values() {
        let id = ids.port(port.name.as_str());
        if let Some(entry) = ports.get_mut(id.index()) {
            *entry = port_entry(config, port, ids, world.macs.get(&id).copied().unwrap_or_default());
        }
    }
    let mut routes = Routes { config, world, entries: vec![NeighbourEntry::default(); usize::from(limits.neighbours)] };
    let mut tunnels = vec![TunnelEntry::default(); usize::from(limits.tunnels)];
    let mut vteps = Vec::new();
    let remotes: Vec<_> = ids.tunnels.iter().map(|(remote, id)| (*remote, TunnelId(id))).collect();
    for (remote, id) in remotes {
        if let Some(entry) = tunnels.get_mut(id.index()) {
            *entry = routes.tunnel(remote, ids)?;
        }
        vteps.push((remote, id));
    }
    for (port, _) in config.uplinks() {
        let uplink = ids.port(port.name.as_str());
        for address in port.neighbours.keys() {
            routes.neighbour(uplink, *address, ids)?;
        }
    }
    let mut networks = vec![NetworkEntry::default(); usize::from(limits.networks)];
    let mut vnis = Vec::new();
    let mut storm_first = 0;
    for network in config.networks.values() {
        let id = ids.network(network.name.as_str());
        if let Some(entry) = networks.get_mut(id.index()) {
            *entry = NetworkEntry { storm_first, ..network_entry(config, network, ids) };
            storm_first += entry.storm_ingress.len();
        }
        vnis.push((network.settings.vni, id));
    }
    let addresses: Vec<IpAddr> =
        config.uplinks().flat_map(|(_, uplink)| uplink.addresses.iter().map(ipnet::IpNet::addr)).collect();
    Ok(Tables {
        ports: ports.into(),
        networks: networks.into(),
        tunnels: tunnels.into(),
        next_hops: next_hops(&routes.entries),
        neighbour_entries: routes.entries.into(),
        vnis: VniTable::from_pairs(&vnis).map_err(|duplicate| BuildError::Vni(duplicate.0.to_string()))?,
        vteps: VtepTable::from_pairs(&vteps).map_err(|duplicate| BuildError::Vtep(duplicate.0))?,
        underlay: UnderlayParams { udp_port: config.vxlan.udp_port, local: LocalAddresses::new(&addresses)? },
        vxlan: VxlanReceive {
            verify_checksum: config.vxlan.verify_checksum,
            accept_zero_checksum_ipv6: config.vxlan.accept_zero_checksum_ipv6,
            allow_inner_vlan: config.vxlan.accept_inner_vlan,
        },
        host_rate_pps: share(config.host.rate_limit_pps, &config.workers),
        parked_per_neighbour: limits.parked_per_neighbour,
        macs: Arc::clone(world.mac_table),
        neighbours: Arc::clone(world.neighbour_table),
    })
}

/// The next hops by what they are asked for.
fn next_hops(entries: &[NeighbourEntry]) -> HashMap<(PortId, IpAddr), NeighbourId> {
    let used = (0..).map(NeighbourId).zip(entries).filter(|(_, entry)| entry.port.is_some());
    used.map(|(id, entry)| ((entry.port, entry.address), id)).collect()
}

/// One worker's share of a rate; a limit stays one.
fn share(rate_pps: u32, workers: &Workers) -> u32 {
    if rate_pps == 0 { 0 } else { (rate_pps / workers.cores.len().max(1) as u32).max(1) }
}

fn port_entry(config: &Config, port: &Port, ids: &Ids, mac: MacAddr) -> PortEntry {
    let mut entry =
        PortEntry { mac, max_frame_octets: u32::from(port.settings.mtu) + ETHERNET_OCTETS, ..PortEntry::default() };
    match &port.settings.role {
        config::Role::Uplink(uplink) => {
            entry.role = Role::Uplink;
            entry.peer = uplink.host.as_ref().map_or(PortId::NONE, |host| ids.port(host.as_str()));
        }
        config::Role::Host => {
            entry.role = Role::Host;
            let uplink = config.uplinks().find(|(_, uplink)| uplink.host.as_ref() == Some(&port.name));
            entry.peer = uplink.map_or(PortId::NONE, |(uplink, _)| ids.port(uplink.name.as_str()));
        }
        config::Role::Container(container) => {
            entry.role = Role::Container;
            entry.isolated = container.isolated;
            entry.network = container.network.as_ref().map_or(NetworkId::NONE, |name| ids.network(name.as_str()));
            if !container.vlans.is_empty() {
                let mut vlans = vec![NetworkId::NONE; VLANS];
                for (vlan, network) in &container.vlans {
                    if let Some(slot) = vlans.get_mut(usize::from(*vlan)) {
                        *slot = ids.network(network.as_str());
                    }
                }
                entry.vlans = Some(vlans.into());
            }
        }
    }
    entry
}

fn network_entry(config: &Config, network: &config::Network, ids: &Ids) -> NetworkEntry {
    let mut tunnels: Vec<_> = network.vteps.iter().map(|vtep| ids.tunnel(*vtep)).collect();
    tunnels.sort_unstable();
    let members = config.members(network.name.as_str());
    let members = members.map(|(port, vlan)| Member { port: ids.port(port.name.as_str()), vlan: vlan.unwrap_or(0) });
    NetworkEntry {
        vni: network.settings.vni,
        members: members.collect(),
        tunnels: tunnels.into(),
        learning: network.settings.mac_learning,
        suppress: network.settings.suppress_arp_nd && !network.bindings.is_empty(),
        storm_limit_pps: network.settings.storm_limit_pps,
        storm_ingress: storm_ingress(config, network, ids),
        bindings: network.bindings.iter().map(|(address, mac)| (*address, *mac)).collect(),
        ..NetworkEntry::default()
    }
}

/// The ports that frames of the network come from, if they are limited there: its own, and uplinks, as a packet from a
/// tunnel counts for the uplink it arrived on.
fn storm_ingress(config: &Config, network: &config::Network, ids: &Ids) -> Box<[PortId]> {
    if network.settings.storm_limit_pps == 0 {
        return Box::default();
    }
    let members = config.members(network.name.as_str()).map(|(port, _)| ids.port(port.name.as_str()));
    let uplinks = config.uplinks().filter(|_| !network.vteps.is_empty()).map(|(port, _)| ids.port(port.name.as_str()));
    let ports: BTreeSet<PortId> = members.chain(uplinks).collect();
    ports.into_iter().collect()
}

/// Finds the way to each VTEP, and collects the next hops on the ways.
struct Routes<'a> {
    config: &'a Config,
    world: &'a World<'a>,
    entries: Vec<NeighbourEntry>,
}

impl Routes<'_> {
    /// The tunnel to `remote`: over the uplink whose prefix holds it, else over the first with a gateway of its family.
    fn tunnel(&mut self, remote: IpAddr, ids: &mut Ids) -> Result<TunnelEntry, BuildError> {
        let none = TunnelEntry { remote, ..TunnelEntry::default() };
        let Some((port, uplink, next_hop)) = self.route(remote) else { return Ok(none) };
        let egress = ids.port(port.name.as_str());
        let Some(local) = source_address(uplink, remote) else { return Ok(none) };
        let mtu = u32::from(port.settings.mtu);
        let neighbour = self.neighbour(egress, next_hop, ids)?;
        let vxlan = &self.config.vxlan;
        let outer = Outer {
            local,
            remote,
            ttl: vxlan.ttl,
            dscp: match vxlan.dscp {
                config::Dscp::Copy => Dscp::Copy,
                config::Dscp::Fixed(value) => Dscp::Fixed(value),
            },
            udp_port: vxlan.udp_port,
            udp_checksum: vxlan.udp_checksum,
            dont_fragment: true,
        };
        let source_mac = self.world.macs.get(&egress).copied().unwrap_or_default();
        let encap = VxlanEncap::new(&VxlanParams { outer, source_mac });
        let max_inner_octets = (mtu + ETHERNET_OCTETS).saturating_sub(encap.overhead_octets() as u32);
        Ok(TunnelEntry { remote, encap: Some(encap), neighbour, egress, max_inner_octets })
    }

    fn route(&self, remote: IpAddr) -> Option<(&Port, &Uplink, IpAddr)> {
        let connected = self.config.uplinks().find_map(|(port, uplink)| {
            uplink.addresses.iter().any(|prefix| prefix.contains(&remote)).then_some((port, uplink, remote))
        });
        connected.or_else(|| {
            self.config.uplinks().find_map(|(port, uplink)| {
                let gateway =
                    if remote.is_ipv4() { uplink.gateway.map(IpAddr::V4) } else { uplink.gateway6.map(IpAddr::V6) };
                gateway.map(|gateway| (port, uplink, gateway))
            })
        })
    }

    /// The next hop `address` on `uplink`, noted with what is needed to ask for it.
    fn neighbour(&mut self, uplink: PortId, address: IpAddr, ids: &mut Ids) -> Result<NeighbourId, BuildError> {
        let id = ids.neighbours.intern(uplink, address).ok_or(BuildError::Neighbours)?;
        let name = ids.port_name(uplink);
        let source = self.config.uplinks().find(|(port, _)| Some(&port.name) == name);
        let source = source.and_then(|(_, uplink)| source_address(uplink, address));
        if let (Some(entry), Some(source)) = (self.entries.get_mut(id.index()), source) {
            let source_mac = self.world.macs.get(&uplink).copied().unwrap_or_default();
            *entry = NeighbourEntry { address, port: uplink, source, source_mac };
        }
        Ok(id)
    }
}

/// Our address on `uplink` for talking to `remote`: the one that shares its prefix, else the first of its family.
fn source_address(uplink: &Uplink, remote: IpAddr) -> Option<IpAddr> {
    let family = uplink.addresses.iter().filter(|prefix| prefix.addr().is_ipv4() == remote.is_ipv4());
    let near = family.clone().find(|prefix| prefix.contains(&remote));
    near.or_else(|| family.clone().next()).map(ipnet::IpNet::addr)
}
