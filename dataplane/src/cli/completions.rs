//! `weir completions`: a script for the shell.

use clap::Args;
use clap_complete::Shell;

use super::failure::Failure;
use super::out;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  weir completions bash > /etc/bash_completion.d/weir
  weir completions zsh > ~/.zfunc/_weir")]
pub(super) struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(self, command: &mut clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "weir", &mut script);
        out::print(&String::from_utf8_lossy(&script))
    }
}
