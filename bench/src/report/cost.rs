//! The result of `weir-bench cost`: its JSON and its table.

use std::fmt::Write as _;

use dataplane::ledger::Report;
use dataplane::ledger::fit::Fit;
use dataplane::ledger::report::{AccountLine, CapacityBasis};
use dataplane::ledger::view::View;
use serde::{Deserialize, Serialize};

use super::text::{cycles, ratio, table};
use crate::measure::{Conditions, Setup, Spread, Way, Window, median_index};
use crate::peer::vhost::{FULL_ENOUGH, WAITING_MOST};
use crate::scenario::Input;
use crate::traffic::{FCS_OCTETS, FRAME_OCTETS};

/// What a packet costs in one scenario. Figures are those of the median window, which closes as every window does;
/// those that are not known are `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub scenario: String,
    pub flows: u32,
    /// Octets of a container's frame, FCS included.
    pub frame_bytes: usize,
    /// Octets of the frames received, FCS included: with the outer headers where there are some.
    pub rx_frame_bytes: usize,
    pub burst: u16,
    pub mean_rx_burst: Option<f64>,
    /// Whether the switch waited for its generator: then costs are those of small bursts and say little.
    pub generator_limited: bool,
    /// Packets of the median window.
    pub packets: u64,
    /// (last − first − empty − stolen) ÷ received.
    pub cycles_per_packet: Option<f64>,
    /// (last − first) ÷ received.
    pub total_cycles_per_packet: Option<f64>,
    pub framework: View,
    pub container: View,
    pub stages: Vec<Stage>,
    pub accounts: Vec<AccountLine>,
    /// From the sweep over burst sizes.
    pub c_f: Option<f64>,
    pub c_p: Option<f64>,
    pub line: Option<Fit>,
    /// Why there is no line.
    pub line_unknown: Option<String>,
    pub lambda_max_pps: Option<f64>,
    pub lambda_max_basis: Option<CapacityBasis>,
    /// Sum over all windows and the sweep.
    pub closure_error_cycles: Option<i64>,
    /// Over all windows together: the ends are read to some ten microseconds, more on a busy machine.
    pub wall_clock_error: Option<f64>,
    pub instrument_overhead: Option<f64>,
    /// Calibrated cost of one time stamp.
    pub stamp_cost_cycles: u64,
    /// Part of the time that the worker waited while others had its CPU: a quiet machine has next to none.
    pub waited_share: Option<f64>,
    pub tsc_hz: u64,
    pub settings: Settings,
    /// What the windows' cycles per packet were.
    pub windows: Option<Spread>,
    pub way: Way,
    /// Packet buffers that did not come back after the end.
    pub missing_mbufs: u32,
    pub conditions: Conditions,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub name: String,
    /// `io` or `task`.
    pub kind: String,
    /// Cycles per received packet: these sum to the busy account.
    pub cycles_per_packet: Option<f64>,
    /// Cycles per packet that visited the stage.
    pub cycles_per_visit: Option<f64>,
    pub c_f: Option<f64>,
    pub c_p: Option<f64>,
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub seconds: f64,
    pub window_seconds: f64,
    /// Burst sizes of the sweep; empty without one.
    pub sweep: Vec<u16>,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<'a> {
    /// At the asked-for burst, one after the other.
    pub windows: &'a [Window],
    /// From the first window's start to the last one's end.
    pub whole: &'a Window,
    /// Over all burst sizes.
    pub sweep: Option<&'a Window>,
}

impl Cost {
    /// From windows at the asked-for burst and, if there was one, the sweep.
    ///
    /// # Errors
    /// Without windows.
    pub(crate) fn new(
        setup: &Setup,
        settings: Settings,
        measured: Measured<'_>,
        way: Way,
        conditions: Conditions,
    ) -> anyhow::Result<Self> {
        let Measured { windows, whole, sweep } = measured;
        let all: Vec<f64> =
            windows.iter().map(|window| window.report.cycles_per_packet.unwrap_or(f64::INFINITY)).collect();
        let Some(median) = median_index(&all).and_then(|index| windows.get(index)) else {
            anyhow::bail!("nothing was measured: give --seconds a positive number");
        };
        let report = &median.report;
        let fitted = sweep.map_or(report, |sweep| &sweep.report);
        let reports = || windows.iter().chain(sweep).map(|window| &window.report);
        let outer = match setup.scenario.input {
            Input::Loop(shape) => shape.frame(0).len() - FRAME_OCTETS,
            Input::Vhost => 0,
        };
        let full_enough = report.mean_rx_burst.is_some_and(|mean| mean >= FULL_ENOUGH * f64::from(setup.burst));
        // Frames that go round may come in clumps: full bursts, and nothing in between.
        let waiting = report.framework.c_busy.zip(report.cycles_per_packet).map(|(busy, work)| busy / (busy + work));
        let waited = setup.scenario.input == Input::Vhost && waiting.is_none_or(|part| part > WAITING_MOST);
        let lambda_max = fitted.line.and_then(|line| line.lambda_max_pps(report.tsc_hz as f64, f64::from(setup.burst)));
        Ok(Self {
            scenario: setup.scenario.name.into(),
            flows: setup.flows,
            frame_bytes: FRAME_OCTETS + FCS_OCTETS,
            rx_frame_bytes: FRAME_OCTETS + outer + FCS_OCTETS,
            burst: setup.burst,
            mean_rx_burst: report.mean_rx_burst,
            generator_limited: !full_enough || waited,
            packets: report.packets,
            cycles_per_packet: report.cycles_per_packet,
            total_cycles_per_packet: report.total_cycles_per_packet,
            framework: report.framework,
            container: report.container,
            stages: stages(report, fitted),
            accounts: report.accounts.clone(),
            c_f: fitted.c_f,
            c_p: fitted.c_p,
            line: fitted.line,
            line_unknown: fitted.line_unknown.clone(),
            lambda_max_pps: lambda_max.or(report.lambda_max_pps),
            lambda_max_basis: lambda_max.map(|_| CapacityBasis::FittedLine).or(report.lambda_max_basis),
            closure_error_cycles: reports().map(|report| report.closure_error_cycles).sum(),
            wall_clock_error: whole.report.wall_clock_error,
            instrument_overhead: report.instrument_overhead,
            stamp_cost_cycles: report.stamp_cost_cycles,
            waited_share: whole.waited_share,
            tsc_hz: report.tsc_hz,
            settings,
            windows: Spread::of(all),
            way,
            missing_mbufs: 0,
            conditions,
        })
    }

