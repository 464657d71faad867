//! What the tests against real peers share: network namespaces, child processes, a running weir, captures and their
//! judge, testpmd, and files of frames.
//!
//! Everything is taken down when it goes out of scope, also when a test fails: children are killed by their process
//! identifier, namespaces are deleted, files removed. Names carry the test's process identifier.

#![allow(dead_code, reason = "each test binary that includes this module uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "part of tests, where a failed expectation is a failed test"
)]

pub(crate) mod capture;
pub(crate) mod files;
pub(crate) mod iperf;
pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod testpmd;
pub(crate) mod weir;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A number that no other call in this process gets.
pub(crate) fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A folder that is removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("weir-peer-{}-{}", std::process::id(), unique()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text, for device texts and command lines.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // WEIR_KEEP=1 leaves captures and logs for a person to look at.
        if std::env::var_os("WEIR_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Asks again and again until there is an answer; fails with `what` when none has come after `seconds`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `short`, or ten times as much under `make soak`.
pub(crate) fn soak(short: u64) -> u64 {
    if std::env::var_os("WEIR_SOAK").is_some() { short * 10 } else { short }
}
