//! The command line: one subcommand a file. `docs/cli.md` is its reference.
//!
//! Exit codes: 0 for success, 1 when something failed while running, 2 for bad input.

mod apply;
mod check;
mod client;
mod completions;
mod config;
mod demo;
mod failure;
mod log;
mod notify;
mod out;
mod run;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

/// Where a running weir is asked, unless a flag or `WEIR_SOCKET` says otherwise: the default of `control.socket`.
const SOCKET: &str = "/run/weir/weir.sock";

/// weir, a DPDK vRouter dataplane that forwards packets and accounts for every CPU cycle.
#[derive(Debug, Parser)]
#[command(name = "weir", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_long_help = "\
Examples:
  weir demo                               see what it does: no root, no NIC, no configuration
  weir check /etc/weir/weir.toml          say everything that is wrong with a file
  weir run -c /etc/weir/weir.toml         forward packets until SIGINT or SIGTERM
  weir show ledger --watch                where the cycles go, every second
  weir apply --dry-run weir.toml          what a change would do
  curl --unix-socket /run/weir/weir.sock http://weir/v1/ports

Exit codes: 0 success, 1 failure while running, 2 bad input or configuration.")]
struct Cli {
    #[command(flatten)]
    log: log::LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Apply(apply::ApplyArgs),
    Demo(demo::DemoArgs),
    Show(show::ShowArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
}

/// Which running weir is asked, and how it answers.
#[derive(Clone, Debug, Args)]
struct Asking {
    /// Control socket of the running weir.
    #[arg(short, long, global = true, value_name = "PATH", env = "WEIR_SOCKET", default_value = SOCKET)]
    socket: PathBuf,
    /// Print JSON instead of tables.
    #[arg(short, long, global = true)]
    json: bool,
}

/// What the binary `weir` does.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output with exit code 0, usage errors to standard error with 2.
            _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::BAD_INPUT));
        }
    };
    cli.log.start(matches!(cli.command, Command::Demo(_)));
    let done = match cli.command {
        Command::Run(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Apply(args) => args.run(),
        Command::Demo(args) => args.run(),
        Command::Show(args) => args.run(),
        Command::Config(args) => args.run(),
        Command::Completions(args) => args.run(&mut Cli::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_default_socket_is_that_of_the_configuration() {
        assert_eq!(crate::config::Config::default().control.socket, PathBuf::from(SOCKET));
    }

    #[test]
    fn eal_arguments_follow_two_dashes_as_they_are() {
        let line = ["weir", "run", "-c", "x.toml", "--", "-a", "0000:8a:00.0", "--in-memory"];
        let Command::Run(args) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        assert_eq!(args.eal, ["-a", "0000:8a:00.0", "--in-memory"]);
    }
}
