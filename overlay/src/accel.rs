//! Instructions that stable Rust only reaches through `unsafe`: prefetch and CRC32C. Under Miri and on other machines than
//! x86-64 nothing is lost but time.
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

/// CRC32C (RFC 3720 § 12.1, without its inversions) of the eight octets of `value`, lowest first, continuing `crc`.
#[inline(always)]
pub fn crc32c(crc: u32, value: u64) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse4.2", not(miri)))]
    {
        // SAFETY: the instruction needs SSE4.2, which `cfg` has checked.
        unsafe { core::arch::x86_64::_mm_crc32_u64(u64::from(crc), value) as u32 }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse4.2", not(miri))))]
    crc32c_portable(crc, value)
}

/// The same, bit by bit.
#[cfg(any(test, miri, not(all(target_arch = "x86_64", target_feature = "sse4.2"))))]
fn crc32c_portable(crc: u32, value: u64) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    value.to_le_bytes().iter().fold(crc, |crc, octet| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| crc >> 1 ^ if crc & 1 == 0 { 0 } else { POLYNOMIAL })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 § B.4: 32 octets of zeros, of ones, and counting up.
    #[test]
    fn crc32c_of_the_standard() {
        for crc in [crc32c, crc32c_portable] {
            let of = |words: [u64; 4]| !words.iter().fold(!0, |sum, word| crc(sum, *word));
            assert_eq!(of([0; 4]), 0x8a91_36aa);
            assert_eq!(of([!0; 4]), 0x62a8_ab43);
            let counting =
                core::array::from_fn(|word| u64::from_le_bytes(core::array::from_fn(|octet| (word * 8 + octet) as u8)));
            assert_eq!(of(counting), 0x46dd_794e);
        }
    }

    #[test]
    fn prefetch_takes_any_place() {
        prefetch_read(&0_u64);
        prefetch_slice(&[0_u8; 3], 2);
        prefetch_slice::<u8>(&[], 0);
    }
}
