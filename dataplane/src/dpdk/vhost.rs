//! vhost-user ports over librte_vhost, by device id: hundreds of them fit into a process.
//!
//! # Who may touch a device when
//! librte_vhost runs its callbacks on its own thread. `new_device` publishes the device's id, `destroy_device` takes it
//! back and then **waits until every worker has begun a new round** ([`Quiesce`]); only then may the library unmap the
//! guest's memory. Queue handles load the id once per burst and use it within that burst only. `vring_state_changed` runs
//! under the library's queue locks, so it only sets a flag.
//!
//! # Checksums
//! CSUM and GUEST_CSUM are negotiated; segmentation (TSO, UFO) is not. The socket is registered with compliant offload
//! flags: a packet whose checksum the guest left open arrives with `RX_L4_CKSUM_NONE`, and its payload is not summed on
//! receive (but for protocols that the library does not know, inside a guest's own tunnel for one: those it finishes).
//! The legacy flags would report them in the transmit flags, where the next device misreads them.
//!
//! # Queues
//! DPDK 22.11 cannot limit a guest's number of queue pairs. Receive handle `q` of `n` therefore serves the guest's pairs
//! q, q + n, q + 2n …; transmit handle `q` uses pair q while the guest has enabled it, else the first enabled pair (the
//! library's lock makes that safe, if slower).

mod queue;

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::queue::ArrayQueue;
use dpdk_sys as sys;

use super::eal;
use super::error::{DpdkError, check};
use super::ethdev::LinkStats;
use super::mempool::Mempool;

pub use queue::{VhostRxQueue, VhostTxQueue};

/// Waits for the workers.
pub trait Quiesce: Send + Sync {
    /// Returns when every worker that was inside a round at the time of the call has begun another (or has ended): none
    /// of them uses anything it loaded before. Called on librte_vhost's thread and on control threads, never by a worker.
    fn synchronize(&self);
}

/// For programs without workers, and for those whose only worker calls it between rounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWorkers;

impl Quiesce for NoWorkers {
    fn synchronize(&self) {}
}

/// How a socket is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VhostConfig {
    /// Connect to a socket that the peer serves (and reconnect when it goes) instead of serving one.
    pub client: bool,
    /// Receive and transmit handles to make. With 1, the multi-queue feature is not offered.
    pub queues: u16,
}

/// What happened to a peer, for the control side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VhostEvent {
    /// A guest's driver is ready.
    Connected {
        /// librte_vhost's number of the device.
        vid: i32,
        /// Queue pairs that the guest has set up.
        queue_pairs: u16,
    },
    /// The guest's driver or the peer is gone.
    Disconnected {
        /// librte_vhost's number that the device had.
        vid: i32,
    },
    /// A queue was switched.
    Queue {
        /// The virtqueue: 2q is what the guest receives from, 2q + 1 what it sends to.
        vring: u16,
        /// Now on?
        enabled: bool,
    },
}

/// The longest socket path: sun_path has 108 octets, one of them the NUL.
pub const PATH_MAX_OCTETS: usize = 107;
/// Most queue pairs that librte_vhost knows.
const PAIRS_MAX: usize = 128;
const NO_DEVICE: i32 = -1;

// virtio 1.1 § 5.1.3, feature bits.
const F_CSUM: u64 = 1 << 0;
const F_GUEST_CSUM: u64 = 1 << 1;
const F_MQ: u64 = 1 << 22;
/// GUEST_TSO4, GUEST_TSO6, GUEST_ECN, GUEST_UFO, HOST_TSO4, HOST_TSO6, HOST_ECN, HOST_UFO.
const F_SEGMENTATION: u64 = 0xff << 7;
/// Protocol feature VHOST_USER_PROTOCOL_F_MQ.
const PROTOCOL_F_MQ: u64 = 1 << 0;

/// Written by callbacks, read by workers once a burst.
struct Shared {
    /// The device that workers may use.
    vid: AtomicI32,
    /// The connection that may become the device: a socket accepts many, a port serves one guest.
    owner: AtomicI32,
    /// Queue pairs of the connected device.
    pairs: AtomicU32,
    /// Negotiated virtio features of the connected device.
    features: AtomicU64,
    /// By vring.
    enabled: [AtomicBool; 2 * PAIRS_MAX],
    /// By handle; one writer each.
    received: Vec<AtomicU64>,
    sent: Vec<AtomicU64>,
    events: ArrayQueue<VhostEvent>,
    events_lost: AtomicU64,
    quiesce: Arc<dyn Quiesce>,
}

