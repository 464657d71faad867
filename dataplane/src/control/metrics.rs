//! `/metrics`: what Prometheus scrapes, made from the same figures as `weir show`.

use std::fmt::{Display, Write as _};

use super::status::{DropStatus, NetworkStatus, PortStatus, Sample, TunnelStatus, WorkerStatus};
use super::{ControlError, Controller};
use crate::ledger::stages::RowCounters;
use crate::ledger::{Account, LedgerCounters, StageSplit};

/// Everything of one moment.
#[derive(Debug)]
pub(super) struct Scrape {
    sample: Sample,
    workers: Vec<WorkerStatus>,
    ports: Vec<PortStatus>,
    networks: Vec<NetworkStatus>,
    tunnels: Vec<TunnelStatus>,
    drops: Vec<DropStatus>,
    mbufs: u32,
    mbufs_in_use: u32,
    tsc_hz: u64,
}

type OfPort = fn(&PortStatus) -> u64;
type OfNetwork = fn(&NetworkStatus) -> u64;
type OfTunnel = fn(&TunnelStatus) -> u64;
type OfWorker = fn(&WorkerStatus) -> i128;
type OfRow = fn(&RowCounters) -> u64;

/// Busy cycles by stage, added up from scrape to scrape.
///
/// At level `sampled` the split of a window is an estimate that is apportioned to exact busy cycles. The estimate for the
/// whole time since start may go down for a stage, and a counter may not; the sum over windows does not.
#[derive(Debug, Default)]
pub(super) struct StageCycles {
    workers: Vec<(LedgerCounters, Vec<u64>)>,
}

impl StageCycles {
    /// Takes in what each worker's ledger says now; the totals by worker and row.
    fn advance<'a>(&mut self, now: impl Iterator<Item = &'a LedgerCounters>) -> impl Iterator<Item = &[u64]> {
        for (index, now) in now.enumerate() {
            let Some((last, totals)) = self.workers.get_mut(index) else {
                let cycles = StageSplit::new(now).map(|split| split.cycles);
                // Without a sample yet, the window stays open from the start: the difference of `now` to itself is zero.
                let last = if cycles.is_some() { now.clone() } else { now.delta(now) };
                self.workers.push((last, cycles.unwrap_or_else(|| vec![0; now.rows.len()])));
                continue;
            };
            if let Some(split) = StageSplit::new(&now.delta(last)) {
                totals.iter_mut().zip(split.cycles).for_each(|(total, more)| *total += more);
                last.clone_from(now);
            }
        }
        self.workers.iter().map(|(_, totals)| totals.as_slice())
    }
}

impl Scrape {
    pub(super) fn new(controller: &mut Controller) -> Result<Self, ControlError> {
        let sample = controller.sample()?;
        Ok(Self {
            workers: controller.workers(&sample),
            ports: controller.port_status(&sample),
            networks: controller.network_status(&sample),
            tunnels: controller.tunnel_status(&sample),
            drops: controller.drop_status(&sample),
            mbufs: controller.pool().capacity(),
            mbufs_in_use: controller.pool().in_use(),
            tsc_hz: controller.clock().hz(),
            sample,
        })
    }

