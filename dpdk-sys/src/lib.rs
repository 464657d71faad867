//! Bindings to the installed DPDK (22.11 or later), generated at build time, and a small C shim for its inline
//! functions, macros and thread-local variables. No logic: the safe side is `dataplane::dpdk`.
//!
//! `allowlist.txt` names everything that is bound. Names are DPDK's; those of the shim begin with `weir_`.

#![allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    missing_docs,
    unsafe_op_in_unsafe_fn,
    unnecessary_transmutes,
    clippy::all,
    clippy::pedantic,
    reason = "generated from C headers"
)]

/// The release the bindings were generated from, such as `22.11.11`.
pub const DPDK_VERSION: &str = env!("WEIR_DPDK_VERSION");

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
            _not_send: core::marker::PhantomData<(*mut u8, core::marker::PhantomPinned)>,
        }
    )*};
}

opaque! {
    /// A packet buffer, reached by pointer; its fields lie at the `WEIR_MBUF_*` offsets.
    rte_mbuf
    /// A pool of packet buffers, reached by pointer.
    rte_mempool
    /// A ring of pointers, reached by pointer.
    rte_ring
}

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
