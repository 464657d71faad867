//! Packets: the buffer trait, its in-memory twin, the metadata that travels with a packet, and the layout of a frame.

mod buf;
pub mod checksum;
pub mod flow;
pub mod layout;
mod meta;
pub mod outer;
mod vecbuf;

pub use buf::PacketBuf;
pub use layout::{EthernetLayout, IpLayout};
pub use meta::{Checksum, Flags, META_RECEIVED_OCTETS, Meta, Segmentation, Ways};
pub use vecbuf::VecBuf;
