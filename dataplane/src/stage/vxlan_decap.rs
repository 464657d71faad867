//! Pop: from a tunnel to its network. RFC 7348 § 4.2, § 5.
//!
//! Reads: outer headers, by `meta.l4_offset`; what `uplink-input` has recognized, by `meta.network`. Writes: `meta.network`, `meta.pair`, `meta.tunnel`, `Flags::FROM_TUNNEL`;
//! what the [`shortcut`] does.

use overlay::fib::mac::MacDestination;
use overlay::fib::pair::{Context, PairReader};
use overlay::num::{NetworkId, PortId, TunnelId, Vni};
use overlay::packet::outer::{OuterUdp, UDP_OFFSET_V4};
use overlay::packet::{Meta, PacketBuf, Ways};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::{self, OVERHEAD_V4_OCTETS, RecentOuters};

use super::shortcut::{BRIDGE, Sum};
use super::{Cx, shortcut};
use crate::dpdk::Mbuf;
use crate::dpdk::mbuf::AtHand;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{Counters, Tables};

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "vxlan-decap",
    help: "removes VXLAN, finds the network; known pairs go past the bridge",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap", "bridge"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let Some(first) = packets.first() else { return };
    cx.pairs.begin(&cx.tables.macs, cx.now.secs);
    let (tables, pairs) = (&*cx.tables, cx.pairs.reader());
    let (outers, counters) = (&mut cx.outers, &mut cx.counters);
    let mut known = Known::new(pairs, Origin::recognized(first.meta()).unwrap_or_default());
    edges.by_runs(packets, &mut known, usual, |known, packet| {
        let meta = packet.meta();
        let (ingress, recognized) = (meta.ingress, Origin::recognized(meta));
        if let Some(origin) = recognized {
            known.switch(origin, counters);
            let packet = &mut packet.at_hand();
            if let Some((way, octets)) = known.pop_recent(packet) {
                known.taken.add(1, octets as u64);
                return Ok(way.take(packet, known.ways));
            }
        }
        let udp_offset = if recognized.is_some() { UDP_OFFSET_V4 } else { packet.meta().l4_offset };
        let outer = OuterUdp::read(packet.head(), udp_offset).ok_or(DropReason::VxlanTruncated)?;
        let vni = vxlan::inspect(&outer)?;
        if recognized.is_none() {
            known.switch(look_up(tables, ingress, vni, &outer)?, counters);
        }
        let plain = recognized.is_none() && !outer.ipv6 && outer.udp_checksum == 0;
        let head = if plain { packet.head().first_chunk::<{ RecentOuters::OCTETS }>().copied() } else { None };
        vxlan::pop_inspected(packet, &outer, &tables.vxlan)?;
        if let Some(head) = head {
            outers.note(&head, ingress, known.origin.network, known.origin.tunnel);
        }
        known.enter(packet)
    });
    known.close(counters);
}

/// Where packets come from.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Origin {
    ingress: PortId,
    network: NetworkId,
    tunnel: TunnelId,
}

impl Origin {
    /// Of a packet that the stage before has recognized.
    #[inline(always)]
    fn recognized(meta: &Meta) -> Option<Self> {
        let Meta { ingress, network, tunnel, .. } = *meta;
        network.is_some().then_some(Self { ingress, network, tunnel })
    }
}

/// What the packets of one origin share, and their sums.
struct Known<'a> {
    pairs: PairReader<'a>,
    origin: Origin,
    ways: Ways,
    context: Context,
    /// What took the shortcut.
    taken: Sum,
    /// What did not.
    others: Sum,
}

/// Packets of one origin that are like others before, between stations that were bridged a moment ago.
#[inline(never)]
fn usual(known: &mut Known<'_>, packets: &mut [Mbuf], edges: &mut [u8]) -> usize {
    let Known { pairs, origin, ways, context, .. } = *known;
    let origin = Known { pairs, origin, ways, context, taken: Sum::default(), others: Sum::default() };
    let (mut count, mut octets) = (0, 0);
    for (packet, edge) in packets.iter_mut().zip(edges) {
        let packet = &mut packet.at_hand();
        if packet.ways() != ways {
            break;
        }
        let Some((way, length)) = origin.pop_recent(packet) else { break };
        *edge = way.take(packet, ways);
        octets += length as u64;
        count += 1;
    }
    known.taken.add(count, octets);
    count
}

impl<'a> Known<'a> {
    fn new(pairs: PairReader<'a>, origin: Origin) -> Self {
        let Origin { ingress, network, tunnel } = origin;
        let context = pairs.context(network, MacDestination::tunnel(tunnel));
        let ways = Ways::through(ingress, network, tunnel);
        Self { pairs, origin, ways, context, taken: Sum::default(), others: Sum::default() }
    }

    /// Turns to packets of another origin.
    fn switch(&mut self, origin: Origin, counters: &mut Counters) {
        if origin != self.origin {
            self.close(counters);
            *self = Self::new(self.pairs, origin);
        }
    }

    /// Pops a recognized packet, if it may take the shortcut: then nothing of the inner frame needs to be checked, since a
    /// remembered pair is neither tagged nor from a group. Gives its way and its octets.
    #[inline(always)]
    fn pop_recent(&self, packet: &mut AtHand<'_>) -> Option<(shortcut::Known, usize)> {
        let inner = packet.head().get(OVERHEAD_V4_OCTETS..)?.first_chunk()?;
        let octets = packet.packet_octets() - OVERHEAD_V4_OCTETS;
        let way = shortcut::find(self.pairs, inner, octets, self.context)?;
        vxlan::pop_recent(packet).then_some((way, octets))
    }

    /// Puts a popped packet into the network.
    fn enter(&mut self, packet: &mut Mbuf) -> Result<u8, DropReason> {
        let octets = packet.packet_octets();
        let header = packet.head().first_chunk().ok_or(DropReason::VxlanInnerTruncated)?;
        if let Some(way) = shortcut::find(self.pairs, header, octets, self.context) {
            self.taken.add(1, octets as u64);
            return Ok(way.take(&mut packet.at_hand(), self.ways));
        }
        self.others.add(1, octets as u64);
        if header[6] & 1 != 0 {
            return Err(DropReason::SourceMacMulticast);
        }
        let pair = self.pairs.ask(header, self.context);
        let meta = packet.meta_mut();
        (meta.network, meta.tunnel, meta.pair) = (self.origin.network, self.origin.tunnel, pair);
        Ok(BRIDGE)
    }

    /// Counts what came from there.
    fn close(&self, counters: &mut Counters) {
        if let Some(counters) = counters.tunnels.get_mut(self.origin.tunnel.index()) {
            counters.rx_packets += self.taken.packets + self.others.packets;
            counters.rx_octets += self.taken.octets + self.others.octets;
        }
        self.taken.count(self.origin.network, &mut counters.networks);
    }
}

/// The network of the VNI, if the sender is one of its endpoints.
#[inline(never)]
fn look_up(tables: &Tables, ingress: PortId, vni: Vni, outer: &OuterUdp) -> Result<Origin, DropReason> {
    let network = tables.vnis.lookup(vni).ok_or(DropReason::VxlanVniUnknown)?;
    let tunnel = tables.vteps.lookup(outer.source()).ok_or(DropReason::VxlanVtepUnknown)?;
    if tables.network(network).is_some_and(|entry| entry.has_tunnel(tunnel)) {
        Ok(Origin { ingress, network, tunnel })
    } else {
        Err(DropReason::VxlanVtepUnknown)
    }
}
