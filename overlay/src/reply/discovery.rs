//! ARP and neighbour discovery: what a packet says, whether to answer it, and the answer.

use std::net::{IpAddr, Ipv6Addr};

use super::fresh::{self, ARP_FRAME_OCTETS, FRESH_OCTETS};
use crate::num::MacAddr;
use crate::packet::checksum::verify_l4;
use crate::packet::{Checksum, PacketBuf, layout};
use crate::reason::DropReason;
use crate::wire::ethernet::{self, ethertype};
use crate::wire::nd::{self, NdMessage};
use crate::wire::{ArpPacket, EthernetHeader, Ipv6Header, arp, icmpv6, protocol, view};

/// What an ARP packet, a neighbour solicitation or a neighbour advertisement says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Discovery {
    /// An address and the station that has it, as the packet claims: the asker's, or the one advertised. `None` in a
    /// probe, which asks before the asker has an address (RFC 5227 § 2.1.1, RFC 4862 § 5.4.2), and where an ND message
    /// carries no link-layer address.
    pub claim: Option<(IpAddr, MacAddr)>,
    /// Whether the claim holds against what was known before: always, but for an advertisement without the override flag
    /// (RFC 4861 § 7.2.5).
    pub overrides: bool,
    /// The address asked for; `None` in an answer.
    pub asks: Option<IpAddr>,
    /// The asker's address; `None` in a probe and in an answer.
    pub asker: Option<IpAddr>,
    /// The station that sent it.
    pub sender_mac: MacAddr,
    /// Sent to one station, which will answer for itself, and not to a group.
    pub unicast: bool,
}

impl Discovery {
    /// What the packet says; `None` when it is neither ARP nor one of the two ND messages.
    ///
    /// # Errors
    /// [`DropReason::ArpMalformed`], or over IPv6 the header's errors, [`DropReason::IcmpMalformed`] (checksum) and
    /// [`DropReason::NdMalformed`] (RFC 4861 § 7.1); [`DropReason::HeaderSplit`] when the message is not in the first
    /// segment.
    pub fn of<P: PacketBuf>(packet: &P) -> Result<Option<Self>, DropReason> {
        let head = packet.head();
        let (ethernet, rest) = view::<EthernetHeader>(head, DropReason::EthernetTruncated)?;
        match ethernet.ethertype() {
            ethertype::ARP => {
                let split = packet.packet_octets() >= ARP_FRAME_OCTETS && head.len() < ARP_FRAME_OCTETS;
                let (message, _) =
                    ArpPacket::parse(rest).map_err(|reason| if split { DropReason::HeaderSplit } else { reason })?;
                // No station has a group address, and an answer to one would be sent to many (RFC 1812 § 3.3.2).
                if message.sender_mac().is_multicast() || message.sender_ip().is_multicast() {
                    return Err(DropReason::ArpMalformed);
                }
                Ok(Self::of_arp(ethernet, message))
            }
            ethertype::IPV6 => Self::of_ipv6(packet, ethernet),
            _ => Ok(None),
        }
    }

    fn of_arp(ethernet: &EthernetHeader, message: &ArpPacket) -> Option<Self> {
        let asks = match message.operation() {
            arp::REQUEST => Some(IpAddr::V4(message.target_ip())),
            arp::REPLY => None,
            _ => return None,
        };
        let sender = Some(IpAddr::V4(message.sender_ip())).filter(|sender| !sender.is_unspecified());
        Some(Self {
            claim: sender.map(|sender| (sender, message.sender_mac())),
            overrides: true,
            asks,
            asker: sender.filter(|_| asks.is_some()),
            sender_mac: message.sender_mac(),
            unicast: !ethernet.destination().is_multicast(),
        })
    }

    fn of_ipv6<P: PacketBuf>(packet: &P, ethernet: &EthernetHeader) -> Result<Option<Self>, DropReason> {
        let head = packet.head();
        let ip = layout::ipv6(head, ethernet::HEADER_OCTETS as u16, packet.packet_octets())?;
        if ip.protocol != protocol::ICMPV6 || ip.fragment {
            return Ok(None);
        }
        let start = usize::from(ip.l4_offset);
        match head.get(start) {
            Some(&(icmpv6::kind::NEIGHBOUR_SOLICITATION | icmpv6::kind::NEIGHBOUR_ADVERTISEMENT)) => {}
            _ => return Ok(None),
        }
        let message = head.get(start..ip.end()).ok_or(DropReason::HeaderSplit)?;
        let (header, _) =
            view::<Ipv6Header>(head.get(ethernet::HEADER_OCTETS..).unwrap_or_default(), DropReason::HeaderSplit)?;
        let parsed = nd::parse(header, message)?;
        // A device has looked at it already, or it comes from a guest that counts on one.
        let trusted = matches!(packet.meta().checksum, Checksum::Good | Checksum::Partial);
        if !trusted && !verify_l4(packet, &ip) {
            return Err(DropReason::IcmpMalformed);
        }
        if header.source().is_multicast() {
            return Err(DropReason::NdMalformed);
        }
        let source = Some(IpAddr::V6(header.source())).filter(|source| !source.is_unspecified());
        let unicast = !ethernet.destination().is_multicast();
        let sender_mac = ethernet.source();
        let said = match parsed {
            NdMessage::NeighbourSolicitation { target, options } => {
                let link_layer = options.source_link_layer();
                Some(Self {
                    claim: source.zip(link_layer),
                    overrides: true,
                    asks: Some(IpAddr::V6(target)),
                    asker: source,
                    sender_mac: link_layer.unwrap_or(sender_mac),
                    unicast,
                })
            }
            NdMessage::NeighbourAdvertisement { target, options, overrides, .. } => Some(Self {
                claim: options.target_link_layer().map(|mac| (IpAddr::V6(target), mac)),
                overrides,
                asks: None,
                asker: None,
                sender_mac,
                unicast,
            }),
            _ => None,
        };
        let group =
            |said: &Self| said.sender_mac.is_multicast() || said.claim.is_some_and(|(_, mac)| mac.is_multicast());
        if said.as_ref().is_some_and(group) { Err(DropReason::NdMalformed) } else { Ok(said) }
    }

