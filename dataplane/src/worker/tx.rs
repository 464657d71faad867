//! The transmit side of a worker: a buffer for every port it sends to, flushed once a round.
//!
//! A transmit queue has one owner. A port whose queues belong to other workers is reached over a bounded ring to one of
//! them. What a port does not take stays in its buffer for the next round; what the buffer does not take is dropped as
//! `tx_full`, or as `port_down` while the port has no peer.

use overlay::num::PortId;
use overlay::packet::PacketBuf;
use overlay::packet::checksum::finish_partial;
use overlay::reason::DropReason;

use crate::dpdk::ring::Producer;
use crate::dpdk::{BURST_MAX, Burst, Mbuf};
use crate::port::{FaultCounters, PortTx};
use crate::stage::{Load, Transmit};
use crate::tables::Counters;

/// From this size on, a burst is sent at once instead of being collected until the end of the round: its cost would not
/// become less, and it is booked where it belongs.
const AT_ONCE: usize = 16;

/// A transmit queue that this worker owns, and its buffer.
#[derive(Debug)]
pub struct TxSlot {
    /// The queue.
    pub tx: PortTx,
    /// Whether it leads to the host's own stack: its packets count as punted.
    pub host: bool,
    buffer: Burst,
    /// Octets in the buffer.
    octets: u64,
    dirty: bool,
}

impl TxSlot {
    /// An empty buffer before `tx`.
    pub fn new(tx: PortTx, host: bool) -> Self {
        Self { tx, host, buffer: Burst::new(), octets: 0, dirty: false }
    }
}

/// How a worker reaches a port.
#[derive(Debug, Default)]
#[allow(
    clippy::large_enum_variant,
    reason = "a box would be one more load for every burst; most ways are of one's own"
)]
pub enum TxWay {
    /// Not at all: the port is not there.
    #[default]
    None,
    /// Over its own queue.
    Own(TxSlot),
    /// Through the worker with this index, which owns the queue.
    Handoff(usize),
}

/// A ring to another worker, and the packets collected for it in this round.
#[derive(Debug)]
struct Handoff {
    ring: Producer,
    buffer: Burst,
}

/// All ways out of one worker.
#[derive(Debug)]
pub struct TxSide {
    ways: Box<[TxWay]>,
    /// Ports with packets in their buffer.
    dirty: Vec<PortId>,
    rings: Vec<Option<Handoff>>,
    spare: Burst,
}

impl TxSide {
    /// No ways yet, for `ports` ports; `rings` lead to the other workers, by their index.
    pub fn new(ports: usize, rings: Vec<Option<Producer>>) -> Self {
        Self {
            ways: (0..ports).map(|_| TxWay::None).collect(),
            dirty: Vec::with_capacity(ports),
            rings: rings.into_iter().map(|ring| ring.map(|ring| Handoff { ring, buffer: Burst::new() })).collect(),
            spare: Burst::new(),
        }
    }

    /// Replaces the way to `port` and returns the old one, its buffer sent as far as its port takes it, the rest
    /// counted as `shutdown`.
    pub(super) fn set(&mut self, port: PortId, mut way: Box<TxWay>, counters: &mut Counters) -> Box<TxWay> {
        if let Some(current) = self.ways.get_mut(port.index()) {
            if let TxWay::Own(slot) = current {
                slot.flush(port, counters);
                drop_all(&mut slot.buffer, port, DropReason::Shutdown, counters);
                if let Some(faults) = slot.tx.fault_counters() {
                    fold_tx(counters, port, &faults, true);
                }
                slot.dirty = false;
                self.dirty.retain(|other| *other != port);
            }
            core::mem::swap(current, &mut *way);
        }
        way
    }

    /// Adds what fault ports did on transmit to a report.
    pub(super) fn fold_faults(&self, counters: &mut Counters) {
        for (port, way) in (0..).map(PortId).zip(&*self.ways) {
            if let TxWay::Own(slot) = way
                && let Some(faults) = slot.tx.fault_counters()
            {
                fold_tx(counters, port, &faults, false);
            }
        }
    }

