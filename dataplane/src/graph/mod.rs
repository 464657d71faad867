//! The engine that carries bursts from stage to stage. It knows no stage, no port and no table.
//!
//! A graph is an ordered list of [`Spec`]s. Packets wait in one frame per stage; the engine always runs the first stage
//! in the list that has packets, so a burst goes down the list once and merges where ways meet. A stage says for each
//! packet which edge it takes. When all take the same edge, the common case, the frame is handed over by swapping two
//! pointers; nothing is copied.
//!
//! Re-entry (an edge to an earlier stage) is allowed: decap → route → encap → route is not a line. The stage that
//! re-enters counts it in `Meta::reentries` and drops beyond [`MAX_REENTRIES`].

mod picture;

use overlay::packet::{Meta, PacketBuf};
use overlay::reason::DropReason;

use crate::dpdk::{BURST_MAX, Burst, Mbuf};
pub use crate::ledger::RowKind;
use crate::ledger::{Clock, Meter, Row, RowSpec};

/// How often a packet may re-enter the graph before it is dropped as `loop`.
pub const MAX_REENTRIES: u8 = 3;

/// The edge that every stage has first: to the stage `drop`, with the reason in `Meta::reason`.
pub const DROP: u8 = 0;

/// The stage whose cycles are the ledger's own row `tx`, together with the transmit calls; it is last in the registry.
const TX: &str = "tx";

/// At most this many edges leave a stage.
const MAX_EDGES: usize = 8;

/// What a stage that looks at each packet says: the edge that packet `i` takes.
#[derive(Debug)]
pub struct Edges([u8; BURST_MAX]);

/// The edge of one packet, to be set.
#[derive(Debug)]
pub struct EdgeOf<'a>(&'a mut u8);

impl EdgeOf<'_> {
    /// The packet takes `edge`.
    #[inline(always)]
    pub fn take(self, edge: u8) {
        *self.0 = edge;
    }

    /// The packet is dropped for `reason`.
    #[inline(always)]
    pub fn drop(self, meta: &mut Meta, reason: DropReason) {
        meta.reason = reason as u8;
        *self.0 = DROP;
    }
}

impl Edges {
    /// Each packet with its edge: a loop over both at once asks no index whether it is in range.
    #[inline(always)]
    pub fn of<'a>(&'a mut self, packets: &'a mut [Mbuf]) -> impl Iterator<Item = (&'a mut Mbuf, EdgeOf<'a>)> {
        packets.iter_mut().zip(self.0.iter_mut().map(EdgeOf))
    }

    /// Gives each packet its edge, in order: `usual` takes packets from the front of a run until one is not as usual, and
    /// says how many it took; `other` decides about that one.
    ///
    /// A loop over usual packets that is a function of its own (not inlined, without calls) keeps what it works with in
    /// registers; in one loop with the calls for all the rest, half of its instructions would move them to the stack
    /// and back.
    #[inline(always)]
    pub fn by_runs<S>(
        &mut self,
        packets: &mut [Mbuf],
        state: &mut S,
        usual: impl Fn(&mut S, &mut [Mbuf], &mut [u8]) -> usize,
        mut other: impl FnMut(&mut S, &mut Mbuf) -> Result<u8, DropReason>,
    ) {
        let mut done = 0;
        while let (Some(packets), Some(edges)) = (packets.get_mut(done..), self.0.get_mut(done..)) {
            let taken = usual(state, packets, edges);
            let (Some(packet), Some(edge)) = (packets.get_mut(taken), edges.get_mut(taken)) else { return };
            match other(state, packet) {
                Ok(next) => *edge = next,
                Err(reason) => EdgeOf(edge).drop(packet.meta_mut(), reason),
            }
            done += taken + 1;
        }
    }

    /// Packet `index` takes `edge`. Out of range is ignored: a burst is never that long.
    #[inline(always)]
    pub fn set(&mut self, index: usize, edge: u8) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = edge;
        }
    }

    /// Packet `index` is dropped for `reason`.
    #[inline]
    pub fn drop(&mut self, index: usize, meta: &mut Meta, reason: DropReason) {
        meta.reason = reason as u8;
        self.set(index, DROP);
    }

    /// The edge that all of the first `count` packets take, if they agree.
    #[inline]
    fn unanimous(&self, count: usize) -> Option<u8> {
        let taken = self.0.get(..count)?;
        let (&first, rest) = taken.split_first()?;
        let differing = rest.iter().fold(0, |acc, &edge| acc | (edge ^ first));
        (differing == 0).then_some(first)
    }
}

