//! Replies that weir itself gives, and messages it starts: ARP, neighbour discovery, ICMP echo.
//!
//! Replies are made in the packet that asked; messages that nobody asked for are written to an array, from where the
//! caller copies them into a packet.
//!
//! All of this is for untagged Ethernet frames: whoever takes a tag off puts it back.

mod discovery;
mod echo;
mod fresh;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub use discovery::{Discovery, answer, asked_for};
pub use echo::echo_reply;
pub use fresh::{
    FRESH_OCTETS, arp_request, gratuitous_arp, neighbour_solicitation, solicit, unsolicited_advertisement,
};
