//! The figures of two captures, one by one: both values, whether they are the same, which is worse.
//!
//! Figures cover the whole session with all its epochs. Formulas that exist elsewhere are not repeated
//! here.

use serde::Serialize;

use super::{Tolerance, Which};
use crate::engine::Engine;
use crate::heard::{ALARM_NS, BEHIND_LEAD_S};
use crate::lag::stats::round;
use crate::lag::{Figures, SliceRecord};
use crate::report::Analysis;

/// What a figure counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// A part of one.
    Share,
    /// Times a second.
    PerS,
    /// Bytes a second.
    BytesPerS,
    /// A number of things.
    Count,
}

/// What a difference of a figure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bearing {
    /// The larger one is worse for the listener.
    MoreIsWorse,
    /// The smaller one is.
    LessIsWorse,
    /// The captures are different, and neither is worse for it.
    Differs,
    /// Worth knowing; makes no difference.
    Informs,
}

/// One figure of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FigureComparison {
    pub name: &'static str,
    /// What it counts in.
    pub unit: FigureUnit,
    /// What a difference means.
    pub bearing: Bearing,
    /// The first's; `null` where there is nothing to measure.
    pub a: Option<f64>,
    /// The second's.
    pub b: Option<f64>,
    /// The second less the first.
    pub difference: Option<f64>,
    /// They lie within the tolerance, or neither has one.
    pub same: bool,
    /// Which is worse, where they differ and one is.
    pub worse: Option<Which>,
}

/// The figures of one side, in the order of [`FIGURES`].
#[derive(Debug)]
pub(super) struct Figured([Option<f64>; FIGURES.len()]);

/// Names, units and bearings; those that a listener minds most stand first. A thinner lead is only a
/// smaller margin: what was heard comes before it.
const FIGURES: [(&str, FigureUnit, Bearing); 21] = [
    ("lag_s", FigureUnit::S, Bearing::MoreIsWorse),
    ("bad_s", FigureUnit::S, Bearing::MoreIsWorse),
    ("stale_ticks", FigureUnit::Share, Bearing::MoreIsWorse),
    ("slices_behind", FigureUnit::Share, Bearing::MoreIsWorse),
    ("staleness_p50", FigureUnit::S, Bearing::MoreIsWorse),
    ("staleness_p95", FigureUnit::S, Bearing::MoreIsWorse),
    ("staleness_max", FigureUnit::S, Bearing::MoreIsWorse),
    ("longest_gap", FigureUnit::S, Bearing::MoreIsWorse),
    ("lead_p5", FigureUnit::S, Bearing::LessIsWorse),
    ("lead_p50", FigureUnit::S, Bearing::LessIsWorse),
    ("lead_p95", FigureUnit::S, Bearing::Differs),
    ("interval_p50", FigureUnit::S, Bearing::MoreIsWorse),
    ("interval_p95", FigureUnit::S, Bearing::MoreIsWorse),
    ("slices_per_s", FigureUnit::PerS, Bearing::LessIsWorse),
    ("tick_ms_p50", FigureUnit::Ms, Bearing::MoreIsWorse),
    ("tick_ms_p95", FigureUnit::Ms, Bearing::MoreIsWorse),
    ("ticks_per_s", FigureUnit::PerS, Bearing::Differs),
    ("lost_records", FigureUnit::Count, Bearing::Differs),
    ("startup_s", FigureUnit::S, Bearing::Informs),
    ("down_bytes_per_s", FigureUnit::BytesPerS, Bearing::Informs),
    ("up_bytes_per_s", FigureUnit::BytesPerS, Bearing::Informs),
];

