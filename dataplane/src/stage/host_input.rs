//! From the host's own stack to the underlay: frames of a host port leave through its uplink as they are.
//!
//! Reads: `meta.ingress`. Writes: `meta.egress`.

use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use super::Cx;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};

const TX: u8 = 1;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "host-input",
    help: "sends what the host's own stack wrote through its uplink",
    kind: RowKind::Task,
    edges: &["drop", "tx"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    for (index, packet) in packets.iter_mut().enumerate() {
        let octets = packet.packet_octets();
        cx.counters.rx_octets(packet.meta().ingress, octets as u64);
        let meta = packet.meta_mut();
        let uplink = cx.tables.port(meta.ingress).map(|port| port.peer);
        let entry = uplink.and_then(|id| cx.tables.port(id));
        match (uplink, entry) {
            (Some(id), Some(entry)) if octets <= entry.max_frame_octets as usize => {
                meta.egress = id;
                edges.set(index, TX);
            }
            (_, Some(_)) => edges.drop(index, meta, DropReason::MtuExceeded),
            _ => edges.drop(index, meta, DropReason::NoRoute),
        }
    }
}
