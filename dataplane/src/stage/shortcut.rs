//! Past the bridge: packets between stations that were bridged a moment ago go where the ones before them went.
//!
//! Not a stage but a part of those before the bridge, which know the network and have the Ethernet header at hand. One pass,
//! without a prefetch: what is remembered fits the second-level cache, whose latency the next packets cover. Why at all:
//! docs/adr/0012.
//! Reads: the Ethernet header. Writes: `meta.network`, `meta.egress`, `meta.tunnel`.

use overlay::fib::pair::{Context, PairReader};
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::Ways;

use crate::dpdk::mbuf::AtHand;
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

    /// Tunnel and egress, as [`Ways`] takes them.
    #[inline(always)]
    const fn way(&self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    const fn max_octets(&self) -> usize {
        (self.0 >> 32) as u16 as usize
    }

    #[inline(always)]
    const fn edge(&self) -> u8 {
        (self.0 >> 48) as u8
    }

    /// Sends the packet this way, to its egress or its tunnel; `here` says where it comes from.
    #[inline(always)]
    pub(super) fn take(&self, packet: &mut AtHand<'_>, here: Ways) -> u8 {
        packet.set_ways(here.with_way(self.way()));
        self.edge()
    }
}

/// Where the ones before it went, of a frame of `octets` that begins with `header`; `context` says where it comes from.
///
/// What is remembered is neither tagged nor from or to a group, so that these need not be looked for before.
#[inline(always)]
pub(super) fn find(pairs: PairReader<'_>, header: &[u8; 14], octets: usize, context: Context) -> Option<Known> {
    let way = Known(pairs.find(&pairs.ask(header, context))?);
    (octets <= way.max_octets()).then_some(way)
}

/// Packets and octets.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) packets: u64,
    pub(super) octets: u64,
}

impl Sum {
    #[inline(always)]
    pub(super) fn add(&mut self, packets: usize, octets: u64) {
        self.packets += packets as u64;
        self.octets += octets;
    }

    /// Counts what took the shortcut for `network`: the bridge counts its own.
    #[inline]
    pub(super) fn count(&self, network: NetworkId, counters: &mut [NetworkCounters]) {
        if let Some(counter) = counters.get_mut(network.index()) {
            counter.packets += self.packets;
            counter.octets += self.octets;
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
        assert_eq!((way.edge(), way.way(), way.max_octets()), (ENCAP, 0xabcd_1234, 9018));
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
