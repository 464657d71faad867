//! From the underlay: what is tunnelled to us, what asks something of us, what is for the host, and what is nobody's.
//!
//! Reads: outer headers. Writes, of what is tunnelled: `meta.l4_offset`, where the decap stage finds the UDP header; or
//! `meta.network` and `meta.tunnel`, if it is like something that was decapsulated lately and has passed all receive checks.

use overlay::num::{MacAddr, PortId};
use overlay::packet::outer::{Arrival, classify};
use overlay::packet::{Checksum, PacketBuf, Ways};
use overlay::reason::DropReason;
use overlay::tunnel::vxlan::RecentOuters;
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
    let mut input = Input { outers: &cx.outers, ingress, octets: 0 };
    edges.by_runs(packets, &mut input, usual, |input, packet| {
        input.octets += packet.packet_octets() as u64;
        other(tables, mac, packet)
    });
    let octets = input.octets;
    cx.counters.rx_octets(ingress, octets);
}

/// What the packets of a burst share, and the sum of their octets.
struct Input<'a> {
    outers: &'a RecentOuters,
    ingress: PortId,
    octets: u64,
}

/// What is like something that was decapsulated lately.
#[inline(never)]
fn usual(input: &mut Input<'_>, packets: &mut [Mbuf], edges: &mut [u8]) -> usize {
    let Input { outers, ingress, .. } = *input;
    let (mut count, mut octets) = (0, 0);
    for (packet, edge) in packets.iter_mut().zip(edges) {
        let packet = &mut packet.at_hand();
        if !matches!(packet.meta().checksum, Checksum::Unknown | Checksum::Good) {
            break;
        }
        let length = packet.packet_octets() as u64;
        let Some((network, tunnel)) = outers.find(packet, ingress) else { break };
        packet.set_ways(Ways::through(ingress, network, tunnel));
        *edge = DECAP;
        octets += length;
        count += 1;
    }
    input.octets += octets;
    count
}

/// What was not seen before.
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
