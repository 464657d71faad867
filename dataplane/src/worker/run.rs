//! The loop.
//!
//! One round: take what other workers handed over, poll every receive queue and take its burst all the way, send what
//! is left in the transmit buffers. In between, when it is time, housekeeping; when the epoch has changed, orders.

use overlay::num::PortId;
use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use super::command::{Command, Orders, Reply, RxSlot, WorkerReport};
use super::tx::TxSide;
use crate::dpdk::ring::Consumer;
use crate::dpdk::{BURST_MAX, Burst};
use crate::graph::Graph;
use crate::ledger::{Account, Clock, Meter, Row};
use crate::port::FaultCounters;
use crate::stage::{self, Cx};
use crate::sync::Subscriber;
use crate::tables::{Counters, Tables};

/// Empty rounds before the idle ladder's next step.
const IDLE_ROUNDS: u32 = 64;

/// What a worker does when a round found nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Idle {
    /// Polls again at once.
    #[default]
    Poll,
    /// A pause instruction between rounds.
    Pause,
    /// Sleeps, longer the longer nothing comes.
    Sleep,
}

/// How a worker polls.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most packets taken from a queue at once, 1 to 64.
    pub burst: usize,
    /// What to do when nothing comes.
    pub idle: Idle,
    /// Longest sleep, in microseconds.
    pub sleep_max_us: u32,
    /// Ticks between two housekeeping rounds.
    pub housekeeping_ticks: u64,
}

/// One worker.
pub struct Worker<K> {
    settings: Settings,
    rx: Vec<RxSlot>,
    taken: Vec<Consumer>,
    burst: Box<Burst>,
    graph: Graph<Cx>,
    cx: Cx,
    meter: Meter<K>,
    subscriber: Subscriber<Tables>,
    orders: Orders,
    encap_stage: usize,
    housekeeping_due: u64,
    started_tsc: u64,
    idle_rounds: u32,
    stopping: bool,
}

impl<K> core::fmt::Debug for Worker<K> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Worker").field("cx", &self.cx).field("queues", &self.rx.len()).finish_non_exhaustive()
    }
}

impl<K: Clock> Worker<K> {
    /// A worker that has no queues yet. `taken` are the rings from other workers; `ports` bounds the queues it may be
    /// given later without allocating.
    pub fn new(
        settings: Settings,
        graph: Graph<Cx>,
        cx: Cx,
        meter: Meter<K>,
        subscriber: Subscriber<Tables>,
        orders: Orders,
        taken: Vec<Consumer>,
    ) -> Self {
        let started_tsc = meter.now();
        let encap_stage = graph.stage("vxlan-encap").unwrap_or_default();
        Self {
            settings,
            rx: Vec::with_capacity(cx.tables.ports.len() * 4),
            taken,
            burst: Box::new(Burst::new()),
            graph,
            cx,
            meter,
            subscriber,
            orders,
            encap_stage,
            housekeeping_due: started_tsc,
            started_tsc,
            idle_rounds: 0,
            stopping: false,
        }
    }

    /// Works until ordered to stop, then empties everything and ends.
    pub fn run(mut self) {
        self.cx.tables = self.subscriber.start();
        // Orders may have come before this reader counted.
        self.reconfigure();
        while !self.stopping {
            self.round();
        }
        self.wind_up();
    }

    /// One round.
    #[inline]
    pub fn round(&mut self) {
        if self.subscriber.changed() {
            self.reconfigure();
        }
        self.meter.begin_round();
        let taken = if self.taken.is_empty() { 0 } else { self.take_over() };
        let single = self.rx.len() == 1;
        let mut polled = 0;
        for index in 0..self.rx.len() {
            polled += self.poll(index, single);
        }
        let received = polled + taken;
        let flushed = single && polled != 0;
        if !flushed && self.cx.tx.has_work() {
            let sent = self.cx.tx.flush(&mut self.cx.counters);
            self.meter.close_flush(sent);
        }
        self.meter.end_round();
        self.cx.now.tsc = self.meter.ledger.last();
        if self.cx.now.tsc >= self.housekeeping_due {
            self.housekeeping();
        }
        if received == 0 {
            self.idle();
        } else {
            self.idle_rounds = 0;
        }
    }

