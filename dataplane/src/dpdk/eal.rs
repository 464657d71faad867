//! Start and end of DPDK's environment.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk_sys as sys;

use super::error::{DpdkError, Errno};
use super::lcore::{self, Lcore, LcoreTask};
use super::log;

/// Whether EAL is up: between a successful init and cleanup.
static UP: AtomicBool = AtomicBool::new(false);
/// Whether init was ever tried: EAL cannot start twice in a process.
static TRIED: AtomicBool = AtomicBool::new(false);

pub(super) fn is_up() -> bool {
    UP.load(Ordering::Acquire)
}

/// Where EAL takes memory from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryMode {
    /// Ordinary pages: needs no privilege and no hugepages. No secondary processes (dumpcap).
    NoHuge {
        /// Memory to take at start, in MiB.
        mebibytes: u32,
    },
    /// Hugepages without files. No secondary processes.
    InMemory,
    /// Hugepages with files and a shared configuration: dumpcap and proc-info can attach.
    Shared,
}

/// What EAL is started with; [`EalArgs::build`] makes its command line.
#[derive(Clone, Debug)]
pub struct EalArgs {
    /// CPUs of workers: one lcore each, numbered from 1 in this order.
    pub worker_cpus: Vec<u32>,
    /// CPUs of everything else (lcore 0). Empty: those that are not workers', or all of the workers' if there are none.
    pub main_cpus: Vec<u32>,
    /// Memory.
    pub memory: MemoryMode,
    /// Distinguishes this process's runtime files from another's.
    pub file_prefix: String,
    /// Whether to look for PCI devices.
    pub pci: bool,
    /// The user's own EAL arguments, as they are.
    pub extra: Vec<String>,
}

/// EAL did not start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EalError {
    /// An argument collides with weir's configuration.
    #[error(
        "EAL argument {argument}: lcores follow from the configuration; name the CPUs of workers in workers.cores instead"
    )]
    LcoresGiven {
        /// As the user wrote it.
        argument: String,
    },
    /// No CPU for workers.
    #[error("no CPU was given for workers: name at least one in workers.cores")]
    NoWorkers,
    /// A CPU that this process may not use.
    #[error("CPU {cpu} in workers.cores cannot be used: this process may run on {allowed:?}")]
    CpuNotAllowed {
        /// The CPU.
        cpu: u32,
        /// What would have been right.
        allowed: Vec<u32>,
    },
    /// The same CPU twice.
    #[error("CPU {cpu} is named twice in workers.cores: a worker needs a CPU of its own")]
    CpuTwice {
        /// The CPU.
        cpu: u32,
    },
    /// EAL runs, or ran, in this process.
    #[error("EAL was started before in this process; it can be started once only")]
    Again,
    /// A NUL octet in an argument.
    #[error("EAL argument {argument:?} holds a NUL octet")]
    Nul {
        /// The argument.
        argument: String,
    },
    /// rte_eal_init failed.
    #[error("EAL did not start: {errno}. {remedy}{}", details(.log))]
    Init {
        /// The reason in DPDK's words.
        errno: Errno,
        /// What to do.
        remedy: &'static str,
        /// The error lines of its log.
        log: Vec<String>,
    },
}

/// Log lines as the tail of an error message.
pub(super) fn details(log: &[String]) -> String {
    let mut text = String::new();
    for line in log {
        text.push_str("\n  eal: ");
        text.push_str(line);
    }
    text
}

