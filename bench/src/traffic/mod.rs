//! The frames that are replayed, and the capture files that hold them.

mod frames;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};

pub(crate) use frames::{FRAME_OCTETS, HOSTS, Shape, host_mac};

/// Octets of the frame check sequence, which no capture holds but every frame size counts.
pub(crate) const FCS_OCTETS: usize = 4;

/// Writes `flows` frames, one a flow, to `folder/<shape>_<flows>.pcap` and says where that is.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(shape: Shape, flows: u32, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{}_{flows}.pcap", shape.name()));
    let frames = (0..flows).map(|flow| shape.frame(flow));
    write_frames(&path, frames).with_context(|| format!("writing the traffic to {}", path.display()))?;
    Ok(path)
}

fn write_frames(path: &Path, frames: impl Iterator<Item = Vec<u8>>) -> anyhow::Result<()> {
    let mut writer = PcapWriter::new(BufWriter::new(File::create(path)?))?;
    for (number, frame) in (0_u64..).zip(frames) {
        writer.write_packet(&PcapPacket::new_owned(Duration::from_micros(number), frame.len() as u32, frame))?;
    }
    std::io::Write::flush(&mut writer.into_writer())?;
    Ok(())
}

/// Copies the first `count` frames of a capture to another and returns how many there were to copy. A capture whose
/// last record is cut off ends before it.
///
/// # Errors
/// When a file cannot be read or written.
pub(crate) fn copy_first(from: &Path, to: &Path, count: usize) -> anyhow::Result<usize> {
    let mut reader = PcapReader::new(std::io::BufReader::new(File::open(from)?))?;
    let mut frames = Vec::new();
    while frames.len() < count
        && let Some(Ok(packet)) = reader.next_packet()
    {
        frames.push(packet.data.into_owned());
    }
    let copied = frames.len();
    write_frames(to, frames.into_iter())?;
    Ok(copied)
}
