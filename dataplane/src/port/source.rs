//! `source:…`: packets that weir makes itself, from templates, paced by the TSC, for measuring under an exact load.
//!
//! Making a packet (allocation and copy) costs cycles that are not the dataplane's. They are spent in
//! [`SourceRx::generate`], which the worker books to its own account; [`SourceRx::rx`] only hands over.

use std::net::Ipv4Addr;
use std::sync::Arc;

use overlay::num::{MacAddr, PortId};
use overlay::packet::{Flags, Meta, PacketBuf};
use overlay::wire::checksum::{Sum, checksum};
use overlay::wire::protocol;

use super::options::Options;
use super::spec::Kind;
use super::{Backend, OpenParams};
use crate::dpdk::{BURST_MAX, Burst, Mempool};

pub(super) const BACKEND: Backend = Backend {
    name: "source",
    syntax: "source:[frames=PCAP|size=N,flows=N,src_mac=M,dst_mac=M,src_ip=A,dst_ip=A],rate_pps=N[,burst=N][,seq=OFFSET][,seed=N]",
    help: "packets made by weir from a capture file or a template, at an exact rate (0 = as fast as polled)",
    parse,
};

/// What a source makes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSpec {
    template: Template,
    rate_pps: u64,
    burst: usize,
    /// Where the sequence number is written.
    sequence_at: Option<usize>,
    /// 0: templates in turn; else in a random order from this seed.
    seed: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Template {
    Pcap(String),
    Udp { octets: usize, flows: u32, macs: (MacAddr, MacAddr), ips: (Ipv4Addr, Ipv4Addr) },
}

/// What a source did. `made = handed over + held`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SourceCounters {
    /// Packets made.
    pub made: u64,
    /// Packets made and not yet received.
    pub held: u64,
    /// Packets that were due and not made, because nobody polled in time or the pool was empty.
    pub missed: u64,
}

/// Octets of Ethernet, IPv4 and UDP headers.
const HEADERS_OCTETS: usize = 14 + 20 + 8;
/// Octets of a sequence number.
const SEQUENCE_OCTETS: usize = 8;

fn parse(text: &str) -> Result<Kind, String> {
    let mut options = Options::keys(text);
    let frames = options.text("frames")?;
    let octets = options.number("size", HEADERS_OCTETS as u64, 9018)?;
    let flows = options.number("flows", 1, 60_000)?;
    let src_mac = options.value("src_mac")?;
    let dst_mac = options.value("dst_mac")?;
    let src_ip = options.value("src_ip")?;
    let dst_ip = options.value("dst_ip")?;
    let rate_pps = options.number("rate_pps", 0, 1_000_000_000)?.unwrap_or(0);
    let burst = options.number("burst", 1, BURST_MAX as u64)?.unwrap_or(32) as usize;
    let sequence_at = options.number("seq", 0, 9018)?.map(|at| at as usize);
    let seed = options.number("seed", 0, u64::MAX)?.unwrap_or(0);
    options.end("frames, size, flows, src_mac, dst_mac, src_ip, dst_ip, rate_pps, burst, seq, seed")?;

    let generated = octets.is_some()
        || flows.is_some()
        || src_mac.is_some()
        || dst_mac.is_some()
        || src_ip.is_some()
        || dst_ip.is_some();
    let template = match frames {
        Some(_) if generated => {
            return Err("frames=PCAP excludes size, flows and addresses: the frames are taken as they are".into());
        }
        Some(path) => Template::Pcap(path.to_owned()),
        None => Template::Udp {
            // 60 octets are 64 on the wire, with the frame check sequence.
            octets: octets.unwrap_or(60) as usize,
            flows: flows.unwrap_or(1) as u32,
            macs: (src_mac.unwrap_or(MacAddr([2, 0, 0, 0, 0, 1])), dst_mac.unwrap_or(MacAddr([2, 0, 0, 0, 0, 2]))),
            ips: (src_ip.unwrap_or(Ipv4Addr::new(198, 18, 0, 1)), dst_ip.unwrap_or(Ipv4Addr::new(198, 19, 0, 1))),
        },
    };
    if let (Template::Udp { octets, .. }, Some(at)) = (&template, sequence_at)
        && (at < HEADERS_OCTETS || at + SEQUENCE_OCTETS > *octets)
    {
        return Err(format!(
            "seq={at}: the sequence number's {SEQUENCE_OCTETS} octets must lie in the payload, from {HEADERS_OCTETS} to \
             size ({octets})"
        ));
    }
    Ok(Kind::Source(SourceSpec { template, rate_pps, burst, sequence_at, seed }))
}

