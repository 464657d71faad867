//! The ledger: where every cycle of a worker went.
//!
//! Hot half, owned by a worker and called with time stamps: [`Ledger`], or [`Meter`], which reads the clock only
//! where the level asks for it. Cold half, on the control side: [`LedgerCounters`] (copy, window, sum over workers),
//! [`StageSplit`], [`Fit`], [`Report`].
//! `docs/ledger.md` says what is measured, how, and how far to trust it.
//!
//! The module knows no DPDK: time stamps are arguments.

pub mod account;
pub mod counters;
pub mod fit;
pub mod histogram;
#[expect(clippy::module_inception, reason = "the hot file carries the name of the type it defines")]
pub mod ledger;
pub mod meter;
pub mod price;
pub mod render;
pub mod report;
pub mod stages;
pub mod system;
pub mod view;

pub use account::{Account, LedgerConfig, LedgerError, Level, Measure, Row, RowKind, RowSpec};
pub use counters::LedgerCounters;
pub use fit::Fit;
pub use ledger::Ledger;
pub use meter::{Clock, Meter};
pub use price::PairedOverhead;
pub use render::render;
pub use report::{Report, ReportInput};
pub use stages::StageSplit;
pub use view::View;

#[cfg(test)]
mod tests;
