//! `weir-bench price`: what the sampled ledger costs, by pairs of windows without and with it in one process.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use dataplane::config::LedgerLevel;
use dataplane::ledger::price::PairedOverhead;
use serde::Serialize;

use crate::measure::{Conditions, Options, Session, Setup, Way};
use crate::report::{PRICE_BAR, PRICE_GOAL, print, print_json};
use crate::scenario;

const WARM_UP: Duration = Duration::from_secs(1);

/// Measure the price of the sampled ledger: off against sampled, in pairs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to run meanwhile
    #[arg(long, default_value = "l2-forward")]
    scenario: String,
    /// Flows in the traffic
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    flows: u32,
    /// Pairs of windows; their order alternates
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(21..))]
    pairs: u32,
    /// Seconds of each window
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON fields")]
struct Price {
    scenario: String,
    flows: u32,
    seconds: f64,
    /// Paired median of `sampled ÷ off − 1` with its interval.
    price: PairedOverhead,
    /// Medians of the two: cycles of the worker, less the time that others had its CPU, ÷ packets received.
    off_cycles_per_packet: f64,
    sampled_cycles_per_packet: f64,
    bar: f64,
    goal: f64,
    passed: bool,
    way: Way,
    conditions: Conditions,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if !self.seconds.is_finite() || !(0.05..=60.0).contains(&self.seconds) {
            bail!("--seconds {}: give a time between 0.05 and 60 for each window", self.seconds);
        }
        let setup = Setup::new(scenario::find(&self.scenario)?, self.flows, &self.options);
        let mut session = Session::start(&setup)?;
        let measured = self.measure_in(&mut session, &setup);
        let finished = session.finish()?;
        let (price, mut wrong) = measured?;
        if finished.missing_mbufs != 0 {
            wrong.push(format!("{} packet buffers did not come back", finished.missing_mbufs));
        }
        if !wrong.is_empty() {
            bail!("{}: the measurement is void:\n  {}", setup.scenario.name, wrong.join("\n  "));
        }
        if self.json {
            print_json(&price)?;
        } else {
            let PairedOverhead { pairs, median, low, high, confidence } = price.price;
            print(&format!(
                "{}, {} flows: off {:.2}, sampled {:.2} cycles per packet\n\
                 price of the sampled ledger: {:.2} % ({:.2} % to {:.2} % with {:.1} % confidence, {pairs} pairs of {} s)\n\
                 bar {:.0} %, goal {:.0} %: {}",
                price.scenario,
                price.flows,
                price.off_cycles_per_packet,
                price.sampled_cycles_per_packet,
                median * 100.0,
                low * 100.0,
                high * 100.0,
                confidence * 100.0,
                self.seconds,
                PRICE_BAR * 100.0,
                PRICE_GOAL * 100.0,
                if price.passed { "PASS" } else { "FAIL" }
            ))?;
        }
        Ok(if price.passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn measure_in(&self, session: &mut Session, setup: &Setup) -> anyhow::Result<(Price, Vec<String>)> {
        session.warm_up(WARM_UP)?;
        let window = session.window(Duration::from_millis(50))?;
        let conditions = session.conditions(&window);
        let mut pairs = Vec::new();
        for pair in 0..self.pairs {
            let order = [LedgerLevel::Off, LedgerLevel::Sampled];
            let (mut off, mut sampled) = (0.0, 0.0);
            // What drifts within a pair drifts once in favour of either.
            for step in 0..2 {
                let level = order[usize::from((pair + step) % 2 == 1)];
                let cost = self.total(session, level)?;
                *(if level == LedgerLevel::Off { &mut off } else { &mut sampled }) = cost;
            }
            tracing::info!(pair, off, sampled, "cycles per packet");
            pairs.push((off, sampled));
        }
        let (way, wrong) = session.way()?;
        let price = PairedOverhead::from_pairs(&pairs)?;
        let median = |values: Vec<f64>| crate::measure::Spread::of(values).map_or(f64::NAN, |spread| spread.median);
        let price = Price {
            scenario: self.scenario.clone(),
            flows: setup.flows,
            seconds: self.seconds,
            price,
            off_cycles_per_packet: median(pairs.iter().map(|pair| pair.0).collect()),
            sampled_cycles_per_packet: median(pairs.iter().map(|pair| pair.1).collect()),
            bar: PRICE_BAR,
            goal: PRICE_GOAL,
            passed: price.median <= PRICE_BAR,
            way,
            conditions,
        };
        Ok((price, wrong))
    }

    /// Cycles of the worker ÷ packets at a level: the only count that `off` keeps. Time that the kernel says others had
    /// is left out; it would hide the difference between the levels on a busy machine, and says nothing of either.
    fn total(&self, session: &mut Session, level: LedgerLevel) -> anyhow::Result<f64> {
        session.set_level(level)?;
        let window = session.window(Duration::from_secs_f64(self.seconds))?;
        let total = window.report.total_cycles_per_packet.context("no packet was received in a window")?;
        Ok(total * (1.0 - window.waited_share.unwrap_or(0.0)))
    }
}
