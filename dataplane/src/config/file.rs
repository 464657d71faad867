//! What the user typed: the keys of the file, unchecked, with their places.
//!
//! Everything is optional here, so that one mistake does not hide the next; what must be there is asked for in `resolve`,
//! where numbers are also held against their ranges. The docs of the fields are the descriptions of the JSON schema.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use super::model::{Idle, LedgerLevel, MemoryMode};

/// A value and its place: a range of octets of the text.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { span: spanned.span(), value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

type Int = Option<At<i64>>;
type Text = Option<At<String>>;
type Bool = Option<bool>;

/// The configuration of weir.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// How DPDK's environment abstraction layer is started. Start only.
    pub eal: Option<Eal>,
    /// The cores that forward, and how they poll.
    pub workers: Option<Workers>,
    /// The packet buffers. Start only.
    pub pool: Option<Pool>,
    /// How large the tables are built. Start only.
    pub limits: Option<Limits>,
    /// Where the command line finds a running weir. Start only.
    pub control: Option<Control>,
    /// The accounting of cycles.
    pub ledger: Option<Ledger>,
    /// The VXLAN encapsulation (RFC 7348), the same for all networks.
    pub vxlan: Option<Vxlan>,
    /// What weir answers itself or hands to the host's own stack.
    pub host: Option<Host>,
    /// A port; one `[[port]]` for each.
    #[serde(default)]
    pub port: Vec<At<Port>>,
    /// An L2 network; one `[[network]]` for each.
    #[serde(default)]
    pub network: Vec<At<Network>>,
}

/// How DPDK's environment abstraction layer is started.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eal {
    /// Where the memory comes from: hugepages where there are some (`auto`), `hugepages` or nothing, or ordinary pages (`no-huge`).
    pub memory: Option<MemoryMode>,
    /// Memory asked of EAL, in MiB.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub memory_mib: Int,
    /// Prefix of EAL's run-time files. Two weirs on one host need two prefixes.
    pub file_prefix: Text,
    /// Further EAL arguments in EAL's own spelling. Lcore options are refused: the cores are said in `workers.cores`.
    #[serde(default)]
    pub args: Vec<At<String>>,
}

/// The cores that forward, and how they poll.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// The CPU of each worker, by its number in the system. Start only.
    pub cores: Option<At<Vec<At<i64>>>>,
    /// The most packets taken from a queue at once.
    #[schemars(range(min = 1, max = 64))]
    pub burst: Int,
    /// What a worker does after a round without packets: `poll` again, `pause` in between, or `sleep` longer and longer.
    pub idle: Option<Idle>,
    /// Longest sleep of `idle = "sleep"`, in microseconds.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub sleep_max_us: Int,
    /// Time between housekeeping rounds of a worker, in microseconds.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub housekeeping_us: Int,
}

/// The packet buffers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Packet buffers (mbufs) in all.
    #[schemars(range(min = 512, max = 16_777_216))]
    pub mbufs: Int,
    /// Room for packet data in one buffer, in octets, without headroom. Longer frames take several buffers.
    #[schemars(range(min = 512, max = 16384))]
    pub data_octets: Int,
    /// Buffers that each worker keeps for itself, so that it seldom shares.
    #[schemars(range(min = 0, max = 512))]
    pub cache: Int,
}

/// How large the tables are built.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Ports of all roles.
    #[schemars(range(min = 1, max = 4096))]
    pub ports: Int,
    /// Networks.
    #[schemars(range(min = 1, max = 16384))]
    pub networks: Int,
    /// Different remote VTEPs, of all networks together.
    #[schemars(range(min = 1, max = 16384))]
    pub tunnels: Int,
    /// MAC addresses, learned and static, of all networks together.
    #[schemars(range(min = 16, max = 16_777_216))]
    pub macs: Int,
    /// Underlay next hops (ARP and ND entries), resolved and static.
    #[schemars(range(min = 1, max = 32768))]
    pub neighbours: Int,
    /// Packets that wait for one neighbour to be resolved; more are dropped.
    #[schemars(range(min = 0, max = 1024))]
    pub parked_per_neighbour: Int,
}

