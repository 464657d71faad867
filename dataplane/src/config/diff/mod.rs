//! One way to change anything: the difference of two configurations as a list of changes.

mod show;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use overlay::num::MacAddr;
use serde::Serialize;

use super::model::{
    Config, Host, Ledger, MacPlace, Name, Network, NetworkSettings, Port, PortSettings, Vxlan, Workers,
};

/// Who wants a change. `apply` compares within one source only, so that the file never deletes what a routing daemon said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The configuration file.
    File,
    /// A request on the control socket.
    Api,
    /// A routing daemon.
    Routing,
    /// A key-value store.
    Store,
}

/// How much the file counts. Where two sources speak of one key, the larger preference wins.
pub const FILE_PREFERENCE: u8 = 100;

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Key {
    /// `[workers]`, but for `cores`.
    Workers,
    /// `[ledger]`.
    Ledger,
    /// `[vxlan]`.
    Vxlan,
    /// `[host]`.
    Host,
    /// A port's settings.
    Port {
        /// Its name.
        port: Name,
    },
    /// A static neighbour of an uplink.
    Neighbour {
        /// The uplink.
        port: Name,
        /// The neighbour.
        address: IpAddr,
    },
    /// A network's settings.
    Network {
        /// Its name.
        network: Name,
    },
    /// A remote VTEP of a network.
    Vtep {
        /// The network.
        network: Name,
        /// The VTEP.
        vtep: IpAddr,
    },
    /// A static MAC entry of a network.
    Mac {
        /// The network.
        network: Name,
        /// The MAC.
        mac: MacAddr,
    },
    /// An IP-to-MAC binding of a network.
    Binding {
        /// The network.
        network: Name,
        /// The IP address.
        address: IpAddr,
    },
}

/// The value that belongs to a [`Key`]; variants correspond one to one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// Of [`Key::Workers`].
    Workers(Workers),
    /// Of [`Key::Ledger`].
    Ledger(Ledger),
    /// Of [`Key::Vxlan`].
    Vxlan(Vxlan),
    /// Of [`Key::Host`].
    Host(Host),
    /// Of [`Key::Port`].
    Port(Box<PortSettings>),
    /// Of [`Key::Network`].
    Network(NetworkSettings),
    /// Of [`Key::Neighbour`] and [`Key::Binding`].
    Mac(MacAddr),
    /// Of [`Key::Mac`].
    Place(MacPlace),
    /// Of [`Key::Vtep`]: being there is all.
    Member,
}

/// What happens to a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", content = "value", rename_all = "lowercase")]
pub enum Op {
    /// It is new. A new port or network comes empty; its entries are changes of their own.
    Add(Item),
    /// It stays what it is, with other settings: no device is closed, no packet lost.
    Update(Item),
    /// Of ports: its device is closed and another opened.
    Replace(Item),
    /// It goes, and with a port or network everything in it.
    Remove,
}

/// One change of one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What is changed.
    pub key: Key,
    /// Who wants it.
    pub source: Source,
    /// How much that source counts; the larger wins.
    pub preference: u8,
    /// What happens.
    #[serde(flatten)]
    pub op: Op,
    /// For updates and replacements: each setting that differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// One setting before and after, as JSON values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// The key in the file.
    pub field: String,
    /// What it is now.
    pub from: serde_json::Value,
    /// What it will be.
    pub to: serde_json::Value,
}

/// What it takes to get from one configuration to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// In the order in which they are made.
    pub changes: Vec<Change>,
    /// Settings that differ and are read at start only, as `section.key`. Where there is one, nothing is applied.
    pub restart: Vec<FieldChange>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.restart.is_empty()
    }

    /// Why this plan cannot be applied to a running weir, if so: it changes what is read at start only.
    pub fn refusal(&self) -> Option<String> {
        let keys: Vec<&str> = self.restart.iter().map(|r| r.field.as_str()).collect();
        (!keys.is_empty()).then(|| {
            format!(
                "nothing was applied: {} can be changed at start only; restart weir with the new file, or take the change back",
                keys.join(", ")
            )
        })
    }

    /// `old` with the changes made, in their order. What needs a restart is left as it is.
    #[must_use]
    pub fn apply_to(&self, old: &Config) -> Config {
        let mut config = old.clone();
        for change in &self.changes {
            change.apply(&mut config);
        }
        config
    }
}

