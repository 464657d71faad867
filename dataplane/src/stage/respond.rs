//! What the underlay asks of weir itself: ARP and ND for its addresses, ping; and the answers to its own questions.
//!
//! Answers to our questions are also given to the host's stack, when there is a host port: it asks through the same
//! uplink. RFC 826, RFC 4861 § 7, RFC 792, RFC 4443 § 4.
//! Reads: outer headers. Writes: the reply, `meta.egress`.

use overlay::packet::{PacketBuf, layout};
use overlay::reason::DropReason;
use overlay::reply::{self, Discovery};

use super::Cx;
use super::suppress::back_to_sender;
use crate::dpdk::Mbuf;
use crate::graph::{Edges, Process, RowKind, Spec};

const TX: u8 = 1;
const PUNT: u8 = 2;
const CONSUME: u8 = 3;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "respond",
    help: "answers ARP, ND and ping for weir's own addresses",
    kind: RowKind::Task,
    edges: &["drop", "tx", "punt", "consume"],
    process: Process::Each(process),
};

fn process(cx: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    for (index, packet) in packets.iter_mut().enumerate() {
        match respond(cx, packet) {
            Ok(edge) => edges.set(index, edge),
            Err(reason) => edges.drop(index, packet.meta_mut(), reason),
        }
    }
}

fn respond(cx: &mut Cx, packet: &mut Mbuf) -> Result<u8, DropReason> {
    let ingress = packet.meta().ingress;
    if let Some(discovery) = Discovery::of(packet)? {
        if let Some((address, mac)) = discovery.claim {
            cx.heard(ingress, address, mac, discovery.overrides);
        }
        let Some(target) = discovery.asks else { return Ok(to_host_or_end(cx, packet)) };
        let Some(port) = cx.tables.port(ingress) else { return Err(DropReason::PortDown) };
        if !cx.tables.underlay.local.contains(target) || discovery.is_announcement() {
            return Ok(to_host_or_end(cx, packet));
        }
        let mac = port.mac;
        if !cx.answer_allowed() {
            return Err(DropReason::HostRateLimit);
        }
        reply::answer(packet, &discovery, mac, false)?;
        back_to_sender(packet.meta_mut());
        return Ok(TX);
    }
    let ethernet = layout::ethernet(packet.head())?;
    let octets = packet.packet_octets();
    if let Some(ip) = layout::ip_of(packet.head(), &ethernet, octets).transpose()? {
        if !cx.answer_allowed() {
            return Err(DropReason::HostRateLimit);
        }
        if reply::echo_reply(packet, &ip)? {
            packet.truncate(ip.end());
            back_to_sender(packet.meta_mut());
            return Ok(TX);
        }
    }
    Ok(PUNT)
}

/// The host's stack wants to know what neighbours say; without a host port it ends here.
fn to_host_or_end(cx: &Cx, packet: &Mbuf) -> u8 {
    let host = cx.tables.port(packet.meta().ingress).map_or_else(Default::default, |port| port.peer);
    if host.is_some() { PUNT } else { CONSUME }
}
