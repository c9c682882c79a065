//! Two reports side by side: two captures, or a capture and what would have been.
//!
//! Enters: two named lag reports, with the seconds of lag where a verdict is known. Leaves: a
//! [`Comparison`], plain data: every figure of both, and what changed by how much. Units stand in the
//! figures' names. Never judges which of two is better but by the order that a figure declares.

use serde::Serialize;

use super::SCHEMA;
use crate::lag::stats::round;
use crate::lag::{Figures, LagReport};

/// Two sides, figure by figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of this JSON.
    pub schema: u32,
    /// The first side, …
    pub a: Side,
    /// … and the second.
    pub b: Side,
    /// All figures that at least one side has.
    pub figures: Vec<Difference>,
    /// Figures that differ for the better and for the worse, seen from `a`.
    pub better: usize,
    /// See `better`.
    pub worse: usize,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Seconds of lag of the verdict, where one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_s: Option<f64>,
    /// The reference's report.
    pub lag: LagReport,
}

/// A figure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Its name.
    pub figure: &'static str,
    /// Of the first side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<f64>,
    /// Of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<f64>,
    /// `b − a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// What the change means for a listener.
    pub means: Means,
}

/// What a change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// Less lag in the second.
    Better,
    /// More lag in the second.
    Worse,
    /// No difference.
    Same,
    /// A difference that is neither.
    Other,
}

/// Which way is better.
#[derive(Clone, Copy)]
enum Best {
    High,
    Low,
    Neither,
}

type Figure = (&'static str, Best, fn(&Side) -> Option<f64>);

const FIGURES: [Figure; 16] = [
    ("lag_s", Best::Low, |side| side.lag_s),
    ("stale_ticks", Best::Low, |side| Some(side.lag.ticks.stale_ticks as f64)),
    ("slices_behind", Best::Low, |side| Some(side.lag.slices.behind_playhead as f64)),
    ("lead_s_min", Best::High, |side| of(side.lag.slices.lead_s, |lead| lead.min)),
    ("lead_s_p5", Best::High, |side| of(side.lag.slices.lead_s, |lead| lead.p5)),
    ("lead_s_p50", Best::Neither, |side| of(side.lag.slices.lead_s, |lead| lead.p50)),
    ("lead_s_p95", Best::Neither, |side| of(side.lag.slices.lead_s, |lead| lead.p95)),
    ("staleness_s_p50", Best::Low, |side| of(side.lag.ticks.staleness_s, |stale| stale.p50)),
    ("staleness_s_p95", Best::Low, |side| of(side.lag.ticks.staleness_s, |stale| stale.p95)),
    ("staleness_s_max", Best::Low, |side| of(side.lag.ticks.staleness_s, |stale| stale.max)),
    ("interval_s_p50", Best::Low, |side| of(side.lag.slices.interval_s, |interval| interval.p50)),
    ("interval_s_max", Best::Low, |side| of(side.lag.slices.interval_s, |interval| interval.max)),
    ("tick_ms_p50", Best::Neither, |side| of(side.lag.slices.tick_ms, |tick| tick.p50)),
    ("tick_ms_p95", Best::Neither, |side| of(side.lag.slices.tick_ms, |tick| tick.p95)),
    ("slices", Best::Neither, |side| Some(side.lag.slices.count as f64)),
    ("ticks", Best::Neither, |side| Some(side.lag.ticks.count as f64)),
];

/// Decimals of a change, as the reference's figures have.
const DECIMALS: usize = Figures::DECIMALS;

impl Comparison {
    /// Compares two sides.
    #[must_use]
    pub fn of(a: Side, b: Side) -> Comparison {
        let figures: Vec<_> = FIGURES
            .iter()
            .map(|(figure, best, value)| difference(figure, *best, value(&a), value(&b)))
            .filter(|difference| difference.a.or(difference.b).is_some())
            .collect();
        let count = |means| figures.iter().filter(|figure| figure.means == means).count();
        let (better, worse) = (count(Means::Better), count(Means::Worse));
        Comparison { schema: SCHEMA, a, b, figures, better, worse }
    }
}

fn of(figures: Option<Figures>, value: fn(Figures) -> f64) -> Option<f64> {
    figures.map(value).filter(|value| value.is_finite())
}

fn difference(figure: &'static str, best: Best, a: Option<f64>, b: Option<f64>) -> Difference {
    let change = a.zip(b).map(|(a, b)| round(b - a, DECIMALS));
    let means = match (best, change) {
        (_, Some(0.0)) => Means::Same,
        (Best::High, Some(change)) if change > 0.0 => Means::Better,
        (Best::Low, Some(change)) if change < 0.0 => Means::Better,
        (Best::High | Best::Low, Some(_)) => Means::Worse,
        _ => Means::Other,
    };
    Difference { figure, a, b, change, means }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{ReportArgs, SliceRecord, TickRecord};

    fn side(name: &str, leads_s: &[f64], staleness_s: f64) -> Side {
        let slices: Vec<_> = leads_s
            .iter()
            .map(|&lead_s| SliceRecord {
                t_s: 1.0,
                start: 0,
                frames: 1,
                lead_s,
                interval_s: 0.0,
                tick_ms: 1.0,
                dec_ms: 1.0,
                generations: 1,
            })
            .collect();
        let ticks = [TickRecord { t_s: 1.0, playhead_s: 0.0, staleness_s }];
        let args = ReportArgs::default();
        let lag = LagReport::of(8.0, slices.iter(), ticks.iter(), 2.0, &args);
        Side { name: name.to_owned(), lag_s: None, lag }
    }

    #[track_caller]
    fn check(figure: &str, expected: Option<(Option<f64>, Means)>) {
        let compared =
            Comparison::of(side("recorded", &[-0.5, 0.2], 5.0), side("changed", &[0.1], 0.25));
        let found = compared.figures.iter().find(|found| found.figure == figure);
        assert_eq!(found.map(|found| (found.change, found.means)), expected, "{figure}");
    }

    #[test]
    fn every_figure_says_what_its_change_means() {
        check("stale_ticks", Some((Some(-1.0), Means::Better)));
        check("slices_behind", Some((Some(-1.0), Means::Better)));
        check("lead_s_min", Some((Some(0.6), Means::Better)));
        check("staleness_s_max", Some((Some(-4.75), Means::Better)));
        check("slices", Some((Some(-1.0), Means::Other)));
        check("ticks", Some((Some(0.0), Means::Same)));
        check("interval_s_p50", None);
        check("lag_s", None);
        let same = Comparison::of(side("a", &[0.2], 0.1), side("b", &[0.2], 0.1));
        assert_eq!((same.better, same.worse), (0, 0));
        let back = Comparison::of(side("a", &[0.2], 0.1), side("b", &[-0.2], 0.1));
        assert!(back.worse > 0 && back.better == 0);
    }
}
