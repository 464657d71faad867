//! The bridge of every network: learns where source addresses are, and finds where destinations are.
//!
//! Two passes, as for every table: all keys first, with their buckets prefetched, then all look-ups.
//! Reads: MAC addresses, `meta.network`. Writes: `meta.egress` or `meta.tunnel`. IEEE 802.1Q § 8.6, § 8.7.

use overlay::fib::mac::{MacDestination, MacKey, MacTable, MacTarget};
use overlay::num::{MacAddr, NetworkId, PortId};
use overlay::packet::{Flags, Meta, PacketBuf};
use overlay::reason::DropReason;

use super::Cx;
use super::vlan::push as tag;
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::graph::{Edges, Process, RowKind, Spec};
use crate::tables::{Role, Tables};

const TX: u8 = 1;
const ENCAP: u8 = 2;
const FLOOD: u8 = 3;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "bridge",
    help: "learns source addresses, looks destinations up",
    kind: RowKind::Task,
    edges: &["drop", "tx", "vxlan-encap", "flood"],
    process: Process::Each(process),
};

/// The keys of one packet's two addresses.
#[derive(Clone, Copy)]
struct Keys {
    source: MacKey,
    destination: MacKey,
}

/// The key that no station has: found nowhere.
const NOBODY: MacKey = MacTable::key(NetworkId(0), MacAddr::ZERO);

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let mut keys = [Keys { source: NOBODY, destination: NOBODY }; BURST_MAX];
    for (slot, packet) in keys.iter_mut().zip(packets.iter()) {
        let Some(addresses) = packet.head().first_chunk::<12>() else { continue };
        let network = packet.meta().network;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *addresses;
        slot.destination = MacTable::key(network, MacAddr([d0, d1, d2, d3, d4, d5]));
        slot.source = MacTable::key(network, MacAddr([s0, s1, s2, s3, s4, s5]));
        cx.tables.macs.prefetch(slot.destination);
        cx.tables.macs.prefetch(slot.source);
    }
    for (index, (packet, keys)) in packets.iter_mut().zip(&keys).enumerate() {
        let octets = packet.packet_octets();
        learn(cx, packet.meta(), keys.source);
        if let Some(network) = cx.counters.networks.get_mut(packet.meta().network.index()) {
            network.packets += 1;
            network.octets += octets as u64;
        }
        match forward(&cx.tables, packet, keys.destination, octets) {
            Ok(edge) => edges.set(index, edge),
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
}

/// Makes sure that the source address is known to be where the packet came from.
#[inline]
pub(super) fn learn(cx: &mut Cx, meta: &Meta, key: MacKey) {
    let here = if meta.flags.contains(Flags::FROM_TUNNEL) {
        MacDestination::tunnel(meta.tunnel)
    } else {
        MacDestination::port(meta.ingress, meta.vlan)
    };
    match cx.tables.macs.lookup(key) {
        Some(hit) if hit.destination.same_place(here) || hit.destination.is_static() => {
            cx.tables.macs.touch(hit.slot, cx.now.secs);
        }
        _ => {
            if cx.tables.network(meta.network).is_some_and(|network| network.learning) {
                cx.learn(key, here);
            }
        }
    }
}

/// Where the frame goes.
#[inline]
fn forward(tables: &Tables, packet: &mut Mbuf, key: MacKey, octets: usize) -> Result<u8, DropReason> {
    if key.mac().is_multicast() {
        return if is_reserved(key) { Err(DropReason::ReservedMac) } else { Ok(FLOOD) };
    }
    let Some(hit) = tables.macs.lookup(key) else { return Ok(FLOOD) };
    match hit.destination.target() {
        MacTarget::Port(port, vlan) => to_port(tables, packet, port, vlan, octets),
        MacTarget::Tunnel(tunnel) => {
            let meta = packet.meta_mut();
            if meta.flags.contains(Flags::FROM_TUNNEL) {
                return Err(DropReason::SplitHorizon);
            }
            meta.tunnel = tunnel;
            Ok(ENCAP)
        }
    }
}

#[inline]
fn to_port(tables: &Tables, packet: &mut Mbuf, port: PortId, vlan: u16, octets: usize) -> Result<u8, DropReason> {
    let Some(entry) = tables.port(port).filter(|entry| entry.role != Role::Vacant) else {
        return Err(DropReason::PortDown);
    };
    let meta = packet.meta_mut();
    if meta.ingress == port && meta.vlan == vlan && !meta.flags.contains(Flags::FROM_TUNNEL) {
        return Err(DropReason::SamePort);
    }
    if entry.isolated && isolates(tables, meta) {
        return Err(DropReason::Isolated);
    }
    let tag_octets = if vlan == 0 { 0 } else { 4 };
    if octets + tag_octets > entry.max_frame_octets as usize {
        return Err(DropReason::MtuExceeded);
    }
    meta.egress = port;
    if vlan != 0 {
        tag(packet, vlan)?;
    }
    Ok(TX)
}

/// Whether the packet came from an isolated port; tunnels are not isolated.
pub(super) fn isolates(tables: &Tables, meta: &Meta) -> bool {
    !meta.flags.contains(Flags::FROM_TUNNEL) && tables.port(meta.ingress).is_some_and(|port| port.isolated)
}

/// 01-80-C2-00-00-00 to -0F: between bridges, never forwarded (IEEE 802.1Q § 8.6.3, table 8-1).
fn is_reserved(key: MacKey) -> bool {
    key.mac().to_u64() & !0x0f == 0x0180_c200_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_addresses_are_sixteen() {
        let key = |text: &str| MacTable::key(NetworkId(7), text.parse().unwrap());
        assert!(is_reserved(key("01:80:c2:00:00:00")));
        assert!(is_reserved(key("01:80:c2:00:00:0f")));
        assert!(!is_reserved(key("01:80:c2:00:00:10")));
        assert!(!is_reserved(key("ff:ff:ff:ff:ff:ff")));
    }
}
