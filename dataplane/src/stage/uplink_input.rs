//! From the underlay: what is tunnelled to us, what asks something of us, what is for the host, and what is nobody's.
//!
//! Reads: outer headers. Writes: `meta.l4_offset` of what is tunnelled: where the decap stage finds the UDP header.

use overlay::num::MacAddr;
use overlay::packet::outer::{Arrival, classify, vxlan_offset};
use overlay::packet::{Checksum, PacketBuf};
use overlay::reason::DropReason;
use overlay::wire::{ethernet, protocol};

use super::Cx;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::Tables;

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

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    // A burst here comes from one receive queue, so all packets share the ingress port.
    let Some(ingress) = packets.first().map(|packet| packet.meta().ingress) else { return };
    let tables = &*cx.tables;
    let Some(port) = tables.port(ingress) else { return };
    let mac = port.mac;
    let mut octets = 0;
    for (packet, edge) in edges.of(packets) {
        octets += packet.packet_octets() as u64;
        let head = packet.head();
        if packet.meta().checksum != Checksum::Bad
            && is_for(head, mac)
            && let Some(offset) = vxlan_offset(head, packet.packet_octets(), &tables.underlay)
        {
            packet.meta_mut().l4_offset = offset;
            edge.take(DECAP);
            continue;
        }
        match other(tables, mac, packet) {
            Ok(next) => edge.take(next),
            Err(reason) => edge.drop(packet.meta_mut(), reason),
        }
    }
    cx.counters.rx_octets(ingress, octets);
}

/// What is not VXLAN as usual.
#[inline(never)]
fn other(tables: &Tables, mac: MacAddr, packet: &mut Mbuf) -> Result<u8, DropReason> {
    if packet.meta().checksum == Checksum::Bad {
        return Err(DropReason::UdpChecksum);
    }
    if !is_for(packet.head(), mac) {
        let truncated = packet.head().len() < ethernet::HEADER_OCTETS;
        return Err(if truncated { DropReason::EthernetTruncated } else { DropReason::NotForUs });
    }
    match classify(packet.head(), packet.packet_octets(), &tables.underlay)? {
        Arrival::Vxlan(outer) => {
            packet.meta_mut().l4_offset = outer.udp_offset;
            Ok(DECAP)
        }
        Arrival::Arp | Arrival::Nd(_) => Ok(RESPOND),
        Arrival::Ipv4(ip) if ip.protocol == protocol::ICMP && !ip.fragment => Ok(RESPOND),
        Arrival::Ipv6(ip) if ip.protocol == protocol::ICMPV6 && !ip.fragment => Ok(RESPOND),
        Arrival::Ipv4(_) | Arrival::Ipv6(_) => Ok(PUNT),
        Arrival::Other => Err(DropReason::NotForUs),
    }
}

/// Whether the frame is addressed to `mac` or to a group.
#[inline(always)]
fn is_for(head: &[u8], mac: MacAddr) -> bool {
    head.first_chunk::<6>().is_some_and(|destination| *destination == mac.0 || destination[0] & 1 != 0)
}
