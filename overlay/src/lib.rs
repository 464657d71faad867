//! The pure half of weir: what a packet means, and what becomes of it.
//!
//! Nothing here knows DPDK, performs I/O, reads a clock or starts a thread. Time enters as [`num::Nanos`], packets as
//! anything that is a [`packet::PacketBuf`]. Everything is therefore tested, fuzzed and model-checked without a NIC.
//!
//! | module | knows | does not know |
//! |---|---|---|
//! | [`wire`] | one protocol a file: views over octets, parse, emit | packets, tables |
//! | [`packet`] | buffers, per-packet metadata, the layout of a frame | what is done with it |
//! | [`tunnel`] | push and pop of an encapsulation | which packet goes where |
//! | [`fib`] | tables read by many workers and written by one thread | threads |
//! | [`reason`] | why a packet was dropped: one registry | who counts it |

pub mod accel;
pub mod fib;
pub mod num;
pub mod packet;
pub mod reason;
pub mod reply;
pub mod tunnel;
pub mod wire;
