//! Figures as JSON, as tables and as archived runs.

pub(crate) mod archive;
mod bars;
mod comparison;
mod cost;
mod text;

pub(crate) use bars::{PRICE_BAR, PRICE_GOAL};
pub(crate) use comparison::{Comparison, Measurements, Round, Subject};
pub(crate) use cost::{Cost, Measured, Settings};
pub(crate) use text::{print, print_json};
