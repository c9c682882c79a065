//! Spans of time in which two sessions clearly differ in leads, staleness or the number of slices.
//!
//! Whole seconds are compared: differences within one only reflect the phase of ticks and slices.

use serde::Serialize;

use super::{Tolerance, Which};
use crate::engine::Engine;
use crate::lag::DEFAULT_BUCKET_S;
use crate::lag::stats::round;
use crate::time::Nanos;

/// Length of what is compared at a time, in seconds.
const STEP_S: f64 = 1.0;
/// Steps at most; longer sessions are compared in longer steps.
const MAX_STEPS: f64 = 100_000.0;
/// Share of the slices of a step that may be missing on one side, …
const SLICES_SHARE: f64 = 0.25;
/// … and how many at least.
const SLICES_LEAST: u64 = 3;

/// What differs in a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// The oldest audio heard, in seconds.
    Staleness,
    /// The lowest lead, in seconds.
    Lead,
    /// The number of slices.
    Slices,
}

impl SpanKind {
    /// The name as it stands in the JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SpanKind::Staleness => "staleness",
            SpanKind::Lead => "lead",
            SpanKind::Slices => "slices",
        }
    }
}

/// A span of time in which the sides differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanDifference {
    /// Beginning.
    pub from_s: f64,
    /// End.
    pub to_s: f64,
    /// What differs.
    pub kind: SpanKind,
    /// The first's worst value in the span, or its number of slices; `null` where it has none.
    pub a: Option<f64>,
    /// The second's.
    pub b: Option<f64>,
    /// Which is worse; leads that differ and are all ahead of the listener are neither.
    pub worse: Option<Which>,
}

impl SpanDifference {
    /// How long it lasts, in seconds.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.to_s - self.from_s
    }
}

/// One step of one side.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    slices: u64,
    lowest_lead_s: Option<f64>,
    oldest_s: Option<f64>,
}

/// One side, step by step.
#[derive(Debug)]
pub(super) struct Profile {
    length_s: f64,
    step_s: f64,
    steps: Vec<Step>,
}

impl Profile {
    /// The steps from the beginning to `at`; none without a buffer.
    pub fn of(engine: &Engine, at: Nanos) -> Profile {
        let Some(began) = engine.begins() else {
            return Profile { length_s: 0.0, step_s: STEP_S, steps: Vec::new() };
        };
        let length_s = at.seconds_since(began).max(0.0);
        let step_s = STEP_S.max(length_s / MAX_STEPS);
        let count = (length_s / step_s).ceil().max(1.0) as usize;
        let mut steps = vec![Step::default(); count];
        let place = |t_s: f64| (((t_s - began.seconds()) / step_s) as usize).min(count - 1);
        for epoch in engine.epochs() {
            for slice in epoch.tracker.slices() {
                let step = &mut steps[place(slice.t_s)];
                step.slices += 1;
                step.lowest_lead_s =
                    Some(step.lowest_lead_s.map_or(slice.lead_s, |s| s.min(slice.lead_s)));
            }
            for tick in epoch.tracker.ticks() {
                let step = &mut steps[place(tick.t_s)];
                step.oldest_s =
                    Some(step.oldest_s.map_or(tick.staleness_s, |s| s.max(tick.staleness_s)));
            }
        }
        Profile { length_s, step_s, steps }
    }
}

/// The spans in which two sides lie apart, by their beginnings.
pub(super) fn compare(a: &Profile, b: &Profile, tolerance: Tolerance) -> Vec<SpanDifference> {
    let mut spans: Vec<SpanDifference> = Vec::new();
    for kind in [SpanKind::Staleness, SpanKind::Lead, SpanKind::Slices] {
        let mut open: Option<SpanDifference> = None;
        for (i, (one, other)) in a.steps.iter().zip(&b.steps).enumerate() {
            let found = difference(kind, one, other, tolerance).map(|(a_value, b_value, worse)| {
                let length_s = a.length_s.min(b.length_s);
                SpanDifference {
                    from_s: round(i as f64 * a.step_s, 6),
                    to_s: round(((i + 1) as f64 * a.step_s).min(length_s), 6),
                    kind,
                    a: a_value.map(|value| round(value, 4)),
                    b: b_value.map(|value| round(value, 4)),
                    worse,
                }
            });
            open = match (open, found) {
                (Some(span), Some(next)) if span.worse == next.worse => Some(join(&span, &next)),
                (before, found) => {
                    spans.extend(before);
                    found
                }
            };
        }
        spans.extend(open);
    }
    spans.sort_by(|one, other| one.from_s.total_cmp(&other.from_s));
    spans
}

