//! DPDK, made safe: the only unsafe code of the dataplane.
//!
//! Everything above this module handles packets as [`Mbuf`]s in [`Burst`]s and knows no pointer. The rules that make it
//! sound are few, and each type repeats its own:
//!
//! - **Ownership is linear.** An [`Mbuf`] is neither copied nor shared: weir attaches no mbuf to another and never raises
//!   a reference count, so whoever holds the handle may write. It has no `Drop`: it is freed where the packet ends, and
//!   the conservation tests catch who forgets.
//! - **A queue has one owner.** Queue handles are `Send`, not `Sync`, not `Clone`; DPDK's "one thread a queue" follows.
//! - **A device outlives its queues.** Handles keep their device's token; stopping asks that all have come home.
//! - **A vhost device dies only after a quiescent point** of every worker ([`Quiesce`]).
//!
//! | file | wraps |
//! |---|---|
//! | [`eal`], [`lcore`], [`log`] | start, worker threads, log |
//! | [`mempool`], [`mbuf`], [`burst`], [`offload`] | packets |
//! | [`ethdev`], [`queue`] | Ethernet devices and their queues |
//! | [`vhost`] | vhost-user by device id |
//! | [`tap`] | kernel tap devices |
//! | [`ring`] | hand-over between two workers |
//! | [`tsc`] | the clock of the ledger |
//! | [`netns`] | devices inside a network namespace |
#![allow(unsafe_code, reason = "the one module that may call DPDK")]

pub mod burst;
pub mod eal;
pub mod error;
pub mod ethdev;
pub mod lcore;
pub mod log;
pub mod mbuf;
pub mod mempool;
pub mod netns;
pub mod offload;
pub mod queue;
pub mod ring;
pub mod tap;
pub mod tsc;
pub mod vhost;

pub use burst::{BURST_MAX, Burst};
pub use eal::{Eal, EalArgs, MemoryMode};
pub use error::{DpdkError, Errno};
pub use ethdev::{Device, DeviceCaps, EthConfig, LinkStats};
pub use lcore::{Lcore, LcoreTask};
pub use mbuf::Mbuf;
pub use mempool::{Mempool, PoolOps};
pub use queue::{RxQueue, TxQueue};
pub use tsc::{TscClock, rdtsc};
pub use vhost::Quiesce;
