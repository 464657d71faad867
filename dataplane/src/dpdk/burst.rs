//! Up to 64 packets that move together.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;
use std::slice;

use dpdk_sys as sys;

use super::mbuf::Mbuf;

/// The most packets a burst can hold.
pub const BURST_MAX: usize = 64;

/// A fixed array of packets that it owns; no heap. Frees what it still holds when dropped.
///
/// Slots `0..len` are packets; the rest is unspecified.
#[repr(C, align(64))]
pub struct Burst {
    slots: [MaybeUninit<Mbuf>; BURST_MAX],
    len: usize,
}

impl Burst {
    /// An empty burst.
    #[inline]
    pub const fn new() -> Self {
        Self { slots: [const { MaybeUninit::uninit() }; BURST_MAX], len: 0 }
    }

    /// Packets in it.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Free places.
    #[inline]
    pub const fn room(&self) -> usize {
        BURST_MAX - self.len
    }

    /// Puts a packet at the end, or gives it back when the burst is full.
    #[inline]
    pub fn push(&mut self, mbuf: Mbuf) -> Result<(), Mbuf> {
        match self.slots.get_mut(self.len) {
            Some(slot) => {
                slot.write(mbuf);
                self.len += 1;
                Ok(())
            }
            None => Err(mbuf),
        }
    }

    /// Takes the last packet.
    #[inline]
    pub fn pop(&mut self) -> Option<Mbuf> {
        let last = self.len.checked_sub(1)?;
        let slot = self.slots.get(last)?;
        self.len = last;
        // SAFETY: slot `last` was below `len`, so it holds a packet; it is outside of `len` now and will not be read again.
        Some(unsafe { slot.assume_init_read() })
    }

    /// The packets.
    #[inline]
    pub fn as_slice(&self) -> &[Mbuf] {
        // SAFETY: slots below `len` hold packets, `len` is at most BURST_MAX, and MaybeUninit<Mbuf> is laid out as Mbuf.
        unsafe { slice::from_raw_parts(self.slots.as_ptr().cast(), self.len) }
    }

