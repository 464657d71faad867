//! What the scripts print: `name value` a line.

use serde::{Deserialize, Serialize};

/// A competitor's figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// TSC cycles per packet, by the competitor's own count.
    pub cycles_per_packet: f64,
    /// Packets counted.
    pub packets: Option<u64>,
    /// Packets per receive burst, where it tells.
    pub mean_rx_burst: Option<f64>,
    /// Polls that returned nothing for each that returned packets, where it tells.
    pub empty_polls_per_burst: Option<f64>,
    /// Part of the time that its polling thread waited while others had the CPU. Its own count of cycles goes on.
    pub waited_share: f64,
}

impl Figure {
    /// Cycles per packet without those that others had, as weir's are without stolen ones.
    pub(crate) fn own_cycles_per_packet(&self) -> f64 {
        self.cycles_per_packet * (1.0 - self.waited_share.clamp(0.0, 1.0))
    }
}

/// Reads a script's output. testpmd's own lines of burst statistics are understood as well.
///
/// # Errors
/// When there is no figure: with what was there.
pub(crate) fn parse(text: &str) -> anyhow::Result<Figure> {
    let line = |name: &str| {
        let mut lines = text.lines().rev().map(str::split_whitespace);
        lines.find_map(|mut words| words.next().filter(|word| *word == name).and_then(|_| words.next()))
    };
    let value = |name: &str| line(name)?.parse::<f64>().ok();
    let cycles = value("cycles_per_packet").filter(|cycles| *cycles > 0.0);
    let cycles_per_packet =
        cycles.ok_or_else(|| anyhow::anyhow!("the peer printed no cycles per packet, but:\n{}", text.trim()))?;
    let packets = line("packets").and_then(|word| word.parse().ok());
    let bursts = Bursts::of(text);
    let mean_rx_burst = bursts.map(|bursts| bursts.packets / bursts.full);
    let empty_polls_per_burst = bursts.map(|bursts| bursts.empty / bursts.full);
    let waited_share = value("waited_share").unwrap_or(0.0);
    Ok(Figure { cycles_per_packet, packets, mean_rx_burst, empty_polls_per_burst, waited_share })
}

/// testpmd's statistics, the streams together:
/// `RX-bursts : 18158 [0% of 0 pkts + 90% of 32 pkts + 7% of 28 pkts + 3% of other]`.
#[derive(Clone, Copy, Debug, Default)]
struct Bursts {
    packets: f64,
    /// Polls with packets; `other` counts as half of a burst.
    full: f64,
    empty: f64,
}

impl Bursts {
    /// `None` without a poll that returned packets.
    fn of(text: &str) -> Option<Self> {
        let mut sum = Self::default();
        for line in text.lines().filter(|line| line.trim_start().starts_with("RX-bursts")) {
            let (all, parts) = line.split_once(':')?.1.split_once('[')?;
            let all: f64 = all.trim().parse().ok()?;
            for part in parts.trim_end_matches(']').split(" + ") {
                let (percent, size) = part.split_once("% of ")?;
                let count = all * percent.trim().parse::<f64>().ok()? / 100.0;
                let size = if size.trim() == "other" { 16.0 } else { size.split_whitespace().next()?.parse().ok()? };
                if size > 0.0 {
                    sum.packets += count * size;
                    sum.full += count;
                } else {
                    sum.empty += count;
                }
            }
        }
        (sum.full > 0.0).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read() {
        let figure = parse("noise\ncycles_per_packet 36.25\npackets 12345678\nwaited_share 0.2\n").unwrap();
        let packets = Some(12_345_678);
        let wanted = Figure {
            cycles_per_packet: 36.25,
            packets,
            mean_rx_burst: None,
            empty_polls_per_burst: None,
            waited_share: 0.2,
        };
        assert_eq!(figure, wanted);
        assert!((figure.own_cycles_per_packet() - 29.0).abs() < 1e-12);
    }

    #[test]
    fn the_last_figure_counts_and_none_is_an_error() {
        let figure = parse("cycles_per_packet 1\ncycles_per_packet 2").unwrap();
        assert!((figure.cycles_per_packet - 2.0).abs() < 1e-12);
        for text in ["", "cycles_per_packet", "cycles_per_packet nan", "cycles_per_packet 0", "cycles_per_packets 3"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("no cycles per packet"), "{error}");
        }
    }

    #[test]
    fn bursts_of_all_streams_are_weighed() {
        let text = "cycles_per_packet 157.0\n\
            RX-bursts : 1000 [50% of 0 pkts + 40% of 32 pkts + 10% of 16 pkts]\n\
            RX-bursts : 100 [0% of 0 pkts + 100% of 32 pkts]\n";
        let figure = parse(text).unwrap();
        assert!((figure.empty_polls_per_burst.unwrap() - 500.0 / 600.0).abs() < 1e-9);
        let mean = figure.mean_rx_burst.unwrap();
        assert!((mean - (400.0 * 32.0 + 100.0 * 16.0 + 100.0 * 32.0) / 600.0).abs() < 1e-9, "{mean}");
        let other = "cycles_per_packet 1\nRX-bursts : 10 [0% of 0 pkts + 60% of 32 pkts + 40% of other]";
        assert!((parse(other).unwrap().mean_rx_burst.unwrap() - 25.6).abs() < 1e-9);
    }
}
