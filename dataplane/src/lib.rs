//! weir's dataplane.
pub mod config;
pub mod ledger;
pub mod dpdk;
