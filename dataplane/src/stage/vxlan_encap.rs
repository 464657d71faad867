//! Push: into the tunnel that the bridge or the flood chose, towards the tunnel's next hop. RFC 7348 § 4, § 5.
//!
//! Reads: `meta.tunnel`, `meta.network`. Writes: `meta.egress`, outer headers.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::checksum::finish_partial;
use overlay::packet::flow::Inner;
use overlay::packet::{Checksum, Meta, PacketBuf};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::VxlanPush;

use super::Cx;
use super::cx::{Load, Sending};
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
    /// What went this way.
    pushed: Sum,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let Some(first) = packets.first() else { return };
    let (tables, now_secs, counters) = (&*cx.tables, cx.now.secs, &mut cx.counters.tunnels);
    let mut known = Known::new(tables, first.meta(), now_secs);
    edges.by_runs(packets, &mut known, usual, |known, packet| {
        if packet.meta().encapsulation() != known.key {
            known.close(counters);
            *known = Known::new(tables, packet.meta(), now_secs);
        }
        known.push(packet)
    });
    known.close(counters);
    cx.sending = known.sending(packets.len());
}

/// Packets that go the known way, over IPv4 without a UDP checksum, and carry IPv4 with ports.
#[inline(never)]
fn usual(known: &mut Known<'_>, packets: &mut [Mbuf], edges: &mut [u8]) -> usize {
    let Ok(Some(Way { headers, egress })) = &known.way else { return 0 };
    let Some(push) = headers.plain() else { return 0 };
    let (push, max_octets, egress, key) = (push.clone(), headers.max_frame_octets(), *egress, known.key);
    let (mut count, mut sum) = (0, 0);
    for packet in packets.iter_mut() {
        let packet = &mut *packet.at_hand();
        let octets = packet.packet_octets();
        let meta = packet.meta();
        if meta.encapsulation() != key || meta.checksum == Checksum::Partial || octets > max_octets {
            break;
        }
        let Some(inner) = Inner::of_usual(packet.head()) else { break };
        if !push.push(packet, octets as u16, inner, 0) {
            break;
        }
        packet.meta_mut().egress = egress;
        sum += octets as u64;
        count += 1;
    }
    edges.iter_mut().take(count).for_each(|edge| *edge = TX);
    known.pushed.add(count, sum);
    count
}

impl<'a> Known<'a> {
    #[inline(never)]
    fn new(tables: &'a Tables, meta: &Meta, now_secs: u32) -> Self {
        let way = find(tables, meta.tunnel, meta.network, now_secs);
        Self { key: meta.encapsulation(), way, tunnel: meta.tunnel, pushed: Sum::default() }
    }

    /// What is not as usual.
    #[inline(never)]
    fn push(&mut self, packet: &mut Mbuf) -> Result<u8, DropReason> {
        let octets = packet.packet_octets() as u64;
        match &self.way {
            Ok(Some(way)) => way.push(packet)?,
            Ok(None) => return Ok(PARK),
            Err(reason) => return Err(*reason),
        }
        self.pushed.add(1, octets);
        Ok(TX)
    }

    /// What `tx` is told, if all of the `packets` packets there were went this way.
    fn sending(&self, packets: usize) -> Option<Sending> {
        let Ok(Some(way)) = &self.way else { return None };
        let outer = self.pushed.packets * way.headers.overhead_octets() as u64;
        // A pushed packet's own checksum is finished: the outer one is another.
        let load = Load { octets: self.pushed.octets + outer, partial: false };
        (self.pushed.packets == packets as u64).then_some(Sending { packets, egress: way.egress, load })
    }

    /// Counts what was pushed.
    fn close(&self, counters: &mut [TunnelCounters]) {
        if let Some(counters) = counters.get_mut(self.tunnel.index()) {
            counters.tx_packets += self.pushed.packets;
            counters.tx_octets += self.pushed.octets;
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
    fn push(&self, packet: &mut Mbuf) -> Result<(), DropReason> {
        finish_partial(packet)?;
        let inner = Inner::of(packet.head());
        self.headers.push(packet, inner)?;
        packet.meta_mut().egress = self.egress;
        Ok(())
    }
}
