//! Encapsulations: push and pop, one a file.

pub mod ecn;
pub mod outer;
mod sum;
pub mod vxlan;
