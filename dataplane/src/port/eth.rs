//! What all ports over DPDK's Ethernet devices share.

use std::sync::atomic::{AtomicU32, Ordering};

use overlay::num::PortId;

use super::{OpenParams, PortRx, PortTx};
use crate::dpdk::{Device, DpdkError, EthConfig};

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
    let mut device = Device::attach(&spec.devargs(), spec.netns.as_deref())?;
    let config = EthConfig {
        rx_queues: params.rx_queues,
        tx_queues: params.tx_queues,
        rx_descriptors: params.rx_descriptors,
        tx_descriptors: params.tx_descriptors,
        mtu: params.mtu,
        rx_checksum: spec.checksum,
        tx_checksum: spec.checksum,
    };
    device.configure(&config, &params.pool)?;
    let (rx, tx) = device.start()?;
    let (verifies, finishes) = (device.verifies_checksums(), device.finishes_checksums());
    let rx = rx.into_iter().map(|queue| PortRx::eth(queue, id, verifies)).collect();
    let tx = tx.into_iter().map(|queue| PortTx::eth(queue, finishes)).collect();
    Ok((device, rx, tx))
}
