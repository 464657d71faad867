//! A running weir and what is read off it.

mod conditions;
mod scratch;
mod session;
mod setup;
mod stats;
mod waited;
mod way;

pub(crate) use conditions::{Conditions, Machine, default_worker_cpu};
pub(crate) use scratch::Scratch;
pub(crate) use session::{Session, Window};
pub(crate) use setup::{Memory, Options, Setup};
pub(crate) use stats::{Spread, median_index};
pub(crate) use way::Way;
