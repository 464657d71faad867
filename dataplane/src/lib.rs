//! weir's dataplane: it routes the stream and measures it at the same place.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | the file: types, checks, differences |
//! | [`control`] | everything that is not forwarding a packet |
//! | [`dpdk`] | DPDK, made safe; the only unsafe code |
//! | [`graph`] | the engine that carries bursts from stage to stage |
//! | [`ledger`] | where every cycle went |
//! | [`port`] | ports and their queues |
//! | [`stage`] | the stages, one a file |
//! | [`sync`] | how threads share state |
//! | [`tables`] | what workers read |
//! | [`worker`] | the loop of one core |

pub mod cli;
pub mod config;
pub mod control;
pub mod dpdk;
pub mod graph;
pub mod ledger;
pub mod port;
pub mod stage;
pub mod sync;
pub mod tables;
pub mod worker;
