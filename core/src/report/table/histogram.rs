//! Histograms that merge: counts between fixed edges, so that those of many captures are added up place by
//! place.
//!
//! The edges are powers of 2^¼, so that a bucket is 19 % wide, from 1/256 s to 32 s on either side of 0.

use std::sync::LazyLock;

use crate::engine::Engine;
use crate::time::Nanos;

/// Buckets between a time and its double.
const PER_OCTAVE: usize = 4;
/// The smallest edge above 0 is 2 to this power, in seconds, …
const FROM_EXPONENT: i32 = -8;
/// … and the largest is 2 to this.
const TO_EXPONENT: i32 = 5;
/// Edges above 0.
const EDGES: usize = (TO_EXPONENT - FROM_EXPONENT) as usize * PER_OCTAVE + 1;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramOf {
    /// Leads, which may be negative.
    Leads,
    /// Ages, which are not.
    Staleness,
}

static ABOVE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let exponent = |place: usize| f64::from(FROM_EXPONENT) + place as f64 / PER_OCTAVE as f64;
    (0..EDGES).map(|place| libm::exp2(exponent(place))).collect()
});
static BOTH_SIDES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let below = ABOVE.iter().rev().map(|edge| -edge);
    below.chain(ABOVE.iter().copied()).collect()
});

/// The edges in seconds. Bucket 0 counts what lies below the first, bucket `n` what lies from edge `n - 1`
/// up to but not including edge `n`, and the last bucket all the rest.
#[must_use]
pub fn edges(of: HistogramOf) -> &'static [f64] {
    match of {
        HistogramOf::Leads => &BOTH_SIDES,
        HistogramOf::Staleness => &ABOVE,
    }
}

/// The histograms of a capture; empty where no stream came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histograms {
    pub leads: Vec<i64>,
    pub staleness: Vec<i64>,
}

impl Histograms {
    /// Leads of all slices that came while there was a listener, and staleness at all reports.
    #[must_use]
    pub fn of(engine: &Engine) -> Histograms {
        let Some(from_s) = engine.listens_from().map(Nanos::seconds) else {
            return Histograms::default();
        };
        let epochs = || engine.epochs().iter();
        let slices = epochs().flat_map(|epoch| epoch.tracker.slices());
        let slices = slices.filter(|slice| slice.t_s >= from_s);
        let ticks = epochs().flat_map(|epoch| epoch.tracker.ticks());
        Histograms {
            leads: counted(HistogramOf::Leads, slices.map(|slice| slice.lead_s)),
            staleness: counted(HistogramOf::Staleness, ticks.map(|tick| tick.staleness_s)),
        }
    }
}

/// Counts values; what is no number is left out.
fn counted(of: HistogramOf, values: impl Iterator<Item = f64>) -> Vec<i64> {
    let edges = edges(of);
    let mut counts = vec![0; edges.len() + 1];
    for value in values.filter(|value| !value.is_nan()) {
        counts[edges.partition_point(|edge| *edge <= value)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(of: HistogramOf, value: f64, bucket: usize) {
        let counts = counted(of, [value].into_iter());
        assert_eq!(counts.iter().position(|count| *count == 1), Some(bucket), "{value}");
    }

    #[test]
    fn a_value_lies_between_its_edges() {
        check(HistogramOf::Staleness, 0.0, 0);
        check(HistogramOf::Staleness, 1.0 / 256.0, 1);
        check(HistogramOf::Staleness, 0.25, 25);
        check(HistogramOf::Staleness, 31.9, 52);
        check(HistogramOf::Staleness, 32.0, 53);
        check(HistogramOf::Staleness, f64::INFINITY, 53);
        check(HistogramOf::Leads, f64::NEG_INFINITY, 0);
        check(HistogramOf::Leads, -32.0, 1);
        check(HistogramOf::Leads, 0.0, 53);
        check(HistogramOf::Leads, 0.25, 78);
        check(HistogramOf::Leads, 40.0, 106);
        assert_eq!(counted(HistogramOf::Leads, [f64::NAN].into_iter()).iter().sum::<i64>(), 0);
    }

    #[test]
    fn edges_rise_and_double_every_fourth() {
        for of in [HistogramOf::Leads, HistogramOf::Staleness] {
            assert!(edges(of).windows(2).all(|pair| pair[0] < pair[1]));
        }
        let edges = edges(HistogramOf::Staleness);
        assert_eq!((edges[0], edges[4], edges[52]), (1.0 / 256.0, 1.0 / 128.0, 32.0));
    }
}
