//! The control side: everything that is not forwarding a packet.
//!
//! One [`Controller`] owns the configuration, the ports, the identifiers and the tables, and is the only one to change
//! any of them; it runs on one thread. Workers get orders and snapshots from it and tell it what they see.
//!
//! | file | holds |
//! |---|---|
//! | `controller` | the state, and the tick that keeps it up to date |
//! | `start` | from a configuration to running workers |
//! | `apply` | from one configuration to the next while traffic flows |
//! | `ids`, `build` | identifiers, and the snapshot that workers read |
//! | `crew` | the workers: orders, answers, waiting for them |
//! | `ports` | opening, sharing out and closing ports |
//! | `learn` | MAC addresses and next hops that workers saw |
//! | `status` | what `weir show` and the metrics are made from |

mod apply;
mod build;
mod controller;
mod crew;
mod error;
mod ids;
mod learn;
mod ports;
mod start;
pub mod status;

pub use apply::Applied;
pub use build::BuildError;
pub use controller::{Controller, Ended};
pub use error::ControlError;
pub use ids::LimitExceeded;
