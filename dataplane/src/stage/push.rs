//! Tunnels that a worker has pushed into lately, with their outer headers ready.
//!
//! Not a stage but the memory of `vxlan-encap`: looking a way up and filling in its headers costs as much as pushing several
//! packets. Only the usual headers are kept: IPv4 without a UDP checksum.

use overlay::fib::neighbour::Neighbour;
use overlay::num::{MacAddr, NeighbourId, PortId};
use overlay::tunnel::vxlan::PushV4;

use crate::tables::Tables;

/// Places: a worker pushes into some dozens of tunnels at a time. A power of two.
const PLACES: usize = 64;

/// What the packets into one tunnel of one network share.
#[derive(Clone, Debug)]
pub(super) struct Push {
    /// [`Meta::encapsulation`](overlay::packet::Meta::encapsulation) of the packets.
    pub(super) key: u32,
    /// The longest frame.
    pub(super) max_octets: usize,
    pub(super) egress: PortId,
    pub(super) neighbour: NeighbourId,
    /// As it stands in the headers.
    pub(super) next_hop: MacAddr,
    pub(super) headers: PushV4,
}

/// See the module's text. Holds as long as the configuration.
#[derive(Debug)]
pub struct RecentPushes(Box<[Option<Push>; PLACES]>);

impl Default for RecentPushes {
    fn default() -> Self {
        Self(Box::new([const { None }; PLACES]))
    }
}

impl RecentPushes {
    /// Forgets everything: for a new configuration.
    #[cold]
    pub fn forget(&mut self) {
        self.0.fill(None);
    }

    /// Tunnels and networks are numbered from zero, so that the first ones do not meet.
    fn place(key: u32) -> usize {
        (key ^ key >> 16).wrapping_mul(0x9e37_79b1) as usize >> 26 & (PLACES - 1)
    }

    /// What was noted for `key`, if the next hop is still where it was.
    #[inline]
    pub(super) fn find(&self, key: u32, tables: &Tables, now_secs: u32) -> Option<&Push> {
        let push = self.0.get(Self::place(key))?.as_ref().filter(|push| push.key == key)?;
        if tables.neighbours.get(push.neighbour) != Neighbour::Resolved(push.next_hop) {
            return None;
        }
        tables.neighbours.touch(push.neighbour, now_secs);
        Some(push)
    }

    /// Notes one, in place of another.
    pub(super) fn note(&mut self, push: Push) {
        if let Some(place) = self.0.get_mut(Self::place(push.key)) {
            *place = Some(push);
        }
    }
}
