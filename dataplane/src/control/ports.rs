//! Opening ports, sharing their queues out to the workers, and closing them again.

use std::collections::HashMap;

use overlay::num::{MacAddr, PortId};

use super::ControlError;
use crate::config::{self, Port as PortConfig};
use crate::port::{OpenParams, Port, PortRx, PortSpec, PortTx};
use crate::worker::{Assignment, Command, RxSlot, TxSlot, TxWay, plan};

/// A port that is open.
#[derive(Debug)]
pub(super) struct OpenPort {
    pub id: PortId,
    pub port: Port,
    /// The device's, the configured one, or one made up for a port that has no device.
    pub mac: MacAddr,
    pub assignment: Assignment,
}

/// A port that was opened but whose queues no worker has yet.
#[derive(Debug)]
pub(super) struct NewPort {
    // Before the port: dropped in this order, a device closes when its queues are gone.
    rx: Vec<PortRx>,
    tx: Vec<PortTx>,
    pub open: OpenPort,
    entry: usize,
    host: bool,
}

/// Opens a port and plans its queues. `load` is the receive queues of each worker so far.
pub(super) fn open(
    config: &PortConfig,
    id: PortId,
    params: &OpenParams,
    load: &mut [usize],
) -> Result<NewPort, ControlError> {
    let name = config.name.as_str();
    let spec: PortSpec = device_text(config).parse()?;
    let (mut port, rx, tx) = Port::open(name, id, &spec, params)?;
    if let Some(mac) = config.settings.mac
        && port.mac().is_some_and(|own| own != mac)
        && let Err(error) = port.set_mac(mac)
    {
        // Ports are promiscuous: the address works without the device knowing it.
        tracing::debug!(port = name, %mac, %error, "the device keeps its own MAC address");
    }
    let mac = config.settings.mac.or_else(|| port.mac()).unwrap_or_else(|| made_up_mac(id));
    let wanted = config.settings.queue_workers.as_deref();
    let assignment = plan(id, rx.len(), tx.len(), wanted, load);
    let (entry, host) = match config.settings.role {
        config::Role::Container(_) => (0, false),
        config::Role::Uplink(_) => (1, false),
        config::Role::Host => (2, true),
    };
    Ok(NewPort { rx, tx, open: OpenPort { id, port, mac, assignment }, entry, host })
}

impl NewPort {
    /// The orders that bring the port into service: every worker learns its way there, then the receivers poll.
    pub(super) fn orders(self, workers: usize, entries: &[usize]) -> (OpenPort, Vec<(usize, Command)>) {
        let Self { open, rx, tx, entry, host } = self;
        let mut orders = Vec::new();
        let mut own: HashMap<usize, PortTx> = open.assignment.tx.iter().copied().zip(tx).collect();
        for worker in 0..workers {
            let way = match own.remove(&worker) {
                Some(tx) => TxWay::Own(TxSlot::new(tx, host)),
                None => open.assignment.tx_owner(worker).map_or(TxWay::None, TxWay::Handoff),
            };
            orders.push((worker, Command::SetTx(open.id, Box::new(way))));
        }
        let entry = entries.get(entry).copied().unwrap_or_default();
        for ((queue, rx), worker) in (0..).zip(rx).zip(&open.assignment.rx) {
            let slot = RxSlot { port: open.id, queue, entry, rx, packets: 0, empty_polls: 0 };
            orders.push((*worker, Command::AddRx(Box::new(slot))));
        }
        (open, orders)
    }
}

/// The device text, with the configured faults put before it.
fn device_text(config: &PortConfig) -> String {
    let device = &config.settings.device;
    match &config.settings.fault {
        Some(fault) => format!(
            "fault:loss={},duplicate={},reorder={},delay_us={},seed={};{device}",
            fault.loss, fault.duplicate, fault.reorder, fault.delay_us, fault.seed
        ),
        None => device.clone(),
    }
}

/// A locally administered address for a port without a device, the same at every start.
fn made_up_mac(id: PortId) -> MacAddr {
    let [high, low] = id.0.to_be_bytes();
    MacAddr([0x02, 0x77, 0x65, 0x69, high, low])
}

/// The MAC addresses of open ports.
pub(super) fn macs<'a>(ports: impl Iterator<Item = &'a OpenPort>) -> HashMap<PortId, MacAddr> {
    ports.map(|open| (open.id, open.mac)).collect()
}