/// What a step of both is apart by: the two values and the worse side.
fn difference(
    kind: SpanKind,
    a: &Step,
    b: &Step,
    tolerance: Tolerance,
) -> Option<(Option<f64>, Option<f64>, Option<Which>)> {
    // Staleness is known to a bucket, and a lead within a step to what slices are apart.
    let apart_s = tolerance.time_s.max(DEFAULT_BUCKET_S);
    match kind {
        SpanKind::Slices => {
            let (most, least) = (a.slices.max(b.slices), a.slices.min(b.slices));
            let missing = most - least;
            let is_apart = missing >= SLICES_LEAST && missing as f64 > most as f64 * SLICES_SHARE;
            let worse = Which::larger(a.slices as f64, b.slices as f64).other();
            is_apart.then_some((Some(a.slices as f64), Some(b.slices as f64), Some(worse)))
        }
        SpanKind::Lead => {
            let (a, b) = (a.lowest_lead_s?, b.lowest_lead_s?);
            let worse = (a.min(b) < 0.0).then(|| Which::larger(a, b).other());
            ((a - b).abs() > apart_s).then_some((Some(a), Some(b), worse))
        }
        SpanKind::Staleness => {
            let (a, b) = (a.oldest_s?, b.oldest_s?);
            let apart_s = apart_s.max(tolerance.share * a.max(b));
            ((a - b).abs() > apart_s).then(|| (Some(a), Some(b), Some(Which::larger(a, b))))
        }
    }
}

