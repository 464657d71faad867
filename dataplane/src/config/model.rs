//! The resolved configuration: every default filled in, every name known to exist, every cross-check passed.
//!
//! Plain data. Ports and networks are named, not numbered: the controller gives out the packet path's dense identifiers, and
//! they survive a change of the file. Field names are the keys of the file
//! (units in the name), so that the JSON form of a [`Config`] reads like the file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use overlay::num::{MacAddr, Vni};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::name::Name;

/// Everything that weir is told, checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Config {
    /// Start only.
    pub eal: Eal,
    /// `cores` is start only, the rest live.
    pub workers: Workers,
    /// Start only.
    pub pool: Pool,
    /// Start only.
    pub limits: Limits,
    /// Start only.
    pub control: Control,
    /// Live.
    pub ledger: Ledger,
    /// Live.
    pub vxlan: Vxlan,
    /// Live.
    pub host: Host,
    /// Live. The key is the port's name.
    pub ports: BTreeMap<Name, Port>,
    /// Live. The key is the network's name.
    pub networks: BTreeMap<Name, Network>,
}

impl Config {
    /// The uplinks, by name.
    pub fn uplinks(&self) -> impl Iterator<Item = (&Port, &Uplink)> {
        self.ports.values().filter_map(|port| match &port.settings.role {
            Role::Uplink(uplink) => Some((port, uplink)),
            Role::Container(_) | Role::Host => None,
        })
    }

    /// The container ports, by name.
    pub fn containers(&self) -> impl Iterator<Item = (&Port, &Container)> {
        self.ports.values().filter_map(|port| match &port.settings.role {
            Role::Container(container) => Some((port, container)),
            Role::Uplink(_) | Role::Host => None,
        })
    }

    /// The ports of a network with the VLAN tag they carry it under; `None` is untagged.
    pub fn members<'a>(&'a self, network: &'a str) -> impl Iterator<Item = (&'a Port, Option<u16>)> {
        self.containers().flat_map(move |(port, container)| {
            let access = container.network.iter().map(|name| (None, name));
            let tagged = container.vlans.iter().map(|(vlan, name)| (Some(*vlan), name));
            access.chain(tagged).filter(move |(_, name)| name.as_str() == network).map(move |(vlan, _)| (port, vlan))
        })
    }
}

/// Where DPDK's memory comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum MemoryMode {
    /// Hugepages where there are some, else as `no-huge`.
    #[default]
    Auto,
    /// Hugepages or nothing.
    Hugepages,
    /// Ordinary pages: no root, no preparation, more TLB misses, no secondary processes.
    NoHuge,
}

/// `[eal]`: how DPDK's environment abstraction layer is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Eal {
    /// Where the memory comes from.
    pub memory: MemoryMode,
    /// Memory asked of EAL at start, in MiB.
    pub memory_mib: u32,
    /// Prefix of EAL's run-time files; one per running process.
    pub file_prefix: String,
    /// Further EAL arguments in EAL's own spelling; never lcore options.
    pub args: Vec<String>,
}

impl Default for Eal {
    fn default() -> Self {
        Self { memory: MemoryMode::Auto, memory_mib: 512, file_prefix: "weir".into(), args: Vec::new() }
    }
}

/// What a worker does when a poll round found nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Idle {
    /// Poll again at once.
    #[default]
    Poll,
    /// A pause instruction between rounds.
    Pause,
    /// Sleep, longer the longer nothing comes, at most `sleep_max_us`.
    Sleep,
}

/// `[workers]`: the cores that forward and how they poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// CPU number of each worker; worker `i` runs on `cores[i]`. Start only.
    pub cores: Vec<u16>,
    /// The most packets taken from a queue at once, 1 to 64.
    pub burst: u16,
    /// What to do when there is nothing to do.
    pub idle: Idle,
    /// Longest sleep of `idle = "sleep"`, in microseconds.
    pub sleep_max_us: u32,
    /// Time between housekeeping rounds, in microseconds.
    pub housekeeping_us: u32,
}

impl Default for Workers {
    fn default() -> Self {
        Self { cores: vec![1], burst: 32, idle: Idle::Poll, sleep_max_us: 100, housekeeping_us: 1000 }
    }
}

/// `[pool]`: the packet buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Packet buffers in all.
    pub mbufs: u32,
    /// Room for packet data in one buffer, in octets, without headroom.
    pub data_octets: u16,
    /// Buffers that each worker keeps for itself.
    pub cache: u16,
}

