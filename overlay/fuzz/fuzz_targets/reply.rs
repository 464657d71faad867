//! See `checks/reply.rs`.
#![no_main]

#[path = "../checks/reply.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| check::run(octets));
