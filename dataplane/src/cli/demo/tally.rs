//! What happened to packets between two moments: every one of them, by name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::control::Controller;
use crate::control::status::Sample;

/// The terms of packet conservation, `in + created = out + punted + consumed + dropped + held`, and what they consist of.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Packets received from ports.
    pub packets_in: u64,
    /// Packets made here: copies for flooding, questions of weir's own.
    pub created: u64,
    /// Packets sent to ports.
    pub packets_out: u64,
    /// Packets given to the host's own stack.
    pub punted: u64,
    /// Packets that were for weir itself.
    pub consumed: u64,
    /// All drops together.
    pub dropped: u64,
    /// Packets waiting at the end, less those that waited at the beginning.
    pub held: i64,
    /// What the law's two sides differ by, since start. Zero, or a bug.
    pub imbalance: i64,
    /// Drops by reason.
    pub drops: Vec<Drop>,
    /// Frames that were flooded.
    pub flooded: u64,
    /// Packets into and out of tunnels.
    pub encapsulated: u64,
    pub decapsulated: u64,
    pub ports: BTreeMap<String, PortTally>,
    /// Encapsulated and decapsulated, by remote VTEP.
    #[serde(skip)]
    tunnels: BTreeMap<IpAddr, (u64, u64)>,
}

/// Packets dropped for one reason.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Drop {
    /// Its stable name.
    pub reason: &'static str,
    pub packets: u64,
    /// What it means.
    pub meaning: &'static str,
}

/// Packets of one port.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct PortTally {
    pub packets_in: u64,
    pub packets_out: u64,
    pub dropped: u64,
}

/// A moment: what was counted until then.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    tally: Tally,
}

impl Mark {
    /// Now. To be taken before the configuration changes: names belong to the present configuration.
    pub(super) fn new(controller: &Controller, sample: &Sample) -> Self {
        let mut tally = Tally::default();
        if let Some(counters) = sample.counters() {
            let totals = counters.totals;
            tally.packets_in = totals.rx;
            tally.created = totals.created;
            tally.packets_out = totals.tx;
            tally.punted = totals.punted;
            tally.consumed = totals.consumed;
            tally.dropped = counters.dropped();
            tally.held = i64::try_from(totals.held).unwrap_or(i64::MAX);
            tally.imbalance = i64::try_from(totals.imbalance(tally.dropped)).unwrap_or(i64::MAX);
        }
        for status in controller.drop_status(sample) {
            tally.drops.push(Drop { reason: status.reason.name(), packets: status.packets, meaning: status.help });
        }
        tally.flooded = controller.network_status(sample).iter().map(|network| network.counters.flooded).sum();
        for tunnel in controller.tunnel_status(sample) {
            tally.tunnels.insert(tunnel.remote, (tunnel.counters.tx_packets, tunnel.counters.rx_packets));
        }
        for port in controller.port_status(sample) {
            let counters = port.counters;
            let packets = PortTally {
                packets_in: counters.rx_packets,
                packets_out: counters.tx_packets,
                dropped: counters.dropped,
            };
            tally.ports.insert(port.name, packets);
        }
        Self { tally }
    }

    /// What was counted between `before` and this moment. Reasons without a packet are left out.
    pub(super) fn since(&self, before: &Self) -> Tally {
        let (mut now, before) = (self.tally.clone(), &before.tally);
        // What began after `before` began at zero; what is gone by now is not counted.
        let less = |now: &mut u64, before: u64| *now = now.saturating_sub(before);
        less(&mut now.packets_in, before.packets_in);
        less(&mut now.created, before.created);
        less(&mut now.packets_out, before.packets_out);
        less(&mut now.punted, before.punted);
        less(&mut now.consumed, before.consumed);
        less(&mut now.dropped, before.dropped);
        less(&mut now.flooded, before.flooded);
        now.held -= before.held;
        for (now, before) in now.drops.iter_mut().zip(&before.drops) {
            less(&mut now.packets, before.packets);
        }
        now.drops.retain(|drop| drop.packets != 0);
        for (remote, (sent, received)) in &now.tunnels {
            let before = before.tunnels.get(remote).copied().unwrap_or_default();
            now.encapsulated += sent.saturating_sub(before.0);
            now.decapsulated += received.saturating_sub(before.1);
        }
        for (name, now) in &mut now.ports {
            let Some(before) = before.ports.get(name) else { continue };
            less(&mut now.packets_in, before.packets_in);
            less(&mut now.packets_out, before.packets_out);
            less(&mut now.dropped, before.dropped);
        }
        now
    }

    /// Packets received so far.
    pub(super) fn packets_in(&self) -> u64 {
        self.tally.packets_in
    }

    /// Packets that wait at this moment.
    pub(super) fn held(&self) -> i64 {
        self.tally.held
    }
}
