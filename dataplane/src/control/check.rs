//! What the command line and the control socket ask of a configuration before anything is touched.

use serde::Serialize;

use crate::config::{Config, ConfigErrors, Diagnostic};
use crate::port::{BACKENDS, PortSpec};

/// Says what is wrong with the text of a `device`, for [`Config::check`].
///
/// # Errors
/// What was found; the lines after the first say what to do.
pub fn check_device(text: &str) -> Result<(), String> {
    text.parse::<PortSpec>().map(drop).map_err(|error| error.to_string())
}

/// A kind of device.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DeviceKind {
    /// The word before the colon.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// All kinds of devices.
pub fn device_kinds() -> Vec<DeviceKind> {
    let kind =
        |backend: &crate::port::Backend| DeviceKind { name: backend.name, syntax: backend.syntax, help: backend.help };
    BACKENDS.iter().map(kind).collect()
}

/// Checks a text, devices included, but nothing about the machine: a running weir keeps its CPUs and memory, and who
/// asks may be pinned to other CPUs. Warnings come with the configuration.
///
/// # Errors
/// All findings, when one of them is an error.
pub fn check_text(text: &str, file_name: &str) -> Result<(Config, Vec<Diagnostic>), ConfigErrors> {
    match Config::check(text, file_name, &check_device) {
        (Some(config), warnings) => Ok((config, warnings)),
        (None, found) => Err(ConfigErrors(found)),
    }
}
