//! The weir under demonstration, in this process.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::captures::Frame;
use super::tally::{Mark, Tally};
use super::{Failure, captures};
use crate::config::{Config, check_machine};
use crate::control::status::Sample;
use crate::control::{Controller, Report};

/// Where frames leave by, and what the remote VTEP is, unless a capture wants it otherwise.
pub(super) const UPLINK: &str = r#"mac = "02:aa:00:00:00:01"
addresses = ["198.51.100.1/24"]
neighbours = [{ address = "198.51.100.2", mac = "02:aa:00:00:00:02" }]
mtu = 1600"#;
/// The remote VTEP.
pub(super) const VTEP: &str = "198.51.100.2";
/// VNI of the network.
pub(super) const VNI: u32 = 100;

/// How long a replay may take.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Under which conditions all of it runs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Settings {
    /// CPU of the only worker.
    pub worker_cpu: u16,
    /// CPUs that this process may use.
    pub cpus: usize,
    pub cpu_model: String,
    /// `release`, or `debug`, whose figures mean nothing.
    pub build: &'static str,
    pub memory: &'static str,
    pub memory_mib: u32,
    pub mbufs: u32,
    /// Most packets taken from a queue at once.
    pub burst: u16,
    /// Ticks a second of the cycles' clock; known from the start on.
    pub tsc_hz: Option<u64>,
}

impl Settings {
    pub(super) fn new(cpu: Option<u16>) -> Result<Self, Failure> {
        let cpus: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        let usual = if cpus.contains(&1) { 1 } else { cpus.last().copied().unwrap_or(0) };
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Ok(Self {
            worker_cpu: match cpu {
                Some(cpu) => cpu,
                None => u16::try_from(usual).map_err(Failure::running)?,
            },
            cpus: cpus.len(),
            cpu_model: model.map_or_else(|| "unknown CPU".into(), |(_, name)| name.trim().to_owned()),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            memory: "ordinary pages",
            memory_mib: 256,
            mbufs: 16384,
            burst: 32,
            tsc_hz: None,
        })
    }
}

/// A folder for frames on their way in and out; removed at the end.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir();
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        let mut last = String::new();
        // A folder of that name may be left from a demo that was killed.
        for number in 0..100 {
            let path = folder.join(format!("weir-demo-{}-{number}", std::process::id()));
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => last = error.to_string(),
            }
        }
        let folder = folder.display();
        Err(Failure::bad_input(format!(
            "no folder can be made in {folder}: {last}\n  help: set TMPDIR to a folder that may be written to"
        )))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running weir and its folder.
#[derive(Debug)]
pub(super) struct Rig {
    controller: Controller,
    settings: Settings,
    // Last: ports have closed their files.
    scratch: Scratch,
}

impl Rig {
    /// Starts weir without a port.
    pub(super) fn start(mut settings: Settings) -> Result<Self, Failure> {
        let scratch = Scratch::new()?;
        let config = parse(&settings, "")?;
        if let Some(problem) = check_machine(&config).first() {
            return Err(Failure::bad_input(format!("{}\n  help: {}", problem.message, problem.help)));
        }
        let controller = Controller::start(config, &[]).map_err(Failure::running)?;
        settings.tsc_hz = Some(controller.clock().hz());
        Ok(Self { controller, settings, scratch })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn conditions(&self) -> Settings {
        self.settings.clone()
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.0.join(name)
    }

    /// Writes frames to a file in the folder.
    pub(super) fn write(&self, name: &str, frames: &[Frame]) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        captures::write(&path, frames).map_err(|error| cannot("written", &path, error))?;
        Ok(path)
    }

    /// The frames of a file.
    pub(super) fn read(path: &Path) -> Result<Vec<Frame>, Failure> {
        captures::read(path).map_err(|error| cannot("read", path, error))
    }

    /// Changes the running weir to these ports and networks.
    pub(super) fn apply(&mut self, tables: &str) -> Result<(), Failure> {
        let config = parse(&self.settings, tables)?;
        self.controller.apply(config).map_err(Failure::running)?;
        Ok(())
    }

    /// Changes a setting of the running weir.
    pub(super) fn change(&mut self, edit: impl FnOnce(&mut Config)) -> Result<(), Failure> {
        let mut config = self.controller.config().clone();
        edit(&mut config);
        self.controller.apply(config).map_err(Failure::running)?;
        Ok(())
    }

    pub(super) fn run_for(&mut self, duration: Duration) -> Result<(), Failure> {
        self.controller.run_for(duration).map_err(Failure::running)
    }

    pub(super) fn sample(&mut self) -> Result<Sample, Failure> {
        self.controller.sample().map_err(Failure::running)
    }

    pub(super) fn mark(&self, sample: &Sample) -> Mark {
        Mark::new(&self.controller, sample)
    }

    /// The ledger of the worker between two samples.
    pub(super) fn ledger(&self, from: &Sample, to: &Sample) -> Result<Report, Failure> {
        let reports = self.controller.ledger(from, to);
        reports.into_iter().next().ok_or_else(|| Failure::running("weir has no worker"))
    }

    /// The ledger over `duration` from now on.
    pub(super) fn window(&mut self, duration: Duration) -> Result<Report, Failure> {
        let from = self.sample()?;
        self.run_for(duration)?;
        let to = self.sample()?;
        self.ledger(&from, &to)
    }

    /// Changes to these ports and networks, and waits until `packets` have come in and none is on its way any more.
    pub(super) fn replay(&mut self, tables: &str, packets: usize) -> Result<Tally, Failure> {
        let sample = self.sample()?;
        let before = self.mark(&sample);
        self.apply(tables)?;
        let until = Instant::now() + PATIENCE;
        loop {
            self.run_for(LOOK_AGAIN)?;
            let sample = self.sample()?;
            let now = self.mark(&sample);
            let all_came = now.packets_in() - before.packets_in() >= packets as u64;
            // One that does not come is told by the figures.
            if all_came && now.held() == 0 || Instant::now() > until {
                return Ok(now.since(&before));
            }
        }
    }

    /// Stops weir: what conservation is off by, and how many packet buffers are missing.
    pub(super) fn stop(self) -> Result<(i64, u32), Failure> {
        let ended = self.controller.stop().map_err(Failure::running)?;
        let off = ended.reports.iter().map(|report| report.counters.totals.imbalance(report.counters.dropped()));
        Ok((i64::try_from(off.sum::<i128>()).unwrap_or(i64::MAX), ended.missing_mbufs))
    }
}

/// The failure of a file that cannot be read or written.
pub(super) fn cannot(done: &str, path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::running(format!("{} cannot be {done}: {error}", path.display()))
}

/// A configuration with these ports and networks.
fn parse(settings: &Settings, tables: &str) -> Result<Config, Failure> {
    let text = format!(
        "[eal]\nmemory = \"no-huge\"\nmemory_mib = {mib}\nfile_prefix = \"weir-demo-{pid}\"\n\n\
         [workers]\ncores = [{cpu}]\nburst = {burst}\n\n\
         [pool]\nmbufs = {mbufs}\n\n\
         [ledger]\nlevel = \"sampled\"\n{tables}",
        mib = settings.memory_mib,
        pid = std::process::id(),
        cpu = settings.worker_cpu,
        burst = settings.burst,
        mbufs = settings.mbufs,
    );
    Config::parse(&text, "the demo's configuration").map_err(Failure::bad_input)
}
