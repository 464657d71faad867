//! Push: into the tunnel that the bridge or the flood chose, towards the tunnel's next hop. RFC 7348 § 4, § 5.
//!
//! Reads: `meta.tunnel`, `meta.network`. Writes: `meta.flow_hash`, `meta.egress`, outer headers.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{MacAddr, NeighbourId};
use overlay::packet::checksum::finish_partial;
use overlay::packet::flow::flow_hash;
use overlay::packet::{Checksum, PacketBuf};
use overlay::reason::DropReason;

use super::Cx;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::Tables;

const TX: u8 = 1;
const PARK: u8 = 2;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "vxlan-encap",
    help: "puts VXLAN headers before the frame",
    kind: RowKind::Task,
    edges: &["drop", "tx", "park"],
    process: Process::Each(process),
};

/// A next hop that was looked up in this burst.
#[derive(Clone, Copy)]
struct NextHop {
    id: NeighbourId,
    mac: MacAddr,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let mut next_hop = NextHop { id: NeighbourId::NONE, mac: MacAddr::ZERO };
    for (index, packet) in packets.iter_mut().enumerate() {
        let octets = packet.packet_octets();
        let tunnel = packet.meta().tunnel;
        match push(&cx.tables, packet, octets, &mut next_hop, cx.now.secs) {
            Ok(edge) => {
                edges.set(index, edge);
                if edge == TX
                    && let Some(counters) = cx.counters.tunnels.get_mut(tunnel.index())
                {
                    counters.tx_packets += 1;
                    counters.tx_octets += octets as u64;
                }
            }
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
}

#[inline]
fn push(
    tables: &Tables,
    packet: &mut Mbuf,
    octets: usize,
    next_hop: &mut NextHop,
    now_secs: u32,
) -> Result<u8, DropReason> {
    let meta = packet.meta();
    let Some(tunnel) = tables.tunnel(meta.tunnel) else { return Err(DropReason::NoRoute) };
    let (Some(encap), Some(network)) = (&tunnel.encap, tables.network(meta.network)) else {
        return Err(DropReason::NoRoute);
    };
    if octets > tunnel.max_inner_octets as usize {
        return Err(DropReason::MtuExceeded);
    }
    if tunnel.neighbour != next_hop.id {
        match tables.neighbours.get(tunnel.neighbour) {
            Neighbour::Resolved(mac) => *next_hop = NextHop { id: tunnel.neighbour, mac },
            Neighbour::Unresolved | Neighbour::Failed => return Ok(PARK),
        }
        tables.neighbours.touch(tunnel.neighbour, now_secs);
    }
    if meta.checksum == Checksum::Partial {
        finish_partial(packet)?;
    }
    let head = packet.head();
    let ethertype = head.get(12..14).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    let hash = flow_hash(head, ethertype, 14);
    encap.push(packet, network.vni, next_hop.mac, hash)?;
    let meta = packet.meta_mut();
    meta.flow_hash = hash;
    meta.egress = tunnel.egress;
    Ok(TX)
}
