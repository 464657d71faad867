//! Hand-over of packets from one worker to another: a bounded ring with one producer and one consumer.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys as sys;

use super::burst::Burst;
use super::eal;
use super::error::{DpdkError, Errno};

/// The sending end. `Send`, not `Clone`: one thread at a time, by `&mut`.
#[derive(Debug)]
pub struct Producer(Arc<Inner>);

/// The receiving end. `Send`, not `Clone`: one thread at a time, by `&mut`.
#[derive(Debug)]
pub struct Consumer(Arc<Inner>);

#[derive(Debug)]
struct Inner(NonNull<sys::rte_ring>);

// SAFETY: the ring is single-producer, single-consumer; each end exists once and is used by `&mut`, so by one thread at a
// time. Sending an end to another thread synchronises what that end wrote before.
unsafe impl Send for Inner {}
// SAFETY: as above; through a shared reference only the atomic counts are read.
unsafe impl Sync for Inner {}

/// A ring for at least `packets` packets. The name is unique in the process, at most 28 octets.
pub fn spsc(name: &str, packets: u32) -> Result<(Producer, Consumer), DpdkError> {
    let object = format!("ring {name:?}");
    if packets == 0 || packets > (1 << 20) {
        return Err(DpdkError::refused(&object, format!("{packets} places: a ring has 1 to {} places", 1 << 20)));
    }
    if name.is_empty() || name.len() > 28 {
        return Err(DpdkError::refused(&object, "a ring's name has 1 to 28 octets"));
    }
    let c_name = CString::new(name)?;
    // A ring of 2ⁿ holds 2ⁿ − 1.
    let size = (packets + 1).next_power_of_two();
    // SAFETY: the name is NUL-terminated and copied; -1 is any NUMA node.
    let raw =
        unsafe { sys::rte_ring_create(c_name.as_ptr(), size, -1, sys::WEIR_RING_F_SP_ENQ | sys::WEIR_RING_F_SC_DEQ) };
    let raw = NonNull::new(raw).ok_or_else(|| DpdkError::call(&object, "creation", Errno::last()))?;
    let inner = Arc::new(Inner(raw));
    Ok((Producer(Arc::clone(&inner)), Consumer(inner)))
}

impl Producer {
    /// Moves packets from the front of `burst` into the ring, as many as fit; returns how many. The rest stays.
    #[inline]
    pub fn push(&mut self, burst: &mut Burst) -> usize {
        if burst.is_empty() {
            return 0;
        }
        let offered = burst.len();
        // SAFETY: the ring is live; `offered` slots hold our mbufs, and the first `moved` belong to the ring afterwards.
        let moved = unsafe {
            sys::weir_ring_sp_enqueue_burst(self.0.0.as_ptr(), burst.as_mut_ptr().cast_const(), offered as u32) as usize
        };
        burst.forget_front(moved);
        moved
    }

    /// Packets waiting in the ring.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is waiting.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

impl Consumer {
    /// Moves up to `max` packets from the ring to the end of `burst`; returns how many.
    #[inline]
    pub fn pop(&mut self, burst: &mut Burst, max: usize) -> usize {
        self.0.pop(burst, max)
    }

    /// Packets waiting in the ring.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is waiting.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

impl Inner {
    #[inline]
    fn pop(&self, burst: &mut Burst, max: usize) -> usize {
        let room = max.min(burst.room());
        // SAFETY: the ring is live; there is room for `room` pointers, and what comes out was put in by `push`, whole.
        unsafe {
            let moved = sys::weir_ring_sc_dequeue_burst(self.0.as_ptr(), burst.spare_ptr(), room as u32) as usize;
            burst.grow(moved);
            moved
        }
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the ring is live.
        unsafe { sys::weir_ring_count(self.0.as_ptr()) as usize }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !eal::is_up() {
            return; // its memory went with EAL
        }
        let mut burst = Burst::new();
        while self.pop(&mut burst, super::BURST_MAX) != 0 {
            burst.free_all();
        }
        // SAFETY: both ends are gone, so nobody uses the ring.
        unsafe { sys::rte_ring_free(self.0.as_ptr()) }
    }
}
