//! Broadcast, unknown and multicast: one copy to every other member of the network, one to every VTEP (head-end
//! replication, RFC 7348 § 4.2). What came from a tunnel goes to ports only (split horizon).
//!
//! Copies are whole: a packet's octets belong to one place at a time, so every stage may write to them.
//! Reads: `meta.network`. Writes: `meta.egress`, `meta.tunnel` of each copy.

use overlay::num::{PortId, TunnelId};
use overlay::packet::{Flags, PacketBuf};
use overlay::reason::DropReason;

use super::{Cx, bridge, vlan};
use crate::dpdk::{BURST_MAX, Burst, Mbuf};
use crate::graph::{Out, Process, RowKind, Spec};
use crate::tables::{Member, NetworkEntry, Tables};

const TX: u8 = 1;
const ENCAP: u8 = 2;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "flood",
    help: "copies broadcast, unknown and multicast to all members and VTEPs",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap"],
    process: Process::Own(process),
};

/// Where one copy goes.
#[derive(Clone, Copy)]
enum Way {
    Port(PortId, u16),
    Tunnel(TunnelId),
}

fn process(cx: &mut Cx, burst: &mut Burst, out: &mut Out<'_>) {
    let tables = std::sync::Arc::clone(&cx.tables);
    while let Some(network_id) = burst.as_slice().first().map(|packet| packet.meta().network) {
        let Some(network) = tables.network(network_id) else {
            let Some(packet) = burst.take_front(1).pop() else { return };
            out.drop(packet, DropReason::NoNetwork);
            continue;
        };
        // Stop where a whole fan-out might spill over; the engine comes back when the stages behind have run.
        let fan_out = (network.members.len() + network.tunnels.len()).min(BURST_MAX);
        if out.room(TX) < fan_out || out.room(ENCAP) < fan_out {
            return;
        }
        let Some(packet) = burst.take_front(1).pop() else { return };
        if !cx.storm_allows(network_id, packet.meta().ingress) {
            out.drop(packet, DropReason::StormLimit);
            continue;
        }
        if let Some(counters) = cx.counters.networks.get_mut(network_id.index()) {
            counters.flooded += 1;
        }
        replicate(cx, &tables, network, packet, out);
    }
}

/// Sends a copy each way but the last, and the packet itself there.
fn replicate(cx: &mut Cx, tables: &Tables, network: &NetworkEntry, packet: Mbuf, out: &mut Out<'_>) {
    let mut last = None;
    for way in ways(tables, network, &packet) {
        if let Some(previous) = last.replace(way) {
            cx.counters.totals.created += 1;
            match packet.copy(&cx.pool) {
                Some(copy) => send(copy, previous, tables, out),
                None => cx.counters.drop(packet.meta().ingress, DropReason::NoMbuf, 1),
            }
        }
    }
    match last {
        Some(way) => send(packet, way, tables, out),
        None => out.drop(packet, DropReason::FloodEmpty),
    }
}

/// All ways but the one it came by.
fn ways<'a>(tables: &'a Tables, network: &'a NetworkEntry, packet: &Mbuf) -> impl Iterator<Item = Way> + use<'a> {
    let meta = *packet.meta();
    let from_tunnel = meta.flags.contains(Flags::FROM_TUNNEL);
    let isolated = bridge::isolates(tables, &meta);
    let source = Member { port: meta.ingress, vlan: meta.vlan };
    let ports = network.members.iter().filter(move |member| {
        (from_tunnel || **member != source) && !(isolated && tables.port(member.port).is_some_and(|port| port.isolated))
    });
    let tunnels: &[TunnelId] = if from_tunnel { &[] } else { &network.tunnels };
    ports.map(|member| Way::Port(member.port, member.vlan)).chain(tunnels.iter().map(|tunnel| Way::Tunnel(*tunnel)))
}

fn send(mut packet: Mbuf, way: Way, tables: &Tables, out: &mut Out<'_>) {
    match way {
        Way::Tunnel(tunnel) => {
            packet.meta_mut().tunnel = tunnel;
            out.emit(ENCAP, packet);
        }
        Way::Port(port, vid) => {
            packet.meta_mut().egress = port;
            let limit = tables.port(port).map_or(0, |entry| entry.max_frame_octets as usize);
            if packet.packet_octets() > limit {
                out.drop(packet, DropReason::MtuExceeded);
                return;
            }
            match if vid == 0 { Ok(()) } else { vlan::push(&mut packet, vid) } {
                Ok(()) => out.emit(TX, packet),
                Err(reason) => out.drop(packet, reason),
            }
        }
    }
}
