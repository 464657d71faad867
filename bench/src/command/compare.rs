//! `weir-bench compare`: weir, testpmd and Open vSwitch in turns on this machine, so that what drifts drifts for all.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::measure::{Machine, Options, Scratch};
use crate::peer::{Figure, Peer, missing, parse, vhost};
use crate::report::{Comparison, Cost, Measurements, Round, Subject, archive, print, print_json};
use crate::traffic::{Shape, write};

/// Run weir, testpmd and Open vSwitch in turns and print ratios
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds; each measures everybody once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Flows in the traffic
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    flows: u32,
    /// Only these scenarios: l2-forward, vxlan-encap, vxlan-decap, vhost-forward
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Leave out the price of the ledger, which takes a minute
    #[arg(long)]
    no_price: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Keep the results in a new folder of this one
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// Everything that a measurement needs.
struct Bench<'a> {
    args: &'a Args,
    scratch: &'a Path,
    inner: PathBuf,
    vxlan: PathBuf,
    cpu: String,
    other_cpu: String,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        for name in &self.only {
            crate::scenario::find(name)?;
        }
        if !self.seconds.is_finite() || !(0.1..=60.0).contains(&self.seconds) {
            bail!("--seconds {}: give a time between 0.1 and 60", self.seconds);
        }
        let machine = Machine::now();
        let cpus = dataplane::dpdk::eal::allowed_cpus();
        let cpu = self.options.cpu.unwrap_or_else(crate::measure::default_worker_cpu);
        let other = cpus.iter().find(|other| **other != u32::from(cpu)).context(
            "compare needs two CPUs: one for whoever is measured, one for all else (taskset shows what is allowed)",
        )?;
        let scratch = Scratch::new()?;
        let bench = Bench {
            inner: write(Shape::Inner, self.flows, scratch.path())?,
            vxlan: write(Shape::Vxlan, self.flows, scratch.path())?,
            args: &self,
            scratch: scratch.path(),
            cpu: cpu.to_string(),
            other_cpu: other.to_string(),
        };
        let measured = bench.measure()?;
        let comparison = Comparison::new(machine, self.rounds, self.seconds, self.flows, measured);
        if let Some(folder) = &self.archive {
            let run = archive::write(folder, &comparison)?;
            tracing::info!(folder = %run.display(), "archived");
        }
        if self.json {
            print_json(&comparison)?;
        } else {
            print(&comparison.to_text())?;
        }
        Ok(if comparison.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn wants(&self, subject: Subject) -> bool {
        self.only.is_empty() || scenarios(subject).iter().any(|name| self.only.iter().any(|only| only == name))
    }
}

/// The scenarios that a subject is needed for.
fn scenarios(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::WeirL2 | Subject::OvsForward => &["l2-forward"],
        Subject::TestpmdIn => &["l2-forward", "vxlan-encap"],
        Subject::WeirEncap | Subject::OvsVxlan => &["vxlan-encap"],
        Subject::WeirDecap | Subject::TestpmdVx | Subject::OvsDecap => &["vxlan-decap"],
        Subject::WeirVhost | Subject::TestpmdVhost => &["vhost-forward"],
    }
}

