//! Frames of 64 octets (60 without FCS), UDP over IPv4, one for each flow.
//!
//! Written octet by octet on purpose, without the code under test: the generator must not share its mistakes.

/// Octets of every container's frame, without FCS: the smallest that Ethernet allows.
pub(crate) const FRAME_OCTETS: usize = 60;
/// Containers on either side; flows beyond that differ by their UDP port only.
pub(crate) const HOSTS: u32 = 200;

const IPV4_OCTETS: usize = 20;
const UDP_OCTETS: usize = 8;

/// What the frames look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Containers' frames: 10.1.0.x to 10.2.0.x, MAC 02:00:00:00:01:xx to 02:00:00:00:02:xx.
    Inner,
    /// As many destinations in 10.16.0.0/12 as flows, all sent to one gateway's MAC.
    Routed,
    /// `Inner` in VXLAN, VNI 100, from 198.51.100.2 to 198.51.100.1.
    Vxlan,
}

/// The MAC address of container `host` on `side` 1 (sends) or 2 (receives).
pub(crate) fn host_mac(side: u8, host: u32) -> [u8; 6] {
    [2, 0, 0, 0, side, host as u8]
}

impl Shape {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[Self::Inner, Self::Routed, Self::Vxlan];

    /// How its files begin.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inner => "in",
            Self::Routed => "l3",
            Self::Vxlan => "vx",
        }
    }

    /// The frame of a flow, without FCS.
    pub(crate) fn frame(self, flow: u32) -> Vec<u8> {
        match self {
            Self::Inner => inner(flow),
            Self::Routed => routed(flow),
            Self::Vxlan => vxlan(flow),
        }
    }
}

fn inner(flow: u32) -> Vec<u8> {
    let host = flow % HOSTS;
    let last = host as u8 + 1;
    let udp = padded_udp(flow, [10, 1, 0, last], [10, 2, 0, last]);
    ethernet(host_mac(2, host), host_mac(1, host), &udp)
}

fn routed(flow: u32) -> Vec<u8> {
    let source = [10, 1, (flow / 200 % 200) as u8, (flow % 200) as u8 + 1];
    let destination = [10, 16 + (flow % 16) as u8, (flow / 250 % 250) as u8, (flow % 250) as u8 + 1];
    ethernet(host_mac(2, 1), host_mac(1, 1), &padded_udp(flow, source, destination))
}

fn vxlan(flow: u32) -> Vec<u8> {
    // RFC 7348 § 5: flags with the I bit, VNI in the upper 24 bits of the second word.
    let mut payload = vec![0x08, 0, 0, 0, 0, 0, 100, 0];
    payload.extend(inner(flow));
    let (source, destination) = ([198, 51, 100, 2], [198, 51, 100, 1]);
    let udp = udp(49152 + (flow % 16000) as u16, 4789, &payload, None);
    let ip = ipv4(source, destination, &udp);
    ethernet([2, 0xaa, 0, 0, 0, 1], [2, 0xaa, 0, 0, 0, 2], &ip)
}

/// An IPv4 packet that fills a frame of [`FRAME_OCTETS`].
fn padded_udp(flow: u32, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let payload = [b'x'; FRAME_OCTETS - 14 - IPV4_OCTETS - UDP_OCTETS];
    ipv4(source, destination, &udp(1000 + (flow % 60000) as u16, 2000, &payload, Some((source, destination))))
}

fn ethernet(destination: [u8; 6], source: [u8; 6], packet: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &[0x08, 0x00], packet].concat()
}

fn ipv4(source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = ((IPV4_OCTETS + payload.len()) as u16).to_be_bytes();
    let before = [0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, 17];
    let sum = internet_checksum(&[&before, &source, &destination]).to_be_bytes();
    [&before, &sum[..], &source, &destination, payload].concat()
}

/// With addresses the checksum is filled in, without it is zero (none).
fn udp(from: u16, to: u16, payload: &[u8], addresses: Option<([u8; 4], [u8; 4])>) -> Vec<u8> {
    let length = ((UDP_OCTETS + payload.len()) as u16).to_be_bytes();
    let header = [from.to_be_bytes(), to.to_be_bytes(), length].concat();
    let sum = addresses.map_or(0, |(source, destination)| {
        let pseudo = [0, 17, length[0], length[1]];
        match internet_checksum(&[&source, &destination, &pseudo, &header, payload]) {
            0 => u16::MAX,
            sum => sum,
        }
    });
    [&header, &sum.to_be_bytes()[..], payload].concat()
}

/// RFC 1071 over parts of even length.
fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
