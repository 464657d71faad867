//! Encapsulations: push and pop, one a file.

pub mod ecn;
pub mod outer;
pub mod vxlan;