    /// Takes all ways away, as [`TxSide::set`] does for one, and counts what waits for other workers as `shutdown`.
    pub(super) fn take_all(&mut self, counters: &mut Counters) -> Vec<(PortId, Box<TxWay>)> {
        for handoff in self.rings.iter_mut().flatten() {
            drop_all(&mut handoff.buffer, PortId::NONE, DropReason::Shutdown, counters);
        }
        let used = |way: &TxWay| matches!(way, TxWay::Own(_));
        let ports: Vec<_> = (0..).zip(&*self.ways).filter(|(_, way)| used(way)).map(|(id, _)| PortId(id)).collect();
        ports.into_iter().map(|port| (port, self.set(port, Box::new(TxWay::None), counters))).collect()
    }
}

impl Transmit for TxSide {
    #[inline]
    fn send(&mut self, egress: PortId, burst: &mut Burst, load: Load, counters: &mut Counters) {
        match self.ways.get_mut(egress.index()) {
            Some(TxWay::Own(slot)) => {
                let mut octets = load.octets;
                if load.partial && !slot.tx.caps().takes_partial() {
                    octets -= finish_checksums(burst, egress, counters);
                }
                if burst.len() >= AT_ONCE && slot.buffer.is_empty() {
                    octets = slot.send_at_once(egress, burst, octets, counters);
                    if burst.is_empty() && !slot.delays() {
                        return;
                    }
                }
                if burst.len() > slot.buffer.room() {
                    slot.make_room(egress, burst.len(), counters);
                }
                // Only now: a flush takes what is counted here for what is in the buffer.
                slot.octets += octets;
                slot.buffer.append(burst);
                if !slot.dirty {
                    slot.dirty = true;
                    self.dirty.push(egress);
                }
                if !burst.is_empty() {
                    slot.overflow(egress, burst, counters);
                }
            }
            Some(TxWay::Handoff(worker)) => {
                let ring = self.rings.get_mut(*worker).and_then(Option::as_mut);
                match ring {
                    Some(handoff) => handoff.send(burst, counters),
                    None => drop_all(burst, egress, DropReason::PortDown, counters),
                }
            }
            _ => drop_all(burst, egress, DropReason::PortDown, counters),
        }
    }

    fn send_one(&mut self, egress: PortId, packet: Mbuf, counters: &mut Counters) {
        let mut one = core::mem::take(&mut self.spare);
        if let Err(packet) = one.push(packet) {
            // The spare burst is empty between calls.
            packet.free();
        }
        let mut load = Load::default();
        one.as_slice().iter().for_each(|packet| load.add(packet));
        self.send(egress, &mut one, load, counters);
        self.spare = one;
    }

    #[inline]
    fn flush(&mut self, counters: &mut Counters) -> usize {
        let mut sent = 0;
        let mut index = 0;
        while let Some(port) = self.dirty.get(index).copied() {
            if let Some(TxWay::Own(slot)) = self.ways.get_mut(port.index()) {
                sent += slot.flush(port, counters);
                if slot.delays() || !slot.buffer.is_empty() {
                    index += 1;
                    continue;
                }
                slot.dirty = false;
            }
            self.dirty.swap_remove(index);
        }
        for handoff in self.rings.iter_mut().flatten() {
            if !handoff.buffer.is_empty() {
                handoff.flush(counters);
            }
        }
        sent
    }

    #[inline]
    fn has_work(&self) -> bool {
        !self.dirty.is_empty() || self.rings.iter().flatten().any(|handoff| !handoff.buffer.is_empty())
    }

    #[inline]
    fn held(&self) -> usize {
        let own = self.dirty.iter().filter_map(|port| self.ways.get(port.index()));
        let own: usize = own.map(|way| if let TxWay::Own(slot) = way { slot.buffer.len() } else { 0 }).sum();
        own + self.rings.iter().flatten().map(|handoff| handoff.buffer.len()).sum::<usize>()
    }
}

impl TxSlot {
    /// Whether it is a fault port that holds packets back: it gives them on when it is called again.
    fn delays(&self) -> bool {
        self.tx.fault_counters().is_some_and(|faults| faults.held != 0)
    }

    /// Sends the buffer; what the port does not take stays, unless the port is down.
    #[inline]
    fn flush(&mut self, port: PortId, counters: &mut Counters) -> usize {
        let mut octets = core::mem::take(&mut self.octets);
        let sent = self.tx.tx(&mut self.buffer);
        if !self.buffer.is_empty() {
            self.octets = octets_of(&self.buffer);
            octets -= self.octets;
            if !self.tx.connected() {
                self.octets = 0;
                drop_all(&mut self.buffer, port, DropReason::PortDown, counters);
            }
        }
        self.count(port, sent, octets, counters);
        sent
    }