/// How a stage treats its packets.
pub enum Process<C> {
    /// Looks at the packets where they lie and sets an edge for each.
    Each(fn(&mut C, &mut [Mbuf], &mut Edges)),
    /// Takes them out of the burst: keeps them, ends them, or emits them and others. What it leaves in the burst it is
    /// given again after the stages behind it have run.
    Own(fn(&mut C, &mut Burst, &mut Out<'_>)),
}

impl<C> core::fmt::Debug for Process<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Each(_) => "Each",
            Self::Own(_) => "Own",
        })
    }
}

/// One stage, as the registry lists it: its counters, its ledger row and its place in the picture come from here.
pub struct Spec<C> {
    /// Stable name: ledger row, trace text, node of the picture.
    pub name: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Whether its cycles are I/O or task in the framework view.
    pub kind: RowKind,
    /// Names of the stages its packets go to; edge 0 is `drop`, except for stages that end packets and have none.
    pub edges: &'static [&'static str],
    /// The work.
    pub process: Process<C>,
}

impl<C> Spec<C> {
    /// The ledger rows of `specs`: one a stage, but for the last, `tx`, whose row the ledger has already.
    pub fn rows(specs: &[Self]) -> Vec<RowSpec> {
        specs.iter().filter(|spec| spec.name != TX).map(|spec| RowSpec { name: spec.name, kind: spec.kind }).collect()
    }
}

/// The registry is wrong: found when the program starts, and by a test before that.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An edge names no stage.
    #[error("stage {stage} has an edge to {edge}, which is no stage")]
    UnknownEdge {
        /// The stage.
        stage: &'static str,
        /// The edge.
        edge: &'static str,
    },
    /// Two stages share a name.
    #[error("two stages are called {0}")]
    Duplicate(&'static str),
    /// More stages or edges than the engine's masks hold.
    #[error("stage {0}: more than {MAX_EDGES} edges, or more than 32 stages")]
    TooMany(&'static str),
    /// Edge 0 of a stage is not `drop`.
    #[error("stage {0}: its first edge must be drop")]
    FirstEdge(&'static str),
    /// `tx` must come last, since its row is the ledger's own.
    #[error("the stage tx must be the last of the registry")]
    TxNotLast,
}

/// The frames of one worker, and the registry they belong to.
pub struct Graph<C: 'static> {
    specs: &'static [Spec<C>],
    targets: Box<[[u8; MAX_EDGES]]>,
    frames: Frames,
    work: Box<Burst>,
    edges: Edges,
    rows: Box<[Row]>,
}

/// Packets waiting for each stage.
#[derive(Debug)]
struct Frames {
    pending: Box<[Box<Burst>]>,
    /// Bit `s`: stage `s` has packets.
    waiting: u32,
    /// What did not fit a frame: at most one burst per stage ends here, so the reserved capacity is never outgrown.
    overflow: Vec<(u8, Mbuf)>,
    /// Empty but while the overflow is gone through.
    spilled: Vec<(u8, Mbuf)>,
}

/// Where an owning stage emits packets.
#[derive(Debug)]
pub struct Out<'a> {
    frames: &'a mut Frames,
    targets: &'a [u8; MAX_EDGES],
}

impl<C> core::fmt::Debug for Graph<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Graph").field("stages", &self.specs.len()).finish_non_exhaustive()
    }
}

