//! Packets that weir answers itself: ARP, neighbour discovery, echo.
//!
//! The first octet says where the first segment ends, the second what is known of the checksum; the rest is the frame.

use overlay::num::MacAddr;
use overlay::packet::checksum::verify_l4;
use overlay::packet::{Checksum, PacketBuf, VecBuf, layout};
use overlay::reply::{Discovery, answer, asked_for, echo_reply};

const OWNER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// The fuzz target's and the regression test's one function.
pub(crate) fn run(octets: &[u8]) {
    let Some((&[cut, state], frame)) = octets.split_first_chunk() else { return };
    let first = usize::from(cut).min(frame.len());
    let mut packet = VecBuf::with_segments(&[&frame[..first], &frame[first..]]);
    // Most inputs have a wrong checksum; let some of them pass.
    let known = if state & 1 == 0 { Checksum::Unknown } else { Checksum::Good };
    packet.meta_mut().checksum = known;
    discovery(packet.clone());
    echo(packet, known);
}

fn discovery(mut packet: VecBuf) {
    let asked = asked_for(&packet);
    let Ok(Some(said)) = Discovery::of(&packet) else {
        assert_eq!(asked, None);
        return;
    };
    assert!(asked.is_none() || (asked == said.asks && !said.is_probe() && !said.is_announcement()));
    let before = packet.octets();
    if answer(&mut packet, &said, OWNER, false).is_err() {
        assert_eq!(packet.octets(), before, "refused, not changed");
        return;
    }
    packet.meta_mut().checksum = Checksum::Unknown;
    let answered = Discovery::of(&packet).unwrap().unwrap();
    assert_eq!(answered.asks, None, "an answer asks nothing");
    assert_eq!(answered.claim, said.asks.map(|address| (address, OWNER)));
}

fn echo(mut packet: VecBuf, known: Checksum) {
    let octets = packet.packet_octets();
    let Ok(ip) = layout::ip(packet.head(), 14, octets) else { return };
    let before = packet.octets();
    if echo_reply(&mut packet, &ip) != Ok(true) {
        assert_eq!(packet.octets(), before, "refused, not changed");
        return;
    }
    assert_eq!(packet.packet_octets(), octets);
    let ip = layout::ip(packet.head(), 14, octets).unwrap();
    assert!(known == Checksum::Good || verify_l4(&packet, &ip), "the reply's checksum is right");
    assert_eq!(echo_reply(&mut packet, &ip), Ok(false), "a reply is no request");
}
