//! weir's dataplane.
pub mod config;
