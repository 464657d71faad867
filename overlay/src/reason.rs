//! Why a packet was dropped: one registry of stable names, one counter each.
//!
//! A reason is never renamed once released. [`DropReason::ALL`] is the registry that counters, `weir show drops`, the
//! metrics and the documentation are made from.

use core::fmt;

use serde::Serialize;

/// Which part of the packet's way found the packet at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A header could not be understood.
    Parse,
    /// A tunnel's receive checks refused it.
    Decap,
    /// Well formed, but there is no way for it, or a rule forbids the way.
    Forward,
    /// It had a way, but could not be sent.
    Transmit,
}

macro_rules! reasons {
    ($($variant:ident, $name:literal, $origin:ident, $help:literal;)*) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $help] $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// How many reasons there are: the size of a counter block.
            pub const COUNT: usize = Self::ALL.len();

            /// The stable name, as counters and metrics show it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One line for a person: what was wrong, and where it helps, what to do.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// Which part of the packet's way raises it.
            pub const fn origin(self) -> Origin {
                match self { $(Self::$variant => Origin::$origin,)* }
            }
        }
    };
}

reasons! {
    EthernetTruncated, "ethernet_truncated", Parse, "shorter than an Ethernet header (14 octets)";
    SourceMacMulticast, "source_mac_multicast", Parse, "the source MAC address has the group bit set";
    VlanTruncated, "vlan_truncated", Parse, "the frame ends inside an 802.1Q tag";
    VlanUnknown, "vlan_unknown", Parse, "no network is configured for this VLAN on this port";
    ArpMalformed, "arp_malformed", Parse, "an ARP packet that is truncated or not Ethernet/IPv4 (RFC 826)";
    Ipv4Truncated, "ipv4_truncated", Parse, "the packet ends inside the IPv4 header";
    Ipv4Version, "ipv4_version", Parse, "EtherType says IPv4 but the version is not 4";
    Ipv4HeaderLength, "ipv4_header_length", Parse, "IPv4 header length below 20 octets";
    Ipv4TotalLength, "ipv4_total_length", Parse, "IPv4 total length below the header's or beyond the frame";
    Ipv4Checksum, "ipv4_checksum", Parse, "wrong IPv4 header checksum";
    Ipv6Truncated, "ipv6_truncated", Parse, "the packet ends inside the IPv6 header or its extension headers";
    Ipv6Version, "ipv6_version", Parse, "EtherType says IPv6 but the version is not 6";
    Ipv6PayloadLength, "ipv6_payload_length", Parse, "IPv6 payload length beyond the frame";
    Ipv6Extension, "ipv6_extension", Parse, "an IPv6 extension header chain that is malformed or too long";
    UdpTruncated, "udp_truncated", Parse, "the packet ends inside the UDP header";
    UdpLength, "udp_length", Parse, "UDP length below 8 octets or beyond the IP payload";
    UdpChecksum, "udp_checksum", Parse, "wrong UDP checksum";
    UdpZeroChecksum6, "udp_zero_checksum_ipv6", Parse, "zero UDP checksum over IPv6 where it is not allowed (RFC 6935); see vxlan.accept_zero_checksum_ipv6";
    TcpMalformed, "tcp_malformed", Parse, "a TCP header that is truncated or whose data offset is below 20 octets or beyond the packet";
    IcmpMalformed, "icmp_malformed", Parse, "an ICMP or ICMPv6 message to us that is truncated or has a wrong checksum";
    NdMalformed, "nd_malformed", Parse, "a neighbour discovery message that fails the checks of RFC 4861 § 7.1";
    HeaderSplit, "header_split", Parse, "the headers do not lie within the packet's first segment";
    UnderlayFragment, "underlay_fragment", Decap, "a fragment of an encapsulated packet (RFC 7348 § 4.3: a VTEP may discard it); raise the underlay's MTU";
    VxlanTruncated, "vxlan_truncated", Decap, "the packet ends inside the VXLAN header";
    VxlanFlags, "vxlan_flags", Decap, "the VXLAN header's I flag is not set (RFC 7348 § 5)";
    VxlanVniUnknown, "vxlan_vni_unknown", Decap, "no network has this VNI";
    VxlanVtepUnknown, "vxlan_vtep_unknown", Decap, "the outer source address is not a VTEP of this network";
    VxlanInnerTruncated, "vxlan_inner_truncated", Decap, "the inner frame is shorter than an Ethernet header";
    VxlanInnerVlan, "vxlan_inner_vlan", Decap, "the inner frame carries a VLAN tag (RFC 7348 § 6.1)";
    EcnIllegal, "ecn_illegal", Decap, "outer header says congestion experienced, inner is not ECN capable (RFC 6040 § 4.2)";
    NoNetwork, "no_network", Forward, "an untagged frame on a port without an access network";
    ReservedMac, "reserved_mac", Forward, "sent to a link-local group address that a bridge does not forward (IEEE 802.1Q § 8.6.3)";
    SamePort, "same_port", Forward, "the destination is behind the port it came from";
    SplitHorizon, "split_horizon", Forward, "came from a tunnel and would go into a tunnel of the same network";
    Isolated, "isolated", Forward, "from an isolated port to an isolated port";
    FloodEmpty, "flood_empty", Forward, "broadcast or unknown, and no other port or VTEP in the network";
    StormLimit, "storm_limit", Forward, "more broadcast, unknown or multicast frames from one port than the network's storm limit allows";
    NotForUs, "not_for_us", Forward, "arrived on an uplink for an address that is not ours";
    HostAbsent, "host_absent", Forward, "for the host's own stack, but no host port is configured";
    HostRateLimit, "host_rate_limit", Forward, "more packets to the host's stack or to our own responder than the limit allows";
    NeighbourPending, "neighbour_pending_full", Forward, "the next hop is being resolved and its queue of waiting packets is full";
    NeighbourUnreachable, "neighbour_unreachable", Forward, "the next hop did not answer ARP or ND";
    NoRoute, "no_route", Forward, "no uplink leads to this address";
    MtuExceeded, "mtu_exceeded", Forward, "larger than the egress port's MTU once encapsulated; raise the underlay's MTU or lower the containers'";
    Headroom, "headroom", Forward, "no room before the packet for the encapsulation's headers";
    ChecksumOffsets, "checksum_offsets", Forward, "a guest asked for a checksum outside of its packet";
    SegmentationUnsupported, "segmentation_unsupported", Forward, "a segmentation request for a port that cannot segment";
    Loop, "loop", Forward, "re-entered the graph too often";
    NoMbuf, "no_mbuf", Transmit, "the packet pool was empty when a copy was needed; raise pool.mbufs";
    PortDown, "port_down", Transmit, "the egress port is down, has no peer or was removed";
    TxFull, "tx_full", Transmit, "the egress queue was full: the receiver is slower than the traffic";
    HandoffFull, "handoff_full", Transmit, "the ring to the worker that owns the egress queue was full";
    FaultInjected, "fault_injected", Transmit, "lost on purpose by a fault port";
    Shutdown, "shutdown", Transmit, "still waiting inside weir when it stopped or when its port was removed";
}

impl DropReason {
    /// The reason's index into a counter block of [`DropReason::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason with this number, if there is one.
    #[inline]
    pub fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for DropReason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_snake_case_and_numbers_are_dense() {
        let mut seen = HashSet::new();
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(DropReason::from_index(index), Some(*reason));
            assert!(seen.insert(reason.name()), "{reason} is used twice");
            assert!(reason.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            assert!(!reason.help().is_empty());
        }
        assert_eq!(DropReason::from_index(DropReason::COUNT), None);
    }
}
