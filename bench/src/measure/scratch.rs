//! A folder of our own for sockets, traffic and scripts; gone at the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;

/// A temporary folder that is removed with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one. Its path is short, as the path of a unix socket must be.
    ///
    /// # Errors
    /// When the system's temporary folder is not writable.
    pub(crate) fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("weir-bench-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| {
            format!("cannot make the temporary folder {} (set TMPDIR to a writable one)", path.display())
        })?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}
