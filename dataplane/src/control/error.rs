//! What can go wrong on the control side, said so that a person knows what to do.

use super::build::BuildError;
use super::ids::LimitExceeded;
use crate::config::model::Name;
use crate::config::{Config, ConfigErrors, FieldChange};
use crate::dpdk::DpdkError;
use crate::dpdk::eal::EalError;
use crate::port::{PortError, PortSpecError};
use crate::worker::LaunchError;

/// Why weir did not start, or did not change.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The file.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// EAL did not start.
    #[error(transparent)]
    Eal(#[from] EalError),
    /// Memory, rings or threads.
    #[error("{what}: {source}")]
    Dpdk {
        /// What was being done.
        what: String,
        /// DPDK's answer.
        source: DpdkError,
    },
    /// A port did not open.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A device text says nothing we know.
    #[error(transparent)]
    Device(#[from] PortSpecError),
    /// The tables do not fit.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Too many of something.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A worker could not be made.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Settings that are read at start only differ.
    #[error("these settings are read at start only; restart weir to change them:{}", list(.0))]
    Restart(Vec<FieldChange>),
    /// A change failed, and so did the way back.
    #[error(
        "{error}; and these ports did not open again as they were: {}. They stay closed until a file that names them is applied",
        ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Lost {
        /// Why the change failed.
        error: Box<Self>,
        /// What is gone.
        ports: Vec<Name>,
    },
    /// A worker does not come round.
    #[error(
        "worker {worker} on CPU {cpu} has not passed a round for {seconds} s: it may be stopped in a debugger or starved of its CPU"
    )]
    Stuck {
        /// The worker's index.
        worker: usize,
        /// Its CPU.
        cpu: u16,
        /// How long it was waited for.
        seconds: u64,
    },
}

fn list(changes: &[FieldChange]) -> String {
    use std::fmt::Write as _;
    changes.iter().fold(String::new(), |mut text, change| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {}: {} -> {}", change.field, change.from, change.to);
        text
    })
}

impl ControlError {
    /// The error with its place in the text of the configuration, where it is a port's.
    #[must_use]
    pub fn placed(self, text: &str, file_name: &str) -> Self {
        match self {
            Self::Port(error) => {
                let (port, message, help) = error.parts();
                Self::Config(Config::about_device(text, file_name, port, &message, help))
            }
            Self::Lost { error, ports } => Self::Lost { error: Box::new(error.placed(text, file_name)), ports },
            other => other,
        }
    }

    /// For `map_err`: DPDK failed while doing `what`.
    pub(super) fn dpdk(what: impl Into<String>) -> impl FnOnce(DpdkError) -> Self {
        let what = what.into();
        move |source| Self::Dpdk { what, source }
    }
}
