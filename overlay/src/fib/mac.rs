//! The MAC table: (network, MAC address) → port or tunnel, of fixed capacity, read by many workers without locks while
//! one thread writes.
//!
//! A key has two candidate buckets of four entries; a bucket is one cache line. An insertion that finds both full moves
//! others to their second bucket (cuckoo hashing; four-way buckets and both candidates known from a lookup as in
//! Fan et al., "MemC3", NSDI 2013).
//!
//! # Who may see what
//!
//! The writer publishes an entry by storing the destination, then the key (release). A reader loads the key, then the
//! destination (acquire). That alone would let a reader be fooled in two ways: an entry's place is given to another key
//! between the two loads, or a key moves from the bucket not yet read to the one already read. So the table has a
//! generation, which the writer advances before and after it empties a place. A reader that finds it changed tries
//! again; an entry that moves appears in its new place before it vanishes from the old, so the second try finds it. (A
//! second load of the key would not do: the place can be emptied, lent to another and given back in between.)

use std::fmt;
use std::sync::Arc;

use super::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::accel;
use crate::num::{MacAddr, NetworkId, PortId, TunnelId};

mod destination;
#[cfg(all(test, not(weir_loom)))]
mod tests;
mod writer;

pub use destination::{MacDestination, MacTarget};
pub use writer::{Inserted, MacWriter};

/// Entries of a bucket.
const WAYS: usize = 4;

/// How often a reader tries again when the writer keeps emptying places; then the address counts as unknown, for this
/// packet. Each try that fails needs a removal of the writer's in the few nanoseconds between.
const TRIES: usize = 8;

/// 2⁶⁴ divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The order that publishes an entry. `--cfg weir_weaken` breaks it on purpose: the model checker must notice.
const PUBLISH: Ordering = if cfg!(weir_weaken) { Ordering::Relaxed } else { Ordering::Release };

/// A network and a MAC address in one word: the address as it lies in memory, first octet lowest, and the network above
/// it. A key is two loads and a mask away from a frame.
///
/// 0, the all-zero address in network 0, marks an empty place. No station has that address: it is never inserted and
/// never found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MacKey(u64);

impl MacKey {
    const EMPTY: Self = Self(0);

    /// The key of `mac` in `network`.
    #[inline]
    pub const fn new(network: NetworkId, mac: MacAddr) -> Self {
        let m = mac.0;
        Self((network.0 as u64) << 48 | u64::from_le_bytes([m[0], m[1], m[2], m[3], m[4], m[5], 0, 0]))
    }

    /// The network.
    #[inline]
    pub const fn network(self) -> NetworkId {
        NetworkId((self.0 >> 48) as u16)
    }

    /// The MAC address.
    #[inline]
    pub const fn mac(self) -> MacAddr {
        let m = self.0.to_le_bytes();
        MacAddr([m[0], m[1], m[2], m[3], m[4], m[5]])
    }

    /// The packed form.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether the address has the group bit.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0 & 1 != 0
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.mac(), self.network())
    }
}

/// An entry's place in the table, for [`MacTable::touch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Slot(u32);

/// What a lookup found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// Where the address is.
    pub destination: MacDestination,
    /// The entry's place.
    pub slot: Slot,
}

/// What [`BurstReader::find`] found: a [`Hit`] that still holds its entry.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Where the address is.
    pub destination: MacDestination,
    entry: &'a Entry,
}

