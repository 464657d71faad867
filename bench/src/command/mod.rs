//! The commands, one a file. To add one: its file, a line in [`Command`] and a line in [`Cli::run`].

mod compare;
mod cost;
mod price;
mod traffic;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a packet costs, and how that compares.
#[derive(Debug, Parser)]
#[command(name = "weir-bench", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what a packet costs in one scenario, stage by stage
    Cost(cost::Args),
    /// Measure the price of the sampled ledger: off against sampled, in pairs
    Price(price::Args),
    /// Run weir, testpmd and Open vSwitch in turns and print ratios
    Compare(compare::Args),
    /// Write the capture files that the scenarios replay
    Traffic(traffic::Args),
}

impl Cli {
    /// Does what was asked. Code 1 says that a bar was missed.
    ///
    /// # Errors
    /// What did not work, and what to do.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Cost(args) => args.run(),
            Command::Price(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Traffic(args) => args.run(),
        }
    }
}
