//! Ethernet devices: probing, configuration, start, stop, removal.

use std::ffi::{CStr, CString};
use std::mem;
use std::sync::Arc;

use dpdk_sys as sys;
use overlay::num::MacAddr;

use super::eal;
use super::error::{DpdkError, Errno, check};
use super::mempool::Mempool;
use super::netns::within_optional;
use super::queue::{RxQueue, Token, TxQueue};

/// What is asked of a device.
#[derive(Clone, Debug)]
pub struct EthConfig {
    /// Receive queues, at least one.
    pub rx_queues: u16,
    /// Transmit queues, at least one.
    pub tx_queues: u16,
    /// Descriptors per receive queue; adjusted to what the driver allows.
    pub rx_descriptors: u16,
    /// Descriptors per transmit queue; adjusted likewise.
    pub tx_descriptors: u16,
    /// Octets of an Ethernet frame's payload.
    pub mtu: u16,
    /// A driver that refuses the MTU takes larger frames all the same.
    pub mtu_is_advice: bool,
    /// Let the device verify checksums, if it can.
    pub rx_checksum: bool,
    /// Let the device finish checksums, if it can.
    pub tx_checksum: bool,
}

impl Default for EthConfig {
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 512,
            tx_descriptors: 512,
            mtu: 1500,
            mtu_is_advice: false,
            rx_checksum: false,
            tx_checksum: false,
        }
    }
}

/// What a device can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeviceCaps {
    /// Most receive queues.
    pub max_rx_queues: u16,
    /// Most transmit queues.
    pub max_tx_queues: u16,
    /// Verifies UDP and TCP checksums.
    pub rx_checksum: bool,
    /// Finishes UDP and TCP checksums.
    pub tx_checksum: bool,
    /// Receives a frame into several mbufs when asked to.
    pub scatter: bool,
    /// Sends a frame of several mbufs.
    pub multi_segment: bool,
}

/// A device's own counters: what the link did, not what weir did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct LinkStats {
    /// Received packets.
    pub rx_packets: u64,
    /// Received octets.
    pub rx_octets: u64,
    /// Sent packets. Some drivers count a failed send as sent.
    pub tx_packets: u64,
    /// Sent octets.
    pub tx_octets: u64,
    /// Lost because nobody polled in time.
    pub rx_missed: u64,
    /// Received with errors.
    pub rx_errors: u64,
    /// Failed sends.
    pub tx_errors: u64,
    /// Not received because the pool was empty.
    pub rx_no_mbuf: u64,
}

/// A device that weir holds. Dropping it stops, closes and removes it, once its queue handles are gone.
#[derive(Debug)]
pub struct Device {
    port: u16,
    name: String,
    driver: String,
    netns: Option<String>,
    probed: bool,
    started: bool,
    queues: (u16, u16),
    offloads: (u64, u64),
    pool: Option<Mempool>,
    token: Arc<Token>,
}

impl Device {
    /// Probes a device by EAL's devargs (`net_tap0,iface=x`, `0000:8a:00.0`), in a network namespace if one is named. A
    /// device that EAL has probed already (`--vdev`, PCI scan) is taken as it is.
    pub fn attach(devargs: &str, netns: Option<&str>) -> Result<Self, DpdkError> {
        let name = devargs.split(',').next().unwrap_or_default().to_owned();
        if !eal::is_up() {
            return Err(DpdkError::refused(&name, "EAL is not running"));
        }
        let c_devargs = CString::new(devargs)?;
        let c_name = CString::new(name.as_str())?;
        let mut port = 0;
        // SAFETY: the name is NUL-terminated, the port writable.
        let mut find = || unsafe { sys::rte_eth_dev_get_port_by_name(c_name.as_ptr(), &raw mut port) };
        let mut probed = false;
        if find() != 0 {
            // SAFETY: the text is NUL-terminated and copied.
            let probe = || match unsafe { sys::rte_dev_probe(c_devargs.as_ptr()) } {
                0 => Ok(()),
                value => Err((Errno::from_return(value), super::log::take_recent())),
            };
            within_optional(netns, probe)?.map_err(|(errno, log)| probe_error(&name, devargs, errno, &log))?;
            probed = true;
            if find() != 0 {
                return Err(DpdkError::refused(&name, "it was probed, but it is not an Ethernet device"));
            }
        }
        let mut device = Self {
            port,
            name,
            driver: String::new(),
            netns: netns.map(str::to_owned),
            probed,
            started: false,
            queues: (0, 0),
            offloads: (0, 0),
            pool: None,
            token: Arc::new(Token { port }),
        };
        let info = device.info()?;
        if !info.driver_name.is_null() {
            // SAFETY: the driver's name is a static text of a loaded driver.
            device.driver = unsafe { CStr::from_ptr(info.driver_name) }.to_string_lossy().into_owned();
        }
        Ok(device)
    }