    /// Polls one queue and takes its burst all the way.
    #[inline]
    fn poll(&mut self, index: usize, single: bool) -> usize {
        let Some(slot) = self.rx.get_mut(index) else { return 0 };
        if slot.rx.is_source() {
            slot.rx.generate(self.cx.now.tsc);
            self.meter.close(Account::Source);
        }
        let sampled = self.meter.sample_next();
        let count = slot.rx.rx(&mut self.burst, self.settings.burst);
        if count == 0 {
            slot.empty_polls += 1;
            self.meter.close_empty();
            return 0;
        }
        slot.packets += count as u64;
        let (port, entry) = (slot.port, slot.entry);
        receive(&mut self.cx.counters, port, count);
        if sampled {
            self.meter.stage::<true>(Row::RX, count);
            self.graph.enter(entry, &mut self.burst);
            self.graph.run::<true>(&mut self.cx, &mut self.meter);
        } else {
            self.meter.stage::<false>(Row::RX, count);
            self.graph.enter(entry, &mut self.burst);
            self.graph.run::<false>(&mut self.cx, &mut self.meter);
        }
        if single {
            self.cx.tx.flush(&mut self.cx.counters);
            if sampled {
                self.meter.stage::<true>(Row::TX, 0);
            }
            self.meter.close_whole_burst(port.0, count);
        } else {
            self.meter.close_burst(port.0, count);
        }
        count
    }

    /// Sends what other workers handed over.
    fn take_over(&mut self) -> usize {
        let mut count = 0;
        for ring in &mut self.taken {
            let taken = ring.pop(&mut self.burst, BURST_MAX);
            if taken != 0 {
                count += taken;
                self.cx.counters.totals.taken_over += taken as u64;
                let (tx, counters) = (&mut self.cx.tx, &mut self.cx.counters);
                self.burst.drain_each(|_, packet| tx.send_one(packet.meta().egress, packet, counters));
            }
        }
        if count != 0 {
            self.meter.close(Account::Handoff);
        }
        count
    }

    /// Work that is not for the packets at hand: the clock in seconds, packets that wait for a next hop.
    #[cold]
    fn housekeeping(&mut self) {
        let now = self.cx.now.tsc;
        self.housekeeping_due = now + self.settings.housekeeping_ticks;
        self.cx.now.secs = ((now - self.started_tsc) / self.cx.tsc_hz.max(1)) as u32;
        if !self.cx.parked.is_empty() {
            let (graph, encap) = (&mut self.graph, self.encap_stage);
            stage::attend(&mut self.cx, |packet| graph.enter_one(encap, packet));
            graph.run::<false>(&mut self.cx, &mut self.meter);
        }
        self.meter.close(Account::Housekeeping);
    }

    /// Nothing came: the idle ladder.
    #[inline]
    fn idle(&mut self) {
        match self.settings.idle {
            Idle::Poll => {}
            Idle::Pause => {
                core::hint::spin_loop();
                self.meter.close(Account::Idle);
            }
            Idle::Sleep => self.sleep(),
        }
    }

    /// Sleeps longer the longer nothing comes, at most the configured time.
    #[cold]
    fn sleep(&mut self) {
        self.idle_rounds = self.idle_rounds.saturating_add(1);
        let Some(beyond) = self.idle_rounds.checked_sub(IDLE_ROUNDS) else { return };
        let micros = (1 + beyond / 8).min(self.settings.sleep_max_us.max(1));
        std::thread::sleep(std::time::Duration::from_micros(u64::from(micros)));
        self.meter.close(Account::Idle);
    }

