//! Past the bridge: packets between stations that were bridged a moment ago go where the ones before them went.
//!
//! Not a stage but a part of those before the bridge, which know the network and have the Ethernet header at hand. One pass,
//! without a prefetch: what is remembered fits the second-level cache, whose latency the next packets cover. Why at all:
//! docs/adr/0012.
//! Reads: MAC addresses. Writes: `meta.network`, `meta.egress`, `meta.tunnel`; towards the bridge, `meta.pair`.

use overlay::fib::pair::{Context, PairReader};
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::PacketBuf;

use crate::dpdk::Mbuf;
use crate::tables::NetworkCounters;

/// The edges of the bridge that lead to one place, and of every stage that takes the shortcut: one numbering for all.
pub(super) const TX: u8 = 1;
/// See [`TX`].
pub(super) const ENCAP: u8 = 2;
/// The edge to the bridge, of the stages before it.
pub(super) const BRIDGE: u8 = 3;

/// What [`RecentPairs`](overlay::fib::pair::RecentPairs) keeps of a way: tunnel, egress, longest frame (a longer one asks again), edge; 16 bits each, from
/// the lowest.
pub(super) struct Known(u64);

impl Known {
    pub(super) fn new(edge: u8, egress: PortId, tunnel: TunnelId, max_octets: u32) -> Self {
        let max_octets = u64::from(max_octets.min(u32::from(u16::MAX)));
        Self(u64::from(tunnel.0) | u64::from(egress.0) << 16 | max_octets << 32 | u64::from(edge) << 48)
    }

    pub(super) const fn to_bits(&self) -> u64 {
        self.0
    }

    #[inline(always)]
    const fn egress(&self) -> PortId {
        PortId((self.0 >> 16) as u16)
    }

    #[inline(always)]
    const fn tunnel(&self) -> TunnelId {
        TunnelId(self.0 as u16)
    }

    #[inline(always)]
    const fn max_octets(&self) -> usize {
        (self.0 >> 32) as u16 as usize
    }

    #[inline(always)]
    const fn edge(&self) -> u8 {
        (self.0 >> 48) as u8
    }
}

/// Puts the packet into `network` and says where it goes: to its egress or its tunnel, or by the edge [`BRIDGE`].
#[inline(always)]
pub(super) fn take(pairs: PairReader<'_>, packet: &mut Mbuf, header: [u8; 14], network: NetworkId, context: Context) -> u8 {
    let pair = pairs.ask(&header, context);
    let octets = packet.packet_octets();
    let meta = packet.meta_mut();
    meta.network = network;
    match pairs.find(&pair).map(Known) {
        Some(way) if octets <= way.max_octets() => {
            meta.egress = way.egress();
            meta.tunnel = way.tunnel();
            way.edge()
        }
        _ => {
            meta.pair = pair;
            BRIDGE
        }
    }
}

/// Packets and octets.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) packets: u64,
    pub(super) octets: u64,
}

impl Sum {
    #[inline(always)]
    pub(super) fn add(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }

    /// Counts all but `others` for `network`: the bridge counts its own.
    #[inline]
    pub(super) fn count(&self, others: Self, network: NetworkId, counters: &mut [NetworkCounters]) {
        if let Some(counter) = counters.get_mut(network.index()) {
            counter.packets += self.packets - others.packets;
            counter.octets += self.octets - others.octets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::STAGES;

    #[test]
    fn a_way_is_kept_whole() {
        let way = Known(Known::new(ENCAP, PortId(0xabcd), TunnelId(0x1234), 9018).to_bits());
        assert_eq!((way.edge(), way.egress(), way.tunnel(), way.max_octets()), (ENCAP, PortId(0xabcd), TunnelId(0x1234), 9018));
        assert_eq!(Known::new(TX, PortId(1), TunnelId(1), u32::MAX).max_octets(), 0xffff);
    }

    #[test]
    fn all_stages_number_the_edges_alike() {
        for (name, behind) in [("access-input", "bridge"), ("vxlan-decap", "bridge"), ("bridge", "flood")] {
            let spec = STAGES.iter().find(|spec| spec.name == name).unwrap();
            let edge = |edge: u8| spec.edges[usize::from(edge)];
            assert_eq!([edge(TX), edge(ENCAP), edge(BRIDGE)], ["tx", "vxlan-encap", behind], "{name}");
        }
    }
}
