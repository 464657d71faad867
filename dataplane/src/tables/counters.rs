//! What a worker counts. One writer, plain integers, sized once from the limits; the control side reads copies.

use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::reason::DropReason;
use serde::Serialize;

/// Packets and octets of one port, as seen by one worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PortCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Octets received, without FCS.
    pub rx_octets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Octets sent, without FCS.
    pub tx_octets: u64,
    /// Packets that came in on this port and were dropped, whatever the reason.
    pub dropped: u64,
    /// Packets that were to leave on this port and could not.
    pub tx_dropped: u64,
}

/// Frames of one network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct NetworkCounters {
    /// Frames bridged.
    pub packets: u64,
    /// Octets bridged.
    pub octets: u64,
    /// Frames that were flooded.
    pub flooded: u64,
    /// ARP and ND requests answered here.
    pub suppressed: u64,
}

/// Packets of one tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TunnelCounters {
    /// Packets encapsulated.
    pub tx_packets: u64,
    /// Inner octets encapsulated.
    pub tx_octets: u64,
    /// Packets decapsulated.
    pub rx_packets: u64,
    /// Inner octets decapsulated.
    pub rx_octets: u64,
}

/// The terms of the conservation law: `rx + created + taken_over = tx + punted + Σ drops + handed_over + held`.
///
/// A packet punted to a host port is also transmitted there; it is counted once, as punted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Totals {
    /// Packets received from ports.
    pub rx: u64,
    /// Packets made here: copies for flooding, ARP and ND requests, duplicates of a fault port.
    pub created: u64,
    /// Packets taken over from other workers.
    pub taken_over: u64,
    /// Packets sent to ports, punted ones excepted.
    pub tx: u64,
    /// Packets sent to a host port.
    pub punted: u64,
    /// Packets that were consumed here: answers to our own requests.
    pub consumed: u64,
    /// Packets given to other workers.
    pub handed_over: u64,
    /// Packets waiting at the moment: parked, or in a transmit buffer.
    pub held: u64,
}

impl Totals {
    /// Adds another worker's terms.
    pub fn add(&mut self, other: &Self) {
        self.rx += other.rx;
        self.created += other.created;
        self.taken_over += other.taken_over;
        self.tx += other.tx;
        self.punted += other.punted;
        self.consumed += other.consumed;
        self.handed_over += other.handed_over;
        self.held += other.held;
    }

    /// The law's left side minus its right side, given the sum of all drops: zero when nothing is lost or invented.
    pub fn imbalance(&self, drops: u64) -> i128 {
        let come = i128::from(self.rx) + i128::from(self.created) + i128::from(self.taken_over);
        let gone = i128::from(self.tx)
            + i128::from(self.punted)
            + i128::from(self.consumed)
            + i128::from(self.handed_over)
            + i128::from(self.held)
            + i128::from(drops);
        come - gone
    }
}

/// All counters of one worker.
#[derive(Clone, Debug)]
pub struct Counters {
    /// By [`PortId`].
    pub ports: Box<[PortCounters]>,
    /// By [`NetworkId`].
    pub networks: Box<[NetworkCounters]>,
    /// By [`TunnelId`].
    pub tunnels: Box<[TunnelCounters]>,
    /// By [`DropReason`].
    pub drops: [u64; DropReason::COUNT],
    /// Packets dropped per (ingress port, reason): `port × COUNT + reason`.
    pub port_drops: Box<[u64]>,
    /// The conservation law's terms.
    pub totals: Totals,
    /// Learn and neighbour events that did not fit the queue to the control thread.
    pub events_lost: u64,
}

impl Counters {
    /// Counters for so many ports, networks and tunnels.
    pub fn new(ports: usize, networks: usize, tunnels: usize) -> Self {
        Self {
            ports: vec![PortCounters::default(); ports].into(),
            networks: vec![NetworkCounters::default(); networks].into(),
            tunnels: vec![TunnelCounters::default(); tunnels].into(),
            drops: [0; DropReason::COUNT],
            port_drops: vec![0; ports * DropReason::COUNT].into(),
            totals: Totals::default(),
            events_lost: 0,
        }
    }

    /// Counts `count` packets that came in on `ingress` as dropped.
    #[inline]
    pub fn drop(&mut self, ingress: PortId, reason: DropReason, count: u64) {
        if let Some(slot) = self.drops.get_mut(reason.index()) {
            *slot += count;
        }
        if let Some(port) = self.ports.get_mut(ingress.index()) {
            port.dropped += count;
        }
        if let Some(slot) = self.port_drops.get_mut(ingress.index() * DropReason::COUNT + reason.index()) {
            *slot += count;
        }
    }

    /// Counts octets received on a port.
    #[inline]
    pub fn rx_octets(&mut self, port: PortId, octets: u64) {
        if let Some(counted) = self.ports.get_mut(port.index()) {
            counted.rx_octets += octets;
        }
    }

    /// All drops together.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Forgets what was counted under a port's identifier, before another port gets it.
    pub fn clear_port(&mut self, id: PortId) {
        if let Some(port) = self.ports.get_mut(id.index()) {
            *port = PortCounters::default();
        }
        let first = id.index() * DropReason::COUNT;
        if let Some(drops) = self.port_drops.get_mut(first..first + DropReason::COUNT) {
            drops.fill(0);
        }
    }

    /// Likewise for a network.
    pub fn clear_network(&mut self, id: NetworkId) {
        if let Some(network) = self.networks.get_mut(id.index()) {
            *network = NetworkCounters::default();
        }
    }

    /// Likewise for a tunnel.
    pub fn clear_tunnel(&mut self, id: TunnelId) {
        if let Some(tunnel) = self.tunnels.get_mut(id.index()) {
            *tunnel = TunnelCounters::default();
        }
    }

    /// Copies without allocating; both were made for the same limits.
    pub fn copy_from(&mut self, other: &Self) {
        self.ports.copy_from_slice(&other.ports);
        self.networks.copy_from_slice(&other.networks);
        self.tunnels.copy_from_slice(&other.tunnels);
        self.drops = other.drops;
        self.port_drops.copy_from_slice(&other.port_drops);
        self.totals = other.totals;
        self.events_lost = other.events_lost;
    }

    /// Adds another worker's counters; both were made for the same limits.
    pub fn add(&mut self, other: &Self) {
        for (a, b) in self.ports.iter_mut().zip(&other.ports) {
            a.rx_packets += b.rx_packets;
            a.rx_octets += b.rx_octets;
            a.tx_packets += b.tx_packets;
            a.tx_octets += b.tx_octets;
            a.dropped += b.dropped;
            a.tx_dropped += b.tx_dropped;
        }
        for (a, b) in self.networks.iter_mut().zip(&other.networks) {
            a.packets += b.packets;
            a.octets += b.octets;
            a.flooded += b.flooded;
            a.suppressed += b.suppressed;
        }
        for (a, b) in self.tunnels.iter_mut().zip(&other.tunnels) {
            a.tx_packets += b.tx_packets;
            a.tx_octets += b.tx_octets;
            a.rx_packets += b.rx_packets;
            a.rx_octets += b.rx_octets;
        }
        for (a, b) in self.drops.iter_mut().zip(&other.drops) {
            *a += b;
        }
        for (a, b) in self.port_drops.iter_mut().zip(&other.port_drops) {
            *a += b;
        }
        self.totals.add(&other.totals);
        self.events_lost += other.events_lost;
    }
}
