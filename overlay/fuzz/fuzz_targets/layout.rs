//! See `checks/layout.rs`.
#![no_main]

#[path = "../checks/layout.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::run(octets));
