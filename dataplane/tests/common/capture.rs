//! Captures of what weir sent, and tshark as their judge.

use std::path::{Path, PathBuf};

use super::net::Netns;
use super::process::{Running, run};
use super::{Scratch, unique, wait_for};

/// Tcpdump on a peer's device. On the kernel's end of a tap or veth, "in" is exactly what weir sent.
#[derive(Debug)]
pub(crate) struct Capture {
    tcpdump: Running,
    file: PathBuf,
    what: String,
}

impl Capture {
    /// Starts to capture what weir sends to `device` of `netns`.
    #[track_caller]
    pub(crate) fn of_weir(scratch: &Scratch, netns: &Netns, device: &str) -> Self {
        Self::start(scratch, netns, device, "in")
    }

    /// Starts to capture both directions.
    #[track_caller]
    pub(crate) fn of_all(scratch: &Scratch, netns: &Netns, device: &str) -> Self {
        Self::start(scratch, netns, device, "inout")
    }

    #[track_caller]
    fn start(scratch: &Scratch, netns: &Netns, device: &str, direction: &str) -> Self {
        let number = unique();
        let file = scratch.path(&format!("{device}-{number}.pcap"));
        let log = scratch.path(&format!("tcpdump-{device}-{number}.log"));
        let path = file.display().to_string();
        // A large buffer: nothing may be missed while tcpdump does not get a CPU. Not in immediate mode, in which every
        // frame takes a slot of the longest frame's size. -Z: root writes into the test's folder.
        let line = [
            "tcpdump", "-n", "-i", device, "-Q", direction, "-s", "0", "-B", "262144", "-U", "-Z", "root", "-w", &path,
        ];
        let mut tcpdump = netns.start(line, &log);
        wait_for("tcpdump", 10, || {
            assert!(tcpdump.ended().is_none(), "{}", tcpdump.tail());
            tcpdump.said().contains("listening on").then_some(())
        });
        Self { tcpdump, file, what: format!("{device} of {}", netns.name()) }
    }

    /// Ends the capture; fails when frames were missed.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Captured {
        // What was sent a moment ago is still on its way to the file: the kernel gives a block on after a second.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        self.tcpdump.signal("INT");
        self.tcpdump.wait(20);
        let said = self.tcpdump.said();
        assert!(said.contains("\n0 packets dropped by kernel"), "the capture on {} is not whole:\n{said}", self.what);
        Captured { what: self.what.clone(), ..Captured::from_file(&self.file) }
    }
}

/// A capture file of frames.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    file: PathBuf,
    what: String,
    /// Only so many frames from its beginning are looked at.
    most: Option<u64>,
    /// What is carried in VXLAN is octets, and not looked at.
    outer_only: bool,
}

/// The checksums that tshark verifies, by the protocol's name there.
const SUMMED: [&str; 5] = ["ip", "udp", "tcp", "icmp", "icmpv6"];

/// What tshark found in a file.
#[derive(Clone, Debug, Default)]
struct Findings {
    frames: u64,
    /// Number and fault of frames that are malformed, contradict themselves (an expert's "error") or have a bad checksum.
    bad: Vec<String>,
    /// Checksums that were computed and found right, by protocol as in [`SUMMED`].
    good: [u64; SUMMED.len()],
}

impl Findings {
    /// Takes one line of fields: frame number, malformed, severities of experts' remarks, the checksums' states, TCP
    /// checksums, what TCP checksums should be. Where a frame has headers of a kind several times, so has the field.
    fn take(&mut self, line: &str) {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let (number, malformed, severities) = (next(), next(), next());
        let states: Vec<&str> = SUMMED.iter().map(|_| next()).collect();
        let (tcp, tcp_right) = (next(), next());
        let list = |field: &str| -> Vec<String> { field.split(',').map(str::to_owned).collect() };
        self.frames += 1;
        let mut faults = Vec::new();
        if !malformed.is_empty() {
            faults.push("malformed".to_owned());
        }
        // 8388608: "error", worse than "warning".
        if severities.split(',').any(|severity| severity == "8388608") {
            faults.push("an error by itself".to_owned());
        }
        for ((name, states), good) in SUMMED.iter().zip(states).zip(&mut self.good) {
            let mut states = list(states);
            if *name == "tcp" {
                // Linux writes 0xffff where it should write 0: both are zero in ones' complement, and every receiver takes
                // either. tshark calls that bad. Nothing else is let pass: 0xffff is right only where 0 is.
                let twins = list(tcp).into_iter().zip(list(tcp_right));
                for (state, (is, right)) in states.iter_mut().zip(twins) {
                    if state == "0" && is == "0xffff" && right == "0x0000" {
                        "1".clone_into(state);
                    }
                }
            }
            *good += states.iter().filter(|state| *state == "1").count() as u64;
            if states.iter().any(|state| state == "0") {
                faults.push(format!("bad {name} checksum"));
            }
        }
        if !faults.is_empty() {
            self.bad.push(format!("frame {number}: {}", faults.join(", ")));
        }
    }
}

