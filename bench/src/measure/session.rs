//! A weir that runs in this process, and windows of its ledger.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use dataplane::config::{Config, LedgerLevel};
use dataplane::control::Controller;
use dataplane::control::status::Sample;
use dataplane::ledger::Report;

use super::waited::Waited;
use super::{Conditions, Scratch, Setup, Way};
use crate::peer::vhost::Generator;
use crate::scenario::{Input, Place};
use crate::traffic;

/// How long a generator may take to connect.
const CONNECT: Duration = Duration::from_secs(20);
/// How long frames are captured.
const CAPTURE: Duration = Duration::from_millis(20);

/// A weir under load.
#[derive(Debug)]
pub(crate) struct Session {
    controller: Controller,
    setup: Setup,
    generator: Option<Generator>,
    /// The first sample after the warm-up.
    steady: Option<Sample>,
    warm_up: Duration,
    waited: Waited,
    // Last: sockets and traffic go when nobody uses them any more.
    scratch: Scratch,
}

/// All that is read at one moment.
#[derive(Clone, Debug)]
struct Moment {
    sample: Sample,
    waited: Option<Duration>,
}

/// The ledger between two samples.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub report: Report,
    /// Part of the time that the worker waited while others had its CPU; `None` where the kernel does not say.
    pub waited_share: Option<f64>,
}

/// What was found at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    /// Packet buffers that did not come back.
    pub missing_mbufs: u32,
    /// What the conservation law was off by in the workers' last reports.
    pub imbalance: i128,
}

