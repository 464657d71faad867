//! The queue handles of vhost-user ports.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dpdk_sys as sys;

use super::{F_GUEST_CSUM, NO_DEVICE, Shared};
use crate::dpdk::burst::Burst;
use crate::dpdk::mempool::Mempool;

/// A receive handle: what guests send. `Send`, not `Sync`, not `Clone`.
pub struct VhostRxQueue {
    shared: Arc<Shared>,
    pool: Mempool,
    queue: u16,
    stride: u16,
    next: u16,
    _not_sync: PhantomData<Cell<()>>,
}

/// A transmit handle: what guests receive. `Send`, not `Sync`, not `Clone`.
pub struct VhostTxQueue {
    shared: Arc<Shared>,
    queue: u16,
    _not_sync: PhantomData<Cell<()>>,
}

impl VhostRxQueue {
    pub(super) fn new(shared: Arc<Shared>, pool: Mempool, queue: u16, stride: u16) -> Self {
        Self { shared, pool, queue, stride, next: queue, _not_sync: PhantomData }
    }

    /// The handle's number.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Receives up to `max` packets behind those in `burst`, from the guest's queue pairs that this handle serves, one of
    /// them per call that has packets; returns how many. Their metadata is whatever it was.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut Burst, max: usize) -> usize {
        let vid = self.shared.vid.load(Ordering::Acquire);
        if vid == NO_DEVICE {
            return 0;
        }
        let pairs = self.shared.pairs.load(Ordering::Relaxed) as u16;
        let wanted = max.min(burst.room()) as u16;
        let mut tries = pairs.div_ceil(self.stride).max(1);
        while tries != 0 {
            tries -= 1;
            let pair = self.next;
            let following = pair.saturating_add(self.stride);
            self.next = if following < pairs { following } else { self.queue };
            let vring = 2 * pair + 1;
            if !self.shared.enabled.get(vring as usize).is_some_and(|enabled| enabled.load(Ordering::Relaxed)) {
                continue;
            }
            // SAFETY: `vid` was live when it was loaded in this round, and destroy_device lets the library go on only
            // when this worker has begun another round. The pool is ours and alive; the burst has room for `wanted`.
            // What is returned are fresh mbufs of that pool. The library locks the queue itself.
            let received = unsafe {
                let received =
                    sys::rte_vhost_dequeue_burst(vid, vring, self.pool.as_ptr(), burst.spare_ptr(), wanted) as usize;
                burst.grow(received);
                received
            };
            if received != 0 {
                count(self.shared.received.get(self.queue as usize), received);
                return received;
            }
        }
        0
    }
}

impl VhostTxQueue {
    pub(super) fn new(shared: Arc<Shared>, queue: u16) -> Self {
        Self { shared, queue, _not_sync: PhantomData }
    }

    /// The handle's number.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Whether a guest is there to send to.
    #[inline]
    pub fn connected(&self) -> bool {
        self.shared.vid.load(Ordering::Acquire) != NO_DEVICE
    }

    /// Whether the guest takes packets whose checksum is not finished.
    #[inline]
    pub fn guest_finishes_checksums(&self) -> bool {
        self.shared.features.load(Ordering::Relaxed) & F_GUEST_CSUM != 0
    }

    /// Copies packets from the front of `burst` to the guest and frees them; returns how many. The rest stays in the
    /// burst: the guest is gone, or its queue is full.
    #[inline]
    pub fn tx_burst(&mut self, burst: &mut Burst) -> usize {
        let vid = self.shared.vid.load(Ordering::Acquire);
        if vid == NO_DEVICE || burst.is_empty() {
            return 0;
        }
        let Some(vring) = self.vring() else { return 0 };
        let offered = burst.len() as u16;
        // SAFETY: `vid` as in `rx_burst`. The first `offered` slots are our mbufs; the library copies them and keeps none.
        let sent = unsafe { sys::rte_vhost_enqueue_burst(vid, vring, burst.as_mut_ptr(), offered) as usize };
        burst.free_front(sent);
        count(self.shared.sent.get(self.queue as usize), sent);
        sent
    }

    /// The guest's receive ring to use.
    #[inline]
    fn vring(&self) -> Option<u16> {
        let enabled = |pair: u16| {
            self.shared.enabled.get(2 * pair as usize).is_some_and(|enabled| enabled.load(Ordering::Relaxed))
        };
        if enabled(self.queue) {
            return Some(2 * self.queue);
        }
        let pairs = self.shared.pairs.load(Ordering::Relaxed) as u16;
        (0..pairs).find(|&pair| enabled(pair)).map(|pair| 2 * pair)
    }
}

/// Adds to a counter that has one writer.
#[inline]
fn count(counter: Option<&AtomicU64>, packets: usize) {
    if let Some(counter) = counter {
        counter.store(counter.load(Ordering::Relaxed) + packets as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for VhostRxQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VhostRxQueue").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl fmt::Debug for VhostTxQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VhostTxQueue").field("queue", &self.queue).finish_non_exhaustive()
    }
}
