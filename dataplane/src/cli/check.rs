//! `weir check`: everything that is wrong with a file, before anything runs.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::failure::{BAD_INPUT, Failure};
use super::out;
use crate::config::{Config, ConfigErrors, Diagnostic, check_machine};
use crate::control::check_device;

/// Say everything that is wrong with a configuration file, with line, column and remedy.
///
/// Nothing is started or changed. CPUs and hugepages are looked for on this machine, unless --any-machine is given.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  weir check /etc/weir/weir.toml
  weir check --any-machine --json weir.toml | jq '.diagnostics[] | .file, .line, .message'

Exit codes: 0 when weir would take the file (warnings included), 2 when not.")]
pub(super) struct CheckArgs {
    /// The file.
    file: PathBuf,
    /// Check the file only, not whether this machine has its CPUs and hugepages.
    #[arg(long)]
    any_machine: bool,
    /// Print JSON: ok, summary, diagnostics.
    #[arg(short, long)]
    json: bool,
}

/// Reads and checks a file; warnings come with it.
pub(super) fn load(file: &Path) -> Result<(Config, Vec<Diagnostic>), ConfigErrors> {
    let (config, found) = Config::check_file(file, &check_device);
    match config {
        Some(config) => Ok((config, found)),
        None => Err(ConfigErrors(found)),
    }
}

/// The same, and whether this machine has what it names.
pub(super) fn load_here(file: &Path) -> Result<(Config, Vec<Diagnostic>), ConfigErrors> {
    let (config, mut found) = load(file)?;
    let machine = check_machine(&config);
    if machine.is_empty() {
        return Ok((config, found));
    }
    let name = file.display().to_string();
    found.extend(machine.into_iter().map(|finding| Diagnostic { file: name.clone(), ..finding }));
    Err(ConfigErrors(found))
}

impl CheckArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let checked = if self.any_machine { load(&self.file) } else { load_here(&self.file) };
        match checked {
            Ok((config, warnings)) if self.json => {
                let (ports, networks, vteps) = counts(&config);
                let summary = json!({
                    "ports": ports, "networks": networks, "vteps": vteps, "workers": config.workers.cores.len()
                });
                out::print_json(&json!({ "ok": true, "summary": summary, "diagnostics": warnings }))
            }
            Ok((config, warnings)) => {
                for warning in &warnings {
                    out::complain(&format!("{warning}\n"));
                }
                out::print(&format!("{}: OK, {}", self.file.display(), summary(&config)))
            }
            Err(errors) if self.json => {
                out::print_json(&json!({ "ok": false, "diagnostics": errors }))?;
                Err(Failure::said(BAD_INPUT))
            }
            Err(errors) => Err(Failure::bad_input(errors)),
        }
    }
}

fn counts(config: &Config) -> (usize, usize, usize) {
    let vteps: std::collections::BTreeSet<_> = config.networks.values().flat_map(|network| &network.vteps).collect();
    (config.ports.len(), config.networks.len(), vteps.len())
}

/// `3 ports, 1 network, 1 remote VTEP, 1 worker on CPU 1`.
pub(super) fn summary(config: &Config) -> String {
    let (ports, networks, vteps) = counts(config);
    let some = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let cpus: Vec<String> = config.workers.cores.iter().map(u16::to_string).collect();
    format!(
        "{}, {}, {}, {} on CPU {}",
        some(ports, "port"),
        some(networks, "network"),
        some(vteps, "remote VTEP"),
        some(cpus.len(), "worker"),
        cpus.join(", ")
    )
}
