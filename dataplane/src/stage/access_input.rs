//! From a container port to its network: the Ethernet header is checked, an 802.1Q tag removed, the network found.
//!
//! A bridge forwards what it does not understand: nothing beyond the Ethernet header is parsed here.
//! Reads: head. Writes: `meta.network`, `meta.vlan`.

use overlay::num::NetworkId;
use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use super::{Cx, vlan};
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
    let Some(port) = cx.tables.port(ingress) else { return };
    let suppress = cx.tables.network(port.network).is_some_and(|network| network.suppress);
    for (index, packet) in packets.iter_mut().enumerate() {
        let (ethertype, source) = match packet.head().first_chunk::<14>() {
            Some(header) => (u16::from_be_bytes([header[12], header[13]]), header[6]),
            None => {
                edges.drop(index, packet.meta_mut(), DropReason::EthernetTruncated);
                continue;
            }
        };
        if source & 1 != 0 {
            edges.drop(index, packet.meta_mut(), DropReason::SourceMacMulticast);
            continue;
        }
        if port.network.is_some() && ethertype != vlan::TPID && ethertype != vlan::TPID_SERVICE {
            packet.meta_mut().network = port.network;
            edges.set(index, if suppress && is_resolution(packet.head(), ethertype) { SUPPRESS } else { BRIDGE });
        } else {
            match tagged(&cx.tables, port, packet, ethertype) {
                Ok(edge) => edges.set(index, edge),
                Err(reason) => edges.drop(index, packet.meta_mut(), reason),
            }
        }
    }
}

/// A frame with a tag, or an untagged one on a port that has only tagged networks.
#[cold]
fn tagged(tables: &Tables, port: &PortEntry, packet: &mut Mbuf, ethertype: u16) -> Result<u8, DropReason> {
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
    let meta = packet.meta_mut();
    meta.network = network;
    meta.vlan = vid;
    let suppress = tables.network(network).is_some_and(|entry| entry.suppress);
    let inner = packet.head().get(12..14).map_or(0, |octets| u16::from_be_bytes([octets[0], octets[1]]));
    Ok(if suppress && is_resolution(packet.head(), inner) { SUPPRESS } else { BRIDGE })
}

/// Whether the frame may be an ARP request or a neighbour solicitation: those go to a group address.
#[inline]
fn is_resolution(head: &[u8], ethertype: u16) -> bool {
    const ARP: u16 = 0x0806;
    const IPV6: u16 = 0x86dd;
    match ethertype {
        ARP => true,
        IPV6 => head.first_chunk::<3>().is_some_and(|destination| *destination == [0x33, 0x33, 0xff]),
        _ => false,
    }
}
