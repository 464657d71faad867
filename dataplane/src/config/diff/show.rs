//! A plan as people read it.

use std::fmt;

use super::super::model::MacPlace;
use super::{Change, FieldChange, Item, Key, Op, Plan};

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers => f.write_str("workers"),
            Self::Ledger => f.write_str("ledger"),
            Self::Vxlan => f.write_str("vxlan"),
            Self::Host => f.write_str("host"),
            Self::Port { port } => write!(f, "port {port}"),
            Self::Neighbour { port, address } => write!(f, "port {port} neighbour {address}"),
            Self::Network { network } => write!(f, "network {network}"),
            Self::Vtep { network, vtep } => write!(f, "network {network} vtep {vtep}"),
            Self::Mac { network, mac } => write!(f, "network {network} mac {mac}"),
            Self::Binding { network, address } => write!(f, "network {network} binding {address}"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{} {}", port.role.name(), port.device),
            Self::Network(network) => write!(f, "vni {}", network.vni),
            Self::Mac(mac) => mac.fmt(f),
            Self::Place(MacPlace::Port { port, vlan: None }) => write!(f, "port {port}"),
            Self::Place(MacPlace::Port { port, vlan: Some(vlan) }) => write!(f, "port {port} vlan {vlan}"),
            Self::Place(MacPlace::Vtep { vtep }) => write!(f, "vtep {vtep}"),
            Self::Workers(_) | Self::Ledger(_) | Self::Vxlan(_) | Self::Host(_) | Self::Member => Ok(()),
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        write!(f, "{} → {}", self.from, self.to)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, item) = match &self.op {
            Op::Add(item) => ("+", Some(item)),
            Op::Update(_) => ("~", None),
            Op::Replace(_) => ("±", None),
            Op::Remove => ("-", None),
        };
        write!(f, "{sign} {}", self.key)?;
        if let Some(item) = item.map(ToString::to_string).filter(|text| !text.is_empty()) {
            write!(f, " {item}")?;
        }
        for (i, field) in self.fields.iter().enumerate() {
            write!(f, "{} {field}", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// One line for each change: `+` new, `~` updated in place, `±` device closed and opened anew, `-` gone, `!` needs a restart.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to change");
        }
        let restart = self.restart.iter().map(|field| format!("! {field} (restart)"));
        let lines: Vec<String> = restart.chain(self.changes.iter().map(ToString::to_string)).collect();
        f.write_str(&lines.join("\n"))
    }
}
