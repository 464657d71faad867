//! Underlay next hops: their MAC addresses, as ARP and ND found them.

use std::collections::HashMap;
use std::net::IpAddr;

use super::atomics::{AtomicU32, AtomicU64, Ordering};
use crate::num::{MacAddr, NeighbourId, PortId};

/// What is known of a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Neighbour {
    /// Nobody has asked yet, or the answer is awaited.
    Unresolved,
    /// It has this address.
    Resolved(MacAddr),
    /// It did not answer.
    Failed,
}

const RESOLVED: u64 = 1 << 48;
const FAILED: u64 = 2 << 48;

#[derive(Debug, Default)]
struct Place {
    /// Bits 0-47 the MAC address, 48-49 the state; 0 = unresolved.
    state: AtomicU64,
    last_used_secs: AtomicU32,
}

/// Next hops by identifier; a fixed number of places.
///
/// All of a next hop's state is one word, so readers need no more than a load, and any thread may write.
#[derive(Debug)]
pub struct NeighbourTable {
    places: Box<[Place]>,
}

impl NeighbourTable {
    /// A table for identifiers below `capacity`, all unresolved.
    pub fn new(capacity: u16) -> Self {
        Self { places: (0..capacity.min(u16::MAX - 1)).map(|_| Place::default()).collect() }
    }

    /// What is known of a next hop. One without a place counts as failed.
    #[inline]
    pub fn get(&self, id: NeighbourId) -> Neighbour {
        let Some(place) = self.places.get(id.index()) else { return Neighbour::Failed };
        let state = place.state.load(Ordering::Relaxed);
        if state & RESOLVED != 0 {
            Neighbour::Resolved(MacAddr::from_u64(state))
        } else if state & FAILED != 0 {
            Neighbour::Failed
        } else {
            Neighbour::Unresolved
        }
    }

    /// Notes that a next hop is in use: a store only when the second has changed.
    #[inline]
    pub fn touch(&self, id: NeighbourId, now_secs: u32) {
        if let Some(place) = self.places.get(id.index())
            && place.last_used_secs.load(Ordering::Relaxed) != now_secs
        {
            place.last_used_secs.store(now_secs, Ordering::Relaxed);
        }
    }

    /// The second in which a next hop was last used; `None` when it has no place.
    pub fn last_used_secs(&self, id: NeighbourId) -> Option<u32> {
        self.places.get(id.index()).map(|place| place.last_used_secs.load(Ordering::Relaxed))
    }

    /// Sets what is known; `false` when it has no place.
    pub fn set(&self, id: NeighbourId, neighbour: Neighbour) -> bool {
        let Some(place) = self.places.get(id.index()) else { return false };
        let state = match neighbour {
            Neighbour::Unresolved => 0,
            Neighbour::Resolved(mac) => RESOLVED | mac.to_u64(),
            Neighbour::Failed => FAILED,
        };
        place.state.store(state, Ordering::Relaxed);
        true
    }

    /// How many next hops have a place.
    pub fn capacity(&self) -> usize {
        self.places.len()
    }
}

/// The control side's half: which next hop has which identifier.
#[derive(Clone, Debug)]
pub struct NeighbourIndex {
    by_address: HashMap<(PortId, IpAddr), NeighbourId>,
    by_id: Vec<Option<(PortId, IpAddr)>>,
    free: Vec<NeighbourId>,
}

impl NeighbourIndex {
    /// An index for a table of this capacity.
    pub fn new(capacity: u16) -> Self {
        let capacity = capacity.min(u16::MAX - 1);
        Self {
            by_address: HashMap::new(),
            by_id: vec![None; usize::from(capacity)],
            free: (0..capacity).rev().map(NeighbourId).collect(),
        }
    }

    /// The identifier of a next hop reached through this uplink, a new one if need be; `None` when all are given away.
    pub fn intern(&mut self, uplink: PortId, address: IpAddr) -> Option<NeighbourId> {
        if let Some(id) = self.find(uplink, address) {
            return Some(id);
        }
        let id = self.free.pop()?;
        self.by_address.insert((uplink, address), id);
        if let Some(place) = self.by_id.get_mut(id.index()) {
            *place = Some((uplink, address));
        }
        Some(id)
    }

    /// The identifier of a next hop, if it has one.
    pub fn find(&self, uplink: PortId, address: IpAddr) -> Option<NeighbourId> {
        self.by_address.get(&(uplink, address)).copied()
    }

    /// The uplink and address behind an identifier.
    pub fn address(&self, id: NeighbourId) -> Option<(PortId, IpAddr)> {
        self.by_id.get(id.index()).copied().flatten()
    }

    /// Takes an identifier back; the caller makes sure that no configuration in use names it, and sets its place in the
    /// table to [`Neighbour::Unresolved`]. `false` when it was not given away.
    pub fn release(&mut self, id: NeighbourId) -> bool {
        let Some(key) = self.by_id.get_mut(id.index()).and_then(Option::take) else { return false };
        self.by_address.remove(&key);
        self.free.push(id);
        true
    }

    /// Every next hop, in the order of the identifiers.
    pub fn iter(&self) -> impl Iterator<Item = (NeighbourId, PortId, IpAddr)> + '_ {
        let ids = (0..).map(NeighbourId);
        ids.zip(&self.by_id).filter_map(|(id, key)| key.map(|(uplink, address)| (id, uplink, address)))
    }
}

#[cfg(all(test, not(weir_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_what_was_set() {
        let table = NeighbourTable::new(2);
        let id = NeighbourId(1);
        assert_eq!(table.get(id), Neighbour::Unresolved);
        let mac = MacAddr([0xff, 0xff, 1, 2, 3, 4]);
        for neighbour in [Neighbour::Resolved(mac), Neighbour::Failed, Neighbour::Unresolved] {
            assert!(table.set(id, neighbour));
            assert_eq!(table.get(id), neighbour);
            assert_eq!(table.get(NeighbourId(0)), Neighbour::Unresolved);
        }
        table.touch(id, 7);
        assert_eq!(table.last_used_secs(id), Some(7));
        for outside in [NeighbourId(2), NeighbourId::NONE] {
            assert!(!table.set(outside, Neighbour::Resolved(mac)));
            assert_eq!(table.get(outside), Neighbour::Failed);
            table.touch(outside, 7);
            assert_eq!(table.last_used_secs(outside), None);
        }
        assert_eq!(NeighbourTable::new(u16::MAX).capacity(), usize::from(u16::MAX) - 1);
    }

    #[test]
    fn identifiers_are_given_once_and_taken_back() {
        let mut index = NeighbourIndex::new(2);
        let [a, b, c]: [IpAddr; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::3"].map(|text| text.parse().unwrap());
        let first = index.intern(PortId(1), a).unwrap();
        assert_eq!(index.intern(PortId(1), a), Some(first));
        let other = index.intern(PortId(2), a).unwrap();
        assert_ne!(first, other, "the same address behind another uplink is another next hop");
        assert_eq!(index.intern(PortId(1), b), None);
        assert_eq!(index.address(other), Some((PortId(2), a)));
        assert!(index.release(first));
        assert!(!index.release(first));
        assert!(!index.release(NeighbourId::NONE));
        assert_eq!(index.find(PortId(1), a), None);
        assert_eq!(index.intern(PortId(1), c), Some(first));
        let mut all: Vec<_> = index.iter().collect();
        all.sort();
        assert_eq!(all, {
            let mut expected = vec![(first, PortId(1), c), (other, PortId(2), a)];
            expected.sort();
            expected
        });
    }
}
