//! Neighbour discovery for IPv6 (RFC 4861): solicitations and advertisements of neighbours and routers.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |   Code (0)    |           Checksum            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |R|S|O|        Reserved (R, S, O in advertisements only)        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        Target address (16 octets; neighbour messages)         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Option type   | Length (× 8)  |  Option value ...
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-
//! ```

use core::fmt;
use core::net::Ipv6Addr;

use zerocopy::byteorder::{BE, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::icmpv6::{self, kind};
use super::{Icmpv6Header, Ipv6Header, ProtocolInfo, ipv6, view};
use crate::num::MacAddr;
use crate::reason::DropReason;

/// The hop limit that these messages must arrive with: nobody forwarded them (RFC 4861 § 7.1).
pub const HOP_LIMIT: u8 = 255;
/// Octets of a neighbour solicitation or advertisement without options.
pub const NEIGHBOUR_OCTETS: usize = 24;
/// Octets of a router advertisement without options.
pub const ROUTER_ADVERTISEMENT_OCTETS: usize = 16;

const ROUTER: u32 = 1 << 31;
const SOLICITED: u32 = 1 << 30;
const OVERRIDE: u32 = 1 << 29;

const OPTION_SOURCE: u8 = 1;
const OPTION_TARGET: u8 = 2;
const OPTION_PREFIX: u8 = 3;
const OPTION_MTU: u8 = 5;

/// The registry's entry. Its check has no IPv6 header at hand and takes one that passes, so it is of the message alone.
pub const PROTOCOL: ProtocolInfo = ProtocolInfo {
    name: "ND",
    rfc: "RFC 4861",
    header_octets_min: icmpv6::HEADER_OCTETS,
    file: "nd",
    parse_check: |octets| {
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let ip = Ipv6Header::new(link_local, link_local, super::protocol::ICMPV6, 0).with_hop_limit(HOP_LIMIT);
        parse(&ip, octets).map(drop)
    },
};

/// A message that passed the checks.
#[derive(Clone, Debug)]
pub enum NdMessage<'a> {
    /// "Who has the target?"
    NeighbourSolicitation {
        /// The address asked for; not multicast.
        target: Ipv6Addr,
        /// Its options.
        options: NdOptions<'a>,
    },
    /// "The target is at …"
    NeighbourAdvertisement {
        /// The address spoken of; not multicast.
        target: Ipv6Addr,
        /// The sender is a router.
        router: bool,
        /// It answers a solicitation.
        solicited: bool,
        /// It may replace an address known before.
        overrides: bool,
        /// Its options.
        options: NdOptions<'a>,
    },
    /// "Are there routers?"
    RouterSolicitation {
        /// Its options.
        options: NdOptions<'a>,
    },
    /// "I am a router."
    RouterAdvertisement {
        /// The fixed part.
        header: &'a RouterAdvertisement,
        /// Its options.
        options: NdOptions<'a>,
    },
}

/// The fixed part of a neighbour solicitation or advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
struct Neighbour {
    kind: u8,
    code: u8,
    checksum: U16<BE>,
    flags: U32<BE>,
    target: [u8; 16],
}

/// The fixed part of a router advertisement (RFC 4861 § 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct RouterAdvertisement {
    kind: u8,
    code: u8,
    checksum: U16<BE>,
    hop_limit: u8,
    flags: u8,
    lifetime_secs: U16<BE>,
    reachable_millis: U32<BE>,
    retransmit_millis: U32<BE>,
}

impl RouterAdvertisement {
    /// Hop limit that hosts should use; 0 = unspecified.
    pub const fn hop_limit(&self) -> u8 {
        self.hop_limit
    }

    /// How long the sender may be a default router, in seconds; 0 = it is none.
    pub const fn lifetime_secs(&self) -> u16 {
        self.lifetime_secs.get()
    }

    /// How long a neighbour is reachable after a confirmation, in milliseconds; 0 = unspecified.
    pub const fn reachable_millis(&self) -> u32 {
        self.reachable_millis.get()
    }

    /// Time between solicitations, in milliseconds; 0 = unspecified.
    pub const fn retransmit_millis(&self) -> u32 {
        self.retransmit_millis.get()
    }
}

/// A prefix information option (RFC 4861 § 4.6.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct PrefixInformation {
    kind: u8,
    length: u8,
    prefix_bits: u8,
    flags: u8,
    valid_secs: U32<BE>,
    preferred_secs: U32<BE>,
    reserved: [u8; 4],
    prefix: [u8; 16],
}

