//! A frame from the underlay: classified, popped if it is VXLAN, and pushed again.
//!
//! The first two octets say where the first segment ends and how strict the receiver is; the rest is the frame.

use overlay::num::MacAddr;
use overlay::packet::flow::Inner;
use overlay::packet::outer::{Arrival, LocalAddresses, UnderlayParams, classify};
use overlay::packet::{PacketBuf, VecBuf};
use overlay::tunnel::outer::Outer;
use overlay::tunnel::vxlan::{VxlanEncap, VxlanParams, VxlanReceive, pop};

/// The fuzz target's and the regression test's one function.
pub(crate) fn run(octets: &[u8]) {
    let Some((&[cut, strictness], frame)) = octets.split_first_chunk() else { return };
    let ours = ["192.0.2.2", "2001:db8::2"].map(|text| text.parse().unwrap());
    let params = UnderlayParams { udp_port: 4789, local: LocalAddresses::new(&ours).unwrap() };
    let first = usize::from(cut).min(frame.len());
    let mut whole = VecBuf::from_octets(frame);
    let mut split = VecBuf::with_segments(&[&frame[..first], &frame[first..]]);
    let arrival = classify(frame, frame.len(), &params);
    if let Ok(from_head) = classify(split.head(), frame.len(), &params) {
        assert_eq!(Ok(from_head), arrival, "where segments end must not matter");
    }
    let Ok(Arrival::Vxlan(outer)) = arrival else { return };
    assert!(usize::from(outer.udp_offset) + usize::from(outer.udp_octets) <= frame.len());

    let receive = VxlanReceive {
        verify_checksum: strictness & 1 != 0,
        accept_zero_checksum_ipv6: strictness & 2 != 0,
        allow_inner_vlan: strictness & 4 != 0,
    };
    let popped = pop(&mut whole, &outer, &receive);
    if pop(&mut split, &outer, &receive).is_ok() {
        assert!(popped.is_ok());
        assert_eq!(split.octets(), whole.octets(), "where segments end must not matter");
    }
    let Ok(popped) = popped else {
        assert_eq!(whole.octets(), frame, "refused, not changed");
        return;
    };
    assert_eq!(popped.source, outer.source());
    let inner = whole.octets();
    assert_eq!(inner.len() + 16, usize::from(outer.udp_octets));

    // What was popped can be pushed and popped again, and stays what it is.
    let Ok(outer) = Outer::new(ours[0], ours[0], 4789) else { return };
    let encap = VxlanEncap::new(&VxlanParams { outer, source_mac: MacAddr::ZERO });
    let inner_headers = Inner::of(whole.head());
    if encap.towards(popped.vni, MacAddr::BROADCAST, u32::MAX).push(&mut whole, inner_headers).is_err() {
        return;
    }
    let Ok(Arrival::Vxlan(outer)) = classify(whole.head(), whole.packet_octets(), &params) else {
        unreachable!("what we send, we understand")
    };
    let again = pop(&mut whole, &outer, &VxlanReceive { allow_inner_vlan: true, ..receive }).unwrap();
    assert_eq!((again.vni, whole.octets()), (popped.vni, inner));
}
