//! `weir config`: what may stand in a configuration.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::out;
use crate::config::schema::schema_text;
use crate::control::{DeviceKind, device_kinds};

/// Print what may stand in a configuration file.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the JSON schema of the file, for editors.
    Schema,
    /// List the kinds of devices that a port can have.
    Devices {
        /// Print JSON instead of text.
        #[arg(short, long)]
        json: bool,
    },
}

impl ConfigArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Schema => out::print(&schema_text()),
            What::Devices { json: true } => out::print_json(&device_kinds()),
            What::Devices { json: false } => {
                let line = |kind: DeviceKind| format!("{}\n    {}\n", kind.syntax, kind.help);
                out::print(&device_kinds().into_iter().map(line).collect::<String>())
            }
        }
    }
}
