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
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let low = values.get(place.floor() as usize).copied().unwrap_or(min);
            let high = values.get(place.ceil() as usize).copied().unwrap_or(max);
            low + (high - low) * place.fract()
        };
        Some(Self { count: values.len(), median: at(0.5), q1: at(0.25), q3: at(0.75), min, max })
    }

    /// Distance of the quartiles as a part of the median.
    pub(crate) fn relative_iqr(&self) -> f64 {
        (self.q3 - self.q1) / self.median
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
        assert_eq!((spread.count, spread.min, spread.max), (4, 1.0, 4.0));
        assert_eq!((spread.q1, spread.median, spread.q3), (1.75, 2.5, 3.25));
        assert!((spread.relative_iqr() - 0.6).abs() < 1e-12);
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([7.0]).unwrap().q1, 7.0);
    }

    #[test]
    fn the_median_window_is_one_that_was_measured() {
        assert_eq!(median_index(&[5.0, 1.0, 3.0]), Some(2));
        assert_eq!(median_index(&[5.0, 1.0, 3.0, 4.0]), Some(2));
        assert_eq!(median_index(&[]), None);
    }
}
