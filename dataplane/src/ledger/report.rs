//! A window of the ledger in figures: what `weir show ledger --json` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::account::{Account, Level, RowKind};
use super::counters::LedgerCounters;
use super::fit::Fit;
use super::histogram::Percentiles;
use super::price::PairedOverhead;
use super::stages::StageSplit;
use super::view::{View, views};

/// Mean burst, as a part of the configured one, from which bursts count as full.
pub const FULL_BURST: f64 = 0.9;

/// What a report needs besides the counters.
#[derive(Clone, Debug, Default)]
pub struct ReportInput {
    /// What was measured, such as `worker 1` or `all workers`.
    pub scope: String,
    /// Ticks of the time stamp counter per second, calibrated apart from the window.
    pub tsc_hz: u64,
    /// Length of the window by `CLOCK_MONOTONIC_RAW`, in nanoseconds.
    pub elapsed_nanos: u64,
    /// Configured receive burst.
    pub burst: u16,
    /// Core clock ÷ TSC, from a chain of dependent additions on the worker's core; `None` where it was not measured.
    pub core_cycles_per_tsc_cycle: Option<f64>,
    /// Involuntary context switches of the workers within the window.
    pub involuntary_switches: Option<u64>,
    /// Steal time of the workers' CPUs within the window, in ticks of 1/100 s.
    pub steal_ticks: Option<u64>,
    /// Cycles per packet that the container's application reports of itself.
    pub container_c_task: Option<f64>,
    /// Price of the sampled ledger, where it was measured in this process.
    pub price: Option<PairedOverhead>,
    /// Names for the bills, by port index.
    pub port_names: BTreeMap<u16, String>,
}

/// Cycles of one account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountLine {
    /// Which.
    pub account: Account,
    /// TSC cycles.
    pub cycles: u64,
    /// Part of all cycles, 0 to 1.
    pub share: f64,
    /// Cycles per received packet.
    pub cycles_per_packet: Option<f64>,
}

/// Costs of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageLine {
    /// Name of the row.
    pub name: String,
    /// Roll-up in the framework view.
    pub kind: RowKind,
    /// Runs, exact.
    pub calls: u64,
    /// Packets over all runs, exact.
    pub packets: u64,
    /// TSC cycles: exact at level `full`, apportioned to the exact busy cycles at `sampled`.
    pub cycles: Option<u64>,
    /// Cycles per **received** packet: these sum to the busy account per packet.
    pub cycles_per_packet: Option<f64>,
    /// Cycles per packet that visited this row.
    pub cycles_per_visit: Option<f64>,
    /// Fixed cycles per burst of this row's own line, with enough samples.
    pub c_f: Option<f64>,
    /// Cycles per packet of the received burst of this row's own line.
    pub c_p: Option<f64>,
}

/// Costs of the bursts of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SizeLine {
    /// Packets in the burst.
    pub burst: usize,
    /// Bursts received.
    pub bursts: u64,
    /// Of these, bursts with stage stamps.
    pub sampled: u64,
    /// Mean cycles of a burst, stolen ones left out.
    pub cycles_per_burst: Option<f64>,
}

/// Costs of the bursts that came from one port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BillLine {
    /// Port's name, its index without one, or `other` for ports beyond the ledger's capacity.
    pub port: String,
    /// Packets received from it.
    pub packets: u64,
    /// Bursts received from it.
    pub bursts: u64,
    /// Busy cycles of these bursts.
    pub cycles: u64,
    /// Part of all busy cycles: who uses this core.
    pub share: f64,
}

/// What `lambda_max_pps` was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityBasis {
    /// `f·b/(c_f + b·c_p)` with the fitted line.
    FittedLine,
    /// `f ÷ cycles_per_packet`, valid since the bursts were full.
    FullBursts,
}

