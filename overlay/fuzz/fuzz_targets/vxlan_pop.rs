//! See `checks/vxlan_pop.rs`.
#![no_main]

#[path = "../checks/vxlan_pop.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::run(octets));
