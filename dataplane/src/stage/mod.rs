//! The stages, one a file, and the one list of them.
//!
//! Adding a stage is one new file, its `mod` line and its line in [`STAGES`]. From the [`Spec`] come its counters, its
//! ledger row, its name in traces and its arrows in the picture of the graph. The order of the list is the order in
//! which stages run.

mod access_input;
mod bridge;
mod consume;
mod cx;
mod drop;
mod flood;
mod host_input;
mod park;
mod punt;
mod push;
mod respond;
mod shortcut;
mod suppress;
mod tx;
mod uplink_input;
mod vlan;
mod vxlan_decap;
mod vxlan_encap;

use crate::graph::Spec;

pub use cx::{Cx, Event, Events, Load, Now, Transmit};
pub use park::{Parked, ask, attend};

/// Every stage, in running order.
pub static STAGES: &[Spec<Cx>] = &[
    access_input::SPEC,
    uplink_input::SPEC,
    host_input::SPEC,
    vxlan_decap::SPEC,
    suppress::SPEC,
    respond::SPEC,
    bridge::SPEC,
    flood::SPEC,
    vxlan_encap::SPEC,
    park::SPEC,
    punt::SPEC,
    consume::SPEC,
    drop::SPEC,
    tx::SPEC,
];

/// The stages that received packets enter, by the role of their port.
pub const ENTRIES: &[&str] = &["access-input", "uplink-input", "host-input"];
