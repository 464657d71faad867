//! `weir-bench cost`: one weir, one worker, one scenario; where the cycles of its packets went.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use crate::measure::{Options, Session, Setup};
use crate::report::{Cost, Measured, Settings, print, print_json};
use crate::scenario;

/// Burst sizes that the cost line is fitted to.
const SWEEP: [u16; 8] = [1, 2, 4, 8, 16, 24, 32, 64];
/// Windows that the median is taken of.
const WINDOWS: u32 = 9;
/// Time of each burst size of the sweep, as a part of the whole measurement.
const SWEEP_PART: f64 = 0.1;
/// Warm-up, at least as long as addresses take to be learned.
const WARM_UP: Duration = Duration::from_millis(700);

/// Measure what a packet costs in one scenario, stage by stage
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to measure: l2-forward, vxlan-encap, vxlan-decap or vhost-forward
    #[arg(long)]
    scenario: String,
    /// Flows in the traffic; 200 containers on either side share them
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    flows: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Seconds to measure, after the warm-up
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Do not go through the burst sizes; c_f and c_p stay unknown
    #[arg(long)]
    no_sweep: bool,
    /// After measuring, write so many emitted frames to --capture-file
    #[arg(long)]
    capture: Option<usize>,
    /// Where captured frames go
    #[arg(long, default_value = "emitted.pcap")]
    capture_file: PathBuf,
    #[command(flatten)]
    options: Options,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let cost = self.measure()?;
        if self.json {
            print_json(&cost)?;
        } else {
            print(&cost.to_text())?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self) -> anyhow::Result<Cost> {
        if !self.seconds.is_finite() || !(0.01..=3600.0).contains(&self.seconds) {
            bail!("--seconds {}: give a time between 0.01 and 3600", self.seconds);
        }
        let setup = Setup::new(scenario::find(&self.scenario)?, self.flows, &self.options);
        let mut session = Session::start(&setup)?;
        let measured = self.measure_in(&mut session, &setup);
        // Whatever happened, end weir and its generator in order.
        let finished = session.finish()?;
        let (mut cost, mut wrong) = measured?;
        cost.missing_mbufs = finished.missing_mbufs;
        if finished.missing_mbufs != 0 {
            wrong.push(format!("{} packet buffers did not come back", finished.missing_mbufs));
        }
        if finished.imbalance != 0 {
            wrong.push(format!("the conservation law was off by {} at the end", finished.imbalance));
        }
        if cost.closure_error_cycles != Some(0) {
            wrong.push(format!("the ledger does not close: {:?}", cost.closure_error_cycles));
        }
        if !wrong.is_empty() {
            bail!("{}: the measurement is void:\n  {}", setup.scenario.name, wrong.join("\n  "));
        }
        Ok(cost)
    }

    fn measure_in(&self, session: &mut Session, setup: &Setup) -> anyhow::Result<(Cost, Vec<String>)> {
        session.warm_up(WARM_UP)?;
        let sweep: &[u16] = if self.no_sweep { &[] } else { &SWEEP };
        let each = Duration::from_secs_f64(self.seconds * SWEEP_PART);
        let swept = if sweep.is_empty() { None } else { Some(session.sweep(sweep, each)?) };
        let window = Duration::from_secs_f64(self.seconds) / WINDOWS;
        let (windows, whole) = session.windows(WINDOWS, window)?;
        let (way, wrong) = session.way()?;
        if let Some(count) = self.capture {
            let written = session.capture(count, &self.capture_file)?;
            tracing::info!(written, file = %self.capture_file.display(), "captured");
        }
        let settings = Settings { seconds: self.seconds, window_seconds: window.as_secs_f64(), sweep: sweep.to_vec() };
        let Some(first) = windows.first() else { bail!("nothing was measured") };
        let conditions = session.conditions(first);
        let measured = Measured { windows: &windows, whole: &whole, sweep: swept.as_ref() };
        Ok((Cost::new(setup, settings, measured, way, conditions)?, wrong))
    }
}
