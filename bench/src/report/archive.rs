//! Archived runs: `<folder>/<date>-<machine>/` with `setup.txt`, `results.json` and `summary.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::Comparison;

/// Writes a run and says where it is. A second run of a day goes to a folder of its own.
///
/// # Errors
/// When the folder is not writable.
pub(crate) fn write(folder: &Path, comparison: &Comparison) -> anyhow::Result<PathBuf> {
    let date = first_line("date", &["-u", "+%F"]).unwrap_or_else(|| "undated".into());
    let name = format!("{date}-{}", machine_name(&comparison.machine.cpu_model, comparison.machine.cpus));
    let run = (1..=999)
        .map(|number| if number == 1 { folder.join(&name) } else { folder.join(format!("{name}-{number}")) })
        .find(|path| !path.exists())
        .with_context(|| format!("{} holds 999 runs of today: name another folder", folder.display()))?;
    let write = |file: &str, text: String| {
        let path = run.join(file);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    fs::create_dir_all(&run).with_context(|| format!("making {}", run.display()))?;
    write("results.json", serde_json::to_string_pretty(comparison)? + "\n")?;
    write("summary.md", format!("# {name}\n\n{}\n", comparison.to_text()))?;
    write("setup.txt", setup_text(comparison)?)?;
    Ok(run)
}

/// The CPU's name as a part of a file's: `amd-epyc-2cpu`.
fn machine_name(cpu_model: &str, cpus: usize) -> String {
    let words = cpu_model.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
    name.truncate(40);
    format!("{name}-{cpus}cpu")
}

fn setup_text(comparison: &Comparison) -> anyhow::Result<String> {
    let mut text = String::new();
    _ = writeln!(text, "weir {}", env!("CARGO_PKG_VERSION"));
    _ = writeln!(text, "{}", dataplane::dpdk::Eal::version());
    let ovs = first_line("ovs-vswitchd", &["--version"]).or_else(|| first_line("ovs-vsctl", &["--version"]));
    _ = writeln!(text, "{}", ovs.unwrap_or_else(|| "Open vSwitch: not installed".into()));
    _ = writeln!(text, "{} rounds of {} s, {} flows", comparison.rounds, comparison.seconds, comparison.flows);
    _ = writeln!(text, "\nmachine: {}", serde_json::to_string_pretty(&comparison.machine)?);
    Ok(text)
}

fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Machine;
    use crate::report::comparison::Measurements;

    #[test]
    fn a_machine_has_a_name_for_files() {
        assert_eq!(machine_name("Intel(R) Xeon(R) CPU @ 2.30GHz", 2), "intel-r-xeon-r-cpu-2-30ghz-2cpu");
        assert_eq!(machine_name("", 4), "-4cpu");
    }

    #[test]
    fn two_runs_of_a_day_are_kept_apart() {
        let folder = std::env::temp_dir().join(format!("weir-bench-archive-{}", std::process::id()));
        let comparison = Comparison::new(Machine::now(), 1, 1.0, 256, Measurements::default());
        let (first, second) = (write(&folder, &comparison).unwrap(), write(&folder, &comparison).unwrap());
        assert_ne!(first, second);
        let text = fs::read_to_string(second.join("results.json")).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap().rounds, 1);
        assert!(fs::read_to_string(first.join("setup.txt")).unwrap().contains("DPDK"));
        assert!(fs::read_to_string(first.join("summary.md")).unwrap().contains("not measured"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
