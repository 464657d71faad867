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
//! | `end` | the books at the end |
//! | `check`, `picture` | what can be said without a running weir |
//! | `socket`, `server`, `api`, `metrics` | the control socket: who has it, who serves it, what can be asked |

mod api;
mod apply;
mod build;
mod check;
mod controller;
mod crew;
mod end;
mod error;
mod ids;
mod learn;
mod metrics;
pub mod picture;
mod ports;
mod server;
mod socket;
mod start;
pub mod status;

pub use apply::Applied;
pub use build::BuildError;
pub use check::{DeviceKind, check_device, check_text, device_kinds};
pub use controller::{Controller, Ended};
pub use end::last_words;
pub use error::ControlError;
pub use ids::LimitExceeded;
pub use server::{Job, Server};
pub use socket::{ControlSocket, SocketError};

pub use crate::ledger::{PairedOverhead, Report, render};