    /// For people.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        _ = writeln!(
            text,
            "{}: {} flows, frames of {} octets, receive burst {} (mean {}), {} packets in the median window",
            self.scenario,
            self.flows,
            self.frame_bytes,
            self.burst,
            cycles(self.mean_rx_burst),
            self.packets
        );
        if self.generator_limited {
            _ = writeln!(text, "GENERATOR-LIMITED: weir waited for packets; these costs say little about full load");
        }
        if self.conditions.build == "debug" {
            _ = writeln!(text, "DEBUG BUILD: these figures mean nothing");
        }
        let mut rows = table(&["stage", "kind", "cycles/packet", "per visit", "c_f", "c_p"]);
        for stage in &self.stages {
            rows.add_row([
                stage.name.clone(),
                stage.kind.clone(),
                cycles(stage.cycles_per_packet),
                cycles(stage.cycles_per_visit),
                cycles(stage.c_f),
                cycles(stage.c_p),
            ]);
        }
        for line in self.accounts.iter().filter(|line| line.cycles != 0 && line.account.name() != "busy") {
            let account = format!("({})", line.account.name());
            rows.add_row([
                account,
                String::new(),
                cycles(line.cycles_per_packet),
                String::new(),
                String::new(),
                String::new(),
            ]);
        }
        _ = writeln!(text, "\n{rows}\n");
        let spread = self.windows.map_or_else(String::new, |spread| {
            format!(" (quartiles {:.1} to {:.1} of {} windows)", spread.q1, spread.q3, spread.count)
        });
        _ = writeln!(text, "cycles per packet   {}{spread}", cycles(self.cycles_per_packet));
        for (name, view) in [("framework", &self.framework), ("container", &self.container)] {
            _ = writeln!(
                text,
                "{name:<19} c_IO {}  c_task {}  c_busy {}",
                cycles(view.c_io),
                cycles(view.c_task),
                cycles(view.c_busy)
            );
        }
        let line = self
            .line
            .and_then(|line| line.r_squared)
            .map_or_else(|| self.line_unknown.clone().unwrap_or_default(), |r_squared| format!("R² {r_squared:.4}"));
        _ = writeln!(text, "cost of a burst     c_f {} + n × c_p {}  {line}", cycles(self.c_f), cycles(self.c_p));
        let mpps = self.lambda_max_pps.map(|pps| pps / 1e6);
        _ = writeln!(text, "λ_max               {} Mpps per core at {} MHz", ratio(mpps), self.tsc_hz / 1_000_000);
        let percent =
            |value: Option<f64>| value.map_or_else(|| "unknown".into(), |value| format!("{:.3} %", value * 100.0));
        _ = writeln!(
            text,
            "books               closure error {} cycles, against the wall clock {}, instrument {}, others had the CPU {}",
            self.closure_error_cycles.map_or_else(|| "unknown".into(), |error| error.to_string()),
            percent(self.wall_clock_error),
            percent(self.instrument_overhead),
            percent(self.waited_share),
        );
        let of = &self.conditions;
        _ = write!(
            text,
            "conditions          {}, {}, {:?} memory, {} buffers of {}, worker on CPU {}, core clock {} × TSC, load before {:.1}",
            of.machine.cpu_model,
            of.dpdk,
            of.memory,
            of.mbufs,
            of.mbuf_octets,
            of.worker_cpu,
            ratio(of.core_cycles_per_tsc_cycle),
            of.machine.load_average
        );
        text
    }
}

/// Rows that ran or were charged; their lines from the window that has all burst sizes.
fn stages(report: &Report, fitted: &Report) -> Vec<Stage> {
    let seen = report.stages.iter().filter(|stage| stage.calls != 0 || stage.cycles.is_some_and(|cycles| cycles != 0));
    let rows = seen.map(|stage| {
        let line = fitted.stages.iter().find(|fitted| fitted.name == stage.name);
        Stage {
            name: stage.name.clone(),
            kind: format!("{:?}", stage.kind).to_lowercase(),
            cycles_per_packet: stage.cycles_per_packet,
            cycles_per_visit: stage.cycles_per_visit,
            c_f: line.and_then(|line| line.c_f),
            c_p: line.and_then(|line| line.c_p),
        }
    });
    rows.collect()
}
