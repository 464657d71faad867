//! What is done with every packet before anything is decided: layout, flow hash, checksums across segments.
//!
//! The first four octets say where segments end and where a guest wants its checksum; the rest is the frame.

use overlay::packet::checksum::{finish_partial, verify_l4};
use overlay::packet::flow::{entropy_port, flow_hash};
use overlay::packet::{Checksum, PacketBuf, VecBuf, layout};

/// The fuzz target's and the regression test's one function.
pub(crate) fn run(octets: &[u8]) {
    let Some((&[cut, cut_again, start, offset], frame)) = octets.split_first_chunk() else { return };
    let first = usize::from(cut).min(frame.len());
    let second = first + usize::from(cut_again).min(frame.len() - first);
    let whole = VecBuf::from_octets(frame);
    let split = VecBuf::with_segments(&[&frame[..first], &frame[first..second], &frame[second..]]);
    assert_eq!(split.octets(), frame);

    headers(&whole, &split);
    partial(&whole, &split, u16::from(start), u16::from(offset));
}

fn headers(whole: &VecBuf, split: &VecBuf) {
    let frame = whole.head();
    let Ok(ethernet) = layout::ethernet(frame) else { return };
    assert!(usize::from(ethernet.l3_offset) <= frame.len());
    assert_ne!(ethernet.vlan, Some(0));
    let hash = flow_hash(frame, ethernet.ethertype, usize::from(ethernet.l3_offset));
    assert_ne!(hash, 0);
    assert!(entropy_port(hash) >= 49_152);

    let Some(Ok(ip)) = layout::ip_of(frame, &ethernet, frame.len()) else { return };
    assert!(ip.l3_offset < ip.l4_offset && usize::from(ip.l4_offset) <= ip.end() && ip.end() <= frame.len());
    assert!(ip.first || ip.fragment);
    // A shorter head says the same, or that it is too short.
    if let Some(Ok(from_head)) = layout::ip_of(split.head(), &ethernet, frame.len()) {
        assert_eq!(from_head, ip);
        assert_eq!(verify_l4(whole, &ip), verify_l4(split, &ip), "where segments end must not matter");
    }
}

fn partial(whole: &VecBuf, split: &VecBuf, start: u16, offset: u16) {
    let finished = [whole, split].map(|packet| {
        let mut packet = packet.clone();
        let meta = packet.meta_mut();
        (meta.checksum, meta.checksum_start, meta.checksum_offset) = (Checksum::Partial, start, offset);
        finish_partial(&mut packet).map(|()| {
            assert_eq!(packet.meta().checksum, Checksum::Good);
            packet.octets()
        })
    });
    assert_eq!(finished[0], finished[1], "where segments end must not matter");
    assert_eq!(finished[0].is_ok(), usize::from(start) + usize::from(offset) + 2 <= whole.packet_octets());
}
