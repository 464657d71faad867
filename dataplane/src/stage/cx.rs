//! What a stage may use: the tables (to read), the counters, the clock of this round, and the ways out of the graph.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use overlay::fib::mac::{MacDestination, MacKey};
use overlay::fib::neighbour::Neighbour;
use overlay::fib::pair::RecentPairs;
use overlay::num::{MacAddr, NeighbourId, NetworkId, PortId};
use std::net::IpAddr;

use super::park::Parked;
use super::push::RecentPushes;
use overlay::packet::{Checksum, PacketBuf};
use overlay::tunnel::vxlan::RecentOuters;

use crate::dpdk::{Burst, Mbuf, Mempool};
use crate::tables::{Counters, Limiter, Tables};

/// The time of a round: read once, at its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// The worker's TSC.
    pub tsc: u64,
    /// Seconds since weir started, for ageing.
    pub secs: u32,
}

/// What a worker tells the control thread. The packet path does not wait for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A source address was seen where the MAC table does not have it.
    Learn {
        /// The table's key: network and address.
        key: MacKey,
        /// Where it was seen.
        destination: MacDestination,
    },
    /// A next hop told its MAC address.
    Neighbour {
        /// The uplink it was heard on.
        port: PortId,
        /// Its address.
        address: IpAddr,
        /// Its MAC address.
        mac: MacAddr,
    },
    /// A next hop did not answer while packets waited for it.
    Unreachable {
        /// The next hop.
        neighbour: NeighbourId,
    },
}

/// The bounded queue of events to the control thread. A full queue is counted, never waited for.
#[derive(Clone, Debug)]
pub struct Events(pub Arc<ArrayQueue<Event>>);

/// What the transmit side wants to know of a burst without looking at it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Octets of all packets.
    pub octets: u64,
    /// Whether the checksum of one is open.
    pub partial: bool,
}

impl Load {
    /// Takes one more packet into account.
    #[inline]
    pub fn add(&mut self, packet: &Mbuf) {
        self.octets += packet.packet_octets() as u64;
        self.partial |= packet.meta().checksum == Checksum::Partial;
    }
}

/// What a stage knows of all its packets when all of them go to one port next: the stage `tx` need not look at them again.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// [`Mbuf::identity`] of the first of them, and how many there are: if others come together with them before `tx`, the
    /// frame there begins with another or is longer, and none of this holds.
    pub first: usize,
    /// See `first`.
    pub packets: usize,
    /// Where they go.
    pub egress: PortId,
    /// What they are.
    pub load: Load,
}

/// The way to a port: implemented by the worker, which owns the transmit queues.
///
/// `Any`, so that the worker finds its own type again behind the trait: a command to a transmit side is not the stages'
/// business.
pub trait Transmit: std::any::Any + Send {
    /// Takes all packets of `burst`, which are `load`, for `egress`: sent, kept until the end of the round, handed to the worker that owns
    /// the queue, or dropped and counted. The burst is empty afterwards.
    fn send(&mut self, egress: PortId, burst: &mut Burst, load: Load, counters: &mut Counters);

    /// The same for one packet.
    fn send_one(&mut self, egress: PortId, packet: Mbuf, counters: &mut Counters);

    /// Sends what is still kept; returns how many packets the ports took.
    fn flush(&mut self, counters: &mut Counters) -> usize;

    /// Whether there is something for [`Transmit::flush`] to do.
    fn has_work(&self) -> bool;

    /// Packets kept at the moment.
    fn held(&self) -> usize;
}

/// The context in which a worker's stages run.
pub struct Cx {
    /// This worker's index.
    pub worker: u16,
    /// The current snapshot.
    pub tables: Arc<Tables>,
    /// The time of this round.
    pub now: Now,
    /// Ticks a second of [`Now::tsc`].
    pub tsc_hz: u64,
    /// This worker's counters.
    pub counters: Counters,
    /// Where copies and requests are made from.
    pub pool: Mempool,
    /// Where packets leave.
    pub tx: Box<dyn Transmit>,
    /// What the stage before `tx` says of its packets; `tx` takes it.
    pub sending: Option<Sending>,
    /// Packets waiting for a next hop.
    pub parked: Parked,
    /// To the control thread.
    pub events: Events,
    /// Limit of weir's own answers to the underlay.
    pub answer_limit: Limiter,
    /// Limit of answers in place of others (suppression): a container must not use up what the underlay needs.
    pub suppress_limit: Limiter,
    /// Limit of packets to the host's stack.
    pub punt_limit: Limiter,
    /// Limits of broadcast, unknown and multicast, by network and ingress port: made with the snapshot, which numbers them.
    pub storm: Box<[Limiter]>,
    /// By next hop: the second (plus one) in which the control thread was told of it last.
    heard: Box<[u32]>,
    /// What the bridge has looked up lately.
    pub pairs: RecentPairs,
    /// What was decapsulated lately.
    pub outers: RecentOuters,
    /// What was encapsulated lately.
    pub pushes: RecentPushes,
    /// Learn events sent lately, so that a burst of packets from a new address is one event.
    recent: Box<[(MacKey, MacDestination, u32)]>,
}

