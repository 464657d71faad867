//! Push: into the tunnel that the bridge or the flood chose, towards the tunnel's next hop. RFC 7348 § 4, § 5.
//!
//! Reads: `meta.tunnel`, `meta.network`. Writes: `meta.flow_hash`, `meta.egress`, outer headers.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{NetworkId, PortId, TunnelId};
use overlay::packet::checksum::finish_partial;
use overlay::packet::flow::Inner;
use overlay::packet::{Checksum, PacketBuf};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::VxlanPush;

use super::Cx;
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
    max_inner_octets: u32,
    overhead_octets: i16,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let (tables, now_secs) = (&*cx.tables, cx.now.secs);
    let mut begin = 0;
    while let Some((tunnel, network)) = packets.get(begin).map(|packet| (packet.meta().tunnel, packet.meta().network)) {
        let alike = |packet: &Mbuf| {
            // Nobody has touched the line that the headers will be written to.
            packet.prefetch_headroom();
            packet.meta().tunnel == tunnel && packet.meta().network == network
        };
        let rest = packets.get_mut(begin..).unwrap_or_default();
        let count = rest.iter().take_while(|packet| alike(packet)).count();
        let run = rest.get_mut(..count).unwrap_or_default();
        match find(tables, tunnel, network, now_secs) {
            Ok(Some(way)) => way.push_all(run, edges, begin, cx.counters.tunnels.get_mut(tunnel.index())),
            Ok(None) => (begin..begin + count).for_each(|index| edges.set(index, PARK)),
            Err(reason) => {
                for (index, packet) in (begin..).zip(run) {
                    edges.drop(index, packet.meta_mut(), reason);
                }
            }
        }
        begin += count;
    }
}

/// The way into `tunnel`; `None` when its next hop has yet to be asked.
#[inline(never)]
fn find(tables: &Tables, tunnel: TunnelId, network: NetworkId, now_secs: u32) -> Result<Option<Way<'_>>, DropReason> {
    let entry = tables.tunnel(tunnel).ok_or(DropReason::NoRoute)?;
    let encap = entry.encap.as_ref().ok_or(DropReason::NoRoute)?;
    let vni = tables.network(network).ok_or(DropReason::NoNetwork)?.vni;
    let Neighbour::Resolved(next_hop) = tables.neighbours.get(entry.neighbour) else { return Ok(None) };
    tables.neighbours.touch(entry.neighbour, now_secs);
    let (egress, max_inner_octets) = (entry.egress, entry.max_inner_octets);
    let overhead_octets = i16::try_from(encap.overhead_octets()).unwrap_or_default();
    Ok(Some(Way { headers: encap.towards(vni, next_hop), egress, max_inner_octets, overhead_octets }))
}

impl Way<'_> {
    /// Pushes the headers of all packets of a run, the first of which is the burst's packet `begin`, and counts them.
    #[inline(always)]
    fn push_all(&self, packets: &mut [Mbuf], edges: &mut Edges, begin: usize, counters: Option<&mut TunnelCounters>) {
        let (mut count, mut sum) = (packets.len(), 0);
        for (packet, edge) in edges.of_run(begin, packets) {
            let octets = packet.packet_octets();
            sum += octets;
            let pushed = if octets > self.max_inner_octets as usize {
                Err(DropReason::MtuExceeded)
            } else if packet.meta().has_offsets() {
                self.push_known(packet)
            } else {
                self.push(packet)
            };
            match pushed {
                Ok(()) => edge.take(TX),
                Err(reason) => {
                    (count, sum) = (count - 1, sum - octets);
                    edge.drop(packet.meta_mut(), reason);
                }
            }
        }
        if let Some(counters) = counters {
            counters.tx_packets += count as u64;
            counters.tx_octets += sum as u64;
        }
    }

    #[inline(always)]
    fn push(&self, packet: &mut Mbuf) -> Result<(), DropReason> {
        let inner = Inner::of(packet.head());
        self.headers.push(packet, inner)?;
        let meta = packet.meta_mut();
        meta.flow_hash = inner.flow_hash;
        meta.egress = self.egress;
        Ok(())
    }

    /// A packet whose headers were parsed before, or whose checksum is to be finished.
    #[inline(never)]
    fn push_known(&self, packet: &mut Mbuf) -> Result<(), DropReason> {
        if packet.meta().checksum == Checksum::Partial {
            finish_partial(packet)?;
        }
        self.push(packet)?;
        packet.meta_mut().shift(self.overhead_octets);
        Ok(())
    }
}
