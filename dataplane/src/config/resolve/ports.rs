//! `[[port]]`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use overlay::num::MacAddr;

use super::super::file::{self, At, Port as Typed};
use super::super::model::{Config, Container, Fault, Name, Port, PortSettings, Role, Uplink};
use super::values::not_a_host;
use super::{Resolver, SOCKET_PATH_OCTETS};

impl Resolver<'_, '_> {
    /// All ports. Names of networks are looked up; those of host ports by the cross-checks.
    pub(super) fn ports(&mut self, typed: &[At<Typed>], config: &mut Config) {
        for (i, at) in typed.iter().enumerate() {
            let path = format!("port[{i}]");
            let place = At { value: (), span: at.span.clone() };
            let t = &at.value;
            if let (Some(device), Some(fault)) = (&t.device, &t.fault)
                && device.value.starts_with("fault:")
            {
                let found = "faults are said twice, in `device` and in `fault`";
                self.report.error("fault-twice", Some(fault.span.clone()), found, "keep one of the two");
            }
            let name = self.required(t.name.as_ref(), &path, "name", &place).and_then(|n| self.name(n));
            let device = self.required(t.device.as_ref(), &path, "device", &place).map(|d| self.device(d));
            let role = self.required(t.role.as_ref(), &path, "role", &place).map(|r| r.value);
            let Some(role) = role else { continue };
            let neighbours = self.neighbours(t, &path);
            let settings = PortSettings {
                device: device.unwrap_or_default(),
                role: self.role(role, t, &place, &path, config),
                mtu: 1500,
                mac: t.mac.as_ref().and_then(|m| self.mac(m, "mac")),
                rx_queues: self.int(t.rx_queues.as_ref(), "rx_queues", 1..=64, 1),
                tx_queues: self.int(t.tx_queues.as_ref(), "tx_queues", 1..=64, 1),
                queue_workers: None,
                fault: t.fault.as_ref().map(|f| self.fault(&f.value)),
            };
            let mtu = self.int(t.mtu.as_ref(), "mtu", 576..=9216, default_mtu(&settings.role, config));
            let queue_workers = self.queue_workers(t, settings.rx_queues, config.workers.cores.len());
            let settings = PortSettings { mtu, queue_workers, ..settings };
            let Some(name) = name else { continue };
            if config.ports.contains_key(&name) {
                let found = format!("there is already a port \"{name}\"");
                let span = t.name.as_ref().map(|n| n.span.clone());
                self.report.error("name-twice", span, &found, "rename or remove one of the two");
                continue;
            }
            config.ports.insert(name.clone(), Port { name, settings, neighbours });
        }
    }

    fn device(&mut self, at: &At<String>) -> String {
        let span = Some(at.span.clone());
        let vhost = at.value.strip_prefix("vhost-user:").and_then(|rest| rest.split(',').next());
        let octets = vhost.map_or(0, str::len);
        if at.value.trim().is_empty() {
            let help = "name one, such as tap:NAME, vhost-user:PATH or a PCI address";
            self.report.error("device", span, "`device` is empty", help);
        } else if vhost == Some("") {
            let help = "write vhost-user:/run/weir/NAME.sock";
            self.report.error("device", span, "a vhost-user device needs the path of its socket", help);
        } else if octets > SOCKET_PATH_OCTETS {
            let found =
                format!("the socket path of this device has {octets} octets, {SOCKET_PATH_OCTETS} are the most");
            self.report.error("socket-path", span, &found, "choose a shorter path, such as /run/weir/NAME.sock");
        } else if let Err(why) = (self.devices)(&at.value) {
            let (message, rest) = why.split_once('\n').unwrap_or((&why, "docs/config.md lists the kinds of devices"));
            self.report.error("device", span, message, rest);
        }
        at.value.clone()
    }