impl SourceSpec {
    /// The frames to be sent.
    pub(super) fn frames(&self) -> Result<Arc<[Box<[u8]>]>, String> {
        let frames: Vec<Box<[u8]>> = match &self.template {
            Template::Pcap(path) => read_pcap(path)?,
            Template::Udp { octets, flows, macs, ips } => {
                (0..*flows).map(|flow| udp(*octets, flow, *macs, *ips, self.sequence_at.is_none())).collect()
            }
        };
        if let Some(at) = self.sequence_at
            && let Some(short) = frames.iter().find(|frame| frame.len() < at + SEQUENCE_OCTETS)
        {
            return Err(format!("seq={at}: a frame of {} octets has no room for the sequence number", short.len()));
        }
        Ok(frames.into())
    }
}

fn read_pcap(path: &str) -> Result<Vec<Box<[u8]>>, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("frames={path} cannot be opened: {error}"))?;
    let mut reader = pcap_file::pcap::PcapReader::new(std::io::BufReader::new(file))
        .map_err(|error| format!("frames={path} is not a capture file (pcap): {error}"))?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| format!("frames={path}, packet {}: {error}", frames.len() + 1))?;
        frames.push(packet.data.into_owned().into_boxed_slice());
    }
    if frames.is_empty() { Err(format!("frames={path} holds no packet")) } else { Ok(frames) }
}

