//! Kernel tap devices, by their own system calls.
//!
//! net_tap is not used for `tap:…` because it refuses an MTU above 1,500 octets (its `max_rx_pktlen` is that of a plain
//! frame), wakes receivers by a real-time signal, and takes one of the few Ethernet ports of a process. One `readv` or
//! `writev` a frame costs the same either way.
//!
//! No offload is negotiated: the kernel hands over finished checksums and whole frames, and expects the same.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use overlay::num::MacAddr;
use overlay::packet::PacketBuf;

use super::burst::{BURST_MAX, Burst};
use super::error::{DpdkError, Errno};
use super::ethdev::LinkStats;
use super::mbuf::Mbuf;
use super::mempool::Mempool;
use super::netns::within_optional;

/// Octets of an Ethernet header with two tags.
const HEADER_OCTETS: u32 = 22;

/// What a tap device is opened with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TapConfig {
    /// The interface's name.
    pub name: String,
    /// The network namespace it lives in; `None` = ours.
    pub netns: Option<String>,
    /// The kernel interface's MAC address; `None` = the kernel makes one up.
    pub mac: Option<MacAddr>,
    /// Octets of an Ethernet frame's payload.
    pub mtu: u16,
    /// Queues, each with a receive and a transmit handle.
    pub queues: u16,
}

/// A tap device, held. It is removed when this and all queues are dropped, unless it was persistent before.
#[derive(Debug)]
pub struct Tap {
    config: TapConfig,
    /// A socket inside the device's namespace, for requests about the interface.
    control: File,
    counters: Vec<Arc<Counters>>,
}

/// One queue's counters; each has one writer.
#[derive(Debug, Default)]
struct Counters {
    rx_packets: AtomicU64,
    rx_octets: AtomicU64,
    rx_no_mbuf: AtomicU64,
    rx_too_long: AtomicU64,
    tx_packets: AtomicU64,
    tx_octets: AtomicU64,
    tx_errors: AtomicU64,
}

/// A receive handle: what the kernel sends. `Send`, not `Sync`, not `Clone`.
#[derive(Debug)]
pub struct TapRx {
    file: Arc<File>,
    counters: Arc<Counters>,
    pool: Mempool,
    /// Fresh mbufs, as many as the largest frame needs.
    spare: Burst,
    segments: i32,
    _not_sync: PhantomData<Cell<()>>,
}

/// A transmit handle: what the kernel receives. `Send`, not `Sync`, not `Clone`.
#[derive(Debug)]
pub struct TapTx {
    file: Arc<File>,
    counters: Arc<Counters>,
    /// The kernel refused the last frame, because its end of the interface is down.
    down: bool,
    _not_sync: PhantomData<Cell<()>>,
}

impl Tap {
    /// Opens the device, making it if it does not exist, and brings it up.
    pub fn open(config: &TapConfig, pool: &Mempool) -> Result<(Self, Vec<TapRx>, Vec<TapTx>), DpdkError> {
        let object = format!("tap {:?}", config.name);
        if config.name.is_empty() || config.name.len() >= libc::IFNAMSIZ {
            return Err(DpdkError::refused(&object, "an interface's name has 1 to 15 octets"));
        }
        if config.queues == 0 || config.queues > 256 {
            return Err(DpdkError::refused(
                &object,
                format!("{} queues were asked for; it has 1 to 256", config.queues),
            ));
        }
        let room = u32::from(pool.data_room_octets()).max(1);
        let segments = (u32::from(config.mtu) + HEADER_OCTETS).div_ceil(room).cast_signed();
        if segments.unsigned_abs() as usize >= BURST_MAX {
            let why = format!(
                "an MTU of {} octets needs {segments} mbufs of {room} octets, fewer than {BURST_MAX} are chained",
                config.mtu
            );
            return Err(DpdkError::refused(&object, why));
        }
        let (control, files) = within_optional(config.netns.as_deref(), || open_here(config)).and_then(|result| {
            result.map_err(|(what, error)| match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => DpdkError::refused_for(
                    &object,
                    format!("{what}: permission is missing"),
                    "run weir as root, or grant it CAP_NET_ADMIN",
                ),
                Some(libc::EBUSY) => DpdkError::refused_for(
                    &object,
                    "another process has it open",
                    "end that process (`fuser -v /dev/net/tun` names who has taps), or choose another name",
                ),
                Some(libc::EINVAL) if what == OPENING => DpdkError::refused_for(
                    &object,
                    "an interface of this name exists and is no tap with as many queues",
                    "choose another name, or remove that interface (`ip link del NAME`)",
                ),
                Some(number) => DpdkError::call(&object, what, Errno(number)),
                None => DpdkError::refused(&object, format!("{what}: {error}")),
            })
        })?;
        let mut tap = Self { config: config.clone(), control, counters: Vec::new() };
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        for file in files {
            let (file, counters) = (Arc::new(file), Arc::new(Counters::default()));
            tap.counters.push(Arc::clone(&counters));
            tx.push(TapTx {
                file: Arc::clone(&file),
                counters: Arc::clone(&counters),
                down: false,
                _not_sync: PhantomData,
            });
            rx.push(TapRx {
                file,
                counters,
                pool: pool.clone(),
                spare: Burst::new(),
                segments,
                _not_sync: PhantomData,
            });
        }
        Ok((tap, rx, tx))
    }

    /// The kernel interface's MAC address.
    pub fn kernel_mac(&self) -> Option<MacAddr> {
        let mut request = Request::new(&self.config.name);
        request.call(&self.control, libc::SIOCGIFHWADDR).ok()?;
        request.payload.get(2..8)?.try_into().map(MacAddr).ok()
    }

    /// Changes the kernel interface's MAC address.
    pub fn set_kernel_mac(&mut self, mac: MacAddr) -> Result<(), DpdkError> {
        set_mac(&self.control, &self.config.name, mac).map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or_default());
            DpdkError::call(&format!("tap {:?}", self.config.name), "setting the MAC address", errno)
        })
    }

    /// The interface's MTU.
    pub fn mtu(&self) -> u16 {
        let mut request = Request::new(&self.config.name);
        match request.call(&self.control, libc::SIOCGIFMTU) {
            Ok(()) => u16::try_from(request.number()).unwrap_or(u16::MAX),
            Err(_) => self.config.mtu,
        }
    }

    /// Whether the interface is up.
    pub fn link_up(&self) -> bool {
        let mut request = Request::new(&self.config.name);
        request.call(&self.control, libc::SIOCGIFFLAGS).is_ok() && request.flags() & libc::IFF_UP as u16 != 0
    }

    /// Its counters.
    pub fn stats(&self) -> LinkStats {
        let mut stats = LinkStats::default();
        for queue in &self.counters {
            stats.rx_packets += queue.rx_packets.load(Ordering::Relaxed);
            stats.rx_octets += queue.rx_octets.load(Ordering::Relaxed);
            stats.rx_no_mbuf += queue.rx_no_mbuf.load(Ordering::Relaxed);
            stats.rx_errors += queue.rx_too_long.load(Ordering::Relaxed);
            stats.tx_packets += queue.tx_packets.load(Ordering::Relaxed);
            stats.tx_octets += queue.tx_octets.load(Ordering::Relaxed);
            stats.tx_errors += queue.tx_errors.load(Ordering::Relaxed);
        }
        stats
    }
}