impl PrefixInformation {
    /// Leading bits of the prefix that count; whoever uses it checks that it is at most 128.
    pub const fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }

    /// The prefix; bits beyond its length may be anything.
    pub const fn prefix(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.prefix)
    }

    /// Whether addresses of the prefix are on the link.
    pub const fn on_link(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// Valid lifetime in seconds; all ones = for ever.
    pub const fn valid_secs(&self) -> u32 {
        self.valid_secs.get()
    }
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NdOption<'a> {
    /// The sender's MAC address.
    SourceLinkLayer(MacAddr),
    /// The target's MAC address.
    TargetLinkLayer(MacAddr),
    /// A prefix.
    Prefix(&'a PrefixInformation),
    /// The link's MTU in octets.
    Mtu(u32),
    /// Another type, or a known one of an unknown length: to be ignored (RFC 4861 § 7.1).
    Other {
        /// Option type.
        kind: u8,
        /// The whole option, type and length included: a multiple of 8 octets.
        octets: &'a [u8],
    },
}

/// The options of a message. Those that [`parse`] returns end exactly where the message ends.
#[derive(Clone, Debug)]
pub struct NdOptions<'a> {
    rest: &'a [u8],
}

impl<'a> NdOptions<'a> {
    /// Checks that each option has a length, and ends within `octets`.
    fn checked(octets: &'a [u8]) -> Result<Self, DropReason> {
        let mut options = Self { rest: octets };
        while options.next().is_some() {}
        if options.rest.is_empty() { Ok(Self { rest: octets }) } else { Err(DropReason::NdMalformed) }
    }

    /// The first source link-layer address.
    pub fn source_link_layer(&self) -> Option<MacAddr> {
        self.clone().find_map(|option| if let NdOption::SourceLinkLayer(mac) = option { Some(mac) } else { None })
    }

    /// The first target link-layer address.
    pub fn target_link_layer(&self) -> Option<MacAddr> {
        self.clone().find_map(|option| if let NdOption::TargetLinkLayer(mac) = option { Some(mac) } else { None })
    }
}

impl<'a> Iterator for NdOptions<'a> {
    type Item = NdOption<'a>;

    /// Ends at an option of length 0 or one that is cut short, which stays in `rest`.
    fn next(&mut self) -> Option<NdOption<'a>> {
        let [kind, length] = *self.rest.first_chunk()?;
        if length == 0 {
            return None;
        }
        let (octets, rest) = self.rest.split_at_checked(usize::from(length) * 8)?;
        self.rest = rest;
        Some(match (kind, octets) {
            (OPTION_SOURCE, [_, _, mac @ ..]) if let Ok(mac) = mac.try_into() => {
                NdOption::SourceLinkLayer(MacAddr(mac))
            }
            (OPTION_TARGET, [_, _, mac @ ..]) if let Ok(mac) = mac.try_into() => {
                NdOption::TargetLinkLayer(MacAddr(mac))
            }
            (OPTION_MTU, [_, _, _, _, a, b, c, d]) => NdOption::Mtu(u32::from_be_bytes([*a, *b, *c, *d])),
            (OPTION_PREFIX, octets) if let Ok(prefix) = PrefixInformation::ref_from_bytes(octets) => {
                NdOption::Prefix(prefix)
            }
            _ => NdOption::Other { kind, octets },
        })
    }
}

/// Parses a whole ICMPv6 message that came in the packet of header `ip`.
///
/// Makes the checks of RFC 4861 §§ 6.1 and 7.1 but for the checksum, which the caller verifies
/// ([`icmpv6::sum`]) unless a device has: hop limit 255, code 0, length, option lengths not zero, target not multicast,
/// the flags and options that go with the source and destination address. [`DropReason::NdMalformed`] when one fails or
/// when the message is of another type; [`DropReason::IcmpMalformed`] below 8 octets.
pub fn parse<'a>(ip: &Ipv6Header, message: &'a [u8]) -> Result<NdMessage<'a>, DropReason> {
    let (header, after_header) = Icmpv6Header::parse_header(message)?;
    let parsed = match header.kind() {
        kind::NEIGHBOUR_SOLICITATION => {
            let (fixed, options) = view::<Neighbour>(message, DropReason::NdMalformed)?;
            let target = Ipv6Addr::from_octets(fixed.target);
            NdMessage::NeighbourSolicitation { target, options: NdOptions::checked(options)? }
        }
        kind::NEIGHBOUR_ADVERTISEMENT => {
            let (fixed, options) = view::<Neighbour>(message, DropReason::NdMalformed)?;
            let flags = fixed.flags.get();
            NdMessage::NeighbourAdvertisement {
                target: Ipv6Addr::from_octets(fixed.target),
                router: flags & ROUTER != 0,
                solicited: flags & SOLICITED != 0,
                overrides: flags & OVERRIDE != 0,
                options: NdOptions::checked(options)?,
            }
        }
        kind::ROUTER_SOLICITATION => NdMessage::RouterSolicitation { options: NdOptions::checked(after_header)? },
        kind::ROUTER_ADVERTISEMENT => {
            let (header, options) = view::<RouterAdvertisement>(message, DropReason::NdMalformed)?;
            NdMessage::RouterAdvertisement { header, options: NdOptions::checked(options)? }
        }
        _ => return Err(DropReason::NdMalformed),
    };
    let right = header.code() == 0 && ip.hop_limit() == HOP_LIMIT && fits_addresses(ip, &parsed);
    if right { Ok(parsed) } else { Err(DropReason::NdMalformed) }
}