    fn role(&mut self, role: file::Role, t: &Typed, place: &At<()>, path: &str, config: &Config) -> Role {
        self.foreign_keys(role, t);
        match role {
            file::Role::Host => Role::Host,
            file::Role::Uplink => Role::Uplink(Uplink {
                addresses: t.addresses.as_ref().map(|list| self.addresses(&list.value)).unwrap_or_default(),
                gateway: t.gateway.as_ref().and_then(|g| match self.ip(g, "gateway")? {
                    IpAddr::V4(v4) => Some(v4),
                    IpAddr::V6(v6) => {
                        let found = format!("`gateway` is {v6}, an IPv6 address");
                        self.report.error("family", Some(g.span.clone()), &found, "IPv6 gateways go to `gateway6`");
                        None
                    }
                }),
                gateway6: t.gateway6.as_ref().and_then(|g| match self.ip(g, "gateway6")? {
                    IpAddr::V6(v6) => Some(v6),
                    IpAddr::V4(v4) => {
                        let found = format!("`gateway6` is {v4}, an IPv4 address");
                        self.report.error("family", Some(g.span.clone()), &found, "IPv4 gateways go to `gateway`");
                        None
                    }
                }),
                host: t.host.as_ref().and_then(|h| self.name(h)),
            }),
            file::Role::Container => {
                let network = t.network.as_ref().and_then(|n| self.network_name(n, config));
                let vlans = self.vlans(t, network.as_ref(), path, config);
                let broken = self.broken.contains(&format!("{path}.network"))
                    || self.broken.iter().any(|b| b.starts_with(&format!("{path}.vlans")));
                if t.network.is_none() && t.vlans.as_ref().is_none_or(|list| list.value.is_empty()) && !broken {
                    let help = "add `network = \"…\"`, or `vlans = [{ vlan = 10, network = \"…\" }]`";
                    self.report.error(
                        "no-network",
                        Some(place.span.clone()),
                        "a container port without a network reaches nothing",
                        help,
                    );
                }
                Role::Container(Container { network, vlans, isolated: t.isolated.as_ref().is_some_and(|i| i.value) })
            }
        }
    }

    /// Keys that mean nothing for this role.
    fn foreign_keys(&mut self, role: file::Role, t: &Typed) {
        let uplink = [
            ("addresses", t.addresses.as_ref().map(|a| &a.span)),
            ("gateway", t.gateway.as_ref().map(|a| &a.span)),
            ("gateway6", t.gateway6.as_ref().map(|a| &a.span)),
            ("host", t.host.as_ref().map(|a| &a.span)),
            ("neighbours", t.neighbours.as_ref().map(|a| &a.span)),
        ];
        let container = [
            ("network", t.network.as_ref().map(|a| &a.span)),
            ("vlans", t.vlans.as_ref().map(|a| &a.span)),
            ("isolated", t.isolated.as_ref().map(|a| &a.span)),
        ];
        let not_uplink = uplink.iter().filter(|_| role != file::Role::Uplink).map(|(k, s)| (*k, *s, "an uplink"));
        let not_container =
            container.iter().filter(|_| role != file::Role::Container).map(|(k, s)| (*k, *s, "a container port"));
        for (key, span, whose) in not_uplink.chain(not_container) {
            if let Some(span) = span {
                let found = format!("`{key}` belongs to {whose}, and this is {}", role_with_article(role));
                self.report.error("role-key", Some(span.clone()), &found, &format!("remove `{key}` or change `role`"));
            }
        }
    }

    fn addresses(&mut self, typed: &[At<String>]) -> Vec<IpNet> {
        let mut addresses: Vec<IpNet> = Vec::new();
        for at in typed {
            let span = Some(at.span.clone());
            let Ok(address) = IpNet::from_str(&at.value) else {
                let found = format!("\"{}\" is not an address with prefix length", at.value);
                let help = "write it as 198.51.100.1/24 or 2001:db8::1/64";
                self.report.error("ip", span, &found, help);
                continue;
            };
            let what = not_a_host(address.addr()).or_else(|| match address {
                IpNet::V4(v4) if v4.prefix_len() < 31 && v4.addr() == v4.network() => Some("the network's own address"),
                IpNet::V4(v4) if v4.prefix_len() < 31 && v4.addr() == v4.broadcast() => {
                    Some("the network's broadcast address")
                }
                IpNet::V6(v6) if v6.prefix_len() < 127 && v6.addr() == v6.network() => {
                    Some("the subnet-router anycast address (RFC 4291 § 2.6.1)")
                }
                _ => None,
            });
            if let Some(what) = what {
                let found = format!("{address} is {what}");
                self.report.error("ip", span, &found, "use the address of one host");
            } else if addresses.iter().any(|known| known.addr() == address.addr()) {
                let found = format!("{} is in this list twice", address.addr());
                self.report.error("address-twice", span, &found, "remove one");
            } else {
                addresses.push(address);
            }
        }
        addresses
    }

    fn neighbours(&mut self, t: &Typed, path: &str) -> BTreeMap<IpAddr, MacAddr> {
        let mut neighbours = BTreeMap::new();
        let list = t.neighbours.as_ref().map(|list| list.value.as_slice()).unwrap_or_default();
        for (i, at) in list.iter().enumerate() {
            let path = format!("{path}.neighbours[{i}]");
            let place = At { value: (), span: at.span.clone() };
            let mac = self.required(at.value.mac.as_ref(), &path, "mac", &place).and_then(|m| self.mac(m, "mac"));
            let address = self.required(at.value.address.as_ref(), &path, "address", &place);
            let ip = address.and_then(|a| self.ip(a, "address"));
            if let (Some(ip), Some(mac)) = (ip, mac)
                && neighbours.insert(ip, mac).is_some()
            {
                let found = format!("neighbour {ip} is in this list twice");
                self.report.error("neighbour-twice", Some(place.span), &found, "one address has one MAC: remove one");
            }
        }
        neighbours
    }

