//! Other programs: testpmd and Open vSwitch as competitors, testpmd as containers.
//!
//! They are run by the scripts in `bench/peers/`, which are compiled in and written to a temporary folder.

mod output;
mod script;
pub(crate) mod vhost;

pub(crate) use output::{Figure, parse};
pub(crate) use script::{Peer, missing};
