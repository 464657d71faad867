//! Grace periods: the writer learns when every reader has let go of what it saw before.
//!
//! A worker passes a quiescent point once per round, between two bursts, when it holds no reference into shared state.
//! It pays one acquire load there, and a store only when something has changed. Who writes what: [`Epochs::advance`] is
//! called by control threads; `seen[i]` is written by worker `i` alone.

use crossbeam::utils::CachePadded;

use super::{Arc, AtomicU64, Ordering, PUBLISH};

/// What `seen` holds for a reader that is not running: it is in nobody's way.
const OFFLINE: u64 = u64::MAX;

/// A counter of changes, and how far each reader has followed.
#[derive(Debug)]
pub struct Epochs {
    current: CachePadded<AtomicU64>,
    seen: Box<[CachePadded<AtomicU64>]>,
}

impl Epochs {
    /// Epochs for `readers` readers, all offline.
    pub fn new(readers: usize) -> Self {
        Self {
            current: CachePadded::new(AtomicU64::new(0)),
            seen: (0..readers).map(|_| CachePadded::new(AtomicU64::new(OFFLINE))).collect(),
        }
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.seen.len()
    }

    /// Starts a new epoch and returns its number. What was written before is visible to every reader that observes it.
    pub fn advance(&self) -> u64 {
        self.current.fetch_add(1, PUBLISH) + 1
    }

    /// Whether every reader runs.
    pub fn all_online(&self) -> bool {
        self.seen.iter().all(|seen| seen.load(Ordering::Acquire) != OFFLINE)
    }

    /// Whether every running reader has passed a quiescent point since `epoch` began.
    pub fn passed(&self, epoch: u64) -> bool {
        self.seen.iter().all(|seen| seen.load(Ordering::Acquire) >= epoch)
    }

    /// The readers that have not yet passed `epoch`.
    pub fn behind(&self, epoch: u64) -> impl Iterator<Item = usize> + '_ {
        self.seen
            .iter()
            .enumerate()
            .filter(move |(_, seen)| seen.load(Ordering::Acquire) < epoch)
            .map(|(index, _)| index)
    }

    /// Reader `index`'s side; `None` when there is no such reader. One per thread: it is not `Clone`.
    pub fn reader(self: &Arc<Self>, index: usize) -> Option<EpochReader> {
        if index >= self.seen.len() {
            return None;
        }
        Some(EpochReader { epochs: Arc::clone(self), index, last: 0 })
    }
}

/// One reader's side of [`Epochs`].
#[derive(Debug)]
pub struct EpochReader {
    epochs: Arc<Epochs>,
    index: usize,
    last: u64,
}

impl EpochReader {
    /// The reader runs from here on: writers wait for it.
    pub fn online(&mut self) {
        self.last = self.epochs.current.load(Ordering::Acquire);
        self.store(self.last);
    }

    /// The reader holds nothing and will look at nothing until [`EpochReader::online`].
    pub fn offline(&mut self) {
        self.store(OFFLINE);
    }

    /// Whether a new epoch has begun. One acquire load; the whole cost of a round in which nothing changes.
    #[inline]
    pub fn changed(&self) -> bool {
        self.epochs.current.load(Ordering::Acquire) != self.last
    }

    /// Takes note of the current epoch. Call it first, then look at what was published, then [`EpochReader::quiesce`].
    pub fn observe(&mut self) -> u64 {
        self.last = self.epochs.current.load(Ordering::Acquire);
        self.last
    }

    /// Says that nothing seen before the observed epoch is held any more.
    pub fn quiesce(&mut self) {
        self.store(self.last);
    }

    fn store(&self, value: u64) {
        if let Some(seen) = self.epochs.seen.get(self.index) {
            seen.store(value, PUBLISH);
        }
    }
}

#[cfg(all(test, not(weir_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_running_reader_holds_back_the_writer_until_it_quiesces() {
        let epochs = Arc::new(Epochs::new(2));
        let mut reader = epochs.reader(0).unwrap();
        assert!(epochs.reader(2).is_none());
        let first = epochs.advance();
        assert!(epochs.passed(first), "offline readers are in nobody's way");
        reader.online();
        assert!(!reader.changed());
        let second = epochs.advance();
        assert!(reader.changed());
        assert!(!epochs.passed(second));
        assert_eq!(epochs.behind(second).collect::<Vec<_>>(), [0]);
        reader.observe();
        assert!(!epochs.passed(second), "observing is not yet letting go");
        reader.quiesce();
        assert!(epochs.passed(second));
        reader.offline();
        assert!(epochs.passed(u64::MAX));
    }
}
