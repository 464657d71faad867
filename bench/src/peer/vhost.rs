//! testpmd as the two containers of a vhost-user scenario.
//!
//! It holds both ends: a fixed number of frames goes round, out of one port, through the switch, in at the other, and
//! out again. So the switch always finds full queues while it is the slower of the two, and nothing overflows.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::script::install;

/// The sockets that weir serves, by port.
pub(crate) const SOCKETS: [&str; 2] = ["a.sock", "b.sock"];
/// The containers' MAC addresses, by port.
pub(crate) const GUEST_MACS: [&str; 2] = ["02:00:00:00:0a:01", "02:00:00:00:0b:01"];
/// Mean receive burst as a part of the asked-for one below which the generator was the limit (28 of 32).
pub(crate) const FULL_ENOUGH: f64 = 28.0 / 32.0;

/// Part of its own cycles that a switch may spend waiting before the generator was the limit.
pub(crate) const WAITING_MOST: f64 = 0.1;
/// The same for testpmd, which tells empty polls but not their cycles: so many for one burst of 32, each worth a
/// hundredth of it.
pub(crate) const EMPTY_POLLS_MOST: f64 = 10.0;

pub(super) const SCRIPT: &str = include_str!("../../peers/vhost_generator.sh");

/// A running generator.
#[derive(Debug)]
pub(crate) struct Generator {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Generator {
    /// Starts it on `cpu` with the sockets in `folder`, which must be served already.
    ///
    /// # Errors
    /// When testpmd is not there.
    pub(crate) fn start(folder: &Path, cpu: u32) -> anyhow::Result<Self> {
        if let Some(why) = super::missing(super::Peer::TestpmdVhost) {
            bail!("vhost-forward needs testpmd as its containers: {why}");
        }
        let script = install(folder, "vhost_generator.sh", SCRIPT)?;
        let mut child = Command::new("bash")
            .arg(script)
            .args([folder.join(SOCKETS[0]), folder.join(SOCKETS[1])])
            .arg(cpu.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the generator")?;
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(output) = child.stdout.take() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Ok(mut said) = said.lock() {
                        said.push_str(&line);
                        said.push('\n');
                    }
                }
            });
        }
        Ok(Self { child, said })
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it does not: with what it said.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the generator ended with {status}; it said:\n{}", self.said()),
            None => Ok(()),
        }
    }

    /// What it printed so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }

    /// Puts the frames on their way.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn send(&mut self) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("the generator takes no orders")?;
        writeln!(input, "start tx_first 16").context("the generator has ended")?;
        Ok(())
    }

    /// Ends it.
    pub(crate) fn stop(mut self) {
        if let Some(mut input) = self.child.stdin.take() {
            _ = writeln!(input, "stop\nquit");
        }
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            _ = self.child.kill();
        }
        _ = self.child.wait();
    }
}
