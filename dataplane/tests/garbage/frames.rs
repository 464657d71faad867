//! Frames octet by octet, right and wrong ones: nothing here comes from the code under test but the checksum.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use overlay::wire::checksum::checksum;

pub(crate) const WEIR_MAC: [u8; 6] = [2, 0, 0, 0, 0xee, 1];
pub(crate) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0xee, 2];
pub(crate) const OURS_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const PEER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub(crate) const OURS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(crate) const PEER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const ARP: u16 = 0x0806;

pub(crate) fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype.to_be_bytes(), payload].concat()
}

/// What an IPv4 header says beside the lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct V4 {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    pub(crate) tos: u8,
    /// Flags and fragment offset.
    pub(crate) fragment: u16,
}

impl V4 {
    pub(crate) const TO_US: Self = Self { from: PEER_V4, to: OURS_V4, tos: 0, fragment: 0 };

    pub(crate) fn packet(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = (20 + payload.len()) as u16;
        let mut header = vec![0x45, self.tos, (total >> 8) as u8, total as u8, 0, 7];
        header.extend(self.fragment.to_be_bytes());
        header.extend([64, protocol, 0, 0]);
        header.extend(self.from.octets());
        header.extend(self.to.octets());
        sum_v4(&mut header);
        header.extend(payload);
        header
    }
}

/// Fills in the header checksum of an IPv4 packet without options.
pub(crate) fn sum_v4(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let octets = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, octets[0], octets[1], next, hop_limit];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// The checksum over the pseudo header and `message`, whose own field is zero.
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, message: &[u8]) -> u16 {
    let mut all = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => all.extend(address.octets()),
            IpAddr::V6(address) => all.extend(address.octets()),
        }
    }
    all.extend([0, 0, 0, protocol]);
    all.extend((message.len() as u32).to_be_bytes());
    all.extend(message);
    checksum(&all)
}

/// A UDP datagram; `between` whom decides over its checksum, `None` leaves it out.
pub(crate) fn udp(from: u16, to: u16, payload: &[u8], between: Option<(IpAddr, IpAddr)>) -> Vec<u8> {
    let octets = (8 + payload.len()) as u16;
    let mut datagram = [&from.to_be_bytes()[..], &to.to_be_bytes(), &octets.to_be_bytes(), &[0, 0], payload].concat();
    if let Some((source, destination)) = between {
        let sum = match pseudo(source, destination, 17, &datagram) {
            0 => 0xffff,
            sum => sum,
        };
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    datagram
}

/// A TCP segment with this data offset, in words of four octets.
pub(crate) fn tcp(words: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![4, 0, 0, 179, 0, 0, 0, 1, 0, 0, 0, 0, words << 4, 2, 16, 0, 0, 0, 0, 0];
    segment.extend(payload);
    segment
}

pub(crate) fn vxlan(flags: u8, vni: u32, inner: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = vni.to_be_bytes();
    [&[flags, 0, 0, 0, a, b, c, 0], inner].concat()
}

pub(crate) fn arp(operation: u16, sender: ([u8; 6], Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend(sender.0);
    packet.extend(sender.1.octets());
    packet.extend([0; 6]);
    packet.extend(target.octets());
    packet
}

/// An ICMP echo request.
pub(crate) fn echo_v4(payload: &[u8]) -> Vec<u8> {
    let mut message = [&[8, 0, 0, 0, 0, 1, 0, 1], payload].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An ICMPv6 message with its checksum.
pub(crate) fn icmpv6(from: Ipv6Addr, to: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let sum = pseudo(from.into(), to.into(), 58, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A neighbour solicitation with its sender's link-layer address; not yet summed.
pub(crate) fn solicitation(target: Ipv6Addr, mac: [u8; 6]) -> Vec<u8> {
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend([1, 1]);
    message.extend(mac);
    message
}

/// An 802.1Q tag behind the addresses of a frame.
pub(crate) fn tagged(mut frame: Vec<u8>, vlan: u16) -> Vec<u8> {
    let [high, low] = vlan.to_be_bytes();
    frame.splice(12..12, [0x81, 0, high, low]);
    frame
}
