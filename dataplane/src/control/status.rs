//! What `weir show` and the metrics are made from: plain data, taken from the controller and the workers' reports.

use std::net::IpAddr;

use overlay::fib::mac::MacTarget;
use overlay::fib::neighbour::Neighbour;
use overlay::num::{MacAddr, Nanos};
use overlay::reason::{DropReason, Origin};
use serde::Serialize;

use super::{ControlError, Controller};
use crate::config;
use crate::dpdk::tsc;
use crate::ledger::system::Witness;
use crate::ledger::{LedgerCounters, Report, ReportInput};
use crate::port::LinkStats;
use crate::tables::{Counters, NetworkCounters, PortCounters, Totals, TunnelCounters};
use crate::worker::WorkerReport;

/// All workers at one moment: two of them make a ledger's window.
#[derive(Clone, Debug)]
pub struct Sample {
    /// By worker.
    pub workers: Vec<WorkerReport>,
    /// CLOCK_MONOTONIC_RAW between two TSC reads.
    pub at: Nanos,
    /// What the kernel said of each worker.
    pub witnesses: Vec<Witness>,
}

impl Sample {
    /// All workers' counters together.
    pub fn counters(&self) -> Option<Counters> {
        let mut workers = self.workers.iter();
        let mut sum = workers.next()?.counters.clone();
        workers.for_each(|worker| sum.add(&worker.counters));
        Some(sum)
    }
}

/// A worker.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// Its index.
    pub worker: usize,
    /// Its CPU.
    pub cpu: u16,
    /// Packets received.
    pub rx_packets: u64,
    /// Polls that returned nothing.
    pub empty_polls: u64,
    /// Cycles that orders and new tables have held it up.
    pub blocked_cycles: u64,
    /// Events to the control thread that found no room.
    pub events_lost: u64,
    /// The conservation law's terms.
    pub totals: Totals,
    /// All drops together.
    pub dropped: u64,
    /// What the law's two sides differ by: zero, or a bug.
    pub imbalance: i64,
    /// Its receive queues.
    pub queues: Vec<QueueStatus>,
}

/// A receive queue.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatus {
    /// The port.
    pub port: String,
    /// The queue's number.
    pub queue: u16,
    /// Packets received on it.
    pub packets: u64,
    /// Polls that returned nothing.
    pub empty_polls: u64,
}

/// A port.
#[derive(Clone, Debug, Serialize)]
pub struct PortStatus {
    /// Its name.
    pub name: String,
    /// Its identifier.
    pub id: u16,
    /// What it is for.
    pub role: &'static str,
    /// The device, as configured.
    pub device: String,
    /// The driver.
    pub driver: String,
    /// Its MAC address.
    pub mac: MacAddr,
    /// Largest IP packet.
    pub mtu: u16,
    /// Whether something is at the other end.
    pub up: bool,
    /// Workers of the receive queues.
    pub rx_workers: Vec<usize>,
    /// Workers of the transmit queues.
    pub tx_workers: Vec<usize>,
    /// What the workers counted.
    pub counters: PortCounters,
    /// What the device counted; can differ, where a driver counts a failed send as sent.
    pub link: LinkStats,
    /// Drops of packets that came in here, by reason.
    pub drops: Vec<(DropReason, u64)>,
}

/// A network.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkStatus {
    /// Its name.
    pub name: String,
    /// Its identifier on the wire.
    pub vni: u32,
    /// Ports in it, with their VLAN (0 = untagged).
    pub ports: Vec<(String, u16)>,
    /// Remote VTEPs.
    pub vteps: Vec<IpAddr>,
    /// MAC addresses known in it.
    pub macs: usize,
    /// What the workers counted.
    pub counters: NetworkCounters,
}