impl Default for Pool {
    fn default() -> Self {
        Self { mbufs: 65536, data_octets: 2048, cache: 256 }
    }
}

/// `[limits]`: how large the tables are built at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Ports of all roles.
    pub ports: u16,
    /// Networks.
    pub networks: u16,
    /// Different remote VTEPs.
    pub tunnels: u16,
    /// MAC addresses, learned and static, of all networks together.
    pub macs: u32,
    /// Underlay next hops, resolved and static.
    pub neighbours: u16,
    /// Packets that wait for one neighbour to be resolved.
    pub parked_per_neighbour: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ports: 256, networks: 1024, tunnels: 1024, macs: 65536, neighbours: 4096, parked_per_neighbour: 16 }
    }
}

/// `[control]`: where `weir show` and `weir apply` find a running weir.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Path of the unix socket, at most 107 octets.
    pub socket: PathBuf,
    /// Permission bits of the socket; an octal string in the file.
    #[serde(serialize_with = "serialize_mode")]
    pub socket_mode: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn serialize_mode<S: serde::Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: "/run/weir/weir.sock".into(), socket_mode: 0o660 }
    }
}

/// How much the ledger measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LedgerLevel {
    /// At most two clock reads a loop.
    Off,
    /// All stamps on one burst in `sample_one_in`.
    #[default]
    Sampled,
    /// All stamps on every burst.
    Full,
}

/// `[ledger]`: the accounting of cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// How much is measured.
    pub level: LedgerLevel,
    /// At level `sampled`: one burst in this many is stamped at every stage.
    pub sample_one_in: u32,
    /// An interval longer than this, in microseconds, is booked as stolen.
    pub gap_us: u32,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { level: LedgerLevel::Sampled, sample_one_in: 128, gap_us: 20 }
    }
}

/// The DSCP of outer headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dscp {
    /// That of the inner packet.
    #[default]
    Copy,
    /// Always this one, 0 to 63.
    Fixed(u8),
}

impl Serialize for Dscp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Copy => serializer.serialize_str("copy"),
            Self::Fixed(value) => serializer.serialize_u8(*value),
        }
    }
}

/// `[vxlan]`: the tunnel encapsulation (RFC 7348).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Vxlan {
    /// UDP destination port, sent and listened to.
    pub udp_port: u16,
    /// Whether outer UDP checksums are filled in when sending.
    pub udp_checksum: bool,
    /// Whether a zero outer checksum is accepted over IPv6 (RFC 6935, RFC 6936).
    pub accept_zero_checksum_ipv6: bool,
    /// Whether non-zero outer checksums are verified when receiving.
    pub verify_checksum: bool,
    /// TTL or hop limit of outer headers.
    pub ttl: u8,
    /// DSCP of outer headers.
    pub dscp: Dscp,
    /// Whether a VLAN tag inside the tunnel is accepted (RFC 7348 § 6.1 says to discard by default).
    pub accept_inner_vlan: bool,
}

impl Default for Vxlan {
    fn default() -> Self {
        Self {
            udp_port: 4789,
            udp_checksum: false,
            accept_zero_checksum_ipv6: true,
            verify_checksum: true,
            ttl: 64,
            dscp: Dscp::Copy,
            accept_inner_vlan: false,
        }
    }
}

/// `[host]`: what weir answers itself or hands to the host's own stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Most replies and punts a second, all ports together; 0 is no limit.
    pub rate_limit_pps: u32,
}

impl Default for Host {
    fn default() -> Self {
        Self { rate_limit_pps: 10_000 }
    }
}

/// `[[port]]`: one port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Port {
    /// Its name, also its key in [`Config::ports`].
    pub name: Name,
    /// Everything but the lists that change entry by entry.
    #[serde(flatten)]
    pub settings: PortSettings,
    /// Static ARP and ND entries on an uplink; empty on other ports.
    pub neighbours: BTreeMap<IpAddr, MacAddr>,
}

/// What a port is, without its static neighbours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortSettings {
    /// The device, in the spelling of the port module (`tap:NAME`, `vhost-user:PATH`, …).
    pub device: String,
    /// What it is for.
    #[serde(flatten)]
    pub role: Role,
    /// Largest IP packet, in octets, without Ethernet header and tags.
    pub mtu: u16,
    /// MAC address; `None` takes the device's own.
    pub mac: Option<MacAddr>,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Worker of each receive queue (index into [`Workers::cores`]); `None` leaves the plan to weir.
    pub queue_workers: Option<Vec<u16>>,
    /// Faults to inject, for measuring.
    pub fault: Option<Fault>,
}