impl EalArgs {
    /// EAL's command line, program name first; refuses arguments that collide.
    pub fn build(&self) -> Result<Vec<String>, EalError> {
        for argument in &self.extra {
            let name = argument.split('=').next().unwrap_or_default();
            let short = |letter: &str| name.starts_with(letter) && !name.starts_with("--");
            if short("-l") || short("-c") || short("-s") || matches!(name, "--lcores" | "--main-lcore") {
                return Err(EalError::LcoresGiven { argument: argument.clone() });
            }
        }
        if self.worker_cpus.is_empty() {
            return Err(EalError::NoWorkers);
        }
        let allowed = allowed_cpus();
        let mut seen = Vec::new();
        for &cpu in &self.worker_cpus {
            if !allowed.contains(&cpu) {
                return Err(EalError::CpuNotAllowed { cpu, allowed });
            }
            if seen.contains(&cpu) {
                return Err(EalError::CpuTwice { cpu });
            }
            seen.push(cpu);
        }
        let mut main = self.main_cpus.clone();
        if main.is_empty() {
            main = allowed.iter().copied().filter(|cpu| !self.worker_cpus.contains(cpu)).collect();
        }
        if main.is_empty() {
            main = allowed;
        }

        let mut lcores = vec![format!("0@({})", main.iter().map(u32::to_string).collect::<Vec<_>>().join(","))];
        lcores.extend((1..).zip(&self.worker_cpus).map(|(lcore, cpu): (u32, _)| format!("{lcore}@{cpu}")));
        let mut args = vec![
            "weir".into(),
            "--lcores".into(),
            lcores.join(","),
            "--main-lcore".into(),
            "0".into(),
            format!("--file-prefix={}", self.file_prefix),
        ];
        match self.memory {
            MemoryMode::NoHuge { mebibytes } => {
                args.extend(["--no-huge".into(), "-m".into(), mebibytes.to_string(), "--no-shconf".into()]);
            }
            MemoryMode::InMemory => args.push("--in-memory".into()),
            MemoryMode::Shared => {}
        }
        if !self.pci {
            args.push("--no-pci".into());
        }
        args.extend(self.extra.iter().cloned());
        Ok(args)
    }
}

/// The CPUs that this process may run on, ascending.
pub fn allowed_cpus() -> Vec<u32> {
    affinity().map(|set| cpus_of(&set)).unwrap_or_default()
}

fn cpus_of(set: &libc::cpu_set_t) -> Vec<u32> {
    // SAFETY: the index is below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, set) }).map(|cpu| cpu as u32).collect()
}

fn affinity() -> Option<libc::cpu_set_t> {
    // SAFETY: an all-zero cpu_set_t is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is writable and of the size that is given; 0 means the calling thread.
    let answer = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    (answer == 0).then_some(set)
}

/// A running EAL. There is one a process, and it cannot be started again.
#[derive(Debug)]
pub struct Eal {
    _private: (),
}

impl Eal {
    /// Starts EAL with this command line (program name first; see [`EalArgs`]) on the calling thread, which becomes lcore 0.
    ///
    /// Without `--lcores` the thread gets back the CPUs it had before: EAL would pin it, and all threads it starts later,
    /// to the first of its lcores.
    pub fn init(args: &[String]) -> Result<Self, EalError> {
        let arguments = args
            .iter()
            .map(|arg| CString::new(arg.as_str()).map_err(|_| EalError::Nul { argument: arg.clone() }))
            .collect::<Result<Vec<_>, _>>()?;
        if TRIED.swap(true, Ordering::AcqRel) {
            return Err(EalError::Again);
        }
        let before = affinity();
        log::bridge();
        drop(log::take_recent());

        // EAL permutes the array and keeps pointers into the texts: both stay for the life of the process.
        let mut pointers: Vec<*mut std::ffi::c_char> = arguments.into_iter().map(CString::into_raw).collect();
        pointers.push(std::ptr::null_mut());
        let count = i32::try_from(pointers.len() - 1).unwrap_or(i32::MAX);
        let argv: &'static mut [*mut std::ffi::c_char] = Vec::leak(pointers);
        // SAFETY: argv holds `count` NUL-terminated texts and a null, all of static life.
        let answer = unsafe { sys::rte_eal_init(count, argv.as_mut_ptr()) };
        if answer < 0 {
            let errno = Errno::last();
            return Err(EalError::Init { errno, remedy: remedy(errno), log: log::take_recent() });
        }
        if !args.iter().any(|arg| arg.starts_with("--lcores"))
            && let Some(set) = before
        {
            // SAFETY: `set` is a valid set of the size that is given. A failure leaves the thread where EAL put it.
            unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
        }
        UP.store(true, Ordering::Release);
        Ok(Self { _private: () })
    }

