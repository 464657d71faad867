//! Tests of the ledger as a whole: it closes, it is true, it reports what it counted.

mod closure;
mod reporting;
mod sampling;
mod truth;

use super::*;

/// A ledger with the stages `parse` and `forward`, no stamp cost, one poll in 32 sampled and a gap threshold of 10 000 cycles.
fn config(level: Level) -> LedgerConfig {
    LedgerConfig {
        level,
        sample_interval: 32,
        gap_threshold_cycles: 10_000,
        port_capacity: 4,
        round_capacity: 8,
        ..LedgerConfig::new(1_000_000_000)
    }
}

const STAGES: [RowSpec; 2] =
    [RowSpec { name: "parse", kind: RowKind::Task }, RowSpec { name: "forward", kind: RowKind::Task }];
const PARSE: Row = Row::stage(0);
const FORWARD: Row = Row::stage(1);

fn ledger(config: &LedgerConfig) -> Ledger {
    Ledger::new(&STAGES, config).unwrap()
}
