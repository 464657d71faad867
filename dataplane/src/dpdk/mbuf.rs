//! The owning handle of a packet.
//!
//! Layout of one element of a pool (all of it in one piece of memory):
//!
//! ```text
//! 0            128               192                320                       320 + data room
//! | rte_mbuf   | overlay Meta    | headroom (128)   | data …                  |
//! ```
//!
//! Fields are read and written in Rust at the offsets that `dpdk-sys` computes from DPDK's headers: a packet costs no
//! call. A chained packet is several such elements; only the first one's `Meta` and packet length count.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use dpdk_sys as sys;
use overlay::packet::{Meta, PacketBuf, Ways};

use self::segment::{Segment, both, prefetch};
use super::mempool::Mempool;
pub use super::offload::{L4Checksum, L4Kind};

mod hot;
mod segment;

pub use hot::{AtHand, FreshMeta};

/// Octets of the private area that weir's pools reserve in every mbuf.
pub const PRIVATE_OCTETS: usize = size_of::<Meta>();

/// Octets in front of a fresh packet, for encapsulation.
pub const HEADROOM_OCTETS: usize = sys::WEIR_MBUF_HEADROOM as usize;

const _: () = assert!(PRIVATE_OCTETS == 64 && (sys::WEIR_MBUF_SIZE as usize).is_multiple_of(align_of::<Meta>()));

/// A packet: an mbuf, or a chain of them, that this handle alone owns.
///
/// # Ownership
/// A reference count above one never arises: weir neither clones nor attaches mbufs, and drivers hand each over once. So
/// `&mut Mbuf` may write every octet of every segment, and a handle may move to another thread.
///
/// There is no `Drop`. The packet path frees bursts, not packets, and a packet that leaves (transmit, ring) must not be
/// freed by its old holder. End a packet with [`Mbuf::free`] or in a [`Burst`](super::Burst), which frees what it still
/// holds.
#[repr(transparent)]
#[must_use = "an mbuf that is not handed on or freed is lost to its pool"]
pub struct Mbuf {
    raw: NonNull<sys::rte_mbuf>,
    _owns: PhantomData<sys::rte_mbuf>,
}

