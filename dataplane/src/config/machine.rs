//! What only the machine itself can answer. Apart from the other checks, so that a file can be checked on another host.

use super::error::{Diagnostic, Severity};
use super::model::Config;

/// Errors of a configuration that is fine by itself, but not on the machine that this runs on.
pub fn check_machine(config: &Config) -> Vec<Diagnostic> {
    let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    check_cpus(config, &cpus)
}

/// `cpus`: those that this process may run on; none when the system would not say, and then nothing is checked.
fn check_cpus(config: &Config, cpus: &[usize]) -> Vec<Diagnostic> {
    let missing = config.workers.cores.iter().filter(|core| !cpus.is_empty() && !cpus.contains(&usize::from(**core)));
    let list = ranges(cpus);
    missing
        .map(|core| Diagnostic {
            severity: Severity::Error,
            code: "no-such-cpu",
            file: String::new(),
            line: 0,
            column: 0,
            message: format!("`workers.cores` names CPU {core}; weir may run on {list} of this machine"),
            help: format!("choose among {list}; fewer CPUs than the machine has come from taskset or a cgroup"),
            source_line: String::new(),
            width: 0,
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
    fn the_cpus_of_this_machine_are_accepted() {
        let mut config = Config::default();
        config.workers.cores = core_affinity::get_core_ids().unwrap().iter().map(|c| c.id as u16).collect();
        assert_eq!(check_machine(&config), []);
        config.workers.cores = vec![4095];
        assert_eq!(check_machine(&config).len(), 1);
    }
}
