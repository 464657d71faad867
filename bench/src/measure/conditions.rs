//! Under which conditions figures were taken: without them a figure says nothing.

use std::fs::read_to_string;

use dataplane::dpdk::Eal;
use dataplane::dpdk::eal::allowed_cpus;
use serde::{Deserialize, Serialize};

use super::Memory;
use super::setup::{DATA_OCTETS, Setup};

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "a virtual machine is called that")]
pub(crate) struct Machine {
    pub cpu_model: String,
    pub cpus: usize,
    /// Whether a hypervisor is underneath.
    pub virtual_machine: bool,
    /// Simultaneous multithreading: `on`, `off`, `notsupported`; unknown where the kernel does not say.
    pub smt: Option<String>,
    pub governor: Option<String>,
    pub kernel: String,
    /// Hugepages of the default size: all, and free at start.
    pub hugepages_total: u64,
    pub hugepages_free: u64,
    pub hugepage_kib: u64,
    /// Runnable threads over the last minute, before the measurement: what was running besides it.
    pub load_average: f64,
}

/// Machine and settings of one measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Conditions {
    pub machine: Machine,
    pub dpdk: String,
    pub weir: String,
    /// `release`, or `debug`, whose figures mean nothing.
    pub build: String,
    pub memory: Memory,
    pub worker_cpu: u16,
    /// Core clock ÷ time stamp counter.
    pub core_cycles_per_tsc_cycle: Option<f64>,
    pub mbufs: u32,
    /// Data room of an mbuf, headroom included.
    pub mbuf_octets: u32,
    pub ledger: String,
    /// Seconds that were run and thrown away first.
    pub warm_up_seconds: f64,
}

impl Machine {
    pub(crate) fn now() -> Self {
        let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let word = |path: &str| read_to_string(path).ok().map(|text| text.trim().to_owned());
        let meminfo = Hugepages::now();
        Self {
            cpu_model: field("model name").unwrap_or_else(|| "unknown".into()),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            virtual_machine: field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            smt: word("/sys/devices/system/cpu/smt/control"),
            governor: word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            kernel: word("/proc/sys/kernel/osrelease").unwrap_or_default(),
            hugepages_total: meminfo.total,
            hugepages_free: meminfo.free,
            hugepage_kib: meminfo.kib,
            load_average: word("/proc/loadavg")
                .and_then(|text| text.split(' ').next()?.parse().ok())
                .unwrap_or(f64::NAN),
        }
    }
}

impl Conditions {
    pub(super) fn new(setup: &Setup, core_cycles_per_tsc_cycle: Option<f64>, warm_up_seconds: f64) -> Self {
        Self {
            machine: Machine::now(),
            dpdk: Eal::version(),
            weir: env!("CARGO_PKG_VERSION").into(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
            memory: setup.memory,
            worker_cpu: setup.cpu,
            core_cycles_per_tsc_cycle,
            mbufs: setup.mbufs,
            mbuf_octets: DATA_OCTETS + 128,
            ledger: "sampled".into(),
            warm_up_seconds,
        }
    }
}

struct Hugepages {
    total: u64,
    free: u64,
    kib: u64,
}

impl Hugepages {
    fn now() -> Self {
        let text = read_to_string("/proc/meminfo").unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Self {
            total: field("HugePages_Total:").unwrap_or(0),
            free: field("HugePages_Free:").unwrap_or(0),
            kib: field("Hugepagesize:").unwrap_or(0),
        }
    }
}

/// Free hugepages that this process may take, in MiB: those of root.
pub(super) fn usable_hugepage_mib() -> u64 {
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let pages = Hugepages::now();
    if root { pages.free * pages.kib / 1024 } else { 0 }
}

/// CPU 1 if this process may use it, else the last that it may.
pub(crate) fn default_worker_cpu() -> u16 {
    let cpus = allowed_cpus();
    let cpu = if cpus.contains(&1) { 1 } else { cpus.last().copied().unwrap_or(0) };
    u16::try_from(cpu).unwrap_or(0)
}