impl Found<'_> {
    /// As [`MacTable::touch`].
    #[inline(always)]
    pub fn touch(&self, now_secs: u32) {
        if self.entry.last_seen_secs.load(Ordering::Relaxed) != now_secs {
            self.entry.last_seen_secs.store(now_secs, Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
#[repr(C)]
struct Entry {
    key: AtomicU64,
    destination: AtomicU32,
    last_seen_secs: AtomicU32,
}

#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Bucket([Entry; WAYS]);

#[cfg(not(weir_loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

/// The readers' side. See the module's text.
pub struct MacTable {
    buckets: Box<[Bucket]>,
    mask: u32,
    /// Added to the key, and odd, multiplied with it.
    secrets: [u64; 2],
    generation: AtomicU64,
}

impl fmt::Debug for MacTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacTable").field("buckets", &self.buckets.len()).finish_non_exhaustive()
    }
}

impl MacTable {
    /// An empty table with room for about `capacity` addresses, and its only writer.
    ///
    /// The number of buckets is the power of two that holds `capacity` at 7/8 load or below. `seed` is a number that
    /// senders cannot guess; it scatters the addresses, so that nobody can fill another station's buckets on purpose.
    #[allow(clippy::new_ret_no_self, reason = "the table is reached through its writer, of which there is one")]
    pub fn new(capacity: usize, seed: u64) -> MacWriter {
        let entries = capacity.clamp(1, 1 << 28).saturating_mul(8) / 7;
        let buckets = entries.div_ceil(WAYS).next_power_of_two().max(2);
        let table = Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            mask: buckets as u32 - 1,
            secrets: [seed ^ GOLDEN, seed.rotate_left(32).wrapping_mul(GOLDEN) | 1],
            generation: AtomicU64::new(0),
        };
        MacWriter::new(Arc::new(table))
    }

    /// The key of `mac` in `network`.
    #[inline]
    pub const fn key(network: NetworkId, mac: MacAddr) -> MacKey {
        MacKey::new(network, mac)
    }

    /// The keys of the destination and the source address of a frame that begins with `header`.
    #[inline(always)]
    pub const fn keys_of(network: NetworkId, header: &[u8; 14]) -> [MacKey; 2] {
        const MAC: u64 = 0x0000_ffff_ffff_ffff;
        // One load each: eight octets from the start, eight to the end.
        let destination = match header.first_chunk() {
            Some(octets) => u64::from_le_bytes(*octets) & MAC,
            None => 0,
        };
        let source = match header.last_chunk() {
            Some(octets) => u64::from_le_bytes(*octets) & MAC,
            None => 0,
        };
        let network = (network.0 as u64) << 48;
        [MacKey(network | destination), MacKey(network | source)]
    }

    /// The table as one burst's look-ups use it.
    #[inline(always)]
    pub fn burst(&self) -> BurstReader<'_> {
        let generation = self.generation.load(Ordering::Acquire);
        BurstReader { table: self, buckets: &self.buckets, mask: self.mask, secrets: self.secrets, generation }
    }

    /// Counts changes: what was looked up while it was the same is still true, as far as it was found.
    #[inline(always)]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Where this address is, if it is known.
    ///
    /// Looks at both buckets, and again when the writer was at work in between.
    #[inline(never)]
    pub fn lookup(&self, key: MacKey) -> Option<Hit> {
        let candidates = self.candidates(key);
        for _ in 0..TRIES {
            let generation = self.generation.load(Ordering::Acquire);
            let found = self.search(key, candidates);
            if self.generation.load(Ordering::Acquire) == generation {
                return found;
            }
        }
        None
    }

    #[inline(always)]
    fn search(&self, key: MacKey, candidates: [u32; 2]) -> Option<Hit> {
        candidates.into_iter().find_map(|bucket| {
            let (destination, way) = self.probe(key, bucket)?;
            Some(Hit { destination, slot: Slot(bucket * WAYS as u32 + way as u32) })
        })
    }

    #[inline(always)]
    fn probe(&self, key: MacKey, bucket: u32) -> Option<(MacDestination, usize)> {
        let Bucket(entries) = self.buckets.get(bucket as usize)?;
        // Which place an address has is not to be predicted, but that it is in its first bucket is, until the table is
        // nearly full: so the place is computed, and one branch asks whether the address is there.
        let is_at = |way: usize| usize::from(entries[way].key.load(Ordering::Acquire) == key.0);
        let way = is_at(1) + 2 * is_at(2) + 3 * is_at(3);
        let entry = &entries[way % WAYS];
        if entry.key.load(Ordering::Acquire) != key.0 || key == MacKey::EMPTY {
            return None;
        }
        Some((MacDestination::from_bits(entry.destination.load(Ordering::Acquire)), way % WAYS))
    }

    /// Notes that the address in this place was seen: a store only when the second has changed.
    ///
    /// The place may have been given to another address since the lookup; that one then lives a little longer.
    #[inline]
    pub fn touch(&self, slot: Slot, now_secs: u32) {
        if let Some(entry) = self.entry(slot)
            && entry.last_seen_secs.load(Ordering::Relaxed) != now_secs
        {
            entry.last_seen_secs.store(now_secs, Ordering::Relaxed);
        }
    }

    /// How many addresses there is room for, at most; collisions may fill it earlier.
    pub fn capacity(&self) -> usize {
        self.buckets.len() * WAYS
    }

    /// The buckets' memory, so that its owner can ask the system for huge pages.
    pub fn storage(&self) -> &[impl Sized + use<>] {
        &self.buckets
    }

    #[inline]
    fn entry(&self, slot: Slot) -> Option<&Entry> {
        let Slot(slot) = slot;
        self.buckets.get(slot as usize / WAYS).and_then(|bucket| bucket.0.get(slot as usize % WAYS))
    }

    /// The key's two buckets, always different. Either follows from the other and the key.
    #[inline(always)]
    fn hash(&self, key: MacKey) -> u64 {
        hash(key, self.secrets)
    }

    #[inline(always)]
    fn candidates(&self, key: MacKey) -> [u32; 2] {
        let hash = self.hash(key);
        let first = hash as u32 & self.mask;
        let second = first ^ ((hash >> 32) as u32 & self.mask | 1);
        [first, second]
    }
}

