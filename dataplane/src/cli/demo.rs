//! `weir demo`: real frames through networks and a tunnel, then where every cycle went. Needs nothing but a CPU.
//!
//! | file | holds |
//! |---|---|
//! | `captures` | the frames |
//! | `rig` | the weir under demonstration: EAL starts once a process, so it goes from one configuration to the next |
//! | `replay` | part 1: is every packet where it belongs? |
//! | `measure` | part 2: what does a packet cost? |
//! | `tally` | packets in, out, and dropped by name |
//! | `render` | all of it for people |

mod captures;
mod measure;
mod render;
mod replay;
mod rig;
mod tally;

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::out;
use measure::Measured;
use replay::Replayed;
use rig::{Rig, Settings};

/// Show what weir does: no root, no NIC, no hugepages, under 20 seconds.
///
/// Replays real captures through two containers, a network and a VXLAN tunnel, both ways, and checks every octet. Then
/// sends as much as one core carries and prints where its cycles went.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  weir demo                               then: wireshark demo-out.pcap
  weir demo --seconds 1 --json | jq .measurement.ledger.cycles_per_packet

Exit codes: 0 every packet accounted for and every frame as it should be, 1 not so, 2 bad input.")]
pub(super) struct DemoArgs {
    /// Where the encapsulated frames go, for Wireshark; overwritten.
    #[arg(short, long, value_name = "FILE", default_value = "demo-out.pcap")]
    out: PathBuf,
    /// How long to measure at saturation, in seconds, 0.1 to 60.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// CPU of the worker. Default: 1, or the last that this process may use.
    #[arg(long, value_name = "CPU")]
    cpu: Option<u16>,
    /// Print JSON instead of text.
    #[arg(short, long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=60.0).contains(&value) { Ok(value) } else { Err("measure for 0.1 to 60 seconds".into()) }
}

/// All that the demo found out: its JSON form.
#[derive(Debug, Serialize)]
struct Findings {
    weir: &'static str,
    conditions: Settings,
    correctness: Replayed,
    measurement: Measured,
    /// What packet conservation is off by, over everything. Zero, or a bug.
    imbalance: i64,
    /// Packet buffers that did not come back after the end. Zero, or a bug.
    missing_mbufs: u32,
    /// How long all of it took.
    seconds: f64,
    /// What is not as it should be; empty in a sound weir.
    wrong: Vec<String>,
}

impl DemoArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let began = Instant::now();
        // Before anything runs: a demo that fails at its last step is a bad one.
        OpenOptions::new().create(true).append(true).open(&self.out).map_err(|error| {
            let file = self.out.display();
            Failure::bad_input(format!("{file} cannot be written: {error}\n  help: name another file with --out FILE"))
        })?;
        let settings = Settings::new(self.cpu)?;
        let mut rig = Rig::start(settings)?;
        let shown = Self::show(&self, &mut rig);
        let conditions = rig.conditions();
        // Also when something failed: devices and memory are given back in order.
        let (imbalance, missing_mbufs) = rig.stop()?;
        let (correctness, measurement) = shown?;

        let mut wrong = correctness.wrong();
        wrong.extend(measurement.wrong());
        if imbalance != 0 {
            wrong.push(format!("packet conservation is off by {imbalance}"));
        }
        if missing_mbufs != 0 {
            wrong.push(format!("{missing_mbufs} packet buffers did not come back"));
        }
        let weir = env!("CARGO_PKG_VERSION");
        let seconds = began.elapsed().as_secs_f64();
        let findings =
            Findings { weir, conditions, correctness, measurement, imbalance, missing_mbufs, seconds, wrong };
        if self.json {
            out::print_json(&findings)?;
        } else {
            out::print(&render::end(&findings))?;
        }
        if findings.wrong.is_empty() {
            return Ok(());
        }
        Err(Failure::running(format!("this is a bug in weir, please report it:\n  {}", findings.wrong.join("\n  "))))
    }

    /// Both parts; as text, each is printed as soon as it is known.
    fn show(&self, rig: &mut Rig) -> Result<(Replayed, Measured), Failure> {
        let tell = |text: String| if self.json { Ok(()) } else { out::print(&text) };
        tell(render::begin(rig.settings()))?;
        let correctness = replay::run(rig, &self.out)?;
        tell(render::correctness(&correctness))?;
        tell(render::measuring(self.seconds))?;
        let measurement = measure::run(rig, self.seconds)?;
        tell(render::measurement(&measurement))?;
        Ok((correctness, measurement))
    }
}
