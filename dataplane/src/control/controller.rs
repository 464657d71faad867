//! The state of a running weir, and the tick that keeps it up to date.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use overlay::fib::mac::{MacDestination, MacWriter};
use overlay::fib::neighbour::NeighbourTable;
use overlay::num::{NetworkId, PortId};

use super::ControlError;
use super::crew::Crew;
use super::ids::Ids;
use super::learn::NextHops;
use super::ports::OpenPort;
use crate::config::{Config, Name};
use crate::dpdk::{Eal, Mempool, TscClock, tsc};
use crate::ledger::system::Witness;
use crate::sync::Published;
use crate::tables::Tables;
use crate::worker::{Events, WorkerReport};

/// Everything about a running weir. One thread owns it.
#[derive(Debug)]
pub struct Controller {
    pub(super) config: Config,
    pub(super) ids: Ids,
    pub(super) ports: BTreeMap<Name, OpenPort>,
    pub(super) crew: Crew,
    pub(super) published: Published<Tables>,
    pub(super) macs: MacWriter,
    pub(super) neighbours: Arc<NeighbourTable>,
    pub(super) next_hops: NextHops,
    /// Where addresses may be learned.
    pub(super) places: HashSet<(NetworkId, MacDestination)>,
    pub(super) events: Events,
    pub(super) pool: Mempool,
    /// Packets of the pool in use after all ports had started: devices hold some.
    pub(super) pool_level: u32,
    pub(super) clock: TscClock,
    /// The entry stages' indices, by role: container, uplink, host.
    pub(super) entries: Vec<usize>,
    pub(super) started: Instant,
    pub(super) started_both: (u64, overlay::num::Nanos),
    /// What the kernel said of the workers when they had started.
    pub(super) started_witnesses: Vec<Witness>,
    last_ageing_secs: u32,
    // Last: everything above is gone when EAL's memory goes.
    pub(super) eal: Eal,
}

/// The parts that start puts together.
pub(super) struct Parts {
    pub config: Config,
    pub ids: Ids,
    pub ports: BTreeMap<Name, OpenPort>,
    pub crew: Crew,
    pub published: Published<Tables>,
    pub macs: MacWriter,
    pub neighbours: Arc<NeighbourTable>,
    pub events: Events,
    pub pool: Mempool,
    pub clock: TscClock,
    pub entries: Vec<usize>,
    pub eal: Eal,
}

/// What was left at the end.
#[derive(Debug)]
pub struct Ended {
    /// The workers' last reports.
    pub reports: Vec<WorkerReport>,
    /// Workers that ended without one: what they counted is not in the sums.
    pub missing_reports: usize,
    /// Packets that did not come back to the pool; zero unless something leaks.
    pub missing_mbufs: u32,
}

impl Controller {
    pub(super) fn assemble(parts: Parts) -> Self {
        Self {
            next_hops: NextHops::default(),
            places: HashSet::new(),
            pool_level: parts.pool.in_use(),
            started_witnesses: parts.crew.witnesses(),
            config: parts.config,
            ids: parts.ids,
            ports: parts.ports,
            crew: parts.crew,
            published: parts.published,
            macs: parts.macs,
            neighbours: parts.neighbours,
            events: parts.events,
            pool: parts.pool,
            clock: parts.clock,
            entries: parts.entries,
            started: Instant::now(),
            started_both: tsc::both_clocks(),
            last_ageing_secs: 0,
            eal: parts.eal,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The calibrated clock of all ledgers.
    pub fn clock(&self) -> TscClock {
        self.clock
    }

    /// The packet pool.
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// Packets of the pool that were in use right after start.
    pub fn pool_level(&self) -> u32 {
        self.pool_level
    }

    /// Whole seconds since start: the clock of ageing.
    pub fn now_secs(&self) -> u32 {
        self.started.elapsed().as_secs() as u32
    }

    /// The identifier of a port, or `NONE`.
    pub fn port_id(&self, name: &str) -> PortId {
        self.ids.port(name)
    }

    /// Does what is due: takes in what workers saw, ages what was not seen, asks next hops again. Call it often; a few
    /// hundred times a second learns addresses at full rate.
    ///
    /// # Errors
    /// When a worker does not come round.
    pub fn tick(&mut self) -> Result<(), ControlError> {
        self.take_in_events();
        self.watch_ports();
        let now = self.now_secs();
        if now != self.last_ageing_secs {
            self.last_ageing_secs = now;
            self.age_macs(now);
            self.refresh_next_hops(now)?;
        }
        Ok(())
    }

    /// Tells the log of guests that came and went.
    fn watch_ports(&mut self) {
        for (name, open) in &self.ports {
            while let Some(event) = open.port.next_event() {
                tracing::info!(port = %name, ?event, "vhost-user");
            }
        }
    }

    /// Ticks for `duration`.
    ///
    /// # Errors
    /// As [`Controller::tick`].
    pub fn run_for(&mut self, duration: Duration) -> Result<(), ControlError> {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            self.tick()?;
            std::thread::sleep(Duration::from_millis(2).min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// Every worker's counters and ledger, as of one quiescent point each.
    ///
    /// # Errors
    /// When a worker does not come round.
    pub fn reports(&mut self) -> Result<Vec<WorkerReport>, ControlError> {
        self.crew.reports()
    }

    /// Stops the workers, closes the ports, and says what was left.
    ///
    /// # Errors
    /// When EAL does not end.
    pub fn stop(self) -> Result<Ended, ControlError> {
        let Self { ports, mut crew, published, pool, eal, .. } = self;
        let workers = crew.hands.len();
        let reports = crew.stop();
        let missing_reports = workers - reports.len();
        for (name, open) in ports {
            let queues = crew.release(open.id);
            if let Err(error) = open.port.close(queues.rx, queues.tx) {
                tracing::error!(port = %name, %error, "the port did not close cleanly");
            }
        }
        drop(published);
        let missing_mbufs = pool.in_use();
        if missing_mbufs != 0 {
            tracing::error!(missing_mbufs, "packets did not come back to the pool");
        }
        drop(pool);
        eal.cleanup().map_err(ControlError::dpdk("ending EAL"))?;
        Ok(Ended { reports, missing_reports, missing_mbufs })
    }
}