impl<C> core::fmt::Debug for Spec<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Spec").field("name", &self.name).field("edges", &self.edges).finish_non_exhaustive()
    }
}

impl<C> Graph<C> {
    /// A graph of `specs`. Its ledger rows are [`Spec::rows`].
    ///
    /// # Errors
    /// When the registry contradicts itself.
    pub fn new(specs: &'static [Spec<C>]) -> Result<Self, GraphError> {
        let mut targets = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            if specs.iter().take(index).any(|other| other.name == spec.name) {
                return Err(GraphError::Duplicate(spec.name));
            }
            if index >= 32 || spec.edges.len() > MAX_EDGES {
                return Err(GraphError::TooMany(spec.name));
            }
            if spec.edges.first().is_some_and(|first| *first != "drop") {
                return Err(GraphError::FirstEdge(spec.name));
            }
            let mut row = [0; MAX_EDGES];
            for (slot, edge) in row.iter_mut().zip(spec.edges) {
                let target = specs.iter().position(|other| other.name == *edge);
                *slot = target.ok_or(GraphError::UnknownEdge { stage: spec.name, edge })? as u8;
            }
            targets.push(row);
        }
        let rows =
            specs.iter().enumerate().map(|(index, spec)| if spec.name == TX { Row::TX } else { Row::stage(index) });
        let pending = specs.iter().map(|_| Box::new(Burst::new())).collect();
        let [overflow, spilled] = [(); 2].map(|()| Vec::with_capacity(32 * BURST_MAX));
        if specs.iter().rposition(|spec| spec.name == TX).is_some_and(|index| index + 1 != specs.len()) {
            return Err(GraphError::TxNotLast);
        }
        Ok(Self {
            specs,
            targets: targets.into(),
            frames: Frames { pending, waiting: 0, overflow, spilled },
            work: Box::new(Burst::new()),
            edges: Edges([0; BURST_MAX]),
            rows: rows.collect(),
        })
    }

    /// The index of the stage called `name`, for [`Graph::enter`].
    pub fn stage(&self, name: &str) -> Option<usize> {
        self.specs.iter().position(|spec| spec.name == name)
    }

    /// Puts a burst before stage `stage`. The burst is empty afterwards.
    #[inline]
    pub fn enter(&mut self, stage: usize, burst: &mut Box<Burst>) {
        self.frames.hand_over(stage as u8, burst);
    }

    /// Puts one packet before stage `stage`.
    pub fn enter_one(&mut self, stage: usize, packet: Mbuf) {
        self.frames.push(stage as u8, packet);
    }

    /// Runs until no packet waits. With `SAMPLED`, every stage boundary is stamped in the ledger; without, only the
    /// exact counts of packets and calls are kept.
    #[inline]
    pub fn run<const SAMPLED: bool>(&mut self, cx: &mut C, meter: &mut Meter<impl Clock>) {
        while self.frames.waiting != 0 {
            let mut again = 0;
            while self.frames.waiting != 0 {
                let index = self.frames.waiting.trailing_zeros() as usize;
                again |= self.step::<SAMPLED>(index, cx, meter);
            }
            self.frames.waiting = again;
        }
    }

    /// Runs stage `index` once; returns its bit when it left packets for later.
    #[inline]
    fn step<const SAMPLED: bool>(&mut self, index: usize, cx: &mut C, meter: &mut Meter<impl Clock>) -> u32 {
        let bit = 1_u32 << index;
        self.frames.waiting &= !bit;
        let (Some(spec), Some(targets), Some(pending)) =
            (self.specs.get(index), self.targets.get(index), self.frames.pending.get_mut(index))
        else {
            return 0;
        };
        core::mem::swap(pending, &mut self.work);
        let count = self.work.len();
        let mut left = 0;
        match spec.process {
            Process::Each(process) => {
                process(cx, self.work.as_mut_slice(), &mut self.edges);
                if let Some(edge) = self.edges.unanimous(count) {
                    self.frames.hand_over(target(targets, edge), &mut self.work);
                } else {
                    let (frames, edges) = (&mut self.frames, &self.edges);
                    self.work.drain_each(|packet_index, packet| {
                        let edge = edges.0.get(packet_index).copied().unwrap_or(DROP);
                        frames.push(target(targets, edge), packet);
                    });
                }
            }
            Process::Own(process) => {
                process(cx, &mut self.work, &mut Out { frames: &mut self.frames, targets });
                if !self.work.is_empty() {
                    self.frames.hand_over(index as u8, &mut self.work);
                    self.frames.waiting &= !bit;
                    left = bit;
                }
            }
        }
        if !self.frames.overflow.is_empty() {
            self.frames.refill();
        }
        meter.stage::<SAMPLED>(self.rows.get(index).copied().unwrap_or(Row::LOOP), count);
        left
    }
}

