//! The way out: packets are grouped by egress port and given to the worker's transmit side.
//!
//! The row's cycles include the transmit calls of a worker with one receive queue; see `ledger` for the others.
//! Reads: `meta.egress`.

use overlay::packet::PacketBuf;

use super::Cx;
use super::cx::Load;
use crate::dpdk::Burst;
use crate::graph::{Out, Process, RowKind, Spec};

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "tx",
    help: "groups packets by egress port and sends them",
    kind: RowKind::Io,
    edges: &[],
    process: Process::Own(process),
};

fn process(cx: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    let Some(egress) = burst.as_slice().first().map(|packet| packet.meta().egress) else { return };
    // One look at each packet: whether all go the same way, and what the transmit side wants to know of them.
    let mut load = Load::default();
    let mut elsewhere = 0;
    for packet in burst.as_slice() {
        let meta = packet.meta();
        elsewhere |= meta.egress.0 ^ egress.0;
        load.add(packet);
    }
    if elsewhere == 0 {
        cx.tx.send(egress, burst, load, &mut cx.counters);
    } else {
        let (tx, counters) = (&mut cx.tx, &mut cx.counters);
        burst.drain_each(|_, packet| tx.send_one(packet.meta().egress, packet, counters));
    }
}
