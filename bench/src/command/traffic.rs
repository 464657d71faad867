//! `weir-bench traffic`: the input of all scenarios as files, for looking at and for other programs.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::traffic::{Shape, write};

/// Write the capture files that the scenarios replay
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to write to; made if it is not there
    folder: PathBuf,
    /// Numbers of flows, one file of each shape for each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 256, 4096])]
    flows: Vec<u32>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        std::fs::create_dir_all(&self.folder)?;
        for shape in Shape::ALL {
            for flows in &self.flows {
                write(*shape, *flows, &self.folder)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