    /// The text format. `docs/cli.md` lists the names.
    pub(super) fn text(&self, stage_cycles: &mut StageCycles) -> String {
        let mut page = Page::default();
        page.family("weir_build_info", "gauge", "Always 1; the label says which weir this is.");
        page.value(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
        page.family("weir_tsc_hertz", "gauge", "Ticks per second of all cycle counters.");
        page.value(&[], self.tsc_hz);
        page.family("weir_mbufs", "gauge", "Packet buffers of the pool.");
        page.value(&[], self.mbufs);
        page.family("weir_mbufs_in_use", "gauge", "Packet buffers that devices and workers hold.");
        page.value(&[], self.mbufs_in_use);
        self.ports(&mut page);
        self.overlay(&mut page);
        page.family("weir_drops_total", "counter", "Packets dropped, by reason.");
        for drop in &self.drops {
            page.value(&[("reason", &drop.reason.name())], drop.packets);
        }
        self.worker_counters(&mut page);
        self.cycles(&mut page, stage_cycles);
        page.text
    }

    fn ports(&self, page: &mut Page) {
        let families: &[(&str, &str, &str, OfPort)] = &[
            ("weir_port_up", "gauge", "1 when something is at the port's other end.", |port| port.up.into()),
            ("weir_port_rx_packets_total", "counter", "Packets received.", |port| port.counters.rx_packets),
            ("weir_port_rx_bytes_total", "counter", "Octets received, without FCS.", |port| port.counters.rx_octets),
            ("weir_port_tx_packets_total", "counter", "Packets sent.", |port| port.counters.tx_packets),
            ("weir_port_tx_bytes_total", "counter", "Octets sent, without FCS.", |port| port.counters.tx_octets),
            ("weir_port_dropped_packets_total", "counter", "Packets received here and dropped.", |port| {
                port.counters.dropped
            }),
            ("weir_port_tx_dropped_packets_total", "counter", "Packets that could not be sent here.", |port| {
                port.counters.tx_dropped
            }),
        ];
        for (name, kind, help, reading) in families {
            page.family(name, kind, help);
            for port in &self.ports {
                page.value(&[("port", &port.name), ("role", &port.role)], reading(port));
            }
        }
    }

    fn overlay(&self, page: &mut Page) {
        let families: &[(&str, &str, &str, OfNetwork)] = &[
            ("weir_network_packets_total", "counter", "Frames bridged.", |network| network.counters.packets),
            ("weir_network_flooded_total", "counter", "Frames flooded.", |network| network.counters.flooded),
            ("weir_network_suppressed_total", "counter", "ARP and ND requests answered here.", |network| {
                network.counters.suppressed
            }),
            ("weir_network_macs", "gauge", "MAC addresses known.", |network| network.macs as u64),
        ];
        for (name, kind, help, reading) in families {
            page.family(name, kind, help);
            for network in &self.networks {
                page.value(&[("network", &network.name), ("vni", &network.vni)], reading(network));
            }
        }
        let families: &[(&str, &str, OfTunnel)] = &[
            ("weir_tunnel_tx_packets_total", "Packets encapsulated.", |tunnel| tunnel.counters.tx_packets),
            ("weir_tunnel_tx_bytes_total", "Inner octets encapsulated.", |tunnel| tunnel.counters.tx_octets),
            ("weir_tunnel_rx_packets_total", "Packets decapsulated.", |tunnel| tunnel.counters.rx_packets),
            ("weir_tunnel_rx_bytes_total", "Inner octets decapsulated.", |tunnel| tunnel.counters.rx_octets),
        ];
        for (name, help, reading) in families {
            page.family(name, "counter", help);
            for tunnel in &self.tunnels {
                page.value(&[("remote", &tunnel.remote)], reading(tunnel));
            }
        }
    }

    fn worker_counters(&self, page: &mut Page) {
        let families: &[(&str, &str, &str, OfWorker)] = &[
            ("weir_worker_rx_packets_total", "counter", "Packets received.", |w| w.totals.rx.into()),
            ("weir_worker_tx_packets_total", "counter", "Packets sent, punted ones excepted.", |w| w.totals.tx.into()),
            ("weir_worker_dropped_packets_total", "counter", "Packets dropped.", |w| w.dropped.into()),
            ("weir_worker_empty_polls_total", "counter", "Polls that returned nothing.", |w| w.empty_polls.into()),
            ("weir_worker_events_lost_total", "counter", "Learn and neighbour events that found no room.", |w| {
                w.events_lost.into()
            }),
            ("weir_worker_blocked_cycles_total", "counter", "TSC cycles held up by changes.", |w| {
                w.blocked_cycles.into()
            }),
            ("weir_worker_imbalance_packets", "gauge", "What packet conservation is off by: 0, or a bug.", |w| {
                w.imbalance.into()
            }),
        ];
        for (name, kind, help, reading) in families {
            page.family(name, kind, help);
            for worker in &self.workers {
                page.value(&[("worker", &worker.worker), ("cpu", &worker.cpu)], reading(worker));
            }
        }
    }

    fn cycles(&self, page: &mut Page, stage_cycles: &mut StageCycles) {
        let ledgers = || self.sample.workers.iter().map(|worker| &worker.ledger);
        page.family("weir_worker_cycles_total", "counter", "TSC cycles by account; they sum to the worker's time.");
        for (worker, ledger) in ledgers().enumerate() {
            for account in Account::ALL {
                page.value(&[("worker", &worker), ("account", &account.name())], ledger.account(account));
            }
        }
        let families: [(&str, &str, OfRow); 2] = [
            ("weir_stage_packets_total", "Packets that visited the stage.", |row| row.packets),
            ("weir_stage_calls_total", "Runs of the stage.", |row| row.calls),
        ];
        for (name, help, reading) in families {
            page.family(name, "counter", help);
            for (worker, ledger) in ledgers().enumerate() {
                for (spec, row) in ledger.specs.iter().zip(&ledger.rows) {
                    page.value(&[("stage", &spec.name), ("worker", &worker)], reading(row));
                }
            }
        }
        let help = "Busy TSC cycles by stage: exact at level full, apportioned to the exact busy cycles at sampled.";
        page.family("weir_stage_cycles_total", "counter", help);
        let specs: Vec<_> = ledgers().map(|ledger| &ledger.specs).collect();
        for ((worker, specs), totals) in specs.into_iter().enumerate().zip(stage_cycles.advance(ledgers())) {
            for (spec, cycles) in specs.iter().zip(totals) {
                page.value(&[("stage", &spec.name), ("worker", &worker)], cycles);
            }
        }
    }
}

/// A page in the text format, version 0.0.4.
#[derive(Debug, Default)]
struct Page {
    text: String,
    name: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        name.clone_into(&mut self.name);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn value(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.text.push_str(&self.name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Ledger, LedgerConfig, Level, RowKind, RowSpec};

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.family("weir_x_total", "counter", "X.");
        page.value(&[("a", &"b\"\\\n"), ("n", &7)], 1);
        page.value(&[], 2);
        let expected = "# HELP weir_x_total X.\n# TYPE weir_x_total counter\nweir_x_total{a=\"b\\\"\\\\\\n\",n=\"7\"} 1\nweir_x_total 2\n";
        assert_eq!(page.text, expected);
    }

