//! Which queue belongs to which worker.
//!
//! A receive queue goes where the configuration says, else to the worker with the fewest queues so far. Every worker
//! that can gets a transmit queue of its own on a port; with fewer queues than workers, the worker that polls the port's
//! first receive queue owns the only one, and the others hand over to it.

use overlay::num::PortId;
use serde::Serialize;

/// The queues of one port, shared out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Assignment {
    /// The port.
    pub port: PortId,
    /// Worker of each receive queue.
    pub rx: Vec<usize>,
    /// Worker of each transmit queue.
    pub tx: Vec<usize>,
}

impl Assignment {
    /// The worker through which `worker` reaches the port: itself when it owns a queue.
    pub fn tx_owner(&self, worker: usize) -> Option<usize> {
        if self.tx.contains(&worker) {
            return Some(worker);
        }
        // Spread the workers without a queue over those that have one.
        self.tx.get(worker % self.tx.len().max(1)).copied()
    }
}

/// Shares out one port's queues. `load` holds the receive queues of each worker so far and is brought up to date.
pub fn plan(
    port: PortId,
    rx_queues: usize,
    tx_queues: usize,
    wanted: Option<&[u16]>,
    load: &mut [usize],
) -> Assignment {
    let workers = load.len().max(1);
    let mut rx = Vec::with_capacity(rx_queues);
    for queue in 0..rx_queues {
        let chosen = wanted.and_then(|list| list.get(queue)).map(|worker| usize::from(*worker) % workers);
        let worker = chosen.unwrap_or_else(|| {
            // Of the least loaded, one that does not poll this port yet, so that its queues spread.
            let least = |among: &dyn Fn(usize) -> bool| {
                (0..workers).filter(|worker| among(*worker)).min_by_key(|worker| load.get(*worker).copied())
            };
            least(&|worker| !rx.contains(&worker)).or_else(|| least(&|_| true)).unwrap_or(0)
        });
        if let Some(count) = load.get_mut(worker) {
            *count += 1;
        }
        rx.push(worker);
    }
    let mut tx: Vec<usize> = Vec::with_capacity(tx_queues);
    let first = rx.first().copied().unwrap_or(0);
    for queue in 0..tx_queues.min(workers) {
        tx.push((first + queue) % workers);
    }
    Assignment { port, rx, tx }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_spread_over_workers_and_the_load_evens_out() {
        let mut load = vec![0, 0];
        let a = plan(PortId(0), 2, 2, None, &mut load);
        assert_eq!((a.rx, a.tx), (vec![0, 1], vec![0, 1]));
        let b = plan(PortId(1), 1, 1, None, &mut load);
        let c = plan(PortId(2), 1, 1, None, &mut load);
        assert_eq!((b.rx.clone(), c.rx.clone()), (vec![0], vec![1]));
        assert_eq!(load, [2, 2]);
        assert_eq!(c.tx_owner(0), Some(1), "handed over to the owner");
        assert_eq!(c.tx_owner(1), Some(1));
    }

    #[test]
    fn a_wish_is_followed() {
        let mut load = vec![0, 0, 0];
        let plan = plan(PortId(0), 2, 1, Some(&[2, 2]), &mut load);
        assert_eq!(plan.rx, [2, 2]);
        assert_eq!(plan.tx, [2]);
        assert_eq!(load, [0, 0, 2]);
        assert_eq!(plan.tx_owner(0), Some(2));
    }
}
