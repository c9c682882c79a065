//! What came of the scenarios of a sweep.
//!
//! Enters: answers in the order of the scenarios. Leaves: [`SweepRow`]s, a [`SweepSummary`] of which of them
//! was best, worst and the first that lags, and whether a [`Predicate`] holds for one. Nothing here
//! replays anything.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::lag::LagReport;
use crate::scenario::Tier;
use crate::scenario::answer::ScenarioAnswer;
use crate::scenario::model::ModelOutcome;
use crate::sweep::axis::Point;
use crate::sweep::measure::{Judged, Measure, MeasureError};
use crate::verdict::{HeardUse, Verdict};

/// One scenario with one capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepRow {
    /// Number of the capture.
    pub capture: usize,
    /// The value on each axis.
    pub values: Vec<f64>,
    /// How far to trust it.
    pub tier: Tier,
    /// Why there is no answer, in the tier that has none.
    pub refusal: Option<String>,
    /// Until when it is exact, in seconds from the initial buffer; `null`: to the end, or nowhere in
    /// the model tier.
    pub valid_until_s: Option<f64>,
    /// Share of the slices that came later.
    pub beyond_share: f64,
    /// A listener would have heard lag, in any outcome; `null` without a verdict.
    pub lags: Option<bool>,
    /// The report; of the likeliest outcome in the model tier. `null` without an answer.
    pub lag: Option<LagReport>,
    /// What would have been heard there; `null` also where nobody asked.
    pub heard: Option<HeardUse>,
    /// Whether that is lag.
    pub verdict: Option<Verdict>,
    /// All outcomes with their shares, where the model found several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Share>,
}

/// An outcome of several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Share {
    /// Share of the model's runs that came to it.
    pub share: f64,
    pub lag: LagReport,
    /// What would have been heard; `null` where nobody asked.
    pub heard: Option<HeardUse>,
    /// Whether that is lag.
    pub verdict: Option<Verdict>,
}

/// Rows worth a look, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SweepSummary {
    /// The best, or the first of equals.
    pub best: usize,
    /// The worst, or the first of equals.
    pub worst: usize,
    pub first_that_lags: Option<usize>,
}

impl SweepRow {
    /// The row of an answer, or of the sentence that says why there is none.
    #[must_use]
    pub fn of(capture: usize, point: &Point, answer: Result<ScenarioAnswer, String>) -> SweepRow {
        let mut row = SweepRow {
            capture,
            values: point.values.clone(),
            tier: Tier::Refused,
            refusal: None,
            valid_until_s: None,
            beyond_share: 0.0,
            lags: None,
            lag: None,
            heard: None,
            verdict: None,
            outcomes: Vec::new(),
        };
        match answer {
            Ok(answer) => row.fill(answer),
            Err(why) => row.refusal = Some(why),
        }
        row
    }

    fn fill(&mut self, answer: ScenarioAnswer) {
        self.tier = answer.tier;
        self.valid_until_s = answer.valid_until_s;
        self.beyond_share = answer.beyond_share;
        let share = |outcome: ModelOutcome| {
            let ModelOutcome { share, lag, heard, verdict, .. } = outcome;
            Share { share, lag, heard, verdict }
        };
        self.lag = Some(answer.lag);
        self.heard = answer.heard;
        self.verdict = answer.verdict;
        if answer.outcomes.len() > 1 {
            self.outcomes = answer.outcomes.into_iter().map(share).collect();
        }
        self.lags = any_lags(self.judged().map(|(_, judged)| judged.verdict));
    }

    /// Each outcome with its share of the runs; one where there is no model, none without an answer.
    pub fn judged(&self) -> impl Iterator<Item = (f64, Judged<'_>)> {
        let alone = self.lag.as_ref().filter(|_| self.outcomes.is_empty());
        let alone = alone.map(|lag| (1.0, Judged { lag, verdict: self.verdict.as_ref() }));
        let outcomes = self.outcomes.iter().map(|outcome| {
            let verdict = outcome.verdict.as_ref();
            (outcome.share, Judged { lag: &outcome.lag, verdict })
        });
        alone.into_iter().chain(outcomes)
    }

    /// Share of the runs for which a condition holds; none without an answer.
    #[must_use]
    pub fn share(&self, predicate: &Predicate) -> f64 {
        // Adding up to nothing would give −0.
        let held = self.judged().filter(|(_, judged)| predicate.holds(*judged));
        held.fold(0.0, |sum, (share, _)| sum + share)
    }

    /// Whether a condition holds for all of the runs.
    #[must_use]
    pub fn satisfies(&self, predicate: &Predicate) -> bool {
        self.lag.is_some() && self.judged().all(|(_, judged)| predicate.holds(judged))
    }
}

/// Whether any outcome lags; nobody can tell where none does and one has no verdict.
#[must_use]
pub fn any_lags<'a>(verdicts: impl Iterator<Item = Option<&'a Verdict>>) -> Option<bool> {
    let mut any = Some(false);
    for lags in verdicts.map(|verdict| verdict?.lag) {
        any = match (any, lags) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (any, lags) => any.and(lags),
        };
    }
    any
}