    fn info(&self) -> Result<sys::rte_eth_dev_info, DpdkError> {
        // SAFETY: all-zero is a valid value of this struct of numbers and pointers.
        let mut info: sys::rte_eth_dev_info = unsafe { mem::zeroed() };
        // SAFETY: the port is valid while the device is held; `info` is writable.
        check(unsafe { sys::rte_eth_dev_info_get(self.port, &raw mut info) }, &self.name, "reading its capabilities")?;
        Ok(info)
    }

    /// DPDK's number of the device.
    pub fn dpdk_port(&self) -> u16 {
        self.port
    }

    /// DPDK's name of the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The driver's name.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// The network namespace that the device lives in, if another than ours.
    pub fn netns(&self) -> Option<&str> {
        self.netns.as_deref()
    }

    /// What it can do.
    pub fn capabilities(&self) -> Result<DeviceCaps, DpdkError> {
        let info = self.info()?;
        let (rx, tx) =
            (info.rx_offload_capa | info.rx_queue_offload_capa, info.tx_offload_capa | info.tx_queue_offload_capa);
        Ok(DeviceCaps {
            max_rx_queues: info.max_rx_queues,
            max_tx_queues: info.max_tx_queues,
            rx_checksum: has(rx, sys::WEIR_ETH_RX_TCP_CKSUM | sys::WEIR_ETH_RX_UDP_CKSUM),
            tx_checksum: has(tx, sys::WEIR_ETH_TX_TCP_CKSUM | sys::WEIR_ETH_TX_UDP_CKSUM),
            scatter: has(rx, sys::WEIR_ETH_RX_SCATTER),
            multi_segment: has(tx, sys::WEIR_ETH_TX_MULTI_SEGS),
        })
    }

    /// Configures the device and sets its queues up with `pool`. It must be stopped.
    pub fn configure(&mut self, config: &EthConfig, pool: &Mempool) -> Result<(), DpdkError> {
        if self.started {
            return Err(DpdkError::refused(&self.name, "it is running: stop it before it is configured"));
        }
        let netns = self.netns.clone();
        let this = &mut *self;
        within_optional(netns.as_deref(), move || this.configure_here(config, pool))?
    }

    fn configure_here(&mut self, config: &EthConfig, pool: &Mempool) -> Result<(), DpdkError> {
        let info = self.info()?;
        let name = self.name.clone();
        for (asked, most, kind) in
            [(config.rx_queues, info.max_rx_queues, "receive"), (config.tx_queues, info.max_tx_queues, "transmit")]
        {
            if asked == 0 || asked > most {
                let why = format!("{asked} {kind} queues were asked for; {} has 1 to {most}", self.driver);
                return Err(DpdkError::refused(&name, why));
            }
        }
        let room = u32::from(pool.data_room_octets());
        let frame = u32::from(config.mtu) + 18;
        let (rx_capa, tx_capa) = (info.rx_offload_capa, info.tx_offload_capa);
        let mut rx = 0;
        if frame > room {
            rx |= rx_capa & sys::WEIR_ETH_RX_SCATTER;
        }
        if config.rx_checksum {
            rx |= rx_capa & (sys::WEIR_ETH_RX_TCP_CKSUM | sys::WEIR_ETH_RX_UDP_CKSUM);
        }
        let mut tx = tx_capa & sys::WEIR_ETH_TX_MULTI_SEGS;
        if config.tx_checksum {
            tx |= tx_capa & (sys::WEIR_ETH_TX_TCP_CKSUM | sys::WEIR_ETH_TX_UDP_CKSUM);
        }
        // SAFETY: all-zero is "nothing special" in every field of the structure.
        let mut conf: sys::rte_eth_conf = unsafe { mem::zeroed() };
        conf.rxmode.offloads = rx;
        conf.txmode.offloads = tx;
        // Zero leaves the driver's default; virtual devices refuse a large value here and take it from set_mtu below.
        // SAFETY: the port is valid and stopped; `conf` is a valid structure that is copied.
        let answer =
            unsafe { sys::rte_eth_dev_configure(self.port, config.rx_queues, config.tx_queues, &raw const conf) };
        check(answer, &name, "configuration")?;

        let (mut rx_descriptors, mut tx_descriptors) = (config.rx_descriptors, config.tx_descriptors);
        // SAFETY: the port is valid; both numbers are writable.
        let answer = unsafe {
            sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.port, &raw mut rx_descriptors, &raw mut tx_descriptors)
        };
        check(answer, &name, "adjusting its descriptors")?;

        self.set_mtu(config.mtu, config.mtu_is_advice)?;

