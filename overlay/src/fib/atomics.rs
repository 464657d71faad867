//! The atomics of the tables: the machine's, or with `--cfg weir_loom` those of the model checker.

#[cfg(not(weir_loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(weir_loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
