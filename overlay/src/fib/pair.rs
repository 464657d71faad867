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

use super::mac::{MacKey, MacTable};
use crate::accel;

/// Sets of two pairs; a set is one cache line. A power of two.
const SETS: usize = 2048;
const SHIFT: u32 = 64 - SETS.ilog2();

/// Where a pair of addresses would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct PairSlot(u32);

/// One pair. All zero is no pair: epochs begin at 1.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Slot {
    destination: u64,
    source: u64,
    /// Where the source's packets come in, and the epoch: [`RecentPairs::context`].
    context: u64,
    way: u64,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Set([Slot; 2]);

const _: () = assert!(size_of::<Set>() == 64);

/// See the module's text. What a way is, is the caller's business: 64 bits.
#[derive(Debug)]
pub struct RecentPairs {
    sets: Box<[Set]>,
    epoch: u32,
    generation: u64,
    secs: u32,
}

impl Default for RecentPairs {
    fn default() -> Self {
        Self { sets: vec![Set::default(); SETS].into(), epoch: 1, generation: 0, secs: 0 }
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

    /// Works out where the pair would be and asks the CPU to load that: for the stage before, which has the addresses at
    /// hand.
    #[inline(always)]
    pub fn prefetch(&self, keys: [MacKey; 2]) -> PairSlot {
        let slot = slot(keys);
        accel::prefetch_slice(&self.sets, slot.0 as usize);
        slot
    }

    /// The way of packets from the second to the first of `keys`, whose slot is `slot`, that come in at `place`; if it was
    /// noted since the last change.
    #[inline(always)]
    pub fn find(&self, slot: PairSlot, keys: [MacKey; 2], place: u32) -> Option<u64> {
        let Set([first, second]) = self.sets.get(slot.0 as usize)?;
        let [destination, source] = keys.map(MacKey::to_bits);
        let context = self.context(place);
        let is_it =
            |slot: &Slot| (slot.destination ^ destination) | (slot.source ^ source) | (slot.context ^ context) == 0;
        // Branches, not a choice of the address: most pairs are alone in their set, so that the way is on its way before
        // the comparison is done.
        if is_it(first) {
            Some(first.way)
        } else if is_it(second) {
            Some(second.way)
        } else {
            None
        }
    }

    /// Notes a way, in place of the older of two that share the set. What is noted must have been looked up since
    /// [`RecentPairs::begin`].
    pub fn note(&mut self, keys: [MacKey; 2], place: u32, way: u64) {
        let [destination, source] = keys.map(MacKey::to_bits);
        let context = self.context(place);
        if let Some(Set([first, second])) = self.sets.get_mut(slot(keys).0 as usize) {
            *second = *first;
            *first = Slot { destination, source, context, way };
        }
    }

    #[inline(always)]
    const fn context(&self, place: u32) -> u64 {
        (place as u64) << 32 | self.epoch as u64
    }
}

/// The set of a pair. A sender that aims at one set only makes its own packets take the way through the tables.
#[inline(always)]
const fn slot(keys: [MacKey; 2]) -> PairSlot {
    let [destination, source] = keys;
    // The octets in which stations differ come last in an address: turned around, one of the two does not cancel the other.
    let mixed = destination.to_bits() ^ source.to_bits().swap_bytes();
    PairSlot((mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> SHIFT) as u32)
}

#[cfg(all(test, not(weir_loom)))]
mod tests {
    use super::*;
    use crate::fib::mac::MacDestination;
    use crate::num::{MacAddr, NetworkId, PortId};

    fn key(network: u16, last: u8) -> MacKey {
        MacTable::key(NetworkId(network), MacAddr([2, 0, 0, 0, 0, last]))
    }

    fn find(pairs: &RecentPairs, keys: [MacKey; 2], place: u32) -> Option<u64> {
        pairs.find(pairs.prefetch(keys), keys, place)
    }

    #[test]
    fn a_pair_is_found_for_its_network_its_direction_and_its_place_only() {
        let mut pairs = RecentPairs::default();
        let pair = [key(1, 1), key(1, 2)];
        assert_eq!(find(&pairs, pair, 7), None);
        pairs.note(pair, 7, 99);
        assert_eq!(find(&pairs, pair, 7), Some(99));
        assert_eq!(find(&pairs, pair, 8), None, "the source has moved");
        assert_eq!(find(&pairs, [pair[1], pair[0]], 7), None, "the way back is another");
        assert_eq!(find(&pairs, [key(2, 1), key(2, 2)], 7), None, "another network");
        assert_eq!(find(&pairs, [key(0, 0); 2], 0), None, "an empty slot is no pair");
    }

    #[test]
    fn everything_but_an_insertion_makes_it_forget() {
        let mut writer = MacTable::new(64, 1);
        let mut pairs = RecentPairs::default();
        let pair = [key(1, 1), key(1, 2)];
        let place = MacDestination::port(PortId(3), 0);
        writer.insert(pair[0], place, 5);
        pairs.begin(writer.table(), 5);
        let kept = |pairs: &mut RecentPairs, writer: &crate::fib::mac::MacWriter, secs| {
            pairs.begin(writer.table(), secs);
            let found = find(pairs, pair, 7).is_some();
            pairs.note(pair, 7, 99);
            found
        };
        assert!(!kept(&mut pairs, &writer, 5));
        assert!(kept(&mut pairs, &writer, 5));
        writer.insert(pair[1], place, 5);
        assert!(kept(&mut pairs, &writer, 5), "what was not there cannot have been noted");
        assert!(!kept(&mut pairs, &writer, 6), "a new second");
        writer.insert(pair[0], MacDestination::port(PortId(4), 0), 6);
        assert!(!kept(&mut pairs, &writer, 6), "a station has moved");
        writer.remove(pair[1]);
        assert!(!kept(&mut pairs, &writer, 6), "a station is gone");
        pairs.forget();
        assert!(!kept(&mut pairs, &writer, 6));
        assert!(kept(&mut pairs, &writer, 6));
    }

    #[test]
    fn nothing_outlives_the_epochs_counter() {
        let mut pairs = RecentPairs::default();
        let pair = [key(1, 1), key(1, 2)];
        pairs.note(pair, 7, 99);
        pairs.epoch = u32::MAX;
        pairs.forget();
        assert_eq!((pairs.epoch, find(&pairs, pair, 7)), (1, None), "epoch 1 is another one now");
    }

    #[test]
    fn two_pairs_share_a_set_and_the_third_takes_the_place_of_the_older() {
        let mut pairs = RecentPairs::default();
        let all: Vec<_> = (0..=255).flat_map(|a| (0..32).map(move |b| [key(1, a), key(9, b)])).collect();
        let shared = slot(all[0]);
        let three: Vec<_> = all.into_iter().filter(|pair| slot(*pair) == shared).take(3).collect();
        assert_eq!(three.len(), 3, "8,192 pairs, 2,048 sets");
        for (way, pair) in (0..).zip(&three) {
            pairs.note(*pair, 7, way);
        }
        let found: Vec<_> = three.iter().map(|pair| find(&pairs, *pair, 7)).collect();
        assert_eq!(found, [None, Some(1), Some(2)]);
    }
}
