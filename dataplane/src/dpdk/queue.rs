//! The receive and transmit queues of Ethernet devices, as cheap as DPDK's own inline functions.

use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use dpdk_sys as sys;

use super::burst::Burst;

/// What keeps a device from being stopped while a queue handle is out.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) port: u16,
}

/// One receive queue of a started device. The only handle to it: `Send`, not `Sync`, not `Clone`.
#[derive(Debug)]
pub struct RxQueue {
    token: Arc<Token>,
    queue: u16,
    _not_sync: PhantomData<Cell<()>>,
}

/// One transmit queue of a started device. The only handle to it: `Send`, not `Sync`, not `Clone`.
#[derive(Debug)]
pub struct TxQueue {
    token: Arc<Token>,
    queue: u16,
    _not_sync: PhantomData<Cell<()>>,
}

/// The port's row of DPDK's table of fast-path functions.
#[inline(always)]
fn ops(port: u16) -> *const sys::rte_eth_fp_ops {
    // SAFETY: the table has RTE_MAX_ETHPORTS rows, and `port` came from DPDK. Only the row's address is taken.
    unsafe { (&raw const sys::rte_eth_fp_ops).cast::<sys::rte_eth_fp_ops>().add(port as usize) }
}

/// Element `queue` of a queue table.
///
/// # Safety
/// `table` has more than `queue` elements. Relaxed is enough, as in DPDK: what the callback pointer points to is reached
/// through it alone.
#[inline(always)]
unsafe fn load(table: *mut *mut c_void, queue: u16) -> *mut c_void {
    // SAFETY: by the caller; a pointer is valid for atomic access, which DPDK's own writes to it are.
    unsafe { AtomicPtr::from_ptr(table.add(queue as usize)) }.load(Ordering::Relaxed)
}

impl RxQueue {
    pub(super) fn new(token: Arc<Token>, queue: u16) -> Self {
        Self { token, queue, _not_sync: PhantomData }
    }

    /// The queue's number.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Receives up to `max` packets behind those in `burst`; returns how many. Runs the queue's callbacks (dumpcap).
    /// Their metadata is whatever it was.
    #[inline]
    pub fn rx_burst(&mut self, burst: &mut Burst, max: usize) -> usize {
        let wanted = max.min(burst.room()) as u16;
        let ops = ops(self.token.port);
        // SAFETY: the device is started (the token holds it so), hence the row is filled: its function takes the queue's
        // data and room for `wanted` pointers. `&mut self` is the only user of the queue. What it returns are mbufs of
        // the queue's pool, which is ours, each handed over to us.
        unsafe {
            let Some(receive) = (*ops).rx_pkt_burst else { return 0 };
            let mut received = receive(load((*ops).rxq.data, self.queue), burst.spare_ptr(), wanted);
            let callbacks = load((*ops).rxq.clbk, self.queue);
            if !callbacks.is_null() {
                received = sys::rte_eth_call_rx_callbacks(
                    self.token.port,
                    self.queue,
                    burst.spare_ptr(),
                    received,
                    wanted,
                    callbacks,
                );
            }
            burst.grow(received as usize);
            received as usize
        }
    }
}

impl TxQueue {
    pub(super) fn new(token: Arc<Token>, queue: u16) -> Self {
        Self { token, queue, _not_sync: PhantomData }
    }

    /// The queue's number.
    pub fn queue(&self) -> u16 {
        self.queue
    }

    /// Sends packets from the front of `burst`; returns how many. The rest stays in the burst. Runs the queue's callbacks
    /// (dumpcap).
    #[inline]
    pub fn tx_burst(&mut self, burst: &mut Burst) -> usize {
        if burst.is_empty() {
            return 0;
        }
        let mut offered = burst.len() as u16;
        let ops = ops(self.token.port);
        // SAFETY: as in `rx_burst`; the first `offered` slots hold our mbufs, and those that are reported sent belong to
        // the driver afterwards. A callback may not drop packets: it would return fewer, and the rest would stay ours.
        let sent = unsafe {
            let Some(send) = (*ops).tx_pkt_burst else { return 0 };
            let callbacks = load((*ops).txq.clbk, self.queue);
            if !callbacks.is_null() {
                offered =
                    sys::rte_eth_call_tx_callbacks(self.token.port, self.queue, burst.as_mut_ptr(), offered, callbacks);
            }
            send(load((*ops).txq.data, self.queue), burst.as_mut_ptr(), offered) as usize
        };
        burst.forget_front(sent);
        sent
    }
}
