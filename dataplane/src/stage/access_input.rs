//! From a container port to its network: the Ethernet header is checked, an 802.1Q tag removed, the network found. Between
//! stations that were bridged a moment ago packets take the [`shortcut`].
//!
//! A bridge forwards what it does not understand: nothing beyond the Ethernet header is parsed here.
//! Reads: head. Writes: `meta.network`, `meta.pair`, `meta.vlan`; what the [`shortcut`] does.

use overlay::fib::mac::MacDestination;
use overlay::fib::pair::{Context, PairReader};
use overlay::num::NetworkId;
use overlay::packet::{PacketBuf, Ways};
use overlay::reason::DropReason;

use super::shortcut::{BRIDGE, Sum};
use super::{Cx, shortcut, vlan};
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{PortEntry, Tables};

const SUPPRESS: u8 = 4;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "access-input",
    help: "finds the network; known pairs go past the bridge",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap", "bridge", "suppress"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    // A burst here comes from one receive queue, so all packets share the ingress port.
    let Some(ingress) = packets.first().map(|packet| packet.meta().ingress) else { return };
    cx.pairs.begin(&cx.tables.macs, cx.now.secs);
    let (tables, pairs) = (&*cx.tables, cx.pairs.reader());
    let Some(port) = tables.port(ingress) else { return };
    let network = port.network;
    let context = pairs.context(network, MacDestination::port(ingress, 0));
    let mut input = Input { pairs, here: Ways::new(ingress, network), context, taken: Sum::default(), other_octets: 0 };
    let other = |input: &mut Input<'_>, packet: &mut Mbuf| {
        input.other_octets += packet.packet_octets() as u64;
        careful(tables, pairs, port, packet)
    };
    edges.by_runs(packets, &mut input, usual, other);
    let Input { taken, other_octets, .. } = input;
    taken.count(network, &mut cx.counters.networks);
    cx.counters.rx_octets(ingress, taken.octets + other_octets);
}

/// What the packets of a burst share, and their sums.
struct Input<'a> {
    pairs: PairReader<'a>,
    here: Ways,
    context: Context,
    /// What took the shortcut.
    taken: Sum,
    /// What did not.
    other_octets: u64,
}

/// Frames between stations that were bridged a moment ago.
#[inline(never)]
fn usual(input: &mut Input<'_>, packets: &mut [Mbuf], edges: &mut [u8]) -> usize {
    let Input { pairs, here, context, .. } = *input;
    let (mut count, mut octets) = (0, 0);
    for (packet, edge) in packets.iter_mut().zip(edges) {
        let packet = &mut packet.at_hand();
        let Some(header) = packet.head().first_chunk() else { break };
        let length = packet.packet_octets();
        let Some(way) = shortcut::find(pairs, header, length, context) else { break };
        *edge = way.take(packet, here);
        octets += length as u64;
        count += 1;
    }
    input.taken.add(count, octets);
    count
}

/// A frame with a tag, or one on a port that has only tagged networks, or one that may have to be answered or dropped.
#[inline(never)]
fn careful(tables: &Tables, pairs: PairReader<'_>, port: &PortEntry, packet: &mut Mbuf) -> Result<u8, DropReason> {
    let Some(header) = packet.head().first_chunk::<14>() else { return Err(DropReason::EthernetTruncated) };
    if header[6] & 1 != 0 {
        return Err(DropReason::SourceMacMulticast);
    }
    let ethertype = u16::from_be_bytes([header[12], header[13]]);
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
    let ingress = packet.meta().ingress;
    let pair = pairs.ask(header, pairs.context(network, MacDestination::port(ingress, vid)));
    let meta = packet.meta_mut();
    meta.vlan = vid;
    meta.network = network;
    meta.pair = pair;
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
