//! `weir config`: what may stand in a configuration.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::failure::Failure;
use super::out;
use crate::config::schema::schema_text;
use crate::control::device_kinds;

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
        /// Print JSON instead of a table.
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
                let mut table = Table::new();
                table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["kind", "device = \"…\"", "for"]);
                for kind in device_kinds() {
                    table.add_row([kind.name, kind.syntax, kind.help]);
                }
                out::print(&table.to_string())
            }
        }
    }
}
