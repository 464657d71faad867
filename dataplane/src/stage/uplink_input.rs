//! From the underlay: what is tunnelled to us, what asks something of us, what is for the host, and what is nobody's.
//!
//! Reads: outer headers. Writes: `cx.outer` for the decap stage, by the packet's place in the burst (`meta.session`).

use overlay::num::MacAddr;
use overlay::packet::outer::{Arrival, OuterUdp, classify};
use overlay::packet::{Checksum, PacketBuf};
use overlay::reason::DropReason;
use overlay::wire::protocol;

use super::Cx;
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::graph::{Edges, Process, RowKind, Spec};

const DECAP: u8 = 1;
const RESPOND: u8 = 2;
const PUNT: u8 = 3;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "uplink-input",
    help: "tells tunnelled packets, packets to weir and packets to the host apart",
    kind: RowKind::Task,
    edges: &["drop", "vxlan-decap", "respond", "punt"],
    process: Process::Each(process),
};

/// The outer headers of the burst's packets, from here to the decap stage.
pub(super) type OuterBurst = [Option<OuterUdp>; BURST_MAX];

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    // A burst here comes from one receive queue, so all packets share the ingress port.
    let Some(ingress) = packets.first().map(|packet| packet.meta().ingress) else { return };
    let Some(port) = cx.tables.port(ingress) else { return };
    let mut octets = 0;
    for (index, packet) in packets.iter_mut().enumerate() {
        octets += packet.packet_octets() as u64;
        if packet.meta().checksum == Checksum::Bad {
            edges.drop(index, packet.meta_mut(), DropReason::UdpChecksum);
            continue;
        }
        if !is_for(packet.head(), port.mac) {
            let reason = if packet.head().len() < 14 { DropReason::EthernetTruncated } else { DropReason::NotForUs };
            edges.drop(index, packet.meta_mut(), reason);
            continue;
        }
        match classify(packet.head(), packet.packet_octets(), &cx.tables.underlay) {
            Ok(Arrival::Vxlan(outer)) => {
                if let Some(slot) = cx.outer.get_mut(index) {
                    *slot = Some(outer);
                }
                packet.meta_mut().session = index as u32;
                edges.set(index, DECAP);
            }
            Ok(Arrival::Arp | Arrival::Nd(_)) => edges.set(index, RESPOND),
            Ok(Arrival::Ipv4(ip)) if ip.protocol == protocol::ICMP && !ip.fragment => edges.set(index, RESPOND),
            Ok(Arrival::Ipv6(ip)) if ip.protocol == protocol::ICMPV6 && !ip.fragment => edges.set(index, RESPOND),
            Ok(Arrival::Ipv4(_) | Arrival::Ipv6(_)) => edges.set(index, PUNT),
            Ok(Arrival::Other) => edges.drop(index, packet.meta_mut(), DropReason::NotForUs),
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
    cx.counters.rx_octets(ingress, octets);
}

/// Whether the frame is addressed to `mac` or to a group.
#[inline]
fn is_for(head: &[u8], mac: MacAddr) -> bool {
    head.first_chunk::<6>().is_some_and(|destination| *destination == mac.0 || destination[0] & 1 != 0)
}