/// A MAC address.
#[derive(Clone, Debug, Serialize)]
pub struct MacStatus {
    /// The network.
    pub network: String,
    /// The address.
    pub mac: MacAddr,
    /// The port it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The VLAN it is behind on that port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// The VTEP it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtep: Option<IpAddr>,
    /// Whether it is configured.
    pub fixed: bool,
    /// Seconds since it was seen.
    pub age_s: u32,
}

/// A next hop on the underlay.
#[derive(Clone, Debug, Serialize)]
pub struct NeighbourStatus {
    /// The uplink.
    pub port: String,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, when known.
    pub mac: Option<MacAddr>,
    /// `unresolved`, `resolved` or `failed`.
    pub state: &'static str,
    /// Whether it is configured.
    pub fixed: bool,
    /// Seconds since it was heard.
    pub heard_s: Option<u32>,
}

/// A tunnel.
#[derive(Clone, Debug, Serialize)]
pub struct TunnelStatus {
    /// The remote VTEP.
    pub remote: IpAddr,
    /// The uplink it leaves by; `None` when no uplink leads there.
    pub uplink: Option<String>,
    /// The next hop on the way.
    pub next_hop: Option<IpAddr>,
    /// Largest inner frame that fits, in octets.
    pub max_inner_octets: u32,
    /// Networks that use it.
    pub networks: Vec<String>,
    /// What the workers counted.
    pub counters: TunnelCounters,
}

/// A drop reason.
#[derive(Clone, Debug, Serialize)]
pub struct DropStatus {
    /// Its name.
    pub reason: DropReason,
    /// Which part of the way raises it.
    pub origin: Origin,
    /// Packets.
    pub packets: u64,
    /// What it means.
    pub help: &'static str,
}

impl Controller {
    /// All workers at this moment.
    ///
    /// # Errors
    /// When a worker does not come round.
    pub fn sample(&mut self) -> Result<Sample, ControlError> {
        let workers = self.crew.reports()?;
        let (_, at) = tsc::both_clocks();
        Ok(Sample { workers, at, witnesses: self.crew.witnesses() })
    }

    /// The ledger between two samples: one report for each worker and, with several, one for all.
    pub fn ledger(&self, from: &Sample, to: &Sample) -> Vec<Report> {
        let elapsed_nanos = to.at.since(from.at).0;
        let windows: Vec<LedgerCounters> =
            from.workers.iter().zip(&to.workers).map(|(from, to)| to.ledger.delta(&from.ledger)).collect();
        self.ledger_reports(&windows, &since(&to.witnesses, &from.witnesses), elapsed_nanos)
    }

    /// The ledger from the start to `sample`.
    pub fn ledger_since_start(&self, sample: &Sample) -> Vec<Report> {
        let windows: Vec<_> = sample.workers.iter().map(|worker| worker.ledger.clone()).collect();
        let witnesses = since(&sample.witnesses, &self.started_witnesses);
        self.ledger_reports(&windows, &witnesses, sample.at.since(self.started_both.1).0)
    }

    fn ledger_reports(&self, windows: &[LedgerCounters], witnesses: &[Witness], elapsed_nanos: u64) -> Vec<Report> {
        let ratios: Vec<_> = self.crew.hands.iter().map(|hand| hand.mailbox.arrival().core_cycles_per_tsc).collect();
        let input = |scope: String, witness: Witness, core_cycles_per_tsc_cycle: Option<f64>| ReportInput {
            scope,
            tsc_hz: self.clock.hz(),
            elapsed_nanos,
            burst: self.config.workers.burst,
            core_cycles_per_tsc_cycle,
            involuntary_switches: witness.involuntary_switches,
            steal_ticks: witness.steal_ticks,
            port_names: self.ids.ports.iter().map(|(name, id)| (id, name.to_string())).collect(),
            ..ReportInput::default()
        };
        let mut reports: Vec<_> = windows
            .iter()
            .zip(witnesses.iter().zip(&ratios))
            .enumerate()
            .map(|(index, (window, (witness, ratio)))| {
                Report::new(window, &input(format!("worker {index}"), *witness, *ratio))
            })
            .collect();
        if let [first, rest @ ..] = windows
            && !rest.is_empty()
        {
            let mut all = first.clone();
            for window in rest {
                all.merge(window);
            }
            let witness = witnesses.iter().copied().reduce(Witness::plus).unwrap_or_default();
            let sum: Option<f64> = ratios.iter().copied().sum();
            let mean = sum.map(|sum| sum / ratios.len() as f64);
            reports.push(Report::new(&all, &input("all workers".into(), witness, mean)));
        }
        reports
    }

