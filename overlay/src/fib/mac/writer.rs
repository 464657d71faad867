//! The one writer of a MAC table.

use std::sync::Arc;

use super::{Bucket, Entry, MacDestination, MacKey, MacTable, Ordering, PUBLISH, Slot, WAYS};
use crate::num::NetworkId;

/// What an insertion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// The address was unknown.
    New,
    /// The address was there and has moved from this place.
    Moved(MacDestination),
    /// The address was there; it was seen again.
    Refreshed,
    /// The address is configured to be elsewhere and stays there.
    Static(MacDestination),
    /// No room, or the key of no station: not inserted.
    Full,
}

/// The right to change a [`MacTable`]: there is one per table, and its methods take `&mut self`.
#[derive(Debug)]
pub struct MacWriter {
    table: Arc<MacTable>,
    len: usize,
}

/// Buckets looked at before an insertion gives up: enough for a load of nine tenths and more.
const SEARCH_LIMIT: usize = 256;

/// A bucket on the way from a full candidate to a free place.
#[derive(Clone, Copy)]
struct Step {
    bucket: u32,
    /// The step before it, and the way in that step's bucket whose entry can come here.
    from: u16,
    way: u8,
}

impl MacWriter {
    pub(super) fn new(table: Arc<MacTable>) -> Self {
        Self { table, len: 0 }
    }

    /// The table, to be shared with readers.
    pub fn table(&self) -> &Arc<MacTable> {
        &self.table
    }

    /// How many addresses the table holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Notes that `key` is at `destination`, seen now. A static destination overrules any other; a learned one does not
    /// overrule a static one.
    pub fn insert(&mut self, key: MacKey, destination: MacDestination, now_secs: u32) -> Inserted {
        if key == MacKey::EMPTY {
            return Inserted::Full;
        }
        if let Some(entry) = self.find(key).and_then(|slot| self.table.entry(slot)) {
            let old = MacDestination::from_bits(entry.destination.load(Ordering::Relaxed));
            if old.is_static() && !destination.is_static() {
                return if old.same_place(destination) { Inserted::Refreshed } else { Inserted::Static(old) };
            }
            entry.last_seen_secs.store(now_secs, Ordering::Relaxed);
            if old == destination {
                return Inserted::Refreshed;
            }
            entry.destination.store(destination.to_bits(), PUBLISH);
            advance(&self.table);
            return if old.same_place(destination) { Inserted::Refreshed } else { Inserted::Moved(old) };
        }
        let Some(entry) = self.make_room(key) else { return Inserted::Full };
        publish(entry, key, destination.to_bits(), now_secs);
        self.len += 1;
        Inserted::New
    }

    /// Forgets an address; returns where it was.
    pub fn remove(&mut self, key: MacKey) -> Option<MacDestination> {
        let entry = self.find(key).and_then(|slot| self.table.entry(slot))?;
        let old = MacDestination::from_bits(entry.destination.load(Ordering::Relaxed));
        vacate(&self.table, entry);
        self.len -= 1;
        Some(old)
    }

    /// Forgets all addresses for which `condition` holds, static ones included; returns how many.
    pub fn remove_where(&mut self, mut condition: impl FnMut(MacKey, MacDestination) -> bool) -> usize {
        self.retain(|key, destination, _| !condition(key, destination))
    }

    /// Forgets learned addresses that were not seen for their network's ageing time (`None`: they do not age); returns
    /// how many.
    pub fn age(&mut self, now_secs: u32, mut ageing_secs: impl FnMut(NetworkId) -> Option<u32>) -> usize {
        self.retain(|key, destination, last_seen_secs| {
            destination.is_static()
                // A worker's clock may be a moment ahead of ours: that is "just seen".
                || ageing_secs(key.network()).is_none_or(|limit| now_secs.saturating_sub(last_seen_secs) <= limit)
        })
    }

