//! Push: into the tunnel that the bridge or the flood chose, towards the tunnel's next hop. RFC 7348 § 4, § 5.
//!
//! Reads: `meta.tunnel`, `meta.network`. Writes: `meta.flow_hash`, `meta.egress`, outer headers.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::checksum::finish_partial;
use overlay::packet::flow::Inner;
use overlay::packet::{Checksum, Meta, PacketBuf};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::VxlanPush;

use super::Cx;
use super::shortcut::Sum;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{Tables, TunnelCounters};

const TX: u8 = 1;
const PARK: u8 = 2;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "vxlan-encap",
    help: "puts VXLAN headers before the frame",
    kind: RowKind::Task,
    edges: &["drop", "tx", "park"],
    process: Process::Each(process),
};

/// What the packets into one tunnel of one network have in common.
struct Way<'a> {
    headers: VxlanPush<'a>,
    egress: PortId,
}

/// The last answer: packets of a burst tend to go one way.
struct Known<'a> {
    /// [`Meta::encapsulation`].
    key: u32,
    /// `None` when the next hop has yet to be asked.
    way: Result<Option<Way<'a>>, DropReason>,
    tunnel: TunnelId,
    /// The first packet that it serves.
    begin: usize,
    /// Octets of all packets so far, those that it refused among them.
    octets: u64,
    /// What it refused.
    refused: Sum,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let Some(first) = packets.first() else { return };
    let (tables, now_secs, end) = (&*cx.tables, cx.now.secs, packets.len());
    let mut known = Known::new(tables, first.meta(), now_secs, 0);
    for (index, (packet, edge)) in edges.of(packets).enumerate() {
        if packet.meta().encapsulation() != known.key {
            known.close(index, &mut cx.counters.tunnels);
            known = Known::new(tables, packet.meta(), now_secs, index);
        }
        known.octets += packet.packet_octets() as u64;
        if let Ok(Some(way)) = &known.way
            && way.headers.is_plain()
            && way.push_plain(packet)
        {
            edge.take(TX);
            continue;
        }
        match known.push(packet) {
            Ok(next) => edge.take(next),
            Err(reason) => edge.drop(packet.meta_mut(), reason),
        }
    }
    known.close(end, &mut cx.counters.tunnels);
}

impl<'a> Known<'a> {
    #[inline(never)]
    fn new(tables: &'a Tables, meta: &Meta, now_secs: u32, begin: usize) -> Self {
        let way = find(tables, meta.tunnel, meta.network, now_secs);
        Self { key: meta.encapsulation(), way, tunnel: meta.tunnel, begin, octets: 0, refused: Sum::default() }
    }

    /// What is not as usual.
    #[inline(never)]
    fn push(&mut self, packet: &mut Mbuf) -> Result<u8, DropReason> {
        let octets = packet.packet_octets();
        let pushed = match &self.way {
            Ok(Some(way)) => way.push(packet).map(|()| TX),
            Ok(None) => Ok(PARK),
            Err(reason) => Err(*reason),
        };
        if pushed != Ok(TX) {
            self.refused.add(octets);
        }
        pushed
    }

    /// Counts what was pushed before packet `end`.
    fn close(&self, end: usize, counters: &mut [TunnelCounters]) {
        if let Some(counters) = counters.get_mut(self.tunnel.index()) {
            counters.tx_packets += (end - self.begin) as u64 - self.refused.packets;
            counters.tx_octets += self.octets - self.refused.octets;
        }
    }
}

/// The way into `tunnel`.
fn find(tables: &Tables, tunnel: TunnelId, network: NetworkId, now_secs: u32) -> Result<Option<Way<'_>>, DropReason> {
    let entry = tables.tunnel(tunnel).ok_or(DropReason::NoRoute)?;
    let encap = entry.encap.as_ref().ok_or(DropReason::NoRoute)?;
    let vni = tables.network(network).ok_or(DropReason::NoNetwork)?.vni;
    let Neighbour::Resolved(next_hop) = tables.neighbours.get(entry.neighbour) else { return Ok(None) };
    tables.neighbours.touch(entry.neighbour, now_secs);
    Ok(Some(Way { headers: encap.towards(vni, next_hop, entry.max_inner_octets), egress: entry.egress }))
}

impl Way<'_> {
    /// Does what [`Way::push`] does for most packets; else `false`, and nothing has changed.
    #[inline(always)]
    fn push_plain(&self, packet: &mut Mbuf) -> bool {
        if packet.meta().checksum == Checksum::Partial {
            return false;
        }
        let inner = Inner::of(packet.head());
        let pushed = self.headers.push_plain(packet, inner);
        if pushed {
            self.send(packet, inner);
        }
        pushed
    }

    #[inline(never)]
    fn push(&self, packet: &mut Mbuf) -> Result<(), DropReason> {
        finish_partial(packet)?;
        let inner = Inner::of(packet.head());
        self.headers.push(packet, inner)?;
        self.send(packet, inner);
        Ok(())
    }

    #[inline(always)]
    fn send(&self, packet: &mut Mbuf, inner: Inner) {
        let meta = packet.meta_mut();
        meta.flow_hash = inner.flow_hash;
        meta.egress = self.egress;
    }
}
