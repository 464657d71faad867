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
    /// Options of tshark beside those that every judgement has.
    options: Vec<String>,
}

/// What no frame of weir may be. A checksum's status 0 is "bad". Linux writes 0xffff where a TCP checksum summed up in
/// software is 0 (both are zero in ones' complement), which tshark calls bad: such packets come from the peers.
const BAD: &str = "_ws.malformed || _ws.short || ip.bogus_ip_length || ip.checksum.status == 0 || (tcp.checksum.status == 0 && tcp.checksum != 0xffff) || udp.checksum.status == 0 \
    || icmp.checksum.status == 0 || icmpv6.checksum.status == 0";

/// Whether a checksum was verified: 0 is "bad", 1 "good", 2 "unverified", 3 "not present".
const STATUS: [&str; 5] = [
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
];

impl Captured {
    /// A file that weir itself wrote.
    pub(crate) fn from_file(file: &Path) -> Self {
        Self { file: file.to_owned(), what: file.display().to_string(), options: Vec::new() }
    }

    /// One more preference of tshark, which outweighs those of every judgement.
    pub(crate) fn option(mut self, preference: &str) -> Self {
        self.options.extend(["-o".to_owned(), preference.to_owned()]);
        self
    }

    /// Only so many frames from the file's beginning: tshark reads some ten thousand frames a second.
    pub(crate) fn first(mut self, frames: usize) -> Self {
        self.options.extend(["-c".to_owned(), frames.to_string()]);
        self
    }

    /// Only the headers outside of VXLAN: what is inside came from elsewhere, and may be anything.
    pub(crate) fn outside(mut self) -> Self {
        self.options.extend(["-d".to_owned(), "udp.port==4789,data".to_owned()]);
        self
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
        line.extend(self.options.iter().map(String::as_str));
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
    pub(crate) fn judge(&self, least: usize) {
        if let Err(why) = self.verdict(least) {
            panic!("{}: {why}", self.what);
        }
    }

    /// The same without failing: what is wrong with the frames, or with how they were judged.
    pub(crate) fn verdict(&self, least: usize) -> Result<(), String> {
        let options: Vec<_> =
            ["-T", "fields"].into_iter().chain(STATUS.iter().flat_map(|field| ["-e", field])).collect();
        let all = self.tshark("frame", &options);
        if all.len() < least {
            return Err(format!("only {} frames were captured, {least} expected", all.len()));
        }
        let bad = self.list(BAD);
        if !bad.is_empty() {
            let first: Vec<_> = bad.iter().take(10).cloned().collect();
            return Err(format!("{} of {} frames are bad:\n{}", bad.len(), all.len(), first.join("\n")));
        }
        // A tshark that verifies nothing finds nothing bad either.
        let count = |column: usize, status: &str| {
            let has = |line: &&String| {
                line.split('\t').nth(column).is_some_and(|found| found.split(',').any(|one| one == status))
            };
            all.iter().filter(has).count()
        };
        let good: Vec<_> = (0..STATUS.len()).map(|column| count(column, "1")).collect();
        if good.iter().all(|good| *good == 0) {
            return Err(format!("tshark verified no checksum in {} frames", all.len()));
        }
        for ((column, field), good) in STATUS.iter().enumerate().zip(good) {
            let unverified = count(column, "2");
            if good == 0 && unverified != 0 {
                return Err(format!("tshark verified no {field}, and left {unverified} frames out"));
            }
        }
        Ok(())
    }

    /// Fails unless tshark verified this protocol's checksum, and found it right, in at least `least` frames.
    #[track_caller]
    pub(crate) fn verified(&self, protocol: &str, least: usize) {
        let count = self.count(&format!("{protocol}.checksum.status == 1"));
        assert!(count >= least, "{}: only {count} frames have a good checksum of {protocol}", self.what);
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