        // SAFETY: the port is valid.
        let socket = u32::try_from(unsafe { sys::rte_eth_dev_socket_id(self.port) }).unwrap_or(u32::MAX);
        for queue in 0..config.rx_queues {
            let mut conf = info.default_rxconf;
            conf.offloads = rx;
            // SAFETY: valid port and queue; `conf` is copied; the pool outlives the device's use of it, because the
            // device keeps a handle (`self.pool`) until it is closed.
            let answer = unsafe {
                sys::rte_eth_rx_queue_setup(self.port, queue, rx_descriptors, socket, &raw const conf, pool.as_ptr())
            };
            self.pool = Some(pool.clone());
            check(answer, &name, "setting a receive queue up")?;
        }
        for queue in 0..config.tx_queues {
            let mut conf = info.default_txconf;
            conf.offloads = tx;
            // SAFETY: valid port and queue; `conf` is copied.
            let answer =
                unsafe { sys::rte_eth_tx_queue_setup(self.port, queue, tx_descriptors, socket, &raw const conf) };
            check(answer, &name, "setting a transmit queue up")?;
        }
        self.queues = (config.rx_queues, config.tx_queues);
        self.offloads = (rx, tx);
        Ok(())
    }

    fn set_mtu(&self, mtu: u16, advice: bool) -> Result<(), DpdkError> {
        // SAFETY: the port is valid and configured.
        let answer = unsafe { sys::rte_eth_dev_set_mtu(self.port, mtu) };
        match -answer {
            // Drivers without the notion of an MTU take any frame that fits their buffers.
            0 | libc::ENOTSUP => Ok(()),
            libc::EINVAL if advice => Ok(()),
            libc::EINVAL => {
                let why = format!("an MTU of {mtu} octets is out of the range of driver {}", self.driver);
                Err(DpdkError::refused(&self.name, why))
            }
            _ => check(answer, &self.name, "setting the MTU").map(|_| ()),
        }
    }

    /// Whether checksums are verified on receive, as configured.
    pub fn verifies_checksums(&self) -> bool {
        has(self.offloads.0, sys::WEIR_ETH_RX_TCP_CKSUM | sys::WEIR_ETH_RX_UDP_CKSUM)
    }

    /// Whether checksums are finished on transmit, as configured.
    pub fn finishes_checksums(&self) -> bool {
        has(self.offloads.1, sys::WEIR_ETH_TX_TCP_CKSUM | sys::WEIR_ETH_TX_UDP_CKSUM)
    }

    /// Starts the device and hands out its queues, once per start. It is in promiscuous mode: a bridge receives what is
    /// not addressed to it.
    pub fn start(&mut self) -> Result<(Vec<RxQueue>, Vec<TxQueue>), DpdkError> {
        if self.started {
            return Err(DpdkError::refused(&self.name, "it runs already"));
        }
        let port = self.port;
        // SAFETY: the port is valid and configured.
        let answer = within_optional(self.netns.as_deref(), || unsafe {
            let answer = sys::rte_eth_dev_start(port);
            if answer == 0 {
                // Devices without the mode receive everything anyway.
                sys::rte_eth_promiscuous_enable(port);
                sys::rte_eth_allmulticast_enable(port);
            }
            answer
        })?;
        check(answer, &self.name, "start")?;
        self.started = true;
        let rx = (0..self.queues.0).map(|queue| RxQueue::new(Arc::clone(&self.token), queue)).collect();
        let tx = (0..self.queues.1).map(|queue| TxQueue::new(Arc::clone(&self.token), queue)).collect();
        Ok((rx, tx))
    }

    /// Stops the device. Refused while a queue handle exists: its owner might be polling.
    pub fn stop(&mut self) -> Result<(), DpdkError> {
        if !self.started {
            return Ok(());
        }
        if Arc::get_mut(&mut self.token).is_none() {
            return Err(DpdkError::refused(&self.name, "a worker still holds one of its queues"));
        }
        let port = self.port;
        // SAFETY: the port is valid; no queue handle exists, so nobody is inside its burst functions.
        let answer = within_optional(self.netns.as_deref(), || unsafe { sys::rte_eth_dev_stop(port) })?;
        check(answer, &self.name, "stop")?;
        self.started = false;
        Ok(())
    }

    /// Stops, closes and removes the device.
    pub fn close(mut self) -> Result<(), DpdkError> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), DpdkError> {
        if self.port == u16::MAX || !eal::is_up() {
            return Ok(());
        }
        self.stop()?;
        let (port, probed) = (self.port, self.probed);
        let info = self.info()?;
        let handle = info.device as usize;
        // SAFETY: the port is stopped; the handle is the device's own, and the port is not used afterwards.
        let answer = within_optional(self.netns.as_deref(), || unsafe {
            let closed = sys::rte_eth_dev_close(port);
            if probed && handle != 0 { sys::rte_dev_remove(handle as *mut sys::rte_device) } else { closed }
        });
        self.port = u16::MAX;
        self.pool = None;
        check(answer?, &self.name, "removal").map(|_| ())
    }

    /// Its MAC address; zero when it has none.
    pub fn mac(&self) -> MacAddr {
        // SAFETY: all-zero is an address.
        let mut address: sys::rte_ether_addr = unsafe { mem::zeroed() };
        // SAFETY: the port is valid, the address writable.
        unsafe { sys::rte_eth_macaddr_get(self.port, &raw mut address) };
        MacAddr(address.addr_bytes)
    }

    /// Changes its MAC address.
    pub fn set_mac(&mut self, mac: MacAddr) -> Result<(), DpdkError> {
        let port = self.port;
        // SAFETY: the port is valid; the address is copied.
        let answer = within_optional(self.netns.as_deref(), || unsafe {
            let mut address: sys::rte_ether_addr = mem::zeroed();
            address.addr_bytes = mac.0;
            sys::rte_eth_dev_default_mac_addr_set(port, &raw mut address)
        })?;
        check(answer, &self.name, "setting the MAC address").map(|_| ())
    }

    /// Its MTU in octets of an Ethernet frame's payload.
    pub fn mtu(&self) -> u16 {
        let mut mtu = 0;
        // SAFETY: the port is valid, the number writable.
        unsafe { sys::rte_eth_dev_get_mtu(self.port, &raw mut mtu) };
        mtu
    }

    /// Whether the link is up.
    pub fn link_up(&self) -> bool {
        // SAFETY: the port is valid.
        unsafe { sys::weir_eth_link_up(self.port) == 1 }
    }

    /// Its counters.
    pub fn stats(&self) -> LinkStats {
        // SAFETY: all-zero is a valid value of this struct of numbers.
        let mut stats: sys::rte_eth_stats = unsafe { mem::zeroed() };
        // SAFETY: the port is valid, the structure writable. A failure leaves zeros.
        unsafe { sys::rte_eth_stats_get(self.port, &raw mut stats) };
        LinkStats {
            rx_packets: stats.ipackets,
            rx_octets: stats.ibytes,
            tx_packets: stats.opackets,
            tx_octets: stats.obytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            tx_errors: stats.oerrors,
            rx_no_mbuf: stats.rx_nombuf,
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Err(error) = self.shut() {
            tracing::error!(%error, "the device was not removed");
        }
    }
}

