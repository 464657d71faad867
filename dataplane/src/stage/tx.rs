//! The way out: packets are grouped by egress port and given to the worker's transmit side.
//!
//! The row's cycles include the transmit calls of a worker with one receive queue; see `ledger` for the others.
//! Reads: `meta.egress`.

use overlay::num::PortId;
use overlay::packet::PacketBuf;

use super::Cx;
use super::cx::Load;
use crate::dpdk::{Burst, Mbuf};
use crate::graph::{Out, Process, RowKind, Spec};

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "tx",
    help: "groups packets by egress port and sends them",
    kind: RowKind::Io,
    edges: &[],
    process: Process::Own(process),
};

fn process(cx: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    let first = burst.as_slice().first().map(Mbuf::identity);
    let known = cx.sending.take().filter(|known| Some(known.first) == first && known.packets == burst.len());
    debug_assert!(
        known
            .is_none_or(|known| look(burst).is_some_and(|(egress, load)| egress == known.egress && load == known.load)),
        "a stage has said of its packets what is not true"
    );
    let together = known.map(|known| (known.egress, known.load)).or_else(|| look(burst));
    let (tx, counters) = (&mut cx.tx, &mut cx.counters);
    if let Some((egress, load)) = together {
        tx.send(egress, burst, load, counters);
    } else {
        burst.drain_each(|_, packet| tx.send_one(packet.meta().egress, packet, counters));
    }
}

/// Where all packets go, and what the transmit side wants to know of them; `None` if they do not go the same way.
fn look(burst: &Burst) -> Option<(PortId, Load)> {
    let egress = burst.as_slice().first()?.meta().egress;
    let mut load = Load::default();
    let mut elsewhere = 0;
    for packet in burst.as_slice() {
        elsewhere |= packet.meta().egress.0 ^ egress.0;
        load.add(packet);
    }
    (elsewhere == 0).then_some((egress, load))
}