/// Where the command line finds a running weir.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Path of the unix socket, absolute, at most 107 octets.
    pub socket: Text,
    /// Permission bits of the socket: an octal number in quotes.
    #[schemars(regex(pattern = r"^0?[0-7]{3}$"))]
    pub socket_mode: Text,
}

/// The accounting of cycles.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// How much is measured: `off`, every stage of some bursts (`sampled`), or every stage of every burst (`full`).
    pub level: Option<LedgerLevel>,
    /// At level `sampled`: one burst in this many is stamped at every stage.
    #[schemars(range(min = 1, max = 65536))]
    pub sample_one_in: Int,
    /// An interval longer than this, in microseconds, is booked as stolen from the worker.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub gap_us: Int,
}

/// The VXLAN encapsulation (RFC 7348), the same for all networks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vxlan {
    /// UDP destination port, sent to and listened on.
    #[schemars(range(min = 1, max = 65535))]
    pub udp_port: Int,
    /// Fill in the outer UDP checksum of what is sent, instead of zero.
    pub udp_checksum: Bool,
    /// Accept a zero outer UDP checksum over IPv6 (RFC 6935, RFC 6936).
    pub accept_zero_checksum_ipv6: Bool,
    /// Verify outer UDP checksums that are not zero, and drop what is wrong.
    pub verify_checksum: Bool,
    /// TTL or hop limit of outer headers.
    #[schemars(range(min = 1, max = 255))]
    pub ttl: Int,
    /// DSCP of outer headers: `"copy"` that of the inner packet, or a number 0 to 63.
    pub dscp: Option<At<Dscp>>,
    /// Accept a VLAN tag inside the tunnel (RFC 7348 § 6.1 says to discard by default).
    pub accept_inner_vlan: Bool,
}

/// `"copy"` or a number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "\"copy\" or a number 0 to 63")]
#[schemars(inline)]
pub enum Dscp {
    /// A fixed DSCP.
    Number(#[schemars(range(min = 0, max = 63))] i64),
    /// `copy`.
    Word(#[schemars(regex(pattern = "^copy$"))] String),
}

/// What weir answers itself or hands to the host's own stack.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Most replies (ARP, ND, ICMP) and punts to the host a second, all ports together; 0 is no limit.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub rate_limit_pps: Int,
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Role {
    /// To the underlay: tunnels leave and enter here.
    Uplink,
    /// To a container or VM.
    Container,
    /// To the host's own stack.
    Host,
}

/// A port.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name: letters, digits, `.`, `_`, `-`; at most 32.
    #[schemars(required)]
    pub name: Text,
    /// The device: `vhost-user:PATH[,client]`, `tap:NAME[@NETNS]`, `af-packet:IFACE`, `af-xdp:IFACE`, `memif:PATH`, `virtio-user:PATH`, `pcap:[IN][,OUT]`, `null`, `ring[:NAME]`, `source:…`, a PCI address, or `net_DRIVER…` with DPDK arguments.
    #[schemars(required)]
    pub device: Text,
    /// What it is for: `uplink`, `container` or `host`.
    #[schemars(required)]
    pub role: Option<At<Role>>,
    /// Uplink: local addresses with the prefix length of the link. The first of a family is the source of tunnels.
    pub addresses: Option<At<Vec<At<String>>>>,
    /// Uplink: IPv4 default gateway, on the link of one of the addresses.
    pub gateway: Text,
    /// Uplink: IPv6 default gateway, on the link of one of the addresses or link-local.
    pub gateway6: Text,
    /// Uplink: the host port that takes what is for the host's own stack.
    pub host: Text,
    /// Uplink: static ARP and ND entries.
    pub neighbours: Option<At<Vec<At<Neighbour>>>>,
    /// Container: the network of its untagged frames.
    pub network: Text,
    /// Container: the networks of its tagged frames.
    pub vlans: Option<At<Vec<At<Vlan>>>>,
    /// Container: it may not talk to other isolated ports of its network.
    pub isolated: Option<At<bool>>,
    /// Largest IP packet in octets. Default: that of its network for a container, else 1500.
    #[schemars(range(min = 576, max = 9216))]
    pub mtu: Int,
    /// MAC address. Default: that of the device.
    pub mac: Text,
    /// Receive queues.
    #[schemars(range(min = 1, max = 64))]
    pub rx_queues: Int,
    /// Transmit queues.
    #[schemars(range(min = 1, max = 64))]
    pub tx_queues: Int,
    /// The worker of each receive queue, as positions in `workers.cores` from 0. Default: weir spreads them.
    pub queue_workers: Option<At<Vec<At<i64>>>>,
    /// Faults to inject in both directions. For measuring only.
    pub fault: Option<At<Fault>>,
}

/// A static ARP or ND entry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// The neighbour's IP address, on the link.
    #[schemars(required)]
    pub address: Text,
    /// Its MAC address.
    #[schemars(required)]
    pub mac: Text,
}