// SAFETY: the handle is the only one to its mbuf (see "Ownership"), and DPDK's pools may be used from any thread.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// Takes ownership of a raw mbuf.
    ///
    /// # Safety
    /// `raw` is a live mbuf, or the first of a valid chain, from a pool made by [`Mempool`] (so that its private area
    /// is a [`Meta`]), with reference count one in all segments, and nobody else uses it from here on.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<sys::rte_mbuf>) -> Self {
        Self { raw, _owns: PhantomData }
    }

    /// Gives the mbuf to somebody who will free it.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<sys::rte_mbuf> {
        self.raw
    }

    #[inline]
    fn segment(&self) -> Segment {
        Segment(self.raw)
    }

    /// Which packet this is, as long as it lives: to tell it from others, not to reach it.
    #[inline]
    pub fn identity(&self) -> usize {
        self.raw.addr().get()
    }

    /// Returns the packet, all segments, to its pool.
    #[inline]
    pub fn free(self) {
        // SAFETY: by the type's contract the mbuf is live and ours, and `self` is consumed.
        unsafe { sys::weir_pktmbuf_free(self.raw.as_ptr()) }
    }

    /// A deep copy with the metadata, from `pool`; `None` when the pool is empty.
    pub fn copy(&self, pool: &Mempool) -> Option<Self> {
        // SAFETY: the mbuf is live; the pool is alive while `pool` is. u32::MAX means "to the end of the packet".
        let raw = unsafe { sys::rte_pktmbuf_copy(self.raw.as_ptr(), pool.as_ptr(), 0, u32::MAX) };
        // SAFETY: rte_pktmbuf_copy returns null or a fresh chain of direct mbufs of `pool`, a pool of ours.
        let mut copy = unsafe { Self::from_raw(NonNull::new(raw)?) };
        *copy.meta_mut() = *self.meta();
        Some(copy)
    }

    /// Asks the processor for the mbuf's own first cache line.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.raw.as_ptr().cast());
    }

    /// Asks the processor for the metadata's cache line.
    #[inline]
    pub fn prefetch_meta(&self) {
        prefetch(self.segment().meta().cast());
    }

    /// Asks the processor for the first cache line of the packet's octets; touches the mbuf itself.
    #[inline]
    pub fn prefetch_head(&self) {
        prefetch(self.segment().data());
    }

    /// Asks the processor for the cache line in front of the packet's octets; touches the mbuf itself.
    #[inline]
    pub fn prefetch_headroom(&self) {
        prefetch(self.segment().data().wrapping_sub(1));
    }

    /// Number of segments, at least one.
    #[inline]
    pub fn segments(&self) -> u16 {
        self.segment().nb_segs()
    }

    /// Octets free in front of the packet.
    #[inline]
    pub fn headroom_octets(&self) -> usize {
        self.segment().data_off() as usize
    }

    /// What the device that received it says of its transport checksum.
    #[inline]
    pub fn l4_checksum(&self) -> L4Checksum {
        // SAFETY: a plain integer inside a live mbuf.
        let flags = unsafe { self.segment().field::<u64>(sys::WEIR_MBUF_OL_FLAGS).read() };
        match flags & sys::WEIR_RX_L4_CKSUM_MASK {
            sys::WEIR_RX_L4_CKSUM_GOOD => L4Checksum::Good,
            sys::WEIR_RX_L4_CKSUM_BAD => L4Checksum::Bad,
            sys::WEIR_RX_L4_CKSUM_NONE => L4Checksum::Open,
            _ => L4Checksum::Unknown,
        }
    }

    /// Asks the device that sends it to finish the transport checksum, whose field holds the pseudo header's sum.
    #[inline]
    pub fn request_checksum(&mut self, kind: L4Kind, ipv6: bool, l2_octets: u16, l3_octets: u16) {
        let version = if ipv6 { sys::WEIR_TX_IPV6 } else { sys::WEIR_TX_IPV4 };
        let checksum = match kind {
            L4Kind::Tcp => sys::WEIR_TX_TCP_CKSUM,
            L4Kind::Udp => sys::WEIR_TX_UDP_CKSUM,
        };
        let lengths = (u64::from(l2_octets) << sys::WEIR_MBUF_L2_LEN_SHIFT)
            | (u64::from(l3_octets) << sys::WEIR_MBUF_L3_LEN_SHIFT);
        let segment = self.segment();
        // SAFETY: both fields are plain 64-bit numbers inside the live mbuf that `&mut self` alone accesses.
        unsafe {
            let flags = segment.field::<u64>(sys::WEIR_MBUF_OL_FLAGS);
            flags.write(flags.read() & !sys::WEIR_TX_OFFLOAD_MASK | version | checksum);
            segment.field::<u64>(sys::WEIR_MBUF_TX_OFFLOAD).write(lengths);
        }
    }

    /// Replaces the metadata's first half, which is valid from rx on, without reading what was there.
    #[inline(always)]
    pub fn receive_meta(&mut self, fresh: FreshMeta) {
        // SAFETY: the private area is a Meta, 64-aligned, and ours by `&mut self`; the half that is replaced ends between two
        // fields of a `repr(C)` struct (asserted beside `FreshMeta`), and holds what was such a half before.
        unsafe { self.segment().meta().cast::<FreshMeta>().write(fresh) }
    }

    /// The same packet in a variable of its own, for a loop over packets: it stays in a register, where a look into the burst
    /// would be repeated after each store.
    #[inline(always)]
    pub fn at_hand(&mut self) -> AtHand<'_> {
        // No second owner: while the borrow lasts, nobody can reach the packet but through it, and neither has a `Drop`.
        AtHand::new(Self { raw: self.raw, _owns: PhantomData })
    }

    /// Replaces the metadata.
    #[inline]
    pub fn set_meta(&mut self, meta: Meta) {
        // SAFETY: the private area is 64 octets, 64-aligned, and ours by `&mut self`.
        unsafe { self.segment().meta().write(meta) }
    }

    /// Where the packet comes from and where it goes.
    #[inline(always)]
    pub fn ways(&self) -> Ways {
        // SAFETY: as in `set_ways`, for reading.
        unsafe { self.segment().meta().cast::<Ways>().read() }
    }

    /// Writes where the packet comes from and where it goes: the first word of its metadata.
    #[inline(always)]
    pub fn set_ways(&mut self, ways: Ways) {
        // SAFETY: `Ways` is a word laid out as the first eight octets of a Meta (asserted where it is defined), which is
        // 64-aligned and ours by `&mut self`; all its values are valid there, since identifiers are plain numbers.
        unsafe { self.segment().meta().cast::<Ways>().write(ways) }
    }

    /// Appends `octets` to the packet, taking further mbufs from `pool` when they do not fit the last segment. `false`
    /// when the pool is empty: what was appended until then stays. For filling fresh packets, not for the fast path.
    pub fn append(&mut self, octets: &[u8], pool: &Mempool) -> bool {
        let mut rest = octets;
        loop {
            let last = self.last_segment();
            let part = rest.len().min(last.tailroom());
            let (now, later) = rest.split_at(part);
            // SAFETY: `part` is at most the tailroom, so the octets after the segment's data lie inside its buffer, and
            // the segment is ours; `now` is somebody else's memory.
            unsafe {
                ptr::copy_nonoverlapping(now.as_ptr(), last.data().add(last.data_len() as usize), part);
            }
            last.set_data_len(last.data_len() + part as u16);
            self.segment().set_pkt_len(self.segment().pkt_len() + part as u32);
            rest = later;
            if rest.is_empty() {
                return true;
            }
            let segments = self.segments();
            if segments == u16::MAX {
                return false;
            }
            let Some(fresh) = pool.alloc() else { return false };
            let fresh = Segment(fresh.into_raw());
            // Follow-on segments need no headroom.
            fresh.set_data_off(0);
            last.set_next(fresh);
            self.segment().set_nb_segs(segments + 1);
        }
    }

    /// The free room behind the data of a packet of one segment, for a system call to fill.
    pub(super) fn tailroom_vector(&mut self) -> libc::iovec {
        let segment = self.segment();
        // SAFETY: the end of the data lies inside the buffer.
        let end = unsafe { segment.data().add(segment.data_len() as usize) };
        libc::iovec { iov_base: end.cast(), iov_len: segment.tailroom() }
    }

    /// Counts in up to `octets` that were written to [`Mbuf::tailroom_vector`] of a packet of one segment; returns how
    /// many it had room for.
    ///
    /// # Safety
    /// They were written: nobody may read what no one wrote.
    pub(super) unsafe fn grow_into_tailroom(&mut self, octets: usize) -> usize {
        let segment = self.segment();
        let part = octets.min(segment.tailroom());
        segment.set_data_len(segment.data_len() + part as u16);
        segment.set_pkt_len(segment.pkt_len() + part as u32);
        part
    }

    /// Puts a packet of one segment behind this one's last segment.
    pub(super) fn chain(&mut self, tail: Self) {
        let (first, tail) = (self.segment(), Segment(tail.into_raw()));
        first.set_nb_segs(first.nb_segs() + 1);
        first.set_pkt_len(first.pkt_len() + u32::from(tail.data_len()));
        self.last_segment().set_next(tail);
    }

    fn last_segment(&self) -> Segment {
        let mut segment = self.segment();
        while let Some(next) = segment.next() {
            segment = next;
        }
        segment
    }

    /// Whether DPDK finds the mbuf consistent; the text says what is not. For tests and debugging.
    pub fn check(&self) -> Result<(), String> {
        let mut reason = ptr::null();
        // SAFETY: the mbuf is live; `reason` receives a static text when the answer is not zero.
        let answer = unsafe { sys::weir_pktmbuf_check(self.raw.as_ptr(), &raw mut reason) };
        if answer == 0 {
            return Ok(());
        }
        // SAFETY: see above.
        Err(unsafe { std::ffi::CStr::from_ptr(reason) }.to_string_lossy().into_owned())
    }
}