/// Figures of one window of one or more workers. A figure that is not known is `None` (`null`), never 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was measured.
    pub scope: String,
    /// Ledger level at the end of the window.
    pub level: Level,
    /// At level `sampled`: one poll in this many carries stage stamps, at the end of the window.
    pub sample_one_in: u32,
    /// An interval longer than this many TSC cycles is booked as stolen, at the end of the window.
    pub gap_cycles: u64,
    /// Workers added up.
    pub workers: u64,
    /// Length of the window in seconds, wall clock.
    pub elapsed_seconds: f64,
    /// Last stamp − first stamp, over all workers.
    pub elapsed_cycles: u64,
    /// TSC ticks per second.
    pub tsc_hz: u64,
    /// Core clock ÷ TSC.
    pub core_cycles_per_tsc_cycle: Option<f64>,
    /// Packets received.
    pub packets: u64,
    /// Bursts received.
    pub bursts: u64,
    /// Polls that returned nothing.
    pub empty_polls: u64,
    /// Configured receive burst.
    pub burst: u16,
    /// Packets per non-empty burst.
    pub mean_rx_burst: Option<f64>,
    /// (last − first − empty − idle − stolen − source) ÷ packets; housekeeping and instrument included.
    pub cycles_per_packet: Option<f64>,
    /// (last − first) ÷ packets, at any level: what levels are compared by at saturation.
    pub total_cycles_per_packet: Option<f64>,
    /// Every cycle, by account.
    pub accounts: Vec<AccountLine>,
    /// Stamped minus booked cycles; `None` where the level was `off` for a part of the window, else 0.
    pub closure_error_cycles: Option<i64>,
    /// |cycles ÷ tsc_hz − elapsed| ÷ elapsed.
    pub wall_clock_error: Option<f64>,
    /// Roll-up after Gallenmüller et al.
    pub framework: View,
    /// Roll-up after the survey of container networks.
    pub container: View,
    /// Busy cycles by row.
    pub stages: Vec<StageLine>,
    /// Measured busy ÷ scaled samples; 1 at level `full`.
    pub stage_scale: Option<f64>,
    /// Part of the busy cycles in burst sizes that were sampled.
    pub stage_coverage: Option<f64>,
    /// Fixed cycles of a burst.
    pub c_f: Option<f64>,
    /// Cycles of each packet of a burst.
    pub c_p: Option<f64>,
    /// The line with its errors.
    pub line: Option<Fit>,
    /// Why there is no line.
    pub line_unknown: Option<String>,
    /// Packets received per second.
    pub lambda_pps: Option<f64>,
    /// Packets per second these workers can carry at full bursts.
    pub lambda_max_pps: Option<f64>,
    /// What that was computed from.
    pub lambda_max_basis: Option<CapacityBasis>,
    /// λ ÷ λ_max.
    pub utilisation: Option<f64>,
    /// 1 − utilisation.
    pub headroom: Option<f64>,
    /// Busy cycles in per cent of all. Not utilisation: the loop adapts its burst and looks busy long before it is full.
    pub busy_percent: Option<f64>,
    /// Instrument ÷ the cycles per packet without it.
    pub instrument_overhead: Option<f64>,
    /// Calibrated cost of one stamp in cycles.
    pub stamp_cost_cycles: u64,
    /// Paired measurement of the sampled ledger against none.
    pub price: Option<PairedOverhead>,
    /// Cycles of a burst between loop stamps.
    pub burst_cycles: Option<Percentiles>,
    /// Intervals booked to `stolen`.
    pub stolen_intervals: u64,
    /// Their lengths in cycles.
    pub stolen_cycles: Option<Percentiles>,
    /// Involuntary context switches by the kernel's count.
    pub involuntary_switches: Option<u64>,
    /// Steal time by the kernel's count, ticks of 1/100 s.
    pub steal_ticks: Option<u64>,
    /// Costs by burst size.
    pub burst_sizes: Vec<SizeLine>,
    /// Costs by ingress port.
    pub ports: Vec<BillLine>,
}

/// `part ÷ whole`, unknown where there is no whole.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

impl Report {
    /// Figures of `window`, a difference of two copies or the sum of several workers' differences over one time.
    pub fn new(window: &LedgerCounters, input: &ReportInput) -> Self {
        let packets = window.packets as f64;
        let attributed = window.account(Account::Unattributed) == 0 && window.level != Level::Off;
        let elapsed_seconds = input.elapsed_nanos as f64 / 1e9;
        let hz = input.tsc_hz as f64 * window.workers as f64;
        let wall_cycles = hz * elapsed_seconds;
        let cycles = window.elapsed_cycles as f64;

        let waiting = [Account::Empty, Account::Idle, Account::Stolen, Account::Source];
        let work = window.elapsed_cycles.saturating_sub(waiting.iter().map(|a| window.account(*a)).sum()) as f64;
        let instrument = window.account(Account::Instrument) as f64;
        let cycles_per_packet = if attributed { ratio(work, packets) } else { None };

        let split = if attributed { StageSplit::new(window) } else { None };
        let (framework, container) = views(window, split.as_ref(), wall_cycles, input.container_c_task);
        let (line, line_unknown) = match Fit::of_busy(window) {
            Ok(line) => (Some(line), None),
            Err(reason) => (None, Some(reason.to_string())),
        };

        let bursts = window.total_bursts();
        let mean_rx_burst = ratio(packets, bursts as f64);
        let lambda_pps = ratio(packets, elapsed_seconds);
        let (lambda_max_pps, lambda_max_basis) = capacity(line, hz, input.burst, mean_rx_burst, cycles_per_packet);
        let utilisation = lambda_pps.zip(lambda_max_pps).and_then(|(lambda, max)| ratio(lambda, max));
        let busy = window.account(Account::Busy) as f64;

        Self {
            scope: input.scope.clone(),
            level: window.level,
            sample_one_in: window.sample_interval,
            gap_cycles: window.gap_threshold_cycles,
            workers: window.workers,
            elapsed_seconds,
            elapsed_cycles: window.elapsed_cycles,
            tsc_hz: input.tsc_hz,
            core_cycles_per_tsc_cycle: input.core_cycles_per_tsc_cycle,
            packets: window.packets,
            bursts,
            empty_polls: window.empty_polls,
            burst: input.burst,
            mean_rx_burst,
            cycles_per_packet,
            total_cycles_per_packet: ratio(cycles, packets),
            accounts: account_lines(window),
            closure_error_cycles: attributed.then(|| window.closure_error_cycles()),
            wall_clock_error: ratio((cycles - wall_cycles).abs(), wall_cycles),
            framework,
            container,
            stages: stage_lines(window, split.as_ref()),
            stage_scale: split.as_ref().map(|split| split.scale),
            stage_coverage: split.as_ref().map(|split| split.coverage),
            c_f: line.map(|line| line.c_f),
            c_p: line.map(|line| line.c_p),
            line,
            line_unknown,
            lambda_pps,
            lambda_max_pps,
            lambda_max_basis,
            utilisation,
            headroom: utilisation.map(|utilisation| 1.0 - utilisation),
            busy_percent: if attributed { ratio(100.0 * busy, cycles) } else { None },
            instrument_overhead: if attributed { ratio(instrument, work - instrument) } else { None },
            stamp_cost_cycles: window.stamp_cost_cycles,
            price: input.price,
            burst_cycles: window.burst_histogram.summary(),
            stolen_intervals: window.stolen_intervals,
            stolen_cycles: window.gap_histogram.summary(),
            involuntary_switches: input.involuntary_switches,
            steal_ticks: input.steal_ticks,
            burst_sizes: size_lines(window),
            ports: bill_lines(window, &input.port_names),
        }
    }
}

