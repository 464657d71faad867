//! Figures as JSON, as tables and as archived runs.

pub(crate) mod archive;
pub(crate) mod bars;
mod cost;
mod text;

pub(crate) use cost::{Cost, Settings};
pub(crate) use text::{cycles, print, print_json, ratio, table};