impl core::fmt::Debug for Cx {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cx").field("worker", &self.worker).field("now", &self.now).finish_non_exhaustive()
    }
}

/// Slots of the filter of recent learn events: a power of two.
const RECENT_SLOTS: usize = 256;

impl Cx {
    /// A context for worker `worker`.
    pub fn new(
        worker: u16,
        tables: Arc<Tables>,
        tsc_hz: u64,
        pool: Mempool,
        tx: Box<dyn Transmit>,
        events: Events,
    ) -> Self {
        let (ports, networks, tunnels) = (tables.ports.len(), tables.networks.len(), tables.tunnels.len());
        let neighbours = tables.neighbour_entries.len();
        let parked = Parked::new(neighbours, usize::from(tables.parked_per_neighbour));
        let storm = tables.storm_limiters();
        Self {
            worker,
            tables,
            now: Now::default(),
            tsc_hz,
            counters: Counters::new(ports, networks, tunnels),
            pool,
            tx,
            sending: None,
            parked,
            events,
            answer_limit: Limiter::default(),
            suppress_limit: Limiter::default(),
            punt_limit: Limiter::default(),
            heard: vec![0; neighbours].into(),
            storm,
            pairs: RecentPairs::default(),
            outers: RecentOuters::default(),
            pushes: RecentPushes::default(),
            recent: vec![(MacKey::new(NetworkId::NONE, MacAddr::ZERO), MacDestination::from_bits(0), 0); RECENT_SLOTS]
                .into(),
        }
    }

    /// Forgets what stages remember of the tables: for a new configuration.
    #[cold]
    pub fn forget(&mut self) {
        self.pairs.forget();
        self.outers.forget();
        self.pushes.forget();
    }

    /// Tells the control thread that `key` was seen at `destination`, unless it was told within this second.
    #[cold]
    pub fn learn(&mut self, key: MacKey, destination: MacDestination) {
        let mac = key.mac().to_u64();
        let slot = (mac ^ (mac >> 8) ^ (mac >> 24) ^ u64::from(key.network().0)) as usize % RECENT_SLOTS;
        let stamp = self.now.secs.wrapping_add(1);
        if let Some(recent) = self.recent.get_mut(slot) {
            if *recent == (key, destination, stamp) {
                return;
            }
            *recent = (key, destination, stamp);
        }
        self.event(Event::Learn { key, destination });
    }

    /// Tells the control thread; counts the event when its queue is full.
    #[cold]
    pub fn event(&mut self, event: Event) {
        if self.events.0.push(event).is_err() {
            self.counters.events_lost += 1;
        }
    }

    /// Whether one more answer to the underlay fits the limit.
    pub fn answer_allowed(&mut self) -> bool {
        self.answer_limit.allow(self.now.tsc, self.tsc_hz, self.tables.host_rate_pps)
    }

    /// Whether one more answer in place of another station fits the limit.
    pub fn suppress_allowed(&mut self) -> bool {
        self.suppress_limit.allow(self.now.tsc, self.tsc_hz, self.tables.host_rate_pps)
    }

    /// Whether one more packet to the host's stack fits the limit.
    pub fn punt_allowed(&mut self) -> bool {
        self.punt_limit.allow(self.now.tsc, self.tsc_hz, self.tables.host_rate_pps)
    }

    /// Tells the control thread that a next hop of ours said where it is: when that is news, or once a second. What other
    /// stations say of themselves is none of our business. What does not override is heard only where nothing else is known.
    pub fn heard(&mut self, port: PortId, address: IpAddr, mac: MacAddr, overrides: bool) {
        let Some(id) = self.tables.next_hops.get(&(port, address)).copied() else { return };
        let stamp = self.now.secs.wrapping_add(1);
        let news = match self.tables.neighbours.get(id) {
            Neighbour::Resolved(known) if known == mac => false,
            Neighbour::Resolved(_) if !overrides => return,
            _ => true,
        };
        if let Some(last) = self.heard.get_mut(id.index())
            && (news || *last != stamp)
        {
            *last = stamp;
            self.event(Event::Neighbour { port, address, mac });
        }
    }

    /// Whether one more broadcast, unknown or multicast frame from `ingress` fits the network's storm limit.
    pub fn storm_allows(&mut self, network: NetworkId, ingress: PortId) -> bool {
        let Some(entry) = self.tables.network(network) else { return true };
        let Some(limiter) = entry.storm_limiter(ingress).and_then(|at| self.storm.get_mut(at)) else { return true };
        limiter.allow(self.now.tsc, self.tsc_hz, entry.storm_limit_pps)
    }
}
