//! 802.1Q tags on the edge of a network: removed on the way in, inserted on the way out.

use overlay::packet::PacketBuf;
use overlay::reason::DropReason;

use crate::dpdk::Mbuf;

/// EtherType of an 802.1Q tag.
pub(super) const TPID: u16 = 0x8100;
/// EtherType of an 802.1ad service tag.
pub(super) const TPID_SERVICE: u16 = 0x88a8;

/// Removes the tag behind the MAC addresses and returns its VLAN identifier.
pub(super) fn pop(packet: &mut Mbuf) -> Result<u16, DropReason> {
    let Some(header) = packet.head_mut().first_chunk_mut::<18>() else { return Err(DropReason::VlanTruncated) };
    let vid = u16::from_be_bytes([header[14], header[15]]) & 0x0fff;
    header.copy_within(0..12, 4);
    if packet.trim_front(4) {
        packet.meta_mut().shift(-4);
        Ok(vid)
    } else {
        Err(DropReason::VlanTruncated)
    }
}

/// Inserts a tag with `vid` behind the MAC addresses.
pub(super) fn push(packet: &mut Mbuf, vid: u16) -> Result<(), DropReason> {
    if packet.prepend::<4>().is_none() {
        return Err(DropReason::Headroom);
    }
    packet.meta_mut().shift(4);
    let Some(header) = packet.head_mut().first_chunk_mut::<16>() else { return Err(DropReason::EthernetTruncated) };
    header.copy_within(4..16, 0);
    let tag = TPID.to_be_bytes();
    let control = (vid & 0x0fff).to_be_bytes();
    header[12] = tag[0];
    header[13] = tag[1];
    header[14] = control[0];
    header[15] = control[1];
    Ok(())
}