/// The stage an edge leads to; an edge that the spec does not have leads to its first.
#[inline(always)]
fn target(targets: &[u8; MAX_EDGES], edge: u8) -> u8 {
    targets[usize::from(edge) % MAX_EDGES]
}

impl Frames {
    #[inline]
    fn hand_over(&mut self, stage: u8, burst: &mut Box<Burst>) {
        let Some(pending) = self.pending.get_mut(usize::from(stage)) else { return };
        self.waiting |= 1 << stage;
        if pending.is_empty() {
            core::mem::swap(pending, burst);
            return;
        }
        let overflow = &mut self.overflow;
        burst.drain_each(|_, packet| {
            if let Err(packet) = pending.push(packet) {
                overflow.push((stage, packet));
            }
        });
    }

    #[inline]
    fn push(&mut self, stage: u8, packet: Mbuf) {
        if self.overflow.is_empty() {
            self.place(stage, packet);
        } else {
            // Behind those that already wait, so that no packet overtakes another.
            self.waiting |= 1 << stage;
            self.overflow.push((stage, packet));
        }
    }

    #[inline]
    fn place(&mut self, stage: u8, packet: Mbuf) {
        self.waiting |= 1 << stage;
        let refused = match self.pending.get_mut(usize::from(stage)) {
            Some(pending) => pending.push(packet).err(),
            None => Some(packet),
        };
        if let Some(packet) = refused {
            self.overflow.push((stage, packet));
        }
    }

    /// Moves packets from the overflow into frames that have room again, in order, in one pass.
    #[cold]
    fn refill(&mut self) {
        core::mem::swap(&mut self.overflow, &mut self.spilled);
        // Bit `s`: a packet for stage `s` has stayed; those behind it must not overtake.
        let mut full = 0_u32;
        for (stage, packet) in self.spilled.drain(..) {
            let bit = 1 << stage;
            self.waiting |= bit;
            let refused = match self.pending.get_mut(usize::from(stage)) {
                Some(pending) if full & bit == 0 => pending.push(packet).err(),
                _ => Some(packet),
            };
            if let Some(packet) = refused {
                full |= bit;
                self.overflow.push((stage, packet));
            }
        }
    }
}

impl Out<'_> {
    /// How many packets the frame behind `edge` still takes without spilling. A stage that multiplies packets stops
    /// there, leaves the rest in its burst and is called again.
    pub fn room(&self, edge: u8) -> usize {
        let stage = target(self.targets, edge);
        self.frames.pending.get(usize::from(stage)).map_or(0, |frame| BURST_MAX - frame.len())
    }

    /// Sends `packet` along `edge`.
    #[inline]
    pub fn emit(&mut self, edge: u8, packet: Mbuf) {
        let stage = target(self.targets, edge);
        self.frames.push(stage, packet);
    }

    /// Drops `packet` for `reason`: edge 0 must be `drop`.
    pub fn drop(&mut self, mut packet: Mbuf, reason: DropReason) {
        packet.meta_mut().reason = reason as u8;
        self.emit(DROP, packet);
    }
}
