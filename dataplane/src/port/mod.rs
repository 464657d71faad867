//! Ports: where packets come from and go to.
//!
//! A port is opened from a device text such as `tap:veth0@red` ([`PortSpec`]). The control side keeps the [`Port`]; its
//! queue handles ([`PortRx`], [`PortTx`]) move to workers, one owner each. To close a port, take the handles back first.
//!
//! One backend a file; [`BACKENDS`] lists them.

mod af_packet;
mod af_xdp;
mod checksum;
mod eth;
mod fault;
mod memif;
mod null;
mod options;
mod pcap;
mod raw;
mod ring;
mod rx;
mod source;
mod spec;
mod tap;
mod tx;
mod vhost_user;
mod virtio_user;

use std::sync::Arc;

use overlay::num::{MacAddr, PortId};

pub use crate::dpdk::ethdev::LinkStats;
use crate::dpdk::tap::{Tap, TapConfig};
use crate::dpdk::vhost::{Server, VhostConfig, VhostEvent};
use crate::dpdk::{Device, DpdkError, Mempool, Quiesce, TscClock};

pub use fault::{FaultCounters, FaultSpec};
pub use rx::PortRx;
pub use source::{SourceCounters, SourceSpec};
pub use spec::{PortSpec, PortSpecError};
pub use tx::{PortTx, TxCaps};

use spec::Kind;

/// What the documentation and `weir check` say of a kind of port.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// The word before the colon.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// One line on what it is for.
    pub help: &'static str,
    parse: fn(&str) -> Result<Kind, String>,
}

/// All kinds of ports, in the order in which the documentation shows them.
pub const BACKENDS: &[Backend] = &[
    vhost_user::BACKEND,
    tap::BACKEND,
    af_packet::BACKEND,
    af_xdp::BACKEND,
    memif::BACKEND,
    virtio_user::BACKEND,
    pcap::BACKEND,
    null::BACKEND,
    ring::BACKEND,
    source::BACKEND,
    fault::BACKEND,
    raw::BACKEND,
];

/// What ports are opened with.
#[derive(Clone)]
pub struct OpenParams {
    /// Octets of an Ethernet frame's payload.
    pub mtu: u16,
    /// Receive queues (handles) to make.
    pub rx_queues: u16,
    /// Transmit queues (handles) to make.
    pub tx_queues: u16,
    /// Descriptors per receive queue of an Ethernet device.
    pub rx_descriptors: u16,
    /// Descriptors per transmit queue of an Ethernet device.
    pub tx_descriptors: u16,
    /// Where received packets come from.
    pub pool: Mempool,
    /// Waits for the workers when a vhost-user peer goes.
    pub quiesce: Arc<dyn Quiesce>,
    /// For pacing.
    pub clock: TscClock,
}

impl std::fmt::Debug for OpenParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenParams").field("mtu", &self.mtu).field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl OpenParams {
    /// One queue each way, an MTU of 1,500 and 512 descriptors.
    pub fn new(pool: Mempool, quiesce: Arc<dyn Quiesce>, clock: TscClock) -> Self {
        Self { mtu: 1500, rx_queues: 1, tx_queues: 1, rx_descriptors: 512, tx_descriptors: 512, pool, quiesce, clock }
    }
}

/// A port could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The device refused.
    #[error("port {port:?}: {source}")]
    Device {
        /// The port's name.
        port: String,
        /// Why.
        source: DpdkError,
    },
    /// The request makes no sense for this kind of port.
    #[error("port {port:?}: {why}")]
    Refused {
        /// The port's name.
        port: String,
        /// What is wrong and what to do.
        why: String,
    },
}

impl PortError {
    /// The port's name, what is wrong with it, and what to do.
    pub fn parts(&self) -> (&str, String, &str) {
        let usual = "correct this port's device, or take the port out; docs/config.md says what each kind needs";
        match self {
            Self::Device { port, source } => {
                let (what, help) = source.parts();
                (port, format!("port {port:?}: {what}"), if help.is_empty() { usual } else { help })
            }
            Self::Refused { port, .. } => (port, self.to_string(), usual),
        }
    }
}

/// An opened port, as the control side holds it.
#[derive(Debug)]
pub struct Port {
    name: String,
    id: PortId,
    spec: PortSpec,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    Device(Device),
    Server(Server),
    Tap(Tap),
    Source,
}

impl Port {
    /// Opens a port with its queue handles.
    pub fn open(
        name: &str,
        id: PortId,
        spec: &PortSpec,
        params: &OpenParams,
    ) -> Result<(Self, Vec<PortRx>, Vec<PortTx>), PortError> {
        let (holds, rx, tx) = Self::open_kind(name, id, spec.kind(), params)?;
        Ok((Self { name: name.to_owned(), id, spec: spec.clone(), holds }, rx, tx))
    }