const OPENING: &str = "opening /dev/net/tun";

fn open_here(config: &TapConfig) -> Result<(File, Vec<File>), (&'static str, io::Error)> {
    // SAFETY: no pointers; the result is checked and owned once.
    let control = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(("opening a socket", io::Error::last_os_error()));
        }
        File::from_raw_fd(socket)
    };
    let mut flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
    if config.queues > 1 {
        flags |= libc::IFF_MULTI_QUEUE as i16;
    }
    let mut files = Vec::new();
    for _ in 0..config.queues {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .map_err(|error| (OPENING, error))?;
        let mut request = Request::new(&config.name);
        request.set(0, &flags.to_ne_bytes());
        request.call(&file, libc::TUNSETIFF).map_err(|error| (OPENING, error))?;
        files.push(file);
    }
    let mut request = Request::new(&config.name);
    request.set(0, &i32::from(config.mtu).to_ne_bytes());
    request.call(&control, libc::SIOCSIFMTU).map_err(|error| ("setting the MTU", error))?;
    if let Some(mac) = config.mac {
        set_mac(&control, &config.name, mac).map_err(|error| ("setting the MAC address", error))?;
    }
    let mut request = Request::new(&config.name);
    request.call(&control, libc::SIOCGIFFLAGS).map_err(|error| ("reading its flags", error))?;
    let flags = request.flags() | libc::IFF_UP as u16;
    request.set(0, &flags.to_ne_bytes());
    request.call(&control, libc::SIOCSIFFLAGS).map_err(|error| ("bringing it up", error))?;
    Ok((control, files))
}

fn set_mac(control: &File, name: &str, mac: MacAddr) -> io::Result<()> {
    let mut request = Request::new(name);
    request.set(0, &libc::ARPHRD_ETHER.to_ne_bytes());
    request.set(2, &mac.0);
    request.call(control, libc::SIOCSIFHWADDR)
}

/// `struct ifreq` (netdevice(7)): a name and a union of 24 octets.
#[repr(C, align(8))]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    payload: [u8; 24],
}

impl Request {
    fn new(name: &str) -> Self {
        let mut request = Self { name: [0; libc::IFNAMSIZ], payload: [0; 24] };
        // One octet stays zero: names are shorter than the field.
        for (to, from) in request.name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from;
        }
        request
    }

    fn set(&mut self, at: usize, octets: &[u8]) {
        for (to, from) in self.payload.iter_mut().skip(at).zip(octets) {
            *to = *from;
        }
    }

    fn number(&self) -> i32 {
        self.payload.first_chunk().map_or(0, |octets| i32::from_ne_bytes(*octets))
    }

    fn flags(&self) -> u16 {
        self.payload.first_chunk().map_or(0, |octets| u16::from_ne_bytes(*octets))
    }

    fn call(&mut self, file: &File, request: libc::c_ulong) -> io::Result<()> {
        // SAFETY: all requests used here take a `struct ifreq`, of which this is one, and keep nothing.
        let answer = unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_mut(self)) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

