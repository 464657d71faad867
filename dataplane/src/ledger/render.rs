//! A report as text: every figure with its unit, its roll-up, its burst size and its conditions.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets};

use super::report::{CapacityBasis, Report};
use super::view::View;

/// Shown where a figure is not known.
const UNKNOWN: &str = "unknown";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(self))
    }
}

/// The report as tables and lines of text, ending in a newline.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report);
    out
}

fn write_all(out: &mut String, report: &Report) -> fmt::Result {
    head(out, report)?;
    writeln!(out, "\nAccounts: every cycle between the first and the last stamp\n{}", accounts(report))?;
    closure(out, report)?;
    writeln!(out, "\nStages: busy cycles per received packet\n{}", stages(report))?;
    split(out, report)?;
    writeln!(out, "\nRoll-ups of the same stages, TSC cycles per packet\n{}", roll_ups(report))?;
    capacity(out, report)?;
    if !report.ports.is_empty() {
        writeln!(out, "\nBills: who uses this core\n{}", bills(report))?;
    }
    price(out, report)
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.digits$}"))
}

fn percent(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{:.digits$} %", value * 100.0))
}

fn mpps(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{:.3} Mpps", value / 1e6))
}

/// A table whose first `text` columns are words and the rest figures.
fn table(header: &[&str], text: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(text) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn head(out: &mut String, report: &Report) -> fmt::Result {
    let scope = if report.scope.is_empty() { "worker" } else { &report.scope };
    writeln!(
        out,
        "Ledger of {scope}: level {}, {:.3} s, {} packets in {} bursts, mean burst {} of {} configured",
        report.level.name(),
        report.elapsed_seconds,
        report.packets,
        report.bursts,
        number(report.mean_rx_burst, 2),
        report.burst,
    )?;
    let clock = match report.core_cycles_per_tsc_cycle {
        Some(ratio) => format!("1 TSC cycle = {ratio:.3} core cycles"),
        None => "core clock not measured".to_owned(),
    };
    writeln!(out, "Cycles are TSC cycles at {:.6} GHz; {clock}", report.tsc_hz as f64 / 1e9)?;
    writeln!(
        out,
        "{} cycles per packet (without empty polls, idle, stolen and source), at that mean burst",
        number(report.cycles_per_packet, 2)
    )
}

fn accounts(report: &Report) -> Table {
    let mut table = table(&["account", "cycles", "share", "cycles/packet"], 1);
    for line in report.accounts.iter().filter(|line| line.cycles > 0) {
        let share = percent(Some(line.share), 3);
        table.add_row([
            line.account.name().to_owned(),
            line.cycles.to_string(),
            share,
            number(line.cycles_per_packet, 3),
        ]);
    }
    table.add_row([
        "sum by stamps".to_owned(),
        report.elapsed_cycles.to_string(),
        String::new(),
        number(report.total_cycles_per_packet, 3),
    ]);
    table
}

fn closure(out: &mut String, report: &Report) -> fmt::Result {
    match report.closure_error_cycles {
        Some(error) => writeln!(out, "Closure error: {error} cycles (last - first - sum of accounts)")?,
        None => writeln!(out, "Closure error: {UNKNOWN}, the level was off in this window")?,
    }
    writeln!(out, "Against the wall clock: {}", percent(report.wall_clock_error, 4))?;
    let gaps = report.stolen_cycles.map_or(String::new(), |gaps| format!(", p50 {} max {} cycles", gaps.p50, gaps.max));
    let witness = |value: Option<u64>| value.map_or_else(|| "not read".to_owned(), |value| value.to_string());
    writeln!(
        out,
        "Stolen: {} intervals{gaps}; kernel's witnesses: involuntary switches {}, steal ticks {}",
        report.stolen_intervals,
        witness(report.involuntary_switches),
        witness(report.steal_ticks),
    )
}

fn stages(report: &Report) -> Table {
    let header = ["stage", "kind", "calls", "packets", "cycles/packet", "cycles/visit", "c_f", "c_p"];
    let mut table = table(&header, 2);
    for line in report.stages.iter().filter(|line| line.calls > 0 || line.cycles.is_some_and(|cycles| cycles > 0)) {
        let kind = match line.kind {
            super::RowKind::Io => "io",
            super::RowKind::Task => "task",
        };
        table.add_row([
            line.name.clone(),
            kind.to_owned(),
            line.calls.to_string(),
            line.packets.to_string(),
            number(line.cycles_per_packet, 2),
            number(line.cycles_per_visit, 2),
            number(line.c_f, 1),
            number(line.c_p, 2),
        ]);
    }
    table
}

fn split(out: &mut String, report: &Report) -> fmt::Result {
    let (scale, coverage) = (number(report.stage_scale, 4), percent(report.stage_coverage, 1));
    writeln!(
        out,
        "Split: measured busy / scaled samples = {scale}; burst sizes sampled cover {coverage} of busy cycles"
    )?;
    match report.burst_cycles {
        Some(p) => writeln!(
            out,
            "Cycles of a burst between loop stamps: p50 {} p99 {} p99.9 {} max {} (read up to 25 % high, max exact)",
            p.p50, p.p99, p.p999, p.max
        ),
        None => Ok(()),
    }
}

fn roll_ups(report: &Report) -> Table {
    let header = ["view", "c_IO", "c_task", "c_busy direct", "c_busy remainder", "difference", "other"];
    let mut table = table(&header, 1);
    let mut add = |name: &str, view: &View, no_task: &str| {
        let task = view.c_task.map_or_else(|| no_task.to_owned(), |value| format!("{value:.2}"));
        table.add_row([
            name.to_owned(),
            number(view.c_io, 2),
            task,
            number(view.c_busy, 2),
            number(view.c_busy_remainder, 2),
            number(view.c_busy_difference, 3),
            number(view.c_other, 3),
        ]);
    };
    add("framework (c_IO: rx, tx, buffers, loop)", &report.framework, UNKNOWN);
    add("container (c_IO: whole dataplane)", &report.container, "not reported");
    table
}

fn capacity(out: &mut String, report: &Report) -> fmt::Result {
    match (&report.line, &report.line_unknown) {
        (Some(line), _) => writeln!(
            out,
            "Cost line: c_f = {:.1} ± {} cycles/burst, c_p = {:.2} ± {} cycles/packet, R² = {} ({} sizes, {} bursts)",
            line.c_f,
            number(line.c_f_standard_error, 1),
            line.c_p,
            number(line.c_p_standard_error, 2),
            number(line.r_squared, 5),
            line.sizes,
            line.bursts,
        )?,
        (None, reason) => writeln!(out, "Cost line: {}", reason.as_deref().unwrap_or(UNKNOWN))?,
    }
    let basis = match report.lambda_max_basis {
        Some(CapacityBasis::FittedLine) => format!("fitted line at burst {}", report.burst),
        Some(CapacityBasis::FullBursts) => {
            format!("cycles per packet at bursts of {}, no line yet", number(report.mean_rx_burst, 1))
        }
        None => "needs a cost line or full bursts".to_owned(),
    };
    writeln!(out, "Load {}; lambda_max {} ({basis})", mpps(report.lambda_pps), mpps(report.lambda_max_pps))?;
    let (used, left) = (percent(report.utilisation, 1), percent(report.headroom, 1));
    let busy = percent(report.busy_percent.map(|busy| busy / 100.0), 1);
    writeln!(
        out,
        "Utilisation {used}, headroom {left}. Busy {busy} (busy % is not utilisation: bursts adapt to the load)"
    )
}

fn bills(report: &Report) -> Table {
    let mut table = table(&["port", "packets", "bursts", "cycles", "share of busy", "cycles/packet"], 1);
    for line in &report.ports {
        let per_packet = (line.packets > 0).then(|| line.cycles as f64 / line.packets as f64);
        table.add_row([
            line.port.clone(),
            line.packets.to_string(),
            line.bursts.to_string(),
            line.cycles.to_string(),
            percent(Some(line.share), 2),
            number(per_packet, 2),
        ]);
    }
    table
}

fn price(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(
        out,
        "\nInstrument: {} of the cycles without it, booked from stamps of {} cycles",
        percent(report.instrument_overhead, 3),
        report.stamp_cost_cycles
    )?;
    match report.price {
        Some(price) => writeln!(
            out,
            "Price of the sampled ledger, off against sampled: {:.3} % [{:.3}, {:.3}] ({:.1} % confidence, {} pairs)",
            price.median * 100.0,
            price.low * 100.0,
            price.high * 100.0,
            price.confidence * 100.0,
            price.pairs
        ),
        None => writeln!(out, "Price of the sampled ledger, off against sampled: not measured in this process"),
    }
}
