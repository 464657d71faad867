//! Orders to a worker and its answers: two bounded queues, looked at when the epoch has changed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use overlay::num::{NeighbourId, NetworkId, PortId, TunnelId};

use super::tx::TxWay;
use crate::ledger::{LedgerCounters, Measure};
use crate::port::PortRx;
use crate::tables::{Counters, Limiter};

/// Orders and answers that may wait; the control thread lets the worker drain them in between.
const QUEUE_SLOTS: usize = 256;

/// A receive queue that a worker polls.
#[derive(Debug)]
pub struct RxSlot {
    /// The port it belongs to.
    pub port: PortId,
    /// The queue's number on its port.
    pub queue: u16,
    /// The stage its packets enter.
    pub entry: usize,
    /// The queue.
    pub rx: PortRx,
    /// Packets received on it.
    pub packets: u64,
    /// Polls that returned nothing.
    pub empty_polls: u64,
}

/// A worker's counters and ledger at one moment, between two rounds.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Packets, drops, and the conservation law's terms (`held` filled in).
    pub counters: Counters,
    /// Cycles.
    pub ledger: LedgerCounters,
    /// (port, queue, packets, empty polls) of each receive queue.
    pub queues: Vec<(PortId, u16, u64, u64)>,
    /// Sampled while the worker runs: its TSC.
    pub tsc: u64,
}

/// What the control thread may order.
#[derive(Debug)]
pub enum Command {
    /// Poll this queue from now on.
    AddRx(Box<RxSlot>),
    /// Stop polling this port's queues; each comes back as [`Reply::Rx`].
    RemoveRx(PortId),
    /// Reach this port this way from now on; the old way comes back as [`Reply::Tx`], its packets sent or counted.
    SetTx(PortId, Box<TxWay>),
    /// Forget what was counted under these identifiers.
    Clear {
        /// Ports that are new.
        ports: Vec<PortId>,
        /// Networks that are new.
        networks: Vec<NetworkId>,
        /// Tunnels that are new.
        tunnels: Vec<TunnelId>,
    },
    /// Fill the report in and send it back.
    Report(Box<WorkerReport>),
    /// Measure this way from now on.
    Measure(Measure),
    /// Poll this way from now on.
    Set(super::Settings),
    /// Limit floods by these from now on; the snapshot that comes with them numbers them.
    Storm(Box<[Limiter]>),
    /// Ask this next hop for its address.
    Ask(NeighbourId),
    /// Poll nothing any more; every queue comes back as [`Reply::Rx`].
    Quiet,
    /// Empty everything and end.
    Stop,
}

/// What a worker answers.
#[derive(Debug)]
pub enum Reply {
    /// A queue that is no longer polled.
    Rx(Box<RxSlot>),
    /// A way that is no longer used.
    Tx(PortId, Box<TxWay>),
    /// A report, filled in.
    Report(Box<WorkerReport>),
}

/// The two queues, and what the control thread may look at without asking.
#[derive(Debug)]
pub struct Mailbox {
    orders: ArrayQueue<Command>,
    replies: ArrayQueue<Reply>,
    /// Cycles the worker spent on orders and new tables, all together.
    blocked_cycles: CachePadded<AtomicU64>,
    stopped: AtomicBool,
    arrival: OnceLock<Arrival>,
}

/// What a worker says of itself, once, before its first round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    /// Its thread, by which the kernel's witnesses are read.
    pub thread_id: Option<u32>,
    /// How many cycles of its core pass in one tick of the TSC, measured there.
    pub core_cycles_per_tsc: Option<f64>,
}

/// The worker's side of a [`Mailbox`].
#[derive(Debug)]
pub struct Orders(Arc<Mailbox>);

impl Mailbox {
    /// An empty mailbox, and the worker's side of it.
    /// `replies` is how many answers may wait: every queue that the worker may have, and some.
    pub fn new(replies: usize) -> (Arc<Self>, Orders) {
        let mailbox = Arc::new(Self {
            orders: ArrayQueue::new(QUEUE_SLOTS),
            replies: ArrayQueue::new(QUEUE_SLOTS + replies),
            blocked_cycles: CachePadded::new(AtomicU64::new(0)),
            stopped: AtomicBool::new(false),
            arrival: OnceLock::new(),
        });
        (Arc::clone(&mailbox), Orders(mailbox))
    }

    /// Leaves an order; given back when the queue is full. The worker looks at it in the next epoch.
    ///
    /// # Errors
    /// The order, when 256 orders wait already.
    pub fn order(&self, command: Command) -> Result<(), Command> {
        self.orders.push(command)
    }

    /// Takes an answer.
    pub fn reply(&self) -> Option<Reply> {
        self.replies.pop()
    }

    /// Cycles that orders and new tables have held the worker up so far.
    pub fn blocked_cycles(&self) -> u64 {
        self.blocked_cycles.load(Ordering::Relaxed)
    }

    /// What the worker said of itself; nothing before its first round.
    pub fn arrival(&self) -> Arrival {
        self.arrival.get().copied().unwrap_or_default()
    }

    /// Whether the worker has ended.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Orders {
    /// The worker is on its core. The first call counts.
    pub(super) fn arrived(&self, arrival: Arrival) {
        self.0.arrival.get_or_init(|| arrival);
    }

    pub(super) fn next(&self) -> Option<Command> {
        self.0.orders.pop()
    }

    /// An answer that does not fit is dropped here, which closes a queue late but loses no packet; the reply queue holds
    /// more than all queues of all ports.
    pub(super) fn answer(&self, reply: Reply) {
        drop(self.0.replies.push(reply));
    }

    pub(super) fn blocked(&self, cycles: u64) {
        self.0.blocked_cycles.fetch_add(cycles, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.0.stopped.store(true, Ordering::Release);
    }
}
