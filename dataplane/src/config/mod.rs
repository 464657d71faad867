//! Configuration: from the text of a TOML file to a checked [`Config`], and from two of them to a plan.
//!
//! | module | what it does |
//! |---|---|
//! | [`file`](mod@file) | what the user typed, with places; its docs are the schema's descriptions |
//! | `parse` | text to [`File`](file::File), every mistake of shape at once |
//! | `resolve` | [`File`](file::File) to [`Config`]: defaults, ranges, names, cross-checks |
//! | [`machine`] | what only this machine can answer: do the CPUs exist |
//! | [`model`] | [`Config`]: resolved, plain data |
//! | [`error`] | [`Diagnostic`]: what is wrong, where, what to do |
//! | [`schema`] | the JSON schema of the file |
//! | [`diff`](mod@diff) | the changes from one [`Config`] to another |
//!
//! ```
//! let config = dataplane::config::Config::parse("[workers]\nburst = 16\n", "weir.toml")?;
//! assert_eq!(config.workers.burst, 16);
//!
//! let errors = dataplane::config::Config::parse("[workers]\nburst = 65\n", "weir.toml").unwrap_err();
//! assert!(errors.to_string().starts_with("weir.toml:2:9: error: `workers.burst` is 65, out of range"));
//! # Ok::<(), dataplane::config::ConfigErrors>(())
//! ```

pub mod diff;
pub mod error;
pub mod file;
pub mod machine;
pub mod model;
mod name;
mod parse;
mod resolve;
pub mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use diff::{Change, FieldChange, Item, Key, Op, Plan, Source, diff};
pub use error::{ConfigErrors, Diagnostic, Severity};
pub use machine::check_machine;
pub use model::*;

use error::Report;

/// Says what is wrong with the text of a `device`. Lines after the first of the error are shown as the remedy.
///
/// The configuration knows no kinds of devices; whoever opens them hands this in.
pub type DeviceCheck<'a> = dyn Fn(&str) -> Result<(), String> + 'a;

impl Config {
    /// Reads and checks a file. All errors are found in one go; warnings are dropped ([`Config::check_file`] keeps them).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        let (config, found) = Self::check_file(path, &|_| Ok(()));
        config.ok_or(ConfigErrors(found))
    }

    /// Checks a text; `file_name` is what it is called in messages.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigErrors> {
        let (config, found) = Self::check(text, file_name, &|_| Ok(()));
        config.ok_or(ConfigErrors(found))
    }

    /// Reads and checks a file, as [`Config::check`].
    pub fn check_file(path: impl AsRef<Path>, devices: &DeviceCheck<'_>) -> (Option<Self>, Vec<Diagnostic>) {
        let path = path.as_ref();
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::check(&text, &name, devices),
            Err(error) => {
                let mut report = Report::new(&name, "");
                let help = match error.kind() {
                    std::io::ErrorKind::NotFound => "name an existing file; docs/examples/ has some to begin with",
                    std::io::ErrorKind::PermissionDenied => "make it readable for the user that weir runs as",
                    std::io::ErrorKind::InvalidData => "a configuration is UTF-8 text: save it as such",
                    _ => "name a readable file",
                };
                report.error("unreadable", None, &format!("cannot be read: {error}"), help);
                (None, report.finish())
            }
        }
    }

    /// The configuration, unless there is an error among the findings; and the findings, warnings included, in order of place.
    pub fn check(text: &str, file_name: &str, devices: &DeviceCheck<'_>) -> (Option<Self>, Vec<Diagnostic>) {
        let mut report = Report::new(file_name, text);
        let read = parse::parse(text, &mut report);
        let config = read.map(|(file, broken)| resolve::resolve(&file, broken, devices, &mut report));
        let failed = report.failed();
        (config.filter(|_| !failed), report.finish())
    }

    /// What showed only when a port was opened, as a finding at the place of its device in the text.
    pub fn about_device(text: &str, file_name: &str, port: &str, message: &str, help: &str) -> ConfigErrors {
        let read = parse::parse(text, &mut Report::new(file_name, text));
        let span = read.and_then(|(file, _)| {
            let ports = file.port.into_iter().map(|at| at.value);
            let named = |typed: &file::Port| typed.name.as_ref().is_some_and(|name| name.value == port);
            ports.filter(named).find_map(|typed| typed.device).map(|device| device.span)
        });
        let mut report = Report::new(file_name, text);
        report.error("device-open", span, message, help);
        ConfigErrors(report.finish())
    }
}