    /// The workers.
    pub fn workers(&self, sample: &Sample) -> Vec<WorkerStatus> {
        let mut list = Vec::new();
        for (worker, (hand, report)) in self.crew.hands.iter().zip(&sample.workers).enumerate() {
            let (totals, dropped) = (report.counters.totals, report.counters.dropped());
            let queues: Vec<_> = report
                .queues
                .iter()
                .map(|(port, queue, packets, empty_polls)| QueueStatus {
                    port: self.name_of(*port),
                    queue: *queue,
                    packets: *packets,
                    empty_polls: *empty_polls,
                })
                .collect();
            list.push(WorkerStatus {
                worker,
                cpu: hand.cpu,
                rx_packets: totals.rx,
                empty_polls: queues.iter().map(|queue| queue.empty_polls).sum(),
                blocked_cycles: hand.mailbox.blocked_cycles(),
                events_lost: report.counters.events_lost,
                totals,
                dropped,
                imbalance: i64::try_from(totals.imbalance(dropped)).unwrap_or(i64::MAX),
                queues,
            });
        }
        list
    }

    /// The ports.
    pub fn port_status(&self, sample: &Sample) -> Vec<PortStatus> {
        let counters = sample.counters();
        let mut list = Vec::new();
        for (name, open) in &self.ports {
            let Some(configured) = self.config.ports.get(name) else { continue };
            let index = open.id.index();
            let counted = counters.as_ref().and_then(|all| all.ports.get(index)).copied().unwrap_or_default();
            let first = index * DropReason::COUNT;
            let drops = counters.as_ref().and_then(|all| all.port_drops.get(first..first + DropReason::COUNT));
            let drops = drops.unwrap_or_default().iter().zip(DropReason::ALL);
            list.push(PortStatus {
                name: name.to_string(),
                id: open.id.0,
                role: configured.settings.role.name(),
                device: configured.settings.device.clone(),
                driver: open.port.driver().to_string(),
                mac: open.mac,
                mtu: configured.settings.mtu,
                up: open.port.link_up(),
                rx_workers: open.assignment.rx.clone(),
                tx_workers: open.assignment.tx.clone(),
                counters: counted,
                link: open.port.link_stats(),
                drops: drops.filter(|(count, _)| **count != 0).map(|(count, reason)| (*reason, *count)).collect(),
            });
        }
        list
    }

    /// The networks.
    pub fn network_status(&self, sample: &Sample) -> Vec<NetworkStatus> {
        let counters = sample.counters();
        let mut macs = std::collections::HashMap::new();
        for (key, ..) in self.macs.iter() {
            *macs.entry(key.network()).or_insert(0_usize) += 1;
        }
        let describe = |network: &config::Network| {
            let id = self.ids.network(network.name.as_str());
            let members = self.config.members(network.name.as_str());
            NetworkStatus {
                name: network.name.to_string(),
                vni: network.settings.vni.get(),
                ports: members.map(|(port, vlan)| (port.name.to_string(), vlan.unwrap_or(0))).collect(),
                vteps: network.vteps.iter().copied().collect(),
                macs: macs.get(&id).copied().unwrap_or(0),
                counters: counters.as_ref().and_then(|all| all.networks.get(id.index())).copied().unwrap_or_default(),
            }
        };
        self.config.networks.values().map(describe).collect()
    }

