//! The Internet checksum (RFC 1071), its pseudo headers and its incremental update (RFC 1624).
//!
//! A checksum here is the 16-bit number as it is read big-endian from the header. Sums are taken over native-endian
//! words and swapped once at the end, which the one's complement sum permits (RFC 1071 § 2 (B)).

use core::net::{Ipv4Addr, Ipv6Addr};

/// A one's complement sum in the making, over any number of segments, each of any length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Sum of native-endian words; carries gather in the high half.
    words: u64,
    /// Whether an odd number of octets was added, so that the next octet is a low one.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    #[inline]
    pub const fn new() -> Self {
        Self { words: 0, odd: false }
    }

    /// Starts from a folded sum, such as the pseudo-header's that a guest left in the checksum field.
    #[inline]
    pub const fn from_folded(sum: u16) -> Self {
        Self { words: u16::from_be(sum) as u64, odd: false }
    }

    /// The sum of the IPv4 pseudo header (RFC 768, RFC 9293 § 3.1); `length` is the transport header and its data.
    #[inline]
    pub fn pseudo_v4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        let words = u64::from(u32::from_ne_bytes(source.octets()))
            + u64::from(u32::from_ne_bytes(destination.octets()))
            + u64::from(u16::from(protocol).to_be())
            + u64::from(length.to_be());
        Self { words, odd: false }
    }

    /// The sum of the IPv6 pseudo header (RFC 8200 § 8.1); `length` is the upper-layer header and its data.
    #[inline]
    pub fn pseudo_v6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u32) -> Self {
        let words = words_of(&source.octets())
            + words_of(&destination.octets())
            + u64::from(u32::from(protocol).to_be())
            + u64::from(length.to_be());
        Self { words, odd: false }
    }

    /// Adds octets that follow those added before, wherever the boundary lies.
    #[inline]
    pub fn add(&mut self, octets: &[u8]) {
        let words = words_of(octets);
        // A segment that starts at an odd place contributes its sum with the octets of each word exchanged.
        self.words += if self.odd { u64::from(fold(words).swap_bytes()) } else { fold_32(words) };
        self.odd ^= octets.len() & 1 != 0;
    }

    /// [`Sum::add`], for chains.
    #[inline]
    #[must_use]
    pub fn with(mut self, octets: &[u8]) -> Self {
        self.add(octets);
        self
    }

    /// The folded sum, not complemented: what a partial checksum's field holds.
    #[inline]
    pub const fn folded(self) -> u16 {
        fold(self.words).to_be()
    }

    /// The checksum: the complement of the folded sum. Over data that includes its own right checksum, this is 0.
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.folded()
    }

    /// The checksum for a UDP header, where 0 would say "none": 0xffff in its place (RFC 768).
    #[inline]
    pub const fn finish_udp(self) -> u16 {
        zero_to_ones(self.finish())
    }
}

/// The sum of native-endian 32-bit words, the last one padded with zeros; the carries are in the high half.
#[inline]
fn words_of(octets: &[u8]) -> u64 {
    let (words, tail) = octets.as_chunks::<4>();
    let mut sum = 0_u64;
    for word in words {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    let last = match *tail {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    sum + u64::from(u32::from_ne_bytes(last))
}

/// Brings the carries of a sum below 2⁴⁸ down, so that further sums cannot overflow.
#[inline]
const fn fold_32(sum: u64) -> u64 {
    (sum & 0xffff_ffff) + (sum >> 32)
}

/// Folds to 16 bits with end-around carry.
#[inline]
const fn fold(sum: u64) -> u16 {
    // Below 2⁶⁴, 2³³, 2³² + 1, 2¹⁷, 2¹⁶ + 1, 2¹⁶.
    let sum = fold_32(fold_32(sum));
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// 0xffff in the place of 0: for UDP, whose 0 means that there is no checksum (RFC 768).
#[inline]
pub const fn zero_to_ones(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// The checksum of contiguous octets.
#[inline]
pub fn checksum(octets: &[u8]) -> u16 {
    Sum::new().with(octets).finish()
}

/// The checksum after a 16-bit field changed from `old` to `new`: RFC 1624 § 3, equation 3.
#[inline]
pub const fn update_u16(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// The checksum after a 32-bit field (an IPv4 address), which lies at an even offset, changed.
#[inline]
pub const fn update_u32(checksum: u16, old: u32, new: u32) -> u16 {
    // 2¹⁶ ≡ 1 modulo 2¹⁶ − 1: the halves need not be added one by one.
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

/// The checksum after a 128-bit field (an IPv6 address), which lies at an even offset, changed. Both in wire order.
#[inline]
pub fn update_u128(checksum: u16, old: &[u8; 16], new: &[u8; 16]) -> u16 {
    let old = !fold(words_of(old)).to_be();
    let new = fold(words_of(new)).to_be();
    !fold(u64::from(!checksum) + u64::from(old) + u64::from(new))
}

/// [`update_u16`] for a UDP header: "no checksum" stays, and 0 is never made.
#[inline]
pub const fn update_udp_u16(checksum: u16, old: u16, new: u16) -> u16 {
    if checksum == 0 { 0 } else { zero_to_ones(update_u16(checksum, old, new)) }
}

/// [`update_u32`] for a UDP header: "no checksum" stays, and 0 is never made.
#[inline]
pub const fn update_udp_u32(checksum: u16, old: u32, new: u32) -> u16 {
    if checksum == 0 { 0 } else { zero_to_ones(update_u32(checksum, old, new)) }
}
