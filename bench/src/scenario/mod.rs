//! What is measured, one scenario a file. To add one: its file, and its line in [`ALL`].
//!
//! A scenario says how weir is configured (with tables that are really looked up), which frames come in, and how to
//! tell that they took the way they were meant to.

mod l2_forward;
#[cfg(test)]
mod tests;
mod vhost_forward;
mod vxlan_decap;
mod vxlan_encap;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::measure::Way;
use crate::traffic::{HOSTS, Shape, host_mac};

/// All scenarios, in the order they are listed.
pub(crate) const ALL: &[&Scenario] =
    &[&l2_forward::SCENARIO, &vxlan_encap::SCENARIO, &vxlan_decap::SCENARIO, &vhost_forward::SCENARIO];

/// A case to measure.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line on what happens to a packet.
    pub help: &'static str,
    /// Where its packets come from.
    pub input: Input,
    /// Ports and networks, as text of the configuration.
    pub tables: fn(&Place<'_>) -> String,
    /// The port that frames leave by and that a capture replaces; `None` where it cannot be.
    pub out: Option<&'static str>,
    /// What was wrong with the packets' way, besides what is asked of every scenario.
    pub astray: fn(&Way) -> Vec<String>,
}

/// Where packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A capture that is replayed for ever.
    Loop(Shape),
    /// A generator behind two vhost-user ports.
    Vhost,
}

/// What a scenario's configuration refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The capture to replay.
    pub traffic: &'a Path,
    /// Folder for sockets.
    pub folder: &'a Path,
}

/// The scenario of this name.
///
/// # Errors
/// Names those that there are.
pub(crate) fn find(name: &str) -> anyhow::Result<&'static Scenario> {
    let names = || {
        ALL.iter().fold(String::new(), |mut text, scenario| {
            _ = write!(text, "\n  {:<14} {}", scenario.name, scenario.help);
            text
        })
    };
    ALL.iter()
        .find(|scenario| scenario.name == name)
        .copied()
        .with_context(|| format!("there is no scenario {name:?}; there are:{}", names()))
}

/// A MAC address as configurations write it.
fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

/// Static MAC entries of all receiving containers; `place` is such as `port = "out"`.
fn receivers(place: &str) -> String {
    let mut text = "macs = [\n".to_owned();
    for host in 0..HOSTS {
        _ = writeln!(text, "  {{ mac = \"{}\", {place} }},", mac_text(host_mac(2, host)));
    }
    text + "]\n"
}