/// One UDP over IPv4 frame. Flows differ in their source port. With a sequence number, which changes from packet to
/// packet, the UDP checksum is left out (0, RFC 768).
fn udp(octets: usize, flow: u32, macs: (MacAddr, MacAddr), ips: (Ipv4Addr, Ipv4Addr), summed: bool) -> Box<[u8]> {
    let mut ip = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol::UDP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let ip_octets = (octets - 14) as u16;
    ip[2..4].copy_from_slice(&ip_octets.to_be_bytes());
    ip[12..16].copy_from_slice(&ips.0.octets());
    ip[16..20].copy_from_slice(&ips.1.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());

    let udp_octets = ip_octets - 20;
    let mut udp = vec![0; udp_octets as usize];
    let source = 1024 + flow as u16;
    udp[0..2].copy_from_slice(&source.to_be_bytes());
    // Discard (RFC 863).
    udp[2..4].copy_from_slice(&9_u16.to_be_bytes());
    udp[4..6].copy_from_slice(&udp_octets.to_be_bytes());
    if summed {
        let sum = Sum::pseudo_v4(ips.0, ips.1, protocol::UDP, udp_octets).with(&udp).finish_udp();
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    [&macs.1.0[..], &macs.0.0, &[0x08, 0x00], &ip, &udp].concat().into_boxed_slice()
}

/// The receive handle of a source.
#[derive(Debug)]
pub struct SourceRx {
    frames: Arc<[Box<[u8]>]>,
    pool: Mempool,
    ready: Burst,
    burst: usize,
    /// Ticks between packets, times 2¹⁶; 0 = unpaced.
    period: u128,
    /// When the next packet is due: ticks times 2¹⁶; 0 = the clock has not started.
    due: u128,
    next: usize,
    random: u64,
    sequence_at: Option<usize>,
    sequence: u64,
    port: PortId,
    counters: SourceCounters,
}

/// A backlog of more than this many bursts is not made up for: it would be an overload, not a rate.
const BACKLOG_BURSTS: u128 = 16;

impl SourceRx {
    pub(super) fn new(
        spec: &SourceSpec,
        frames: Arc<[Box<[u8]>]>,
        port: PortId,
        queue: u16,
        params: &OpenParams,
    ) -> Self {
        let queues = u128::from(params.rx_queues.max(1));
        let period = match spec.rate_pps {
            0 => 0,
            // The rate is the port's: its queues share it.
            rate => ((u128::from(params.clock.hz()) << 16) * queues / u128::from(rate)).max(1),
        };
        Self {
            frames,
            pool: params.pool.clone(),
            ready: Burst::new(),
            burst: spec.burst,
            period,
            due: 0,
            next: 0,
            random: if spec.seed == 0 { 0 } else { super::fault::seed(spec.seed, u64::from(queue)) },
            sequence_at: spec.sequence_at,
            sequence: 0,
            port,
            counters: SourceCounters::default(),
        }
    }

    /// Makes the packets that are due at `now_tsc`, up to one burst. While the last ones were not received, none.
    pub fn generate(&mut self, now_tsc: u64) {
        let room = self.burst.saturating_sub(self.ready.len());
        let count = self.due_now(now_tsc).min(room);
        if count == 0 {
            return;
        }
        let before = self.ready.len();
        if !self.pool.alloc_bulk(&mut self.ready, count) {
            self.counters.missed += count as u64;
            return;
        }
        let mut filled = true;
        for at in before..before + count {
            let frame = self.pick();
            let (Some(frame), Some(mbuf)) = (self.frames.get(frame), self.ready.as_mut_slice().get_mut(at)) else {
                break;
            };
            mbuf.set_meta(Meta { flags: Flags::default(), ..Meta::received(self.port) });
            filled &= mbuf.append(frame, &self.pool);
            if let Some(offset) = self.sequence_at {
                mbuf.write_at(offset, &self.sequence.to_be_bytes());
            }
            self.sequence += 1;
        }
        if filled {
            self.counters.made += count as u64;
        } else {
            // The pool ran out inside a chained frame: a torso must not be sent.
            let mut whole = self.ready.take_front(before);
            self.ready.free_all();
            self.ready.append(&mut whole);
            self.counters.missed += count as u64;
        }
    }

    /// How many packets the pace allows now; moves the pace on by as many.
    fn due_now(&mut self, now_tsc: u64) -> usize {
        if self.period == 0 {
            return BURST_MAX;
        }
        let now = u128::from(now_tsc) << 16;
        if self.due == 0 {
            self.due = now;
        }
        let Some(late) = now.checked_sub(self.due) else { return 0 };
        let mut due = late / self.period + 1;
        let backlog = BACKLOG_BURSTS * self.burst as u128;
        if due > backlog {
            let given_up = due - backlog;
            self.due += given_up * self.period;
            self.counters.missed += given_up as u64;
            due = backlog;
        }
        let room = self.burst.saturating_sub(self.ready.len());
        let count = (due as usize).min(room);
        self.due += count as u128 * self.period;
        count
    }

    fn pick(&mut self) -> usize {
        let frames = self.frames.len();
        if self.random != 0 {
            return (super::fault::next_random(&mut self.random) % frames.max(1) as u64) as usize;
        }
        let this = self.next;
        self.next = if this + 1 < frames { this + 1 } else { 0 };
        this
    }

    /// Hands over what was made, up to `max`.
    #[inline]
    pub fn rx(&mut self, burst: &mut Burst, max: usize) -> usize {
        self.ready.move_front(max, burst)
    }

    /// What it did.
    pub fn counters(&self) -> SourceCounters {
        SourceCounters { held: self.ready.len() as u64, ..self.counters }
    }
}
