//! What all ports over DPDK's Ethernet devices share.

use std::sync::atomic::{AtomicU32, Ordering};

use overlay::num::PortId;

use super::{OpenParams, PortRx, PortTx};
use crate::dpdk::mempool::PoolConfig;
use crate::dpdk::{Device, DpdkError, EthConfig, Mempool};

/// An Ethernet device to be opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct EthSpec {
    /// The driver's prefix of a virtual device (`net_tap`), to which a number is added; empty with raw devargs.
    pub(super) driver: &'static str,
    /// Arguments behind the name, or the raw devargs.
    pub(super) arguments: String,
    /// The network namespace it lives in.
    pub(super) netns: Option<String>,
    /// Checksums are worth leaving to the device. Not so for drivers that sum in software: weir does that under its own
    /// account.
    pub(super) checksum: bool,
    /// For packet sockets: frames lie in slots of a ring.
    pub(super) slots: Option<Slots>,
    /// Nothing ever comes from it: its receive queues are nobody's to poll.
    pub(super) sends_only: bool,
}

/// The slots of a packet socket's ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slots {
    /// Octets of a slot, as the user asked; `None` = what the MTU needs.
    pub(super) octets: Option<u16>,
}

impl Slots {
    /// Octets of a slot before the frame: the kernel's header (TPACKET2_HDRLEN, 52) and an address, rounded up.
    const HEADER_OCTETS: u16 = 80;
    /// Slots are whole kibibytes, so that four of them are whole pages, as a block has to be.
    pub(super) const UNIT_OCTETS: u16 = 1024;
    /// The driver's own default.
    const LEAST_OCTETS: u16 = 2048;

    /// Octets of a slot for frames of `mtu`, or what is wrong with the user's choice.
    fn for_mtu(self, mtu: u16) -> Result<u16, String> {
        let frame = mtu.saturating_add(18).saturating_add(Self::HEADER_OCTETS);
        let needed = frame.div_ceil(Self::UNIT_OCTETS).saturating_mul(Self::UNIT_OCTETS).max(Self::LEAST_OCTETS);
        match self.octets {
            None => Ok(needed),
            Some(octets) if octets >= needed => Ok(octets),
            Some(octets) => Err(format!(
                "framesz={octets} would cut frames of an MTU of {mtu} octets: leave it out or write at least {needed}"
            )),
        }
    }
}

impl EthSpec {
    /// A virtual device of `driver`.
    pub(super) fn virtual_device(driver: &'static str, arguments: impl Into<String>) -> Self {
        Self { driver, arguments: arguments.into(), ..Self::default() }
    }

    fn devargs(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if self.driver.is_empty() {
            return self.arguments.clone();
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        if self.arguments.is_empty() {
            format!("{}_weir{number}", self.driver)
        } else {
            format!("{}_weir{number},{}", self.driver, self.arguments)
        }
    }
}

pub(super) fn open(
    spec: &EthSpec,
    id: PortId,
    params: &OpenParams,
) -> Result<(Device, Vec<PortRx>, Vec<PortTx>), DpdkError> {
    let mut devargs = spec.devargs();
    let mut pool = params.pool.clone();
    if let Some(slots) = spec.slots {
        let octets = slots.for_mtu(params.mtu).map_err(|why| DpdkError::refused(&devargs, why))?;
        devargs = format!("{devargs},framesz={octets},blocksz={}", u32::from(octets) * 4);
        if octets > pool.data_room_octets() {
            pool = wide_pool(octets)?;
        }
    }
    let mut device = Device::attach(&devargs, spec.netns.as_deref())?;
    let config = EthConfig {
        rx_queues: params.rx_queues,
        tx_queues: params.tx_queues,
        rx_descriptors: params.rx_descriptors,
        tx_descriptors: params.tx_descriptors,
        mtu: params.mtu,
        rx_checksum: spec.checksum,
        tx_checksum: spec.checksum,
        // A packet socket's limit is its slots; what the driver says of its MTU is that of a plain frame.
        mtu_is_advice: spec.slots.is_some(),
    };
    device.configure(&config, &pool)?;
    let (rx, tx) = device.start()?;
    let (verifies, finishes) = (device.verifies_checksums(), device.finishes_checksums());
    let rx = if spec.sends_only { Vec::new() } else { rx };
    let rx = rx.into_iter().map(|queue| PortRx::eth(queue, id, verifies)).collect();
    let tx = tx.into_iter().map(|queue| PortTx::eth(queue, finishes)).collect();
    Ok((device, rx, tx))
}

/// A pool of the device's own whose mbufs hold a whole slot: the driver does not chain.
fn wide_pool(octets: u16) -> Result<Mempool, DpdkError> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    Mempool::create(&PoolConfig {
        name: format!("wide{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        mbufs: 2047,
        cache: 64,
        data_room_octets: octets,
        ..PoolConfig::default()
    })
}
