//! Instructions that stable Rust only reaches through `unsafe`: prefetch and CRC32C, with a portable twin.
