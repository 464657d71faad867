//! The scripts: which there are, what they need, and how they are run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Seconds after which a script, and what it started, is ended.
const PATIENCE_SECONDS: u32 = 120;

/// A competitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Testpmd,
    TestpmdVhost,
    Ovs,
}

impl Peer {
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Testpmd => &[("testpmd.sh", include_str!("../../peers/testpmd.sh"))],
            Self::TestpmdVhost => &[
                ("testpmd_vhost.sh", include_str!("../../peers/testpmd_vhost.sh")),
                ("vhost_generator.sh", super::vhost::SCRIPT),
            ],
            Self::Ovs => &[("ovs.sh", include_str!("../../peers/ovs.sh"))],
        }
    }

    /// Runs it and returns what it printed. `folder` takes the scripts.
    ///
    /// # Errors
    /// With what it said on its way out.
    pub(crate) fn run<A: AsRef<OsStr>>(self, folder: &Path, arguments: &[A]) -> anyhow::Result<String> {
        let mut script = None;
        for (name, text) in self.files() {
            script = script.or(Some(install(folder, name, text)?));
        }
        let script = script.context("a peer has a script")?;
        // coreutils' timeout ends the whole process group; the script's trap ends what has left it.
        let output = Command::new("timeout")
            .args(["--kill-after=10", &PATIENCE_SECONDS.to_string(), "bash"])
            .arg(&script)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("running a script by coreutils' timeout")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{self:?} ended with {}: {}", output.status, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Writes a script to `folder`.
///
/// # Errors
/// When the folder is not writable.
pub(super) fn install(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Why a peer cannot run here, if so: the program that is missing and Debian's package with it.
pub(crate) fn missing(peer: Peer) -> Option<String> {
    let needs: &[(&str, &str)] = match peer {
        Peer::Testpmd | Peer::TestpmdVhost => &[("dpdk-testpmd", "dpdk-dev")],
        Peer::Ovs => &[
            ("ovs-vsctl", "openvswitch-switch-dpdk"),
            ("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "openvswitch-switch-dpdk"),
        ],
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    needs
        .iter()
        .find(|(program, _)| !found(program))
        .map(|(program, package)| format!("{program} is not installed: apt-get install {package}"))
}