const _: () = assert!(size_of::<Request>() == 40);

impl TapRx {
    /// Receives up to `max` frames behind those in `burst`; returns how many. Their metadata is whatever it was.
    pub fn rx_burst(&mut self, burst: &mut Burst, max: usize) -> usize {
        let wanted = max.min(burst.room());
        let (mut received, mut octets) = (0, 0);
        while received < wanted {
            let missing = (self.segments.unsigned_abs() as usize).saturating_sub(self.spare.len());
            if missing != 0 && !self.pool.alloc_bulk(&mut self.spare, missing) {
                add(&self.counters.rx_no_mbuf, 1);
                break;
            }
            let mut vectors = [const { libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 } }; BURST_MAX];
            for (vector, mbuf) in vectors.iter_mut().zip(self.spare.as_mut_slice()) {
                *vector = mbuf.tailroom_vector();
            }
            // The kernel cuts what does not fit: one octet more than the room tells.
            let mut guard = [0_u8; 1];
            if let Some(vector) = vectors.get_mut(self.segments.unsigned_abs() as usize) {
                *vector = libc::iovec { iov_base: guard.as_mut_ptr().cast(), iov_len: guard.len() };
            }
            let room: usize = self.spare.as_mut_slice().iter_mut().map(|mbuf| mbuf.tailroom_vector().iov_len).sum();
            // SAFETY: the first `segments` vectors are the free room of fresh mbufs that `self.spare` owns, and the one behind
            // them, which there is since `segments` is below BURST_MAX, is `guard`.
            let length = unsafe { libc::readv(self.file.as_raw_fd(), vectors.as_ptr(), self.segments + 1) };
            // Nothing there, or the interface is down.
            let Ok(length) = usize::try_from(length) else { break };
            if length > room {
                // As a NIC does with a frame above its MTU: an error of the port, not a packet.
                add(&self.counters.rx_too_long, 1);
                continue;
            }
            octets += length as u64;
            let Some(frame) = take_frame(&mut self.spare, length) else { break };
            if let Err(frame) = burst.push(frame) {
                frame.free();
                break;
            }
            received += 1;
        }
        if received != 0 {
            add(&self.counters.rx_packets, received as u64);
            add(&self.counters.rx_octets, octets);
        }
        received
    }
}

/// Chains the first mbufs of `spare`, into which `length` octets were read, to one packet.
fn take_frame(spare: &mut Burst, length: usize) -> Option<Mbuf> {
    let mut rest = length;
    let mut used = 0;
    for mbuf in spare.as_mut_slice() {
        used += 1;
        // SAFETY: the kernel filled the mbufs' free room in this order.
        rest -= unsafe { mbuf.grow_into_tailroom(rest) };
        if rest == 0 {
            break;
        }
    }
    let mut frame: Option<Mbuf> = None;
    let mut segments = spare.take_front(used);
    segments.drain_each(|_, mbuf| match &mut frame {
        None => frame = Some(mbuf),
        Some(first) => first.chain(mbuf),
    });
    frame
}

impl TapTx {
    /// Sends frames from the front of `burst` and frees them; returns how many. The rest stays in the burst. A frame that
    /// the kernel refuses counts as sent, and in `tx_errors`.
    pub fn tx_burst(&mut self, burst: &mut Burst) -> usize {
        let (mut sent, mut octets, mut errors) = (0, 0, 0);
        for mbuf in burst.as_mut_slice() {
            let mut vectors = [const { libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 } }; BURST_MAX];
            let mut count = 0_i32;
            let mut fits = true;
            mbuf.for_each_segment(&mut |segment| match vectors.get_mut(count.unsigned_abs() as usize) {
                Some(vector) => {
                    *vector = libc::iovec { iov_base: segment.as_ptr().cast_mut().cast(), iov_len: segment.len() };
                    count += 1;
                }
                None => fits = false,
            });
            let written = if fits {
                // SAFETY: the first `count` vectors are the packet's segments, which the kernel only reads.
                unsafe { libc::writev(self.file.as_raw_fd(), vectors.as_ptr(), count) }
            } else {
                -1
            };
            if written < 0 {
                let error = if fits { io::Error::last_os_error().raw_os_error().unwrap_or_default() } else { 0 };
                // Full, or down: later frames would fare no better.
                if matches!(error, libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::EIO | libc::EINTR) {
                    self.down = error == libc::EIO;
                    break;
                }
                errors += 1;
            }
            self.down = false;
            octets += mbuf.packet_octets() as u64;
            sent += 1;
        }
        if sent != 0 {
            burst.free_front(sent);
            add(&self.counters.tx_packets, sent as u64);
            add(&self.counters.tx_octets, octets);
            add(&self.counters.tx_errors, errors);
        }
        sent
    }

    /// Whether the kernel took the last frame, or would have: not so while the interface is down (EIO).
    #[inline]
    pub fn is_up(&self) -> bool {
        !self.down
    }
}

/// Adds to a counter that has one writer.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}