impl Change {
    /// Makes this change. Where key and item do not belong together, or what is changed is not there, nothing happens.
    pub fn apply(&self, config: &mut Config) {
        let item = match &self.op {
            Op::Add(item) | Op::Update(item) | Op::Replace(item) => Some(item.clone()),
            Op::Remove => None,
        };
        match (&self.key, item) {
            (Key::Workers, Some(Item::Workers(new))) => config.workers = new,
            (Key::Ledger, Some(Item::Ledger(new))) => config.ledger = new,
            (Key::Vxlan, Some(Item::Vxlan(new))) => config.vxlan = new,
            (Key::Host, Some(Item::Host(new))) => config.host = new,
            (Key::Port { port }, Some(Item::Port(settings))) => {
                let neighbours = config.ports.remove(port).map(|old| old.neighbours).unwrap_or_default();
                config.ports.insert(port.clone(), Port { name: port.clone(), settings: *settings, neighbours });
            }
            (Key::Port { port }, None) => drop(config.ports.remove(port)),
            (Key::Network { network }, Some(Item::Network(settings))) => {
                let new = || Network::empty(network.clone(), settings);
                config.networks.entry(network.clone()).or_insert_with(new).settings = settings;
            }
            (Key::Network { network }, None) => drop(config.networks.remove(network)),
            (Key::Neighbour { port, address }, item) => {
                if let Some(port) = config.ports.get_mut(port) {
                    set(&mut port.neighbours, *address, as_mac(item));
                }
            }
            (Key::Vtep { network, vtep }, item) => {
                if let Some(network) = config.networks.get_mut(network) {
                    match item {
                        Some(_) => network.vteps.insert(*vtep),
                        None => network.vteps.remove(vtep),
                    };
                }
            }
            (Key::Mac { network, mac }, item) => {
                if let Some(network) = config.networks.get_mut(network) {
                    let place = item.and_then(|i| if let Item::Place(place) = i { Some(place) } else { None });
                    set(&mut network.macs, *mac, place);
                }
            }
            (Key::Binding { network, address }, item) => {
                if let Some(network) = config.networks.get_mut(network) {
                    set(&mut network.bindings, *address, as_mac(item));
                }
            }
            _ => {}
        }
    }
}

fn as_mac(item: Option<Item>) -> Option<MacAddr> {
    item.and_then(|i| if let Item::Mac(mac) = i { Some(mac) } else { None })
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

/// The plan from `old` to `new`, both being the whole of what the file says.
///
/// What did not change is not touched. Order: whatever holds something exclusive that another wants (a device, a VNI) goes
/// first; then sections, networks, ports and entries are made or updated; only then the rest is taken away.
pub fn diff(old: &Config, new: &Config) -> Plan {
    let mut d = Differ::default();
    d.restart("eal", &old.eal, &new.eal);
    d.restart("workers", &Cores { cores: &old.workers.cores }, &Cores { cores: &new.workers.cores });
    d.restart("pool", &old.pool, &new.pool);
    d.restart("limits", &old.limits, &new.limits);
    d.restart("control", &old.control, &new.control);
    // `cores` is a matter of a restart, not of a change.
    let workers = Workers { cores: old.workers.cores.clone(), ..new.workers.clone() };
    d.update(Phase::Make, Key::Workers, &old.workers, &workers, Item::Workers(workers.clone()));
    d.update(Phase::Make, Key::Ledger, &old.ledger, &new.ledger, Item::Ledger(new.ledger));
    d.update(Phase::Make, Key::Vxlan, &old.vxlan, &new.vxlan, Item::Vxlan(new.vxlan));
    d.update(Phase::Make, Key::Host, &old.host, &new.host, Item::Host(new.host));
    d.networks(old, new);
    d.ports(old, new);
    d.entries(old, new);
    d.staged.sort_by_key(|(phase, _)| *phase);
    Plan { changes: d.staged.into_iter().map(|(_, change)| change).collect(), restart: d.restart }
}

#[derive(Serialize)]
struct Cores<'a> {
    cores: &'a [u16],
}

/// Make before break, but for what two cannot hold at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    BreakPorts,
    BreakNetworks,
    Make,
    MakeEntries,
    BreakEntries,
    RemovePorts,
    RemoveNetworks,
}

#[derive(Default)]
struct Differ {
    staged: Vec<(Phase, Change)>,
    restart: Vec<FieldChange>,
}

impl Differ {
    fn push(&mut self, phase: Phase, key: Key, op: Op, fields: Vec<FieldChange>) {
        self.staged.push((phase, Change { key, source: Source::File, preference: FILE_PREFERENCE, op, fields }));
    }

    fn restart<T: Serialize>(&mut self, section: &str, old: &T, new: &T) {
        let named = fields(old, new).into_iter().map(|f| FieldChange { field: format!("{section}.{}", f.field), ..f });
        self.restart.extend(named);
    }

    fn update<T: Serialize + PartialEq>(&mut self, phase: Phase, key: Key, old: &T, new: &T, item: Item) {
        if old != new {
            self.push(phase, key, Op::Update(item), fields(old, new));
        }
    }

    fn networks(&mut self, old: &Config, new: &Config) {
        for (name, was) in old.networks.iter().filter(|(name, _)| !new.networks.contains_key(*name)) {
            let wanted = new.networks.values().any(|n| n.settings.vni == was.settings.vni);
            let phase = if wanted { Phase::BreakNetworks } else { Phase::RemoveNetworks };
            self.push(phase, Key::Network { network: name.clone() }, Op::Remove, Vec::new());
        }
        for (name, network) in &new.networks {
            let key = Key::Network { network: name.clone() };
            let item = Item::Network(network.settings);
            match old.networks.get(name) {
                None => self.push(Phase::Make, key, Op::Add(item), Vec::new()),
                Some(was) => self.update(Phase::Make, key, &was.settings, &network.settings, item),
            }
        }
    }

