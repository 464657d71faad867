//! The bars that weir must meet and the goals that it aims for: ratios of cycles per packet within one run.

use serde::{Deserialize, Serialize};

use super::Subject;

/// A ratio that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    /// What weir does.
    pub weir: Subject,
    /// Whom it is compared with.
    pub against: Subject,
    /// The most that the ratio may be.
    pub most: f64,
    /// What it should be.
    pub goal: f64,
}

/// How a figure stands to its bar and goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// At or under the goal.
    Goal,
    /// At or under the bar.
    Pass,
    /// Over the bar.
    Fail,
    /// The generator was the limit: the figure says nothing.
    GeneratorLimited,
    /// Others had a CPU that had to run at the same time: the figure says nothing.
    Disturbed,
    /// Not measured.
    Missing,
}

impl Verdict {
    /// Of a measured figure.
    pub(crate) fn of(figure: Option<f64>, bar: f64, goal: f64) -> Self {
        match figure {
            None => Self::Missing,
            Some(figure) if figure <= goal => Self::Goal,
            Some(figure) if figure <= bar => Self::Pass,
            Some(_) => Self::Fail,
        }
    }

    /// For tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Goal => "PASS, goal met",
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::GeneratorLimited => "generator-limited",
            Self::Disturbed => "disturbed",
            Self::Missing => "not measured",
        }
    }
}

const fn bar(weir: Subject, against: Subject, most: f64, goal: f64) -> Bar {
    Bar { weir, against, most, goal }
}

/// All ratios that are asked for, 256 flows each.
pub(crate) const BARS: &[Bar] = &[
    bar(Subject::WeirL2, Subject::TestpmdIn, 1.6, 1.35),
    bar(Subject::WeirL2, Subject::OvsForward, 0.6, 0.5),
    bar(Subject::WeirEncap, Subject::TestpmdIn, 1.9, 1.6),
    bar(Subject::WeirEncap, Subject::OvsVxlan, 0.45, 0.37),
    bar(Subject::WeirDecap, Subject::TestpmdVx, 2.0, 1.7),
    bar(Subject::WeirDecap, Subject::OvsDecap, 0.3, 0.25),
    bar(Subject::WeirVhost, Subject::TestpmdVhost, 1.25, 1.1),
];

/// Most that ledger and wall clock may differ by.
pub(crate) const WALL_CLOCK_BAR: f64 = 0.001;
/// Most that the sampled ledger may cost, and what it should.
pub(crate) const PRICE_BAR: f64 = 0.02;
/// What it should cost at most.
pub(crate) const PRICE_GOAL: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_include_their_limits() {
        for (figure, verdict) in [
            (Some(1.35), Verdict::Goal),
            (Some(1.6), Verdict::Pass),
            (Some(1.601), Verdict::Fail),
            (None, Verdict::Missing),
        ] {
            assert_eq!(Verdict::of(figure, 1.6, 1.35), verdict);
        }
    }
}
