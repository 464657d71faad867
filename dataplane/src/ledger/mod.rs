//! The ledger: where every cycle of a worker went.
//!
//! Hot half, owned by a worker and called with time stamps: [`Ledger`], or [`Meter`], which reads the clock only
//! where the level asks for it. Cold half, on the control side: [`LedgerCounters`] (copy, window, sum over workers),
//! [`StageSplit`] and the report.
//! `docs/ledger.md` says what is measured, how, and how far to trust it.
//!
//! The module knows no DPDK: time stamps are arguments.

pub mod account;
pub mod counters;
pub mod histogram;
#[expect(clippy::module_inception, reason = "the hot file carries the name of the type it defines")]
pub mod ledger;
pub mod meter;
pub mod price;
pub mod stages;

pub use account::{Account, LedgerConfig, LedgerError, Level, Row, RowKind, RowSpec};
pub use counters::LedgerCounters;
pub use ledger::Ledger;
pub use meter::{Clock, Meter};
pub use stages::StageSplit;