static SERVERS: Mutex<Option<HashMap<Vec<u8>, Arc<Shared>>>> = Mutex::new(None);

fn with_servers<R>(work: impl FnOnce(&mut HashMap<Vec<u8>, Arc<Shared>>) -> R) -> R {
    work(SERVERS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

impl Shared {
    fn of(vid: i32) -> Option<Arc<Self>> {
        let mut path = [0; 4096];
        // SAFETY: librte_vhost calls back with a live vid; the buffer has the length given, and is NUL-terminated.
        let path = unsafe {
            if sys::rte_vhost_get_ifname(vid, path.as_mut_ptr(), path.len()) != 0 {
                return None;
            }
            CStr::from_ptr(path.as_ptr()).to_bytes()
        };
        with_servers(|servers| servers.get(path).cloned())
    }

    fn tell(&self, event: VhostEvent) {
        if self.events.push(event).is_err() {
            self.events_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget_device(&self, vid: i32) {
        if self.vid.compare_exchange(vid, NO_DEVICE, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            self.features.store(0, Ordering::Relaxed);
            self.quiesce.synchronize();
            self.tell(VhostEvent::Disconnected { vid });
        }
    }
}

unsafe extern "C" fn new_connection(vid: i32) -> i32 {
    let Some(shared) = Shared::of(vid) else { return -1 };
    // A second one is turned away: it must not touch what the first has negotiated.
    if shared.owner.compare_exchange(NO_DEVICE, vid, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return -1;
    }
    for enabled in &shared.enabled {
        enabled.store(false, Ordering::Relaxed);
    }
    0
}

unsafe extern "C" fn destroy_connection(vid: i32) {
    if let Some(shared) = Shared::of(vid) {
        shared.forget_device(vid);
        // Not the owner: it was turned away.
        let _ = shared.owner.compare_exchange(vid, NO_DEVICE, Ordering::AcqRel, Ordering::Relaxed);
    }
}

unsafe extern "C" fn new_device(vid: i32) -> i32 {
    let Some(shared) = Shared::of(vid).filter(|shared| shared.owner.load(Ordering::Acquire) == vid) else { return -1 };
    let mut features = 0;
    // SAFETY: `vid` is live during the callback. Notifications are switched off because weir polls; a queue that is not
    // set up yet remembers it.
    let vrings = unsafe {
        sys::rte_vhost_get_negotiated_features(vid, &raw mut features);
        let vrings = sys::rte_vhost_get_vring_num(vid);
        for vring in 0..vrings {
            sys::rte_vhost_enable_guest_notification(vid, vring, 0);
        }
        vrings
    };
    let queue_pairs = (vrings / 2).min(PAIRS_MAX as u16);
    shared.features.store(features, Ordering::Relaxed);
    shared.pairs.store(u32::from(queue_pairs), Ordering::Relaxed);
    shared.vid.store(vid, Ordering::Release);
    shared.tell(VhostEvent::Connected { vid, queue_pairs });
    0
}

unsafe extern "C" fn destroy_device(vid: i32) {
    if let Some(shared) = Shared::of(vid) {
        shared.forget_device(vid);
    }
}

unsafe extern "C" fn vring_state_changed(vid: i32, vring: u16, enable: i32) -> i32 {
    if let Some(shared) = Shared::of(vid)
        && shared.owner.load(Ordering::Acquire) == vid
        && let Some(flag) = shared.enabled.get(vring as usize)
    {
        let enabled = enable != 0;
        if flag.swap(enabled, Ordering::Release) != enabled {
            shared.tell(VhostEvent::Queue { vring, enabled });
        }
        // The guest may add queue pairs after its driver is ready.
        if enabled {
            shared.pairs.fetch_max(u32::from(vring) / 2 + 1, Ordering::Relaxed);
        }
    }
    0
}

struct Callbacks(sys::rte_vhost_device_ops);

// SAFETY: a table of functions that nobody writes.
unsafe impl Sync for Callbacks {}

/// librte_vhost keeps the pointer for as long as a socket is registered.
static CALLBACKS: Callbacks = Callbacks(sys::rte_vhost_device_ops {
    new_device: Some(new_device),
    destroy_device: Some(destroy_device),
    vring_state_changed: Some(vring_state_changed),
    new_connection: Some(new_connection),
    destroy_connection: Some(destroy_connection),
    // SAFETY: null is a valid value of all the other callbacks and of what is reserved.
    ..unsafe { std::mem::zeroed() }
});

/// A registered socket. Dropping it unregisters; queue handles that are still out find no device any more.
pub struct Server {
    path: PathBuf,
    c_path: CString,
    shared: Arc<Shared>,
}

impl Server {
    /// Registers a socket and begins to serve it (or to connect to it), with the handles of its queues.
    ///
    /// A socket file left by a process that is gone is removed; one that somebody listens on is an error, and so are
    /// paths that are too long, lie in no folder, or are no sockets.
    pub fn register(
        path: &Path,
        config: VhostConfig,
        pool: &Mempool,
        quiesce: Arc<dyn Quiesce>,
    ) -> Result<(Self, Vec<VhostRxQueue>, Vec<VhostTxQueue>), DpdkError> {
        let object = format!("vhost-user socket {}", path.display());
        let octets = path.as_os_str().as_encoded_bytes();
        check_path(path, &object, config.client)?;
        if config.queues == 0 || config.queues as usize > PAIRS_MAX {
            let why = format!("{} queues were asked for; it has 1 to {PAIRS_MAX}", config.queues);
            return Err(DpdkError::refused(&object, why));
        }
        if !eal::is_up() {
            return Err(DpdkError::refused(&object, "EAL is not running"));
        }
        let c_path = CString::new(octets)?;
        let counters = || (0..config.queues).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            vid: AtomicI32::new(NO_DEVICE),
            owner: AtomicI32::new(NO_DEVICE),
            pairs: AtomicU32::new(0),
            features: AtomicU64::new(0),
            enabled: [const { AtomicBool::new(false) }; 2 * PAIRS_MAX],
            received: counters(),
            sent: counters(),
            events: ArrayQueue::new(256),
            events_lost: AtomicU64::new(0),
            quiesce,
        });
        let known = with_servers(|servers| match servers.entry(octets.to_vec()) {
            std::collections::hash_map::Entry::Occupied(_) => true,
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Arc::clone(&shared));
                false
            }
        });
        if known {
            return Err(DpdkError::refused(&object, "another port of this process uses it"));
        }
        if let Err(error) = start(&c_path, &object, config) {
            with_servers(|servers| servers.remove(octets));
            return Err(error);
        }
        let rx = (0..config.queues)
            .map(|queue| VhostRxQueue::new(Arc::clone(&shared), pool.clone(), queue, config.queues))
            .collect();
        let tx = (0..config.queues).map(|queue| VhostTxQueue::new(Arc::clone(&shared), queue)).collect();
        Ok((Self { path: path.to_owned(), c_path, shared }, rx, tx))
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a guest's driver is ready.
    pub fn connected(&self) -> bool {
        self.shared.vid.load(Ordering::Acquire) != NO_DEVICE
    }

    /// Queue pairs of the connected guest.
    pub fn queue_pairs(&self) -> u16 {
        if self.connected() { self.shared.pairs.load(Ordering::Relaxed) as u16 } else { 0 }
    }

    /// Whether the connected guest takes packets whose checksum is not finished.
    pub fn guest_finishes_checksums(&self) -> bool {
        self.shared.features.load(Ordering::Relaxed) & F_GUEST_CSUM != 0
    }

    /// The next event that the control side has not seen; `None` when there is none.
    pub fn next_event(&self) -> Option<VhostEvent> {
        self.shared.events.pop()
    }

    /// Events that were lost because nobody took them in time.
    pub fn events_lost(&self) -> u64 {
        self.shared.events_lost.load(Ordering::Relaxed)
    }

    /// Packets moved through all queues since registration; octets are not counted here.
    pub fn stats(&self) -> LinkStats {
        let sum = |counters: &[AtomicU64]| counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum();
        LinkStats { rx_packets: sum(&self.shared.received), tx_packets: sum(&self.shared.sent), ..LinkStats::default() }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("path", &self.path).field("connected", &self.connected()).finish_non_exhaustive()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if eal::is_up() {
            // SAFETY: the path is registered. The library calls destroy_device for a connected peer, which waits for the
            // workers, and then calls back no more.
            let answer = unsafe { sys::rte_vhost_driver_unregister(self.c_path.as_ptr()) };
            if answer != 0 {
                tracing::error!(path = %self.path.display(), "the vhost-user socket could not be unregistered");
            }
        }
        with_servers(|servers| servers.remove(self.c_path.as_bytes()));
    }
}

fn check_path(path: &Path, object: &str, client: bool) -> Result<(), DpdkError> {
    let length = path.as_os_str().len();
    if length == 0 || length > PATH_MAX_OCTETS {
        let why = format!("the path has {length} octets; a unix socket's path has 1 to {PATH_MAX_OCTETS}: shorten it");
        return Err(DpdkError::refused(object, why));
    }
    if client {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(DpdkError::refused_for(object, format!("there is no folder {}", folder.display()), "create it"));
    }
    let Ok(kind) = path.symlink_metadata() else { return Ok(()) };
    if !kind.file_type().is_socket() {
        let help = "choose another path, or remove what is there";
        return Err(DpdkError::refused_for(object, "the path exists and is not a socket", help));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(DpdkError::refused_for(
            object,
            "it is in use: another process listens on it",
            "end that process (`ss -xlp` names it), or choose another path",
        )),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| {
                let why = format!("nobody listens on this socket any more, and it cannot be removed: {error}");
                DpdkError::refused_for(object, why, "remove it, or run weir as a user who may")
            })
        }
        Err(error) => {
            let why = format!("it exists and cannot be tried: {error}");
            Err(DpdkError::refused_for(object, why, "choose another path, or run weir as a user who may use it"))
        }
    }
}

