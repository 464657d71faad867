//! A running weir, asked through its own command line.

use std::path::PathBuf;

use serde_json::Value;

use super::net::Netns;
use super::process::{Running, Said, run};
use super::{Scratch, wait_for};

/// The binary under test: the one just built, or that of the environment variable WEIR_BINARY.
pub(crate) fn binary() -> String {
    std::env::var("WEIR_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_weir").to_owned())
}

/// A running weir. What it says is in its log, whose end every failure shows.
#[derive(Debug)]
pub(crate) struct Weir {
    process: Running,
    socket: String,
    config: PathBuf,
    stopped: bool,
}

/// The head of a configuration: where the sockets are, and a worker on CPU 1 that sleeps when nothing comes, so that
/// peers have something left of two CPUs.
pub(crate) fn head(scratch: &Scratch, memory_mib: u32, mbufs: u32) -> String {
    head_on(scratch, memory_mib, mbufs, "[1]")
}

/// [`head`] with workers on these CPUs.
pub(crate) fn head_on(scratch: &Scratch, memory_mib: u32, mbufs: u32, cores: &str) -> String {
    format!(
        "[eal]\nmemory = \"no-huge\"\nmemory_mib = {memory_mib}\nfile_prefix = \"weir-peer-{}-{}\"\n\n\
         [workers]\ncores = {cores}\nidle = \"sleep\"\n\n\
         [pool]\nmbufs = {mbufs}\n\n\
         [control]\nsocket = \"{}\"\n\n",
        std::process::id(),
        super::unique(),
        scratch.text("weir.sock"),
    )
}

/// [`head`] with a worker on the last CPU that this process may use: for tests without peers, which run on any machine.
pub(crate) fn head_here(scratch: &Scratch, memory_mib: u32, mbufs: u32) -> String {
    let cpu = core_affinity::get_core_ids().unwrap().last().unwrap().id;
    head_on(scratch, memory_mib, mbufs, &format!("[{cpu}]"))
}

impl Weir {
    /// Starts weir from this configuration, in a namespace if one is given, and waits until it answers.
    #[track_caller]
    pub(crate) fn start_in(scratch: &Scratch, netns: Option<&Netns>, toml: &str) -> Self {
        let config = scratch.path("weir.toml");
        std::fs::write(&config, toml).unwrap();
        let log = scratch.path(&format!("weir-{}.log", super::unique()));
        let path = config.display().to_string();
        let line = [&*binary(), "run", "-c", &path];
        let process = match netns {
            Some(netns) => netns.start(line, &log),
            None => Running::start(line, &log),
        };
        let mut weir = Self { process, socket: scratch.text("weir.sock"), config, stopped: false };
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            if let Some(status) = weir.process.ended() {
                panic!("weir ended ({status}) instead of starting\n{toml}\n{}", weir.process.tail());
            }
            if std::path::Path::new(&weir.socket).exists() && weir.ask(&["show", "workers"]).status.success() {
                return weir;
            }
            assert!(std::time::Instant::now() < until, "weir does not answer after 30 s\n{}", weir.process.tail());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// [`Self::start_in`] where the test itself is.
    #[track_caller]
    pub(crate) fn start(scratch: &Scratch, toml: &str) -> Self {
        Self::start_in(scratch, None, toml)
    }

    /// Runs `weir WORDS --json` against it.
    fn ask(&self, words: &[&str]) -> Said {
        let weir = binary();
        let mut line = vec![&*weir];
        line.extend(words);
        line.extend(["--json", "--socket", &self.socket]);
        run(line)
    }

    /// What `weir show TOPIC --json` says.
    #[track_caller]
    pub(crate) fn show(&self, topic: &str) -> Value {
        let said = self.ask(&["show", topic]);
        assert!(said.status.success(), "{}: {}\n{}", said.command, said.err, self.process.tail());
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{}: {error}\n{}", said.command, said.out))
    }

    /// The one of a list whose `key` is `value`.
    #[track_caller]
    pub(crate) fn find(&self, topic: &str, key: &str, value: &str) -> Value {
        let list = self.show(topic);
        let found = list.as_array().and_then(|list| list.iter().find(|one| one.get(key) == Some(&Value::from(value))));
        found.cloned().unwrap_or_else(|| panic!("weir show {topic}: no {key} is {value:?}\n{list:#}"))
    }

    /// A port's status.
    #[track_caller]
    pub(crate) fn port(&self, name: &str) -> Value {
        self.find("ports", "name", name)
    }

    /// One of a port's counters, `rx_packets` for example.
    #[track_caller]
    pub(crate) fn counter(&self, port: &str, counter: &str) -> u64 {
        let status = self.port(port);
        number(&status, &format!("/counters/{counter}"))
    }

    /// Whether a port has somebody at its other end.
    #[track_caller]
    pub(crate) fn is_up(&self, port: &str) -> bool {
        self.port(port).get("up") == Some(&Value::Bool(true))
    }

    /// Waits for that.
    #[track_caller]
    pub(crate) fn wait_until_up(&self, port: &str, up: bool) {
        wait_for(&format!("port {port} {}", if up { "up" } else { "down" }), 20, || {
            (self.is_up(port) == up).then_some(())
        });
    }

    /// All drops that are not zero, by name.
    #[track_caller]
    pub(crate) fn drops(&self) -> Vec<(String, u64)> {
        let list = self.show("drops");
        let drops = list.as_array().expect("a list of drop reasons").iter();
        let named = drops.map(|one| {
            let name = one.get("reason").and_then(Value::as_str).expect("a drop reason's name");
            (name.to_owned(), number(one, "/packets"))
        });
        named.filter(|(_, packets)| *packets != 0).collect()
    }

    /// Packets dropped for one reason.
    #[track_caller]
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.drops().iter().find(|(name, _)| name == reason).map_or(0, |(_, packets)| *packets)
    }

