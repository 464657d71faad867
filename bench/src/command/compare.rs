//! `weir-bench compare`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
impl Args {
    pub(super) fn run(self) -> anyhow::Result<std::process::ExitCode> { anyhow::bail!("soon") }
}
