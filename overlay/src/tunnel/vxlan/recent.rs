//! Outer headers that passed all receive checks lately: what comes with the same ones again needs no look-ups.
//!
//! Packets of one tunnel and network differ in few octets of their outer headers: lengths, identification, TTL, checksum
//! and source port. So the others are compared with those of a packet that was accepted, eight octets at a time, and only
//! the lengths and the header checksum are looked at by themselves. IPv4 without a UDP checksum only, which is what
//! RFC 7348 § 5 recommends; all else takes the careful way.
//!
//! What is remembered holds as long as the configuration: [`RecentOuters::forget`].

use crate::num::{NetworkId, PortId, TunnelId};
use crate::packet::PacketBuf;
use crate::wire::ethernet;

use super::OVERHEAD_V4_OCTETS;

/// Entries: a worker talks with some dozens of endpoints at a time. A power of two; an entry is a cache line.
const ENTRIES: usize = 64;
const SHIFT: u32 = 64 - ENTRIES.ilog2();

/// Octets that are compared: to the VNI's last.
const WORDS: usize = 7;
const OCTETS: usize = RecentOuters::OCTETS;

/// Which octets are compared. Numbers in little endian: the first octet is the lowest.
const MASK: [u64; WORDS] = [
    // Destination MAC address.
    0x0000_ffff_ffff_ffff,
    // EtherType, version and header length; of the TOS, the bit that is set in CE and ECT(1), which change the inner header.
    0x01ff_ffff_0000_0000,
    // Flags but the reserved one and DF, fragment offset, protocol.
    0xff00_ff3f_0000_0000,
    // Source, half of the destination.
    0xffff_ffff_ffff_0000,
    // The other half, UDP destination port.
    0x0000_ffff_0000_ffff,
    // UDP checksum, the I flag, two thirds of the VNI.
    0xffff_0000_0008_ffff,
    // The last third.
    0x0000_0000_0000_00ff,
];
/// What makes a packet as usual: its TOS bit, fragment fields and UDP checksum are zero.
const ZERO: [u64; WORDS] = [0, 0x0100_0000_0000_0000, 0x0000_ff3f_0000_0000, 0, 0, 0xffff, 0];

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Entry {
    /// Zero where nothing is compared. All zero is no entry: its EtherType is that of no packet.
    words: [u64; WORDS],
    ingress: PortId,
    network: NetworkId,
    tunnel: TunnelId,
    /// The sum of source and destination address, as they lie.
    addresses: u16,
}

const _: () = assert!(size_of::<Entry>() == 64);

/// See the module's text. One per worker.
#[derive(Debug)]
pub struct RecentOuters {
    entries: Box<[Entry; ENTRIES]>,
}

impl Default for RecentOuters {
    fn default() -> Self {
        Self { entries: Box::new([Entry::default(); ENTRIES]) }
    }
}

impl RecentOuters {
    /// Octets of a packet that are looked at.
    pub const OCTETS: usize = OVERHEAD_V4_OCTETS + ethernet::HEADER_OCTETS;

    /// Forgets everything: for a new configuration.
    #[cold]
    pub fn forget(&mut self) {
        self.entries.fill(Entry::default());
    }

    /// Notes that a packet that came in on `ingress` and begins with `head` passed all receive checks and belongs to
    /// `tunnel` and `network`. Packets that are not as usual are not noted.
    pub fn note(&mut self, head: &[u8], ingress: PortId, network: NetworkId, tunnel: TunnelId) {
        let Some(frame) = head.first_chunk::<OCTETS>() else { return };
        let words = words(frame);
        let usual =
            words.iter().zip(ZERO).all(|(word, zero)| word & zero == 0) && words[1] >> 32 & 0xff_ffff == 0x45_0008;
        let addresses = add(add(u32_at(frame, 26) as u16, (u32_at(frame, 26) >> 16) as u16), {
            let destination = u32_at(frame, 30);
            add(destination as u16, (destination >> 16) as u16)
        });
        if usual && let Some(entry) = self.entries.get_mut(place(frame, ingress)) {
            let mut masked = words;
            masked.iter_mut().zip(MASK).for_each(|(word, mask)| *word &= mask);
            *entry = Entry { words: masked, ingress, network, tunnel, addresses };
        }
    }

    /// Where a packet belongs that came in on `ingress`, if one like it was noted: it passes all receive checks then (but for
    /// what a device may say of its checksum, which is the caller's business), its UDP header is at 34, and nothing follows its UDP datagram.
    #[inline(always)]
    pub fn find<P: PacketBuf>(&self, packet: &P, ingress: PortId) -> Option<(NetworkId, TunnelId)> {
        let frame = packet.head().first_chunk::<OCTETS>()?;
        let entry = &self.entries[place(frame, ingress) % ENTRIES];
        let words = words(frame);
        let mut differing = 0;
        for ((word, known), mask) in words.iter().zip(&entry.words).zip(MASK) {
            differing |= (word ^ known) & mask;
        }
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let udp_octets = usize::from(u16::from_be_bytes([frame[38], frame[39]]));
        let octets = packet.packet_octets();
        let found = differing == 0
            && entry.ingress == ingress
            && total + ethernet::HEADER_OCTETS == octets
            && udp_octets + 34 == octets
            && is_intact(frame, entry.addresses);
        found.then_some((entry.network, entry.tunnel))
    }
}

/// The octets that are compared, as numbers.
#[inline(always)]
fn words(frame: &[u8; OCTETS]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, octets) in words.iter_mut().zip(frame.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*octets);
    }
    words
}

/// Where packets from this endpoint with this VNI that come in there are noted.
#[inline(always)]
fn place(frame: &[u8; OCTETS], ingress: PortId) -> usize {
    let who = u64::from(u32_at(frame, 26)) | u64::from(u32_at(frame, 46) & 0xff_ffff) << 32;
    ((who ^ u64::from(ingress.0) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as usize
}

/// Whether the IPv4 header's checksum is right, whose addresses sum to `addresses` (RFC 1071 § 1; § 2 (B): in any order of
/// octets).
#[inline(always)]
fn is_intact(frame: &[u8; OCTETS], addresses: u16) -> bool {
    let sum = [14, 18, 22].map(|at| u64::from(u32_at(frame, at))).iter().sum::<u64>() + u64::from(addresses);
    // Below 2³⁴; folded once, below 2¹⁹; folded twice, at most 7 above 2¹⁶, where no other multiple of all ones is.
    // Shifts and masks, no rotation: for the baseline's processors that is compiled to an instruction that is slow on others.
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

/// One's complement addition (RFC 1071 § 1).
const fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u16
}

/// Four octets at a constant offset, as they lie.
#[inline(always)]
fn u32_at(frame: &[u8; OCTETS], at: usize) -> u32 {
    frame.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |octets| u32::from_le_bytes(*octets))
}