    fn vlans(&mut self, t: &Typed, access: Option<&Name>, path: &str, config: &Config) -> BTreeMap<u16, Name> {
        let mut vlans: BTreeMap<u16, Name> = BTreeMap::new();
        let list = t.vlans.as_ref().map(|list| list.value.as_slice()).unwrap_or_default();
        for (i, at) in list.iter().enumerate() {
            let path = format!("{path}.vlans[{i}]");
            let place = At { value: (), span: at.span.clone() };
            let tag = self.required(at.value.vlan.as_ref(), &path, "vlan", &place);
            let tag = tag.and_then(|v| self.checked::<u16>(v, "vlan", 1..=4094));
            let network = self.required(at.value.network.as_ref(), &path, "network", &place);
            let network = network.and_then(|n| self.network_name(n, config));
            let (Some(tag), Some(network)) = (tag, network) else { continue };
            if access == Some(&network) || vlans.values().any(|other| *other == network) {
                let found = format!("this port carries network \"{network}\" twice");
                let help = "a port carries a network once, untagged or under one tag: remove one";
                self.report.error("vlan-clash", Some(place.span), &found, help);
            } else if vlans.insert(tag, network).is_some() {
                let found = format!("VLAN {tag} is used twice on this port");
                self.report.error("vlan-clash", Some(place.span), &found, "give each network a tag of its own");
            }
        }
        vlans
    }

    /// The name of a network that exists.
    fn network_name(&mut self, at: &At<String>, config: &Config) -> Option<Name> {
        let known = config.networks.get_key_value(at.value.as_str()).map(|(name, _)| name.clone());
        let nameless = self.broken.iter().any(|b| b.starts_with("network[") && b.ends_with("].name") || b == "network");
        if known.is_none() && !nameless {
            let found = format!("there is no network \"{}\"", at.value);
            let names: Vec<&str> = config.networks.keys().map(Name::as_str).collect();
            let help = match names.as_slice() {
                [] => "add a [[network]] with that name".to_owned(),
                names => format!("add a [[network]] with that name, or choose among: {}", names.join(", ")),
            };
            self.report.error("unknown-network", Some(at.span.clone()), &found, &help);
        }
        known
    }

    fn queue_workers(&mut self, t: &Typed, rx_queues: u16, workers: usize) -> Option<Vec<u16>> {
        let list = t.queue_workers.as_ref()?;
        let mut plan = Vec::new();
        for at in &list.value {
            match u16::try_from(at.value) {
                Ok(worker) if usize::from(worker) < workers => plan.push(worker),
                _ => {
                    let found = format!("there is no worker {}: `workers.cores` names {workers}", at.value);
                    let help = format!("count the workers from 0: choose 0 to {}", workers.saturating_sub(1));
                    self.report.error("queue-workers", Some(at.span.clone()), &found, &help);
                }
            }
        }
        if list.value.len() != usize::from(rx_queues) {
            let found = format!("`queue_workers` names {} queues, the port has {rx_queues}", list.value.len());
            let help = "name one worker for each receive queue, or change `rx_queues`";
            self.report.error("queue-workers", Some(list.span.clone()), &found, help);
        }
        Some(plan)
    }

    fn fault(&mut self, f: &file::Fault) -> Fault {
        Fault {
            loss: self.probability(f.loss.as_ref(), "fault.loss"),
            duplicate: self.probability(f.duplicate.as_ref(), "fault.duplicate"),
            reorder: self.probability(f.reorder.as_ref(), "fault.reorder"),
            delay_us: self.int(f.delay_us.as_ref(), "fault.delay_us", 0..=1_000_000, 0),
            seed: self.int(f.seed.as_ref(), "fault.seed", 0..=i64::MAX, 1),
        }
    }
}

/// A container's MTU is the largest of its networks'.
fn default_mtu(role: &Role, config: &Config) -> u16 {
    let Role::Container(container) = role else { return 1500 };
    let names = container.network.iter().chain(container.vlans.values());
    names.filter_map(|name| config.networks.get(name)).map(|n| n.settings.mtu).max().unwrap_or(1500)
}

const fn role_with_article(role: file::Role) -> &'static str {
    match role {
        file::Role::Uplink => "an uplink",
        file::Role::Container => "a container port",
        file::Role::Host => "a host port",
    }
}