    /// The packets, for writing.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [Mbuf] {
        // SAFETY: as above, with exclusive access.
        unsafe { slice::from_raw_parts_mut(self.slots.as_mut_ptr().cast(), self.len) }
    }

    /// Moves packets from the front of `other` to the end of this burst, as many as fit; returns how many. Order is kept.
    #[inline]
    pub fn append(&mut self, other: &mut Self) -> usize {
        let count = other.len.min(self.room());
        // SAFETY: the first `count` slots of `other` hold packets, this burst has that much room, and two `&mut` do not
        // overlap. The packets leave `other` in the next line.
        unsafe { ptr::copy_nonoverlapping(other.slots.as_ptr(), self.slots.as_mut_ptr().add(self.len), count) };
        self.len += count;
        other.forget_front(count);
        count
    }

    /// Moves the first `count` packets (or all, if there are fewer) to a burst of their own.
    #[inline]
    #[must_use]
    pub fn take_front(&mut self, count: usize) -> Self {
        let mut front = Self::new();
        self.move_front(count, &mut front);
        front
    }

    /// Moves the first `count` packets to the end of `other`, as many as there are and fit; returns how many.
    #[inline]
    pub fn move_front(&mut self, count: usize, other: &mut Self) -> usize {
        let count = count.min(self.len).min(other.room());
        // SAFETY: as in `append`.
        unsafe { ptr::copy_nonoverlapping(self.slots.as_ptr(), other.slots.as_mut_ptr().add(other.len), count) };
        other.len += count;
        self.forget_front(count);
        count
    }

    /// Empties the burst, handing each packet with its index to `take`, in order.
    ///
    /// The graph scatters with it: `take` looks the packet's edge up by index and pushes it there. Should `take` panic,
    /// the packets not yet handed over are lost to their pool, not freed twice.
    #[inline(always)]
    pub fn drain_each(&mut self, mut take: impl FnMut(usize, Mbuf)) {
        let count = self.len;
        self.len = 0;
        for (index, slot) in self.slots.iter().enumerate().take(count) {
            // SAFETY: slots below the old `len` hold packets; `len` is zero, so nobody reads them again.
            take(index, unsafe { slot.assume_init_read() });
        }
    }

    /// Moves the packets whose `next` is `edge` to `other` and keeps the rest, both in order; returns how many moved.
    /// Packets that do not fit `other` stay. `next` is read up to the burst's length.
    #[inline]
    pub fn extract(&mut self, next: &[u8; BURST_MAX], edge: u8, other: &mut Self) -> usize {
        let count = self.len;
        let mut kept = 0;
        let before = other.len;
        self.len = 0;
        for (index, to) in next.iter().enumerate().take(count) {
            // SAFETY: slot `index` is below the old length and is read once.
            let mbuf = unsafe { self.slots.as_ptr().add(index).cast::<Mbuf>().read() };
            let stays = if *to == edge { other.push(mbuf).err() } else { Some(mbuf) };
            if let Some(mbuf) = stays {
                // SAFETY: `kept` is at most `index`, which has been read already.
                unsafe { self.slots.as_mut_ptr().add(kept).write(MaybeUninit::new(mbuf)) };
                kept += 1;
            }
        }
        self.len = kept;
        other.len - before
    }

    /// Frees all packets, in bulk.
    #[inline]
    pub fn free_all(&mut self) {
        self.free_front(self.len);
    }

    /// Frees the first `count` packets (or all, if there are fewer) in bulk.
    #[inline]
    pub fn free_front(&mut self, count: usize) {
        let count = count.min(self.len);
        if count != 0 {
            // SAFETY: the first `count` slots are pointers to live mbufs that we own; they leave the burst below.
            unsafe { sys::rte_pktmbuf_free_bulk(self.as_mut_ptr(), count as u32) };
            self.forget_front(count);
        }
    }

    /// The slots as DPDK's functions take them. `Mbuf` is a transparent pointer, so the array is one of pointers.
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut sys::rte_mbuf {
        self.slots.as_mut_ptr().cast()
    }

    /// Where DPDK may write up to [`Burst::room`] further packets.
    #[inline]
    pub(crate) fn spare_ptr(&mut self) -> *mut *mut sys::rte_mbuf {
        // SAFETY: `len` is at most BURST_MAX, so this is inside or one past the array.
        unsafe { self.slots.as_mut_ptr().add(self.len).cast() }
    }

    /// Counts in `count` packets that were written behind the last.
    ///
    /// # Safety
    /// That many were written at [`Burst::spare_ptr`], each fulfilling [`Mbuf::from_raw`], and `count` ≤ [`Burst::room`].
    #[inline]
    pub(crate) unsafe fn grow(&mut self, count: usize) {
        debug_assert!(count <= self.room(), "a driver returned more packets than were asked for");
        self.len += count;
    }

    /// Removes the first `count` packets, which somebody else owns now.
    #[inline]
    pub(crate) fn forget_front(&mut self, count: usize) {
        debug_assert!(count <= self.len, "a driver took more packets than were offered");
        let rest = self.len - count;
        if rest != 0 && count != 0 {
            // SAFETY: both ranges lie inside the slots below `len`; `copy` allows overlap.
            unsafe { ptr::copy(self.slots.as_ptr().add(count), self.slots.as_mut_ptr(), rest) };
        }
        self.len = rest;
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Burst {
    #[inline]
    fn drop(&mut self) {
        self.free_all();
    }
}

impl std::fmt::Debug for Burst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl IntoIterator for Burst {
    type Item = Mbuf;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter { burst: self, at: 0 }
    }
}

/// The packets of a burst in order; frees those that were not taken.
#[derive(Debug)]
pub struct IntoIter {
    burst: Burst,
    at: usize,
}

impl Iterator for IntoIter {
    type Item = Mbuf;

    fn next(&mut self) -> Option<Mbuf> {
        let slot = self.burst.slots.get(self.at).filter(|_| self.at < self.burst.len)?;
        self.at += 1;
        // SAFETY: the slot is below `len` and `at` has passed it; Drop removes the passed ones without freeing them.
        Some(unsafe { slot.assume_init_read() })
    }
}

impl Drop for IntoIter {
    fn drop(&mut self) {
        self.burst.forget_front(self.at);
    }
}

const _: () = assert!(size_of::<MaybeUninit<Mbuf>>() == size_of::<*mut sys::rte_mbuf>());
const _: () = assert!(size_of::<ManuallyDrop<Option<Mbuf>>>() == size_of::<*mut sys::rte_mbuf>());
