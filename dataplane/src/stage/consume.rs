//! The end of packets that were meant for weir itself and need no reply: answers to its own ARP and ND requests.

use super::Cx;
use crate::dpdk::Burst;
use crate::graph::{Out, Process, RowKind, Spec};

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "consume",
    help: "ends packets that were for weir itself",
    kind: RowKind::Task,
    edges: &[],
    process: Process::Own(process),
};

fn process(cx: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    cx.counters.totals.consumed += burst.len() as u64;
    burst.free_all();
}
