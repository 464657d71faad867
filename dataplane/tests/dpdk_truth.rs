//! The ledger is true, not only closed: a real worker on real packets, with a stage that burns a known number of cycles,
//! a clock that counts its reads, and a source that leaves the worker a known part of its time.
//!
//! Times are compared within one process, as medians of alternating windows: what else runs on the machine hits both.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, where a failed expectation is a failed test")]
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "counts of a test are far below 2^52")]

mod dpdk_common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use dataplane::dpdk::vhost::NoWorkers;
use dataplane::dpdk::{Burst, Mbuf, Mempool, TscClock, rdtsc, tsc};
use dataplane::graph::{Edges, Graph, Out, Process, RowKind, Spec};
use dataplane::ledger::{Clock, Ledger, LedgerConfig, LedgerCounters, Level, Measure, Meter, Report, ReportInput};
use dataplane::port::{OpenParams, Port};
use dataplane::stage::{Cx, Events, Load};
use dataplane::sync::{Epochs, Published};
use dataplane::tables::{PortEntry, Tables};
use dataplane::worker::{Command, Idle, Mailbox, Reply, RxSlot, Settings, TxSide, TxSlot, TxWay, Worker, WorkerReport};
use dpdk_common::{eal, pool};
use overlay::fib::mac::MacTable;
use overlay::fib::neighbour::NeighbourTable;
use overlay::fib::vni::VniTable;
use overlay::fib::vtep::VtepTable;
use overlay::num::PortId;
use overlay::packet::PacketBuf;
use overlay::packet::outer::{LocalAddresses, UnderlayParams};
use overlay::tunnel::vxlan::VxlanReceive;

/// The port that packets come from and go to: a source, which swallows what it is sent.
const PORT: PortId = PortId(0);

/// TSC cycles a packet that the stage `burn` takes.
static BURN: AtomicU64 = AtomicU64::new(0);

fn look(_: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    for (packet, edge) in edges.of(packets) {
        packet.meta_mut().egress = PORT;
        edge.take(1);
    }
}

fn burn(_: &mut Cx, packets: &mut [Mbuf], edges: &mut Edges) {
    let (start, cycles) = (rdtsc(), BURN.load(Ordering::Relaxed) * packets.len() as u64);
    while rdtsc() - start < cycles {}
    edges.of(packets).for_each(|(_, edge)| edge.take(1));
}

fn send(cx: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    let mut load = Load::default();
    burst.as_slice().iter().for_each(|packet| load.add(packet));
    cx.tx.send(PORT, burst, load, &mut cx.counters);
}

fn end(_: &mut Cx, burst: &mut Burst, _: &mut Out<'_>) {
    burst.free_all();
}