#[inline(always)]
fn hash(key: MacKey, secrets: [u64; 2]) -> u64 {
    // Not CRC32C: it is linear, so that whoever knows one collision knows them all, whatever the seed. A widening
    // product, folded, is as fast (Wang Yi's wyhash).
    let product = u128::from(key.0 ^ secrets[0]) * u128::from(secrets[1]);
    (product >> 64) as u64 ^ product as u64
}

/// A reader's copy of what does not change, so that the compiler may keep it in registers while packets are written to;
/// for one burst, in two steps: [`BurstReader::prefetch`] all, then [`BurstReader::find`] all.
#[derive(Debug)]
pub struct BurstReader<'a> {
    table: &'a MacTable,
    buckets: &'a [Bucket],
    mask: u32,
    secrets: [u64; 2],
    generation: u64,
}

impl<'a> BurstReader<'a> {
    /// Works out the key's first bucket and asks the CPU to load it. The second is rarely looked at until the table is
    /// nearly full, and would take the place of something that is needed.
    #[inline(always)]
    pub fn prefetch(&self, key: MacKey) -> u32 {
        let bucket = hash(key, self.secrets) as u32 & self.mask;
        accel::prefetch_slice(self.buckets, bucket as usize);
        bucket
    }

    /// Where the address is that [`BurstReader::prefetch`] gave `bucket` for; `None` also when it is not where most are,
    /// or when the writer is at work: ask [`BurstReader::find_carefully`] then.
    ///
    /// What it gives is to be believed only if [`BurstReader::is_current`] says so afterwards.
    #[inline(always)]
    pub fn find(&self, key: MacKey, bucket: u32) -> Option<Found<'a>> {
        // The writer fills a bucket from its front, and the table is larger than what it is made to hold: most addresses
        // are alone in their bucket, and the branch is predicted.
        let Bucket(entries) = self.buckets.get(bucket as usize)?;
        let [first, second, third, fourth] = entries;
        let is_it = |entry: &Entry| entry.key.load(Ordering::Acquire) == key.0;
        let entry =
            if is_it(first) { first } else { [second, third, fourth].into_iter().find(|entry| is_it(entry))? };
        if key == MacKey::EMPTY {
            return None;
        }
        Some(Found { destination: MacDestination::from_bits(entry.destination.load(Ordering::Acquire)), entry })
    }

    /// Whether the writer has moved nothing since the burst began (or since this last said no): what was found is true.
    #[inline(always)]
    pub fn is_current(&mut self) -> bool {
        let generation = self.table.generation.load(Ordering::Acquire);
        core::mem::replace(&mut self.generation, generation) == generation
    }

    /// [`MacTable::lookup`].
    #[inline(never)]
    pub fn find_carefully(&self, key: MacKey) -> Option<Found<'a>> {
        let hit = self.table.lookup(key)?;
        self.table.entry(hit.slot).map(|entry| Found { destination: hit.destination, entry })
    }
}
