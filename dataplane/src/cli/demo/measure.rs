//! Part 2: what a packet costs at saturation, what the instrument adds, and how much room a half-loaded core has.

use std::time::Duration;

use serde::Serialize;

use super::Failure;
use super::captures::{self, FLOWS, LOAD_OCTETS};
use super::rig::{Rig, UPLINK, VNI, VTEP};
use super::tally::Tally;
use crate::config::LedgerLevel;
use crate::control::{PairedOverhead, Report};

/// Caches fill, addresses are learned.
const WARM_UP: Duration = Duration::from_millis(200);
/// Receive bursts that the cost line is fitted to.
const SWEEP: [u16; 5] = [4, 8, 16, 24, 32];

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub flows: u32,
    /// Octets of the containers' frames, without FCS.
    pub frame_octets: usize,
    /// Packets of the window at saturation.
    pub packets: Tally,
    /// That window.
    pub ledger: Report,
    pub capacity: Capacity,
    pub price: Price,
    pub half_load: HalfLoad,
}

/// How much the core carries.
#[derive(Debug, Serialize)]
pub(super) struct Capacity {
    /// Fixed cycles of a burst, from a sweep over burst sizes.
    pub c_f: Option<f64>,
    /// Cycles of each packet of a burst.
    pub c_p: Option<f64>,
    /// Standard errors of the two.
    pub c_f_standard_error: Option<f64>,
    pub c_p_standard_error: Option<f64>,
    pub r_squared: Option<f64>,
    /// `f·b/(c_f + b·c_p)` where there is a line, else from full bursts.
    pub lambda_max_pps: Option<f64>,
    /// λ at saturation ÷ λ_max. Less than 1 where something was stolen from the worker.
    pub utilisation: Option<f64>,
    /// 1 − utilisation.
    pub headroom: Option<f64>,
    /// Receive bursts of the sweep.
    pub sweep: Vec<u16>,
    /// Cycles that the sweep's books are open by.
    pub closure_error_cycles: Option<i64>,
}

/// The sampled ledger against none.
#[derive(Debug, Serialize)]
pub(super) struct Price {
    /// Median and interval; none when a window had no packets.
    pub paired: Option<PairedOverhead>,
    /// Length of each window: a short measurement, `weir-bench price` is the long one.
    pub window_seconds: f64,
    /// Why there is none.
    pub unknown: Option<String>,
}

/// A window at half of what the core carries.
#[derive(Debug, Serialize)]
pub(super) struct HalfLoad {
    /// Packets per second that the source was to make.
    pub asked_pps: f64,
    /// Packets per second that came, ÷ λ_max.
    pub utilisation: Option<f64>,
    /// 1 − utilisation.
    pub headroom: Option<f64>,
    pub ledger: Report,
}

impl Measured {
    /// What is not as it should be.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let books = [
            ("at saturation", self.ledger.closure_error_cycles),
            ("of the sweep", self.capacity.closure_error_cycles),
            ("at half load", self.half_load.ledger.closure_error_cycles),
        ];
        for (name, error) in books {
            if error != Some(0) {
                wrong.push(format!("the books {name} are not closed: {error:?} cycles"));
            }
        }
        if self.packets.encapsulated == 0 {
            wrong.push("nothing was encapsulated at saturation".into());
        }
        wrong
    }
}