    /// Whether it asks for an address that the asker wants for itself.
    pub fn is_probe(&self) -> bool {
        self.asks.is_some() && self.asker.is_none()
    }

    /// Whether it is a question for the address that the asker has already: an ARP announcement.
    pub fn is_announcement(&self) -> bool {
        self.asks.is_some() && self.asks == self.asker
    }

    /// Whether a bridge that knows `owner` as the station with the address asked for answers in its place, instead of
    /// flooding the question (ARP and ND suppression).
    ///
    /// As Linux' bridge does with `neigh_suppress`: questions to one station go their way, announcements and questions for
    /// addresses that no station can have are not answered. A probe is answered only when another station has the address: the asker must learn
    /// of the conflict, but must not be told of itself.
    pub fn is_answered_for(&self, owner: MacAddr) -> bool {
        !self.unicast
            && !self.is_announcement()
            && self
                .asks
                .is_some_and(|address| !address.is_unspecified() && !address.is_multicast() && !address.is_loopback())
            && (!self.is_probe() || owner != self.sender_mac)
    }
}

/// The address that a frame asks all stations for, if it is a question that may be answered in the owner's place: not
/// to one station, no probe, no announcement. For those, and for errors, see [`Discovery::of`].
pub fn asked_for<P: PacketBuf>(packet: &P) -> Option<IpAddr> {
    let discovery = Discovery::of(packet).ok().flatten()?;
    // No station has the zero address: this leaves out what is answered for none.
    discovery.asks.filter(|_| !discovery.is_probe() && discovery.is_answered_for(MacAddr::ZERO))
}

/// Turns the question in `packet`, of which [`Discovery::of`] gave `discovery`, into the answer: the address asked for
/// is at `mac`, which is also the sender of the frame. `router` is the flag of the same name, for ND.
///
/// The answer to a probe goes to the asker (ARP) or to all nodes (ND, RFC 4861 § 7.2.4).
///
/// # Errors
/// [`DropReason::Headroom`] when an ND answer is longer than its question and there is no room before it;
/// [`DropReason::NotForUs`] when the packet asks nothing, or for an address that no station can have. The packet is
/// unchanged.
pub fn answer<P: PacketBuf>(
    packet: &mut P,
    discovery: &Discovery,
    mac: MacAddr,
    router: bool,
) -> Result<(), DropReason> {
    let mut frame = [0; FRESH_OCTETS];
    match discovery.asks.filter(|address| !address.is_unspecified() && !address.is_multicast()) {
        Some(IpAddr::V4(_)) => {
            let rest = packet.head().get(ethernet::HEADER_OCTETS..).unwrap_or_default();
            let (question, _) = ArpPacket::parse(rest)?;
            fresh::arp(&mut frame, question.sender_mac(), mac, &question.answer(mac));
            if let Some(frame) = frame.first_chunk::<ARP_FRAME_OCTETS>() {
                replace(packet, frame)?;
            }
        }
        Some(IpAddr::V6(target)) => {
            let asker: Option<Ipv6Addr> = match discovery.asker {
                Some(IpAddr::V6(asker)) => Some(asker),
                _ => None,
            };
            let asker = asker.map(|asker| (discovery.sender_mac, asker));
            fresh::advertisement(&mut frame, mac, target, asker, router);
            replace(packet, &frame)?;
        }
        None => return Err(DropReason::NotForUs),
    }
    let meta = packet.meta_mut();
    meta.l3_offset = 0;
    meta.l4_offset = 0;
    meta.flow_hash = 0;
    meta.checksum = Checksum::Good;
    Ok(())
}

/// A solicitation without options, as it is least: the answer has one option more.
const SHORTEST_SOLICITATION_OCTETS: usize = FRESH_OCTETS - 8;

/// Makes `frame` the whole content of the packet.
fn replace<P: PacketBuf, const N: usize>(packet: &mut P, frame: &[u8; N]) -> Result<(), DropReason> {
    if packet.head().len() < N {
        // The head holds the whole question, so that what is missing at its end can be had at its front.
        if packet.head().len() < N.min(SHORTEST_SOLICITATION_OCTETS) {
            return Err(DropReason::HeaderSplit);
        }
        packet.prepend::<8>().ok_or(DropReason::Headroom)?;
    }
    packet.truncate(N);
    *packet.head_mut().first_chunk_mut().ok_or(DropReason::HeaderSplit)? = *frame;
    Ok(())
}
