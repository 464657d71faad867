//! What loops over packets want: a packet, and the metadata of fresh ones, in variables that stay in registers.

use std::marker::PhantomData;
use std::ptr;

use overlay::packet::{META_RECEIVED_OCTETS, Meta, PacketBuf, Ways};

use super::Mbuf;

/// See [`Mbuf::at_hand`].
#[derive(Debug)]
pub struct AtHand<'a> {
    mbuf: Mbuf,
    _borrow: PhantomData<&'a mut Mbuf>,
}

impl AtHand<'_> {
    /// `mbuf` is a second handle to a packet that is borrowed for the lifetime; it has no `Drop`, so this ends nothing.
    #[inline(always)]
    pub(super) fn new(mbuf: Mbuf) -> Self {
        Self { mbuf, _borrow: PhantomData }
    }
}

impl AtHand<'_> {
    /// See [`Mbuf::ways`].
    #[inline(always)]
    pub fn ways(&self) -> Ways {
        self.mbuf.ways()
    }

    /// See [`Mbuf::set_ways`].
    #[inline(always)]
    pub fn set_ways(&mut self, ways: Ways) {
        self.mbuf.set_ways(ways);
    }
}

// Not `DerefMut`: whoever got a `&mut Mbuf` could move the second handle out and free its packet twice.
impl PacketBuf for AtHand<'_> {
    #[inline(always)]
    fn head(&self) -> &[u8] {
        self.mbuf.head()
    }

    #[inline(always)]
    fn head_mut(&mut self) -> &mut [u8] {
        self.mbuf.head_mut()
    }

    #[inline(always)]
    fn packet_octets(&self) -> usize {
        self.mbuf.packet_octets()
    }

    #[inline(always)]
    fn prepend<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.mbuf.prepend()
    }

    #[inline(always)]
    fn trim_front(&mut self, octets: usize) -> bool {
        self.mbuf.trim_front(octets)
    }

    fn truncate(&mut self, octets: usize) -> bool {
        self.mbuf.truncate(octets)
    }

    fn for_each_segment(&self, visit: &mut dyn FnMut(&[u8])) {
        self.mbuf.for_each_segment(visit);
    }

    fn write_at(&mut self, offset: usize, octets: &[u8]) -> bool {
        self.mbuf.write_at(offset, octets)
    }

    #[inline(always)]
    fn meta(&self) -> &Meta {
        self.mbuf.meta()
    }

    #[inline(always)]
    fn meta_mut(&mut self) -> &mut Meta {
        self.mbuf.meta_mut()
    }
}

/// The first half of the metadata of packets that have just come in, as words: a value that stays in registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FreshMeta([u64; META_RECEIVED_OCTETS / 8]);

// The sizes of the fields in that half sum to its length: there are no gaps between them.
const _: () = assert!(
    META_RECEIVED_OCTETS == 4 * 2 + 4 + 2 * 2 + 2 + 4 * 2 + 4 + 2 && align_of::<FreshMeta>() <= align_of::<Meta>()
);

impl FreshMeta {
    /// That of `meta`.
    #[inline]
    pub fn of(meta: &Meta) -> Self {
        // SAFETY: Meta is 64-aligned and longer than what is read of it, and its fields up to there lie without gaps (asserted
        // above), so that every octet that is read belongs to a plain number.
        Self(unsafe { ptr::from_ref(meta).cast::<[u64; META_RECEIVED_OCTETS / 8]>().read() })
    }
}
