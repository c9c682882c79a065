//! Which scenarios a sweep tries.
//!
//! Enters: knobs with values as people write them, `0.99..1.01:0.0005` or `0.25,0.5,1.0`. Leaves:
//! [`Point`]s, the cross product in the order of the axes, the last axis running fastest. What
//! cannot be is an error that names the key, before any work.

use crate::lag::stats::round;
use crate::scenario::knobs::Knob;
use crate::scenario::{Scenario, ScenarioError};
use crate::time::Span;

/// Most scenarios of one sweep.
pub const MAX_SCENARIOS: usize = 1_000_000;
/// Decimals of the values of a range, so that steps of 0.0005 are what they look like.
const DECIMALS: usize = 12;

/// The values that one knob takes.
#[derive(Debug, Clone)]
pub struct Axis {
    pub knob: &'static Knob,
    /// Its values, in their order.
    pub values: Vec<f64>,
    /// The step between them where they were given as a range.
    pub step: Option<f64>,
}

/// One scenario of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The value on each axis.
    pub values: Vec<f64>,
    /// The scenario with these values.
    pub scenario: Scenario,
}

/// Why a sweep cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AxisError {
    /// A knob's name, or the scenario with a value in it.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Values that cannot be read.
    #[error("{key}={text}: {reason}; write 0.25,0.5,1.0 or 0.99..1.01:0.0005")]
    Values {
        key: &'static str,
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two axes vary the same.
    #[error("{key} is varied twice; give all its values at once")]
    Twice { key: &'static str },
    /// The cross product is too large.
    #[error("{count} scenarios are more than {MAX_SCENARIOS}; take larger steps or fewer keys")]
    TooMany {
        /// How many there would be.
        count: usize,
    },
}

impl Axis {
    /// An axis from a knob's name and the text of its values.
    pub fn parse(name: &str, text: &str) -> Result<Axis, AxisError> {
        let knob = Knob::named(name)?;
        let refuse =
            |reason: String| AxisError::Values { key: knob.name, text: text.to_owned(), reason };
        let value = |text: &str| knob.unit.parse(text).map_err(|error| refuse(error.to_string()));
        let Some((from, rest)) = text.split_once("..") else {
            let values = text.split(',').map(value).collect::<Result<_, _>>()?;
            return Ok(Axis { knob, values, step: None });
        };
        let (to, step) =
            rest.split_once(':').ok_or_else(|| refuse("the step is missing".to_owned()))?;
        let step = value(step)?;
        let values = range(value(from)?, value(to)?, step).map_err(refuse)?;
        Ok(Axis { knob, values, step: Some(step) })
    }

    /// An axis from a knob with its values, `lead-floor=0.25..2:0.05`. A knob alone is varied over its
    /// own range, as far as that agrees with `base`.
    pub fn vary(text: &str, base: &Scenario) -> Result<Axis, AxisError> {
        if let Some((name, values)) = text.split_once('=') {
            return Axis::parse(name, values);
        }
        let knob = Knob::named(text)?;
        let mut axis = Axis::parse(knob.name, knob.tries)?;
        axis.values.retain(|value| {
            let mut scenario = base.clone();
            knob.set(&mut scenario, *value);
            scenario.check().is_ok()
        });
        Ok(axis)
    }
}

/// The values from `from` to `to`, both included where a step hits them.
fn range(from: f64, to: f64, step: f64) -> Result<Vec<f64>, String> {
    if step <= 0.0 {
        return Err("the step must be above 0".to_owned());
    }
    if to < from {
        return Err("it ends before it begins".to_owned());
    }
    // A step that misses the end by the rounding of a decimal still reaches it.
    let steps = ((to - from) / step + 1e-6).floor();
    if steps.is_nan() || steps >= MAX_SCENARIOS as f64 {
        return Err(format!("that is more than {MAX_SCENARIOS} values"));
    }
    Ok((0..=steps as usize).map(|i| round(from + i as f64 * step, DECIMALS)).collect())
}

/// The cross product of the axes over a scenario that holds for all.
pub fn points(base: &Scenario, axes: &[Axis]) -> Result<Vec<Point>, AxisError> {
    points_from(base, axes, None)
}

/// The same, of which all that is different begins `at` a moment.
pub fn points_from(
    base: &Scenario,
    axes: &[Axis],
    at: Option<Span>,
) -> Result<Vec<Point>, AxisError> {
    for (i, axis) in axes.iter().enumerate() {
        if axes[..i].iter().any(|before| before.knob.name == axis.knob.name) {
            return Err(AxisError::Twice { key: axis.knob.name });
        }
    }
    let count = axes.iter().fold(1_usize, |count, axis| count.saturating_mul(axis.values.len()));
    if count > MAX_SCENARIOS {
        return Err(AxisError::TooMany { count });
    }
    let mut points = vec![Point { values: Vec::new(), scenario: base.clone() }];
    for axis in axes {
        points = points
            .iter()
            .flat_map(|point| axis.values.iter().map(|value| point.with(axis.knob, *value)))
            .collect();
    }
    for point in &mut points {
        if let Some(at) = at {
            let scenario = std::mem::take(&mut point.scenario);
            point.scenario = scenario.beginning_at(at).map_err(ScenarioError::by_knobs)?;
        }
        point.scenario.check().map_err(ScenarioError::by_knobs)?;
    }
    Ok(points)
}

impl Point {
    fn with(&self, knob: &Knob, value: f64) -> Point {
        let mut point = self.clone();
        knob.set(&mut point.scenario, value);
        point.values.push(value);
        point
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::knobs::KNOBS;

    #[track_caller]
    fn check(name: &str, text: &str, expected: &[f64]) {
        assert_eq!(Axis::parse(name, text).unwrap().values, expected);
    }

    #[track_caller]
    fn check_refused(axes: &[(&str, &str)], expected: &str) {
        let points = axes
            .iter()
            .map(|(name, text)| Axis::parse(name, text))
            .collect::<Result<Vec<_>, _>>()
            .and_then(|axes| points(&Scenario::default(), &axes));
        assert_eq!(points.unwrap_err().to_string(), expected);
    }

    #[test]
    fn values_as_people_write_them() {
        check("rate", "0.99..0.992:0.0005", &[0.99, 0.9905, 0.991, 0.9915, 0.992]);
        check("rate", "1..1:0.1", &[1.0]);
        check("rate", "-1,2.5", &[-1.0, 2.5]);
        check("latency", "10ms..50ms:20ms", &[0.01, 0.03, 0.05]);
        check("down", "200KB/s,1MB/s", &[2e5, 1e6]);
    }

    #[test]
    fn every_knob_is_an_axis() {
        for knob in &KNOBS {
            let (text, value) = knob.last_tried();
            check(knob.name, text, &[value]);
            let axis = Axis::vary(knob.name, &Scenario::default()).unwrap();
            let last = knob.alone(*axis.values.last().unwrap());
            let points = points(&Scenario::default(), &[axis]).unwrap();
            assert!(points.len() > 1, "{}", knob.name);
            assert_eq!(points.last().unwrap().scenario, last, "{}", knob.name);
        }
    }

    #[test]
    fn the_last_axis_runs_fastest() {
        let axes = [Axis::parse("rate", "1,2").unwrap(), Axis::parse("skew-ppm", "3,4").unwrap()];
        let points = points(&Scenario::default(), &axes).unwrap();
        let values: Vec<_> = points.iter().map(|point| point.values.clone()).collect();
        assert_eq!(values, [[1.0, 3.0], [1.0, 4.0], [2.0, 3.0], [2.0, 4.0]]);
        assert_eq!(points[1].scenario.playback.skew_ppm, Some(4.0));
    }

    #[test]
    fn errors_name_the_key() {
        let write = "write 0.25,0.5,1.0 or 0.99..1.01:0.0005";
        check_refused(&[("rat", "1")], "a scenario has no \"rat\"; did you mean rate?");
        check_refused(
            &[("rate", "1..2:0")],
            &format!("rate=1..2:0: the step must be above 0; {write}"),
        );
        check_refused(
            &[("rate", "2..1:1")],
            &format!("rate=2..1:1: it ends before it begins; {write}"),
        );
        check_refused(&[("rate", "1..2")], &format!("rate=1..2: the step is missing; {write}"));
        check_refused(&[("rate", "")], &format!("rate=: write a number; {write}"));
        check_refused(
            &[("rate", "0..1:1e-9")],
            &format!("rate=0..1:1e-9: that is more than 1000000 values; {write}"),
        );
        check_refused(
            &[("rate", "0..1:0.0001"), ("skew-ppm", "0..1:0.0001")],
            "100020001 scenarios are more than 1000000; take larger steps or fewer keys",
        );
        check_refused(
            &[("rate", "1"), ("rate", "2")],
            "rate is varied twice; give all its values at once",
        );
        check_refused(
            &[("lead-floor", "1,2"), ("lead-ceiling", "1.5")],
            "lead-floor: 2 s is above lead-ceiling, 1.5 s",
        );
    }
}