/// Measures for about `seconds` at saturation, and in proportion for the rest.
pub(super) fn run(rig: &mut Rig, seconds: f64) -> Result<Measured, Failure> {
    let part = |divisor: f64, least: f64, most: f64| Duration::from_secs_f64((seconds / divisor).clamp(least, most));
    let load = rig.write("load.pcap", &captures::load())?;
    rig.apply(&tables(&format!("pcap:{},loop", load.display())))?;
    rig.run_for(WARM_UP)?;

    let from = rig.sample()?;
    let before = rig.mark(&from);
    rig.run_for(Duration::from_secs_f64(seconds))?;
    let to = rig.sample()?;
    let packets = rig.mark(&to).since(&before);
    let ledger = rig.ledger(&from, &to)?;

    let capacity = capacity(rig, part(30.0, 0.03, 0.1), &ledger)?;
    let price = price(rig, part(30.0, 0.02, 0.1))?;
    let asked_pps = (capacity.lambda_max_pps.unwrap_or(1e6) / 2.0).round();
    rig.apply(&tables(&format!("source:frames={},rate_pps={asked_pps:.0}", load.display())))?;
    rig.run_for(WARM_UP)?;
    let window = rig.window(part(3.0, 0.2, 1.0))?;
    let utilisation = window.lambda_pps.zip(capacity.lambda_max_pps).map(|(lambda, max)| lambda / max);
    let half_load = HalfLoad { asked_pps, utilisation, headroom: utilisation.map(|used| 1.0 - used), ledger: window };
    Ok(Measured { flows: FLOWS, frame_octets: LOAD_OCTETS, packets, ledger, capacity, price, half_load })
}

/// Goes through burst sizes, `each` for so long.
fn capacity(rig: &mut Rig, each: Duration, full: &Report) -> Result<Capacity, Failure> {
    let from = rig.sample()?;
    for burst in SWEEP {
        rig.change(|config| config.workers.burst = burst)?;
        rig.run_for(each)?;
    }
    let to = rig.sample()?;
    let sweep = rig.ledger(&from, &to)?;
    let usual = rig.settings().burst;
    rig.change(|config| config.workers.burst = usual)?;
    let line = sweep.line;
    let fitted = line.and_then(|line| line.lambda_max_pps(full.tsc_hz as f64, f64::from(usual)));
    let lambda_max_pps = fitted.or(full.lambda_max_pps);
    let utilisation = full.lambda_pps.zip(lambda_max_pps).map(|(lambda, max)| lambda / max);
    Ok(Capacity {
        c_f: line.map(|line| line.c_f),
        c_p: line.map(|line| line.c_p),
        c_f_standard_error: line.and_then(|line| line.c_f_standard_error),
        c_p_standard_error: line.and_then(|line| line.c_p_standard_error),
        r_squared: line.and_then(|line| line.r_squared),
        lambda_max_pps,
        utilisation,
        headroom: utilisation.map(|used| 1.0 - used),
        sweep: SWEEP.to_vec(),
        closure_error_cycles: sweep.closure_error_cycles,
    })
}

/// Pairs of windows without and with the sampled ledger, each `each` long, in alternating order.
fn price(rig: &mut Rig, each: Duration) -> Result<Price, Failure> {
    let mut pairs = Vec::new();
    for pair in 0..PairedOverhead::MIN_PAIRS {
        let (mut off, mut sampled) = (0.0, 0.0);
        // What drifts within a pair drifts once in favour of either.
        for with in [pair % 2 == 0, pair % 2 != 0] {
            let level = if with { LedgerLevel::Sampled } else { LedgerLevel::Off };
            rig.change(|config| config.ledger.level = level)?;
            // All cycles ÷ packets: the only cost that is known without a ledger.
            let cost = rig.window(each)?.total_cycles_per_packet.unwrap_or_default();
            *(if with { &mut sampled } else { &mut off }) = cost;
        }
        pairs.push((off, sampled));
    }
    rig.change(|config| config.ledger.level = LedgerLevel::Sampled)?;
    let paired = PairedOverhead::from_pairs(&pairs);
    let unknown = paired.as_ref().err().map(ToString::to_string);
    Ok(Price { paired: paired.ok(), window_seconds: each.as_secs_f64(), unknown })
}

/// A container that sends without end to two hundred others behind a remote VTEP.
fn tables(device: &str) -> String {
    let macs: Vec<String> =
        captures::receivers().map(|mac| format!("  {{ mac = \"{mac}\", vtep = \"{VTEP}\" }},\n")).collect();
    format!(
        r#"
[[network]]
name = "blue"
vni = {VNI}
vteps = ["{VTEP}"]
macs = [
{macs}]

[[port]]
name = "load"
device = "{device}"
role = "container"
network = "blue"

[[port]]
name = "uplink"
device = "null"
role = "uplink"
{UPLINK}
"#,
        macs = macs.concat(),
    )
}
