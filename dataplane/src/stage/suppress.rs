//! ARP and ND suppression: a question for a known binding is answered here instead of being flooded through all tunnels.
//! RFC 826, RFC 4861; the rules of who is answered are `overlay::reply`'s.
//!
//! Reads: `meta.network`. Writes: the answer, `meta.egress`.

use overlay::fib::mac::MacTable;
use overlay::packet::{Meta, PacketBuf};
use overlay::reply::{self, Discovery};

use super::{Cx, bridge, vlan};
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};

const TX: u8 = 1;
const BRIDGE: u8 = 2;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "suppress",
    help: "answers ARP and ND for known bindings",
    kind: RowKind::Task,
    edges: &["drop", "tx", "bridge"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    for (index, packet) in packets.iter_mut().enumerate() {
        let Some((discovery, owner)) = question(cx, packet) else {
            edges.set(index, BRIDGE);
            continue;
        };
        if !cx.suppress_allowed() {
            // Not answered here, so that the owner can.
            edges.set(index, BRIDGE);
            continue;
        }
        // The asker would have been learned by the bridge.
        bridge::learn(cx, packet.meta(), MacTable::key(packet.meta().network, discovery.sender_mac));
        let meta = *packet.meta();
        let answered = reply::answer(packet, &discovery, owner, false)
            .and_then(|()| if meta.vlan == 0 { Ok(()) } else { vlan::push(packet, meta.vlan) });
        match answered {
            Ok(()) => {
                if let Some(network) = cx.counters.networks.get_mut(meta.network.index()) {
                    network.suppressed += 1;
                }
                back_to_sender(packet.meta_mut());
                edges.set(index, TX);
            }
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
}

/// What the packet asks for and who has it, if that is known and the question is one to answer. Malformed questions go
/// their way: a bridge forwards what it does not understand.
fn question(cx: &Cx, packet: &Mbuf) -> Option<(Discovery, overlay::num::MacAddr)> {
    let network = cx.tables.network(packet.meta().network)?;
    let discovery = Discovery::of(packet).ok().flatten()?;
    let owner = *network.bindings.get(&discovery.asks?)?;
    discovery.is_answered_for(owner).then_some((discovery, owner))
}

/// The packet leaves where it came in.
pub(super) fn back_to_sender(meta: &mut Meta) {
    meta.egress = meta.ingress;
}