    /// Every address with its place and the second in which it was last seen, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (MacKey, MacDestination, u32)> + '_ {
        entries(&self.table).filter_map(|entry| {
            let key = MacKey(entry.key.load(Ordering::Relaxed));
            let destination = MacDestination::from_bits(entry.destination.load(Ordering::Relaxed));
            (key != MacKey::EMPTY).then(|| (key, destination, entry.last_seen_secs.load(Ordering::Relaxed)))
        })
    }

    fn retain(&mut self, mut keep: impl FnMut(MacKey, MacDestination, u32) -> bool) -> usize {
        let mut removed = 0;
        for entry in entries(&self.table) {
            let key = MacKey(entry.key.load(Ordering::Relaxed));
            if key == MacKey::EMPTY {
                continue;
            }
            let destination = MacDestination::from_bits(entry.destination.load(Ordering::Relaxed));
            if !keep(key, destination, entry.last_seen_secs.load(Ordering::Relaxed)) {
                vacate(&self.table, entry);
                removed += 1;
            }
        }
        self.len -= removed;
        removed
    }

    fn find(&self, key: MacKey) -> Option<Slot> {
        // There is no other writer: what is read stays, and one look is enough.
        self.table.search(key, self.table.candidates(key)).map(|hit| hit.slot)
    }

    /// An empty entry in one of the key's two buckets, after moving others out of the way if need be.
    fn make_room(&self, key: MacKey) -> Option<&Entry> {
        let table = &*self.table;
        let mut steps = [Step { bucket: 0, from: 0, way: 0 }; SEARCH_LIMIT];
        let mut known = 0;
        for bucket in table.candidates(key) {
            if let Some(entry) = free_entry(table, bucket) {
                return Some(entry);
            }
            *steps.get_mut(known)? = Step { bucket, from: u16::MAX, way: 0 };
            known += 1;
        }
        // Breadth first: the shortest way moves the fewest entries.
        let mut next = 0;
        while next < known {
            let Step { bucket, .. } = *steps.get(next)?;
            for (way, entry) in table.buckets.get(bucket as usize)?.0.iter().enumerate() {
                let moving = MacKey(entry.key.load(Ordering::Relaxed));
                let other = other_bucket(table, moving, bucket);
                if let Some(free) = free_entry(table, other) {
                    return Self::shift_along(table, &steps, next, way, free);
                }
                // A way that came through the same bucket twice would move an entry onto itself.
                if known < SEARCH_LIMIT && !steps.iter().take(known).any(|step| step.bucket == other) {
                    *steps.get_mut(known)? = Step { bucket: other, from: next as u16, way: way as u8 };
                    known += 1;
                }
            }
            next += 1;
        }
        None
    }

    /// Moves the entry at `way` of step `at` to `free`, then the one before it to where that was, and so on; returns the
    /// entry that is empty in the end. Each appears in its new place before it vanishes from the old.
    fn shift_along<'a>(
        table: &'a MacTable,
        steps: &[Step],
        mut at: usize,
        mut way: usize,
        mut free: &'a Entry,
    ) -> Option<&'a Entry> {
        loop {
            let step = steps.get(at)?;
            let entry = table.buckets.get(step.bucket as usize)?.0.get(way)?;
            let key = MacKey(entry.key.load(Ordering::Relaxed));
            let destination = entry.destination.load(Ordering::Relaxed);
            publish(free, key, destination, entry.last_seen_secs.load(Ordering::Relaxed));
            vacate(table, entry);
            if step.from == u16::MAX {
                return Some(entry);
            }
            free = entry;
            (at, way) = (usize::from(step.from), usize::from(step.way));
        }
    }
}

/// Fills an empty place. The key comes last: whoever sees it sees the rest.
fn publish(entry: &Entry, key: MacKey, destination: u32, last_seen_secs: u32) {
    entry.last_seen_secs.store(last_seen_secs, Ordering::Relaxed);
    entry.destination.store(destination, PUBLISH);
    entry.key.store(key.0, PUBLISH);
}

/// Empties a place, and tells readers that are at it.
///
/// Before: a reader that misses the key here because it is gone sees the generation changed. After: a reader that sees
/// what the place is used for next sees the generation changed, even if it began between the two.
fn vacate(table: &MacTable, entry: &Entry) {
    advance(table);
    entry.key.store(MacKey::EMPTY.0, Ordering::Release);
    advance(table);
}

/// Tells readers that what they have found may no longer be so.
fn advance(table: &MacTable) {
    let generation = table.generation.load(Ordering::Relaxed);
    table.generation.store(generation + 1, Ordering::Release);
}

fn entries(table: &MacTable) -> impl Iterator<Item = &Entry> {
    table.buckets.iter().flat_map(|Bucket(entries)| entries)
}

fn free_entry(table: &MacTable, bucket: u32) -> Option<&Entry> {
    let Bucket(entries) = table.buckets.get(bucket as usize)?;
    entries.iter().find(|entry| entry.key.load(Ordering::Relaxed) == MacKey::EMPTY.0)
}

fn other_bucket(table: &MacTable, key: MacKey, bucket: u32) -> u32 {
    let [first, second] = table.candidates(key);
    if bucket == first { second } else { first }
}

const _: () = assert!(SEARCH_LIMIT < u16::MAX as usize && WAYS <= u8::MAX as usize);
