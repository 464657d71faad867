//! Receive handles.

use std::sync::Arc;

use overlay::num::PortId;
use overlay::packet::Meta;

use super::OpenParams;
use super::checksum::{stamp, stamp_reported};
use super::fault::{FaultCounters, FaultRx, FaultSpec};
use super::source::{SourceCounters, SourceRx, SourceSpec};
use crate::dpdk::mbuf::FreshMeta;
use crate::dpdk::tap::TapRx;
use crate::dpdk::vhost::VhostRxQueue;
use crate::dpdk::{Burst, RxQueue};

/// A receive queue of a port, of whatever kind: one owner, `Send`.
#[derive(Debug)]
pub enum PortRx {
    /// Of an Ethernet device.
    Eth(EthRx),
    /// Of a vhost-user port.
    Vhost(VhostRx),
    /// Of a kernel tap device.
    Tap(Box<TapQueueRx>),
    /// Packets that weir makes.
    Source(Box<SourceRx>),
    /// One that loses, duplicates, delays and reorders.
    Fault(Box<FaultRx>),
}

/// A receive queue of an Ethernet device.
#[derive(Debug)]
pub struct EthRx {
    queue: RxQueue,
    port: PortId,
    /// The metadata of a packet that has just come in.
    fresh: FreshMeta,
    reports_checksums: bool,
}

/// A receive handle of a vhost-user port.
#[derive(Debug)]
pub struct VhostRx {
    queue: VhostRxQueue,
    port: PortId,
}

/// A receive queue of a kernel tap device.
#[derive(Debug)]
pub struct TapQueueRx {
    queue: TapRx,
    port: PortId,
}

impl PortRx {
    pub(super) fn tap(queue: TapRx, port: PortId) -> Self {
        Self::Tap(Box::new(TapQueueRx { queue, port }))
    }

    pub(super) fn eth(queue: RxQueue, port: PortId, reports_checksums: bool) -> Self {
        Self::Eth(EthRx { queue, port, fresh: FreshMeta::of(&Meta::received(port)), reports_checksums })
    }

    pub(super) fn vhost(queue: VhostRxQueue, port: PortId) -> Self {
        Self::Vhost(VhostRx { queue, port })
    }

    pub(super) fn source(
        spec: &SourceSpec,
        frames: &Arc<[Box<[u8]>]>,
        port: PortId,
        queue: u16,
        params: &OpenParams,
    ) -> Self {
        Self::Source(Box::new(SourceRx::new(spec, Arc::clone(frames), port, queue, params)))
    }

    pub(super) fn fault(inner: Self, spec: &FaultSpec, queue: u16, params: &OpenParams) -> Self {
        Self::Fault(Box::new(FaultRx::new(inner, spec, queue, params)))
    }

    /// Receives up to `max` packets behind those in `burst`; returns how many. Their metadata is fresh: ingress, and what
    /// is known of the checksum.
    #[inline]
    pub fn rx(&mut self, burst: &mut Burst, max: usize) -> usize {
        match self {
            Self::Eth(eth) => {
                let before = burst.len();
                let received = eth.queue.rx_burst(burst, max);
                let fresh = burst.as_mut_slice().get_mut(before..).unwrap_or_default();
                if eth.reports_checksums {
                    stamp_reported(fresh, eth.port);
                } else {
                    stamp(fresh, eth.fresh);
                }
                received
            }
            Self::Vhost(vhost) => {
                let before = burst.len();
                let received = vhost.queue.rx_burst(burst, max);
                stamp_reported(burst.as_mut_slice().get_mut(before..).unwrap_or_default(), vhost.port);
                received
            }
            Self::Tap(tap) => {
                let before = burst.len();
                let received = tap.queue.rx_burst(burst, max);
                stamp(
                    burst.as_mut_slice().get_mut(before..).unwrap_or_default(),
                    FreshMeta::of(&Meta::received(tap.port)),
                );
                received
            }
            Self::Source(source) => source.rx(burst, max),
            Self::Fault(fault) => fault.rx(burst, max),
        }
    }

    /// Makes the packets that are due, for the next [`PortRx::rx`] to hand over; nothing for ports that are no sources. A
    /// call of its own, so that its cycles have an account of their own.
    #[inline]
    pub fn generate(&mut self, now_tsc: u64) {
        match self {
            Self::Source(source) => source.generate(now_tsc),
            Self::Fault(fault) => fault.generate(now_tsc),
            Self::Eth(_) | Self::Vhost(_) | Self::Tap(_) => {}
        }
    }

    /// Whether [`PortRx::generate`] does anything.
    #[inline]
    pub fn is_source(&self) -> bool {
        match self {
            Self::Source(_) => true,
            Self::Fault(fault) => fault.inner().is_source(),
            Self::Eth(_) | Self::Vhost(_) | Self::Tap(_) => false,
        }
    }

    /// What a source made.
    pub fn source_counters(&self) -> Option<SourceCounters> {
        match self {
            Self::Source(source) => Some(source.counters()),
            Self::Fault(fault) => fault.inner().source_counters(),
            Self::Eth(_) | Self::Vhost(_) | Self::Tap(_) => None,
        }
    }

    /// What a fault port did on receive.
    pub fn fault_counters(&self) -> Option<FaultCounters> {
        match self {
            Self::Fault(fault) => Some(fault.counters()),
            _ => None,
        }
    }
}
