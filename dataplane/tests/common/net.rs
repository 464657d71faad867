//! Network namespaces as peers: a container, or a remote host with the kernel's own VXLAN.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::process::{Running, Said, run};
use super::wait_for;

/// A network namespace; deleted at the end.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// `tag` tells the namespaces of one test apart.
    #[track_caller]
    pub(crate) fn new(tag: &str) -> Self {
        let name = format!("weir-{}-{}-{tag}", std::process::id(), super::unique());
        run(["ip", "netns", "add", &name]).ok();
        let netns = Self { name };
        netns.ip("link set lo up");
        // Router solicitations and listener reports would come and go as they like.
        netns.sysctl("net.ipv6.conf.default.accept_dad", "0");
        netns.sysctl("net.ipv6.conf.default.router_solicitations", "0");
        netns
    }

    /// Its name, as in `tap:NAME@NETNS`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn line<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, line: I) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["ip", "netns", "exec", &self.name].iter().map(OsString::from).collect();
        words.extend(line.into_iter().map(|word| word.as_ref().to_owned()));
        words
    }

    /// Runs a command in it.
    #[track_caller]
    pub(crate) fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, line: I) -> Said {
        run(self.line(line))
    }

    /// Starts a command in it.
    #[track_caller]
    pub(crate) fn start<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, line: I, log: &Path) -> Running {
        Running::start(self.line(line), log)
    }

    /// `ip` with these words in it; must succeed.
    #[track_caller]
    pub(crate) fn ip(&self, words: &str) -> String {
        let line = ["ip", "-n", &self.name];
        run(line.into_iter().chain(words.split_whitespace())).ok()
    }

    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        let file = format!("/proc/sys/{}", key.replace('.', "/"));
        self.run(["sh", "-c", &format!("echo {value} >{file}")]).ok();
    }

    /// Gives a device a MAC address of its own (weir's end of a tap has the kernel's), an MTU and addresses, and
    /// switches off what would leave checksums or segments unfinished.
    #[track_caller]
    pub(crate) fn set_up(&self, device: &str, mac: &str, mtu: u16, addresses: &[&str]) {
        wait_for(&format!("device {device} in {}", self.name), 10, || {
            run(["ip", "-n", &self.name, "link", "show", device]).status.success().then_some(())
        });
        self.ip(&format!("link set {device} down"));
        self.ip(&format!("link set {device} address {mac}"));
        self.ip(&format!("link set {device} mtu {mtu}"));
        self.ip(&format!("link set {device} up"));
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            self.ip(&format!("addr add {address} dev {device} {nodad}"));
        }
    }

    /// The MAC address of a device.
    pub(crate) fn mac(&self, device: &str) -> String {
        self.run(["cat", &format!("/sys/class/net/{device}/address")]).ok().trim().to_owned()
    }

    /// What the kernel knows of a neighbour: `ip neigh show`.
    pub(crate) fn neighbour(&self, address: &str) -> String {
        self.ip(&format!("neigh show {address}"))
    }

    /// Pings with `octets` of payload whose every octet is `pattern`; all must be answered.
    #[track_caller]
    pub(crate) fn ping(&self, address: &str, count: u32, octets: u32, pattern: u8) {
        let said = self.try_ping(address, count, octets, pattern);
        let whole = format!(" {count} received");
        assert!(
            said.status.success() && said.out.contains(&whole),
            "{} of {octets} octets\n{}{}\n{}",
            said.command,
            said.out,
            said.err,
            self.ip("neigh show"),
        );
    }

    /// The same, whatever comes of it.
    pub(crate) fn try_ping(&self, address: &str, count: u32, octets: u32, pattern: u8) -> Said {
        let (count, octets, pattern) = (count.to_string(), octets.to_string(), format!("{pattern:02x}"));
        self.run([
            "ping", "-n", "-q", "-i", "0.02", "-W", "2", "-M", "do", "-c", &count, "-s", &octets, "-p", &pattern,
            address,
        ])
    }

    /// Pings until there is one answer: ports and addresses have settled then.
    #[track_caller]
    pub(crate) fn ping_until(&self, address: &str, seconds: u64) {
        let mut last = None;
        let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
        while std::time::Instant::now() < until {
            let said = self.run(["ping", "-n", "-q", "-c", "1", "-W", "1", address]);
            if said.status.success() {
                return;
            }
            last = Some(said.out + &said.err);
        }
        panic!("{address} did not answer {} within {seconds} s\n{}", self.name, last.unwrap_or_default());
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        run(["ip", "netns", "del", &self.name]);
    }
}
