//! How long the worker waited while others had its CPU: the one disturbance that every ledger level hides or shows alike.

use std::fs::{read_dir, read_to_string};
use std::path::PathBuf;
use std::time::Duration;

/// The kernel's account of one thread of this process.
#[derive(Clone, Debug)]
pub(super) struct Waited(Option<PathBuf>);

impl Waited {
    /// Of the first EAL worker thread.
    pub(super) fn of_worker() -> Self {
        let tasks = read_dir("/proc/self/task").ok().into_iter().flatten().flatten();
        let is_worker = |path: &PathBuf| {
            // DPDK's names of the thread, until 23.03 and since.
            let name = read_to_string(path.join("comm")).unwrap_or_default();
            matches!(name.trim(), "rte-worker-1" | "dpdk-worker1")
        };
        Self(tasks.map(|task| task.path()).find(is_worker).map(|path| path.join("schedstat")))
    }

    /// So far; `None` where the kernel does not say.
    pub(super) fn so_far(&self) -> Option<Duration> {
        parse(&read_to_string(self.0.as_ref()?).ok()?)
    }
}

/// The second field of schedstat: nanoseconds on the run queue (kernel, Documentation/scheduler/sched-stats.rst).
fn parse(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_on_the_run_queue_is_the_second_field() {
        assert_eq!(parse("123 4567 89\n"), Some(Duration::from_nanos(4567)));
        assert_eq!(parse(""), None);
        assert_eq!(parse("123 x 89"), None);
    }

    #[test]
    fn a_process_without_a_worker_has_no_account() {
        assert_eq!(Waited::of_worker().so_far(), None);
    }
}
