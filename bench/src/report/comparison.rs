//! The result of `weir-bench compare`: medians over rounds, ratios, and how they stand to the bars.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::bars::{BARS, PRICE_BAR, PRICE_GOAL, Verdict, WALL_CLOCK_BAR};
use super::text::{cycles, ratio, table};
use crate::measure::{Machine, Spread};

/// Who is measured doing what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    WeirL2,
    TestpmdIn,
    OvsForward,
    WeirEncap,
    OvsVxlan,
    WeirDecap,
    TestpmdVx,
    OvsDecap,
    WeirVhost,
    TestpmdVhost,
}

impl Subject {
    /// All, in the order of a round: those that are compared run one after the other.
    pub(crate) const ALL: &[Self] = &[
        Self::WeirL2,
        Self::TestpmdIn,
        Self::OvsForward,
        Self::WeirEncap,
        Self::OvsVxlan,
        Self::WeirDecap,
        Self::TestpmdVx,
        Self::OvsDecap,
        Self::WeirVhost,
        Self::TestpmdVhost,
    ];

    /// For tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WeirL2 => "weir l2-forward",
            Self::TestpmdIn => "testpmd io",
            Self::OvsForward => "OVS forward",
            Self::WeirEncap => "weir vxlan-encap",
            Self::OvsVxlan => "OVS vxlan encap",
            Self::WeirDecap => "weir vxlan-decap",
            Self::TestpmdVx => "testpmd io, VXLAN frames",
            Self::OvsDecap => "OVS vxlan decap",
            Self::WeirVhost => "weir vhost-forward",
            Self::TestpmdVhost => "testpmd io, vhost-user",
        }
    }
}

/// One subject in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Cycles per packet without those that others had: weir's without stolen ones, a peer's without the time that
    /// its thread waited for the CPU.
    pub cycles_per_packet: f64,
    /// The same with them.
    pub total_cycles_per_packet: f64,
    /// Packets per receive burst, where it is known.
    pub mean_rx_burst: Option<f64>,
    /// Whether the generator was the limit.
    pub generator_limited: bool,
    /// weir's: ledger against wall clock.
    pub wall_clock_error: Option<f64>,
    /// Part of the time that others had its CPU.
    pub waited_share: Option<f64>,
}

/// Part of the time that others may have the CPU in a quiet run.
const QUIET: f64 = 0.02;
/// From this part on what is left in a peer's own count after subtraction speaks for weir: no pass is given then.
const BUSY: f64 = 0.1;

/// One subject over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub name: String,
    /// `None` when it could not be measured.
    pub cycles_per_packet: Option<Spread>,
    pub rounds: Vec<Round>,
    /// Why it was not measured.
    pub missing: Option<String>,
}

/// One ratio against its bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of the JSON fields")]
pub(crate) struct Ratio {
    pub weir: Subject,
    pub against: Subject,
    /// Median ÷ median.
    pub ratio: Option<f64>,
    /// Ratios of the single rounds.
    pub rounds: Option<Spread>,
    pub bar: f64,
    pub goal: f64,
    pub verdict: Verdict,
}

/// A figure that has its bar alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Single {
    pub value: Option<f64>,
    pub bar: f64,
    pub goal: Option<f64>,
    pub verdict: Verdict,
}

/// Everything that was compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub machine: Machine,
    pub rounds: u32,
    pub seconds: f64,
    pub flows: u32,
    /// Part of the time that others had the CPU of whoever was measured: the largest median of all.
    pub waited_share: Option<f64>,
    pub subjects: BTreeMap<Subject, Line>,
    pub ratios: Vec<Ratio>,
    /// Largest median of weir's scenarios.
    pub wall_clock_error: Single,
    /// Paired median of the sampled ledger's price.
    pub price: Single,
    /// The whole answer of `weir-bench price`.
    pub price_details: Option<serde_json::Value>,
}

/// What a comparison is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measurements {
    pub rounds: BTreeMap<Subject, Vec<Round>>,
    pub missing: BTreeMap<Subject, String>,
    pub price: Option<serde_json::Value>,
}