fn has(offloads: u64, wanted: u64) -> bool {
    offloads & wanted == wanted
}

/// Why a packet socket on the interface that `devargs` names cannot be opened, for the usual reasons: their drivers answer
/// with whatever error another call left behind.
fn of_interface(devargs: &str) -> Option<Errno> {
    let mut arguments = devargs.split(',');
    arguments.next().filter(|name| name.starts_with("net_af_"))?;
    let interface = CString::new(arguments.find_map(|argument| argument.strip_prefix("iface="))?).ok()?;
    // SAFETY: the name is NUL-terminated and only read.
    if unsafe { libc::if_nametoindex(interface.as_ptr()) } == 0 {
        return Some(Errno(libc::ENODEV));
    }
    // SAFETY: no pointers; with protocol 0 the socket receives nothing.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return std::io::Error::last_os_error().raw_os_error().map(Errno);
    }
    // SAFETY: the descriptor is valid and nobody else's.
    unsafe { libc::close(socket) };
    None
}

fn probe_error(name: &str, devargs: &str, errno: Errno, log: &[String]) -> DpdkError {
    let errno = of_interface(devargs).unwrap_or(errno);
    let (why, help) = match errno.0 {
        libc::ENOSPC => (
            format!("all {} devices of this DPDK are in use", sys::WEIR_MAX_ETHPORTS),
            "take ports out, or use tap, vhost-user and source ports, which are no DPDK devices",
        ),
        libc::EPERM | libc::EACCES => {
            ("permission is missing".into(), "run weir as root, or grant it CAP_NET_ADMIN and CAP_NET_RAW")
        }
        libc::ENODEV | libc::ENOENT => (
            "there is no such device, file or socket, or no driver for it".into(),
            "name one that exists: `ip link` lists the kernel's interfaces, `dpdk-devbind.py --status` PCI devices",
        ),
        _ => (errno.to_string(), "correct the device's text; EAL says more"),
    };
    let log = super::eal::details(log);
    DpdkError::refused_for(name, format!("the device {devargs:?} cannot be opened: {why}"), format!("{help}{log}"))
}
