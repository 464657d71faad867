//! Pop: from a tunnel to its network. RFC 7348 § 4.2, § 5.
//!
//! Reads: `cx.outer`. Writes: `meta.network`, `meta.tunnel`, `Flags::FROM_TUNNEL`.

use std::net::IpAddr;

use overlay::fib::mac::{BurstReader, MacTable};
use overlay::num::{NetworkId, TunnelId, Vni};
use overlay::packet::PacketBuf;
use overlay::packet::outer::OuterUdp;
use overlay::reason::DropReason;
use overlay::tunnel::vxlan;

use super::uplink_input::OuterBurst;
use super::{Cx, bridge};
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::Tables;

const BRIDGE: u8 = 1;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "vxlan-decap",
    help: "checks and removes VXLAN, finds the network of the VNI",
    kind: RowKind::Task,
    edges: &["drop", "bridge"],
    process: Process::Each(process),
};

/// The last answer: packets of a burst tend to come from one VTEP for one network.
struct Known {
    vni: Vni,
    source: IpAddr,
    network: NetworkId,
    tunnel: TunnelId,
}

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let mut known = None;
    let macs = cx.tables.macs.burst();
    for (index, packet) in packets.iter_mut().enumerate() {
        let octets = packet.packet_octets();
        match pop(&cx.tables, &cx.outer, &macs, packet, &mut known) {
            Ok(tunnel) => {
                if let Some(counters) = cx.counters.tunnels.get_mut(tunnel.index()) {
                    counters.rx_packets += 1;
                    counters.rx_octets += octets as u64;
                }
                edges.set(index, BRIDGE);
            }
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
}

#[inline]
fn pop(
    tables: &Tables,
    outer: &OuterBurst,
    macs: &BurstReader<'_>,
    packet: &mut Mbuf,
    known: &mut Option<Known>,
) -> Result<TunnelId, DropReason> {
    let place = packet.meta().session as usize;
    let Some(Some(outer)) = outer.get(place) else { return Err(DropReason::VxlanTruncated) };
    let vni = vxlan::inspect(outer)?;
    let answer = match known {
        Some(answer) if answer.vni == vni && answer.source == outer.source() => answer,
        _ => known.insert(look_up(tables, vni, outer)?),
    };
    vxlan::pop_inspected(packet, outer, &tables.vxlan)?;
    let Some(header) = packet.head().first_chunk::<14>() else { return Err(DropReason::VxlanInnerTruncated) };
    let keys = MacTable::keys_of(answer.network, header);
    if keys[1].is_multicast() {
        return Err(DropReason::SourceMacMulticast);
    }
    let meta = packet.meta_mut();
    meta.tunnel = answer.tunnel;
    meta.session = 0;
    bridge::prepare(macs, meta, answer.network, keys);
    Ok(answer.tunnel)
}

#[inline]
fn look_up(tables: &Tables, vni: Vni, outer: &OuterUdp) -> Result<Known, DropReason> {
    let network = tables.vnis.lookup(vni).ok_or(DropReason::VxlanVniUnknown)?;
    let tunnel = tables.vteps.lookup(outer.source()).ok_or(DropReason::VxlanVtepUnknown)?;
    if tables.network(network).is_some_and(|entry| entry.has_tunnel(tunnel)) {
        Ok(Known { vni, source: outer.source(), network, tunnel })
    } else {
        Err(DropReason::VxlanVtepUnknown)
    }
}
