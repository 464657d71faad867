//! What only the machine itself can answer. Apart from the other checks, so that a file can be checked on another host.

use super::error::{Diagnostic, Severity};
use super::model::{Config, MemoryMode};

/// Errors of a configuration that is fine by itself, but not on the machine that this runs on.
pub fn check_machine(config: &Config) -> Vec<Diagnostic> {
    let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let mut found = check_cpus(config, &cpus);
    found.extend(check_memory(config, hugepages_mib(), ordinary_mib()));
    found
}

/// An error about no place in the file.
fn error(code: &'static str, message: String, help: String) -> Diagnostic {
    let (file, source_line) = (String::new(), String::new());
    Diagnostic { severity: Severity::Error, code, file, line: 0, column: 0, message, help, source_line, width: 0 }
}

/// Whether the machine has that much memory at all. What is free of it changes from moment to moment, and a running weir
/// holds the very memory that its file asks for. `None`: the system would not say, and then nothing is checked.
fn check_memory(config: &Config, hugepages_mib: Option<u64>, ordinary_mib: Option<u64>) -> Option<Diagnostic> {
    let wanted = u64::from(config.eal.memory_mib);
    let (has, what, help) = match config.eal.memory {
        MemoryMode::Hugepages => {
            let help = "reserve hugepages (docs/install.md), ask for less, or set eal.memory = \"no-huge\"";
            (hugepages_mib?, "of hugepages", help)
        }
        MemoryMode::Auto | MemoryMode::NoHuge => (hugepages_mib.max(ordinary_mib)?, "of memory", "ask for less"),
    };
    let message = || format!("`eal.memory_mib` asks for {wanted} MiB {what}; this machine has {has} MiB");
    (wanted > has).then(|| error("no-memory", message(), help.to_owned()))
}

/// Hugepages of all sizes, free or not.
fn hugepages_mib() -> Option<u64> {
    let kib = |folder: std::fs::DirEntry| -> Option<u64> {
        let name = folder.file_name().into_string().ok()?;
        let size: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages: u64 = std::fs::read_to_string(folder.path().join("nr_hugepages")).ok()?.trim().parse().ok()?;
        Some(size * pages)
    };
    let folders = std::fs::read_dir("/sys/kernel/mm/hugepages").ok()?;
    Some(folders.filter_map(|folder| kib(folder.ok()?)).sum::<u64>() / 1024)
}

fn ordinary_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

/// `cpus`: those that this process may run on; none when the system would not say, and then nothing is checked.
fn check_cpus(config: &Config, cpus: &[usize]) -> Vec<Diagnostic> {
    let missing = config.workers.cores.iter().filter(|core| !cpus.is_empty() && !cpus.contains(&usize::from(**core)));
    let list = ranges(cpus);
    missing
        .map(|core| {
            let message = format!("`workers.cores` names CPU {core}; weir may run on {list} of this machine");
            let help = format!("choose among {list}; fewer CPUs than the machine has come from taskset or a cgroup");
            error("no-such-cpu", message, help)
        })
        .collect()
}

/// `CPUs 0-3, 8`.
fn ranges(cpus: &[usize]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    let parts: Vec<String> = sorted
        .chunk_by(|a, b| a + 1 == *b)
        .filter_map(|run| match (run.first(), run.last()) {
            (Some(first), Some(last)) if first != last => Some(format!("{first}-{last}")),
            (Some(first), _) => Some(first.to_string()),
            _ => None,
        })
        .collect();
    format!("{} {}", if cpus.len() == 1 { "CPU" } else { "CPUs" }, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_those_that_are() {
        let mut config = Config::default();
        config.workers.cores = vec![1, 9];
        let found = check_cpus(&config, &[3, 0, 1, 5]);
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(only.code, "no-such-cpu");
        assert!(only.message.contains("CPU 9; weir may run on CPUs 0-1, 3, 5"), "{only}");
    }

    #[test]
    fn memory_that_the_machine_does_not_have_is_refused_before_anything_starts() {
        let mut config = Config::default();
        config.eal.memory = MemoryMode::Hugepages;
        config.eal.memory_mib = 2049;
        let found = check_memory(&config, Some(2048), Some(8000)).unwrap();
        assert!(found.to_string().contains("asks for 2049 MiB of hugepages; this machine has 2048 MiB"), "{found}");
        assert!(found.help.contains("no-huge"), "{found}");
        config.eal.memory = MemoryMode::Auto;
        assert_eq!(check_memory(&config, Some(2048), Some(8000)), None);
        assert_eq!(check_memory(&config, None, None), None);
        config.eal.memory_mib = 8001;
        assert!(check_memory(&config, Some(2048), Some(8000)).is_some());
    }

    #[test]
    fn the_cpus_of_this_machine_are_accepted() {
        let mut config = Config::default();
        config.workers.cores = core_affinity::get_core_ids().unwrap().iter().map(|c| c.id as u16).collect();
        assert_eq!(check_machine(&config), []);
        config.workers.cores = vec![4095];
        assert_eq!(check_machine(&config).len(), 1);
    }
}
