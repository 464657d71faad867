//! From a configuration to running workers. Nothing is left behind when a step fails: what was opened is closed again by
//! its owner's drop, in reverse order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use overlay::fib::mac::MacTable;
use overlay::fib::neighbour::NeighbourTable;

use super::build::{World, build};
use super::controller::Parts;
use super::crew::{Crew, EpochQuiesce, Hand};
use super::ids::Ids;
use super::ports::{self, NewPort};
use super::{ControlError, Controller};
use crate::config::{self, Config, MemoryMode as Memory, Name};
use crate::dpdk::mempool::PoolConfig;
use crate::dpdk::{Eal, EalArgs, MemoryMode, Mempool, PoolOps, TscClock, tsc};
use crate::ledger::{LedgerConfig, Level, Measure, price};
use crate::port::OpenParams;
use crate::sync::{Epochs, Published};
use crate::worker::{self, Events, Idle, Launch, Settings};

/// Events that may wait for the control thread.
const EVENT_SLOTS: usize = 8192;
/// How long the TSC is compared with the kernel's clock at start.
const CALIBRATION: Duration = Duration::from_millis(100);

impl Controller {
    /// Starts EAL, opens the ports and launches the workers. `extra` are EAL arguments from the command line.
    ///
    /// # Errors
    /// What is wrong, where, and what to do; nothing is left running.
    pub fn start(config: Config, extra: &[String]) -> Result<Self, ControlError> {
        let eal = Eal::init(&eal_args(&config, extra).build()?)?;
        let clock = tsc::calibrate(CALIBRATION);
        let stamp_cost_cycles = price::stamp_cost(tsc::rdtsc);
        let pool = create_pool(&config)?;
        let workers = config.workers.cores.len();
        let epochs = Arc::new(Epochs::new(workers));
        let mut crew = Crew::new(Arc::clone(&epochs));

        let mut ids = Ids::new(config.limits);
        ids.assign(&config)?;
        let mut load = vec![0; workers];
        let mut opened = Vec::new();
        for (name, port) in &config.ports {
            let params = open_params(port, &pool, &epochs, clock);
            opened.push((name.clone(), ports::open(port, ids.port(name.as_str()), &params, &mut load)?));
        }

        let macs = MacTable::new(config.limits.macs as usize, random_seed());
        let neighbours = Arc::new(NeighbourTable::new(config.limits.neighbours));
        let hardware = ports::macs(opened.iter().map(|(_, new)| &new.open));
        let world = World { macs: &hardware, mac_table: macs.table(), neighbour_table: &neighbours };
        let tables = Arc::new(build(&config, &mut ids, &world)?);
        let published = Published::new(tables, epochs);
        let events = Events(Arc::new(ArrayQueue::new(EVENT_SLOTS)));

        let launch = Launch {
            settings: settings(&config, clock),
            ledger: ledger_config(&config, clock, stamp_cost_cycles),
            published: &published,
            events: &events,
            pool: &pool,
            tsc_hz: clock.hz(),
        };
        for (cpu, launched) in config.workers.cores.iter().zip(launch.all(&eal, &config.workers.cores)?) {
            crew.hands.push(Hand::new(*cpu, launched));
        }
        crew.muster()?;
        let entries = worker::entries()?;
        let parts = Parts {
            config,
            ids,
            ports: BTreeMap::new(),
            crew,
            published,
            macs,
            neighbours,
            events,
            pool,
            clock,
            entries,
            eal,
        };
        let mut controller = Self::assemble(parts);
        controller.confine_macs();
        controller.apply_static_entries();
        // Packets come last: everything they need is there.
        controller.ports = into_service(opened, &mut controller.crew, &controller.entries)?;
        controller.pool_level = controller.pool.in_use();
        Ok(controller)
    }
}

/// Hands the queues of new ports to the workers.
pub(super) fn into_service(
    opened: Vec<(Name, NewPort)>,
    crew: &mut Crew,
    entries: &[usize],
) -> Result<BTreeMap<Name, ports::OpenPort>, ControlError> {
    let mut ports = BTreeMap::new();
    let mut receivers = Vec::new();
    for (name, new) in opened {
        let (open, orders) = new.orders(crew.hands.len(), entries);
        for (worker, command) in orders {
            // Ways first, on all workers: nobody receives before everybody can send.
            if matches!(command, crate::worker::Command::AddRx(_)) {
                receivers.push((worker, command));
            } else {
                crew.order(worker, command)?;
            }
        }
        ports.insert(name, open);
    }
    // Without this a worker that comes round late gets packets handed over for a port it does not know yet.
    crew.settle()?;
    for (worker, command) in receivers {
        crew.order(worker, command)?;
    }
    crew.settle()?;
    Ok(ports)
}

