//! Push: into the tunnel that the bridge or the flood chose, towards the tunnel's next hop. RFC 7348 § 4, § 5.
//!
//! Reads: `meta.tunnel`, `meta.network`. Writes: `meta.flow_hash`, `meta.egress`, outer headers.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{MacAddr, NetworkId, PortId, TunnelId, Vni};
use overlay::packet::checksum::finish_partial;
use overlay::packet::flow::flow_hash;
use overlay::packet::{Checksum, PacketBuf};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::VxlanEncap;

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

/// The way that the packet before took: most packets of a burst go into one tunnel of one network.
struct Way<'a> {
    tunnel: TunnelId,
    network: NetworkId,
    encap: &'a VxlanEncap,
    vni: Vni,
    next_hop: MacAddr,
    egress: PortId,
    max_inner_octets: u32,
}

/// Packets into one tunnel in a row, counted together.
#[derive(Default)]
struct Run {
    tunnel: TunnelId,
    packets: u64,
    octets: u64,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let (tables, now_secs) = (&*cx.tables, cx.now.secs);
    let mut way: Option<Way<'_>> = None;
    let mut run = Run::default();
    for (index, packet) in packets.iter_mut().enumerate() {
        let octets = packet.packet_octets();
        let meta = packet.meta();
        let way = match &way {
            Some(way) if way.tunnel == meta.tunnel && way.network == meta.network => way,
            _ => match find(tables, meta.tunnel, meta.network, now_secs) {
                Ok(Some(found)) => {
                    run.restart(meta.tunnel, &mut cx.counters.tunnels);
                    way.insert(found)
                }
                Ok(None) => {
                    edges.set(index, PARK);
                    continue;
                }
                Err(reason) => {
                    edges.drop(index, packet.meta_mut(), reason);
                    continue;
                }
            },
        };
        match way.push(packet, octets) {
            Ok(()) => {
                edges.set(index, TX);
                run.packets += 1;
                run.octets += octets as u64;
            }
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
    run.close(&mut cx.counters.tunnels);
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
    Ok(Some(Way { tunnel, network, encap, vni, next_hop, egress, max_inner_octets }))
}

impl Way<'_> {
    #[inline(always)]
    fn push(&self, packet: &mut Mbuf, octets: usize) -> Result<(), DropReason> {
        if octets > self.max_inner_octets as usize {
            return Err(DropReason::MtuExceeded);
        }
        if packet.meta().checksum == Checksum::Partial {
            finish_partial(packet)?;
        }
        let head = packet.head();
        let ethertype = match head.first_chunk::<14>() {
            Some([.., high, low]) => u16::from_be_bytes([*high, *low]),
            None => 0,
        };
        let hash = flow_hash(head, ethertype, 14);
        self.encap.push(packet, self.vni, self.next_hop, hash)?;
        let meta = packet.meta_mut();
        meta.flow_hash = hash;
        meta.egress = self.egress;
        Ok(())
    }
}

impl Run {
    #[cold]
    fn restart(&mut self, tunnel: TunnelId, counters: &mut [TunnelCounters]) {
        self.close(counters);
        *self = Self { tunnel, ..Self::default() };
    }

    fn close(&self, counters: &mut [TunnelCounters]) {
        if let Some(counter) = counters.get_mut(self.tunnel.index()) {
            counter.tx_packets += self.packets;
            counter.tx_octets += self.octets;
        }
    }
}
