//! Pairs of stations that a worker has bridged lately, with the way their packets take: its own, so no other writes it.
//!
//! A bridge asks its MAC table twice for each packet: is the source still where it was, and where is the destination?
//! Each answer costs a cache line, and often a page, of a table made for many. Few pairs talk at any moment, and what was
//! true of a pair stays true until the table changes, so that the answer to both questions can be kept in half a line.
//! (The idea of an exact-match cache before the tables is Open vSwitch's: Pfaff et al., "The Design and Implementation
//! of Open vSwitch", NSDI 2015, § 6.)
//!
//! # What makes an answer old
//!
//! Everything: a change of the MAC table other than an insertion ([`MacTable::generation`]), a new configuration
//! ([`RecentPairs::forget`]), and each new second, so that the table still learns once a second that a station lives.
//! Then all answers are forgotten at once, by counting an epoch.

use super::mac::{MacDestination, MacTable};
use crate::num::NetworkId;
use crate::wire::ethernet::ethertype;

/// Sets of two pairs; a set is one cache line: 64 KiB, a part of a second-level cache. A power of two.
const SETS: usize = 1024;
const SHIFT: u32 = 64 - SETS.ilog2();

/// What an answer holds for besides the header: the place where the source's packets come in (high half), a network, the
/// epoch (low quarters).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Context(u64);

/// A question: a frame's Ethernet header in its context.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Pair {
    /// Octets 0 to 7 of the frame: the destination, and the first of the source.
    first: u64,
    /// Octets 6 to 13: the source and the EtherType.
    second: u64,
    context: Context,
}

/// The group bits of destination and source, in [`Pair::first`].
const GROUPS: u64 = 1 << 48 | 1;

impl Pair {
    /// Where the answer would be. The octets in which stations differ come last in an address: turned, one of the two does
    /// not cancel the other. A sender that aims at one set only makes its own packets take the way through the tables.
    #[inline(always)]
    const fn set(&self) -> usize {
        let mixed = self.first ^ self.second.swap_bytes() ^ self.context.0;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as usize
    }

    /// Whether such frames may be noted: between two stations, without a VLAN tag, and no ARP, which may have to be answered
    /// before the bridge.
    const fn may_be_noted(&self) -> bool {
        let ethertype = ((self.second >> 48) as u16).swap_bytes();
        self.first & GROUPS == 0 && !matches!(ethertype, ethertype::VLAN | ethertype::VLAN_SERVICE | ethertype::ARP)
    }

    /// Where the packet came into its network.
    #[inline]
    pub const fn place(&self) -> MacDestination {
        MacDestination::from_bits((self.context.0 >> 32) as u32)
    }
}

/// An answer. All zero is no pair: epochs begin at 1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Slot {
    pair: Pair,
    way: u64,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Set([Slot; 2]);

const _: () = assert!(size_of::<Set>() == 64);

/// See the module's text. What a way is, is the caller's business: 64 bits.
#[derive(Debug)]
pub struct RecentPairs {
    sets: Box<[Set; SETS]>,
    epoch: u16,
    generation: u64,
    secs: u32,
}

/// The pairs as the packets of one burst ask for them.
#[derive(Clone, Copy, Debug)]
pub struct PairReader<'a> {
    sets: &'a [Set; SETS],
    epoch: u16,
}

impl Default for RecentPairs {
    fn default() -> Self {
        let sets = vec![Set::default(); SETS].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!());
        Self { sets, epoch: 1, generation: 0, secs: 0 }
    }
}

impl RecentPairs {
    /// Begins a burst: forgets all pairs if `table` has changed, or the second.
    #[inline]
    pub fn begin(&mut self, table: &MacTable, now_secs: u32) {
        let generation = table.generation();
        if generation != self.generation || now_secs != self.secs {
            (self.generation, self.secs) = (generation, now_secs);
            self.forget();
        }
    }