impl SweepSummary {
    /// Looks through all rows; `None` when none of them has an answer.
    #[must_use]
    pub fn of(rows: &[SweepRow]) -> Option<SweepSummary> {
        let answered = || (0..rows.len()).filter(|&row| rows[row].lag.is_some());
        let better = |a: usize, b: usize| compare(&rows[a], &rows[b]) == Ordering::Less;
        Some(SweepSummary {
            best: answered().reduce(|best, i| if better(i, best) { i } else { best })?,
            worst: answered().reduce(|worst, i| if better(worst, i) { i } else { worst })?,
            first_that_lags: rows.iter().position(|row| row.lags == Some(true)),
        })
    }
}

/// The better row first: less lag, fewer stale ticks, fewer slices behind, more lead.
fn compare(a: &SweepRow, b: &SweepRow) -> Ordering {
    // What is too short for an alarm makes no row worse.
    let bad = |row: &SweepRow| match &row.verdict {
        Some(verdict) if verdict.is_lag() => (row.lags, verdict.bad_s, verdict.lag_s),
        _ => (row.lags, 0.0, 0.0),
    };
    let (bad_a, bad_b) = (bad(a), bad(b));
    let heard =
        (bad_a.0.cmp(&bad_b.0)).then(bad_a.1.total_cmp(&bad_b.1)).then(bad_a.2.total_cmp(&bad_b.2));
    let lead_s = |row: &SweepRow| {
        let lead = row.lag.as_ref().and_then(|lag| lag.slices.lead_s);
        lead.map_or(f64::NEG_INFINITY, |lead| lead.p5)
    };
    let counts = |row: &SweepRow| {
        row.lag.as_ref().map(|lag| (lag.ticks.stale_ticks, lag.slices.behind_playhead))
    };
    heard.then(counts(a).cmp(&counts(b))).then(lead_s(b).total_cmp(&lead_s(a)))
}

/// A condition on a report, such as `stale_ticks == 0`.
#[derive(Debug, Clone, Copy)]
pub struct Predicate {
    measure: Measure,
    comparison: Comparison,
    value: f64,
}

#[derive(Debug, Clone, Copy)]
struct Comparison {
    sign: &'static str,
    holds: fn(f64, f64) -> bool,
}

/// Why a text is no [`Predicate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no condition: {reason}; write lag_s == 0 or lead_p5 > 0.1")]
pub struct PredicateError {
    text: String,
    reason: String,
}

/// The longer sign before the one it begins with.
const COMPARISONS: [Comparison; 6] = [
    Comparison { sign: "==", holds: |a, b| a == b },
    Comparison { sign: "!=", holds: |a, b| a != b },
    Comparison { sign: "<=", holds: |a, b| a <= b },
    Comparison { sign: ">=", holds: |a, b| a >= b },
    Comparison { sign: "<", holds: |a, b| a < b },
    Comparison { sign: ">", holds: |a, b| a > b },
];

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.measure.name(), self.comparison.sign, self.value)
    }
}