    fn open_kind(
        name: &str,
        id: PortId,
        kind: &Kind,
        params: &OpenParams,
    ) -> Result<(Holds, Vec<PortRx>, Vec<PortTx>), PortError> {
        let failed = |source| PortError::Device { port: name.to_owned(), source };
        match kind {
            Kind::Eth(spec) => {
                let (device, rx, tx) = eth::open(spec, id, params).map_err(failed)?;
                Ok((Holds::Device(device), rx, tx))
            }
            Kind::VhostUser { path, client, queues } => {
                let queues = queues.unwrap_or(params.rx_queues.max(params.tx_queues));
                let config = VhostConfig { client: *client, queues };
                let (server, rx, tx) =
                    Server::register(path, config, &params.pool, Arc::clone(&params.quiesce)).map_err(failed)?;
                let rx = rx.into_iter().map(|queue| PortRx::vhost(queue, id)).collect();
                let tx = tx.into_iter().map(PortTx::vhost).collect();
                Ok((Holds::Server(server), rx, tx))
            }
            Kind::Tap { name: interface, netns, mac } => {
                let config = TapConfig {
                    name: interface.clone(),
                    netns: netns.clone(),
                    mac: *mac,
                    mtu: params.mtu,
                    queues: params.rx_queues.max(params.tx_queues),
                };
                let (tap, rx, tx) = Tap::open(&config, &params.pool).map_err(failed)?;
                let rx = rx.into_iter().map(|queue| PortRx::tap(queue, id)).collect();
                Ok((Holds::Tap(tap), rx, tx.into_iter().map(PortTx::tap).collect()))
            }
            Kind::Source(spec) => {
                let frames = spec.frames().map_err(|why| PortError::Refused { port: name.to_owned(), why })?;
                let rx = (0..params.rx_queues).map(|queue| PortRx::source(spec, &frames, id, queue, params)).collect();
                Ok((Holds::Source, rx, (0..params.tx_queues).map(|_| PortTx::sink()).collect()))
            }
            Kind::Fault { spec, inner } => {
                let (holds, rx, tx) = Self::open_kind(name, id, inner, params)?;
                let rx = (0..).zip(rx).map(|(queue, rx)| PortRx::fault(rx, spec, queue, params)).collect();
                let tx = (0..).zip(tx).map(|(queue, tx)| PortTx::fault(tx, spec, queue, params)).collect();
                Ok((holds, rx, tx))
            }
        }
    }

    /// The user's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Our number for it.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// What it was opened from.
    pub fn spec(&self) -> &PortSpec {
        &self.spec
    }

    /// The driver: DPDK's name of it, or `vhost-user`, `tap`, `source`.
    pub fn driver(&self) -> &str {
        match &self.holds {
            Holds::Device(device) => device.driver(),
            Holds::Server(_) => "vhost-user",
            Holds::Tap(_) => "tap",
            Holds::Source => "source",
        }
    }

    /// DPDK's number of the device, for ports that are Ethernet devices.
    pub fn dpdk_port(&self) -> Option<u16> {
        match &self.holds {
            Holds::Device(device) => Some(device.dpdk_port()),
            _ => None,
        }
    }

    /// The device's MAC address, for ports that have one of their own: Ethernet devices. A tap's belongs to the kernel:
    /// [`Port::peer_mac`].
    pub fn mac(&self) -> Option<MacAddr> {
        match &self.holds {
            Holds::Device(device) => Some(device.mac()),
            _ => None,
        }
    }

    /// The MAC address of a tap's kernel interface: its other end, not weir's.
    pub fn peer_mac(&self) -> Option<MacAddr> {
        match &self.holds {
            Holds::Tap(tap) => tap.kernel_mac(),
            _ => None,
        }
    }

    /// Changes the MAC address of a tap's kernel interface.
    pub fn set_peer_mac(&mut self, mac: MacAddr) -> Result<(), PortError> {
        match &mut self.holds {
            Holds::Tap(tap) => {
                tap.set_kernel_mac(mac).map_err(|source| PortError::Device { port: self.name.clone(), source })
            }
            _ => Err(PortError::Refused {
                port: self.name.clone(),
                why: "only a tap has a kernel interface at its other end".into(),
            }),
        }
    }

    /// Changes the MAC address of an Ethernet device.
    pub fn set_mac(&mut self, mac: MacAddr) -> Result<(), PortError> {
        match &mut self.holds {
            Holds::Device(device) => {
                device.set_mac(mac).map_err(|source| PortError::Device { port: self.name.clone(), source })
            }
            _ => Err(PortError::Refused {
                port: self.name.clone(),
                why: "only an Ethernet device has a MAC address of its own".into(),
            }),
        }
    }

    /// The device's MTU; `None` for ports without one.
    pub fn mtu(&self) -> Option<u16> {
        match &self.holds {
            Holds::Device(device) => Some(device.mtu()),
            Holds::Tap(tap) => Some(tap.mtu()),
            _ => None,
        }
    }

    /// Whether packets can flow: the link is up, or a guest's driver is ready.
    pub fn link_up(&self) -> bool {
        match &self.holds {
            Holds::Device(device) => device.link_up(),
            Holds::Server(server) => server.connected(),
            Holds::Tap(tap) => tap.link_up(),
            Holds::Source => true,
        }
    }

    /// What the link counted; for ports that have no link, zeros. vhost-user counts packets only.
    pub fn link_stats(&self) -> LinkStats {
        match &self.holds {
            Holds::Device(device) => device.stats(),
            Holds::Server(server) => server.stats(),
            Holds::Tap(tap) => tap.stats(),
            Holds::Source => LinkStats::default(),
        }
    }

    /// The next event of a vhost-user peer that was not taken yet.
    pub fn next_event(&self) -> Option<VhostEvent> {
        match &self.holds {
            Holds::Server(server) => server.next_event(),
            _ => None,
        }
    }

    /// Closes the port. Its handles are given back, so that nobody polls it any more; packets that they hold are freed.
    pub fn close(self, rx: Vec<PortRx>, tx: Vec<PortTx>) -> Result<(), PortError> {
        drop((rx, tx));
        match self.holds {
            Holds::Device(device) => device.close().map_err(|source| PortError::Device { port: self.name, source }),
            // Dropping unregisters a socket and removes a tap.
            Holds::Server(_) | Holds::Tap(_) | Holds::Source => Ok(()),
        }
    }
}