impl PortSettings {
    /// The device as the port module reads it: with the faults, if any, before it (`fault:loss=0.01,…;DEVICE`).
    pub fn device_text(&self) -> String {
        match &self.fault {
            None => self.device.clone(),
            Some(Fault { loss, duplicate, reorder, delay_us, seed }) => format!(
                "fault:loss={loss},duplicate={duplicate},reorder={reorder},delay_us={delay_us},seed={seed};{}",
                self.device
            ),
        }
    }
}

/// What a port is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Role {
    /// To the underlay.
    Uplink(Uplink),
    /// To a container or VM.
    Container(Container),
    /// To the host's own stack.
    Host,
}

impl Role {
    /// `uplink`, `container` or `host`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Uplink(_) => "uplink",
            Self::Container(_) => "container",
            Self::Host => "host",
        }
    }
}

/// An uplink's underlay addressing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Uplink {
    /// Local VTEP addresses with the prefix of the link, in file order: the first of a family is the source of tunnels.
    pub addresses: Vec<IpNet>,
    /// IPv4 default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// IPv6 default gateway.
    pub gateway6: Option<Ipv6Addr>,
    /// The host port that takes what is for the host's own stack.
    pub host: Option<Name>,
}

/// What a container port is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Network of untagged frames.
    pub network: Option<Name>,
    /// Network of tagged frames, by VLAN 1 to 4094.
    pub vlans: BTreeMap<u16, Name>,
    /// Whether it may not talk to other isolated ports of its network.
    pub isolated: bool,
}

/// Faults injected in both directions of a port, for measuring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Fault {
    /// Probability of losing a packet, 0 to 1.
    pub loss: f64,
    /// Probability of sending a packet twice, 0 to 1.
    pub duplicate: f64,
    /// Probability of swapping a packet with its successor, 0 to 1.
    pub reorder: f64,
    /// Delay of every packet, in microseconds.
    pub delay_us: u32,
    /// Seed of the generator: the same seed loses the same packets.
    pub seed: u64,
}

/// `[[network]]`: one L2 segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Its name, also its key in [`Config::networks`].
    pub name: Name,
    /// Everything but the lists that change entry by entry.
    #[serde(flatten)]
    pub settings: NetworkSettings,
    /// Remote VTEPs: the head-end replication list, and who may send to us.
    pub vteps: BTreeSet<IpAddr>,
    /// Static MAC entries.
    pub macs: BTreeMap<MacAddr, MacPlace>,
    /// Known IP-to-MAC bindings, for ARP and ND suppression.
    pub bindings: BTreeMap<IpAddr, MacAddr>,
}

impl Network {
    /// A network without any entries.
    pub fn empty(name: Name, settings: NetworkSettings) -> Self {
        Self { name, settings, vteps: BTreeSet::new(), macs: BTreeMap::new(), bindings: BTreeMap::new() }
    }
}

/// What a network is, without its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkSettings {
    /// VXLAN network identifier.
    pub vni: Vni,
    /// MTU of the segment in octets: that of its container ports where they do not say otherwise.
    pub mtu: u16,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0 is never.
    pub mac_ageing_s: u32,
    /// Whether MACs are learned at all.
    pub mac_learning: bool,
    /// Whether ARP and ND requests for known bindings are answered instead of flooded.
    pub suppress_arp_nd: bool,
    /// Most flooded packets a second in this network from one port, on each worker that polls it; 0 is no limit.
    pub storm_limit_pps: u32,
}

impl NetworkSettings {
    /// The defaults, for a VNI.
    pub const fn new(vni: Vni) -> Self {
        Self { vni, mtu: 1500, mac_ageing_s: 300, mac_learning: true, suppress_arp_nd: true, storm_limit_pps: 0 }
    }
}

/// Where a static MAC is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum MacPlace {
    /// Behind a container port of this weir.
    Port {
        /// The port.
        port: Name,
        /// The tag that the port carries the network under; `None` is untagged.
        vlan: Option<u16>,
    },
    /// Behind a remote VTEP.
    Vtep {
        /// The VTEP's address.
        vtep: IpAddr,
    },
}
