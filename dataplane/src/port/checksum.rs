//! Checksum state, between mbuf flags and metadata.

use overlay::num::PortId;
use overlay::packet::checksum::finish_partial;
use overlay::packet::{Checksum, Meta, PacketBuf, layout};
use overlay::wire::protocol;

use crate::dpdk::Mbuf;
use crate::dpdk::mbuf::{FreshMeta, L4Checksum, L4Kind};

/// Offset of TCP's checksum field from its header (RFC 9293 § 3.1).
const TCP_FIELD: u16 = 16;
/// Offset of UDP's checksum field from its header (RFC 768).
const UDP_FIELD: u16 = 6;

/// Metadata of packets that came from a device which tells nothing.
#[inline]
pub(super) fn stamp(mbufs: &mut [Mbuf], fresh: FreshMeta) {
    let (fours, rest) = mbufs.as_chunks_mut::<4>();
    for four in fours {
        let [a, b, c, d] = four;
        for mbuf in [a, b, c, d] {
            mbuf.receive_meta(fresh);
        }
    }
    for mbuf in rest {
        mbuf.receive_meta(fresh);
    }
}

/// Metadata of packets that came from a device which reports checksums.
#[inline]
pub(super) fn stamp_reported(mbufs: &mut [Mbuf], port: PortId) {
    for mbuf in mbufs {
        let mut meta = Meta::received(port);
        match mbuf.l4_checksum() {
            L4Checksum::Unknown => {}
            L4Checksum::Good => meta.checksum = Checksum::Good,
            L4Checksum::Bad => meta.checksum = Checksum::Bad,
            L4Checksum::Open => {
                if let Some((start, offset)) = field(mbuf) {
                    meta.checksum = Checksum::Partial;
                    meta.checksum_start = start;
                    meta.checksum_offset = offset;
                }
            }
        }
        mbuf.receive_meta(FreshMeta::of(&meta));
    }
}

/// Where the transport header starts and where its checksum lies from there. The device has parsed the packet before it
/// said that the checksum is open, so this finds what it found.
fn field(mbuf: &Mbuf) -> Option<(u16, u16)> {
    let head = mbuf.head();
    let ethernet = layout::ethernet(head).ok()?;
    let ip = layout::ip_of(head, &ethernet, mbuf.packet_octets())?.ok()?;
    match ip.protocol {
        protocol::TCP => Some((ip.l4_offset, TCP_FIELD)),
        protocol::UDP => Some((ip.l4_offset, UDP_FIELD)),
        _ => None,
    }
}

/// Leaves the packets' open checksums to the device; finishes those that it could not (inside a tunnel) in software.
#[inline]
pub(super) fn leave_to_device(mbufs: &mut [Mbuf]) {
    for mbuf in mbufs {
        if mbuf.meta().checksum == Checksum::Partial {
            leave_one(mbuf);
        }
    }
}

#[cold]
fn finish(mbuf: &mut Mbuf) {
    // Offsets beyond the packet: there is no checksum to finish, and the receiver will find out.
    let _ = finish_partial(mbuf);
}

fn leave_one(mbuf: &mut Mbuf) {
    let head = mbuf.head();
    let (start, offset) = (mbuf.meta().checksum_start, mbuf.meta().checksum_offset);
    let kind = match offset {
        TCP_FIELD => L4Kind::Tcp,
        UDP_FIELD => L4Kind::Udp,
        _ => return finish(mbuf),
    };
    let outermost = layout::ethernet(head)
        .ok()
        .and_then(|ethernet| layout::ip_of(head, &ethernet, mbuf.packet_octets()))
        .and_then(Result::ok)
        .filter(|ip| ip.l4_offset == start);
    match outermost {
        Some(ip) => mbuf.request_checksum(kind, ip.version == 6, ip.l3_offset, start - ip.l3_offset),
        None => finish(mbuf),
    }
}