impl Session {
    /// Starts weir, and the generator where the scenario needs one.
    ///
    /// # Errors
    /// When weir does not start, or the generator does not connect.
    pub(crate) fn start(setup: &Setup) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let traffic = match setup.scenario.input {
            Input::Loop(shape) => traffic::write(shape, setup.flows, scratch.path())?,
            Input::Vhost => PathBuf::new(),
        };
        let text = setup.configuration(&Place { traffic: &traffic, folder: scratch.path() });
        let config = Config::parse(&text, setup.scenario.name)?;
        let problems = dataplane::config::check_machine(&config);
        if let Some(problem) = problems.first() {
            bail!("{}: {problem}", setup.scenario.name);
        }
        let controller = Controller::start(config, &[])?;
        let warm_up = Duration::ZERO;
        let mut session = Self {
            controller,
            setup: setup.clone(),
            generator: None,
            steady: None,
            warm_up,
            waited: Waited::of_worker(),
            scratch,
        };
        if setup.scenario.input == Input::Vhost
            && let Err(error) = session.connect_generator()
        {
            drop(session.generator.take());
            session.controller.stop()?;
            return Err(error);
        }
        Ok(session)
    }

    fn connect_generator(&mut self) -> anyhow::Result<()> {
        let other = dataplane::dpdk::eal::allowed_cpus().into_iter().find(|cpu| *cpu != u32::from(self.setup.cpu));
        let cpu = other.context("vhost-forward needs a second CPU for its generator")?;
        let generator = self.generator.insert(Generator::start(self.scratch.path(), cpu)?);
        let until = Instant::now() + CONNECT;
        loop {
            self.controller.run_for(Duration::from_millis(100))?;
            let sample = self.controller.sample()?;
            if self.controller.port_status(&sample).iter().all(|port| port.up) {
                break;
            }
            generator.check()?;
            if Instant::now() > until {
                bail!("the generator did not connect within {CONNECT:?}; it said:\n{}", generator.said());
            }
        }
        generator.send()
    }

    /// Runs for `duration` and throws the figures away: caches fill, addresses are learned.
    pub(crate) fn warm_up(&mut self, duration: Duration) -> anyhow::Result<()> {
        self.controller.run_for(duration)?;
        self.warm_up += duration;
        self.steady = Some(self.controller.sample()?);
        Ok(())
    }

    /// The ledger over `duration`.
    pub(crate) fn window(&mut self, duration: Duration) -> anyhow::Result<Window> {
        let (mut windows, _) = self.windows(1, duration)?;
        windows.pop().context("one window was asked for")
    }

    /// The ledger over `count` windows one after the other, and over all of them together.
    pub(crate) fn windows(&mut self, count: u32, each: Duration) -> anyhow::Result<(Vec<Window>, Window)> {
        let first = self.moment()?;
        let mut last = first.clone();
        let mut windows = Vec::new();
        for _ in 0..count {
            self.controller.run_for(each)?;
            let next = self.moment()?;
            windows.push(self.between(&last, &next)?);
            last = next;
        }
        Ok((windows, self.between(&first, &last)?))
    }

    fn moment(&mut self) -> anyhow::Result<Moment> {
        Ok(Moment { sample: self.controller.sample()?, waited: self.waited.so_far() })
    }

    fn between(&self, from: &Moment, to: &Moment) -> anyhow::Result<Window> {
        let reports = self.controller.ledger(&from.sample, &to.sample);
        let report = reports.into_iter().next().context("weir has no worker")?;
        let waited = from.waited.zip(to.waited).map(|(from, to)| to.saturating_sub(from).as_secs_f64());
        let waited_share = waited.map(|seconds| (seconds / report.elapsed_seconds).clamp(0.0, 1.0));
        Ok(Window { report, waited_share })
    }

    /// Goes through `bursts`, `each` of them for so long, and returns the ledger over all: what a cost line is fitted to.
    /// The burst is set back afterwards.
    pub(crate) fn sweep(&mut self, bursts: &[u16], each: Duration) -> anyhow::Result<Window> {
        let from = self.moment()?;
        for burst in bursts {
            self.change(|config| config.workers.burst = *burst)?;
            self.controller.run_for(each)?;
        }
        let burst = self.setup.burst;
        self.change(|config| config.workers.burst = burst)?;
        let to = self.moment()?;
        self.between(&from, &to)
    }

    /// Sets the ledger's level.
    pub(crate) fn set_level(&mut self, level: LedgerLevel) -> anyhow::Result<()> {
        self.change(|config| config.ledger.level = level)
    }

    fn change(&mut self, edit: impl FnOnce(&mut Config)) -> anyhow::Result<()> {
        let mut config = self.controller.config().clone();
        edit(&mut config);
        self.controller.apply(config)?;
        Ok(())
    }

    /// What packets did since the warm-up, and what was wrong with it.
    pub(crate) fn way(&mut self) -> anyhow::Result<(Way, Vec<String>)> {
        let to = self.controller.sample()?;
        let from = self.steady.as_ref().context("a way needs a warm-up before it")?;
        let way = Way::between(&self.controller, from, &to);
        let mut wrong = way.wrong();
        wrong.extend((self.setup.scenario.astray)(&way));
        Ok((way, wrong))
    }

    /// Puts a capture in the place of the port that frames leave by, for a moment, and copies `count` frames to `file`.
    pub(crate) fn capture(&mut self, count: usize, file: &Path) -> anyhow::Result<usize> {
        let Some(out) = self.setup.scenario.out else {
            bail!("{} has no port that a capture could replace: leave --capture out", self.setup.scenario.name);
        };
        let whole = self.scratch.path().join("emitted.pcap");
        let device = format!("pcap:,{}", whole.display());
        let mut before = String::new();
        let edit = |config: &mut Config, device: &str| {
            let port = config.ports.values_mut().find(|port| port.name.as_str() == out);
            port.map(|port| std::mem::replace(&mut port.settings.device, device.to_owned())).unwrap_or_default()
        };
        self.change(|config| before = edit(config, &device))?;
        self.controller.run_for(CAPTURE)?;
        self.change(|config| _ = edit(config, &before))?;
        traffic::copy_first(&whole, file, count).with_context(|| format!("copying frames to {}", file.display()))
    }

    pub(crate) fn conditions(&self, window: &Window) -> Conditions {
        Conditions::new(&self.setup, window.report.core_cycles_per_tsc_cycle, self.warm_up.as_secs_f64())
    }

    /// Stops generator and weir.
    pub(crate) fn finish(mut self) -> anyhow::Result<Finished> {
        if let Some(generator) = self.generator.take() {
            generator.stop();
        }
        let ended = self.controller.stop()?;
        let imbalance =
            ended.reports.iter().map(|report| report.counters.totals.imbalance(report.counters.dropped())).sum();
        Ok(Finished { missing_mbufs: ended.missing_mbufs, imbalance })
    }
}