impl Figured {
    /// The figures of a session. Those of the lag report are over all epochs and not only the last.
    pub fn of(engine: &Engine, analysis: &Analysis) -> Figured {
        let slices = || engine.epochs().iter().flat_map(|epoch| epoch.tracker.slices());
        let ticks = || engine.epochs().iter().flat_map(|epoch| epoch.tracker.ticks());
        let list = |value: fn(&SliceRecord) -> f64| slices().map(value).collect::<Vec<_>>();
        let lead = Figures::of(list(|slice| slice.lead_s));
        let mut intervals = list(|slice| slice.interval_s);
        intervals.retain(|&interval_s| interval_s > 0.0);
        let interval = Figures::of(intervals);
        let tick = Figures::of(list(|slice| slice.tick_ms));
        let staleness = Figures::of(ticks().map(|tick| tick.staleness_s).collect());
        let threshold_s = analysis.lag.as_ref().map(|lag| lag.ticks.stale_threshold_s);
        let is_stale = |staleness_s: f64| threshold_s.is_some_and(|limit_s| staleness_s > limit_s);
        let facts = engine.facts();
        let lost = facts.gaps.iter().fold(0_u64, |lost, (_, gap)| lost.saturating_add(gap.count));
        Figured([
            Some(analysis.verdict.lag_s),
            Some(analysis.verdict.bad_s),
            share(ticks().map(|tick| is_stale(tick.staleness_s))),
            share(slices().map(|slice| slice.lead_s < 0.0)),
            staleness.map(|staleness| staleness.p50),
            staleness.map(|staleness| staleness.p95),
            staleness.map(|staleness| staleness.max),
            interval.map(|interval| interval.max),
            lead.map(|lead| lead.p5),
            lead.map(|lead| lead.p50),
            lead.map(|lead| lead.p95),
            interval.map(|interval| interval.p50),
            interval.map(|interval| interval.p95),
            Some(analysis.rates.slices_per_s),
            tick.map(|tick| tick.p50),
            tick.map(|tick| tick.p95),
            Some(analysis.rates.ticks_per_s),
            Some(lost as f64),
            analysis.session.startup_s,
            Some(analysis.rates.down_bytes_per_s),
            Some(analysis.rates.up_bytes_per_s),
        ])
    }
}

/// The part of the answers that is yes; `None` without answers.
fn share(answers: impl Iterator<Item = bool>) -> Option<f64> {
    let (mut yes, mut all) = (0_u64, 0_u64);
    for answer in answers {
        all += 1;
        yes += u64::from(answer);
    }
    (all > 0).then(|| round(yes as f64 / all as f64, 4))
}

/// Compares figure by figure.
pub(super) fn compare(a: &Figured, b: &Figured, tolerance: Tolerance) -> Vec<FigureComparison> {
    let values = a.0.into_iter().zip(b.0);
    FIGURES
        .into_iter()
        .zip(values)
        .map(|((name, unit, bearing), (a, b))| {
            let difference = a.zip(b).map(|(a, b)| round(b - a, 6));
            let same = match a.zip(b) {
                Some((a, b)) => is_same(a, b, unit, tolerance.of(name)),
                None => a.is_none() && b.is_none(),
            };
            let worse = if same { None } else { worse(a, b, bearing) };
            FigureComparison { name, unit, bearing, a, b, difference, same, worse }
        })
        .collect()
}

/// Figures that one moment makes: a hole shorter than an alarm of the verdict is none of theirs.
const OF_ONE_MOMENT: [&str; 3] = ["bad_s", "staleness_max", "longest_gap"];

impl Tolerance {
    /// The tolerance of a figure. Those of one moment have that of the shortest alarm instead of
    /// that of a late slice.
    fn of(self, name: &str) -> Tolerance {
        let widened = ALARM_NS as f64 / 1e9 / -BEHIND_LEAD_S;
        let factor = if OF_ONE_MOMENT.contains(&name) { widened } else { 1.0 };
        Tolerance { time_s: self.time_s * factor, ..self }
    }
}

