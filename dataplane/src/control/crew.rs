//! The workers as the control thread sees them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use overlay::num::PortId;

use super::ControlError;
use crate::dpdk::LcoreTask;
use crate::dpdk::vhost::Quiesce;
use crate::ledger::system::Witness;
use crate::port::{PortRx, PortTx};
use crate::sync::Epochs;
use crate::worker::{Command, Launched, Mailbox, Reply, TxWay, WorkerReport};

/// How long a worker may take to come round.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to sleep between two looks at the epochs.
const LOOK_AGAIN: Duration = Duration::from_micros(20);

/// One worker.
#[derive(Debug)]
pub(super) struct Hand {
    /// The CPU it runs on.
    pub cpu: u16,
    /// Orders and answers.
    pub mailbox: Arc<Mailbox>,
    /// Its lcore's task.
    pub task: Option<LcoreTask>,
    /// A report to be filled in, when it is not on its way.
    pub spare: Option<Box<WorkerReport>>,
}

impl Hand {
    /// A worker that has just been launched.
    pub(super) fn new(cpu: u16, launched: Launched) -> Self {
        Self { cpu, mailbox: launched.mailbox, task: Some(launched.task), spare: Some(launched.spare) }
    }
}

/// All workers, and the epochs by which they are waited for.
#[derive(Debug)]
pub(super) struct Crew {
    pub hands: Vec<Hand>,
    pub epochs: Arc<Epochs>,
    /// Queues that came back, for whoever closes their port.
    returned: HashMap<PortId, Returned>,
}

/// What workers gave back of a port: closing it takes them.
#[derive(Debug, Default)]
pub(super) struct Returned {
    pub rx: Vec<PortRx>,
    pub tx: Vec<PortTx>,
}

/// Waits for the workers on behalf of librte_vhost's thread.
#[derive(Debug)]
pub(super) struct EpochQuiesce(pub Arc<Epochs>);

impl Quiesce for EpochQuiesce {
    fn synchronize(&self) {
        let epoch = self.0.advance();
        while !self.0.passed(epoch) {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// A start that fails after workers were launched leaves none behind.
impl Drop for Crew {
    fn drop(&mut self) {
        if self.hands.iter().any(|hand| hand.task.is_some()) {
            drop(self.stop());
        }
    }
}

impl Crew {
    pub(super) fn new(epochs: Arc<Epochs>) -> Self {
        Self { hands: Vec::new(), epochs, returned: HashMap::new() }
    }

    /// Leaves an order with worker `index`. When its queue is full, waits until it has been through it.
    pub(super) fn order(&mut self, index: usize, command: Command) -> Result<(), ControlError> {
        let mut waiting = Some(command);
        for _ in 0..2 {
            let Some((hand, command)) = self.hands.get(index).zip(waiting.take()) else { return Ok(()) };
            match hand.mailbox.order(command) {
                Ok(()) => return Ok(()),
                Err(command) => waiting = Some(command),
            }
            self.settle()?;
        }
        match waiting {
            None => Ok(()),
            Some(_) => Err(self.stuck(index)),
        }
    }

    fn stuck(&self, worker: usize) -> ControlError {
        let cpu = self.hands.get(worker).map_or(0, |hand| hand.cpu);
        ControlError::Stuck { worker, cpu, seconds: PATIENCE.as_secs() }
    }

    /// Waits until every worker runs: from then on nothing passes one by.
    pub(super) fn muster(&self) -> Result<(), ControlError> {
        let since = Instant::now();
        while !self.epochs.all_online() {
            if since.elapsed() > PATIENCE {
                return Err(self.stuck(0));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Lets every worker pass a quiescent point, and collects the answers.
    pub(super) fn settle(&mut self) -> Result<(), ControlError> {
        let epoch = self.epochs.advance();
        self.wait(epoch)
    }

    /// Waits until every worker has passed `epoch`, and collects the answers.
    pub(super) fn wait(&mut self, epoch: u64) -> Result<(), ControlError> {
        let since = Instant::now();
        while !self.epochs.passed(epoch) {
            if since.elapsed() > PATIENCE {
                return Err(self.stuck(self.epochs.behind(epoch).next().unwrap_or_default()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.collect();
        Ok(())
    }

    fn collect(&mut self) {
        for hand in &mut self.hands {
            while let Some(reply) = hand.mailbox.reply() {
                match reply {
                    Reply::Rx(slot) => self.returned.entry(slot.port).or_default().rx.push(slot.rx),
                    Reply::Tx(port, way) => {
                        if let TxWay::Own(slot) = *way {
                            self.returned.entry(port).or_default().tx.push(slot.tx);
                        }
                    }
                    Reply::Report(report) => hand.spare = Some(report),
                }
            }
        }
    }

    /// The queues of `port` that workers gave back.
    pub(super) fn release(&mut self, port: PortId) -> Returned {
        self.returned.remove(&port).unwrap_or_default()
    }

    /// Every worker's counters and ledger, as of one quiescent point each.
    pub(super) fn reports(&mut self) -> Result<Vec<WorkerReport>, ControlError> {
        for index in 0..self.hands.len() {
            if let Some(report) = self.hands.get_mut(index).and_then(|hand| hand.spare.take()) {
                self.order(index, Command::Report(report))?;
            }
        }
        self.settle()?;
        Ok(self.hands.iter().filter_map(|hand| hand.spare.as_deref().cloned()).collect())
    }

    /// What the kernel says of each worker.
    pub(super) fn witnesses(&self) -> Vec<Witness> {
        let ask = |hand: &Hand| Witness::read(hand.mailbox.arrival().thread_id, u32::from(hand.cpu));
        self.hands.iter().map(ask).collect()
    }

    /// Cycles that orders and new tables have held up each worker so far.
    pub(super) fn blocked_cycles(&self) -> Vec<u64> {
        self.hands.iter().map(|hand| hand.mailbox.blocked_cycles()).collect()
    }

    /// Stops all workers and waits for their threads; their last reports. Their queues have come back.
    ///
    /// In phases: first nobody receives any more, then what is on its way between workers arrives, then they end.
    pub(super) fn stop(&mut self) -> Vec<WorkerReport> {
        for index in 0..self.hands.len() {
            if let Err(error) = self.order(index, Command::Quiet) {
                tracing::error!(%error, "stopping");
            }
        }
        // One round to flush into the rings, one to take over and send.
        for _ in 0..3 {
            if let Err(error) = self.settle() {
                tracing::error!(%error, "stopping");
            }
        }
        for hand in &mut self.hands {
            // Nobody else writes to the mailbox, so there is room unless the worker is stuck; then waiting shows it.
            drop(hand.mailbox.order(Command::Stop));
            if let Some(report) = hand.spare.take() {
                drop(hand.mailbox.order(Command::Report(report)));
            }
        }
        self.epochs.advance();
        for hand in &mut self.hands {
            if let Some(Err(error)) = hand.task.take().map(LcoreTask::wait) {
                tracing::error!(cpu = hand.cpu, %error, "a worker did not end");
            }
        }
        self.collect();
        for hand in self.hands.iter().filter(|hand| hand.spare.is_none()) {
            tracing::error!(cpu = hand.cpu, "a worker ended without its last report: what it counted is lost");
        }
        self.hands.iter_mut().filter_map(|hand| hand.spare.take()).map(|report| *report).collect()
    }
}
