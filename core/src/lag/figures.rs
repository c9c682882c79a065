//! Extremes, percentiles and mean, as the reference rounds them.

use serde::Serialize;

use super::stats::{mean, percentile, round};

/// Extremes, percentiles and mean of a list, each to 4 decimals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Smallest value.
    pub min: f64,
    /// 5th percentile.
    pub p5: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest value.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
}

impl Figures {
    /// Decimals of every figure.
    pub const DECIMALS: usize = 4;
    /// The quantiles between the extremes.
    pub const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];
    const NOT_NUMBERS: Self = Self {
        min: f64::NAN,
        p5: f64::NAN,
        p50: f64::NAN,
        p95: f64::NAN,
        max: f64::NAN,
        mean: f64::NAN,
    };

    /// The figures of a list, `None` when it is empty.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        if values.iter().any(|value| value.is_nan()) {
            return Some(Self::NOT_NUMBERS);
        }
        // The mean comes first: its last bits depend on the order, which the percentiles change.
        let mean = mean(&values);
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let quantiles = Self::QUANTILES.map(|q| percentile(&mut values, q));
        Some(Self::rounded(min, quantiles, max, mean))
    }

    /// Figures from what was computed, rounded.
    #[must_use]
    pub fn rounded(min: f64, quantiles: [f64; 3], max: f64, mean: f64) -> Self {
        let figure = |value| round(value, Self::DECIMALS);
        let [p5, p50, p95] = quantiles.map(figure);
        Self { min: figure(min), p5, p50, p95, max: figure(max), mean: figure(mean) }
    }
}