/// Whether two values of a unit are the same.
fn is_same(a: f64, b: f64, unit: FigureUnit, tolerance: Tolerance) -> bool {
    let least = match unit {
        FigureUnit::S => tolerance.time_s,
        // A tenth of what times may lie apart: generations take tens of milliseconds.
        FigureUnit::Ms => tolerance.time_s * 100.0,
        // One in a hundred, and one thing a second, come and go with the phase of the clocks.
        FigureUnit::Share => 0.01,
        FigureUnit::PerS => 1.0,
        FigureUnit::BytesPerS => 1000.0,
        FigureUnit::Count => 0.0,
    };
    let apart = (a - b).abs();
    // Of two not-a-numbers neither can be told from the other.
    (a.is_nan() && b.is_nan())
        || apart <= least
        || (unit != FigureUnit::Count && apart <= tolerance.share * a.abs().max(b.abs()))
}

/// The one whose figure is worse; one that has none had nothing to measure, which is worse still.
fn worse(a: Option<f64>, b: Option<f64>, bearing: Bearing) -> Option<Which> {
    let is_judged = matches!(bearing, Bearing::MoreIsWorse | Bearing::LessIsWorse);
    match (a, b) {
        _ if !is_judged => None,
        (None, None) => None,
        (None, Some(_)) => Some(Which::A),
        (Some(_), None) => Some(Which::B),
        (Some(a), Some(b)) if bearing == Bearing::MoreIsWorse => Some(Which::larger(a, b)),
        (Some(a), Some(b)) => Some(Which::larger(a, b).other()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, a: Option<f64>, b: Option<f64>, same: bool, worse: Option<Which>) {
        let at = FIGURES.iter().position(|(known, ..)| *known == name).unwrap();
        let side = |value| {
            let mut figures = [None; FIGURES.len()];
            figures[at] = value;
            Figured(figures)
        };
        let found = compare(&side(a), &side(b), Tolerance::default()).swap_remove(at);
        assert_eq!((found.same, found.worse), (same, worse), "{name}: {a:?} and {b:?}");
    }

    #[test]
    fn the_same_and_the_worse() {
        check("lead_p50", Some(0.2), Some(0.249), true, None);
        check("lead_p50", Some(0.2), Some(0.14), false, Some(Which::B));
        check("lead_p50", None, Some(0.14), false, Some(Which::A));
        check("lead_p50", None, None, true, None);
        check("lead_p95", Some(0.2), Some(3.2), false, None);
        check("staleness_max", Some(0.2), Some(0.3), true, None);
        check("staleness_max", Some(0.2), Some(0.4), false, Some(Which::B));
        check("longest_gap", Some(0.05), Some(0.15), true, None);
        check("bad_s", Some(0.0), Some(0.1), true, None);
        check("bad_s", Some(0.0), Some(0.2), false, Some(Which::B));
        check("staleness_max", Some(5.0), Some(5.2), true, None);
        check("staleness_max", Some(5.0), Some(5.5), false, Some(Which::B));
        check("stale_ticks", Some(0.3), Some(0.0), false, Some(Which::A));
        check("slices_per_s", Some(20.0), Some(19.1), true, None);
        check("slices_per_s", Some(20.0), Some(15.0), false, Some(Which::B));
        check("tick_ms_p50", Some(20.0), Some(24.9), true, None);
        check("tick_ms_p50", Some(20.0), Some(26.0), false, Some(Which::B));
        check("lost_records", Some(0.0), Some(1.0), false, None);
        check("lost_records", Some(1000.0), Some(1001.0), false, None);
        check("down_bytes_per_s", Some(0.0), Some(900.0), true, None);
        check("down_bytes_per_s", Some(0.0), Some(1100.0), false, None);
        check("startup_s", Some(0.1), Some(60.0), false, None);
        check("lead_p5", Some(f64::NAN), Some(f64::NAN), true, None);
        check("lead_p5", Some(f64::NAN), Some(0.2), false, Some(Which::A));
    }

    #[test]
    fn a_share_is_of_all_answers() {
        assert_eq!(share([true, false, false].into_iter()), Some(0.3333));
        assert_eq!(share([false].into_iter()), Some(0.0));
        assert_eq!(share([].into_iter()), None);
    }
}
