//! The smallest change that does something.
//!
//! Enters: the values of an axis, the value that was recorded, and a judge that tries many values at
//! once. Leaves: [`SearchResult`]: the tried value nearest to the recorded one that does it. First every
//! value of the axis is tried, then the step before the nearest that did it is divided. Nothing is
//! assumed of the values in between: what does it at one value may not do it at a higher one.

use super::axis::Axis;
use crate::lag::stats::round;

/// Most parts that the last step is divided into.
const PARTS: f64 = 10.0;
/// Decimals of a value between two steps.
const DECIMALS: usize = 9;

/// What a search came to.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    /// Every value that was tried, in the order of trying, and whether it did it.
    pub tried: Vec<(f64, bool)>,
    /// The nearest to the recorded value that did it, the lower of equals.
    pub value: Option<f64>,
}

/// Searches `axis` for the value nearest to `recorded` that `judge` finds good. `judge` answers for
/// many values at once, in their order; `None` from it ends the search.
pub fn search<E>(
    axis: &Axis,
    recorded: f64,
    mut judge: impl FnMut(&[f64]) -> Result<Option<Vec<bool>>, E>,
) -> Result<Option<SearchResult>, E> {
    let mut tried: Vec<(f64, bool)> = Vec::new();
    let mut values = axis.values.clone();
    loop {
        let Some(good) = judge(&values)? else { return Ok(None) };
        tried.extend(values.into_iter().zip(good));
        let value = nearest_good(&tried, recorded);
        values = value.map_or(Vec::new(), |value| between(axis, &tried, value, recorded));
        if values.is_empty() {
            return Ok(Some(SearchResult { tried, value }));
        }
    }
}

fn nearest_good(tried: &[(f64, bool)], recorded: f64) -> Option<f64> {
    let good = tried.iter().filter(|(_, good)| *good).map(|(value, _)| *value);
    // Rounded, so that equal changes either way are equal.
    let away = |value: f64| round((value - recorded).abs(), DECIMALS);
    good.min_by(|a, b| away(*a).total_cmp(&away(*b)).then(a.total_cmp(b)))
}

/// The values between `value` and the next tried one towards `recorded`, or that itself; none where
/// no step is left that makes a difference.
fn between(axis: &Axis, tried: &[(f64, bool)], value: f64, recorded: f64) -> Vec<f64> {
    let Some(step) = axis.step else { return Vec::new() };
    let nearer = |other: f64| (other - recorded).abs() < (value - recorded).abs();
    let towards = |other: f64| (other - value) * (recorded - value) > 0.0;
    let next = tried
        .iter()
        .map(|(other, _)| *other)
        .chain([recorded])
        .filter(|other| towards(*other) && (nearer(*other) || *other == recorded))
        .min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()));
    let Some(gap) = next.map(|next| (next - value).abs()).filter(|gap| *gap <= step * 1.5) else {
        return Vec::new();
    };
    let finest = axis.knob.finest;
    let parts = (gap / finest).round().min(PARTS);
    let sign = (recorded - value).signum();
    let whole = |offset: f64| (offset / finest).round() * finest;
    let mut offsets: Vec<f64> =
        (1..parts as usize).map(|part| whole(gap * part as f64 / parts)).collect();
    offsets.retain(|offset| *offset > 0.0 && *offset < gap - finest / 2.0);
    offsets.dedup();
    offsets.into_iter().map(|offset| round(value + sign * offset, DECIMALS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(axis: (&str, &str), recorded: f64, good: fn(f64) -> bool, expected: Option<f64>) {
        let axis = Axis::parse(axis.0, axis.1).unwrap();
        let judge = |values: &[f64]| {
            Ok::<_, ()>(Some(values.iter().map(|value| good(*value)).collect::<Vec<_>>()))
        };
        let found = search(&axis, recorded, judge).unwrap().unwrap();
        assert_eq!(found.value, expected);
        assert!(found.tried.len() <= axis.values.len() + 30, "{:?}", found.tried);
        assert!(found.tried.iter().all(|(value, was_good)| good(*value) == *was_good));
    }

    #[test]
    fn coarse_then_fine() {
        let floor = ("lead-floor", "0.05..2:0.05");
        check(floor, 0.25, |v| v >= 0.4125, Some(0.415));
        check(floor, 0.25, |v| v <= 0.2, Some(0.2));
        check(floor, 0.25, |v| v > 9.0, None);
        check(floor, 0.25, |v| (0.6..0.7).contains(&v) || v > 1.0, Some(0.6));
        check(("rate", "0.9..1.1:0.005"), 1.0, |v| (v - 1.0).abs() >= 0.00315, Some(0.9968));
        check(("flow-window", "32KB..1024KB:32KB"), 262_144.0, |v| v >= 3e5, Some(300_000.0));
    }

    #[test]
    fn listed_values_are_the_only_ones() {
        check(("lead-floor", "0.5,1,1.5"), 0.25, |v| v >= 0.6, Some(1.0));
    }

    #[test]
    fn an_end_of_the_range_far_from_the_recording_stays() {
        check(("down", "100KB/s..1MB/s:100KB/s"), 1e12, |v| v >= 2e5, Some(1e6));
    }

    #[test]
    fn a_search_can_be_ended() {
        let axis = Axis::parse("rate", "1..2:0.5").unwrap();
        assert_eq!(search(&axis, 1.0, |_| Ok::<_, ()>(None)), Ok(None));
    }
}