const fn spec(name: &'static str, edges: &'static [&'static str], process: Process<Cx>) -> Spec<Cx> {
    Spec { name, help: "of a test", kind: RowKind::Task, edges, process }
}

static REGISTRY: &[Spec<Cx>] = &[
    spec("look", &["drop", "burn"], Process::Each(look)),
    spec("burn", &["drop", "tx"], Process::Each(burn)),
    spec("drop", &[], Process::Own(end)),
    spec("tx", &[], Process::Own(send)),
];

/// A worker that this thread drives, with its port.
struct Rig<K> {
    worker: Worker<K>,
    mailbox: Arc<Mailbox>,
    published: Published<Tables>,
    spare: Option<Box<WorkerReport>>,
    params: OpenParams,
    port: Option<Port>,
    tsc_hz: u64,
}

fn tables() -> Tables {
    Tables {
        ports: vec![PortEntry::default()].into(),
        networks: Box::default(),
        tunnels: Box::default(),
        neighbour_entries: Box::default(),
        next_hops: std::collections::HashMap::default(),
        vnis: VniTable::from_pairs(&[]).unwrap(),
        vteps: VtepTable::from_pairs(&[]).unwrap(),
        underlay: UnderlayParams { udp_port: 4789, local: LocalAddresses::default() },
        vxlan: VxlanReceive::default(),
        host_rate_pps: 0,
        parked_per_neighbour: 0,
        macs: Arc::clone(MacTable::new(64, 1).table()),
        neighbours: Arc::new(NeighbourTable::new(1)),
    }
}

impl<K: Clock> Rig<K> {
    fn new(pool: &Mempool, level: Level, clock: K) -> Self {
        let tsc = tsc::calibrate(Duration::from_millis(100));
        let published = Published::new(Arc::new(tables()), Arc::new(Epochs::new(1)));
        let (mailbox, orders) = Mailbox::new(8);
        let tx = Box::new(TxSide::new(1, Vec::new()));
        let events = Events(Arc::new(ArrayQueue::new(8)));
        let cx = Cx::new(0, published.current(), tsc.hz(), pool.clone(), tx, events);
        let stamp_cost_cycles = dataplane::ledger::price::stamp_cost(rdtsc);
        let config = LedgerConfig { level, stamp_cost_cycles, ..LedgerConfig::new(tsc.hz()) };
        let ledger = Ledger::new(&Spec::rows(REGISTRY), &config).unwrap();
        let spare = Box::new(WorkerReport {
            counters: cx.counters.clone(),
            ledger: ledger.counters(),
            queues: Vec::new(),
            tsc: 0,
        });
        let settings = Settings { burst: 32, idle: Idle::Poll, sleep_max_us: 0, housekeeping_ticks: u64::MAX / 2 };
        let graph = Graph::new(REGISTRY).unwrap();
        let subscriber = published.subscribe(0).unwrap();
        let params = OpenParams::new(pool.clone(), Arc::new(NoWorkers), TscClock::new(tsc.hz()));
        let meter = Meter::new(ledger, clock);
        let worker = Worker::new(settings, graph, cx, meter, subscriber, orders, Vec::new());
        Self { worker, mailbox, published, spare: Some(spare), params, port: None, tsc_hz: tsc.hz() }
    }

    fn order(&mut self, command: Command) {
        self.mailbox.order(command).unwrap();
        self.published.epochs().advance();
        self.worker.round();
    }

    /// Takes the port away, and gives the worker one that makes `rate_pps` packets a second; 0 = as many as are polled.
    fn receive(&mut self, rate_pps: u64) {
        self.close();
        let spec = format!("source:size=60,flows=64,rate_pps={rate_pps}").parse().unwrap();
        let (port, rx, tx) = Port::open("source", PORT, &spec, &self.params).unwrap();
        self.port = Some(port);
        for tx in tx {
            self.order(Command::SetTx(PORT, Box::new(TxWay::Own(TxSlot::new(tx, false)))));
        }
        for rx in rx {
            let slot = RxSlot { port: PORT, queue: 0, entry: 0, rx, packets: 0, empty_polls: 0 };
            self.order(Command::AddRx(Box::new(slot)));
        }
    }

    fn close(&mut self) {
        let Some(port) = self.port.take() else { return };
        self.order(Command::RemoveRx(PORT));
        self.order(Command::SetTx(PORT, Box::default()));
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        while let Some(reply) = self.mailbox.reply() {
            match reply {
                Reply::Rx(slot) => rx.push(slot.rx),
                Reply::Tx(_, way) => {
                    if let TxWay::Own(slot) = *way {
                        tx.push(slot.tx);
                    }
                }
                Reply::Report(_) => panic!("nobody has asked"),
            }
        }
        port.close(rx, tx).unwrap();
    }

    fn report(&mut self) -> LedgerCounters {
        let spare = self.spare.take().unwrap();
        self.order(Command::Report(spare));
        loop {
            match self.mailbox.reply() {
                Some(Reply::Report(report)) => {
                    let counters = report.ledger.clone();
                    self.spare = Some(report);
                    return counters;
                }
                Some(_) => {}
                None => panic!("the report was asked for and the worker came round"),
            }
        }
    }

    /// What `rounds` rounds have cost.
    fn window(&mut self, rounds: usize) -> LedgerCounters {
        let before = self.report();
        (0..rounds).for_each(|_| self.worker.round());
        self.report().delta(&before)
    }
}

/// TSC cycles per packet of each row, by name.
fn rows(window: &LedgerCounters) -> Vec<(String, f64)> {
    let cost = |row: &dataplane::ledger::stages::RowCounters| {
        let sampled: u64 = window.sampled_bursts.iter().zip(0_u64..).map(|(bursts, size)| bursts * size).sum();
        row.cycles.iter().sum::<u64>() as f64 / sampled.max(1) as f64
    };
    window.specs.iter().zip(&window.rows).map(|(spec, row)| (spec.name.to_owned(), cost(row))).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What is wrong with rows that were `before` without and are `after` with `burnt` more cycles a packet in `burn`.
fn wrong(before: &[(String, f64)], after: &[(String, f64)], burnt: f64) -> Option<String> {
    before.iter().zip(after).find_map(|((name, before), (_, after))| {
        let (rise, due, allowed) = match name.as_str() {
            "burn" => (after - before, burnt, 0.05 * burnt),
            _ => (after - before, 0.0, 1.0),
        };
        ((rise - due).abs() > allowed).then(|| format!("row {name} rose by {rise:.2}, not by {due} ± {allowed}"))
    })
}

/// Medians of many short windows, alternately with `burnt` cycles a packet less and more.
fn alternating(rig: &mut Rig<fn() -> u64>, burnt: u64) -> [Vec<(String, f64)>; 2] {
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..31 {
        // Some in both: a spin lets what the stages before have left in the store buffer drain, which is no part of `burnt`.
        for (seen, burnt) in seen.iter_mut().zip([100, 100 + burnt]) {
            BURN.store(burnt, Ordering::Relaxed);
            rig.window(20);
            seen.push(rows(&rig.window(200)));
        }
    }
    seen.map(|windows| {
        let names = windows[0].iter().map(|(name, _)| name.clone()).enumerate();
        names.map(|(row, name)| (name, median(windows.iter().map(|window| window[row].1).collect()))).collect()
    })
}

#[test]
fn what_a_stage_burns_is_booked_to_that_stage_alone() {
    let _hold = eal();
    let pool = pool("truth-burn");
    let mut rig = Rig::new(&pool, Level::Full, rdtsc as fn() -> u64);
    rig.receive(0);
    for burnt in [200, 1000] {
        let [before, after] = alternating(&mut rig, burnt);
        let allowed = wrong(&before, &after, burnt as f64);
        assert_eq!(allowed, None, "{before:?}\n{after:?}");
        // The measure of truth is one: a tenth too much, or the same in another row, is told.
        assert!(wrong(&before, &after, burnt as f64 * 1.1).is_some());
        let mut swapped = after.clone();
        let at = |name: &str| after.iter().position(|(row, _)| row == name).unwrap();
        (swapped[at("burn")].1, swapped[at("look")].1) = (after[at("look")].1, after[at("burn")].1);
        assert!(wrong(&before, &swapped, burnt as f64).is_some());
    }
    rig.close();
}

#[test]
fn off_reads_the_clock_at_most_twice_a_loop() {
    let _hold = eal();
    let pool = pool("truth-off");
    BURN.store(0, Ordering::Relaxed);
    let reads = Rc::new(Cell::new(0_u64));
    let counting = Rc::clone(&reads);
    let clock = move || {
        counting.set(counting.get() + 1);
        rdtsc()
    };
    let mut rig = Rig::new(&pool, Level::Off, clock);
    // A busy loop, and one in which nothing comes.
    for rate_pps in [0, 1] {
        rig.receive(rate_pps);
        let before = reads.get();
        (0..1000).for_each(|_| rig.worker.round());
        let read = reads.get() - before;
        assert!((1..=2000).contains(&read), "{read} reads in 1,000 loops at {rate_pps} packets a second");
    }
    rig.order(Command::Measure(Measure { level: Level::Full, sample_interval: 1, gap_threshold_cycles: u64::MAX }));
    rig.receive(0);
    let before = reads.get();
    (0..1000).for_each(|_| rig.worker.round());
    assert!(reads.get() - before > 2000, "the count is no constant: at level full there are more");
    rig.close();
}

#[test]
fn waiting_counted_directly_and_as_the_remainder_agree_under_load() {
    let _hold = eal();
    let pool = pool("truth-load");
    // Much, so that a packet costs the same in a small burst as in a large one, and the load is what the source makes it.
    BURN.store(3000, Ordering::Relaxed);
    let mut rig = Rig::new(&pool, Level::Sampled, rdtsc as fn() -> u64);
    rig.receive(0);
    rig.window(2000);
    let full = rig.window(20_000);
    let capacity_pps = rig.tsc_hz as f64 * full.packets as f64 / full.elapsed_cycles as f64;
    for load in [0.25, 0.5, 0.75] {
        rig.receive((capacity_pps * load) as u64);
        rig.window(2000);
        let before = rig.report();
        let (_, start) = tsc::both_clocks();
        while tsc::monotonic_raw().since(start).0 < 200_000_000 {
            (0..100).for_each(|_| rig.worker.round());
        }
        let window = rig.report().delta(&before);
        let (_, now) = tsc::both_clocks();
        let elapsed_nanos = now.since(start).0;
        let input = ReportInput { tsc_hz: rig.tsc_hz, elapsed_nanos, burst: 32, ..ReportInput::default() };
        let view = Report::new(&window, &input).framework;
        let budget = rig.tsc_hz as f64 * elapsed_nanos as f64 / 1e9 / window.packets as f64;
        let (direct, remainder) = (view.c_busy.unwrap(), view.c_busy_remainder.unwrap());
        // The bound is that of the clocks (docs/ledger.md): a thousandth of what a packet had.
        assert!(
            (direct - remainder).abs() <= 0.001 * budget,
            "at {load} of capacity: {direct:.2} cycles a packet directly, {remainder:.2} as the remainder of {budget:.2}"
        );
        assert!(direct > 0.0, "at {load} of capacity there are polls that return nothing");
    }
    rig.close();
}
