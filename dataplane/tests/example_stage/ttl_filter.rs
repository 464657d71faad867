//! From a container, before the bridge: IP packets that would not survive the next router are dropped here.
//!
//! Reads: head. Writes: nothing.

use overlay::packet::{PacketBuf, layout};
use overlay::reason::DropReason;

use dataplane::dpdk::Mbuf;
use dataplane::graph::{Edges, Process, RowKind, Spec};
use dataplane::stage::Cx;

/// Packets below this TTL or hop limit are dropped.
const TTL_MIN: u8 = 2;

const BRIDGE: u8 = 1;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "ttl-filter",
    help: "drops packets whose TTL has run out",
    kind: RowKind::Task,
    edges: &["drop", "bridge"],
    process: Process::Each(process),
};

fn process(_: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    for (index, packet) in packets.iter_mut().enumerate() {
        if lives(packet) {
            edges.set(index, BRIDGE);
        } else {
            edges.drop(index, packet.meta_mut(), DropReason::Loop);
        }
    }
}

/// Whether the packet is to go on. A bridge forwards what it does not understand: only what is IP for certain can fail.
fn lives(packet: &impl PacketBuf) -> bool {
    let head = packet.head();
    let Ok(ethernet) = layout::ethernet(head) else { return true };
    let ip = layout::ip_of(head, &ethernet, packet.packet_octets());
    !matches!(ip, Some(Ok(ip)) if ip.ttl < TTL_MIN)
}

#[cfg(test)]
mod tests {
    use overlay::packet::VecBuf;

    use super::*;

    #[test]
    fn only_ip_whose_ttl_has_run_out_is_dropped() {
        let mut frame = [0; 34];
        frame[12..].copy_from_slice(&[8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 2, 17, 0xa4, 0xd7, 10, 0, 0, 1, 10, 0, 0, 2]);
        assert!(lives(&VecBuf::from_octets(&frame)));
        frame[22] = 1;
        frame[24] += 1; // The header checksum, by the same difference.
        assert!(!lives(&VecBuf::from_octets(&frame)));
        frame[13] = 6; // ARP, whatever follows.
        assert!(lives(&VecBuf::from_octets(&frame)));
    }
}
