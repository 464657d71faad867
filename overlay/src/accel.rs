//! Instructions that stable Rust only reaches through `unsafe`: prefetch and CRC32C, with a portable twin.
//!
//! The twin is always compiled, so that a test can hold the two against each other; under Miri and on machines without
//! SSE4.2 it is the implementation.
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

/// CRC32C (Castagnoli, reflected, neither pre- nor post-inverted) of `seed` and the 8 octets of `value`, lowest first.
#[inline(always)]
pub fn crc32c_u64(seed: u32, value: u64) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse4.2", not(miri)))]
    {
        // SAFETY: the instruction needs SSE4.2, which `cfg` has checked; it has no other precondition.
        unsafe { core::arch::x86_64::_mm_crc32_u64(u64::from(seed), value) as u32 }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse4.2", not(miri))))]
    portable::crc32c_u64(seed, value)
}

/// CRC32C of `seed` and the 4 octets of `value`, lowest first.
#[inline(always)]
pub fn crc32c_u32(seed: u32, value: u32) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse4.2", not(miri)))]
    {
        // SAFETY: the instruction needs SSE4.2, which `cfg` has checked; it has no other precondition.
        unsafe { core::arch::x86_64::_mm_crc32_u32(seed, value) }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse4.2", not(miri))))]
    portable::crc32c_u32(seed, value)
}

/// The same functions in plain Rust, one octet a step.
pub mod portable {
    /// The Castagnoli polynomial, bit-reflected (RFC 3385 § 3).
    const POLYNOMIAL: u32 = 0x82f6_3b78;

    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut crc = index as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ POLYNOMIAL };
                bit += 1;
            }
            table[index] = crc;
            index += 1;
        }
        table
    };

    #[inline]
    fn octets(seed: u32, octets: &[u8]) -> u32 {
        octets.iter().fold(seed, |crc, octet| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ octet)])
    }

    /// See [`super::crc32c_u64`].
    #[inline]
    pub fn crc32c_u64(seed: u32, value: u64) -> u32 {
        octets(seed, &value.to_le_bytes())
    }

    /// See [`super::crc32c_u32`].
    #[inline]
    pub fn crc32c_u32(seed: u32, value: u32) -> u32 {
        octets(seed, &value.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 7143 (iSCSI) appendix A.4: the CRC of 32 octets of zeros is aa 36 91 8a, first octet first.
    #[test]
    fn crc_of_the_iscsi_test_vectors() {
        let crc = (0..4).fold(!0, |crc, _| crc32c_u64(crc, 0));
        assert_eq!((!crc).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
        let ones = (0..8).fold(!0, |crc, _| crc32c_u32(crc, u32::MAX));
        assert_eq!((!ones).to_le_bytes(), [0x43, 0xab, 0xa8, 0x62]);
    }

    #[test]
    fn prefetch_takes_any_place() {
        prefetch_read(&0_u64);
        prefetch_slice(&[0_u8; 3], 2);
        prefetch_slice::<u8>(&[], 0);
    }

    proptest! {
        #[test]
        fn the_portable_twin_agrees(seed: u32, value: u64) {
            prop_assert_eq!(crc32c_u64(seed, value), portable::crc32c_u64(seed, value));
            prop_assert_eq!(crc32c_u32(seed, value as u32), portable::crc32c_u32(seed, value as u32));
        }
    }
}