impl std::fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mbuf")
            .field("octets", &self.packet_octets())
            .field("segments", &self.segments())
            .field("meta", self.meta())
            .finish()
    }
}

impl PacketBuf for Mbuf {
    #[inline]
    fn head(&self) -> &[u8] {
        self.segment().octets()
    }

    #[inline]
    fn head_mut(&mut self) -> &mut [u8] {
        let segment = self.segment();
        // SAFETY: a live mbuf's data lies inside its buffer, and `&mut self` is the only access to it.
        unsafe { slice::from_raw_parts_mut(segment.data(), segment.data_len() as usize) }
    }

    #[inline]
    fn packet_octets(&self) -> usize {
        self.segment().pkt_len() as usize
    }

    #[inline]
    fn prepend<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        let segment = self.segment();
        let length = u16::try_from(N).ok()?;
        let offset = segment.data_off().checked_sub(length)?;
        segment.set_data_off(offset);
        // Offset and length together stay what they were, at most the buffer's 16-bit length: this cannot overflow.
        segment.set_lengths(segment.lengths().wrapping_add(both(length)));
        // SAFETY: the N octets in front of the old data lie inside the buffer, which is not at address zero, since the offset
        // did not pass its start; `&mut self` is the only access. An array of u8 has alignment one and no invalid content.
        Some(unsafe { NonNull::new_unchecked(segment.data()).cast::<[u8; N]>().as_mut() })
    }

    #[inline]
    fn trim_front(&mut self, octets: usize) -> bool {
        let segment = self.segment();
        let Ok(octets) = u16::try_from(octets) else { return false };
        // The packet is as long as its first segment at least: neither of the two goes below zero.
        if segment.data_len() < octets {
            return false;
        }
        segment.set_lengths(segment.lengths().wrapping_sub(both(octets)));
        segment.set_data_off(segment.data_off().wrapping_add(octets));
        true
    }

    #[inline]
    fn truncate(&mut self, octets: usize) -> bool {
        let first = self.segment();
        let length = first.pkt_len() as usize;
        if octets >= length {
            return octets == length;
        }
        if octets <= first.data_len() as usize && first.nb_segs() == 1 {
            first.set_data_len(octets as u16);
            first.set_pkt_len(octets as u32);
            return true;
        }
        self.truncate_chain(octets);
        true
    }

    fn for_each_segment(&self, visit: &mut dyn FnMut(&[u8])) {
        let mut segment = Some(self.segment());
        while let Some(this) = segment {
            visit(this.octets());
            segment = this.next();
        }
    }

    fn write_at(&mut self, offset: usize, octets: &[u8]) -> bool {
        let Some(end) = offset.checked_add(octets.len()) else { return false };
        if end > self.packet_octets() {
            return false;
        }
        let (mut skip, mut rest) = (offset, octets);
        let mut segment = Some(self.segment());
        while let Some(this) = segment {
            let length = this.data_len() as usize;
            if skip < length {
                let (now, later) = rest.split_at(rest.len().min(length - skip));
                // SAFETY: `skip + now.len()` is at most the segment's length; the chain is ours by `&mut self`.
                unsafe { ptr::copy_nonoverlapping(now.as_ptr(), this.data().add(skip), now.len()) };
                rest = later;
            }
            if rest.is_empty() {
                return true;
            }
            skip = skip.saturating_sub(length);
            segment = this.next();
        }
        rest.is_empty()
    }

    #[inline]
    fn meta(&self) -> &Meta {
        // SAFETY: the private area of every pool of ours holds a Meta: 64 octets at a 64-aligned address, written by
        // `set_meta` on receive and zero (a valid Meta) when the pool was made.
        unsafe { &*self.segment().meta() }
    }

    #[inline]
    fn meta_mut(&mut self) -> &mut Meta {
        // SAFETY: as above, and `&mut self` is the only access.
        unsafe { &mut *self.segment().meta() }
    }
}

impl Mbuf {
    /// Cuts a chain to `octets`, which is less than its length: whole segments behind the cut are freed.
    #[cold]
    fn truncate_chain(&mut self, octets: usize) {
        let first = self.segment();
        let mut rest = octets;
        let mut kept = 1;
        let mut segment = first;
        loop {
            let length = segment.data_len() as usize;
            if rest <= length {
                segment.set_data_len(rest as u16);
                break;
            }
            rest -= length;
            let Some(next) = segment.next() else { break };
            segment = next;
            kept += 1;
        }
        let mut tail = segment.next();
        segment.clear_next();
        while let Some(cut) = tail {
            tail = cut.next();
            cut.clear_next();
            cut.set_nb_segs(1);
            // SAFETY: the segment is cut out of the chain, so this is a live single mbuf that nobody refers to.
            unsafe { Self::from_raw(cut.0) }.free();
        }
        first.set_nb_segs(kept);
        first.set_pkt_len(octets as u32);
    }
}
