//! Witnesses from outside the ledger: what the kernel says about lost time. Control side only.

use std::{fs, io};

/// Involuntary context switches of thread `tid` of this process since it began (`nonvoluntary_ctxt_switches` of
/// `/proc/self/task/TID/status`, proc(5)).
///
/// # Errors
/// The thread is gone, or the file has no such line.
pub fn involuntary_switches(tid: u32) -> io::Result<u64> {
    let path = format!("/proc/self/task/{tid}/status");
    let status = fs::read_to_string(&path)?;
    parse_involuntary(&status).ok_or_else(|| malformed(&path, "nonvoluntary_ctxt_switches"))
}

/// Thread id of the caller, from the link `/proc/thread-self`.
///
/// # Errors
/// No `/proc`.
pub fn thread_id() -> io::Result<u32> {
    let link = fs::read_link("/proc/thread-self")?;
    let tid = link.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    tid.ok_or_else(|| malformed("/proc/thread-self", "a thread id"))
}

/// Time stolen from `cpu` by the hypervisor since boot, in clock ticks of 1/100 s (`steal` of `/proc/stat`, proc(5)).
///
/// # Errors
/// No such CPU, or a kernel without the column.
pub fn steal_ticks(cpu: u32) -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    parse_steal(&stat, cpu).ok_or_else(|| malformed("/proc/stat", &format!("the steal column of cpu{cpu}")))
}

/// What the kernel says of one worker, or of several; `None` where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// See [`involuntary_switches`].
    pub involuntary_switches: Option<u64>,
    /// See [`steal_ticks`].
    pub steal_ticks: Option<u64>,
}

impl Witness {
    /// Asks about a worker's thread and its CPU.
    pub fn read(thread_id: Option<u32>, cpu: u32) -> Self {
        Self {
            involuntary_switches: thread_id.and_then(|tid| involuntary_switches(tid).ok()),
            steal_ticks: steal_ticks(cpu).ok(),
        }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.with(earlier, u64::saturating_sub)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn with(self, other: Self, how: fn(u64, u64) -> u64) -> Self {
        let join = |one: Option<u64>, two: Option<u64>| one.zip(two).map(|(one, two)| how(one, two));
        Self {
            involuntary_switches: join(self.involuntary_switches, other.involuntary_switches),
            steal_ticks: join(self.steal_ticks, other.steal_ticks),
        }
    }
}

fn malformed(path: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path} does not hold {what}"))
}

fn parse_involuntary(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?.trim().parse().ok()
}

/// The columns after the name are user, nice, system, idle, iowait, irq, softirq, steal.
fn parse_steal(stat: &str, cpu: u32) -> Option<u64> {
    let name = format!("cpu{cpu}");
    let mut columns =
        stat.lines().map(str::split_ascii_whitespace).find_map(|mut words| (words.next()? == name).then_some(words))?;
    columns.nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read_by_name_and_column() {
        let status = "Name:\tw\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(parse_involuntary(status), Some(545));
        assert_eq!(parse_involuntary("Name:\tw\n"), None);
        let stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4 5 6 7 77 0 0\ncpu10 1 2 3 4 5 6 7 88 0 0\nintr 1\n";
        assert_eq!(parse_steal(stat, 1), Some(77));
        assert_eq!(parse_steal(stat, 10), Some(88));
        assert_eq!(parse_steal(stat, 2), None);
        assert_eq!(parse_steal("cpu0 1 2 3\n", 0), None);
    }

    #[test]
    fn this_thread_can_be_read() {
        let tid = thread_id().unwrap();
        involuntary_switches(tid).unwrap();
        let missing = involuntary_switches(u32::MAX).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let here = Witness::read(Some(tid), 0);
        assert!(here.involuntary_switches.is_some() && here.steal_ticks.is_some(), "{here:?}");
        assert_eq!(Witness::read(None, u32::MAX), Witness::default());
    }

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_all() {
        let all = |switches, steal| Witness { involuntary_switches: Some(switches), steal_ticks: Some(steal) };
        assert_eq!(all(7, 30).since(all(2, 10)), all(5, 20));
        assert_eq!(all(7, 30).plus(all(2, 10)), all(9, 40));
        let half = Witness { steal_ticks: None, ..all(2, 10) };
        assert_eq!(all(7, 30).plus(half), Witness { involuntary_switches: Some(9), steal_ticks: None });
    }
}
