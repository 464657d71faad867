//! Checks across sections: who refers to whom, what reaches what, what fits into what.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;

use super::super::file::{At, File, Mac, Network as TypedNetwork, Port as TypedPort};
use super::super::model::{Config, MacPlace, MemoryMode, Name, Network, Port, Role, Uplink};
use super::Resolver;

/// Outer octets inside the underlay's MTU: inner Ethernet 14, VXLAN 8, UDP 8, and IPv4 20 or IPv6 40 (RFC 7348 § 5).
const OVERHEAD_OCTETS: [u16; 2] = [50, 70];
/// Descriptors of one queue of an ethdev, at most.
const DESCRIPTORS: u64 = 1024;
/// What one mbuf takes beside its data: struct, private area, headroom, pool header.
const MBUF_OVERHEAD_OCTETS: u64 = 128 + 64 + 128 + 64;

type Span = Option<Range<usize>>;

pub(super) fn check(r: &mut Resolver<'_, '_>, file: &File, config: &mut Config) {
    r.macs(file, config);
    r.hosts(file, config);
    r.devices(file);
    r.uplinks(file, config);
    r.static_neighbours(file, config);
    r.reachability(file, config);
    r.tunnel_mtu(file, config);
    r.sizes(file, config);
}

fn typed_port<'f>(file: &'f File, name: &Name) -> Option<&'f At<TypedPort>> {
    file.port.iter().find(|p| p.value.name.as_ref().is_some_and(|n| n.value == name.as_str()))
}

fn typed_network<'f>(file: &'f File, name: &Name) -> Option<&'f At<TypedNetwork>> {
    file.network.iter().find(|n| n.value.name.as_ref().is_some_and(|n| n.value == name.as_str()))
}

fn name_span(at: &At<TypedPort>) -> Span {
    at.value.name.as_ref().map(|n| n.span.clone())
}

impl Resolver<'_, '_> {
    /// Static MACs: filled in here because they name ports.
    fn macs(&mut self, file: &File, config: &mut Config) {
        for (n, at) in file.network.iter().enumerate() {
            let Some(name) = at.value.name.as_ref().and_then(|n| Name::new_checked(&n.value)) else { continue };
            let Some(network) = config.networks.get(&name).cloned() else { continue };
            let mut macs = network.macs.clone();
            for (i, entry) in at.value.macs.iter().enumerate() {
                let path = format!("network[{n}].macs[{i}]");
                let place = At { value: (), span: entry.span.clone() };
                let typed = self.required(entry.value.mac.as_ref(), &path, "mac", &place);
                let mac = typed.and_then(|m| self.mac(m, "mac"));
                let site = self.mac_place(entry, &network, config, &path);
                if let (Some(mac), Some(site)) = (mac, site)
                    && macs.insert(mac, site).is_some()
                {
                    let found = format!("{mac} is static in network \"{name}\" twice");
                    self.report.error(
                        "mac-twice",
                        typed.map(|m| m.span.clone()),
                        &found,
                        "a MAC has one place: remove one",
                    );
                }
            }
            if let Some(network) = config.networks.get_mut(&name) {
                network.macs = macs;
            }
        }
    }

