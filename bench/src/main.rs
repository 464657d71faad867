//! `weir-bench`: what a packet costs, and how that compares.
//!
//! | module | holds |
//! |---|---|
//! | `command` | the commands, one a file |
//! | `scenario` | what is measured: configuration and proof of the way, one a file |
//! | `traffic` | the frames that are replayed |
//! | `measure` | a running weir, windows of its ledger, statistics, conditions |
//! | `peer` | testpmd and Open vSwitch as competitors and as generator |
//! | `report` | figures as JSON, tables and archived runs |

mod command;
mod measure;
mod peer;
mod report;
mod scenario;
mod traffic;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,eal=error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match command::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            _ = writeln!(std::io::stderr(), "weir-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
