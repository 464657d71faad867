//! Medians and spread: timings have outliers on one side only, so that means say little.

use serde::{Deserialize, Serialize};

/// Repeated measurements of one figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// Measurements.
    pub count: usize,
    pub median: f64,
    /// Lower and upper quartile, interpolated.
    pub q1: f64,
    pub q3: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// `None` without a finite measurement.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let last = values.len() - 1;
        // In quarters, so that the place is a whole number of elements and a remainder.
        let at = |quarter: usize| {
            let (place, rest) = (quarter * last / 4, quarter * last % 4);
            let low = values.get(place).copied().unwrap_or(max);
            let high = values.get(place + 1).copied().unwrap_or(max);
            low + (high - low) * rest as f64 / 4.0
        };
        Some(Self { count: values.len(), median: at(2), q1: at(1), q3: at(3), min, max })
    }
}

/// Position of the element whose figure is the (lower) median.
pub(crate) fn median_index(values: &[f64]) -> Option<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values.get(*a).partial_cmp(&values.get(*b)).unwrap_or(std::cmp::Ordering::Equal));
    order.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated_between_neighbours() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0, f64::NAN]).unwrap();
        let wanted = Spread { count: 4, median: 2.5, q1: 1.75, q3: 3.25, min: 1.0, max: 4.0 };
        assert_eq!(spread, wanted);
        assert_eq!(Spread::of([]), None);
        let one = Spread::of([7.0]).unwrap();
        assert_eq!(one, Spread { count: 1, median: 7.0, q1: 7.0, q3: 7.0, min: 7.0, max: 7.0 });
    }

    #[test]
    fn the_median_window_is_one_that_was_measured() {
        assert_eq!(median_index(&[5.0, 1.0, 3.0]), Some(2));
        assert_eq!(median_index(&[5.0, 1.0, 3.0, 4.0]), Some(2));
        assert_eq!(median_index(&[]), None);
    }
}