    /// A ledger at some moment of its life: `busy` cycles, of which those sampled fell on `on_stage`.
    fn counters(bursts: u64, busy: u64, sampled: u64, on_stage: [u64; 2]) -> LedgerCounters {
        let stages = [RowSpec { name: "one", kind: RowKind::Task }, RowSpec { name: "two", kind: RowKind::Task }];
        let ledger = Ledger::new(&stages, &LedgerConfig { level: Level::Sampled, ..LedgerConfig::new(1_000_000_000) });
        let mut counters = ledger.unwrap().counters();
        (counters.bursts[32], counters.busy[32], counters.sampled_bursts[32]) = (bursts, busy, sampled);
        let fixed = counters.rows.len() - 2;
        for (row, cycles) in counters.rows[fixed..].iter_mut().zip(on_stage) {
            row.cycles[32] = cycles;
            row.samples[32] = sampled;
        }
        counters
    }

    #[test]
    fn stage_cycles_never_go_down_and_sum_to_the_busy_cycles() {
        // Split anew over the whole time, stage one would go from 900 down to 750.
        let windows = [
            counters(10, 1000, 0, [0, 0]),
            counters(10, 1000, 1, [90, 10]),
            counters(20, 1500, 4, [120, 40]),
            counters(20, 1500, 4, [120, 40]),
        ];
        let mut cycles = StageCycles::default();
        let mut last = vec![0; windows[0].rows.len()];
        for (window, busy) in windows.iter().zip([0, 1000, 1500, 1500]) {
            let now: Vec<u64> = cycles.advance(std::iter::once(window)).next().unwrap().to_vec();
            assert!(now.iter().zip(&last).all(|(now, last)| now >= last), "{last:?} {now:?}");
            assert_eq!(now.iter().sum::<u64>(), busy);
            last = now;
        }
    }
}
