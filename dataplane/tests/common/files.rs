//! Files of frames: written for weir to read, and read to see what it sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

/// Where the tests' sources write the sequence number: behind Ethernet, IPv4 and UDP headers.
pub(crate) const SEQUENCE_AT: usize = 42;

/// Writes frames to a capture file.
pub(crate) fn write_pcap<'a>(path: &Path, frames: impl IntoIterator<Item = &'a [u8]>) {
    let mut writer = PcapWriter::new(BufWriter::new(File::create(path).unwrap())).unwrap();
    for frame in frames {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, frame.len() as u32, frame)).unwrap();
    }
}

/// Gives every frame of a capture file to `take`.
#[track_caller]
pub(crate) fn read_pcap(path: &Path, mut take: impl FnMut(&[u8])) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = PcapReader::new(BufReader::new(file)).unwrap();
    while let Some(packet) = reader.next_packet() {
        take(&packet.unwrap_or_else(|error| panic!("{}: {error}", path.display())).data);
    }
}

/// Who sent a frame, and on which flow: source address and port.
pub(crate) type Flow = (u32, u16);

/// What the frames of one flow look like at the other end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) count: u64,
    /// Frames whose number was not above the one before.
    pub(crate) disordered: u64,
}

/// The sequence numbers of all IPv4 UDP frames of a file, by flow.
#[track_caller]
pub(crate) fn sequences(path: &Path) -> BTreeMap<Flow, Seen> {
    let mut flows = BTreeMap::new();
    read_pcap(path, |frame| {
        let Some((flow, number)) = number_of(frame) else { return };
        let seen: &mut Seen = flows.entry(flow).or_insert_with(|| Seen { first: number, ..Seen::default() });
        if seen.count != 0 && number <= seen.last {
            seen.disordered += 1;
        }
        seen.last = number;
        seen.count += 1;
    });
    flows
}

fn number_of(frame: &[u8]) -> Option<(Flow, u64)> {
    let is_udp = frame.get(12..15)? == [0x08, 0x00, 0x45] && *frame.get(23)? == 17;
    let address = u32::from_be_bytes(*frame.get(26..)?.first_chunk()?);
    let port = u16::from_be_bytes(*frame.get(34..)?.first_chunk()?);
    let number = u64::from_be_bytes(*frame.get(SEQUENCE_AT..)?.first_chunk()?);
    is_udp.then_some(((address, port), number))
}

/// Fails unless the file holds, from `address`, every number from `first` up to some last one in steps of `step`, once and
/// in order: nothing was lost, doubled or overtaken. Gives their count.
#[track_caller]
pub(crate) fn all_in_order(path: &Path, address: std::net::Ipv4Addr, first: u64, step: u64) -> u64 {
    let (mut count, mut next, mut wrong) = (0, first, Vec::new());
    read_pcap(path, |frame| {
        let Some(((from, _), number)) = number_of(frame) else { return };
        if from != address.to_bits() {
            return;
        }
        if number != next && wrong.len() < 10 {
            wrong.push(format!("{number} came where {next} was due"));
        }
        next = number + step;
        count += 1;
    });
    assert!(wrong.is_empty(), "{}: from {address}: {}", path.display(), wrong.join("; "));
    count
}

/// A random number generator: the same seed, the same numbers (SplitMix64, public domain, Sebastiano Vigna).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `bound` - 1.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