impl Bench<'_> {
    fn measure(&self) -> anyhow::Result<Measurements> {
        let mut measured = Measurements::default();
        let subjects: Vec<Subject> = Subject::ALL.iter().copied().filter(|subject| self.args.wants(*subject)).collect();
        for round in 1..=self.args.rounds {
            for subject in &subjects {
                if measured.missing.contains_key(subject) {
                    continue;
                }
                if let Some(why) = peer(*subject).and_then(missing) {
                    measured.missing.insert(*subject, why);
                    continue;
                }
                // A weir that fails is an error; a peer that fails is a row without a figure.
                match self.one(*subject) {
                    Ok(figure) => {
                        tracing::info!(round, who = subject.name(), cycles = figure.cycles_per_packet);
                        measured.rounds.entry(*subject).or_default().push(figure);
                    }
                    Err(error) if peer(*subject).is_some() => {
                        measured.missing.insert(*subject, format!("{error:#}"));
                    }
                    Err(error) => return Err(error.context(subject.name())),
                }
            }
        }
        if !self.args.no_price {
            let flows = self.args.flows.to_string();
            let text = self.weir(&["price", "--json", "--scenario", "l2-forward", "--flows", &flows])?;
            measured.price = Some(serde_json::from_str(&text).context("reading the price")?);
        }
        Ok(measured)
    }

    fn one(&self, subject: Subject) -> anyhow::Result<Round> {
        match subject {
            Subject::WeirL2 => self.cost("l2-forward"),
            Subject::WeirEncap => self.cost("vxlan-encap"),
            Subject::WeirDecap => self.cost("vxlan-decap"),
            Subject::WeirVhost => self.cost("vhost-forward"),
            Subject::TestpmdIn => self.testpmd(&self.inner),
            Subject::TestpmdVx => self.testpmd(&self.vxlan),
            Subject::OvsForward => self.ovs("forward", &self.inner),
            Subject::OvsVxlan => self.ovs("vxlan", &self.inner),
            Subject::OvsDecap => self.ovs("decap", &self.vxlan),
            Subject::TestpmdVhost => {
                let seconds = self.args.seconds.to_string();
                let mbufs = self.args.options.mbufs.to_string();
                let arguments = [&seconds, &mbufs, &self.cpu, &self.other_cpu];
                let figure = parse(&Peer::TestpmdVhost.run(self.scratch, &arguments)?)?;
                let full = figure.mean_rx_burst.is_none_or(|mean| mean >= vhost::FULL_ENOUGH * 32.0);
                let clumps = figure.empty_polls_per_burst.is_some_and(|polls| polls > vhost::EMPTY_POLLS_MOST);
                Ok(Round { generator_limited: !full || clumps, ..round(&figure) })
            }
        }
    }

    fn testpmd(&self, pcap: &Path) -> anyhow::Result<Round> {
        let pcap = pcap.display().to_string();
        let (seconds, mbufs) = (self.args.seconds.to_string(), self.args.options.mbufs.to_string());
        Ok(round(&parse(&Peer::Testpmd.run(self.scratch, &[&pcap, &seconds, &mbufs, &self.cpu])?)?))
    }

    fn ovs(&self, case: &str, pcap: &Path) -> anyhow::Result<Round> {
        let pcap = pcap.display().to_string();
        let seconds = self.args.seconds.to_string();
        Ok(round(&parse(&Peer::Ovs.run(self.scratch, &[case, &pcap, &seconds, &self.cpu])?)?))
    }

    fn cost(&self, scenario: &str) -> anyhow::Result<Round> {
        let (flows, seconds) = (self.args.flows.to_string(), self.args.seconds.to_string());
        let arguments =
            ["cost", "--json", "--no-sweep", "--scenario", scenario, "--flows", &flows, "--seconds", &seconds];
        let cost: Cost = serde_json::from_str(&self.weir(&arguments)?).context("reading weir's costs")?;
        Ok(Round {
            cycles_per_packet: cost.cycles_per_packet.context("weir measured no cycles per packet")?,
            total_cycles_per_packet: cost.total_cycles_per_packet.unwrap_or(f64::NAN),
            mean_rx_burst: cost.mean_rx_burst,
            generator_limited: cost.generator_limited,
            wall_clock_error: cost.wall_clock_error,
            waited_share: cost.waited_share,
        })
    }

    /// Runs this program again and returns what it printed: EAL starts once a process.
    fn weir(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let options = &self.args.options;
        let memory = clap::ValueEnum::to_possible_value(&options.memory);
        let output = Command::new(std::env::current_exe()?)
            .args(arguments)
            .args(["--burst", &options.burst.to_string(), "--mbufs", &options.mbufs.to_string(), "--cpu", &self.cpu])
            .args(memory.iter().flat_map(|memory| ["--memory", memory.get_name()]))
            .stderr(Stdio::piped())
            .output()?;
        // 1 says that a bar was missed; the figures are there all the same.
        if output.status.code().is_none_or(|code| code > 1) {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("weir-bench {} ended with {}: {}", arguments.join(" "), output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn peer(subject: Subject) -> Option<Peer> {
    match subject {
        Subject::WeirL2 | Subject::WeirEncap | Subject::WeirDecap | Subject::WeirVhost => None,
        Subject::TestpmdIn | Subject::TestpmdVx => Some(Peer::Testpmd),
        Subject::TestpmdVhost => Some(Peer::TestpmdVhost),
        Subject::OvsForward | Subject::OvsVxlan | Subject::OvsDecap => Some(Peer::Ovs),
    }
}

fn round(figure: &Figure) -> Round {
    Round {
        cycles_per_packet: figure.own_cycles_per_packet(),
        total_cycles_per_packet: figure.cycles_per_packet,
        mean_rx_burst: figure.mean_rx_burst,
        generator_limited: false,
        wall_clock_error: None,
        waited_share: Some(figure.waited_share),
    }
}
