//! The words of the ledger: accounts, levels, rows and settings.

use serde::{Deserialize, Serialize};

/// Largest receive burst that has a slot of its own (design: default 32, at most 64).
pub const MAX_BURST: usize = 64;

/// Slots of an array indexed by burst size: `0..=MAX_BURST`. Slot 0 is work done without a received packet
/// (resumed packets, transmit of packets handed over by another worker).
pub const BURST_SLOTS: usize = MAX_BURST + 1;

/// Most rows a ledger can have; one bit each in the mask of rows touched by a sampled burst.
pub const MAX_ROWS: usize = 64;

/// Where a worker's cycles go. Every cycle between the first and the last stamp belongs to exactly one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Account {
    /// Receiving, processing and sending bursts; kept per burst size.
    Busy = 0,
    /// Polls that returned no packet, and the loop around them.
    Empty = 1,
    /// Timers, mailbox, counters: what a worker does besides packets.
    Housekeeping = 2,
    /// Rings that carry packets between workers.
    Handoff = 3,
    /// Taking over a new configuration ("blocked time"), and switching the ledger's level.
    Reconfiguration = 4,
    /// Generating packets in a source port of this worker: the load, not the work.
    Source = 5,
    /// Pausing or sleeping on the idle ladder.
    Idle = 6,
    /// Intervals too long to be ours: the core was taken away.
    Stolen = 7,
    /// The ledger's own time stamps, as far as they delay packets; see [`Account::bears_instrument`].
    Instrument = 8,
    /// Level `off`: counted, but not split.
    Unattributed = 9,
}

impl Account {
    /// Number of accounts.
    pub const COUNT: usize = 10;

    /// All accounts, in the order they are shown; `ALL[i] as usize == i`.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Busy,
        Self::Empty,
        Self::Housekeeping,
        Self::Handoff,
        Self::Reconfiguration,
        Self::Source,
        Self::Idle,
        Self::Stolen,
        Self::Instrument,
        Self::Unattributed,
    ];

    /// Stable name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Empty => "empty",
            Self::Housekeeping => "housekeeping",
            Self::Handoff => "handoff",
            Self::Reconfiguration => "reconfiguration",
            Self::Source => "source",
            Self::Idle => "idle",
            Self::Stolen => "stolen",
            Self::Instrument => "instrument",
            Self::Unattributed => "unattributed",
        }
    }

    /// Whether the stamp that ends an interval of this account is moved to `instrument`.
    ///
    /// The stamp of an empty poll, of a pause or of a source port stays where it is: those cycles are no packet's, and
    /// moved out they would be charged to packets, all the more the less there is to do.
    pub const fn bears_instrument(self) -> bool {
        matches!(self, Self::Busy | Self::Housekeeping | Self::Handoff | Self::Reconfiguration)
    }

    /// Whether an interval of this account may be called stolen when it is longer than the gap threshold.
    /// Housekeeping, reconfiguration and idle are long by nature; `off` has no intervals to judge.
    pub const fn can_be_stolen(self) -> bool {
        matches!(self, Self::Busy | Self::Empty | Self::Handoff | Self::Source)
    }
}

/// How much the ledger measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Totals only: at most two time stamps a loop.
    Off,
    /// Loop stamps always, stage stamps on one burst in N.
    #[default]
    Sampled,
    /// Stage stamps on every burst.
    Full,
}

impl Level {
    /// Stable name, as in JSON and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Sampled => "sampled",
            Self::Full => "full",
        }
    }
}

/// What the framework view rolls a row up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// Receive, transmit, buffer management and the loop around them: `c_IO` of the framework view.
    Io,
    /// Everything done to a packet: `c_task` of the framework view.
    Task,
}

/// Name and kind of one row; a stage's comes from its registry entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSpec {
    /// Stable name, as in JSON.
    pub name: &'static str,
    /// Roll-up in the framework view.
    pub kind: RowKind,
}

/// Index of a row of the ledger. The first three are fixed, the stages follow in the order of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(u8);

impl Row {
    /// Receive burst.
    pub const RX: Self = Self(0);
    /// Transmit: inside the burst where a worker has one queue, in the flush of the round where it has several.
    pub const TX: Self = Self(1);
    /// What lies between the last stage stamp of a burst and its end: dispatch and the loop.
    pub const LOOP: Self = Self(2);
    /// Rows before the first stage.
    pub const FIXED: [RowSpec; 3] = [
        RowSpec { name: "rx", kind: RowKind::Io },
        RowSpec { name: "tx", kind: RowKind::Io },
        RowSpec { name: "loop", kind: RowKind::Io },
    ];

    /// Row of the stage at `index` of the list given to [`Ledger::new`](super::Ledger::new).
    /// An index past the last possible row gives the `loop` row, so that no cycle is lost.
    pub const fn stage(index: usize) -> Self {
        if index < MAX_ROWS - Self::FIXED.len() { Self((index + Self::FIXED.len()) as u8) } else { Self::LOOP }
    }

    /// Position in the arrays of the ledger; below [`MAX_ROWS`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Settings of one worker's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Level to start at.
    pub level: Level,
    /// At level `sampled`, one poll in this many carries stage stamps, on average. At least 1.
    pub sample_interval: u32,
    /// Cost of one time stamp in TSC cycles, from [`stamp_cost`](super::price::stamp_cost).
    pub stamp_cost_cycles: u64,
    /// An interval longer than this many TSC cycles was not ours.
    pub gap_threshold_cycles: u64,
    /// Ports that can be billed: indices `0..port_capacity`; bursts of others go to one shared bill.
    pub port_capacity: usize,
    /// Most bursts of one poll round that share the cycles of a flush.
    pub round_capacity: usize,
    /// Seed of the sampling phase; any value.
    pub seed: u64,
}

/// What of a ledger's settings can change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// See [`LedgerConfig::level`].
    pub level: Level,
    /// See [`LedgerConfig::sample_interval`].
    pub sample_interval: u32,
    /// See [`LedgerConfig::gap_threshold_cycles`].
    pub gap_threshold_cycles: u64,
}

impl LedgerConfig {
    /// One stage-stamped poll in this many; that of the configuration, as a test of the control side checks.
    pub const DEFAULT_SAMPLE_INTERVAL: u32 = 128;
    /// Gap threshold in nanoseconds: 20 µs, far above a burst of 64 and far below a preemption.
    pub const DEFAULT_GAP_NANOS: u64 = 20_000;

    /// Defaults for a time stamp counter of `tsc_hz` ticks a second; the stamp's cost is 0 until calibrated.
    pub fn new(tsc_hz: u64) -> Self {
        let gap = u128::from(tsc_hz) * u128::from(Self::DEFAULT_GAP_NANOS) / 1_000_000_000;
        Self {
            level: Level::default(),
            sample_interval: Self::DEFAULT_SAMPLE_INTERVAL,
            stamp_cost_cycles: 0,
            gap_threshold_cycles: u64::try_from(gap).unwrap_or(u64::MAX),
            port_capacity: 1024,
            round_capacity: 2048,
            seed: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

/// Why a ledger could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// More stages than the mask of touched rows has bits.
    #[error("the ledger has room for {max} stages, the registry lists {given}: raise MAX_ROWS in ledger/account.rs")]
    TooManyStages {
        /// Stages given.
        given: usize,
        /// Stages possible.
        max: usize,
    },
}