    /// Forgets all pairs: for a new configuration.
    #[cold]
    pub fn forget(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.sets.fill(Set::default());
            self.epoch = 1;
        }
    }

    /// The pairs to be asked: good until they begin again.
    #[inline(always)]
    pub fn reader(&self) -> PairReader<'_> {
        PairReader { sets: &self.sets, epoch: self.epoch }
    }

    /// Notes the way of `pair` and of those that ask the same, in place of the older of two that share the set. What is
    /// noted must have been looked up since [`RecentPairs::begin`]; a question from before that notes nothing. Frames from
    /// or to groups, tagged ones and ARP are not noted either, so that an answer says that a frame is none of these.
    pub fn note(&mut self, pair: &Pair, way: u64) {
        if pair.context.0 as u16 == self.epoch
            && pair.may_be_noted()
            && let Some(Set([newer, older])) = self.sets.get_mut(pair.set())
        {
            *older = *newer;
            *newer = Slot { pair: *pair, way };
        }
    }
}

impl PairReader<'_> {
    /// The context of packets of `network` that come in at `place`.
    #[inline(always)]
    pub const fn context(&self, network: NetworkId, place: MacDestination) -> Context {
        Context((place.to_bits() as u64) << 32 | (network.0 as u64) << 16 | self.epoch as u64)
    }

    /// The question for a frame that begins with `header`.
    #[inline(always)]
    pub fn ask(&self, header: &[u8; 14], context: Context) -> Pair {
        let [first, second] = [header.first_chunk(), header.last_chunk()]
            .map(|octets| octets.map_or(0, |octets: &[u8; 8]| u64::from_le_bytes(*octets)));
        Pair { first, second, context }
    }

    /// The way of `pair`, if it was noted since the last change.
    #[inline(always)]
    pub fn find(&self, pair: &Pair) -> Option<u64> {
        let Set([newer, older]) = &self.sets[pair.set() % SETS];
        let is_it = |Slot { pair: Pair { first, second, context }, .. }: &Slot| {
            (first ^ pair.first) | (second ^ pair.second) | (context.0 ^ pair.context.0) == 0
        };
        // Branches, not a choice of the address: most pairs are alone in their set, so that the way is on its way before
        // the comparison is done.
        if is_it(newer) {
            Some(newer.way)
        } else if is_it(older) {
            Some(older.way)
        } else {
            None
        }
    }
}

#[cfg(all(test, not(weir_loom)))]
mod tests {
    use super::*;
    use crate::num::{MacAddr, PortId};

    const RED: NetworkId = NetworkId(1);

    /// A frame between stations whose addresses end so.
    fn header(destination: u8, source: u8) -> [u8; 14] {
        [2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0]
    }

    fn ask(pairs: &RecentPairs, header: [u8; 14], network: NetworkId, port: u16) -> Pair {
        let reader = pairs.reader();
        reader.ask(&header, reader.context(network, MacDestination::port(PortId(port), 0)))
    }

    fn find(pairs: &RecentPairs, header: [u8; 14], network: NetworkId, port: u16) -> Option<u64> {
        pairs.reader().find(&ask(pairs, header, network, port))
    }

    fn note(pairs: &mut RecentPairs, header: [u8; 14], way: u64) {
        let pair = ask(pairs, header, RED, 7);
        pairs.note(&pair, way);
    }

    #[test]
    fn a_pair_is_found_for_its_network_its_direction_and_its_place_only() {
        let mut pairs = RecentPairs::default();
        assert_eq!(find(&pairs, header(1, 2), RED, 7), None);
        note(&mut pairs, header(1, 2), 99);
        assert_eq!(find(&pairs, header(1, 2), RED, 7), Some(99));
        assert_eq!(find(&pairs, header(1, 2), RED, 8), None, "the source has moved");
        assert_eq!(find(&pairs, header(2, 1), RED, 7), None, "the way back is another");
        assert_eq!(find(&pairs, header(1, 2), NetworkId(2), 7), None, "another network");
        assert_eq!(ask(&pairs, header(1, 2), RED, 7).place(), MacDestination::port(PortId(7), 0));
        assert_eq!(find(&pairs, [0; 14], NetworkId(0), 0), None, "an empty slot is no pair");
    }

