//! From a container port to its network: the Ethernet header is checked, an 802.1Q tag removed, the network found.
//!
//! A bridge forwards what it does not understand: nothing beyond the Ethernet header is parsed here.
//! Reads: head. Writes: `meta.network`, `meta.place`, `meta.pair`, `meta.vlan`.

use overlay::fib::mac::{MacDestination, MacTable};
use overlay::fib::pair::RecentPairs;
use overlay::num::NetworkId;
use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use super::{Cx, bridge, vlan};
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{PortEntry, Tables};

const BRIDGE: u8 = 1;
const SUPPRESS: u8 = 2;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "access-input",
    help: "finds the network of a container's frame",
    kind: RowKind::Task,
    edges: &["drop", "bridge", "suppress"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    // A burst here comes from one receive queue, so all packets share the ingress port.
    let Some(ingress) = packets.first().map(|packet| packet.meta().ingress) else { return };
    let (tables, pairs) = (&*cx.tables, &cx.pairs);
    let Some(port) = tables.port(ingress) else { return };
    let network = port.network;
    let place = MacDestination::port(ingress, 0);
    let untagged = network.is_some();
    // Requests that may be answered here go to a group address: its bit, or none.
    let group = u8::from(tables.network(network).is_some_and(|network| network.suppress));
    let mut octets = 0;
    for (packet, edge) in edges.of(packets) {
        octets += packet.packet_octets() as u64;
        let Some(header) = packet.head().first_chunk::<14>() else {
            edge.drop(packet.meta_mut(), DropReason::EthernetTruncated);
            continue;
        };
        if header[6] & 1 != 0 {
            edge.drop(packet.meta_mut(), DropReason::SourceMacMulticast);
            continue;
        }
        let [.., high, low] = *header;
        let ethertype = u16::from_be_bytes([high, low]);
        if untagged && header[0] & group == 0 && ethertype != vlan::TPID && ethertype != vlan::TPID_SERVICE {
            let keys = MacTable::keys_of(network, header);
            bridge::prepare(pairs, packet.meta_mut(), network, place, keys);
            edge.take(BRIDGE);
            continue;
        }
        match careful(tables, pairs, port, packet, ethertype) {
            Ok(next) => edge.take(next),
            Err(reason) => edge.drop(packet.meta_mut(), reason),
        }
    }
    cx.counters.rx_octets(ingress, octets);
}

/// A frame with a tag, or one on a port that has only tagged networks, or one that may have to be answered.
#[inline(never)]
fn careful(
    tables: &Tables,
    pairs: &RecentPairs,
    port: &PortEntry,
    packet: &mut Mbuf,
    ethertype: u16,
) -> Result<u8, DropReason> {
    let (network, vid) = if ethertype == vlan::TPID {
        match vlan::pop(packet)? {
            // IEEE 802.1Q § 6.9: VID 0 says nothing of the VLAN, only of the priority.
            0 => (port.network, 0),
            vid => (port.tagged_network(vid).ok_or(DropReason::VlanUnknown)?, vid),
        }
    } else if ethertype == vlan::TPID_SERVICE {
        return Err(DropReason::VlanUnknown);
    } else {
        (port.network, 0)
    };
    if network == NetworkId::NONE {
        return Err(DropReason::NoNetwork);
    }
    let Some(header) = packet.head().first_chunk::<14>() else { return Err(DropReason::VlanTruncated) };
    let ethertype = u16::from_be_bytes([header[12], header[13]]);
    if ethertype == vlan::TPID || ethertype == vlan::TPID_SERVICE {
        // Networks carry untagged frames, and RFC 7348 § 6.1 wants no tag inside a tunnel.
        return Err(DropReason::VlanUnknown);
    }
    let suppress = tables.network(network).is_some_and(|entry| entry.suppress);
    let resolution = suppress && is_resolution(header, ethertype);
    let keys = MacTable::keys_of(network, header);
    let meta = packet.meta_mut();
    meta.vlan = vid;
    bridge::prepare(pairs, meta, network, MacDestination::port(meta.ingress, vid), keys);
    Ok(if resolution { SUPPRESS } else { BRIDGE })
}

/// Whether the frame may be an ARP request or a neighbour solicitation: those go to a group address.
#[inline]
fn is_resolution(header: &[u8; 14], ethertype: u16) -> bool {
    const ARP: u16 = 0x0806;
    const IPV6: u16 = 0x86dd;
    match ethertype {
        ARP => true,
        IPV6 => header.starts_with(&[0x33, 0x33, 0xff]),
        _ => false,
    }
}
