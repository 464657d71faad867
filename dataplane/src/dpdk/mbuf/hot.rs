//! What loops over packets want: a packet, and the metadata of fresh ones, in variables that stay in registers.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;

use overlay::packet::{META_RECEIVED_OCTETS, Meta};

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

impl Deref for AtHand<'_> {
    type Target = Mbuf;

    #[inline(always)]
    fn deref(&self) -> &Mbuf {
        &self.mbuf
    }
}

impl DerefMut for AtHand<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Mbuf {
        &mut self.mbuf
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
