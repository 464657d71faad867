//! The bridge of every network: learns where source addresses are, and finds where destinations are.
//!
//! Packets of a pair of stations that was bridged a moment ago do not come here: they take the [`shortcut`](super::shortcut).
//! The others ask the MAC table, in two passes, as for every large table: all keys first, with their buckets prefetched,
//! then all look-ups.
//! Reads: MAC addresses, `meta.network`, `meta.pair`. Writes: `meta.egress`, `meta.tunnel`. IEEE 802.1Q § 8.6, § 8.7.

use overlay::fib::mac::{MacDestination, MacKey, MacTable, MacTarget};
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::{Flags, Meta, PacketBuf};
use overlay::reason::DropReason;

use super::Cx;
use super::shortcut::{ENCAP, Known, TX};
use super::vlan::push as tag;
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{NetworkCounters, Role, Tables};

const FLOOD: u8 = 3;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "bridge",
    help: "learns source addresses, looks destinations up",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap", "flood"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    cx.pairs.begin(&cx.tables.macs, cx.now.secs);
    let mut counted = Counted::default();
    for packet in packets.iter() {
        counted.add(packet.meta().network, packet.packet_octets(), &mut cx.counters.networks);
    }
    counted.close(&mut cx.counters.networks);
    look_up(cx, packets, edges);
}

/// The keys of the packet's destination and source.
#[inline(always)]
fn keys(packet: &Mbuf, network: NetworkId) -> [MacKey; 2] {
    // The stages before have dropped what is shorter than an Ethernet header.
    MacTable::keys_of(network, packet.head().first_chunk().unwrap_or(&[0; 14]))
}