impl Comparison {
    pub(crate) fn new(machine: Machine, rounds: u32, seconds: f64, flows: u32, measured: Measurements) -> Self {
        let of = |subject: Subject| measured.rounds.get(&subject).map(Vec::as_slice).unwrap_or_default();
        let spread = |subject: Subject| Spread::of(of(subject).iter().map(|round| round.cycles_per_packet));
        let waited = |subject: Subject| {
            Spread::of(of(subject).iter().filter_map(|round| round.waited_share)).map(|spread| spread.median)
        };
        let subjects = Subject::ALL.iter().map(|subject| {
            let line = Line {
                name: subject.name().into(),
                cycles_per_packet: spread(*subject),
                rounds: of(*subject).to_vec(),
                missing: measured.missing.get(subject).cloned(),
            };
            (*subject, line)
        });
        let ratios = BARS.iter().map(|bar| {
            let ratio = spread(bar.weir).zip(spread(bar.against)).map(|(weir, peer)| weir.median / peer.median);
            let pairs = of(bar.weir).iter().zip(of(bar.against));
            let single = pairs.map(|(weir, peer)| weir.cycles_per_packet / peer.cycles_per_packet);
            let mut verdict = Verdict::of(ratio, bar.most, bar.goal);
            let limited = |subject: Subject| {
                let rounds = of(subject);
                2 * rounds.iter().filter(|round| round.generator_limited).count() > rounds.len()
            };
            if ratio.is_some() && (limited(bar.weir) || limited(bar.against)) {
                verdict = Verdict::GeneratorLimited;
            }
            // With vhost-user two programs must run at the same time; what one CPU loses changes the other's costs too.
            let disturbed = |most: f64| {
                ratio.is_some()
                    && [bar.weir, bar.against].iter().any(|who| waited(*who).is_some_and(|share| share > most))
            };
            let both_at_once = bar.weir == Subject::WeirVhost;
            if both_at_once && disturbed(QUIET) || verdict != Verdict::Fail && disturbed(BUSY) {
                verdict = Verdict::Disturbed;
            }
            Ratio {
                weir: bar.weir,
                against: bar.against,
                ratio,
                rounds: Spread::of(single),
                bar: bar.most,
                goal: bar.goal,
                verdict,
            }
        });
        let errors = Subject::ALL.iter().filter_map(|subject| {
            Spread::of(of(*subject).iter().filter_map(|round| round.wall_clock_error)).map(|spread| spread.median)
        });
        let wall_clock = errors.reduce(f64::max);
        let price = measured.price.as_ref().and_then(|price| price.pointer("/price/median")?.as_f64());
        Self {
            machine,
            rounds,
            seconds,
            flows,
            waited_share: Subject::ALL.iter().filter_map(|subject| waited(*subject)).reduce(f64::max),
            subjects: subjects.collect(),
            ratios: ratios.collect(),
            wall_clock_error: Single {
                value: wall_clock,
                bar: WALL_CLOCK_BAR,
                goal: None,
                verdict: match Verdict::of(wall_clock, WALL_CLOCK_BAR, WALL_CLOCK_BAR) {
                    Verdict::Goal => Verdict::Pass,
                    other => other,
                },
            },
            price: Single {
                value: price,
                bar: PRICE_BAR,
                goal: Some(PRICE_GOAL),
                verdict: Verdict::of(price, PRICE_BAR, PRICE_GOAL),
            },
            price_details: measured.price,
        }
    }

    /// Whether no bar was missed. What was not measured is no miss, but no pass either.
    pub(crate) fn passed(&self) -> bool {
        let singles = [self.wall_clock_error.verdict, self.price.verdict];
        !self.ratios.iter().map(|ratio| ratio.verdict).chain(singles).any(|verdict| verdict == Verdict::Fail)
    }