/// A network behind a VLAN tag.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// The tag.
    #[schemars(required, range(min = 1, max = 4094))]
    pub vlan: Int,
    /// The network.
    #[schemars(required)]
    pub network: Text,
}

/// Faults to inject.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Probability of losing a packet.
    #[schemars(range(min = 0, max = 1))]
    pub loss: Option<At<f64>>,
    /// Probability of sending a packet twice.
    #[schemars(range(min = 0, max = 1))]
    pub duplicate: Option<At<f64>>,
    /// Probability of swapping a packet with the next.
    #[schemars(range(min = 0, max = 1))]
    pub reorder: Option<At<f64>>,
    /// Delay of every packet, in microseconds.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub delay_us: Int,
    /// Seed of the random numbers: the same seed hits the same packets.
    #[schemars(range(min = 0))]
    pub seed: Int,
}

/// An L2 network.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its name: letters, digits, `.`, `_`, `-`; at most 32.
    #[schemars(required)]
    pub name: Text,
    /// VXLAN network identifier, 24 bits.
    #[schemars(required, range(min = 0, max = 16_777_215))]
    pub vni: Int,
    /// Remote VTEPs: broadcast and unknown frames are sent to each of them, and only they may send to us.
    #[serde(default)]
    pub vteps: Vec<At<String>>,
    /// MTU of its container ports in octets, where they do not say otherwise.
    #[schemars(range(min = 576, max = 9216))]
    pub mtu: Int,
    /// Seconds after which a learned MAC that was not seen is forgotten; 0 is never.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub mac_ageing_s: Int,
    /// Learn MACs from source addresses.
    pub mac_learning: Bool,
    /// Answer ARP and ND requests for known `bindings` instead of flooding them.
    pub suppress_arp_nd: Bool,
    /// Most flooded packets a second in this network from one port, on each worker that polls it; 0 is no limit.
    #[schemars(range(min = 0, max = 100_000_000))]
    pub storm_limit_pps: Int,
    /// Static MAC entries; they neither age nor move.
    #[serde(default)]
    pub macs: Vec<At<Mac>>,
    /// Known IP-to-MAC bindings, for `suppress_arp_nd`.
    #[serde(default)]
    pub bindings: Vec<At<Binding>>,
}

/// A static MAC entry: behind a `port` of this weir, or behind a remote `vtep`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mac {
    /// The MAC address.
    #[schemars(required)]
    pub mac: Text,
    /// The container port that it is behind.
    pub port: Text,
    /// The tag that the port carries this network under. Default: looked up.
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Int,
    /// The remote VTEP that it is behind.
    pub vtep: Text,
}

/// A known IP-to-MAC binding.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The IP address.
    #[schemars(required)]
    pub address: Text,
    /// Its MAC address.
    #[schemars(required)]
    pub mac: Text,
}
