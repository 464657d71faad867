//! From [`File`] to [`Config`]: defaults, ranges, names, and checks across sections. Every finding is collected.

mod cross;
mod networks;
mod ports;
mod values;

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::DeviceCheck;
use super::error::Report;
use super::file::{self, At, File};
use super::model::{Config, Control, Dscp, Eal, Host, Ledger, Limits, Pool, Vxlan, Workers};

/// The longest path of a unix socket, in octets: `sun_path` is 108 with the closing zero (unix(7)).
pub(super) const SOCKET_PATH_OCTETS: usize = 107;

/// What the checks share.
pub(super) struct Resolver<'r, 't> {
    report: &'r mut Report<'t>,
    /// Paths that could not be read; their absence is no second mistake.
    broken: BTreeSet<String>,
    /// Who knows what a device text may be.
    devices: &'r DeviceCheck<'r>,
}

/// Resolves what was read. The result means something only when `report` has no error.
pub(super) fn resolve(
    file: &File,
    broken: BTreeSet<String>,
    devices: &DeviceCheck<'_>,
    report: &mut Report<'_>,
) -> Config {
    let mut r = Resolver { report, broken, devices };
    let mut config = Config {
        eal: file.eal.as_ref().map(|s| r.eal(s)).unwrap_or_default(),
        workers: file.workers.as_ref().map(|s| r.workers(s)).unwrap_or_default(),
        pool: file.pool.as_ref().map(|s| r.pool(s)).unwrap_or_default(),
        limits: file.limits.as_ref().map(|s| r.limits(s)).unwrap_or_default(),
        control: file.control.as_ref().map(|s| r.control(s)).unwrap_or_default(),
        ledger: file.ledger.as_ref().map(|s| r.ledger(s)).unwrap_or_default(),
        vxlan: file.vxlan.as_ref().map(|s| r.vxlan(s)).unwrap_or_default(),
        host: file.host.as_ref().map(|s| r.host(s)).unwrap_or_default(),
        ..Config::default()
    };
    // Networks first: the ports' default MTU is that of their network.
    r.networks(&file.network, &mut config);
    r.ports(&file.port, &mut config);
    cross::check(&mut r, file, &mut config);
    config
}

impl Resolver<'_, '_> {
    fn eal(&mut self, s: &file::Eal) -> Eal {
        let default = Eal::default();
        for arg in &s.args {
            self.eal_arg(arg);
        }
        let file_prefix = match &s.file_prefix {
            Some(p) if p.value.is_empty() || p.value.contains(['/', ' ']) || p.value.len() > 64 => {
                let found = format!("`eal.file_prefix` is \"{}\": it becomes part of file names", p.value);
                self.report.error("file-prefix", Some(p.span.clone()), &found, "use 1 to 64 letters, digits, - and _");
                default.file_prefix
            }
            Some(p) => p.value.clone(),
            None => default.file_prefix,
        };
        Eal {
            memory: s.memory.unwrap_or_default(),
            memory_mib: self.int(s.memory_mib.as_ref(), "eal.memory_mib", 16..=1_048_576, default.memory_mib),
            file_prefix,
            args: s.args.iter().map(|a| a.value.clone()).collect(),
        }
    }

    /// EAL options that have a key of their own would be said twice.
    fn eal_arg(&mut self, arg: &At<String>) {
        let option = arg.value.split(['=', ' ']).next().unwrap_or_default();
        let short = |letter: &str| option.starts_with(letter) && !option.starts_with("--");
        let key = match option {
            "--lcores" | "--main-lcore" => "workers.cores",
            "--file-prefix" => "eal.file_prefix",
            "--no-huge" => "eal.memory = \"no-huge\"",
            _ if short("-l") || short("-c") || short("-s") || short("-S") => "workers.cores",
            _ if short("-m") => "eal.memory_mib",
            _ => return,
        };
        let found = format!("`{}` does not belong in `eal.args`", arg.value);
        self.report.error("eal-arg", Some(arg.span.clone()), &found, &format!("remove it and use `{key}`"));
    }

    fn workers(&mut self, s: &file::Workers) -> Workers {
        let default = Workers::default();
        let mut cores: Vec<u16> = Vec::new();
        if let Some(list) = &s.cores {
            for core in &list.value {
                let Some(number) = self.checked(core, "workers.cores", 0..=4095) else { continue };
                if cores.contains(&number) {
                    let found = format!("CPU {number} is in `workers.cores` twice");
                    self.report.error("core-twice", Some(core.span.clone()), &found, "one worker a CPU: remove one");
                }
                cores.push(number);
            }
            if list.value.is_empty() && !self.broken.iter().any(|path| path.starts_with("workers.cores")) {
                let help = "name at least one CPU, such as cores = [1]";
                self.report.error(
                    "no-cores",
                    Some(list.span.clone()),
                    "`workers.cores` is empty: nothing forwards",
                    help,
                );
            }
        } else {
            cores = default.cores;
        }
        Workers {
            cores,
            burst: self.int(s.burst.as_ref(), "workers.burst", 1..=64, default.burst),
            idle: s.idle.unwrap_or_default(),
            sleep_max_us: self.int(
                s.sleep_max_us.as_ref(),
                "workers.sleep_max_us",
                1..=1_000_000,
                default.sleep_max_us,
            ),
            housekeeping_us: self.int(
                s.housekeeping_us.as_ref(),
                "workers.housekeeping_us",
                10..=1_000_000,
                default.housekeeping_us,
            ),
        }
    }

