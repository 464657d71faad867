//! Pop: from a tunnel to its network. RFC 7348 § 4.2, § 5.
//!
//! Reads: outer headers, by `meta.l4_offset`. Writes: `meta.network`, `meta.place`, `meta.pair`, `meta.tunnel`, `Flags::FROM_TUNNEL`.

use overlay::fib::mac::{MacDestination, MacTable};
use overlay::fib::pair::RecentPairs;
use overlay::num::{NetworkId, TunnelId, Vni};
use overlay::packet::PacketBuf;
use overlay::packet::outer::OuterUdp;
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::{self, PlainV4};

use super::{Cx, bridge};
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{Tables, TunnelCounters};

const BRIDGE: u8 = 1;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "vxlan-decap",
    help: "checks and removes VXLAN, finds the network of the VNI",
    kind: RowKind::Task,
    edges: &["drop", "bridge"],
    process: Process::Each(process),
};

/// The last answer: packets of a burst tend to come from one VTEP for one network. And the packets it has served.
struct Known {
    vni: Vni,
    source: [u64; 2],
    plain: Option<PlainV4>,
    network: NetworkId,
    tunnel: TunnelId,
    packets: u64,
    octets: u64,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let (tables, pairs) = (&*cx.tables, &cx.pairs);
    let mut known = Known::default();
    for (packet, edge) in edges.of(packets) {
        let popped = match &known.plain {
            Some(plain) if plain.pop(packet) => Ok(()),
            _ => pop(tables, packet, &mut known, &mut cx.counters.tunnels),
        };
        match popped.and_then(|()| known.enter(pairs, packet)) {
            Ok(()) => edge.take(BRIDGE),
            Err(reason) => edge.drop(packet.meta_mut(), reason),
        }
    }
    known.close(&mut cx.counters.tunnels);
}

/// A packet that is not like the one before it.
#[inline(never)]
fn pop(
    tables: &Tables,
    packet: &mut Mbuf,
    known: &mut Known,
    counters: &mut [TunnelCounters],
) -> Result<(), DropReason> {
    let outer = OuterUdp::read(packet.head(), packet.meta().l4_offset).ok_or(DropReason::VxlanTruncated)?;
    let vni = vxlan::inspect(&outer)?;
    if known.vni != vni || !outer.same_source(known.source) || !known.network.is_some() {
        let answer = look_up(tables, vni, &outer)?;
        known.close(counters);
        *known = answer;
    }
    vxlan::pop_inspected(packet, &outer, &tables.vxlan)
}

impl Default for Known {
    fn default() -> Self {
        Self {
            vni: Vni::from_low_bits(0),
            source: [0; 2],
            plain: None,
            network: NetworkId::NONE,
            tunnel: TunnelId::NONE,
            packets: 0,
            octets: 0,
        }
    }
}

impl Known {
    /// Counts a popped packet and puts it into the network.
    #[inline(always)]
    fn enter(&mut self, pairs: &RecentPairs, packet: &mut Mbuf) -> Result<(), DropReason> {
        let Some(header) = packet.head().first_chunk::<14>() else { return Err(DropReason::VxlanInnerTruncated) };
        if header[6] & 1 != 0 {
            return Err(DropReason::SourceMacMulticast);
        }
        let keys = MacTable::keys_of(self.network, header);
        self.packets += 1;
        self.octets += packet.packet_octets() as u64;
        let meta = packet.meta_mut();
        meta.tunnel = self.tunnel;
        bridge::prepare(pairs, meta, self.network, MacDestination::tunnel(self.tunnel), keys);
        Ok(())
    }

    /// Counts what was served.
    fn close(&self, counters: &mut [TunnelCounters]) {
        if let Some(counters) = counters.get_mut(self.tunnel.index()) {
            counters.rx_packets += self.packets;
            counters.rx_octets += self.octets;
        }
    }
}

#[inline(never)]
fn look_up(tables: &Tables, vni: Vni, outer: &OuterUdp) -> Result<Known, DropReason> {
    let network = tables.vnis.lookup(vni).ok_or(DropReason::VxlanVniUnknown)?;
    let tunnel = tables.vteps.lookup(outer.source()).ok_or(DropReason::VxlanVtepUnknown)?;
    if tables.network(network).is_some_and(|entry| entry.has_tunnel(tunnel)) {
        let plain = PlainV4::like(outer);
        Ok(Known { vni, source: outer.source_words(), plain, network, tunnel, packets: 0, octets: 0 })
    } else {
        Err(DropReason::VxlanVtepUnknown)
    }
}
