//! What the command line and the control socket ask of a configuration before anything is touched.

use serde::Serialize;

use crate::config::{Config, ConfigErrors, Diagnostic, Severity, check_machine};
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
    let kind = |backend: &crate::port::Backend| DeviceKind {
        name: backend.name,
        syntax: backend.syntax,
        help: backend.help,
    };
    BACKENDS.iter().map(kind).collect()
}

/// Adds what only this machine can answer to what [`Config::check`] found in the file called `file_name`.
///
/// # Errors
/// All findings, when one of them is an error; else the configuration comes with its warnings.
pub fn settle(
    (config, mut found): (Option<Config>, Vec<Diagnostic>),
    file_name: &str,
) -> Result<(Config, Vec<Diagnostic>), ConfigErrors> {
    let machine = config.as_ref().map(check_machine).unwrap_or_default();
    found.extend(machine.into_iter().map(|finding| Diagnostic { file: file_name.to_owned(), ..finding }));
    match config {
        Some(config) if found.iter().all(|finding| finding.severity != Severity::Error) => Ok((config, found)),
        _ => Err(ConfigErrors(found)),
    }
}