    fn mac_place(&mut self, entry: &At<Mac>, network: &Network, config: &Config, path: &str) -> Option<MacPlace> {
        match (&entry.value.port, &entry.value.vtep) {
            (Some(port), None) => {
                let tag = entry.value.vlan.as_ref().map(|v| self.checked::<u16>(v, "vlan", 1..=4094));
                let member = config.members(network.name.as_str()).find(|(p, _)| p.name.as_str() == port.value);
                let span = Some(port.span.clone());
                let Some((known, vlan)) = member else {
                    let exists = config.ports.contains_key(port.value.as_str());
                    let (code, found) = if exists {
                        ("not-a-member", format!("port \"{}\" does not carry network \"{}\"", port.value, network.name))
                    } else {
                        ("unknown-port", format!("there is no port \"{}\"", port.value))
                    };
                    if exists || !self.nameless_port() {
                        let members: Vec<&str> =
                            config.members(network.name.as_str()).map(|(p, _)| p.name.as_str()).collect();
                        let help = format!("name a container port of this network: {}", members.join(", "));
                        self.report.error(code, span, &found, &help);
                    }
                    return None;
                };
                if let Some(Some(tag)) = tag
                    && vlan != Some(tag)
                {
                    let carried = vlan.map_or("untagged".to_owned(), |v| format!("under VLAN {v}"));
                    let found = format!("port \"{}\" carries this network {carried}, not under VLAN {tag}", port.value);
                    let span = entry.value.vlan.as_ref().map(|v| v.span.clone());
                    self.report.error("not-a-member", span, &found, "leave `vlan` out: it is looked up");
                }
                Some(MacPlace::Port { port: known.name.clone(), vlan })
            }
            (None, Some(at)) => {
                if let Some(vlan) = &entry.value.vlan {
                    let help = "remove `vlan`";
                    self.report.error(
                        "mac-place",
                        Some(vlan.span.clone()),
                        "`vlan` means nothing behind a `vtep`",
                        help,
                    );
                }
                let vtep = self.ip(at, "vtep")?;
                if !network.vteps.contains(&vtep) {
                    let found = format!("{vtep} is not among the `vteps` of network \"{}\"", network.name);
                    self.report.error("unknown-vtep", Some(at.span.clone()), &found, "add it to `vteps`");
                }
                Some(MacPlace::Vtep { vtep })
            }
            _ if ["port", "vtep"].iter().any(|key| self.broken.contains(&format!("{path}.{key}"))) => None,
            (both, _) => {
                let found = if both.is_some() {
                    "a MAC has both a `port` and a `vtep`"
                } else {
                    "a MAC has neither a `port` nor a `vtep`"
                };
                self.report.error(
                    "mac-place",
                    Some(entry.span.clone()),
                    found,
                    "say where it is: `port` or `vtep`, one of the two",
                );
                None
            }
        }
    }

    fn broken_port(&self) -> bool {
        self.broken.iter().any(|b| b == "port" || b.starts_with("port["))
    }

    fn nameless_port(&self) -> bool {
        self.broken
            .iter()
            .any(|b| b == "port" || b.starts_with("port[") && (b.ends_with("].name") || b.ends_with("].role")))
    }

    /// `host` of uplinks.
    fn hosts(&mut self, file: &File, config: &Config) {
        let hosts = || config.ports.values().filter(|p| p.settings.role == Role::Host).map(|p| &p.name);
        let mut used = BTreeSet::new();
        for (port, uplink) in config.uplinks() {
            let Some(host) = &uplink.host else { continue };
            used.insert(host.clone());
            let span = typed_port(file, &port.name).and_then(|p| p.value.host.as_ref()).map(|h| h.span.clone());
            match config.ports.get(host).map(|p| &p.settings.role) {
                Some(Role::Host) => {}
                Some(role) => {
                    let found = format!("port \"{host}\" has role {}, not host", role.name());
                    self.report.error("unknown-host", span, &found, "name a port with role = \"host\"");
                }
                None if self.nameless_port() => {}
                None => {
                    let found = format!("there is no port \"{host}\"");
                    let help =
                        format!("add a [[port]] with name = \"{host}\", role = \"host\" and device = \"tap:NAME\"");
                    self.report.error("unknown-host", span, &found, &help);
                }
            }
        }
        // Where a port could not be read, that one may have been the user.
        if self.broken_port() {
            return;
        }
        for host in hosts().filter(|h| !used.contains(*h)) {
            let span = typed_port(file, host).and_then(name_span);
            let found = format!("no uplink hands anything to host port \"{host}\"");
            self.report.warn("host-unused", span, &found, &format!("write `host = \"{host}\"` in an uplink"));
        }
    }

