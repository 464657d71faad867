//! Making workers: one a core, each with its graph, context and ledger, joined by rings.

use std::sync::Arc;

use super::command::{Arrival, Mailbox, WorkerReport};
use super::run::{Settings, Worker};
use super::tx::TxSide;
use crate::dpdk::ring::{self, Consumer, Producer};
use crate::dpdk::{DpdkError, Eal, LcoreTask, Mempool, tsc};
use crate::graph::{Graph, GraphError, Spec};
use crate::ledger::{Ledger, LedgerConfig, LedgerError, Meter, system};
use crate::stage::{Cx, ENTRIES, Events, STAGES};
use crate::sync::Published;
use crate::tables::{Counters, Tables};

/// Answers that one port can give rise to: its receive queues and the way to it.
const REPLIES_A_PORT: usize = 17;
/// Packets that may wait between two workers.
const HANDOFF_SLOTS: u32 = 1024;

/// A worker could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The registry of stages contradicts itself.
    #[error("the registry of stages is wrong: {0}")]
    Graph(#[from] GraphError),
    /// The ledger does not fit the registry.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A ring could not be made.
    #[error("creating a ring between workers: {0}")]
    Ring(DpdkError),
    /// An lcore did not take its worker.
    #[error("starting worker {worker} on CPU {cpu}: {source}")]
    Lcore {
        /// The worker's index.
        worker: usize,
        /// Its CPU.
        cpu: u16,
        /// DPDK's answer.
        source: DpdkError,
    },
}

/// What every worker is made from.
#[derive(Debug)]
pub struct Launch<'a> {
    /// How it polls.
    pub settings: Settings,
    /// How much its ledger measures.
    pub ledger: LedgerConfig,
    /// The tables.
    pub published: &'a Published<Tables>,
    /// To the control thread.
    pub events: &'a Events,
    /// Where copies and requests are made from.
    pub pool: &'a Mempool,
    /// Ticks a second.
    pub tsc_hz: u64,
}

/// A worker that runs.
#[derive(Debug)]
pub struct Launched {
    /// Orders and answers.
    pub mailbox: Arc<Mailbox>,
    /// Its lcore's task.
    pub task: LcoreTask,
    /// A report of the right size, to be filled in.
    pub spare: Box<WorkerReport>,
}

/// The entry stages' indices, by the role of the port: container, uplink, host.
///
/// # Errors
/// When the registry contradicts itself.
pub fn entries() -> Result<Vec<usize>, LaunchError> {
    let graph = Graph::<Cx>::new(STAGES)?;
    Ok(ENTRIES.iter().map(|name| graph.stage(name).unwrap_or_default()).collect())
}

impl Launch<'_> {
    /// Launches one worker for each of `cpus`, on lcores 1, 2, ….
    ///
    /// # Errors
    /// See [`LaunchError`]; workers that were launched already wait for nothing and own nothing.
    pub fn all(&self, eal: &Eal, cpus: &[u16]) -> Result<Vec<Launched>, LaunchError> {
        let (producers, consumers) = rings(cpus.len())?;
        let mut launched = Vec::new();
        for (worker, ((cpu, to), from)) in cpus.iter().zip(producers).zip(consumers).enumerate() {
            launched.push(self.one(eal, worker, *cpu, to, from)?);
        }
        Ok(launched)
    }

    fn one(
        &self,
        eal: &Eal,
        worker: usize,
        cpu: u16,
        to: Vec<Option<Producer>>,
        from: Vec<Consumer>,
    ) -> Result<Launched, LaunchError> {
        let tables = self.published.current();
        let (ports, networks, tunnels) = (tables.ports.len(), tables.networks.len(), tables.tunnels.len());
        let (mailbox, orders) = Mailbox::new(ports * REPLIES_A_PORT);
        let tx = Box::new(TxSide::new(ports, to));
        let cx = Cx::new(worker as u16, tables, self.tsc_hz, self.pool.clone(), tx, self.events.clone());
        let config = LedgerConfig { seed: self.ledger.seed ^ (worker as u64) << 32, ..self.ledger };
        let ledger = Ledger::new(&Spec::rows(STAGES), &config)?;
        let spare = Box::new(WorkerReport {
            counters: Counters::new(ports, networks, tunnels),
            ledger: ledger.counters(),
            queues: Vec::with_capacity(ports * 4),
            tsc: 0,
        });
        let Some(subscriber) = self.published.subscribe(worker) else {
            return Err(LaunchError::Graph(GraphError::TooMany("worker")));
        };
        let settings = self.settings;
        let graph = Graph::new(STAGES)?;
        // The first stamp is taken on the worker's own core.
        let work = move || {
            orders.arrived(Arrival {
                thread_id: system::thread_id().ok(),
                core_cycles_per_tsc: Some(tsc::core_cycles_per_tsc()),
            });
            Worker::new(settings, graph, cx, Meter::new(ledger, tsc::rdtsc), subscriber, orders, from).run();
        };
        let lcore = worker as u32 + 1;
        let task = eal.launch(lcore, Box::new(work)).map_err(|source| LaunchError::Lcore { worker, cpu, source })?;
        Ok(Launched { mailbox, task, spare })
    }
}

/// By worker: its ends of the rings to every worker (none to itself), and from every other.
type Ends = (Vec<Vec<Option<Producer>>>, Vec<Vec<Consumer>>);

fn rings(workers: usize) -> Result<Ends, LaunchError> {
    let mut producers = Vec::new();
    let mut consumers: Vec<Vec<Consumer>> = (0..workers).map(|_| Vec::new()).collect();
    for from in 0..workers {
        let mut ends = Vec::new();
        for (to, into) in consumers.iter_mut().enumerate() {
            if from == to {
                ends.push(None);
                continue;
            }
            let (producer, consumer) =
                ring::spsc(&format!("weir-{from}-{to}"), HANDOFF_SLOTS).map_err(LaunchError::Ring)?;
            ends.push(Some(producer));
            into.push(consumer);
        }
        producers.push(ends);
    }
    Ok((producers, consumers))
}
