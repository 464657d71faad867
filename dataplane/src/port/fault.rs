//! `fault:…;DEVICE`: a port that loses, duplicates, delays and reorders what passes through another one.

use super::options::Options;
use super::spec::{Kind, parse_kind};
use super::{Backend, OpenParams, PortRx, PortTx};
use crate::dpdk::{BURST_MAX, Burst, Mbuf, Mempool, TscClock, rdtsc};
use overlay::num::Nanos;

pub(super) const BACKEND: Backend = Backend {
    name: "fault",
    syntax: "fault:[loss=P][,duplicate=P][,reorder=P][,delay_us=N][,dir=rx|tx][,seed=N];DEVICE",
    help: "another port with faults: probabilities P from 0 to 1, in both directions unless dir says one",
    parse,
};

/// Which faults, and how often.
#[derive(Clone, PartialEq, Debug)]
pub struct FaultSpec {
    /// Out of 2³².
    loss: u64,
    duplicate: u64,
    reorder: u64,
    delay: Nanos,
    rx: bool,
    tx: bool,
    seed: u64,
}

/// What a fault port did in one direction. `taken + duplicated = given on + lost + held`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultCounters {
    /// Packets that came to it.
    pub taken: u64,
    /// Packets freed on purpose: the worker counts them as `fault_injected`.
    pub lost: u64,
    /// Packets made as copies.
    pub duplicated: u64,
    /// Packets that overtook another.
    pub reordered: u64,
    /// Packets it holds at this moment.
    pub held: u64,
}

fn parse(text: &str) -> Result<Kind, String> {
    let (faults, device) = text.split_once(';').ok_or("the device after ; is missing")?;
    let mut options = Options::keys(faults);
    let mut probability = |key: &str| -> Result<u64, String> {
        match options.value::<f64>(key)? {
            None => Ok(0),
            Some(p) if (0.0..=1.0).contains(&p) => Ok(chance(p)),
            Some(p) => Err(format!("{key}={p}: a probability is 0 to 1")),
        }
    };
    let (loss, duplicate, reorder) = (probability("loss")?, probability("duplicate")?, probability("reorder")?);
    let delay = Nanos(options.number("delay_us", 0, 1_000_000)?.unwrap_or(0) * 1000);
    let seed = options.number("seed", 0, u64::MAX)?.unwrap_or(1);
    let (rx, tx) = match options.text("dir")? {
        None => (true, true),
        Some("rx") => (true, false),
        Some("tx") => (false, true),
        Some(other) => return Err(format!("dir={other}: write rx or tx, or leave it out for both")),
    };
    options.end("loss, duplicate, reorder, delay_us, dir, seed")?;
    let inner = parse_kind(device).map_err(|error| error.to_string())?;
    if matches!(inner, Kind::Fault { .. }) {
        return Err("a fault port cannot wrap another".into());
    }
    let spec = FaultSpec { loss, duplicate, reorder, delay, rx, tx, seed };
    Ok(Kind::Fault { spec, inner: Box::new(inner) })
}

/// A probability out of 2³².
#[allow(clippy::cast_sign_loss, reason = "a probability is not negative")]
fn chance(probability: f64) -> u64 {
    (probability * (1_u64 << 32) as f64) as u64
}

/// A non-zero state for [`next_random`] from a seed and a stream number.
pub(super) fn seed(seed: u64, stream: u64) -> u64 {
    // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = seed.wrapping_add(stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) | 1
}

/// The next number of an xorshift64* generator (Vigna 2016); `state` must not be 0 and never becomes 0.
#[inline]
pub(super) fn next_random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}

/// Most packets that one direction holds back: what comes on top is given on at once.
const HELD_MAX: usize = 4096;

/// One direction.
#[derive(Debug)]
struct Faults {
    active: bool,
    loss: u64,
    duplicate: u64,
    reorder: u64,
    delay_ticks: u64,
    random: u64,
    pool: Mempool,
    /// Delayed packets with the tick at which they are due, oldest first; of fixed capacity.
    held: Box<[Option<(u64, Mbuf)>]>,
    head: usize,
    count: usize,
    /// A packet that the next one overtakes.
    behind: Option<Mbuf>,
    counters: FaultCounters,
}

impl Faults {
    fn new(spec: &FaultSpec, active: bool, stream: u64, pool: &Mempool, clock: TscClock) -> Self {
        let places = if active && spec.delay != Nanos(0) { HELD_MAX } else { 0 };
        Self {
            active,
            loss: spec.loss,
            duplicate: spec.duplicate,
            reorder: spec.reorder,
            delay_ticks: clock.to_ticks(spec.delay),
            random: seed(spec.seed, stream),
            pool: pool.clone(),
            held: (0..places).map(|_| None).collect(),
            head: 0,
            count: 0,
            behind: None,
            counters: FaultCounters::default(),
        }
    }

    fn happens(&mut self, probability: u64) -> bool {
        probability != 0 && (next_random(&mut self.random) & 0xffff_ffff) < probability
    }