/// Whether tshark can be run here. In CI it has to be; a user who builds without it is not stopped.
pub(crate) fn has_tshark() -> bool {
    let found = std::process::Command::new("tshark").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "tshark is not installed; run `make setup`");
    found
}

impl Captured {
    /// A file that weir or a peer wrote.
    pub(crate) fn from_file(file: &Path) -> Self {
        Self { file: file.to_owned(), what: file.display().to_string(), most: None, outer_only: false }
    }

    /// Looks at no more than the first `most` frames: tshark takes a minute for some millions.
    pub(crate) fn first(self, most: u64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// Looks at nothing that is carried in VXLAN: it came in as it goes out, and is not weir's.
    pub(crate) fn outer_only(self) -> Self {
        Self { outer_only: true, ..self }
    }

    /// The frames that match a display filter, one line each.
    #[track_caller]
    pub(crate) fn list(&self, filter: &str) -> Vec<String> {
        self.tshark(filter, &[])
    }

    /// One field of the frames that match a display filter.
    #[track_caller]
    pub(crate) fn fields(&self, filter: &str, field: &str) -> Vec<String> {
        self.tshark(filter, &["-T", "fields", "-e", field])
    }

    #[track_caller]
    fn tshark(&self, filter: &str, options: &[&str]) -> Vec<String> {
        let path = self.file.display().to_string();
        let mut line = vec!["tshark", "-n", "-r", &path];
        for option in [
            "ip.check_checksum:TRUE",
            "udp.check_checksum:TRUE",
            "tcp.check_checksum:TRUE",
            // Datagrams are judged one by one, not put together.
            "ip.defragment:FALSE",
            "ipv6.defragment:FALSE",
            "tcp.desegment_tcp_streams:FALSE",
        ] {
            line.extend(["-o", option]);
        }
        let most = self.most.map(|most| most.to_string());
        if let Some(most) = &most {
            line.extend(["-c", most]);
        }
        if self.outer_only {
            // Nor may a source port, which is a hash, pass for a protocol's.
            line.extend(["-d", "udp.port==4789,data"]);
        }
        line.extend(["-Y", filter]);
        line.extend(options);
        run(line).ok().lines().map(str::to_owned).collect()
    }

    /// How many frames match a display filter.
    #[track_caller]
    pub(crate) fn count(&self, filter: &str) -> usize {
        self.list(filter).len()
    }

    /// Fails unless there are at least `least` frames and tshark finds all of them well formed, checksums included.
    #[track_caller]
    pub(crate) fn judge(&self, least: u64) {
        self.judge_those("frame", least, &[]);
    }

    /// The same; fails also unless checksums were verified: of each of these protocols at least so many.
    #[track_caller]
    pub(crate) fn judge_sums(&self, least: u64, verified: &[(&str, u64)]) {
        self.judge_those("frame", least, verified);
    }

    /// The same for the frames that match a display filter.
    #[track_caller]
    pub(crate) fn judge_those(&self, filter: &str, least: u64, verified: &[(&str, u64)]) {
        let fields = ["frame.number", "_ws.malformed", "_ws.expert.severity"].map(str::to_owned).into_iter();
        let fields = fields.chain(SUMMED.iter().map(|name| format!("{name}.checksum.status")));
        let fields = fields.chain(["tcp.checksum", "tcp.checksum_calculated"].map(str::to_owned));
        let options: Vec<String> = fields.flat_map(|field| ["-e".to_owned(), field]).collect();
        let options: Vec<&str> = ["-T", "fields"].into_iter().chain(options.iter().map(String::as_str)).collect();
        let mut found = Findings::default();
        self.tshark(filter, &options).iter().for_each(|line| found.take(line));
        let (what, all) = (&self.what, found.frames);
        assert!(all >= least, "{what}: only {all} frames ({filter}) were captured, {least} expected");
        let first: Vec<_> = found.bad.iter().take(10).cloned().collect();
        assert!(first.is_empty(), "{what}: {} of {all} frames are bad:\n{}", found.bad.len(), first.join("\n"));
        for (name, wanted) in verified {
            let at = SUMMED.iter().position(|summed| summed == name).expect("a protocol whose checksum is verified");
            let good = found.good[at];
            assert!(
                good >= *wanted,
                "{what}: only {good} {name} checksums of {all} frames were verified, {wanted} expected: what is judged?"
            );
        }
    }

    /// Fails when a frame matches the filter.
    #[track_caller]
    pub(crate) fn has_none(&self, filter: &str) {
        let found = self.list(filter);
        let first: Vec<_> = found.iter().take(10).cloned().collect();
        assert!(found.is_empty(), "{}: {} frames are {filter}:\n{}", self.what, found.len(), first.join("\n"));
    }

    /// Fails when no frame matches the filter.
    #[track_caller]
    pub(crate) fn has_some(&self, filter: &str) {
        assert!(self.count(filter) != 0, "{}: no frame is {filter}", self.what);
    }
}