    /// A quiescent point with something new: orders first, then the current snapshot.
    #[cold]
    fn reconfigure(&mut self) {
        let before = self.meter.now();
        self.subscriber.refresh(&mut self.cx.tables);
        self.cx.forget();
        // A report asked for behind the order to stop is the last one, made when everything has been wound up.
        while !self.stopping
            && let Some(command) = self.orders.next()
        {
            self.obey(command);
        }
        self.subscriber.quiesce();
        self.meter.close(Account::Reconfiguration);
        self.orders.blocked(self.meter.now().saturating_sub(before));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::AddRx(slot) => self.rx.push(*slot),
            Command::RemoveRx(port) => {
                while let Some(index) = self.rx.iter().position(|slot| slot.port == port) {
                    let slot = self.rx.swap_remove(index);
                    self.give_back(slot);
                }
            }
            Command::SetTx(port, way) => {
                if let Some(side) = tx_side(&mut self.cx.tx) {
                    let old = side.set(port, way, &mut self.cx.counters);
                    self.orders.answer(Reply::Tx(port, old));
                }
            }
            Command::Clear { ports, networks, tunnels } => {
                for id in ports {
                    self.cx.counters.clear_port(id);
                }
                for id in networks {
                    self.cx.counters.clear_network(id);
                }
                for id in tunnels {
                    self.cx.counters.clear_tunnel(id);
                }
            }
            Command::Report(mut report) => {
                self.report(&mut report);
                self.orders.answer(Reply::Report(report));
            }
            Command::Measure(measure) => self.meter.measure(measure),
            Command::Set(settings) => self.settings = settings,
            Command::Storm(limiters) => self.cx.storm = limiters,
            Command::Ask(neighbour) => stage::ask(&mut self.cx, neighbour),
            Command::Quiet => {
                while let Some(slot) = self.rx.pop() {
                    self.give_back(slot);
                }
            }
            Command::Stop => self.stopping = true,
        }
    }

    /// Gives a queue back; what a fault port did on it stays counted, and what it still holds is gone with it.
    fn give_back(&mut self, slot: RxSlot) {
        if let Some(faults) = slot.rx.fault_counters() {
            fold_rx(&mut self.cx.counters, slot.port, &faults, true);
        }
        self.orders.answer(Reply::Rx(Box::new(slot)));
    }

    fn report(&mut self, report: &mut WorkerReport) {
        self.cx.counters.totals.held = (self.cx.tx.held() + self.cx.parked.len()) as u64;
        report.counters.copy_from(&self.cx.counters);
        for slot in &self.rx {
            if let Some(faults) = slot.rx.fault_counters() {
                fold_rx(&mut report.counters, slot.port, &faults, false);
            }
        }
        if let Some(side) = tx_side(&mut self.cx.tx) {
            side.fold_faults(&mut report.counters);
        }
        report.ledger.copy_from(&self.meter.ledger);
        report.queues.clear();
        report.queues.extend(self.rx.iter().map(|slot| (slot.port, slot.queue, slot.packets, slot.empty_polls)));
        report.tsc = self.meter.now();
    }

    /// The end: what waits is counted and freed, what is buffered is sent if its port takes it.
    fn wind_up(&mut self) {
        self.cx.tx.flush(&mut self.cx.counters);
        for packet in self.cx.parked.take_all() {
            self.cx.counters.drop(packet.meta().ingress, DropReason::Shutdown, 1);
            packet.free();
        }
        for ring in &mut self.taken {
            while ring.pop(&mut self.burst, BURST_MAX) != 0 {
                self.cx.counters.totals.taken_over += self.burst.len() as u64;
                drop_burst(&mut self.cx.counters, &mut self.burst);
            }
        }
        if let Some(side) = tx_side(&mut self.cx.tx) {
            for (port, way) in side.take_all(&mut self.cx.counters) {
                self.orders.answer(Reply::Tx(port, way));
            }
        }
        while let Some(slot) = self.rx.pop() {
            self.give_back(slot);
        }
        while let Some(command) = self.orders.next() {
            if let Command::Report(mut report) = command {
                self.report(&mut report);
                self.orders.answer(Reply::Report(report));
            }
        }
        self.subscriber.stop();
        self.orders.ended();
    }
}

/// Counts a burst in; its octets are counted by the first stage, which looks at each packet anyway.
#[inline]
fn receive(counters: &mut Counters, port: PortId, count: usize) {
    counters.totals.rx += count as u64;
    if let Some(counted) = counters.ports.get_mut(port.index()) {
        counted.rx_packets += count as u64;
    }
}

/// Adds what a fault port did on receive to the conservation law's terms: it took more than it gave, lost and held back
/// some, and made copies. With `closing`, what it holds is lost too.
fn fold_rx(counters: &mut Counters, port: PortId, faults: &FaultCounters, closing: bool) {
    let (lost, held, duplicated) = (faults.lost, faults.held, faults.duplicated);
    counters.totals.rx = (counters.totals.rx + lost + held).wrapping_sub(duplicated);
    super::tx::fold_common(counters, port, faults, closing);
}

/// Counts every packet of the burst as lost at shutdown and frees it.
fn drop_burst(counters: &mut Counters, burst: &mut Burst) {
    for packet in burst.as_slice() {
        counters.drop(packet.meta().ingress, DropReason::Shutdown, 1);
    }
    burst.free_all();
}

/// The worker's own transmit side behind the trait.
fn tx_side(tx: &mut Box<dyn stage::Transmit>) -> Option<&mut TxSide> {
    let any: &mut dyn std::any::Any = &mut **tx;
    any.downcast_mut::<TxSide>()
}
