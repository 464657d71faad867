//! Tables read by many workers and written by one thread.
//!
//! | table | from | to | changes |
//! |---|---|---|---|
//! | [`mac`] | network and MAC address | port or tunnel | in place, while it is read |
//! | [`neighbour`] | underlay next hop | MAC address | in place, while it is read |
//! | [`pair`] | two MAC addresses | the way between them | one worker's own |
//! | [`vni`] | VNI | network | never: built with each configuration |
//! | [`vtep`] | remote endpoint's address | tunnel | never: built with each configuration |

mod atomics;
pub mod mac;
pub mod neighbour;
pub mod pair;
pub mod vni;
pub mod vtep;

/// The same key was given twice to a table that maps each key to one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is given twice; it can mean one thing only, remove one of the two")]
pub struct Duplicate<K: core::fmt::Display>(pub K);
