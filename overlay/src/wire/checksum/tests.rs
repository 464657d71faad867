use proptest::prelude::*;

use super::*;

/// The sum as RFC 1071 § 1 defines it: 16-bit big-endian words, end-around carry, one at a time.
fn naive(octets: &[u8]) -> u16 {
    octets.chunks(2).fold(0_u16, |sum, pair| {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

/// 0 and 0xffff are the same number in one's complement.
fn same(a: u16, b: u16) -> bool {
    a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0)
}

/// RFC 1071 § 3: the octets 00 01 f2 03 f4 f5 f6 f7 sum to ddf2.
#[test]
fn the_example_of_rfc_1071() {
    let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::new().with(&octets).folded(), 0xddf2);
    assert_eq!(checksum(&octets), !0xddf2);
}

/// RFC 1624 § 4: checksum dd2f, a field from 5555 to 3285: the new checksum is 0000, not ffff.
#[test]
fn the_example_of_rfc_1624() {
    assert_eq!(update_u16(0xdd2f, 0x5555, 0x3285), 0x0000);
    assert_eq!(update_udp_u16(0xdd2f, 0x5555, 0x3285), 0xffff);
}

/// RFC 768: "If the computed checksum is zero, it is transmitted as all ones"; zero is "no checksum".
#[test]
fn udp_never_makes_a_zero_and_keeps_one() {
    assert_eq!(Sum::new().with(&[0xff, 0xff]).finish(), 0);
    assert_eq!(Sum::new().with(&[0xff, 0xff]).finish_udp(), 0xffff);
    assert_eq!(update_udp_u16(0, 1, 2), 0);
    assert_eq!(update_udp_u32(0, 1, 2), 0);
}

#[test]
fn carries_survive_the_largest_packet() {
    let octets = vec![0xff; 65_535];
    assert_eq!(Sum::new().with(&octets).folded(), naive(&octets));
    let mut many = Sum::new();
    (0..70_000).for_each(|_| many.add(&[0xff; 3]));
    assert_eq!(many.folded(), 0xffff);
}

#[test]
fn pseudo_headers_are_what_the_rfcs_lay_out() {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(203, 0, 113, 254));
    let v4 = [192, 0, 2, 1, 203, 0, 113, 254, 0, 17, 0xab, 0xcd];
    assert_eq!(Sum::pseudo_v4(source, destination, 17, 0xabcd).folded(), naive(&v4));
    let (source, destination): (Ipv6Addr, Ipv6Addr) =
        ("2001:db8::1".parse().unwrap(), "ff02::1:ff00:1234".parse().unwrap());
    let v6 = [&source.octets()[..], &destination.octets(), &[0, 1, 0xab, 0xcd, 0, 0, 0, 58]].concat();
    assert_eq!(Sum::pseudo_v6(source, destination, 58, 0x1_abcd).folded(), naive(&v6));
}

proptest! {
    #[test]
    fn the_sum_is_the_naive_one(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(Sum::new().with(&octets).folded(), naive(&octets));
    }

    #[test]
    fn where_segments_end_does_not_matter(
        segments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
        first: u16,
    ) {
        let mut sum = Sum::from_folded(first);
        segments.iter().for_each(|segment| sum.add(segment));
        let whole = [&first.to_be_bytes()[..], &segments.concat()].concat();
        prop_assert_eq!(sum.folded(), naive(&whole));
    }

    /// Equation 3 of RFC 1624 gives what a recomputation gives. Only all zeros, which no header is, sum to +0.
    #[test]
    fn an_update_is_a_recomputation(
        mut octets in proptest::collection::vec(any::<u8>(), 20..60), new: [u8; 16], at in 0_usize..2,
    ) {
        octets[18] |= 1;
        let before = checksum(&octets);
        let at = at * 2;
        let old: [u8; 16] = octets[at..at + 16].try_into().unwrap();

        let mut changed = octets.clone();
        changed[at..at + 16].copy_from_slice(&new);
        prop_assert_eq!(update_u128(before, &old, &new), checksum(&changed));

        let mut changed = octets.clone();
        changed[at..at + 4].copy_from_slice(&new[..4]);
        let (old_word, new_word) = (
            u32::from_be_bytes(old[..4].try_into().unwrap()), u32::from_be_bytes(new[..4].try_into().unwrap()),
        );
        prop_assert_eq!(update_u32(before, old_word, new_word), checksum(&changed));

        let mut changed = octets.clone();
        changed[at..at + 2].copy_from_slice(&new[..2]);
        let (old_word, new_word) = (u16::from_be_bytes([old[0], old[1]]), u16::from_be_bytes([new[0], new[1]]));
        let after = update_u16(before, old_word, new_word);
        prop_assert_eq!(after, checksum(&changed));
        let udp = update_udp_u16(zero_to_ones(before), old_word, new_word);
        prop_assert_eq!(udp, zero_to_ones(after));
        prop_assert_eq!(update_udp_u32(zero_to_ones(before), u32::from(old_word), u32::from(new_word)), udp);
    }

    /// From every checksum, the two zeros included, an update and its reverse lead back (up to the sign of zero).
    #[test]
    fn an_update_can_be_undone(
        start in prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()],
        old in prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()],
        new in prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()],
    ) {
        prop_assert!(same(update_u16(update_u16(start, old, new), new, old), start));
        prop_assert!(same(update_u32(start, u32::from(old), u32::from(new)), update_u16(start, old, new)));
    }
}