/// One span of two that follow on each other.
fn join(span: &SpanDifference, next: &SpanDifference) -> SpanDifference {
    let merge = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => Some(match span.kind {
            SpanKind::Staleness => one.max(other),
            SpanKind::Lead => one.min(other),
            SpanKind::Slices => one + other,
        }),
        (one, other) => one.or(other),
    };
    SpanDifference { to_s: next.to_s, a: merge(span.a, next.a), b: merge(span.b, next.b), ..*span }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps as slices, lowest lead, oldest audio.
    fn profile(steps: &[(u64, f64, f64)]) -> Profile {
        let steps = steps
            .iter()
            .map(|&(slices, lead_s, oldest_s)| Step {
                slices,
                lowest_lead_s: (slices > 0).then_some(lead_s),
                oldest_s: Some(oldest_s),
            })
            .collect::<Vec<_>>();
        Profile { length_s: steps.len() as f64, step_s: STEP_S, steps }
    }

    #[track_caller]
    fn check(
        a: &[(u64, f64, f64)],
        b: &[(u64, f64, f64)],
        expected: &[(SpanKind, f64, f64, Option<Which>)],
    ) {
        let found: Vec<_> = compare(&profile(a), &profile(b), Tolerance::default())
            .into_iter()
            .map(|span| (span.kind, span.from_s, span.to_s, span.worse))
            .collect();
        assert_eq!(found, expected);
    }

    const FINE: (u64, f64, f64) = (15, 0.25, 0.2);

    #[test]
    fn steps_that_are_apart_are_joined() {
        check(&[FINE; 3], &[FINE; 3], &[]);
        check(&[FINE; 3], &[FINE, (14, 0.05, 0.44), FINE], &[]);
        let stalled = [FINE, (0, 0.0, 1.0), (0, 0.0, 2.0), FINE];
        check(
            &stalled,
            &[FINE; 4],
            &[
                (SpanKind::Staleness, 1.0, 3.0, Some(Which::A)),
                (SpanKind::Slices, 1.0, 3.0, Some(Which::A)),
            ],
        );
        let late = (15, -0.3, 0.2);
        check(
            &[FINE, late, FINE, late],
            &[FINE; 4],
            &[
                (SpanKind::Lead, 1.0, 2.0, Some(Which::A)),
                (SpanKind::Lead, 3.0, 4.0, Some(Which::A)),
            ],
        );
        check(
            &[late, FINE],
            &[FINE, late],
            &[
                (SpanKind::Lead, 0.0, 1.0, Some(Which::A)),
                (SpanKind::Lead, 1.0, 2.0, Some(Which::B)),
            ],
        );
        check(&[FINE], &[(15, 3.2, 0.2)], &[(SpanKind::Lead, 0.0, 1.0, None)]);
    }

    #[test]
    fn a_span_tells_the_worst_of_it() {
        let (a, b) = (profile(&[(0, 0.0, 1.0), (0, 0.0, 2.5)]), profile(&[FINE; 2]));
        let found = compare(&a, &b, Tolerance::default());
        assert_eq!((found[0].a, found[0].b), (Some(2.5), Some(0.2)), "{found:?}");
        assert_eq!((found[1].a, found[1].b), (Some(0.0), Some(30.0)), "{found:?}");
        let late = [(15, -0.3, 0.2), (15, -0.9, 0.2), (15, -0.5, 0.2)];
        let found = compare(&profile(&late), &profile(&[FINE; 3]), Tolerance::default());
        assert_eq!((found[0].a, found[0].b, found[0].to_s), (Some(-0.9), Some(0.25), 3.0));
    }

    #[test]
    fn a_span_ends_with_the_shorter_session() {
        let mut a = profile(&[FINE, (0, 0.0, 2.0)]);
        let b = profile(&[FINE; 4]);
        a.length_s = 1.4;
        for (a, b) in [(&a, &b), (&b, &a)] {
            let found = compare(a, b, Tolerance::default());
            let ends: Vec<_> = found.iter().map(|span| (span.from_s, span.to_s)).collect();
            assert_eq!(ends, [(1.0, 1.4); 2], "{found:?}");
        }
    }

    fn ended_at(length_s: f64, steps: &[(u64, f64, f64)]) -> Profile {
        Profile { length_s, ..profile(steps) }
    }

    #[test]
    fn a_span_ends_where_the_shorter_side_does() {
        let late = (15, -0.3, 0.2);
        let (a, b) = (ended_at(1.4, &[late; 2]), ended_at(1.7, &[FINE; 2]));
        let found = compare(&a, &b, Tolerance::default());
        assert_eq!(found.iter().map(|span| span.to_s).collect::<Vec<_>>(), [1.4]);
    }

    #[test]
    fn a_span_of_leads_tells_the_lowest_of_either_side() {
        let a = profile(&[(15, -0.3, 0.2), (15, -0.9, 0.2), (15, -0.4, 0.2)]);
        let b = profile(&[(15, 0.3, 0.2), (15, 0.2, 0.2), (15, 0.4, 0.2)]);
        let found = compare(&a, &b, Tolerance::default());
        assert_eq!((found[0].a, found[0].b), (Some(-0.9), Some(0.2)), "{found:?}");
    }

    #[test]
    fn spans_stand_in_the_order_of_their_beginnings() {
        let (slow, old) = ((2, 0.25, 0.2), (15, 0.25, 3.0));
        check(
            &[slow, old],
            &[FINE; 2],
            &[
                (SpanKind::Slices, 0.0, 1.0, Some(Which::A)),
                (SpanKind::Staleness, 1.0, 2.0, Some(Which::A)),
            ],
        );
    }

    #[test]
    fn what_is_within_the_bounds_is_no_span() {
        // Two slices of four, and a twentieth of the age of old audio.
        check(&[(4, 0.25, 0.2)], &[(2, 0.25, 0.2)], &[]);
        check(&[(15, 0.25, 20.0)], &[(15, 0.25, 20.9)], &[]);
        check(
            &[(15, 0.25, 20.0)],
            &[(15, 0.25, 21.3)],
            &[(SpanKind::Staleness, 0.0, 1.0, Some(Which::B))],
        );
    }
}
