//! `weir run`: from the file to a running dataplane, and to a clean end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use crossbeam::channel::RecvTimeoutError;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::{FAILED, Failure};
use super::notify::notify;
use super::{check, out};
use crate::control::{ControlSocket, Controller, Ended, Job, Server, last_words};

/// Time between two rounds of the control thread: addresses are learned a thousand times a second.
const TICK: Duration = Duration::from_millis(1);

/// Forward packets as a configuration file says, until SIGINT or SIGTERM.
///
/// The log goes to standard error. Nothing is left behind when the start fails.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  weir run -c /etc/weir/weir.toml
  weir run -c weir.toml -s /tmp/weir.sock -- --in-memory -a 0000:8a:00.0

What follows -- goes to DPDK's EAL as it is, except for lcore options: those follow from workers.cores.

Exit codes: 0 stopped and every packet accounted for, 1 failure while running, 2 bad configuration or a start that failed.")]
pub(super) struct RunArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Control socket, instead of control.socket in the file.
    #[arg(short, long, value_name = "PATH", env = "WEIR_SOCKET")]
    socket: Option<PathBuf>,
    /// Arguments for DPDK's EAL.
    #[arg(last = true, value_name = "EAL ARGS")]
    pub(super) eal: Vec<String>,
}

impl RunArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (config, warnings) = check::load_here(&self.config).map_err(Failure::bad_input)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let told = check::summary(&config);
        // Before DPDK: whoever has the socket has the ports, too.
        let path = self.socket.as_ref().unwrap_or(&config.control.socket);
        let socket = ControlSocket::bind(path, config.control.socket_mode).map_err(Failure::bad_input)?;
        let stop = on_signals().map_err(|error| Failure::running(format!("cannot wait for signals: {error}")))?;

        let mut controller = Controller::start(config, &self.eal).map_err(|error| {
            let text = std::fs::read_to_string(&self.config).unwrap_or_default();
            Failure::bad_input(error.placed(&text, &self.config.display().to_string()))
        })?;
        tell_plan(&mut controller);
        let listening = socket.path().display().to_string();
        let (server, inbox) = match Server::start(socket) {
            Ok(served) => served,
            Err(error) => {
                _ = controller.stop();
                return Err(Failure::running(format!("cannot serve the control socket: {error}")));
            }
        };
        tracing::info!(socket = listening, "running: {told}");
        notify("READY=1");

        attend(&mut controller, &inbox, &stop);

        notify("STOPPING=1");
        tracing::info!("stopping");
        drop(inbox);
        server.stop();
        let ended = controller.stop().map_err(Failure::running)?;
        tell_end(&ended)
    }
}

/// Sets the flag at SIGINT and SIGTERM, from now on.
fn on_signals() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let flag = Arc::clone(&stop);
    let wait = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                flag.store(true, Ordering::Release);
            }
        });
    };
    std::thread::Builder::new().name("weir-signals".into()).spawn(wait)?;
    Ok(stop)
}

/// Keeps weir up to date and does what clients ask, until it is to stop.
fn attend(controller: &mut Controller, inbox: &crossbeam::channel::Receiver<Job>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match inbox.recv_timeout(TICK) {
            Ok(job) => job(controller),
            Err(RecvTimeoutError::Timeout) => {}
            // The server is gone; packets are forwarded all the same.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        if let Err(error) = controller.tick() {
            // A worker that is starved today may run tomorrow; to end would lose its packets for certain.
            tracing::error!("{error}");
        }
    }
}

/// Which worker polls which queue.
fn tell_plan(controller: &mut Controller) {
    let Ok(sample) = controller.sample() else { return };
    let cpus: BTreeMap<usize, u16> = controller.workers(&sample).iter().map(|w| (w.worker, w.cpu)).collect();
    let place = |worker: &usize| format!("worker {worker} (CPU {})", cpus.get(worker).copied().unwrap_or_default());
    for port in controller.port_status(&sample) {
        let queues = |name: &str, workers: &[usize]| {
            let each = workers.iter().enumerate().map(|(queue, worker)| format!("{name} {queue} → {}", place(worker)));
            each.collect::<Vec<_>>().join(", ")
        };
        let (rx, tx) = (queues("rx", &port.rx_workers), queues("tx", &port.tx_workers));
        tracing::info!("port {} ({}, {}): {rx}; {tx}", port.name, port.role, port.device);
    }
}

/// The books at the end.
fn tell_end(ended: &Ended) -> Result<(), Failure> {
    let (text, closed) = last_words(ended);
    if closed {
        tracing::info!("{text}");
        return Ok(());
    }
    tracing::error!("{text}");
    out::complain("error: packets are missing at the end; this is a bug in weir, please report it with the log");
    Err(Failure::said(FAILED))
}
