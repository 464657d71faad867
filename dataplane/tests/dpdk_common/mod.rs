//! One EAL for all tests of a binary, and one test at a time: EAL starts once a process, and counts of a pool mean
//! something only while nobody else takes from it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use dataplane::dpdk::mempool::PoolConfig;
use dataplane::dpdk::{Eal, EalArgs, MemoryMode, Mempool};

/// EAL, held by one test.
pub(crate) struct Hold {
    pub(crate) eal: &'static Eal,
    _one_at_a_time: MutexGuard<'static, ()>,
}

/// Starts EAL if it does not run yet, and waits for the other tests.
pub(crate) fn eal() -> Hold {
    static EAL: OnceLock<Eal> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let eal = EAL.get_or_init(|| {
        let args = EalArgs {
            worker_cpus: dataplane::dpdk::eal::allowed_cpus(),
            main_cpus: Vec::new(),
            memory: MemoryMode::NoHuge { mebibytes: 256 },
            file_prefix: format!("weir-test-{}", std::process::id()),
            pci: false,
            extra: vec!["--no-telemetry".into()],
        };
        Eal::init(&args.build().unwrap()).unwrap()
    });
    Hold { eal, _one_at_a_time: turn }
}

/// A pool of 4,095 mbufs of 2,048 octets without a cache, so that every mbuf is accounted for at once.
pub(crate) fn pool(name: &str) -> Mempool {
    pool_of(name, 4095, 2048)
}

/// A pool without a cache.
pub(crate) fn pool_of(name: &str, mbufs: u32, data_room_octets: u16) -> Mempool {
    Mempool::create(&PoolConfig { name: name.into(), mbufs, cache: 0, data_room_octets, ..PoolConfig::default() })
        .unwrap()
}

/// Polls until `done` says so; fails with `what` after twenty seconds.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "timed out: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a system command that must succeed; tests that need root fail without it, they are not skipped.
pub(crate) fn run(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(
        output.status.success(),
        "`{command}` failed (these tests need root): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A network namespace of this test's own, removed at its end.
pub(crate) struct Netns(pub(crate) String);

impl Netns {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        run(&format!("ip netns add {name}"));
        Self(name)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A folder of this test's own, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
