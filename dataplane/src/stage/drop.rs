//! The end of every packet that goes nowhere: counted under its reason, then freed.
//!
//! Reads: `meta.reason`, `meta.ingress`.

use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use super::Cx;
use crate::dpdk::Burst;
use crate::graph::{Out, Process, RowKind, Spec};

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "drop",
    help: "counts dropped packets by reason and frees them",
    kind: RowKind::Io,
    edges: &[],
    process: Process::Own(process),
};

fn process(cx: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    for packet in burst.as_slice() {
        let meta = packet.meta();
        let reason = DropReason::from_index(usize::from(meta.reason)).unwrap_or(DropReason::Shutdown);
        cx.counters.drop(meta.ingress, reason, 1);
    }
    burst.free_all();
}