fn start(path: &CString, object: &str, config: VhostConfig) -> Result<(), DpdkError> {
    let mut flags = sys::WEIR_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
    if config.client {
        flags |= sys::WEIR_VHOST_USER_CLIENT;
    }
    // SAFETY: the path is NUL-terminated and copied.
    check(unsafe { sys::rte_vhost_driver_register(path.as_ptr(), flags) }, object, "registration")?;
    // SAFETY: the path is registered; the callbacks are static.
    let result = unsafe {
        let mut unwanted = F_SEGMENTATION;
        let mut protocol = 0;
        if config.queues == 1 {
            unwanted |= F_MQ;
            if sys::rte_vhost_driver_get_protocol_features(path.as_ptr(), &raw mut protocol) == 0 {
                sys::rte_vhost_driver_set_protocol_features(path.as_ptr(), protocol & !PROTOCOL_F_MQ);
            }
        }
        check(sys::rte_vhost_driver_disable_features(path.as_ptr(), unwanted), object, "setting its features")
            .and_then(|_| {
                check(
                    sys::rte_vhost_driver_enable_features(path.as_ptr(), F_CSUM | F_GUEST_CSUM),
                    object,
                    "setting its features",
                )
            })
            .and_then(|_| {
                check(
                    sys::rte_vhost_driver_callback_register(path.as_ptr(), &raw const CALLBACKS.0),
                    object,
                    "registering its callbacks",
                )
            })
            .and_then(|_| match sys::rte_vhost_driver_start(path.as_ptr()) {
                0 => Ok(0),
                // DPDK gives no reason but in its log; what is left behind check_path is the folder's permission.
                _ => Err(DpdkError::refused_for(
                    object,
                    "its socket cannot be created",
                    format!(
                        "make its folder writable for the user that weir runs as{}",
                        eal::details(&super::log::take_recent())
                    ),
                )),
            })
    };
    if let Err(error) = result {
        // SAFETY: the path is registered.
        unsafe { sys::rte_vhost_driver_unregister(path.as_ptr()) };
        return Err(error);
    }
    Ok(())
}