    /// A device belongs to one port; those that make or swallow packets, or only read a file, can be many.
    fn devices(&mut self, file: &File) {
        let mut seen: Vec<(&str, &At<String>)> = Vec::new();
        for at in file.port.iter().filter_map(|p| p.value.device.as_ref()) {
            let device = bare_device(&at.value);
            // Of a vhost-user device only the socket counts, not the options behind it.
            let device =
                if device.starts_with("vhost-user:") { device.split(',').next().unwrap_or_default() } else { device };
            let shared = device == "ring" || ["null", "source", "pcap:"].iter().any(|kind| device.starts_with(kind));
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == device && !shared) {
                let found =
                    format!("device \"{device}\" is already that of another port ({})", self.report.line(&first.span));
                self.report.error("device-twice", Some(at.span.clone()), &found, "give each port a device of its own");
            } else if !device.is_empty() {
                seen.push((device, at));
            }
        }
    }

    /// Addresses of different uplinks, and their gateways.
    fn uplinks(&mut self, file: &File, config: &Config) {
        let mut links: Vec<(&Name, IpNet)> = Vec::new();
        let mut gateways: [Option<&Name>; 2] = [None, None];
        for (port, uplink) in config.uplinks() {
            let typed = typed_port(file, &port.name);
            for address in &uplink.addresses {
                let list = typed.and_then(|p| p.value.addresses.as_ref());
                let at = list.and_then(|l| l.value.iter().find(|a| a.value.parse() == Ok(*address)));
                let span = at.map(|a| a.span.clone());
                if let Some((other, link)) = links
                    .iter()
                    .find(|(other, link)| **other != port.name && (link.contains(address) || address.contains(link)))
                {
                    let found = format!("{address} overlaps {link} of uplink \"{other}\"");
                    self.report.error("address-overlap", span, &found, "each uplink needs a prefix of its own");
                }
                links.push((&port.name, *address));
            }
            let typed_gateways =
                typed.map(|p| [p.value.gateway.as_ref(), p.value.gateway6.as_ref()]).unwrap_or_default();
            let resolved = [uplink.gateway.map(IpAddr::V4), uplink.gateway6.map(IpAddr::V6)];
            for ((gateway, at), first) in resolved.into_iter().zip(typed_gateways).zip(&mut gateways) {
                let Some(gateway) = gateway else { continue };
                let span = at.map(|a| a.span.clone());
                if let Some(other) = first {
                    let found = format!("uplink \"{other}\" already has a default gateway of this family");
                    self.report.error("gateway-twice", span.clone(), &found, "keep one default gateway a family");
                }
                *first = Some(&port.name);
                self.on_link(gateway, uplink, span, "gateway");
            }
            if uplink.addresses.is_empty() && typed.is_some_and(|p| p.value.addresses.is_none()) {
                let span = typed.and_then(name_span);
                let found = format!("uplink \"{}\" has no addresses: no tunnel can start or end here", port.name);
                self.report.warn("no-addresses", span, &found, "add `addresses = [\"198.51.100.1/24\"]`");
            }
        }
    }

    /// Next hops are other hosts on the link.
    fn on_link(&mut self, address: IpAddr, uplink: &Uplink, span: Span, what: &str) {
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if uplink.addresses.iter().any(|own| own.addr() == address) {
            let found = format!("{what} {address} is this uplink's own address");
            self.report.error("own-address", span, &found, "name the other host");
        } else if !link_local && !uplink.addresses.iter().any(|own| own.contains(&address)) {
            let links: Vec<String> = uplink.addresses.iter().map(|own| own.trunc().to_string()).collect();
            let found = format!("{what} {address} is not on the link of any address of this uplink");
            let help = match links.as_slice() {
                [] => "add an address of that link to `addresses`".to_owned(),
                links => format!("choose one in {}, or correct `addresses`", links.join(" or ")),
            };
            self.report.error("off-link", span, &found, &help);
        }
    }

    fn static_neighbours(&mut self, file: &File, config: &Config) {
        for (port, uplink) in config.uplinks() {
            let list = typed_port(file, &port.name).and_then(|p| p.value.neighbours.as_ref());
            for address in port.neighbours.keys() {
                let typed = list.and_then(|l| {
                    l.value.iter().filter_map(|n| n.value.address.as_ref()).find(|a| a.value.parse() == Ok(*address))
                });
                self.on_link(*address, uplink, typed.map(|a| a.span.clone()), "neighbour");
            }
        }
    }

    /// Every VTEP is another host, and there is a way to it.
    fn reachability(&mut self, file: &File, config: &Config) {
        let own: Vec<IpNet> = config.uplinks().flat_map(|(_, u)| u.addresses.iter().copied()).collect();
        for network in config.networks.values() {
            let typed = typed_network(file, &network.name);
            for vtep in &network.vteps {
                let at = typed.and_then(|n| n.value.vteps.iter().find(|v| v.value.parse() == Ok(*vtep)));
                let span = at.map(|v| v.span.clone());
                let family = if vtep.is_ipv4() { "IPv4" } else { "IPv6" };
                let has_family = own.iter().any(|a| a.addr().is_ipv4() == vtep.is_ipv4());
                let gateway = config
                    .uplinks()
                    .any(|(_, u)| if vtep.is_ipv4() { u.gateway.is_some() } else { u.gateway6.is_some() });
                if own.iter().any(|a| a.addr() == *vtep) {
                    let found = format!("VTEP {vtep} is an address of this weir itself");
                    self.report.error("own-vtep", span, &found, "`vteps` lists the other ends: remove it");
                } else if self.broken_port() {
                    // An uplink could not be read: it may have been the one.
                } else if !has_family {
                    let found = format!("VTEP {vtep} cannot be reached: no uplink has an {family} address");
                    let help = format!("add an {family} address to the `addresses` of an uplink");
                    self.report.error("no-route", span, &found, &help);
                } else if !gateway && !own.iter().any(|a| a.contains(vtep)) {
                    let key = if vtep.is_ipv4() { "gateway" } else { "gateway6" };
                    let found =
                        format!("VTEP {vtep} cannot be reached: it is on no uplink's link and there is no `{key}`");
                    self.report.error(
                        "no-route",
                        span,
                        &found,
                        &format!("add a `{key}` to an uplink, or correct the VTEP"),
                    );
                }
            }
        }
    }

    /// A container's largest packet, encapsulated, should fit the uplinks.
    fn tunnel_mtu(&mut self, file: &File, config: &Config) {
        let Some(smallest) = config.uplinks().map(|(port, _)| port).min_by_key(|port| port.settings.mtu) else {
            return;
        };
        for (port, container) in config.containers() {
            let names = container.network.iter().chain(container.vlans.values());
            let vteps: Vec<IpAddr> =
                names.filter_map(|n| config.networks.get(n)).flat_map(|n| n.vteps.iter().copied()).collect();
            let Some(v6) = vteps.iter().map(IpAddr::is_ipv6).max() else { continue };
            let [four, six] = OVERHEAD_OCTETS;
            let tag = if config.vxlan.accept_inner_vlan { 4 } else { 0 };
            let overhead = tag + if v6 { six } else { four };
            let needed = port.settings.mtu.saturating_add(overhead);
            if needed > smallest.settings.mtu {
                let typed = typed_port(file, &port.name);
                let span = typed.and_then(|p| p.value.mtu.as_ref().map(|m| m.span.clone()).or_else(|| name_span(p)));
                let found = format!(
                    "port \"{}\" has an MTU of {} octets; with {overhead} of encapsulation that is {needed}, and uplink \"{}\" has {}",
                    port.name, port.settings.mtu, smallest.name, smallest.settings.mtu
                );
                let help = format!(
                    "raise the uplink's `mtu` to {needed} or lower this one to {}; longer packets are dropped by name",
                    smallest.settings.mtu.saturating_sub(overhead)
                );
                self.report.warn("tunnel-mtu", span, &found, &help);
            }
        }
    }

    /// Limits and the pool.
    fn sizes(&mut self, file: &File, config: &Config) {
        let limits = config.limits;
        let vteps: BTreeSet<IpAddr> = config.networks.values().flat_map(|n| n.vteps.iter().copied()).collect();
        let counts = [
            ("ports", config.ports.len(), u64::from(limits.ports)),
            ("networks", config.networks.len(), u64::from(limits.networks)),
            ("tunnels", vteps.len(), u64::from(limits.tunnels)),
            ("macs", config.networks.values().map(|n| n.macs.len()).sum(), u64::from(limits.macs)),
            ("neighbours", config.ports.values().map(|p| p.neighbours.len()).sum(), u64::from(limits.neighbours)),
        ];
        for (key, count, limit) in counts {
            if count as u64 > limit {
                let l = file.limits.as_ref();
                let at = l.and_then(|l| match key {
                    "ports" => l.ports.as_ref(),
                    "networks" => l.networks.as_ref(),
                    "tunnels" => l.tunnels.as_ref(),
                    "macs" => l.macs.as_ref(),
                    _ => l.neighbours.as_ref(),
                });
                let found = format!("the file has {count} {key}, and `limits.{key}` is {limit}");
                self.report.error(
                    "limit",
                    at.map(|a| a.span.clone()),
                    &found,
                    &format!("raise `limits.{key}` to {count} or more"),
                );
            }
        }
        let mbufs = u64::from(config.pool.mbufs);
        let needed = mbufs_needed(config);
        let pool = file.pool.as_ref();
        if needed > mbufs {
            let span = pool.and_then(|p| p.mbufs.as_ref()).map(|m| m.span.clone());
            let found = format!("`pool.mbufs` is {mbufs}, and the queues of these ports can hold {needed}");
            let help = format!("raise `pool.mbufs` to {} or more, or use fewer queues", needed.next_power_of_two());
            self.report.error("pool-small", span, &found, &help);
        }
        let pool_mib = (mbufs * (u64::from(config.pool.data_octets) + MBUF_OVERHEAD_OCTETS)).div_ceil(1 << 20);
        if pool_mib > u64::from(config.eal.memory_mib) {
            let at = file.eal.as_ref().and_then(|e| e.memory_mib.as_ref()).or(pool.and_then(|p| p.mbufs.as_ref()));
            let span = at.map(|a| a.span.clone());
            let found =
                format!("the pool alone takes {pool_mib} MiB, and `eal.memory_mib` is {}", config.eal.memory_mib);
            let help = format!(
                "raise `eal.memory_mib` to {} or lower `pool.mbufs`",
                (pool_mib + pool_mib / 4).next_multiple_of(64)
            );
            if config.eal.memory == MemoryMode::NoHuge {
                self.report.error("memory-small", span, &found, &help);
            } else {
                self.report.warn("memory-small", span, &found, &help);
            }
        }
    }
}

/// What is opened in the end, behind the decorators that a device text may begin with (`fault:…;DEVICE`).
fn bare_device(text: &str) -> &str {
    text.rsplit(';').next().unwrap_or(text)
}

/// The most mbufs that can be out of the pool at once: descriptors of ethdev queues, bursts under way, workers' caches.
fn mbufs_needed(config: &Config) -> u64 {
    let workers = config.workers.cores.len() as u64;
    let burst = u64::from(config.workers.burst);
    let of_port = |port: &Port| {
        let queues = u64::from(port.settings.rx_queues) + u64::from(port.settings.tx_queues);
        // The rings of a vhost-user device hold the peer's memory, not ours; null and source have no rings.
        let ringless =
            ["vhost-user:", "null", "source"].iter().any(|kind| bare_device(&port.settings.device).starts_with(kind));
        queues * if ringless { burst } else { DESCRIPTORS }
    };
    // A cache overflows at one and a half times its size (rte_mempool).
    config.ports.values().map(of_port).sum::<u64>() + workers * (2 * burst + u64::from(config.pool.cache) * 3 / 2)
}
