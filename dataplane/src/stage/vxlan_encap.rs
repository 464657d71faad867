//! Push: into the tunnel that the bridge or the flood chose, towards the tunnel's next hop. RFC 7348 § 4, § 5.
//!
//! Reads: `meta.tunnel`, `meta.network`. Writes: `meta.egress`, outer headers.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{PortId, TunnelId};
use overlay::packet::checksum::finish_partial;
use overlay::packet::flow::Inner;
use overlay::packet::{Checksum, Meta, PacketBuf};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::{OVERHEAD_V4_OCTETS, VxlanPush};

use super::Cx;
use super::cx::{Load, Sending};
use super::push::{Push, RecentPushes};
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

/// A burst on its way.
struct Run<'a> {
    tables: &'a Tables,
    now_secs: u32,
    pushes: &'a mut RecentPushes,
    counters: &'a mut [TunnelCounters],
    /// [`Meta::encapsulation`] and what was found for it last, for packets that are not as usual; no way when the next hop
    /// has yet to be asked.
    known: Option<(u32, Result<Option<Way<'a>>, DropReason>)>,
    /// Frames pushed so far, and octets with their outer headers.
    sent: Sum,
    egress: PortId,
    /// Not all went to `egress`.
    spread: bool,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let mut run = Run {
        tables: &cx.tables,
        now_secs: cx.now.secs,
        pushes: &mut cx.pushes,
        counters: &mut cx.counters.tunnels,
        known: None,
        sent: Sum::default(),
        egress: PortId::NONE,
        spread: false,
    };
    edges.by_runs(packets, &mut run, usual, Run::other);
    cx.sending = run.sending(packets);
}

/// Packets that go the way of the first, over IPv4 without a UDP checksum, and carry IPv4 with ports.
#[inline(never)]
fn usual(run: &mut Run<'_>, packets: &mut [Mbuf], edges: &mut [u8]) -> usize {
    let Some(Meta { tunnel, .. }) = packets.first().map(|packet| *packet.meta()) else { return 0 };
    let key = packets.first().map_or(0, |packet| packet.meta().encapsulation());
    let Some(push) = run.pushes.find(key, run.tables, run.now_secs) else { return 0 };
    let Push { max_octets, egress, .. } = *push;
    let (mut count, mut octets) = (0, 0);
    for (packet, edge) in packets.iter_mut().zip(edges) {
        let packet = &mut packet.at_hand();
        let length = packet.packet_octets();
        let meta = packet.meta();
        if meta.encapsulation() != key || meta.checksum == Checksum::Partial || length > max_octets {
            break;
        }
        let Some(inner) = Inner::of_usual(packet.head()) else { break };
        if !push.headers.push(packet, length as u16, inner, 0) {
            break;
        }
        packet.meta_mut().egress = egress;
        *edge = TX;
        octets += length as u64;
        count += 1;
    }
    run.count(tunnel, egress, count, octets, OVERHEAD_V4_OCTETS);
    count
}

impl Run<'_> {
    /// A packet that is not as usual.
    fn other(&mut self, packet: &mut Mbuf) -> Result<u8, DropReason> {
        let (key, octets, tunnel) =
            (packet.meta().encapsulation(), packet.packet_octets() as u64, packet.meta().tunnel);
        let way = match self.known.take() {
            Some((known, way)) if known == key => way,
            _ => self.find(packet.meta()),
        };
        let pushed = match &way {
            Ok(Some(way)) => way.push(packet).map(|()| TX),
            Ok(None) => Ok(PARK),
            Err(reason) => Err(*reason),
        };
        if let (Ok(Some(way)), Ok(TX)) = (&way, &pushed) {
            let (egress, overhead) = (way.egress, way.headers.overhead_octets());
            self.count(tunnel, egress, 1, octets, overhead);
        }
        self.known = Some((key, way));
        pushed
    }

    /// Counts frames that were pushed, and their octets.
    fn count(&mut self, tunnel: TunnelId, egress: PortId, packets: usize, octets: u64, overhead: usize) {
        if packets == 0 {
            return;
        }
        if let Some(counters) = self.counters.get_mut(tunnel.index()) {
            counters.tx_packets += packets as u64;
            counters.tx_octets += octets;
        }
        self.spread |= self.egress != egress && self.egress.is_some();
        self.egress = egress;
        self.sent.add(packets, octets + (packets * overhead) as u64);
    }

    /// What `tx` is told, if all of the `packets` go to one port.
    fn sending(&self, packets: &[Mbuf]) -> Option<Sending> {
        let first = packets.first()?.identity();
        // A pushed packet's own checksum is finished: the outer one is another.
        let load = Load { octets: self.sent.octets, partial: false };
        let together = !self.spread && self.sent.packets == packets.len() as u64;
        together.then_some(Sending { first, packets: packets.len(), egress: self.egress, load })
    }
}

impl<'a> Run<'a> {
    /// The way into the packet's tunnel; notes it.
    #[inline(never)]
    fn find(&mut self, meta: &Meta) -> Result<Option<Way<'a>>, DropReason> {
        let tables = self.tables;
        let entry = tables.tunnel(meta.tunnel).ok_or(DropReason::NoRoute)?;
        let encap = entry.encap.as_ref().ok_or(DropReason::NoRoute)?;
        let vni = tables.network(meta.network).ok_or(DropReason::NoNetwork)?.vni;
        let (neighbour, egress) = (entry.neighbour, entry.egress);
        let Neighbour::Resolved(next_hop) = tables.neighbours.get(neighbour) else { return Ok(None) };
        tables.neighbours.touch(neighbour, self.now_secs);
        let headers = encap.towards(vni, next_hop, entry.max_inner_octets);
        if let Some(plain) = headers.plain() {
            let (key, max_octets) = (meta.encapsulation(), headers.max_frame_octets());
            self.pushes.note(Push { key, max_octets, egress, neighbour, next_hop, headers: plain.clone() });
        }
        Ok(Some(Way { headers, egress }))
    }
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