/// Capacity from the line, else from full bursts, else unknown.
fn capacity(
    line: Option<Fit>,
    hz: f64,
    burst: u16,
    mean_rx_burst: Option<f64>,
    cycles_per_packet: Option<f64>,
) -> (Option<f64>, Option<CapacityBasis>) {
    let burst = f64::from(burst);
    if let Some(max) = line.and_then(|line| line.lambda_max_pps(hz, burst)) {
        return (Some(max), Some(CapacityBasis::FittedLine));
    }
    let full = mean_rx_burst.is_some_and(|mean| burst > 0.0 && mean >= FULL_BURST * burst);
    match cycles_per_packet.filter(|_| full).and_then(|cycles| ratio(hz, cycles)) {
        Some(max) => (Some(max), Some(CapacityBasis::FullBursts)),
        None => (None, None),
    }
}

fn account_lines(window: &LedgerCounters) -> Vec<AccountLine> {
    let all = window.elapsed_cycles as f64;
    let lines = Account::ALL.iter().map(|account| {
        let cycles = window.account(*account);
        let (share, per_packet) = (ratio(cycles as f64, all), ratio(cycles as f64, window.packets as f64));
        AccountLine { account: *account, cycles, share: share.unwrap_or(0.0), cycles_per_packet: per_packet }
    });
    lines.collect()
}

fn stage_lines(window: &LedgerCounters, split: Option<&StageSplit>) -> Vec<StageLine> {
    let rows = window.specs.iter().zip(&window.rows).enumerate();
    let lines = rows.map(|(at, (spec, row))| {
        let cycles = split.and_then(|split| split.cycles.get(at).copied());
        let line = Fit::of_row(window, at).ok();
        StageLine {
            name: spec.name.to_owned(),
            kind: spec.kind,
            calls: row.calls,
            packets: row.packets,
            cycles,
            cycles_per_packet: cycles.and_then(|cycles| ratio(cycles as f64, window.packets as f64)),
            cycles_per_visit: cycles.and_then(|cycles| ratio(cycles as f64, row.packets as f64)),
            c_f: line.map(|line| line.c_f),
            c_p: line.map(|line| line.c_p),
        }
    });
    lines.collect()
}

fn size_lines(window: &LedgerCounters) -> Vec<SizeLine> {
    let sizes = window.bursts.iter().zip(&window.busy).zip(&window.sampled_bursts).enumerate();
    let lines = sizes.filter(|(_, ((bursts, _), _))| **bursts > 0).map(|(burst, ((bursts, busy), sampled))| {
        let cycles_per_burst = ratio(*busy as f64, window.timed_bursts(burst) as f64).filter(|cycles| *cycles > 0.0);
        SizeLine { burst, bursts: *bursts, sampled: *sampled, cycles_per_burst }
    });
    lines.collect()
}

fn bill_lines(window: &LedgerCounters, names: &BTreeMap<u16, String>) -> Vec<BillLine> {
    let busy = window.account(Account::Busy) as f64;
    let shared = window.bills.len().saturating_sub(1);
    let used = window.bills.iter().enumerate().filter(|(_, bill)| bill.bursts > 0);
    let lines = used.map(|(at, bill)| {
        let name = u16::try_from(at).ok().and_then(|index| names.get(&index).cloned());
        let port = if at == shared { "other".to_owned() } else { name.unwrap_or_else(|| at.to_string()) };
        let share = ratio(bill.cycles as f64, busy).unwrap_or(0.0);
        BillLine { port, packets: bill.packets, bursts: bill.bursts, cycles: bill.cycles, share }
    });
    lines.collect()
}
