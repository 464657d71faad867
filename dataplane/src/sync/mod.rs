//! The only ways in which threads of weir share state: epochs and published snapshots.
//!
//! Everything here is built from atomics, a mutex that no packet path takes, and `Arc`; there is no `unsafe`. Under
//! `--cfg weir_loom` the same types run on loom's atomics, and `tests/loom_sync.rs` checks every interleaving. What
//! that check does not cover: how long anything takes, and the DPDK calls made between two quiescent points.

mod epochs;
mod published;

pub use epochs::{EpochReader, Epochs};
pub use published::{Published, Subscriber};

// Reference counts are the standard library's in both builds: what is checked is the order of accesses, not the counting.
pub(crate) use std::sync::Arc;

#[cfg(not(weir_loom))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

#[cfg(weir_loom)]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

/// The ordering with which state is published. `--cfg weir_weaken` exists to show that the model check notices.
pub(crate) const PUBLISH: Ordering = if cfg!(weir_weaken) { Ordering::Relaxed } else { Ordering::Release };
