//! The bridge of every network: learns where source addresses are, and finds where destinations are.
//!
//! Two passes, as for every table: all keys first, with their buckets prefetched, then all look-ups.
//! Reads: MAC addresses, `meta.network`. Writes: `meta.egress` or `meta.tunnel`. IEEE 802.1Q § 8.6, § 8.7.

use overlay::fib::mac::{MacDestination, MacKey, MacTable, MacTarget, Probe};
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::{Flags, Meta, PacketBuf};
use overlay::reason::DropReason;

use super::Cx;
use super::vlan::push as tag;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{NetworkCounters, Role, Tables};

const TX: u8 = 1;
const ENCAP: u8 = 2;
const FLOOD: u8 = 3;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "bridge",
    help: "learns source addresses, looks destinations up",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap", "flood"],
    process: Process::Each(process),
};

/// Where to look for one packet's two addresses; the burst's first pass fills them in for the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes {
    source: Probe,
    destination: Probe,
}

impl Probes {
    pub(super) const NONE: Self = Self { source: Probe::NOTHING, destination: Probe::NOTHING };
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let tables = &*cx.tables;
    let macs = &*tables.macs;
    let now_secs = cx.now.secs;
    for (probes, packet) in cx.probes.iter_mut().zip(packets.iter()) {
        let [destination, source] = match packet.head().first_chunk::<12>() {
            Some(addresses) => MacTable::keys_of(packet.meta().network, addresses),
            // The stages before have dropped what is shorter than an Ethernet header.
            None => [Probe::NOTHING.key; 2],
        };
        *probes = Probes { source: macs.prefetch(source), destination: macs.prefetch(destination) };
    }
    // Bit `i`: the source of packet `i` is not where the table says, or not in the table.
    let mut unknown = 0_u64;
    let mut counted = Run::default();
    let mut way = Way::default();
    for (index, (packet, probes)) in packets.iter_mut().zip(cx.probes.iter()).enumerate() {
        let octets = packet.packet_octets();
        let meta = packet.meta();
        if meta.network != counted.network {
            counted.restart(meta.network, &mut cx.counters.networks);
        }
        counted.packets += 1;
        counted.octets += octets as u64;

        let here = here(meta);
        match macs.find(probes.source) {
            Some(found) if found.destination.same_place(here) => found.touch(now_secs),
            _ => unknown |= 1 << index,
        }
        match macs.find(probes.destination) {
            // As the packet before it: most packets of a burst go one way.
            Some(found) if found.destination == way.destination && !found.destination.same_place(here) => {
                match way.take(packet, octets) {
                    Ok(edge) => edges.set(index, edge),
                    Err(reason) => edges.drop(index, packet.meta_mut(), reason),
                }
            }
            found => match forward(tables, packet, probes.destination.key, found.map(|found| found.destination)) {
                Ok(next) => {
                    way = next;
                    match way.take(packet, octets) {
                        Ok(edge) => edges.set(index, edge),
                        Err(reason) => edges.drop(index, packet.meta_mut(), reason),
                    }
                }
                Err(Other::Flood) => edges.set(index, FLOOD),
                Err(Other::Drop(reason)) => edges.drop(index, packet.meta_mut(), reason),
            },
        }
    }
    counted.close(&mut cx.counters.networks);
    while unknown != 0 {
        let index = unknown.trailing_zeros() as usize;
        unknown &= unknown - 1;
        if let (Some(packet), Some(probes)) = (packets.get(index), cx.probes.get(index)) {
            let (meta, key) = (*packet.meta(), probes.source.key);
            learn(cx, &meta, key);
        }
    }
}

/// Packets of one network in a row, counted together.
#[derive(Default)]
struct Run {
    network: NetworkId,
    packets: u64,
    octets: u64,
}

impl Run {
    #[cold]
    fn restart(&mut self, network: NetworkId, counters: &mut [NetworkCounters]) {
        self.close(counters);
        *self = Self { network, ..Self::default() };
    }

    #[inline]
    fn close(&self, counters: &mut [NetworkCounters]) {
        if let Some(counter) = counters.get_mut(self.network.index()) {
            counter.packets += self.packets;
            counter.octets += self.octets;
        }
    }
}

/// Where the packet came from, as the table says it.
#[inline(always)]
fn here(meta: &Meta) -> MacDestination {
    if meta.flags.contains(Flags::FROM_TUNNEL) {
        MacDestination::tunnel(meta.tunnel)
    } else {
        MacDestination::port(meta.ingress, meta.vlan)
    }
}

/// Makes sure that the source address is known to be where the packet came from, unless it is fixed elsewhere.
#[cold]
pub(super) fn learn(cx: &mut Cx, meta: &Meta, key: MacKey) {
    if let Some(hit) = cx.tables.macs.lookup(key)
        && (hit.destination.same_place(here(meta)) || hit.destination.is_static())
    {
        cx.tables.macs.touch(hit.slot, cx.now.secs);
    } else if cx.tables.network(meta.network).is_some_and(|network| network.learning) {
        cx.learn(key, here(meta));
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
    /// Sends the packet this way.
    #[inline(always)]
    fn take(&self, packet: &mut Mbuf, octets: usize) -> Result<u8, DropReason> {
        if octets > self.max_octets as usize {
            return Err(DropReason::MtuExceeded);
        }
        let meta = packet.meta_mut();
        meta.egress = self.port;
        if self.edge == ENCAP {
            meta.tunnel = self.tunnel;
        }
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
    if key.mac().is_multicast() {
        return Err(if is_reserved(key) { Other::Drop(DropReason::ReservedMac) } else { Other::Flood });
    }
    let destination = found.ok_or(Other::Flood)?;
    let meta = packet.meta();
    match destination.target() {
        MacTarget::Port(port, vlan) => {
            if destination.same_place(here(meta)) {
                return Err(DropReason::SamePort.into());
            }
            let entry = tables.port(port).filter(|entry| entry.role != Role::Vacant).ok_or(DropReason::PortDown)?;
            if entry.isolated && isolates(tables, meta) {
                return Err(DropReason::Isolated.into());
            }
            let max_octets = entry.max_frame_octets.saturating_sub(if vlan == 0 { 0 } else { 4 });
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
