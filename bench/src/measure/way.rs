//! Whether packets went where they were meant to: a fast wrong way is no result.

use std::collections::BTreeMap;

use dataplane::control::Controller;
use dataplane::control::status::Sample;
use dataplane::tables::{PortCounters, Totals};
use serde::{Deserialize, Serialize};

/// What happened to the packets between two samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Way {
    /// Packets received, over all ports.
    pub rx: u64,
    /// Packets sent.
    pub tx: u64,
    /// Packets made here: floods, questions.
    pub created: u64,
    /// Dropped packets by reason.
    pub drops: BTreeMap<String, u64>,
    /// Frames that were flooded.
    pub flooded: u64,
    pub encapsulated: u64,
    pub decapsulated: u64,
    /// Packets that wait at the end, less those that waited at the beginning.
    pub held: i64,
    /// What the conservation law is off by, since start. Zero, or a bug.
    pub imbalance: i64,
    #[serde(skip)]
    ports: BTreeMap<String, PortCounters>,
}

impl Way {
    /// Between `from` and `to`.
    pub(crate) fn between(controller: &Controller, from: &Sample, to: &Sample) -> Self {
        let totals =
            |sample: &Sample| sample.counters().map_or((Totals::default(), 0), |all| (all.totals, all.dropped()));
        let ((before, _), (after, dropped)) = (totals(from), totals(to));
        let mut way = Self {
            rx: after.rx - before.rx,
            tx: after.tx - before.tx,
            created: after.created - before.created,
            held: i64::try_from(after.held).unwrap_or(i64::MAX) - i64::try_from(before.held).unwrap_or(i64::MAX),
            imbalance: i64::try_from(after.imbalance(dropped)).unwrap_or(i64::MAX),
            ..Self::default()
        };
        for (before, after) in controller.drop_status(from).iter().zip(controller.drop_status(to)) {
            if after.packets != before.packets {
                way.drops.insert(format!("{:?}", after.reason), after.packets - before.packets);
            }
        }
        for (before, after) in controller.network_status(from).iter().zip(controller.network_status(to)) {
            way.flooded += after.counters.flooded - before.counters.flooded;
        }
        for (before, after) in controller.tunnel_status(from).iter().zip(controller.tunnel_status(to)) {
            way.encapsulated += after.counters.tx_packets - before.counters.tx_packets;
            way.decapsulated += after.counters.rx_packets - before.counters.rx_packets;
        }
        for (before, after) in controller.port_status(from).into_iter().zip(controller.port_status(to)) {
            let (b, a) = (before.counters, after.counters);
            let counters = PortCounters {
                rx_packets: a.rx_packets - b.rx_packets,
                rx_octets: a.rx_octets - b.rx_octets,
                tx_packets: a.tx_packets - b.tx_packets,
                tx_octets: a.tx_octets - b.tx_octets,
                dropped: a.dropped - b.dropped,
                tx_dropped: a.tx_dropped - b.tx_dropped,
            };
            way.ports.insert(after.name, counters);
        }
        way
    }

    /// Counters of a port; zeros for one that there is not.
    pub(crate) fn port(&self, name: &str) -> PortCounters {
        self.ports.get(name).copied().unwrap_or_default()
    }

    /// What speaks against all packets having gone from one port to another.
    pub(crate) fn all_through(&self, from: &str, to: &str) -> Vec<String> {
        let (rx, tx) = (self.port(from).rx_packets, self.port(to).tx_packets);
        if rx == self.rx && tx == self.tx {
            return Vec::new();
        }
        vec![format!("{from} received {rx} of {} packets and {to} sent {tx} of {}", self.rx, self.tx)]
    }

    /// What is wrong in any scenario.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.rx == 0 {
            wrong.push("no packet was received".into());
        }
        if i128::from(self.rx) != i128::from(self.tx) + i128::from(self.held) {
            wrong.push(format!("{} packets came in and {} went out", self.rx, self.tx));
        }
        if !self.drops.is_empty() {
            wrong.push(format!("packets were dropped: {:?}", self.drops));
        }
        if self.created != 0 || self.flooded != 0 {
            wrong.push(format!(
                "{} frames were flooded and {} packets made: the tables did not answer for all",
                self.flooded, self.created
            ));
        }
        if self.imbalance != 0 {
            wrong.push(format!("the conservation law is off by {}", self.imbalance));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_named_alone() {
        let good = Way { rx: 100, tx: 98, held: 2, ..Way::default() };
        assert_eq!(good.wrong(), Vec::<String>::new());
        let one = |way: Way, word: &str| {
            let wrong = way.wrong();
            assert!(wrong.len() == 1 && wrong[0].contains(word), "{wrong:?}");
        };
        one(Way { rx: 0, tx: 0, held: 0, ..good.clone() }, "no packet");
        one(Way { tx: 97, ..good.clone() }, "97 went out");
        one(Way { drops: [("Loop".into(), 1)].into(), ..good.clone() }, "dropped");
        one(Way { flooded: 1, ..good.clone() }, "flooded");
        one(Way { imbalance: -1, ..good.clone() }, "conservation");
    }

    #[test]
    fn packets_of_a_third_port_are_noticed() {
        let counters = |rx_packets, tx_packets| PortCounters { rx_packets, tx_packets, ..PortCounters::default() };
        let ports =
            |list: &[(&str, u64, u64)]| list.iter().map(|(n, r, t)| ((*n).to_owned(), counters(*r, *t))).collect();
        let mut way = Way { rx: 10, tx: 10, ports: ports(&[("in", 10, 0), ("out", 0, 10)]), ..Way::default() };
        assert_eq!(way.all_through("in", "out"), Vec::<String>::new());
        way.ports = ports(&[("in", 10, 1), ("out", 0, 9)]);
        assert_eq!(way.all_through("in", "out").len(), 1);
    }
}
