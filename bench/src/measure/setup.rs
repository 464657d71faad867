//! What is chosen on the command line, and the configuration that it makes.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::conditions;
use crate::scenario::{Place, Scenario};

/// Octets of packet data in one mbuf besides the headroom of 128: together the 2,176 of testpmd and Open vSwitch.
pub(crate) const DATA_OCTETS: u32 = 2048;
/// What one mbuf takes of the pool's memory: data, headroom, private area, descriptor, object header.
const MBUF_OCTETS: u64 = 2560;
/// Memory besides the pool: devices' rings, tables of EAL.
const OTHER_MIB: u64 = 96;

/// Where memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Memory {
    /// Hugepages if root has enough of them, else ordinary pages
    Auto,
    /// Hugepages
    Hugepages,
    /// Ordinary pages
    NoHuge,
}

/// Options that all measurements of weir share.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Most packets taken from a queue at once, 1 to 64
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub burst: u16,
    /// Packet buffers in the pool
    #[arg(long, default_value_t = 131_072)]
    pub mbufs: u32,
    /// Where memory comes from
    #[arg(long, value_enum, default_value_t = Memory::Auto)]
    pub memory: Memory,
    /// CPU of the worker; default: 1, or the last that this process may use
    #[arg(long)]
    pub cpu: Option<u16>,
}

/// One weir to measure.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub scenario: &'static Scenario,
    pub flows: u32,
    pub burst: u16,
    pub mbufs: u32,
    /// Never `Auto`.
    pub memory: Memory,
    pub cpu: u16,
}

impl Setup {
    pub(crate) fn new(scenario: &'static Scenario, flows: u32, options: &Options) -> Self {
        let memory = match options.memory {
            Memory::Auto if conditions::usable_hugepage_mib() >= needed_mib(options.mbufs) => Memory::Hugepages,
            Memory::Auto => Memory::NoHuge,
            chosen => chosen,
        };
        let cpu = options.cpu.unwrap_or_else(conditions::default_worker_cpu);
        Self { scenario, flows, burst: options.burst, mbufs: options.mbufs, memory, cpu }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(scenario: &'static Scenario) -> Self {
        let options = Options { burst: 32, mbufs: 8192, memory: Memory::NoHuge, cpu: Some(0) };
        Self::new(scenario, 16, &options)
    }

    /// The text of the configuration.
    pub(crate) fn configuration(&self, place: &Place<'_>) -> String {
        let memory = if self.memory == Memory::Hugepages { "hugepages" } else { "no-huge" };
        format!(
            "[eal]\nmemory = \"{memory}\"\nmemory_mib = {mib}\nfile_prefix = \"weir-bench-{pid}\"\n\n\
             [workers]\ncores = [{cpu}]\nburst = {burst}\n\n\
             [pool]\nmbufs = {mbufs}\ndata_octets = {DATA_OCTETS}\n\n\
             [ledger]\nlevel = \"sampled\"\n{tables}",
            mib = needed_mib(self.mbufs),
            pid = std::process::id(),
            cpu = self.cpu,
            burst = self.burst,
            mbufs = self.mbufs,
            tables = (self.scenario.tables)(place),
        )
    }
}

fn needed_mib(mbufs: u32) -> u64 {
    (u64::from(mbufs) * MBUF_OCTETS).div_ceil(1 << 20) + OTHER_MIB
}
