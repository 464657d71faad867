//! One segment of a packet: the fields of an mbuf that weir reads and writes, at the offsets that `dpdk-sys` computes.

use std::ptr::{self, NonNull};
use std::slice;

use dpdk_sys as sys;
use overlay::packet::Meta;

/// One segment of a chain that an [`Mbuf`] owns. Private: the methods are safe to call only through that owner, which
/// is the sole way to get one.
#[derive(Clone, Copy)]
pub(super) struct Segment(pub(super) NonNull<sys::rte_mbuf>);

impl Segment {
    #[inline]
    pub(super) fn field<T>(self, offset: u32) -> *mut T {
        // SAFETY: every WEIR_MBUF_* offset lies inside the mbuf, by the C compiler's offsetof.
        unsafe { self.0.as_ptr().byte_add(offset as usize).cast() }
    }
}

macro_rules! fields {
    ($($get:ident $set:ident $type:ty, $offset:ident;)*) => {
        impl Segment {
            $(
                #[inline]
                pub(super) fn $get(self) -> $type {
                    // SAFETY: an aligned plain integer inside a live mbuf that the owner lets us read.
                    unsafe { self.field::<$type>(sys::$offset).read() }
                }

                #[inline]
                pub(super) fn $set(self, value: $type) {
                    // SAFETY: as above; callers hold `&mut Mbuf`.
                    unsafe { self.field::<$type>(sys::$offset).write(value) }
                }
            )*
        }
    };
}

fields! {
    data_off set_data_off u16, WEIR_MBUF_DATA_OFF;
    nb_segs set_nb_segs u16, WEIR_MBUF_NB_SEGS;
    data_len set_data_len u16, WEIR_MBUF_DATA_LEN;
    pkt_len set_pkt_len u32, WEIR_MBUF_PKT_LEN;
}

/// `octets` in both lengths of [`Segment::lengths`].
#[inline(always)]
pub(super) const fn both(octets: u16) -> u64 {
    octets as u64 | (octets as u64) << 32
}

const _: () = assert!(sys::WEIR_MBUF_DATA_LEN == sys::WEIR_MBUF_PKT_LEN + 4 && cfg!(target_endian = "little"));

impl Segment {
    /// `pkt_len` and, from bit 32, `data_len`, with the two octets behind them: one store instead of two.
    #[inline(always)]
    pub(super) fn lengths(self) -> u64 {
        // SAFETY: eight octets of a live mbuf, whose fields are plain numbers; not aligned to eight.
        unsafe { self.field::<u64>(sys::WEIR_MBUF_PKT_LEN).read_unaligned() }
    }

    #[inline(always)]
    pub(super) fn set_lengths(self, lengths: u64) {
        // SAFETY: as above; callers hold `&mut Mbuf`.
        unsafe { self.field::<u64>(sys::WEIR_MBUF_PKT_LEN).write_unaligned(lengths) }
    }

    #[inline]
    pub(super) fn data(self) -> *mut u8 {
        // SAFETY: buf_addr is the start of the buffer and data_off at most its length.
        unsafe { self.field::<*mut u8>(sys::WEIR_MBUF_BUF_ADDR).read().add(self.data_off() as usize) }
    }

    #[inline]
    pub(super) fn meta(self) -> *mut Meta {
        self.field(sys::WEIR_MBUF_SIZE)
    }

    #[inline]
    pub(super) fn octets<'a>(self) -> &'a [u8] {
        // SAFETY: a live mbuf's data lies inside its buffer. The callers bind the lifetime to their `&self`.
        unsafe { slice::from_raw_parts(self.data(), self.data_len() as usize) }
    }

    pub(super) fn tailroom(self) -> usize {
        // SAFETY: a plain integer inside a live mbuf.
        let length = unsafe { self.field::<u16>(sys::WEIR_MBUF_BUF_LEN).read() };
        (length as usize).saturating_sub(self.data_off() as usize + self.data_len() as usize)
    }

    #[inline]
    pub(super) fn next(self) -> Option<Self> {
        // SAFETY: `next` is null or the chain's next live mbuf.
        NonNull::new(unsafe { self.field::<*mut sys::rte_mbuf>(sys::WEIR_MBUF_NEXT).read() }).map(Self)
    }

    pub(super) fn set_next(self, next: Self) {
        // SAFETY: callers hold `&mut Mbuf` and own `next`.
        unsafe { self.field::<*mut sys::rte_mbuf>(sys::WEIR_MBUF_NEXT).write(next.0.as_ptr()) }
    }

    pub(super) fn clear_next(self) {
        // SAFETY: callers hold `&mut Mbuf`.
        unsafe { self.field::<*mut sys::rte_mbuf>(sys::WEIR_MBUF_NEXT).write(ptr::null_mut()) }
    }
}

#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing architecturally; any address is allowed.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
