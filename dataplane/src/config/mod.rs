//! Configuration: from the text of a TOML file to a checked [`Config`], and from two of them to a [`Plan`].
//!
//! | module | what it does |
//! |---|---|
//! | `model` | [`Config`]: resolved, checked, plain data |
//! | `diff` | [`Plan`]: the changes from one [`Config`] to another |
//! | `error` | [`Diagnostic`]: what is wrong, where, what to do |

pub mod diff;
pub mod error;
pub mod model;

pub use diff::{Change, FieldChange, Item, Key, Op, Plan, Source};
pub use error::{ConfigErrors, Diagnostic, Severity};
pub use model::*;