    /// Sends a burst past the empty buffer; gives the octets of what the port did not take.
    #[inline]
    fn send_at_once(&mut self, port: PortId, burst: &mut Burst, octets: u64, counters: &mut Counters) -> u64 {
        let sent = self.tx.tx(burst);
        let left = if burst.is_empty() { 0 } else { octets_of(burst) };
        self.count(port, sent, octets - left, counters);
        left
    }

    #[inline]
    fn count(&self, port: PortId, sent: usize, octets: u64, counters: &mut Counters) {
        if self.host {
            counters.totals.punted += sent as u64;
        } else {
            counters.totals.tx += sent as u64;
        }
        if let Some(counted) = counters.ports.get_mut(port.index()) {
            counted.tx_packets += sent as u64;
            counted.tx_octets += octets;
        }
    }

    /// Sends before the end of the round, because `count` more do not fit.
    #[cold]
    fn make_room(&mut self, port: PortId, count: usize, counters: &mut Counters) {
        debug_assert!(count <= BURST_MAX, "a burst is never longer than the buffer");
        self.flush(port, counters);
    }

    /// What did not fit although the port was asked: the receiver is slower than the traffic.
    #[cold]
    fn overflow(&mut self, port: PortId, burst: &mut Burst, counters: &mut Counters) {
        self.octets -= octets_of(burst);
        let reason = if self.tx.connected() { DropReason::TxFull } else { DropReason::PortDown };
        drop_all(burst, port, reason, counters);
    }
}

impl Handoff {
    #[inline]
    fn send(&mut self, burst: &mut Burst, counters: &mut Counters) {
        self.buffer.append(burst);
        if !burst.is_empty() {
            self.flush(counters);
            self.buffer.append(burst);
        }
    }

    fn flush(&mut self, counters: &mut Counters) {
        counters.totals.handed_over += self.ring.push(&mut self.buffer) as u64;
        drop_all(&mut self.buffer, PortId::NONE, DropReason::HandoffFull, counters);
    }
}

/// Adds what a fault port did on transmit to the conservation law's terms: it counted as sent what it lost or holds, and
/// sent copies. With `closing`, what it holds is lost too.
fn fold_tx(counters: &mut Counters, port: PortId, faults: &FaultCounters, closing: bool) {
    let (lost, held, duplicated) = (faults.lost, faults.held, faults.duplicated);
    counters.totals.tx = (counters.totals.tx + duplicated).wrapping_sub(lost + held);
    fold_common(counters, port, faults, closing);
}

/// What both directions of a fault port have in common.
pub(super) fn fold_common(counters: &mut Counters, port: PortId, faults: &FaultCounters, closing: bool) {
    counters.totals.created += faults.duplicated;
    counters.drop(port, DropReason::FaultInjected, faults.lost);
    if closing {
        counters.drop(port, DropReason::Shutdown, faults.held);
    } else {
        counters.totals.held += faults.held;
    }
}

fn octets_of(burst: &Burst) -> u64 {
    burst.as_slice().iter().map(|packet| packet.packet_octets() as u64).sum()
}

/// Completes partial checksums, for a port whose far end expects them complete; gives the octets of packets whose
/// checksum could not be.
#[inline(never)]
fn finish_checksums(burst: &mut Burst, egress: PortId, counters: &mut Counters) -> u64 {
    let (mut good, mut lost_octets) = (Burst::new(), 0);
    burst.drain_each(|_, mut packet| match finish_partial(&mut packet) {
        Ok(()) => drop(good.push(packet)),
        Err(reason) => {
            counters.drop(packet.meta().ingress, reason, 1);
            lost_octets += packet.packet_octets() as u64;
            if let Some(port) = counters.ports.get_mut(egress.index()) {
                port.tx_dropped += 1;
            }
            packet.free();
        }
    });
    burst.append(&mut good);
    lost_octets
}

/// Counts every packet of the burst under `reason`, on its ingress and on the port it was to leave by, and frees it.
#[cold]
fn drop_all(burst: &mut Burst, egress: PortId, reason: DropReason, counters: &mut Counters) {
    if burst.is_empty() {
        return;
    }
    for packet in burst.as_slice() {
        counters.drop(packet.meta().ingress, reason, 1);
        let to = if egress.is_some() { egress } else { packet.meta().egress };
        if let Some(port) = counters.ports.get_mut(to.index()) {
            port.tx_dropped += 1;
        }
    }
    burst.free_all();
}