    fn pool(&mut self, s: &file::Pool) -> Pool {
        let default = Pool::default();
        Pool {
            mbufs: self.int(s.mbufs.as_ref(), "pool.mbufs", 512..=16_777_216, default.mbufs),
            data_octets: self.int(s.data_octets.as_ref(), "pool.data_octets", 512..=16384, default.data_octets),
            cache: self.int(s.cache.as_ref(), "pool.cache", 0..=512, default.cache),
        }
    }

    fn limits(&mut self, s: &file::Limits) -> Limits {
        let default = Limits::default();
        Limits {
            ports: self.int(s.ports.as_ref(), "limits.ports", 1..=4096, default.ports),
            networks: self.int(s.networks.as_ref(), "limits.networks", 1..=16384, default.networks),
            tunnels: self.int(s.tunnels.as_ref(), "limits.tunnels", 1..=16384, default.tunnels),
            macs: self.int(s.macs.as_ref(), "limits.macs", 16..=16_777_216, default.macs),
            neighbours: self.int(s.neighbours.as_ref(), "limits.neighbours", 1..=32768, default.neighbours),
            parked_per_neighbour: self.int(
                s.parked_per_neighbour.as_ref(),
                "limits.parked_per_neighbour",
                0..=1024,
                default.parked_per_neighbour,
            ),
        }
    }

    fn control(&mut self, s: &file::Control) -> Control {
        let mut control = Control::default();
        if let Some(socket) = &s.socket {
            let octets = socket.value.len();
            let span = Some(socket.span.clone());
            if octets > SOCKET_PATH_OCTETS {
                let found = format!(
                    "`control.socket` has {octets} octets; a unix socket's path has at most {SOCKET_PATH_OCTETS}"
                );
                self.report.error("socket-path", span, &found, "choose a shorter path, such as /run/weir/weir.sock");
            } else if !socket.value.starts_with('/') {
                let found = format!("`control.socket` is \"{}\", not an absolute path", socket.value);
                self.report.error("socket-path", span, &found, "begin it with /, such as /run/weir/weir.sock");
            }
            control.socket = PathBuf::from(&socket.value);
        }
        if let Some(mode) = &s.socket_mode {
            let octal = (3..=4).contains(&mode.value.len()).then(|| u32::from_str_radix(&mode.value, 8).ok()).flatten();
            match octal {
                Some(bits) if bits <= 0o777 && !mode.value.starts_with('+') => control.socket_mode = bits,
                _ => {
                    let found = format!("`control.socket_mode` is \"{}\", not permission bits", mode.value);
                    let help = "write an octal number in quotes, such as \"0660\"";
                    self.report.error("socket-mode", Some(mode.span.clone()), &found, help);
                }
            }
        }
        control
    }

    fn ledger(&mut self, s: &file::Ledger) -> Ledger {
        let default = Ledger::default();
        Ledger {
            level: s.level.unwrap_or_default(),
            sample_one_in: self.int(s.sample_one_in.as_ref(), "ledger.sample_one_in", 1..=65536, default.sample_one_in),
            gap_us: self.int(s.gap_us.as_ref(), "ledger.gap_us", 1..=1_000_000, default.gap_us),
        }
    }

    fn vxlan(&mut self, s: &file::Vxlan) -> Vxlan {
        let default = Vxlan::default();
        Vxlan {
            udp_port: self.int(s.udp_port.as_ref(), "vxlan.udp_port", 1..=65535, default.udp_port),
            udp_checksum: s.udp_checksum.unwrap_or(default.udp_checksum),
            accept_zero_checksum_ipv6: s.accept_zero_checksum_ipv6.unwrap_or(default.accept_zero_checksum_ipv6),
            verify_checksum: s.verify_checksum.unwrap_or(default.verify_checksum),
            ttl: self.int(s.ttl.as_ref(), "vxlan.ttl", 1..=255, default.ttl),
            dscp: s.dscp.as_ref().map_or(default.dscp, |dscp| self.dscp(dscp)),
            accept_inner_vlan: s.accept_inner_vlan.unwrap_or(default.accept_inner_vlan),
        }
    }

    fn dscp(&mut self, dscp: &At<file::Dscp>) -> Dscp {
        match &dscp.value {
            file::Dscp::Word(word) if word == "copy" => Dscp::Copy,
            file::Dscp::Word(word) => {
                let found = format!("`vxlan.dscp` is \"{word}\"");
                self.report.error("range", Some(dscp.span.clone()), &found, "write \"copy\" or a number 0 to 63");
                Dscp::Copy
            }
            file::Dscp::Number(value) => {
                let at = At { value: *value, span: dscp.span.clone() };
                self.checked(&at, "vxlan.dscp", 0..=63).map_or(Dscp::Copy, Dscp::Fixed)
            }
        }
    }

    fn host(&mut self, s: &file::Host) -> Host {
        let default = Host::default();
        Host {
            rate_limit_pps: self.int(
                s.rate_limit_pps.as_ref(),
                "host.rate_limit_pps",
                0..=100_000_000,
                default.rate_limit_pps,
            ),
        }
    }
}