    /// Packets received by all workers.
    #[track_caller]
    pub(crate) fn received(&self) -> u64 {
        self.show("workers").as_array().expect("a list of workers").iter().map(|one| number(one, "/rx_packets")).sum()
    }

    /// Brings it to another configuration; what weir answers.
    #[track_caller]
    pub(crate) fn apply(&self, toml: &str) -> Value {
        let said = self.try_apply(toml, &[]);
        assert!(said.status.success(), "{}: {}{}\n{}", said.command, said.out, said.err, self.process.tail());
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{}: {error}\n{}", said.command, said.out))
    }

    /// The same, whatever comes of it.
    pub(crate) fn try_apply(&self, toml: &str, flags: &[&str]) -> Said {
        let file = self.config.with_extension("apply.toml");
        std::fs::write(&file, toml).unwrap();
        let path = file.display().to_string();
        let mut words = vec!["apply", &path];
        words.extend(flags);
        self.ask(&words)
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        self.process.tail()
    }

    /// The end of every test: what came in went somewhere, dropped was only what may be, SIGTERM ends weir cleanly, and
    /// every packet buffer is back.
    #[track_caller]
    pub(crate) fn stop(mut self, may_drop: &[&str]) {
        self.assert_balanced();
        let unexpected: Vec<_> = self.drops().into_iter().filter(|(name, _)| !may_drop.contains(&&**name)).collect();
        assert!(unexpected.is_empty(), "drops that were not to be: {unexpected:?}\n{}", self.process.tail());
        self.end();
    }

    /// Packet conservation, worker by worker.
    #[track_caller]
    pub(crate) fn assert_balanced(&self) {
        let workers = self.show("workers");
        for worker in workers.as_array().expect("a list of workers") {
            let imbalance = worker.get("imbalance").and_then(Value::as_i64);
            assert_eq!(imbalance, Some(0), "packets were lost or invented: {worker:#}\n{}", self.process.tail());
        }
    }

    /// SIGTERM, and what has to hold behind it.
    #[track_caller]
    fn end(&mut self) {
        self.stopped = true;
        self.process.signal("TERM");
        let status = self.process.wait(20);
        assert!(status.success(), "weir ended with {status} on SIGTERM\n{}", self.process.tail());
        let said = self.process.said();
        // The books of all workers at the end: nothing waits, and every buffer is in the pool again.
        for good in [" + held 0 + ", "; all packet buffers are back"] {
            assert!(said.contains(good), "weir does not say {good:?} at its end\n{}", self.process.tail());
        }
        for bad in ["did not close cleanly", "imbalance", "panicked"] {
            assert!(!said.contains(bad), "weir says {bad:?} at its end\n{}", self.process.tail());
        }
        assert!(!std::path::Path::new(&self.socket).exists(), "the control socket was left behind");
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // A failed test shows what weir said.
        if !self.stopped && std::thread::panicking() {
            eprintln!("{}", self.process.tail());
        }
    }
}

/// A number in a JSON value.
#[track_caller]
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {pointer}: {value:#}"))
}
