//! To the host's own stack: the frame goes out of the uplink's host port as it came in.
//!
//! Reads: `meta.ingress`. Writes: `meta.egress`.

use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use super::Cx;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};

const TX: u8 = 1;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "punt",
    help: "gives packets to the host's own stack",
    kind: RowKind::Task,
    edges: &["drop", "tx"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    for (index, packet) in packets.iter_mut().enumerate() {
        let host = cx.tables.port(packet.meta().ingress).map_or_else(Default::default, |port| port.peer);
        let limit = cx.tables.port(host).map(|entry| entry.max_frame_octets as usize);
        let octets = packet.packet_octets();
        let meta = packet.meta_mut();
        match limit {
            None => edges.drop(index, meta, DropReason::HostAbsent),
            Some(limit) if octets > limit => edges.drop(index, meta, DropReason::MtuExceeded),
            Some(_) if !cx.punt_allowed() => edges.drop(index, meta, DropReason::HostRateLimit),
            Some(_) => {
                meta.egress = host;
                edges.set(index, TX);
            }
        }
    }
}