    fn ports(&mut self, old: &Config, new: &Config) {
        for (name, was) in old.ports.iter().filter(|(name, _)| !new.ports.contains_key(*name)) {
            let wanted = new.ports.values().any(|p| p.settings.device == was.settings.device);
            let phase = if wanted { Phase::BreakPorts } else { Phase::RemovePorts };
            self.push(phase, Key::Port { port: name.clone() }, Op::Remove, Vec::new());
        }
        for (name, port) in &new.ports {
            let key = Key::Port { port: name.clone() };
            let item = Item::Port(Box::new(port.settings.clone()));
            match old.ports.get(name).map(|was| &was.settings) {
                None => self.push(Phase::Make, key, Op::Add(item), Vec::new()),
                // Another port takes over the device: it must be closed before that one opens it.
                Some(was) if hands_over_device(old, new, name) => {
                    let changed = fields(was, &port.settings);
                    self.push(Phase::BreakPorts, key.clone(), Op::Remove, Vec::new());
                    self.push(Phase::Make, key, Op::Add(item), changed);
                }
                Some(was) if was.device_differs(&port.settings) => {
                    let changed = fields(was, &port.settings);
                    self.push(Phase::Make, key, Op::Replace(item), changed);
                }
                Some(was) => self.update(Phase::Make, key, was, &port.settings, item),
            }
        }
    }

    fn entries(&mut self, old: &Config, new: &Config) {
        let none = BTreeMap::new();
        for (name, port) in &new.ports {
            let kept = old.ports.get(name).filter(|_| !hands_over_device(old, new, name));
            let was = kept.map_or(&none, |p| &p.neighbours);
            let key = |address: &IpAddr| Key::Neighbour { port: name.clone(), address: *address };
            self.map(was, &port.neighbours, key, |mac| Item::Mac(*mac));
        }
        for (name, network) in &new.networks {
            let empty = Network::empty(name.clone(), network.settings);
            let was = old.networks.get(name).unwrap_or(&empty);
            for vtep in network.vteps.difference(&was.vteps) {
                let key = Key::Vtep { network: name.clone(), vtep: *vtep };
                self.push(Phase::MakeEntries, key, Op::Add(Item::Member), Vec::new());
            }
            for vtep in was.vteps.difference(&network.vteps) {
                let key = Key::Vtep { network: name.clone(), vtep: *vtep };
                self.push(Phase::BreakEntries, key, Op::Remove, Vec::new());
            }
            let key = |mac: &MacAddr| Key::Mac { network: name.clone(), mac: *mac };
            self.map(&was.macs, &network.macs, key, |place| Item::Place(place.clone()));
            let key = |address: &IpAddr| Key::Binding { network: name.clone(), address: *address };
            self.map(&was.bindings, &network.bindings, key, |mac| Item::Mac(*mac));
        }
    }

    fn map<K: Ord, V: PartialEq + Serialize>(
        &mut self,
        old: &BTreeMap<K, V>,
        new: &BTreeMap<K, V>,
        key: impl Fn(&K) -> Key,
        item: impl Fn(&V) -> Item,
    ) {
        for (k, value) in new {
            match old.get(k) {
                None => self.push(Phase::MakeEntries, key(k), Op::Add(item(value)), Vec::new()),
                Some(was) => self.update(Phase::MakeEntries, key(k), was, value, item(value)),
            }
        }
        for k in old.keys().filter(|k| !new.contains_key(k)) {
            self.push(Phase::BreakEntries, key(k), Op::Remove, Vec::new());
        }
    }
}

/// Whether a port stays, with another device, and the one it had goes to another port.
fn hands_over_device(old: &Config, new: &Config, name: &Name) -> bool {
    let (Some(was), Some(is)) = (old.ports.get(name), new.ports.get(name)) else { return false };
    let device = &was.settings.device;
    *device != is.settings.device && new.ports.values().any(|p| p.name != *name && p.settings.device == *device)
}

impl PortSettings {
    /// Whether going from one to the other means to close the device and open another.
    pub fn device_differs(&self, other: &Self) -> bool {
        let opened = |p: &Self| {
            let queues = (p.rx_queues, p.tx_queues, p.queue_workers.clone());
            (p.device.clone(), p.role.name(), p.mac, p.mtu, queues)
        };
        opened(self) != opened(other) || self.fault != other.fault
    }
}

/// The fields in which two values of one type differ, by their JSON form.
fn fields<T: Serialize>(old: &T, new: &T) -> Vec<FieldChange> {
    use serde_json::Value;
    // Serialising plain data into a JSON value cannot fail; were it to, the change would merely be shown without detail.
    let (old, new) = (serde_json::to_value(old).unwrap_or_default(), serde_json::to_value(new).unwrap_or_default());
    let (Value::Object(old), Value::Object(new)) = (&old, &new) else {
        return if old == new { Vec::new() } else { vec![FieldChange { field: String::new(), from: old, to: new }] };
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .map(|key| FieldChange { field: key.clone(), from: value(old, key), to: value(new, key) })
        .filter(|change| change.from != change.to)
        .collect()
}
