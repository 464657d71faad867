//! The two roll-ups of the same rows, in the terms of `f_CPU = n·(c_IO + c_task + c_busy)`.

use serde::{Deserialize, Serialize};

use super::account::{Account, RowKind};
use super::counters::LedgerCounters;
use super::stages::StageSplit;

/// One roll-up; all figures in TSC cycles per received packet. `None` is "not known", never "zero".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Framework view: receive, transmit, buffer management and their loop. Container view: the whole dataplane.
    pub c_io: Option<f64>,
    /// Framework view: all else done to packets. Container view: what the application reports of itself.
    pub c_task: Option<f64>,
    /// Waiting, counted directly: empty polls and idle.
    pub c_busy: Option<f64>,
    /// Waiting as the remainder of the equation: `tsc_hz·t/n − c_IO − c_task − c_other`, t by the wall clock.
    pub c_busy_remainder: Option<f64>,
    /// Remainder minus direct count.
    pub c_busy_difference: Option<f64>,
    /// What the equation has no name for: housekeeping, handoff, reconfiguration, source, stolen, instrument.
    pub c_other: Option<f64>,
}

/// What both views are made of, in cycles per packet.
#[derive(Clone, Copy, Debug)]
struct Parts {
    io: f64,
    task: f64,
    busy: f64,
    other: f64,
    /// Cycles of the wall clock.
    budget: f64,
}

/// Framework view (c_IO = rows of kind `io`) and container view (c_IO = all rows), in this order.
///
/// `wall_cycles` is `tsc_hz` × elapsed time × workers. `container_c_task` is the application's cycles per packet; it
/// runs on a core of its own, so it is no part of the remainder of the worker's core. All figures are `None` without
/// packets, without a split, or where the level was `off` for a part of the window.
pub fn views(
    counters: &LedgerCounters,
    split: Option<&StageSplit>,
    wall_cycles: f64,
    container_c_task: Option<f64>,
) -> (View, View) {
    let Some(parts) = split.and_then(|split| parts(counters, split, wall_cycles)) else {
        return (View::default(), View { c_task: container_c_task, ..View::default() });
    };
    let framework = parts.view(parts.io, Some(parts.task), parts.task);
    let container = parts.view(parts.io + parts.task, container_c_task, 0.0);
    (framework, container)
}

fn parts(counters: &LedgerCounters, split: &StageSplit, wall_cycles: f64) -> Option<Parts> {
    if counters.packets == 0 || counters.account(Account::Unattributed) > 0 {
        return None;
    }
    let packets = counters.packets as f64;
    let rows = |kind: RowKind| {
        let rows = counters.specs.iter().zip(&split.cycles).filter(|(spec, _)| spec.kind == kind);
        rows.map(|(_, cycles)| *cycles).sum::<u64>() as f64 / packets
    };
    let accounts = |list: &[Account]| list.iter().map(|a| counters.account(*a)).sum::<u64>() as f64 / packets;
    Some(Parts {
        io: rows(RowKind::Io),
        task: rows(RowKind::Task),
        busy: accounts(&[Account::Empty, Account::Idle]),
        other: accounts(&[
            Account::Housekeeping,
            Account::Handoff,
            Account::Reconfiguration,
            Account::Source,
            Account::Stolen,
            Account::Instrument,
        ]),
        budget: wall_cycles / packets,
    })
}

impl Parts {
    fn view(&self, c_io: f64, c_task: Option<f64>, task_on_this_core: f64) -> View {
        let remainder = self.budget - c_io - task_on_this_core - self.other;
        View {
            c_io: Some(c_io),
            c_task,
            c_busy: Some(self.busy),
            c_busy_remainder: Some(remainder),
            c_busy_difference: Some(remainder - self.busy),
            c_other: Some(self.other),
        }
    }
}
