//! From a configuration to running workers. Nothing is left behind when a step fails: what was opened is closed again by
//! its owner's drop, in reverse order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use overlay::fib::mac::MacTable;
use overlay::fib::neighbour::NeighbourTable;

use super::controller::Parts;
use super::crew::{Crew, EpochQuiesce, Hand};
use super::ports::{self, NewPort};
use super::{ControlError, Controller};
use crate::config::{Config, MemoryMode as Memory, Name};
use crate::dpdk::mempool::PoolConfig;
use crate::dpdk::ring::{self, Consumer, Producer};
use crate::dpdk::{Eal, EalArgs, MemoryMode, Mempool, PoolOps, TscClock, tsc};
use crate::graph::{Graph, Spec};
use crate::ledger::{Ledger, LedgerConfig, Level, Meter, price};
use crate::port::OpenParams;
use crate::stage::{Cx, ENTRIES, Events, STAGES};
use crate::sync::{Epochs, Published};
use crate::tables::{Counters, Ids, Tables, World, build};
use crate::worker::{Mailbox, Settings, TxSide, Worker, WorkerReport};

/// Events that may wait for the control thread.
const EVENT_SLOTS: usize = 8192;
/// Packets that may wait between two workers.
const HANDOFF_SLOTS: u32 = 1024;
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
        let core_cycles_per_tsc = tsc::core_cycles_per_tsc();
        let pool = create_pool(&config)?;
        let workers = config.workers.cores.len();
        let epochs = Arc::new(Epochs::new(workers));
        let mut crew = Crew::new(Arc::clone(&epochs));

        let mut ids = Ids::new(config.limits);
        ids.assign(&config)?;
        let mut load = vec![0; workers];
        let mut opened = Vec::new();
        for (name, port) in &config.ports {
            let params = open_params(&config, port, &pool, &epochs);
            opened.push((name.clone(), ports::open(port, ids.port(name.as_str()), params, &mut load)?));
        }

        let seed = (tsc::rdtsc() >> 3) as u32;
        let macs = MacTable::new(config.limits.macs as usize, seed);
        let neighbours = Arc::new(NeighbourTable::new(config.limits.neighbours));
        let hardware = ports::macs(opened.iter().map(|(_, new)| &new.open));
        let world = World { macs: &hardware, mac_table: macs.table(), neighbour_table: &neighbours };
        let tables = Arc::new(build(&config, &mut ids, &world)?);
        let published = Published::new(Arc::clone(&tables), epochs);
        let events = Events(Arc::new(ArrayQueue::new(EVENT_SLOTS)));

        let launch = Launch {
            config: &config,
            tables: &tables,
            published: &published,
            events: &events,
            pool: &pool,
            clock,
            stamp_cost_cycles,
        };
        let entries = launch.all(&eal, &mut crew)?;
        let ports = into_service(opened, &mut crew, &entries)?;
        let parts = Parts {
            config,
            ids,
            ports,
            crew,
            published,
            macs,
            neighbours,
            events,
            pool,
            clock,
            stamp_cost_cycles,
            core_cycles_per_tsc,
            entries,
            eal,
        };
        let mut controller = Self::assemble(parts);
        controller.apply_static_entries();
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
    for (worker, command) in receivers {
        crew.order(worker, command)?;
    }
    crew.settle()?;
    Ok(ports)
}

pub(super) fn open_params(
    config: &Config,
    port: &crate::config::Port,
    pool: &Mempool,
    epochs: &Arc<Epochs>,
) -> OpenParams {
    OpenParams {
        mtu: port.settings.mtu,
        rx_queues: port.settings.rx_queues,
        tx_queues: port.settings.tx_queues,
        mac: port.settings.mac,
        fault: port.settings.fault,
        burst: config.workers.burst,
        quiesce: Arc::new(EpochQuiesce(Arc::clone(epochs))),
        ..OpenParams::new(pool.clone())
    }
}

fn eal_args(config: &Config, extra: &[String]) -> EalArgs {
    let memory = match config.eal.memory {
        Memory::NoHuge => MemoryMode::NoHuge { mebibytes: config.eal.memory_mib },
        Memory::Hugepages => MemoryMode::InMemory,
        Memory::Auto if hugepages_free(config.eal.memory_mib) => MemoryMode::InMemory,
        Memory::Auto => MemoryMode::NoHuge { mebibytes: config.eal.memory_mib },
    };
    EalArgs {
        worker_cpus: config.workers.cores.iter().map(|core| u32::from(*core)).collect(),
        main_cpus: Vec::new(),
        memory,
        file_prefix: config.eal.file_prefix.clone(),
        pci: config.ports.values().any(|port| crate::port::is_pci(&port.settings.device)),
        extra: config.eal.args.iter().chain(extra).cloned().collect(),
    }
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
        ops: if config.workers.cores.len() >= cpus { PoolOps::MtRts } else { PoolOps::MpMc },
        ..PoolConfig::new("weir")
    };
    Mempool::create(&pool).map_err(ControlError::dpdk(format!(
        "creating the packet pool of {} mbufs of {} octets (lower pool.mbufs or raise eal.memory_mib)",
        config.pool.mbufs, config.pool.data_octets
    )))
}

