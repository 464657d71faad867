//! One way to change anything: the difference of two configurations as a list of changes.

use std::net::IpAddr;

use overlay::num::MacAddr;
use serde::Serialize;

use super::model::{Host, Ledger, MacPlace, Name, NetworkSettings, PortSettings, Vxlan, Workers};

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

/// Which source wins where two speak of one key: the larger.
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