    /// Two tables, in Markdown.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        _ = writeln!(
            text,
            "{}, {} CPUs, load before {:.1}; {} rounds of {} s, {} flows, frames of 64 octets, TSC cycles per packet\n",
            self.machine.cpu_model, self.machine.cpus, self.machine.load_average, self.rounds, self.seconds, self.flows
        );
        let mut lines = table(&["who", "median", "quartiles", "with others' time", "rounds"]);
        for line in self.subjects.values() {
            let total = Spread::of(line.rounds.iter().map(|round| round.total_cycles_per_packet));
            lines.add_row([
                line.name.clone(),
                line.cycles_per_packet.map_or_else(|| "-".into(), |spread| cycles(Some(spread.median))),
                line.cycles_per_packet
                    .map_or_else(String::new, |spread| format!("{:.1} - {:.1}", spread.q1, spread.q3)),
                total.map_or_else(String::new, |spread| cycles(Some(spread.median))),
                line.rounds.len().to_string(),
            ]);
        }
        _ = writeln!(text, "{lines}\n");
        let mut bars = table(&["ratio", "measured", "over the rounds", "bar", "goal", "verdict"]);
        for line in &self.ratios {
            bars.add_row([
                format!("{} / {}", line.weir.name(), line.against.name()),
                ratio(line.ratio),
                line.rounds.map_or_else(String::new, |spread| format!("{:.2} - {:.2}", spread.min, spread.max)),
                format!("{:.2}", line.bar),
                format!("{:.2}", line.goal),
                line.verdict.word().to_owned(),
            ]);
        }
        let percent = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{:.2} %", value * 100.0));
        for (name, single) in
            [("ledger against wall clock", self.wall_clock_error), ("price of the sampled ledger", self.price)]
        {
            bars.add_row([
                name.to_owned(),
                percent(single.value),
                String::new(),
                percent(Some(single.bar)),
                percent(single.goal),
                single.verdict.word().to_owned(),
            ]);
        }
        _ = write!(text, "{bars}");
        if let Some(share) = self.waited_share.filter(|share| *share > QUIET) {
            _ = write!(
                text,
                "\nnot a quiet machine: others had the measured CPU for {:.0} % of the time. That time is left out of the\n\
                 figures, but not what it did to caches; stop what else runs before quoting any of this",
                share * 100.0
            );
        }
        for line in self.subjects.values() {
            if let Some(why) = &line.missing {
                _ = write!(text, "\nnot measured: {}: {why}", line.name);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(cycles: &[f64], generator_limited: bool) -> Vec<Round> {
        let round = |cycles: &f64| Round {
            cycles_per_packet: *cycles,
            total_cycles_per_packet: *cycles,
            mean_rx_burst: None,
            generator_limited,
            wall_clock_error: Some(0.0004),
            waited_share: Some(if generator_limited { 0.0 } else { 0.01 }),
        };
        cycles.iter().map(round).collect()
    }

    fn compare(list: &[(Subject, &[f64], bool)]) -> Comparison {
        let measured = Measurements {
            rounds: list.iter().map(|(subject, cycles, limited)| (*subject, rounds(cycles, *limited))).collect(),
            missing: [(Subject::OvsForward, "not installed".to_owned())].into(),
            price: Some(serde_json::json!({ "price": { "median": 0.015 } })),
        };
        Comparison::new(Machine::now(), 3, 1.0, 256, measured)
    }

    fn verdict(comparison: &Comparison, against: Subject, weir: Subject) -> (Option<f64>, Verdict) {
        let line = comparison.ratios.iter().find(|ratio| ratio.weir == weir && ratio.against == against).unwrap();
        (line.ratio, line.verdict)
    }

    #[test]
    fn medians_are_divided_and_judged() {
        let comparison = compare(&[
            (Subject::WeirL2, &[50.0, 60.0, 500.0], false),
            (Subject::TestpmdIn, &[40.0, 39.0, 41.0], false),
        ]);
        assert_eq!(verdict(&comparison, Subject::TestpmdIn, Subject::WeirL2), (Some(1.5), Verdict::Pass));
        assert_eq!(verdict(&comparison, Subject::OvsForward, Subject::WeirL2), (None, Verdict::Missing));
        assert_eq!((comparison.price.verdict, comparison.wall_clock_error.verdict), (Verdict::Pass, Verdict::Pass));
        assert!(comparison.passed());
        let text = comparison.to_text();
        assert!(
            text.contains("weir l2-forward / testpmd io") && text.contains("not measured: OVS forward: not installed")
        );
    }

    #[test]
    fn one_missed_bar_fails_the_whole() {
        let comparison = compare(&[(Subject::WeirL2, &[70.0], false), (Subject::TestpmdIn, &[40.0], false)]);
        assert_eq!(verdict(&comparison, Subject::TestpmdIn, Subject::WeirL2).1, Verdict::Fail);
        assert!(!comparison.passed());
    }

    #[test]
    fn a_slow_generator_gives_no_verdict() {
        let comparison = compare(&[(Subject::WeirVhost, &[70.0; 3], true), (Subject::TestpmdVhost, &[40.0; 3], false)]);
        assert_eq!(verdict(&comparison, Subject::TestpmdVhost, Subject::WeirVhost).1, Verdict::GeneratorLimited);
        assert!(comparison.passed());
    }

    #[test]
    fn a_disturbed_run_says_so_and_passes_nothing() {
        let list = [Subject::WeirVhost, Subject::TestpmdVhost, Subject::WeirL2, Subject::TestpmdIn];
        let disturbed = rounds(&[50.0], false).into_iter().map(|round| Round { waited_share: Some(0.3), ..round });
        let disturbed: Vec<_> = disturbed.collect();
        let rounds = list.iter().map(|subject| (*subject, disturbed.clone())).collect();
        let measured = Measurements { rounds, ..Measurements::default() };
        let comparison = Comparison::new(Machine::now(), 1, 1.0, 256, measured);
        assert_eq!(verdict(&comparison, Subject::TestpmdVhost, Subject::WeirVhost).1, Verdict::Disturbed);
        assert_eq!(verdict(&comparison, Subject::TestpmdIn, Subject::WeirL2), (Some(1.0), Verdict::Disturbed));
        assert!(comparison.to_text().contains("others had the measured CPU for 30 % of the time"));
    }

    #[test]
    fn it_reads_back_from_json() {
        let comparison = compare(&[(Subject::WeirL2, &[70.0], false)]);
        let text = serde_json::to_string(&comparison).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison);
    }
}