/// What every worker is made from.
struct Launch<'a> {
    config: &'a Config,
    tables: &'a Arc<Tables>,
    published: &'a Published<Tables>,
    events: &'a Events,
    pool: &'a Mempool,
    clock: TscClock,
    stamp_cost_cycles: u64,
}

impl Launch<'_> {
    /// Launches one worker a core, joined by rings; gives the entry stages' indices.
    fn all(&self, eal: &Eal, crew: &mut Crew) -> Result<Vec<usize>, ControlError> {
        let cores = &self.config.workers.cores;
        let (mut producers, mut consumers) = rings(cores.len())?;
        let graph = Graph::<Cx>::new(STAGES)?;
        let entries = ENTRIES.iter().map(|name| graph.stage(name).unwrap_or_default()).collect();
        for (index, cpu) in cores.iter().enumerate() {
            let (mailbox, orders) = Mailbox::new();
            let tx = TxSide::new(self.tables.ports.len(), core::mem::take(&mut producers[index]));
            let cx = Cx::new(
                index as u16,
                Arc::clone(self.tables),
                self.clock.hz(),
                self.pool.clone(),
                Box::new(tx),
                self.events.clone(),
            );
            let ledger = Ledger::new(&Spec::rows(STAGES), &self.ledger_config(index))?;
            let spare = Box::new(WorkerReport {
                counters: Counters::new(cx.tables.ports.len(), cx.tables.networks.len(), cx.tables.tunnels.len()),
                ledger: ledger.counters(),
                queues: Vec::with_capacity(self.tables.ports.len() * 4),
                tsc: 0,
            });
            let Some(subscriber) = self.published.subscribe(index) else { continue };
            let settings = settings(self.config, self.clock);
            let taken = core::mem::take(&mut consumers[index]);
            let graph = Graph::new(STAGES)?;
            // The first stamp is taken on the worker's own core.
            let work = move || {
                Worker::new(settings, graph, cx, Meter::new(ledger, tsc::rdtsc), subscriber, orders, taken).run();
            };
            let lcore = index as u32 + 1;
            let task = eal
                .launch(lcore, Box::new(work))
                .map_err(ControlError::dpdk(format!("starting worker {index} on CPU {cpu}")))?;
            crew.hands.push(Hand { cpu: *cpu, mailbox, task, spare: Some(spare) });
        }
        Ok(entries)
    }

    fn ledger_config(&self, index: usize) -> LedgerConfig {
        let ledger = &self.config.ledger;
        LedgerConfig {
            level: level(self.config),
            sample_interval: ledger.sample_one_in,
            stamp_cost_cycles: self.stamp_cost_cycles,
            gap_threshold_cycles: self.clock.hz() / 1_000_000 * u64::from(ledger.gap_us),
            port_capacity: usize::from(self.config.limits.ports),
            seed: tsc::rdtsc() ^ (index as u64) << 32,
            ..LedgerConfig::new(self.clock.hz())
        }
    }
}

/// The ledger's level as the configuration has it.
pub(super) fn level(config: &Config) -> Level {
    match config.ledger.level {
        crate::config::LedgerLevel::Off => Level::Off,
        crate::config::LedgerLevel::Sampled => Level::Sampled,
        crate::config::LedgerLevel::Full => Level::Full,
    }
}

/// How workers poll, as the configuration has it.
pub(super) fn settings(config: &Config, clock: TscClock) -> Settings {
    Settings {
        burst: usize::from(config.workers.burst),
        idle: config.workers.idle,
        sleep_max_us: config.workers.sleep_max_us,
        housekeeping_ticks: clock.hz() / 1_000_000 * u64::from(config.workers.housekeeping_us),
    }
}

/// By worker: its ends of the rings to every other worker, and from every other.
type Ends = (Vec<Vec<Option<Producer>>>, Vec<Vec<Consumer>>);

/// A ring from every worker to every other.
fn rings(workers: usize) -> Result<Ends, ControlError> {
    let mut producers: Vec<Vec<Option<Producer>>> = (0..workers).map(|_| Vec::new()).collect();
    let mut consumers: Vec<Vec<Consumer>> = (0..workers).map(|_| Vec::new()).collect();
    for from in 0..workers {
        for to in 0..workers {
            let end = if from == to {
                None
            } else {
                let name = format!("weir-{from}-{to}");
                let (producer, consumer) =
                    ring::spsc(&name, HANDOFF_SLOTS).map_err(ControlError::dpdk("creating a ring between workers"))?;
                consumers[to].push(consumer);
                Some(producer)
            };
            producers[from].push(end);
        }
    }
    Ok((producers, consumers))
}