impl Predicate {
    /// The name of the figure that it is about.
    #[must_use]
    pub fn figure(&self) -> &'static str {
        self.measure.name()
    }

    /// Whether that is a figure of verdicts, and not of the reference's reports.
    #[must_use]
    pub fn is_about_verdicts(&self) -> bool {
        self.measure.is_of_verdicts()
    }

    /// That figure, if there is one.
    #[must_use]
    pub fn value(&self, judged: Judged<'_>) -> Option<f64> {
        self.measure.value(judged)
    }

    /// By how much it is missed: 0 where it holds, infinite without the figure.
    #[must_use]
    pub fn miss(&self, judged: Judged<'_>) -> f64 {
        match self.value(judged) {
            Some(_) if self.holds(judged) => 0.0,
            Some(value) => (value - self.value).abs(),
            None => f64::INFINITY,
        }
    }

    /// Whether it holds; not where there is no such figure.
    #[must_use]
    pub fn holds(&self, judged: Judged<'_>) -> bool {
        self.value(judged).is_some_and(|figure| (self.comparison.holds)(figure, self.value))
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
        let measure = name.parse().map_err(|error: MeasureError| refuse(error.to_string()))?;
        let value = value.trim().parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| refuse("there is no number to compare with".to_owned()))?;
        Ok(Predicate { measure, comparison: *comparison, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::{HeardEpisode, HeardReport, LagKind, OldAudio};
    use crate::lag::{ReportArgs, SliceRecord};
    use crate::scenario::Scenario;
    use crate::scenario::open_loop::OpenLoopAnswer;

    /// A row with one slice of this lead and so many bad seconds.
    fn row(value: f64, lead_s: f64, bad_s: f64) -> SweepRow {
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
        let point = Point { values: vec![value], scenario: Scenario::default() };
        let answer =
            OpenLoopAnswer { tier: Tier::Exact, valid_until_s: None, beyond_share: 0.0, lag };
        let verdict = Some(Verdict::of(&heard(bad_s), None));
        let answer = ScenarioAnswer { verdict, ..ScenarioAnswer::of(answer, "") };
        SweepRow::of(0, &point, Ok(answer))
    }

    /// One stretch of old audio.
    fn heard(bad_s: f64) -> HeardReport {
        let old = OldAudio { ticks: 1, worst_staleness_s: 4.0, silence_s: 0.0 };
        let (what, alarm) = (LagKind::Stale(old), bad_s >= 0.15);
        let episode = HeardEpisode { from_s: 1.0, to_s: 1.0 + 2.0 * bad_s, bad_s, alarm, what };
        HeardReport { bad_s, episodes: vec![episode], ..HeardReport::default() }
    }

    #[test]
    fn best_worst_and_the_first_that_lags() {
        let rows = [
            row(1.0, 0.2, 0.1),
            row(2.0, 0.4, 0.2),
            row(3.0, 0.3, 0.04),
            row(4.0, 0.4, 0.3),
            row(5.0, 0.3, 0.0),
        ];
        let expected = SweepSummary { best: 2, worst: 3, first_that_lags: Some(1) };
        assert_eq!(SweepSummary::of(&rows), Some(expected));
        assert_eq!(SweepSummary::of(&[]), None);
        let point = Point { values: vec![1.0], scenario: Scenario::default() };
        let refused = SweepRow::of(0, &point, Err("no stream".to_owned()));
        assert_eq!(SweepSummary::of(std::slice::from_ref(&refused)), None);
        let rows = [refused, row(1.0, 0.2, 0.0)];
        assert_eq!(
            SweepSummary::of(&rows).map(|summary| (summary.best, summary.worst)),
            Some((1, 1))
        );
    }

    #[track_caller]
    fn check_holds(condition: &str, expected: bool, miss: f64) {
        let predicate: Predicate = condition.parse().unwrap();
        let row = row(1.0, -0.1, 0.4);
        assert_eq!(row.satisfies(&predicate), expected, "{condition}");
        assert_eq!(row.share(&predicate), if expected { 1.0 } else { 0.0 });
        assert_eq!(predicate.miss(row.judged().next().unwrap().1), miss);
    }

    #[test]
    fn conditions_hold_or_are_missed() {
        check_holds("slices_behind == 1", true, 0.0);
        check_holds("slices_behind==4", false, 3.0);
        check_holds("lead_p50 <= -0.1", true, 0.0);
        check_holds("lead_max > 1.4", false, 1.5);
        check_holds("staleness_p95 < 1", false, f64::INFINITY);
        check_holds("bad_s < 0.5", true, 0.0);
        check_holds("lag_s == 0", false, 0.8);
        check_holds("episodes == 0", false, 1.0);
        check_holds("slices < 1", false, 0.0);
        check_holds("slices > 1", false, 0.0);
        check_holds("slices >= 1", true, 0.0);
        check_holds("slices <= 1", true, 0.0);
        check_holds("slices != 0", true, 0.0);
    }

    #[test]
    fn a_row_lags_where_one_outcome_does_and_nobody_knows_without_verdicts() {
        let lags = |verdicts: &[Option<f64>]| {
            let verdict = |bad_s: &Option<f64>| match bad_s {
                Some(bad_s) => Verdict::of(&heard(*bad_s), None),
                None => Verdict::of(&heard(9.0), Some("no times".to_owned())),
            };
            let verdicts: Vec<_> = verdicts.iter().map(verdict).collect();
            any_lags(verdicts.iter().map(Some))
        };
        assert_eq!(lags(&[Some(0.1), Some(0.2)]), Some(true));
        assert_eq!(lags(&[Some(0.1), Some(0.0)]), Some(false));
        assert_eq!(lags(&[None, Some(0.2)]), Some(true));
        assert_eq!(lags(&[Some(0.0), None]), None);
        assert_eq!(any_lags([None].into_iter()), None);
    }

    #[test]
    fn a_row_without_an_answer_satisfies_nothing() {
        let point = Point { values: vec![1.0], scenario: Scenario::default() };
        let refused = SweepRow::of(0, &point, Err("no stream".to_owned()));
        assert!(!refused.satisfies(&"lag_s == 0".parse().unwrap()));
        let mut unknown = row(1.0, 0.2, 0.0);
        unknown.verdict = Some(Verdict::of(&heard(0.0), Some("no times".to_owned())));
        unknown.lags = None;
        assert!(!unknown.satisfies(&"lag_s == 0".parse().unwrap()), "nobody knows");
        let summary = SweepSummary::of(&[unknown, row(1.0, 0.2, 0.3)]).unwrap();
        assert_eq!(summary.first_that_lags, Some(1));
    }

    #[test]
    fn of_rows_without_lag_the_one_with_fewer_slices_behind_is_better() {
        let rows = [row(1.0, -0.2, 0.0), row(2.0, 0.1, 0.0), row(3.0, 0.3, 0.0)];
        let summary = SweepSummary::of(&rows).unwrap();
        assert_eq!((summary.best, summary.worst), (2, 0));
        let mut silent = row(4.0, 0.3, 0.0);
        silent.lag.as_mut().unwrap().slices.lead_s = None;
        let summary = SweepSummary::of(&[row(1.0, 0.1, 0.0), silent]).unwrap();
        assert_eq!(summary.best, 0, "no lead is worse than any");
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
