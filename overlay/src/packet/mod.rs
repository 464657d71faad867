//! Packets: the buffer trait, its in-memory twin, the metadata that travels with a packet, and the layout of a frame.

mod buf;
mod meta;
mod vecbuf;

pub use buf::PacketBuf;
pub use meta::{Checksum, Flags, Meta, Segmentation};
pub use vecbuf::VecBuf;