    /// The lcores on which workers can be launched: all but main.
    pub fn lcores(&self) -> Vec<Lcore> {
        lcore::workers()
    }

    /// Runs `work` on an lcore.
    pub fn launch(&self, lcore: u32, work: Box<dyn FnOnce() + Send>) -> Result<LcoreTask, DpdkError> {
        lcore::launch(lcore, work)
    }

    /// Whether dumpcap and other secondary processes can attach; makes their capture hook ready if so.
    pub fn enable_capture(&self) -> bool {
        // SAFETY: EAL is up. It fails in modes without secondary processes, which is the answer.
        unsafe { sys::rte_pdump_init() == 0 }
    }

    /// DPDK's version, such as "DPDK 22.11.11".
    pub fn version() -> String {
        // SAFETY: returns a static text.
        unsafe { std::ffi::CStr::from_ptr(sys::rte_version()) }.to_string_lossy().into_owned()
    }

    /// Ends EAL and releases its memory and runtime files. Workers, devices and queues must be gone; pools and rings that
    /// are still held go with it.
    pub fn cleanup(self) -> Result<(), DpdkError> {
        UP.store(false, Ordering::Release);
        // SAFETY: EAL is up, by the existence of `self`, and is not used afterwards.
        let answer = unsafe { sys::rte_eal_cleanup() };
        super::error::check(answer, "EAL", "cleanup").map(|_| ())
    }
}

fn remedy(errno: Errno) -> &'static str {
    match errno.0 {
        libc::EACCES | libc::EPERM => {
            "Permission is missing: run as root, or use ordinary pages without devices (memory = \"no-huge\")."
        }
        libc::ENOMEM => {
            "Not enough memory: reserve hugepages (dpdk-hugepages.py --reserve 1G), or use memory = \"no-huge\"."
        }
        libc::EAGAIN => "A device or another process is busy: stop the other process or choose another file prefix.",
        libc::EALREADY => "Another process runs with the same file prefix: choose another one.",
        libc::EINVAL => {
            "An argument is wrong: the CPUs in workers.cores must exist, and the EAL arguments after -- be right."
        }
        libc::ENODEV | libc::ENOENT => "Something it needs is not there: a core, a folder, or hugepages.",
        _ => "See its log lines for the reason.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(worker_cpus: Vec<u32>, extra: &[&str]) -> EalArgs {
        EalArgs {
            worker_cpus,
            main_cpus: vec![0],
            memory: MemoryMode::NoHuge { mebibytes: 64 },
            file_prefix: "t".into(),
            pci: false,
            extra: extra.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    #[test]
    fn workers_get_an_lcore_each_and_main_is_none_of_them() {
        let cpu = allowed_cpus()[0];
        let line = args(vec![cpu], &["--log-level=8"]).build().unwrap().join(" ");
        let expected = format!(
            "weir --lcores 0@(0),1@{cpu} --main-lcore 0 --file-prefix=t --no-huge -m 64 --no-shconf --no-pci --log-level=8"
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn lcores_of_the_user_are_refused_with_the_place_where_they_belong() {
        let cpu = allowed_cpus()[0];
        for bad in ["-l", "-l0-1", "-c", "-c3", "--lcores=0@0", "--lcores", "--main-lcore=1"] {
            let error = args(vec![cpu], &[bad]).build().unwrap_err();
            assert_eq!(error, EalError::LcoresGiven { argument: bad.into() });
            assert!(error.to_string().contains("workers.cores"), "{error}");
        }
        assert!(args(vec![cpu], &["--single-file-segments", "--log-level=lib.eal:debug"]).build().is_ok());
    }

    #[test]
    fn cpus_that_do_not_exist_or_are_named_twice_are_refused() {
        let cpu = allowed_cpus()[0];
        assert_eq!(args(vec![], &[]).build().unwrap_err(), EalError::NoWorkers);
        assert_eq!(args(vec![cpu, cpu], &[]).build().unwrap_err(), EalError::CpuTwice { cpu });
        let error = args(vec![999], &[]).build().unwrap_err();
        assert_eq!(error, EalError::CpuNotAllowed { cpu: 999, allowed: allowed_cpus() });
    }
}
