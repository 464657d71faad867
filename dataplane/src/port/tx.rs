//! Transmit handles.

use super::OpenParams;
use super::checksum::leave_to_device;
use super::fault::{FaultCounters, FaultSpec, FaultTx};
use crate::dpdk::tap::TapTx;
use crate::dpdk::vhost::VhostTxQueue;
use crate::dpdk::{Burst, TxQueue};

/// What may be left to whoever gets the packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TxCaps {
    /// The device finishes UDP and TCP checksums.
    pub checksum: bool,
    /// The receiver takes packets whose checksum is open (a guest that negotiated it).
    pub partial_checksum_ok: bool,
    /// Segmentation can be left to it. Always false so far.
    pub segmentation: bool,
}

impl TxCaps {
    /// Whether packets with an open checksum may be sent.
    #[inline]
    pub const fn takes_partial(self) -> bool {
        self.checksum || self.partial_checksum_ok
    }
}

/// A transmit queue of a port, of whatever kind: one owner, `Send`.
#[derive(Debug)]
pub enum PortTx {
    /// Of an Ethernet device.
    Eth(EthTx),
    /// Of a vhost-user port.
    Vhost(VhostTxQueue),
    /// Of a kernel tap device.
    Tap(TapTx),
    /// Swallows everything: the other side of a source.
    Sink(SinkTx),
    /// One that loses, duplicates, delays and reorders.
    Fault(Box<FaultTx>),
}

/// A transmit queue of an Ethernet device.
#[derive(Debug)]
pub struct EthTx {
    queue: TxQueue,
    finishes_checksums: bool,
}

/// Frees what it is given.
#[derive(Debug, Default)]
pub struct SinkTx(());

impl PortTx {
    pub(super) fn eth(queue: TxQueue, finishes_checksums: bool) -> Self {
        Self::Eth(EthTx { queue, finishes_checksums })
    }

    pub(super) fn vhost(queue: VhostTxQueue) -> Self {
        Self::Vhost(queue)
    }

    pub(super) fn tap(queue: TapTx) -> Self {
        Self::Tap(queue)
    }

    pub(super) fn sink() -> Self {
        Self::Sink(SinkTx(()))
    }

    pub(super) fn fault(inner: Self, spec: &FaultSpec, queue: u16, params: &OpenParams) -> Self {
        Self::Fault(Box::new(FaultTx::new(inner, spec, queue, params)))
    }

    /// Sends packets from the front of `burst`; returns how many. Those that could not be sent stay in the burst.
    ///
    /// Packets with an open checksum are sent as they are: ask [`PortTx::caps`] first, and finish them where it says no.
    #[inline]
    pub fn tx(&mut self, burst: &mut Burst) -> usize {
        match self {
            Self::Eth(eth) => {
                if eth.finishes_checksums {
                    leave_to_device(burst.as_mut_slice());
                }
                eth.queue.tx_burst(burst)
            }
            Self::Vhost(vhost) => {
                if vhost.guest_finishes_checksums() {
                    leave_to_device(burst.as_mut_slice());
                }
                vhost.tx_burst(burst)
            }
            Self::Tap(tap) => tap.tx_burst(burst),
            Self::Sink(_) => {
                let count = burst.len();
                burst.free_all();
                count
            }
            Self::Fault(fault) => fault.tx(burst),
        }
    }

    /// What may be left to the receiver at this moment: a vhost-user peer may change it by reconnecting.
    #[inline]
    pub fn caps(&self) -> TxCaps {
        match self {
            Self::Eth(eth) => TxCaps { checksum: eth.finishes_checksums, ..TxCaps::default() },
            Self::Vhost(vhost) => TxCaps { partial_checksum_ok: vhost.guest_finishes_checksums(), ..TxCaps::default() },
            // Nobody looks at a checksum in the sink, but it would be wrong to measure without finishing it.
            Self::Sink(_) | Self::Tap(_) => TxCaps::default(),
            Self::Fault(fault) => fault.inner().caps(),
        }
    }

    /// Whether somebody is there to send to: false for a vhost-user port without a guest, and for a tap that is down.
    #[inline]
    pub fn connected(&self) -> bool {
        match self {
            Self::Vhost(vhost) => vhost.connected(),
            Self::Tap(tap) => tap.is_up(),
            Self::Fault(fault) => fault.inner().connected(),
            Self::Eth(_) | Self::Sink(_) => true,
        }
    }

    /// What a fault port did on transmit.
    pub fn fault_counters(&self) -> Option<FaultCounters> {
        match self {
            Self::Fault(fault) => Some(fault.counters()),
            _ => None,
        }
    }
}
