//! Packets that wait for a next hop's MAC address: parked here, the next hop asked, and resumed by housekeeping when the
//! answer has come, or dropped when it has not.
//!
//! Bounds: so many packets for one next hop (`limits.parked_per_neighbour`), [`PARKED_MAX`] in all; one request a second
//! for each next hop, three before it is called unreachable (RFC 4861 § 7.2.2: MAX_MULTICAST_SOLICIT, RETRANS_TIMER).

use overlay::fib::neighbour::Neighbour;
use overlay::num::NeighbourId;
use overlay::packet::{Flags, Meta, PacketBuf};
use overlay::reason::DropReason;
use overlay::reply;

use super::{Cx, Event};
use crate::dpdk::{Burst, Mbuf};
use crate::graph::{Out, Process, RowKind, Spec};

/// Packets parked in all, per worker.
const PARKED_MAX: usize = 1024;
/// Requests before a next hop is called unreachable.
const TRIES_MAX: u8 = 3;

pub(super) const SPEC: Spec<Cx> = Spec {
    name: "park",
    help: "keeps packets until their next hop has answered ARP or ND",
    kind: RowKind::Task,
    edges: &["drop"],
    process: Process::Own(process),
};

/// The waiting packets of one worker, oldest first.
#[derive(Debug)]
pub struct Parked {
    waiting: Vec<(NeighbourId, Mbuf)>,
    asked: Box<[Asked]>,
    per_neighbour: usize,
}

/// What one next hop has been asked.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    packets: u16,
    tries: u8,
    last_tsc: u64,
}

/// What becomes of a waiting packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Wait,
    Resume,
    GiveUp,
}

impl Parked {
    /// Room for 1,024 packets in all towards `neighbours` next hops, `per_neighbour` each.
    pub fn new(neighbours: usize, per_neighbour: usize) -> Self {
        Self {
            waiting: Vec::with_capacity(PARKED_MAX),
            asked: vec![Asked::default(); neighbours].into(),
            per_neighbour,
        }
    }

    /// Packets waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the packet, or gives it back when there is no room for it. The answer says whether to ask the next hop.
    fn admit(&mut self, neighbour: NeighbourId, packet: Mbuf, now_tsc: u64, retry_ticks: u64) -> Result<bool, Mbuf> {
        let Some(asked) = self.asked.get_mut(neighbour.index()) else { return Err(packet) };
        if self.waiting.len() >= PARKED_MAX || usize::from(asked.packets) >= self.per_neighbour {
            return Err(packet);
        }
        asked.packets += 1;
        self.waiting.push((neighbour, packet));
        if asked.tries == 0 || now_tsc.saturating_sub(asked.last_tsc) >= retry_ticks {
            asked.tries = asked.tries.saturating_add(1);
            asked.last_tsc = now_tsc;
            return Ok(true);
        }
        Ok(false)
    }

    /// Gives back every packet, for the end.
    pub fn take_all(&mut self) -> impl Iterator<Item = Mbuf> + '_ {
        self.asked.fill(Asked::default());
        self.waiting.drain(..).map(|(_, packet)| packet)
    }
}

fn process(cx: &mut Cx, burst: &mut Burst, out: &mut Out<'_>) {
    while let Some(packet) = burst.take_front(1).pop() {
        let neighbour = cx.tables.tunnel(packet.meta().tunnel).map_or(NeighbourId::NONE, |tunnel| tunnel.neighbour);
        let (now, retry) = (cx.now.tsc, cx.tsc_hz);
        match cx.parked.admit(neighbour, packet, now, retry) {
            Ok(true) => ask(cx, neighbour),
            Ok(false) => {}
            Err(packet) => out.drop(packet, DropReason::NeighbourPending),
        }
    }
}

/// Sends an ARP request or a neighbour solicitation for `neighbour`.
pub fn ask(cx: &mut Cx, neighbour: NeighbourId) {
    let Some(entry) = cx.tables.neighbour_entries.get(neighbour.index()).copied() else { return };
    let mut frame = [0; reply::FRESH_OCTETS];
    let Some(octets) = reply::solicit(&mut frame, entry.source_mac, entry.source, entry.address, None) else { return };
    let Some(mut packet) = cx.pool.alloc() else { return };
    if !frame.get(..octets).is_some_and(|frame| packet.append(frame, &cx.pool)) {
        packet.free();
        return;
    }
    *packet.meta_mut() = Meta { egress: entry.port, flags: Flags::CREATED, ..Meta::default() };
    cx.counters.totals.created += 1;
    cx.tx.send_one(entry.port, packet, &mut cx.counters);
}

/// Housekeeping: emits what may go on through `resume`, drops what waited in vain, asks again where it is time.
pub fn attend(cx: &mut Cx, mut resume: impl FnMut(Mbuf)) {
    if cx.parked.waiting.is_empty() {
        return;
    }
    let (now, second) = (cx.now.tsc, cx.tsc_hz);
    let mut again = None;
    let mut index = 0;
    while let Some(neighbour) = cx.parked.waiting.get(index).map(|(neighbour, _)| *neighbour) {
        let Some(asked) = cx.parked.asked.get_mut(neighbour.index()) else { break };
        let fate = match cx.tables.neighbours.get(neighbour) {
            Neighbour::Resolved(_) => Fate::Resume,
            _ if now.saturating_sub(asked.last_tsc) < second => Fate::Wait,
            _ if asked.tries >= TRIES_MAX => Fate::GiveUp,
            _ => {
                asked.tries += 1;
                asked.last_tsc = now;
                again = Some(neighbour);
                Fate::Wait
            }
        };
        if fate == Fate::Wait {
            index += 1;
            if let Some(neighbour) = again.take() {
                ask(cx, neighbour);
            }
            continue;
        }
        asked.packets = asked.packets.saturating_sub(1);
        let last = asked.packets == 0;
        if last {
            *asked = Asked::default();
        }
        let (_, packet) = cx.parked.waiting.remove(index);
        if fate == Fate::Resume {
            resume(packet);
        } else {
            cx.counters.drop(packet.meta().ingress, DropReason::NeighbourUnreachable, 1);
            packet.free();
            if last {
                cx.event(Event::Unreachable { neighbour });
            }
        }
    }
}