    /// Sends packets through; what comes out at once goes to `out`, which has room for twice as many and one more.
    fn pass(&mut self, mbuf: Mbuf, now: u64, out: &mut Burst) {
        self.counters.taken += 1;
        if self.happens(self.loss) {
            self.counters.lost += 1;
            mbuf.free();
            return;
        }
        if self.happens(self.duplicate)
            && let Some(copy) = mbuf.copy(&self.pool)
        {
            self.counters.duplicated += 1;
            self.delay(copy, now, out);
        }
        if self.behind.is_none() && self.happens(self.reorder) {
            self.behind = Some(mbuf);
            return;
        }
        self.delay(mbuf, now, out);
        if let Some(late) = self.behind.take() {
            self.counters.reordered += 1;
            self.delay(late, now, out);
        }
    }

    fn delay(&mut self, mbuf: Mbuf, now: u64, out: &mut Burst) {
        if self.count < self.held.len() {
            let at = (self.head + self.count) % self.held.len();
            if let Some(place) = self.held.get_mut(at) {
                *place = Some((now.wrapping_add(self.delay_ticks), mbuf));
                self.count += 1;
                return;
            }
        }
        if let Err(mbuf) = out.push(mbuf) {
            // Cannot happen, by the room that callers leave; counted rather than leaked.
            self.counters.lost += 1;
            mbuf.free();
        }
    }

    /// Moves packets whose time has come to `out`, up to `max`.
    fn release(&mut self, now: u64, out: &mut Burst, max: usize) -> usize {
        let mut released = 0;
        while released < max && self.count != 0 && out.room() != 0 {
            let Some(place) = self.held.get_mut(self.head) else { break };
            if place.as_ref().is_none_or(|(due, _)| *due > now) {
                break;
            }
            if let Some((_, mbuf)) = place.take() {
                self.head = (self.head + 1) % self.held.len();
                self.count -= 1;
                released += usize::from(out.push(mbuf).is_ok());
            }
        }
        released
    }

    fn counters(&self, waiting: usize) -> FaultCounters {
        FaultCounters { held: (self.count + usize::from(self.behind.is_some()) + waiting) as u64, ..self.counters }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        for place in &mut self.held {
            if let Some((_, mbuf)) = place.take() {
                mbuf.free();
            }
        }
        if let Some(mbuf) = self.behind.take() {
            mbuf.free();
        }
    }
}

/// The receive handle of a fault port.
#[derive(Debug)]
pub struct FaultRx {
    inner: PortRx,
    faults: Faults,
    fresh: Burst,
    ready: Burst,
}

impl FaultRx {
    pub(super) fn new(inner: PortRx, spec: &FaultSpec, queue: u16, params: &OpenParams) -> Self {
        let faults = Faults::new(spec, spec.rx, 2 * u64::from(queue), &params.pool, params.clock);
        Self { inner, faults, fresh: Burst::new(), ready: Burst::new() }
    }

    pub(super) fn inner(&self) -> &PortRx {
        &self.inner
    }

    pub(super) fn generate(&mut self, now_tsc: u64) {
        self.inner.generate(now_tsc);
    }

    pub(super) fn rx(&mut self, burst: &mut Burst, max: usize) -> usize {
        if !self.faults.active {
            return self.inner.rx(burst, max);
        }
        let now = rdtsc();
        self.faults.release(now, &mut self.ready, BURST_MAX);
        // A packet may become two, and bring one more that was held back.
        let wanted = max.min(self.ready.room().saturating_sub(1) / 2);
        if wanted != 0 {
            self.inner.rx(&mut self.fresh, wanted);
            let (faults, ready) = (&mut self.faults, &mut self.ready);
            self.fresh.drain_each(|_, mbuf| faults.pass(mbuf, now, ready));
        }
        self.ready.move_front(max, burst)
    }

    pub(super) fn counters(&self) -> FaultCounters {
        self.faults.counters(self.ready.len())
    }
}

/// The transmit handle of a fault port.
#[derive(Debug)]
pub struct FaultTx {
    inner: PortTx,
    faults: Faults,
    ready: Burst,
}

impl FaultTx {
    pub(super) fn new(inner: PortTx, spec: &FaultSpec, queue: u16, params: &OpenParams) -> Self {
        let faults = Faults::new(spec, spec.tx, 2 * u64::from(queue) + 1, &params.pool, params.clock);
        Self { inner, faults, ready: Burst::new() }
    }

    pub(super) fn inner(&self) -> &PortTx {
        &self.inner
    }

    /// Takes packets, all that it has room for, and sends those that are due. What is taken counts as sent here; what
    /// becomes of it is in the counters. Call it with an empty burst, too, so that delayed packets leave.
    pub(super) fn tx(&mut self, burst: &mut Burst) -> usize {
        if !self.faults.active {
            return self.inner.tx(burst);
        }
        let now = rdtsc();
        self.faults.release(now, &mut self.ready, BURST_MAX);
        let mut taken = 0;
        while !burst.is_empty() {
            let room = self.ready.room().saturating_sub(1) / 2;
            if room == 0 {
                self.inner.tx(&mut self.ready);
                if self.ready.room() < 3 {
                    break;
                }
                continue;
            }
            let mut part = burst.take_front(room);
            taken += part.len();
            let (faults, ready) = (&mut self.faults, &mut self.ready);
            part.drain_each(|_, mbuf| faults.pass(mbuf, now, ready));
        }
        if !self.ready.is_empty() {
            self.inner.tx(&mut self.ready);
        }
        taken
    }

    pub(super) fn counters(&self) -> FaultCounters {
        self.faults.counters(self.ready.len())
    }
}
