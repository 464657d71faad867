//! Pop: from a tunnel to its network. RFC 7348 § 4.2, § 5.
//!
//! Reads: outer headers, by `meta.l4_offset`. Writes: `meta.network`, `meta.pair`, `meta.tunnel`, `Flags::FROM_TUNNEL`;
//! what the [`shortcut`] does.

use overlay::fib::mac::MacDestination;
use overlay::fib::pair::{Context, PairReader};
use overlay::num::{NetworkId, TunnelId, Vni};
use overlay::packet::{PacketBuf, Ways};
use overlay::packet::outer::OuterUdp;
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::{self, PlainV4};

use super::shortcut::{BRIDGE, Sum};
use super::{Cx, shortcut};
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{Counters, Tables};

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "vxlan-decap",
    help: "checks and removes VXLAN, finds the network of the VNI",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap", "bridge"],
    process: Process::Each(process),
};

/// The last answer: packets of a burst tend to come from one VTEP for one network. And the packets it has served.
struct Known {
    vni: Vni,
    source: [u64; 2],
    plain: Option<PlainV4>,
    network: NetworkId,
    tunnel: TunnelId,
    context: Context,
    here: Ways,
    /// What it has served.
    all: Sum,
    /// Of these, what took the shortcut.
    taken: Sum,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    cx.pairs.begin(&cx.tables.macs, cx.now.secs);
    let (tables, pairs) = (&*cx.tables, cx.pairs.reader());
    let mut known = Known::default();
    for (packet, edge) in edges.of(packets) {
        let popped = match &known.plain {
            Some(plain) if plain.pop(packet) => Ok(()),
            _ => pop(tables, pairs, packet, &mut known, &mut cx.counters),
        };
        match popped.and_then(|()| known.enter(pairs, packet)) {
            Ok(next) => edge.take(next),
            Err(reason) => edge.drop(packet.meta_mut(), reason),
        }
    }
    known.close(&mut cx.counters);
}

/// A packet that is not like the one before it.
#[inline(never)]
fn pop(
    tables: &Tables,
    pairs: PairReader<'_>,
    packet: &mut Mbuf,
    known: &mut Known,
    counters: &mut Counters,
) -> Result<(), DropReason> {
    let outer = OuterUdp::read(packet.head(), packet.meta().l4_offset).ok_or(DropReason::VxlanTruncated)?;
    let vni = vxlan::inspect(&outer)?;
    if known.vni != vni || !outer.same_source(known.source) || !known.network.is_some() {
        let mut answer = look_up(tables, pairs, vni, &outer)?;
        answer.here = Ways::new(packet.meta().ingress, answer.network);
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
            context: Context::default(),
            here: Ways::default(),
            all: Sum::default(),
            taken: Sum::default(),
        }
    }
}

impl Known {
    /// Counts a popped packet and puts it into the network.
    #[inline(always)]
    fn enter(&mut self, pairs: PairReader<'_>, packet: &mut Mbuf) -> Result<u8, DropReason> {
        let octets = packet.packet_octets() as u64;
        self.all.add(1, octets);
        if let Some(next) = shortcut::take(pairs, packet, self.here, self.context) {
            self.taken.add(1, octets);
            return Ok(next);
        }
        let Some(header) = packet.head().first_chunk::<14>() else {
            return Err(DropReason::VxlanInnerTruncated);
        };
        if header[6] & 1 != 0 {
            return Err(DropReason::SourceMacMulticast);
        }
        let pair = pairs.ask(header, self.context);
        let meta = packet.meta_mut();
        (meta.network, meta.tunnel, meta.pair) = (self.network, self.tunnel, pair);
        Ok(BRIDGE)
    }

    /// Counts what was served.
    fn close(&self, counters: &mut Counters) {
        if let Some(counters) = counters.tunnels.get_mut(self.tunnel.index()) {
            counters.rx_packets += self.all.packets;
            counters.rx_octets += self.all.octets;
        }
        self.taken.count(self.network, &mut counters.networks);
    }
}

#[inline(never)]
fn look_up(tables: &Tables, pairs: PairReader<'_>, vni: Vni, outer: &OuterUdp) -> Result<Known, DropReason> {
    let network = tables.vnis.lookup(vni).ok_or(DropReason::VxlanVniUnknown)?;
    let tunnel = tables.vteps.lookup(outer.source()).ok_or(DropReason::VxlanVtepUnknown)?;
    if tables.network(network).is_some_and(|entry| entry.has_tunnel(tunnel)) {
        let plain = PlainV4::like(outer);
        let context = pairs.context(network, MacDestination::tunnel(tunnel));
        Ok(Known { vni, source: outer.source_words(), plain, network, tunnel, context, ..Known::default() })
    } else {
        Err(DropReason::VxlanVtepUnknown)
    }
}
