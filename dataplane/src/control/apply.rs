//! From one configuration to the next while traffic flows: all of it or nothing, and no packet lost on what does not
//! change.
//!
//! Order: open what is new; close and open again what keeps its name but changes its device (with a way back: these are
//! the only steps that can fail for outside reasons); build the snapshot; let all workers take it over at one quiescent
//! point each, together with the orders for removed queues; close what is gone; give the new queues to the workers.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::build::{World, build};
use super::ids::Ids;
use super::ports::{self, NewPort};
use super::start::{into_service, measure, open_params, settings};
use super::{ControlError, Controller};
use crate::config::{Config, Key, Name, Op, Plan, diff};
use crate::tables::Tables;
use crate::worker::{Command, TxWay};

/// What a change did.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// The changes, in the order they were made.
    pub plan: Plan,
    /// Cycles that the change held each worker up.
    pub blocked_cycles: Vec<u64>,
    /// Ticks a second of those cycles.
    pub tsc_hz: u64,
}

impl Controller {
    /// What it would take to get to `new`.
    pub fn plan(&self, new: &Config) -> Plan {
        diff(&self.config, new)
    }

    /// Changes the running weir to `new`.
    ///
    /// # Errors
    /// Then nothing has changed, unless a worker is stuck.
    pub fn apply(&mut self, new: Config) -> Result<Applied, ControlError> {
        let plan = self.plan(&new);
        if !plan.restart.is_empty() {
            return Err(ControlError::Restart(plan.restart));
        }
        let before = self.crew.blocked_cycles();
        let (added, gone) = touched_ports(&plan);

        // Everything that can fail comes first, on copies. A device can be open only once, so a port whose device changes
        // is closed before it is opened again, last of all and with a way back.
        let mut ids = self.ids.clone();
        let fresh = ids.assign(&new)?;
        let replaced = closed_first(&self.config, &new, &added, &gone);
        let mut opened = self.open_all(&new, &ids, &(&added - &replaced))?;
        self.build_with(&new, &mut ids.clone(), &opened)?;
        opened.extend(self.replace(&new, &ids, &replaced)?);
        let tables = self.build_with(&new, &mut ids, &opened)?;

        // From here on it only can go well.
        self.ids = ids;
        self.config = new;
        for index in 0..self.crew.hands.len() {
            let fresh = fresh.clone();
            let clear = Command::Clear { ports: fresh.ports, networks: fresh.networks, tunnels: fresh.tunnels };
            self.crew.order(index, clear)?;
            self.crew.order(index, Command::Measure(measure(&self.config, self.clock)))?;
            self.crew.order(index, Command::Storm(tables.storm_limiters()))?;
            self.crew.order(index, Command::Set(settings(&self.config, self.clock)))?;
        }
        let closing = self.withdraw(&(&gone - &replaced))?;
        let (epoch, old) = self.published.publish(Arc::new(tables));
        self.crew.wait(epoch)?;
        // Every worker has let go of the old snapshot: it is freed here.
        drop(old);
        self.close(closing);
        self.forget_removed();
        // Before new ports receive: their first packets would find next hops unresolved and static addresses unknown.
        self.apply_static_entries();
        self.ports.extend(into_service(opened, &mut self.crew, &self.entries)?);
        self.pool_level = self.pool.in_use();
        let blocked = self.crew.blocked_cycles();
        Ok(Applied {
            plan,
            blocked_cycles: blocked.iter().zip(&before).map(|(after, before)| after - before).collect(),
            tsc_hz: self.clock.hz(),
        })
    }