pub(super) fn open_params(port: &config::Port, pool: &Mempool, epochs: &Arc<Epochs>, clock: TscClock) -> OpenParams {
    OpenParams {
        mtu: port.settings.mtu,
        rx_queues: port.settings.rx_queues,
        tx_queues: port.settings.tx_queues,
        ..OpenParams::new(pool.clone(), Arc::new(EpochQuiesce(Arc::clone(epochs))), clock)
    }
}

fn eal_args(config: &Config, extra: &[String]) -> EalArgs {
    let memory = match config.eal.memory {
        Memory::Hugepages => MemoryMode::InMemory,
        Memory::Auto if hugepages_free(config.eal.memory_mib) => MemoryMode::InMemory,
        Memory::NoHuge | Memory::Auto => MemoryMode::NoHuge { mebibytes: config.eal.memory_mib },
    };
    EalArgs {
        worker_cpus: config.workers.cores.iter().map(|core| u32::from(*core)).collect(),
        main_cpus: Vec::new(),
        memory,
        file_prefix: config.eal.file_prefix.clone(),
        pci: config.ports.values().any(|port| is_pci_address(&port.settings.device)),
        extra: config.eal.args.iter().chain(extra).cloned().collect(),
    }
}

/// `0000:8a:00.0`, with or without devargs behind it.
fn is_pci_address(device: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let address = device.split(',').next().unwrap_or_default();
    let Some((slot, function)) = address.rsplit_once('.') else { return false };
    digits(function) && (2..=3).contains(&slot.split(':').count()) && slot.split(':').all(digits)
}

/// Whether enough hugepages are free and may be used for `wanted_mib`: root, or a writable hugetlbfs, is EAL's business;
/// without root `auto` takes ordinary pages.
fn hugepages_free(wanted_mib: u32) -> bool {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let free_kib = field("HugePages_Free:").unwrap_or(0) * field("Hugepagesize:").unwrap_or(0);
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    root && free_kib >= u64::from(wanted_mib) * 1024
}

fn create_pool(config: &Config) -> Result<Mempool, ControlError> {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pool = PoolConfig {
        mbufs: config.pool.mbufs,
        cache: u32::from(config.pool.cache),
        data_room_octets: config.pool.data_octets,
        // With more pollers than CPUs a preempted poller would hold up all others in a multi-producer ring.
        ops: if config.workers.cores.len() >= cpus { PoolOps::RelaxedTail } else { PoolOps::MpMc },
        ..PoolConfig::default()
    };
    Mempool::create(&pool).map_err(ControlError::dpdk(format!(
        "creating the packet pool of {} mbufs of {} octets (lower pool.mbufs or raise eal.memory_mib)",
        config.pool.mbufs, config.pool.data_octets
    )))
}

/// How the ledgers measure, as the configuration has it.
pub(super) fn measure(config: &Config, clock: TscClock) -> Measure {
    Measure {
        level: match config.ledger.level {
            config::LedgerLevel::Off => Level::Off,
            config::LedgerLevel::Sampled => Level::Sampled,
            config::LedgerLevel::Full => Level::Full,
        },
        sample_interval: config.ledger.sample_one_in,
        gap_threshold_cycles: clock.hz() / 1_000_000 * u64::from(config.ledger.gap_us),
    }
}

/// A number that senders cannot guess: the standard library's hash keys come from the kernel's random numbers.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// How much the workers' ledgers measure.
fn ledger_config(config: &Config, clock: TscClock, stamp_cost_cycles: u64) -> LedgerConfig {
    let Measure { level, sample_interval, gap_threshold_cycles } = measure(config, clock);
    LedgerConfig {
        level,
        sample_interval,
        stamp_cost_cycles,
        gap_threshold_cycles,
        port_capacity: usize::from(config.limits.ports),
        seed: tsc::rdtsc(),
        ..LedgerConfig::new(clock.hz())
    }
}

/// How workers poll, as the configuration has it.
pub(super) fn settings(config: &Config, clock: TscClock) -> Settings {
    Settings {
        burst: usize::from(config.workers.burst),
        idle: match config.workers.idle {
            config::Idle::Poll => Idle::Poll,
            config::Idle::Pause => Idle::Pause,
            config::Idle::Sleep => Idle::Sleep,
        },
        sleep_max_us: config.workers.sleep_max_us,
        housekeeping_ticks: clock.hz() / 1_000_000 * u64::from(config.workers.housekeeping_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_and_the_configuration_have_the_same_defaults() {
        let ours = config::Ledger::default();
        assert_eq!(ours.sample_one_in, LedgerConfig::DEFAULT_SAMPLE_INTERVAL);
        assert_eq!(u64::from(ours.gap_us) * 1000, LedgerConfig::DEFAULT_GAP_NANOS);
    }
}
