//! A worker: one core that takes bursts from its receive queues all the way to transmission.
//!
//! A worker owns everything it writes: its queues, counters, ledger and frames. It shares the snapshot of tables, which
//! it picks up at a quiescent point between two rounds, and the in-place tables, which it reads. Orders come through a
//! queue that it looks at when the epoch has changed: one acquire load a round.
//!
//! | file | holds |
//! |---|---|
//! | `run` | the loop: one round after the other |
//! | `tx` | the transmit side: buffers, hand-over to other workers |
//! | `command` | what the control thread may order, and the answers |
//! | `launch` | making workers and joining them by rings |
//! | `plan` | which queue belongs to which worker |

mod command;
mod launch;
mod plan;
mod run;
mod tx;

pub use command::{Arrival, Command, Mailbox, Orders, Reply, RxSlot, WorkerReport};
pub use launch::{Launch, LaunchError, Launched, entries};
pub use plan::{Assignment, plan};
pub use run::{Idle, Settings, Worker};
pub use tx::{TxSide, TxSlot, TxWay};

pub use crate::graph::Spec;
pub use crate::stage::{ENTRIES, Event, Events, STAGES};