    /// The MAC addresses of all networks.
    pub fn mac_status(&self) -> Vec<MacStatus> {
        let now = self.now_secs();
        let mut list: Vec<_> = self
            .macs
            .iter()
            .map(|(key, destination, seen)| {
                let (port, vlan, vtep) = match destination.target() {
                    MacTarget::Port(port, 0) => (Some(self.name_of(port)), None, None),
                    MacTarget::Port(port, vlan) => (Some(self.name_of(port)), Some(vlan), None),
                    MacTarget::Tunnel(tunnel) => (None, None, self.ids.tunnel_address(tunnel)),
                };
                let network = self.ids.network_name(key.network()).map_or_else(String::new, ToString::to_string);
                let fixed = destination.is_static();
                MacStatus { network, mac: key.mac(), port, vlan, vtep, fixed, age_s: now.saturating_sub(seen) }
            })
            .collect();
        list.sort_by(|a, b| (&a.network, a.mac).cmp(&(&b.network, b.mac)));
        list
    }

    /// The next hops.
    pub fn neighbour_status(&self) -> Vec<NeighbourStatus> {
        let mut list: Vec<_> = self
            .ids
            .neighbours
            .iter()
            .map(|(id, port, address)| {
                let (state, mac) = match self.neighbours.get(id) {
                    Neighbour::Resolved(mac) => ("resolved", Some(mac)),
                    Neighbour::Unresolved => ("unresolved", None),
                    Neighbour::Failed => ("failed", None),
                };
                let fixed = self.next_hop_is_static(id);
                let heard_s = self.next_hop_heard_secs(id);
                NeighbourStatus { port: self.name_of(port), address, mac, state, fixed, heard_s }
            })
            .collect();
        list.sort_by(|a, b| (&a.port, a.address).cmp(&(&b.port, b.address)));
        list
    }

    /// The tunnels.
    pub fn tunnel_status(&self, sample: &Sample) -> Vec<TunnelStatus> {
        let counters = sample.counters();
        let tables = self.published.current();
        let mut list: Vec<_> = self
            .ids
            .tunnels
            .iter()
            .map(|(remote, id)| {
                let entry = tables.tunnels.get(usize::from(id));
                let next_hop = entry.and_then(|entry| self.ids.neighbours.address(entry.neighbour));
                let using = self.config.networks.values().filter(|network| network.vteps.contains(remote));
                TunnelStatus {
                    remote: *remote,
                    uplink: entry.filter(|entry| entry.encap.is_some()).map(|entry| self.name_of(entry.egress)),
                    next_hop: next_hop.map(|(_, address)| address),
                    max_inner_octets: entry.map_or(0, |entry| entry.max_inner_octets),
                    networks: using.map(|network| network.name.to_string()).collect(),
                    counters: counters
                        .as_ref()
                        .and_then(|all| all.tunnels.get(usize::from(id)))
                        .copied()
                        .unwrap_or_default(),
                }
            })
            .collect();
        list.sort_by_key(|tunnel| tunnel.remote);
        list
    }

    /// All drop reasons with their counts, zero included.
    pub fn drop_status(&self, sample: &Sample) -> Vec<DropStatus> {
        let counters = sample.counters();
        let count = |reason: &DropReason| {
            counters.as_ref().and_then(|all| all.drops.get(reason.index())).copied().unwrap_or_default()
        };
        let describe = |reason: &DropReason| DropStatus {
            reason: *reason,
            origin: reason.origin(),
            packets: count(reason),
            help: reason.help(),
        };
        DropReason::ALL.iter().map(describe).collect()
    }

    fn name_of(&self, port: overlay::num::PortId) -> String {
        self.ids.port_name(port).map_or_else(|| "?".into(), ToString::to_string)
    }
}

/// By worker: what the kernel added to its account.
fn since(later: &[Witness], earlier: &[Witness]) -> Vec<Witness> {
    later.iter().zip(earlier).map(|(later, earlier)| later.since(*earlier)).collect()
}