/// What RFC 4861 §§ 6.1 and 7.1 ask of a message in view of the addresses it travelled with.
fn fits_addresses(ip: &Ipv6Header, message: &NdMessage<'_>) -> bool {
    let (source, destination) = (ip.source(), ip.destination());
    match message {
        NdMessage::NeighbourSolicitation { target, options } => {
            let probes = source.is_unspecified();
            !target.is_multicast()
                && (!probes || (is_solicited_node(destination) && options.source_link_layer().is_none()))
        }
        NdMessage::NeighbourAdvertisement { target, solicited, .. } => {
            !(target.is_multicast() || destination.is_multicast() && *solicited)
        }
        NdMessage::RouterSolicitation { options } => !source.is_unspecified() || options.source_link_layer().is_none(),
        NdMessage::RouterAdvertisement { .. } => source.is_unicast_link_local(),
    }
}

/// Whether an address is a solicited-node multicast address (RFC 4291 § 2.7.1).
fn is_solicited_node(address: Ipv6Addr) -> bool {
    ipv6::solicited_node(address) == address
}

/// A whole neighbour solicitation or advertisement with its link-layer address option (RFC 2464 § 6), checksum included:
/// 32 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Unaligned, KnownLayout, Immutable)]
#[repr(C)]
pub struct NeighbourMessage {
    fixed: Neighbour,
    option_kind: u8,
    option_length: u8,
    mac: [u8; 6],
}

impl NeighbourMessage {
    /// Octets of the message.
    pub const OCTETS: usize = size_of::<Self>();

    /// Asks for `target`, from `source` (not unspecified) at `mac`. `destination` is the target, or
    /// [`ipv6::solicited_node`] of it when its MAC address is not known.
    pub fn solicitation(source: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr, mac: MacAddr) -> Self {
        Self::new(kind::NEIGHBOUR_SOLICITATION, 0, source, destination, target, (OPTION_SOURCE, mac))
    }

    /// Tells `destination` that `target` is at `mac`, and that this replaces what it knew. `solicited` when it answers a
    /// solicitation that was not from the unspecified address (RFC 4861 § 7.2.4).
    pub fn advertisement(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        target: Ipv6Addr,
        mac: MacAddr,
        router: bool,
        solicited: bool,
    ) -> Self {
        let flags = OVERRIDE | if router { ROUTER } else { 0 } | if solicited { SOLICITED } else { 0 };
        Self::new(kind::NEIGHBOUR_ADVERTISEMENT, flags, source, destination, target, (OPTION_TARGET, mac))
    }

    fn new(
        kind: u8,
        flags: u32,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        target: Ipv6Addr,
        (option, mac): (u8, MacAddr),
    ) -> Self {
        let fixed = Neighbour { kind, code: 0, checksum: U16::ZERO, flags: U32::new(flags), target: target.octets() };
        let mut message = Self { fixed, option_kind: option, option_length: 1, mac: mac.0 };
        message.fixed.checksum = U16::new(icmpv6::sum(source, destination, message.as_bytes()).finish());
        message
    }
}

impl fmt::Display for NdMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeighbourSolicitation { target, .. } => write!(f, "ND who has {target}?"),
            Self::NeighbourAdvertisement { target, options, .. } => match options.target_link_layer() {
                Some(mac) => write!(f, "ND {target} is at {mac}"),
                None => write!(f, "ND {target} is at its sender"),
            },
            Self::RouterSolicitation { .. } => f.write_str("ND router solicitation"),
            Self::RouterAdvertisement { header, .. } => {
                write!(f, "ND router advertisement, lifetime {} s", header.lifetime_secs())
            }
        }
    }
}

#[cfg(test)]
mod tests;