/// Finds the ways of the packets, and learns their sources.
fn look_up(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let tables = &*cx.tables;
    let now_secs = cx.now.secs;
    let mut macs = tables.macs.burst();
    let mut buckets = [[0; 2]; BURST_MAX];
    for (packet, buckets) in packets.iter().zip(&mut buckets) {
        *buckets = keys(packet, packet.meta().network).map(|key| macs.prefetch(key));
    }
    // Bit `i`: the source of packet `i` is not where the table says, or not in the table.
    let mut unknown = 0_u64;
    let mut way = Way::default();
    for (index, (packet, buckets)) in packets.iter_mut().zip(buckets).enumerate() {
        let (octets, meta) = (packet.packet_octets(), packet.meta());
        let keys = keys(packet, meta.network);
        let ([destination, source], [destination_bucket, source_bucket]) = (keys, buckets);
        let here = meta.pair.place();
        let mut from = macs.find(source, source_bucket);
        let mut to = macs.find(destination, destination_bucket);
        if !macs.is_current() {
            (from, to) = (None, None);
        }
        let at_home = match from {
            Some(found) if found.destination.same_place(here) => {
                found.touch(now_secs);
                true
            }
            _ => {
                unknown |= 1 << index;
                false
            }
        };
        match to {
            // As the packet before it: most packets of a burst go one way.
            Some(found) if found.destination == way.destination && !found.destination.same_place(here) => {}
            _ => {
                to = to.or_else(|| macs.find_carefully(destination));
                match forward(tables, packet, destination, to.map(|found| found.destination)) {
                    Ok(next) => way = next,
                    Err(Other::Flood) => {
                        edges.set(index, FLOOD);
                        continue;
                    }
                    Err(Other::Drop(reason)) => {
                        edges.drop(index, packet.meta_mut(), reason);
                        continue;
                    }
                }
            }
        }
        if at_home && let Some(known) = way.known() {
            cx.pairs.note(&meta.pair, known);
        }
        match way.take(packet, octets) {
            Ok(edge) => edges.set(index, edge),
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
    while unknown != 0 {
        let index = unknown.trailing_zeros() as usize;
        unknown &= unknown - 1;
        learn_late(cx, packets, index);
    }
}

/// The source of a packet that may have been given a tag since.
#[cold]
fn learn_late(cx: &mut Cx, packets: &[Mbuf], index: usize) {
    let Some(packet) = packets.get(index) else { return };
    let meta = *packet.meta();
    let [_, source] = keys(packet, meta.network);
    learn(cx, &meta, source);
}

/// Packets of one network in a row, counted together.
#[derive(Default)]
struct Counted {
    network: NetworkId,
    packets: u64,
    octets: u64,
}

impl Counted {
    #[inline(always)]
    fn add(&mut self, network: NetworkId, octets: usize, counters: &mut [NetworkCounters]) {
        if network != self.network {
            self.close(counters);
            *self = Self { network, packets: 0, octets: 0 };
        }
        self.packets += 1;
        self.octets += octets as u64;
    }

    #[inline]
    fn close(&self, counters: &mut [NetworkCounters]) {
        if let Some(counter) = counters.get_mut(self.network.index()) {
            counter.packets += self.packets;
            counter.octets += self.octets;
        }
    }
}

/// Makes sure that the source address is known to be where the packet came from, unless it is fixed elsewhere.
#[cold]
pub(super) fn learn(cx: &mut Cx, meta: &Meta, key: MacKey) {
    if let Some(hit) = cx.tables.macs.lookup(key)
        && (hit.destination.same_place(meta.pair.place()) || hit.destination.is_static())
    {
        cx.tables.macs.touch(hit.slot, cx.now.secs);
    } else if cx.tables.network(meta.network).is_some_and(|network| network.learning) {
        cx.learn(key, meta.pair.place());
    }
}

/// The way to one destination, checked for one source: what the packets of a burst have in common.
struct Way {
    destination: MacDestination,
    edge: u8,
    port: PortId,
    tunnel: TunnelId,
    vlan: u16,
    max_octets: u32,
}

impl Default for Way {
    fn default() -> Self {
        // No entry of the table has these bits, so that nothing goes this way.
        let destination = MacDestination::from_bits(u32::MAX);
        let (port, tunnel) = (PortId::NONE, TunnelId::NONE);
        Self { destination, edge: 0, port, tunnel, vlan: 0, max_octets: 0 }
    }
}

impl Way {
    /// The way for all packets of the pair; `None` when they need more than to be sent there.
    fn known(&self) -> Option<u64> {
        let Self { edge, port, tunnel, vlan, max_octets, .. } = *self;
        (vlan == 0).then(|| Known::new(edge, port, tunnel, max_octets).to_bits())
    }

    /// Sends the packet this way.
    #[inline(always)]
    fn take(&self, packet: &mut Mbuf, octets: usize) -> Result<u8, DropReason> {
        if octets > self.max_octets as usize {
            return Err(DropReason::MtuExceeded);
        }
        let meta = packet.meta_mut();
        meta.egress = self.port;
        meta.tunnel = self.tunnel;
        if self.vlan != 0 {
            tag(packet, self.vlan)?;
        }
        Ok(self.edge)
    }
}

/// Why a packet takes no way of its own.
enum Other {
    Flood,
    Drop(DropReason),
}

impl From<DropReason> for Other {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

/// Finds the way of a packet that does not go where the one before it went.
#[inline(never)]
fn forward(tables: &Tables, packet: &Mbuf, key: MacKey, found: Option<MacDestination>) -> Result<Way, Other> {
    if key.is_multicast() {
        return Err(if is_reserved(key) { Other::Drop(DropReason::ReservedMac) } else { Other::Flood });
    }
    let destination = found.ok_or(Other::Flood)?;
    let meta = packet.meta();
    match destination.target() {
        MacTarget::Port(port, vlan) => {
            if destination.same_place(meta.pair.place()) {
                return Err(DropReason::SamePort.into());
            }
            let entry = tables.port(port).filter(|entry| entry.role != Role::Vacant).ok_or(DropReason::PortDown)?;
            if entry.isolated && isolates(tables, meta) {
                return Err(DropReason::Isolated.into());
            }
            let max_octets = entry.max_frame_octets;
            // Isolation depends on the source, which may change within a burst: then each packet is looked at.
            let shared = if entry.isolated { MacDestination::from_bits(u32::MAX) } else { destination };
            Ok(Way { destination: shared, edge: TX, port, tunnel: TunnelId::NONE, vlan, max_octets })
        }
        MacTarget::Tunnel(tunnel) => {
            if meta.flags.contains(Flags::FROM_TUNNEL) {
                return Err(DropReason::SplitHorizon.into());
            }
            Ok(Way { destination, edge: ENCAP, port: PortId::NONE, tunnel, vlan: 0, max_octets: u32::MAX })
        }
    }
}

/// Whether the packet came from an isolated port; tunnels are not isolated.
pub(super) fn isolates(tables: &Tables, meta: &Meta) -> bool {
    !meta.flags.contains(Flags::FROM_TUNNEL) && tables.port(meta.ingress).is_some_and(|port| port.isolated)
}

/// 01-80-C2-00-00-00 to -0F: between bridges, never forwarded (IEEE 802.1Q § 8.6.3, table 8-1).
fn is_reserved(key: MacKey) -> bool {
    key.mac().to_u64() & !0x0f == 0x0180_c200_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_addresses_are_sixteen() {
        let key = |text: &str| MacTable::key(NetworkId(7), text.parse().unwrap());
        assert!(is_reserved(key("01:80:c2:00:00:00")));
        assert!(is_reserved(key("01:80:c2:00:00:0f")));
        assert!(!is_reserved(key("01:80:c2:00:00:10")));
        assert!(!is_reserved(key("ff:ff:ff:ff:ff:ff")));
    }
}