    #[test]
    fn each_octet_of_the_header_counts() {
        let mut pairs = RecentPairs::default();
        // In every set, so that a wrong answer would be found.
        let pair = ask(&pairs, header(1, 2), RED, 7);
        pairs.sets.fill(Set([Slot { pair, way: 99 }; 2]));
        assert_eq!(find(&pairs, header(1, 2), RED, 7), Some(99));
        for bit in 0..14 * 8 {
            let mut other = header(1, 2);
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(find(&pairs, other, RED, 7), None, "bit {bit}");
        }
    }

    #[test]
    fn groups_and_tags_are_not_noted() {
        for (at, octet) in [(0, 3), (6, 3), (12, 0x81), (12, 0x88), (13, 6)] {
            let mut pairs = RecentPairs::default();
            let mut special = header(1, 2);
            special[at] = octet;
            if octet == 0x88 {
                special[13] = 0xa8;
            }
            let pair = ask(&pairs, special, RED, 7);
            pairs.note(&pair, 99);
            assert_eq!(find(&pairs, special, RED, 7), None, "octet {at} is {octet:#x}");
            special[at] = header(1, 2)[at];
            let pair = ask(&pairs, special, RED, 7);
            pairs.note(&pair, 99);
            assert_eq!(find(&pairs, special, RED, 7), Some(99), "but for this octet");
        }
    }

    #[test]
    fn everything_but_an_insertion_makes_it_forget() {
        let mut writer = MacTable::new(64, 1);
        let mut pairs = RecentPairs::default();
        let key = |last| MacTable::key(RED, MacAddr([2, 0, 0, 0, 0, last]));
        let place = |port| MacDestination::port(PortId(port), 0);
        writer.insert(key(1), place(3), 5);
        pairs.begin(writer.table(), 5);
        let kept = |pairs: &mut RecentPairs, writer: &crate::fib::mac::MacWriter, secs| {
            pairs.begin(writer.table(), secs);
            let found = find(pairs, header(1, 2), RED, 7).is_some();
            note(pairs, header(1, 2), 99);
            found
        };
        assert!(!kept(&mut pairs, &writer, 5));
        assert!(kept(&mut pairs, &writer, 5));
        writer.insert(key(2), place(3), 5);
        assert!(kept(&mut pairs, &writer, 5), "what was not there cannot have been noted");
        assert!(!kept(&mut pairs, &writer, 6), "a new second");
        writer.insert(key(1), place(4), 6);
        assert!(!kept(&mut pairs, &writer, 6), "a station has moved");
        writer.remove(key(2));
        assert!(!kept(&mut pairs, &writer, 6), "a station is gone");
        pairs.forget();
        assert!(!kept(&mut pairs, &writer, 6));
        assert!(kept(&mut pairs, &writer, 6));
    }

    #[test]
    fn a_question_from_before_a_change_notes_nothing() {
        let mut pairs = RecentPairs::default();
        let pair = ask(&pairs, header(1, 2), RED, 7);
        pairs.forget();
        pairs.note(&pair, 99);
        assert_eq!(pairs.reader().find(&pair), None);
    }

    #[test]
    fn nothing_outlives_the_epochs_counter() {
        let mut pairs = RecentPairs::default();
        note(&mut pairs, header(1, 2), 99);
        pairs.epoch = u16::MAX;
        pairs.forget();
        assert_eq!((pairs.epoch, find(&pairs, header(1, 2), RED, 7)), (1, None), "epoch 1 is another one now");
    }

    #[test]
    fn two_pairs_share_a_set_and_the_third_takes_the_place_of_the_older() {
        let mut pairs = RecentPairs::default();
        let all = (0..=255).flat_map(|a| (0..32).map(move |b| header(a, b)));
        let all: Vec<_> = all.map(|header| ask(&pairs, header, RED, 7)).collect();
        let three: Vec<_> = all.iter().filter(|pair| pair.set() == all[0].set()).take(3).collect();
        assert_eq!(three.len(), 3, "8,192 pairs, 1,024 sets");
        for (way, pair) in (0..).zip(&three) {
            pairs.note(pair, way);
        }
        let found: Vec<_> = three.iter().map(|pair| pairs.reader().find(pair)).collect();
        assert_eq!(found, [None, Some(1), Some(2)]);
    }
}
