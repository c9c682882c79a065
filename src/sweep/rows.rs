//! What came of the scenarios of a sweep.
//!
//! Enters: lag reports in the order of the scenarios. Leaves: [`Summary`], which of them was best,
//! worst and the first that lags; and [`find`], the smallest change after which a [`Predicate`]
//! holds. Nothing here replays anything.

use std::cmp::Ordering;
use std::str::FromStr;

use serde::Serialize;

use crate::lag::{Figures, LagReport};
use crate::peer::incident::nearest;
use crate::scenario::Tier;
use crate::scenario::open_loop::Answer;
use crate::sweep::axis::Point;

/// One scenario with one capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Number of the capture.
    pub capture: usize,
    /// The value on each axis.
    pub values: Vec<f64>,
    /// How far to trust it.
    pub tier: Tier,
    /// Until when it is exact; see [`Answer`].
    pub valid_until_s: Option<f64>,
    /// Share of the slices that came later.
    pub beyond_share: f64,
    /// A tick was stale or a slice landed behind the listener.
    pub lags: bool,
    /// The report.
    pub lag: LagReport,
}

/// Rows worth a look, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The best, or the first of equals.
    pub best: usize,
    /// The worst, or the first of equals.
    pub worst: usize,
    /// The first that lags.
    pub first_that_lags: Option<usize>,
}

impl Row {
    /// The row of an open-loop answer.
    #[must_use]
    pub fn of(capture: usize, point: &Point, answer: Answer) -> Row {
        let Answer { tier, valid_until_s, beyond_share, lag } = answer;
        let (values, lags) = (point.values.clone(), lags(&lag));
        Row { capture, values, tier, valid_until_s, beyond_share, lags, lag }
    }
}

/// Whether a report shows any lag at all. The verdict of an analysis is milder: it forgives
/// transients.
#[must_use]
pub fn lags(lag: &LagReport) -> bool {
    lag.ticks.stale_ticks > 0 || lag.slices.behind_playhead > 0
}

impl Summary {
    /// Looks through all rows; `None` when there are none.
    #[must_use]
    pub fn of(rows: &[Row]) -> Option<Summary> {
        let numbers = 0..rows.len();
        let better = |a: usize, b: usize| compare(&rows[a].lag, &rows[b].lag) == Ordering::Less;
        Some(Summary {
            best: numbers.clone().reduce(|best, i| if better(i, best) { i } else { best })?,
            worst: numbers.reduce(|worst, i| if better(worst, i) { i } else { worst })?,
            first_that_lags: rows.iter().position(|row| row.lags),
        })
    }
}

/// The better report first: fewer stale ticks, fewer slices behind, more lead.
fn compare(a: &LagReport, b: &LagReport) -> Ordering {
    let lead_s = |lag: &LagReport| lag.slices.lead_s.map_or(f64::NEG_INFINITY, |lead| lead.p5);
    let counts = |lag: &LagReport| (lag.ticks.stale_ticks, lag.slices.behind_playhead);
    counts(a).cmp(&counts(b)).then(lead_s(b).total_cmp(&lead_s(a)))
}

/// The value nearest to `neutral` for which `predicate` holds in all its rows, the lower of equals.
/// Rows are told apart by the value on the first axis.
#[must_use]
pub fn find(rows: &[Row], predicate: &Predicate, neutral: f64) -> Option<f64> {
    let value = |row: &Row| row.values.first().copied();
    let mut values: Vec<f64> = rows.iter().filter_map(value).collect();
    values.sort_by(|a, b| (a - neutral).abs().total_cmp(&(b - neutral).abs()).then(a.total_cmp(b)));
    values.dedup();
    values.into_iter().find(|wanted| {
        let mut of_value = rows.iter().filter(|row| value(row) == Some(*wanted));
        of_value.all(|row| predicate.holds(&row.lag))
    })
}

