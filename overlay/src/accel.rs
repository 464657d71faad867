//! Instructions that stable Rust only reaches through `unsafe`: so far, prefetch. Under Miri and on other machines than
//! x86-64 there is none, and nothing is lost but time.
#![allow(unsafe_code, reason = "CPU intrinsics are unsafe functions; this is their only place in the crate")]

/// Asks the CPU to load the first cache line of `value`; a hint without effect on the program's meaning.
#[inline(always)]
pub fn prefetch_read<T: ?Sized>(value: &T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse", not(miri)))]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction needs SSE, which `cfg` has checked; it never faults, whatever the address, and
        // reads nothing into the program.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast::<i8>()) };
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse", not(miri))))]
    let _ = value;
}

/// Prefetches `slice[index]`; nothing happens when the index is outside.
#[inline(always)]
pub fn prefetch_slice<T>(slice: &[T], index: usize) {
    if let Some(value) = slice.get(index) {
        prefetch_read(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefetch_takes_any_place() {
        prefetch_read(&0_u64);
        prefetch_slice(&[0_u8; 3], 2);
        prefetch_slice::<u8>(&[], 0);
    }
}