    /// Closes those of the ports `names` that there are, and opens those that `new` has. When one does not open, all are
    /// opened again as they were: their traffic has paused, nothing else has changed.
    fn replace(
        &mut self,
        new: &Config,
        ids: &Ids,
        names: &BTreeSet<Name>,
    ) -> Result<Vec<(Name, NewPort)>, ControlError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let closing = self.withdraw(names)?;
        self.crew.settle()?;
        self.close(closing);
        match self.open_all(new, ids, names) {
            Ok(opened) => Ok(opened),
            Err(error) => {
                let was: Vec<Name> =
                    names.iter().filter(|name| self.config.ports.contains_key(*name)).cloned().collect();
                let mut lost = Vec::new();
                for name in was {
                    if let Err(again) = self.open_again(&name) {
                        tracing::error!(port = %name, error = %again, "the port did not open again as it was");
                        // The next file that names it opens it as a new one.
                        self.config.ports.remove(&name);
                        lost.push(name);
                    }
                }
                if lost.is_empty() {
                    Err(error)
                } else {
                    Err(ControlError::Lost { error: Box::new(error), ports: lost })
                }
            }
        }
    }

    /// Opens a port as the configuration in force has it, and puts it into service.
    fn open_again(&mut self, name: &Name) -> Result<(), ControlError> {
        let again = self.open_all(&self.config, &self.ids, &BTreeSet::from([name.clone()]))?;
        self.ports.extend(into_service(again, &mut self.crew, &self.entries)?);
        Ok(())
    }

    fn close(&mut self, closing: Vec<(Name, ports::OpenPort)>) {
        for (name, open) in closing {
            let queues = self.crew.release(open.id);
            if let Err(error) = open.port.close(queues.rx, queues.tx) {
                tracing::error!(port = %name, %error, "the port did not close cleanly");
            }
        }
    }

    fn open_all(&self, new: &Config, ids: &Ids, added: &BTreeSet<Name>) -> Result<Vec<(Name, NewPort)>, ControlError> {
        let mut load = vec![0; self.crew.hands.len()];
        for open in self.ports.values() {
            for worker in &open.assignment.rx {
                if let Some(count) = load.get_mut(*worker) {
                    *count += 1;
                }
            }
        }
        let mut opened = Vec::new();
        for (name, port) in new.ports.iter().filter(|(name, _)| added.contains(*name)) {
            let params = open_params(port, &self.pool, &self.crew.epochs, self.clock);
            opened.push((name.clone(), ports::open(port, ids.port(name.as_str()), &params, &mut load)?));
        }
        Ok(opened)
    }

    fn build_with(&self, new: &Config, ids: &mut Ids, opened: &[(Name, NewPort)]) -> Result<Tables, ControlError> {
        let mut macs = ports::macs(self.ports.values());
        macs.extend(ports::macs(opened.iter().map(|(_, new)| &new.open)));
        let world = World { macs: &macs, mac_table: self.macs.table(), neighbour_table: &self.neighbours };
        Ok(build(new, ids, &world)?)
    }

    /// Orders the workers to let go of ports; they are closed when all have.
    fn withdraw(&mut self, gone: &BTreeSet<Name>) -> Result<Vec<(Name, ports::OpenPort)>, ControlError> {
        let mut closing = Vec::new();
        for name in gone {
            if let Some(open) = self.ports.remove(name) {
                for worker in 0..self.crew.hands.len() {
                    self.crew.order(worker, Command::RemoveRx(open.id))?;
                    self.crew.order(worker, Command::SetTx(open.id, Box::new(TxWay::None)))?;
                }
                closing.push((name.clone(), open));
            }
        }
        Ok(closing)
    }

    /// Takes back the identifiers of what the configuration no longer names, and its learned addresses.
    fn forget_removed(&mut self) {
        let released = self.ids.release(&self.config);
        // What workers saw before they let go of the old snapshot is judged by the new one.
        self.confine_macs();
        self.take_in_events();
        let stale: Vec<_> = self
            .ids
            .neighbours
            .iter()
            .filter(|(_, port, _)| released.ports.contains(port))
            .map(|(id, ..)| id)
            .collect();
        for id in stale {
            self.ids.neighbours.release(id);
            self.neighbours.set(id, overlay::fib::neighbour::Neighbour::Unresolved);
        }
    }
}

/// The ports that must be closed before others, or they themselves, are opened: those that are replaced, those whose device
/// goes to another port, and the ports that take such a device.
fn closed_first(old: &Config, new: &Config, added: &BTreeSet<Name>, gone: &BTreeSet<Name>) -> BTreeSet<Name> {
    let device = |config: &Config, name: &Name| config.ports.get(name).map(|port| port.settings.device.clone());
    let mut first: BTreeSet<Name> = added.intersection(gone).cloned().collect();
    for giver in gone {
        for taker in added.iter().filter(|taker| device(new, taker) == device(old, giver)) {
            first.extend([giver.clone(), taker.clone()]);
        }
    }
    first
}

/// The ports that must be opened, and those that must be closed; a replaced one is both.
fn touched_ports(plan: &Plan) -> (BTreeSet<Name>, BTreeSet<Name>) {
    let (mut added, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for change in &plan.changes {
        if let Key::Port { port } = &change.key {
            match change.op {
                Op::Add(_) => _ = added.insert(port.clone()),
                Op::Remove => _ = gone.insert(port.clone()),
                Op::Replace(_) => {
                    added.insert(port.clone());
                    gone.insert(port.clone());
                }
                Op::Update(_) => {}
            }
        }
    }
    (added, gone)
}