/// A condition on a report, such as `stale_ticks == 0`.
#[derive(Debug, Clone, Copy)]
pub struct Predicate {
    figure: &'static Figure,
    comparison: Comparison,
    value: f64,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    of: fn(&LagReport) -> Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Comparison {
    sign: &'static str,
    holds: fn(f64, f64) -> bool,
}

/// Why a text is no [`Predicate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no condition: {reason}; write stale_ticks == 0 or lead_p5 > 0.1")]
pub struct PredicateError {
    text: String,
    reason: String,
}

const FIGURES: [Figure; 13] = [
    figure("stale_ticks", |lag| Some(lag.ticks.stale_ticks as f64)),
    figure("slices_behind", |lag| Some(lag.slices.behind_playhead as f64)),
    figure("slices", |lag| Some(lag.slices.count as f64)),
    figure("lead_min", |lag| lead(lag, |lead| lead.min)),
    figure("lead_p5", |lag| lead(lag, |lead| lead.p5)),
    figure("lead_p50", |lag| lead(lag, |lead| lead.p50)),
    figure("lead_p95", |lag| lead(lag, |lead| lead.p95)),
    figure("lead_max", |lag| lead(lag, |lead| lead.max)),
    figure("lead_mean", |lag| lead(lag, |lead| lead.mean)),
    figure("staleness_p50", |lag| lag.ticks.staleness_s.map(|figures| figures.p50)),
    figure("staleness_p95", |lag| lag.ticks.staleness_s.map(|figures| figures.p95)),
    figure("staleness_max", |lag| lag.ticks.staleness_s.map(|figures| figures.max)),
    figure("staleness_mean", |lag| lag.ticks.staleness_s.map(|figures| figures.mean)),
];

/// The longer sign before the one it begins with.
const COMPARISONS: [Comparison; 6] = [
    Comparison { sign: "==", holds: |a, b| a == b },
    Comparison { sign: "!=", holds: |a, b| a != b },
    Comparison { sign: "<=", holds: |a, b| a <= b },
    Comparison { sign: ">=", holds: |a, b| a >= b },
    Comparison { sign: "<", holds: |a, b| a < b },
    Comparison { sign: ">", holds: |a, b| a > b },
];

const fn figure(name: &'static str, of: fn(&LagReport) -> Option<f64>) -> Figure {
    Figure { name, of }
}

fn lead(lag: &LagReport, figure: fn(Figures) -> f64) -> Option<f64> {
    lag.slices.lead_s.map(figure)
}

impl Predicate {
    /// Whether it holds; not where the report has no such figure.
    #[must_use]
    pub fn holds(&self, lag: &LagReport) -> bool {
        (self.figure.of)(lag).is_some_and(|figure| (self.comparison.holds)(figure, self.value))
    }
}

impl FromStr for Predicate {
    type Err = PredicateError;

    fn from_str(text: &str) -> Result<Self, PredicateError> {
        let refuse = |reason: String| PredicateError { text: text.to_owned(), reason };
        let (comparison, (name, value)) = COMPARISONS
            .iter()
            .find_map(|comparison| Some((comparison, text.split_once(comparison.sign)?)))
            .ok_or_else(|| refuse("it compares nothing".to_owned()))?;
        let name = name.trim();
        let figure = FIGURES.iter().find(|figure| figure.name == name).ok_or_else(|| {
            let known = nearest(name, FIGURES.iter().map(|figure| figure.name));
            refuse(format!("there is no figure \"{name}\", {known}"))
        })?;
        let value = value.trim().parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| refuse("there is no number to compare with".to_owned()))?;
        Ok(Predicate { figure, comparison: *comparison, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{ReportArgs, SliceRecord};

    fn row(value: f64, lead_s: f64) -> Row {
        let slice = SliceRecord {
            t_s: 1.0,
            start: 0,
            frames: 1,
            lead_s,
            interval_s: 0.0,
            tick_ms: 1.0,
            dec_ms: 1.0,
            generations: 1,
        };
        let lag = LagReport::of(1.0, [slice].iter(), [].iter(), 2.0, &ReportArgs::default());
        let lags = lags(&lag);
        let (tier, values) = (Tier::Exact, vec![value]);
        Row { capture: 0, values, tier, valid_until_s: None, beyond_share: 0.0, lags, lag }
    }

    #[test]
    fn best_worst_and_the_first_that_lags() {
        let rows = [row(1.0, 0.2), row(2.0, -0.1), row(3.0, 0.3), row(4.0, -0.3), row(5.0, 0.3)];
        let expected = Summary { best: 2, worst: 3, first_that_lags: Some(1) };
        assert_eq!(Summary::of(&rows), Some(expected));
        assert_eq!(Summary::of(&[]), None);
    }

    #[track_caller]
    fn check_found(condition: &str, neutral: f64, expected: Option<f64>) {
        let rows = [row(1.0, 0.2), row(2.0, -0.1), row(3.0, 0.3), row(4.0, 0.3), row(3.0, 0.1)];
        assert_eq!(find(&rows, &condition.parse().unwrap(), neutral), expected, "{condition}");
    }

    #[test]
    fn the_smallest_change_is_found() {
        check_found("slices_behind == 0", 2.4, Some(3.0));
        check_found("slices_behind == 0", 2.0, Some(1.0));
        check_found("lead_min>0.25", 0.0, Some(4.0));
        check_found("lead_p50 <= -0.1", 9.0, Some(2.0));
        check_found("lead_max > 1", 0.0, None);
        check_found("staleness_p95 < 1", 0.0, None);
    }

    #[track_caller]
    fn check_refused(condition: &str, reason: &str) {
        assert_eq!(condition.parse::<Predicate>().unwrap_err().reason, reason);
    }

    #[test]
    fn conditions_that_are_none() {
        check_refused("stale_ticks", "it compares nothing");
        check_refused(
            "stale_tick == 0",
            "there is no figure \"stale_tick\", did you mean stale_ticks?",
        );
        check_refused("stale_ticks == none", "there is no number to compare with");
    }
}
