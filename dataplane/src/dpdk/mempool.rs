//! Pools of mbufs.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys as sys;

use super::burst::Burst;
use super::eal;
use super::error::{DpdkError, Errno};
use super::mbuf::{HEADROOM_OCTETS, Mbuf, PRIVATE_OCTETS};

/// How a pool's shared part is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PoolOps {
    /// Multi-producer, multi-consumer: fastest, but a preempted thread makes all others spin. For pollers that have a CPU
    /// each.
    #[default]
    MpMc,
    /// Relaxed tail sync: for more pollers than CPUs.
    RelaxedTail,
}

impl PoolOps {
    fn name(self) -> &'static std::ffi::CStr {
        match self {
            Self::MpMc => c"ring_mp_mc",
            Self::RelaxedTail => c"ring_mt_rts",
        }
    }
}

/// What a pool is made of.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Name, unique in the process, at most 25 octets.
    pub name: String,
    /// Mbufs; 2ⁿ − 1 wastes no memory.
    pub mbufs: u32,
    /// Mbufs that each lcore may keep back; at most 512 and two thirds of `mbufs`.
    pub cache: u32,
    /// Octets of packet per mbuf, apart from the headroom.
    pub data_room_octets: u16,
    /// NUMA node; -1 = any.
    pub socket: i32,
    /// Kind of protection.
    pub ops: PoolOps,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { name: "weir".into(), mbufs: 16_383, cache: 256, data_room_octets: 2048, socket: -1, ops: PoolOps::MpMc }
    }
}

/// A pool of mbufs whose private area is an [`overlay::packet::Meta`]. Cloning gives another handle to the same pool.
///
/// The pool is freed with its last handle if all mbufs are back then; if not, it is left to the process, with an error in
/// the log, because an mbuf in flight must never point to freed memory.
#[derive(Clone)]
pub struct Mempool(Arc<Inner>);

struct Inner {
    raw: NonNull<sys::rte_mempool>,
    name: String,
    capacity: u32,
    data_room_octets: u16,
}

// SAFETY: the pool's operations are multi-producer and multi-consumer, and per-lcore caches belong to their lcore.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Mempool {
    /// Makes a pool.
    pub fn create(config: &PoolConfig) -> Result<Self, DpdkError> {
        let PoolConfig { name, mbufs, cache, data_room_octets, socket, ops } = config;
        let object = format!("mbuf pool {name:?}");
        if name.is_empty() || name.len() > 25 {
            return Err(DpdkError::refused(&object, "a pool's name has 1 to 25 octets"));
        }
        if *cache > sys::WEIR_MEMPOOL_CACHE_MAX || u64::from(*cache) * 3 > u64::from(*mbufs) * 2 {
            return Err(DpdkError::refused(
                &object,
                format!(
                    "a cache of {cache} mbufs is too large: at most {} and two thirds of the pool ({mbufs})",
                    sys::WEIR_MEMPOOL_CACHE_MAX
                ),
            ));
        }
        let Some(room) = data_room_octets.checked_add(HEADROOM_OCTETS as u16) else {
            return Err(DpdkError::refused(
                &object,
                format!(
                    "data room {data_room_octets} is too large: at most {} octets",
                    u16::MAX - HEADROOM_OCTETS as u16
                ),
            ));
        };
        let c_name = CString::new(name.as_str())?;
        // SAFETY: texts are NUL-terminated and copied; numbers are any. EAL must be up, else the call returns null.
        let raw = unsafe {
            sys::rte_pktmbuf_pool_create_by_ops(
                c_name.as_ptr(),
                *mbufs,
                *cache,
                PRIVATE_OCTETS as u16,
                room,
                *socket,
                ops.name().as_ptr(),
            )
        };
        let Some(raw) = NonNull::new(raw) else {
            let errno = Errno::last();
            let why = match errno.0 {
                libc::ENOMEM => format!(
                    "{mbufs} mbufs of {room} octets need about {} MiB, which EAL's memory does not have: give EAL more \
                     (memory_mib, or hugepages) or ask for fewer mbufs",
                    u64::from(*mbufs) * (u64::from(room) + 256) / (1 << 20) + 1
                ),
                libc::EEXIST => "a pool of this name exists already".into(),
                _ => format!("creation failed: {errno}"),
            };
            return Err(DpdkError::refused(&object, why));
        };
        // SAFETY: the pool was just made.
        let capacity = unsafe { sys::weir_mempool_populated(raw.as_ptr()) };
        Ok(Self(Arc::new(Inner { raw, name: name.clone(), capacity, data_room_octets: *data_room_octets })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Mbufs in all.
    pub fn capacity(&self) -> u32 {
        self.0.capacity
    }

    /// Octets of packet per mbuf, apart from the headroom.
    pub fn data_room_octets(&self) -> u16 {
        self.0.data_room_octets
    }

    /// Mbufs that can be allocated, those in the caches of lcores included. Slow (walks the caches) and, while packets
    /// flow, a snapshot.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as this handle.
        unsafe { sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// Mbufs that are somewhere else: in queues, bursts or devices.
    pub fn in_use(&self) -> u32 {
        self.0.capacity.saturating_sub(self.available())
    }

    /// One fresh, empty packet with default metadata; `None` when the pool is empty.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool lives as long as this handle; a non-null result is a reset mbuf of our layout that is ours.
        let mut mbuf = unsafe { Mbuf::from_raw(NonNull::new(sys::weir_pktmbuf_alloc(self.as_ptr()))?) };
        mbuf.set_meta(overlay::packet::Meta::default());
        Some(mbuf)
    }

    /// Appends `count` fresh, empty packets to `burst`, all or none: `false` when the pool has not so many or the burst
    /// not the room. Their metadata is whatever it was: write it with [`Mbuf::set_meta`].
    #[inline]
    pub fn alloc_bulk(&self, burst: &mut Burst, count: usize) -> bool {
        if count > burst.room() {
            return false;
        }
        // SAFETY: `spare_ptr` has room for `count` pointers; on success all of them are reset mbufs that are ours.
        unsafe {
            if sys::weir_pktmbuf_alloc_bulk(self.as_ptr(), burst.spare_ptr(), count as u32) != 0 {
                return false;
            }
            burst.grow(count);
        }
        true
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut sys::rte_mempool {
        self.0.raw.as_ptr()
    }
}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool")
            .field("name", &self.0.name)
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !eal::is_up() {
            return; // its memory went with EAL
        }
        // SAFETY: this is the last handle, so the pool is live and no device or queue of ours refers to it any more.
        unsafe {
            let missing = self.capacity.saturating_sub(sys::rte_mempool_avail_count(self.raw.as_ptr()));
            if missing == 0 {
                sys::rte_mempool_free(self.raw.as_ptr());
            } else {
                tracing::error!(pool = self.name, missing, "mbufs are still out: the pool is not freed");
            }
        }
    }
}
