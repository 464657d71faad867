//! The log: to standard error, as text or as JSON.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use super::out;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// More of the log: once for debug, twice for trace.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Form of the log on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged, such as `info` or `warn,eal=debug`; `eal` is DPDK. Beats -v.
    #[arg(long, global = true, value_name = "FILTER", env = "WEIR_LOG")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// Starts the log; `quiet` keeps it to weir's own errors unless the user asks for more. A filter that cannot be read is
    /// told and replaced by the default.
    pub(super) fn start(&self, quiet: bool) {
        let usual = match self.verbose {
            // What EAL has to say about a failure is part of the message of that failure.
            0 if quiet => "error,eal=off",
            0 => "info,eal=warn",
            1 => "debug",
            _ => "trace",
        };
        let filter = match self.log.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => EnvFilter::try_new(text).unwrap_or_else(|error| {
                out::complain(&format!("warning: the log filter {text:?} is not understood ({error}); using {usual}"));
                EnvFilter::new(usual)
            }),
            None => EnvFilter::new(usual),
        };
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // A second log in one process is a test's; the first stays.
        _ = match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
            LogFormat::Json => log.json().try_init(),
        };
    }
}
