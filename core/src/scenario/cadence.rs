//! Another cadence of the client's reports from a moment on.
//!
//! Enters: a [`Trace`] and a scenario. Leaves: a trace whose client reports otherwise from then on,
//! and the change that remains to be made. A report between two recorded ones is like the one before
//! it, with the time that has passed since: what it says beside times the run works out anew.

use std::borrow::Cow;

use super::Scenario;
use super::model::{Change, Trace, TracedTick, UnknownToModel};
use crate::time::{Nanos, Span};

/// The key of reports a second.
const PARAMS_HZ: &str = "report.params_hz";

/// The trace and the change with which a scenario is run.
pub(super) fn changed<'a>(
    scenario: &Scenario,
    trace: &'a Trace,
) -> Result<(Cow<'a, Trace>, Change), UnknownToModel> {
    let mut rest = scenario.clone();
    let mut cadences: Vec<(Span, f64)> = Vec::new();
    for timed in &mut rest.timed {
        let hz = timed.conditions.take(PARAMS_HZ);
        cadences.extend(hz.map(|hz| (timed.at, hz)));
    }
    if cadences.is_empty() {
        return Ok((Cow::Borrowed(trace), Change::of(scenario, trace)?));
    }
    // One that holds from the beginning ends where another begins.
    let from_beginning = rest.conditions.take(PARAMS_HZ);
    cadences.extend(from_beginning.map(|hz| (Span(0), hz)));
    cadences.sort_by_key(|(at, _)| *at);
    let trace = reporting(trace, &cadences);
    let mut change = Change::of(&rest, &trace)?;
    change.mended_from = cadences.first().map(|(at, _)| *at);
    Ok((Cow::Owned(trace), change))
}

/// The trace with reports at these cadences, each from its moment on to the next.
fn reporting(trace: &Trace, cadences: &[(Span, f64)]) -> Trace {
    let mut ticks: Vec<TracedTick> = Vec::new();
    let moment = |at: Span| trace.origin.checked_add(at).unwrap_or(Nanos(u64::MAX));
    let first = cadences.first().map_or(Nanos(u64::MAX), |(at, _)| moment(*at));
    ticks.extend(trace.ticks.iter().take_while(|tick| tick.at < first));
    let last = trace.ticks.last().map_or(Nanos(0), |tick| tick.at);
    for (number, (at, hz)) in cadences.iter().enumerate() {
        let next = cadences.get(number + 1).map_or(Nanos(u64::MAX), |(at, _)| moment(*at));
        let period_ns = (1e9 / hz).max(1.0) as u64;
        let begun = ticks.last().map_or(trace.ticks.first(), Some).map(|tick| tick.at);
        let after_last = begun.unwrap_or_default().0.saturating_add(match ticks.is_empty() {
            true => 0,
            false => period_ns,
        });
        let mut at = Nanos(after_last.max(moment(*at).0));
        while at < next && at <= last {
            ticks.extend(like(&trace.ticks, at));
            at = Nanos(at.0.saturating_add(period_ns));
        }
    }
    Trace { ticks, ..trace.clone() }
}

/// A report at that moment, like the last recorded one before it.
fn like(recorded: &[TracedTick], at: Nanos) -> Option<TracedTick> {
    let number = recorded.partition_point(|tick| tick.at <= at).saturating_sub(1);
    let tick = recorded.get(number)?;
    let passed_s = at.seconds_since(tick.at);
    Some(TracedTick {
        at,
        position_s: tick.position_s.map(|position_s| position_s + passed_s),
        client_time: tick.client_time.map(|time_s| time_s + passed_s),
        ..*tick
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports every 100 ms from 1 s on, for a second.
    fn trace() -> Trace {
        let tick = |number: u64| TracedTick {
            at: Nanos(1_000_000_000 + number * 100_000_000),
            position_s: Some(number as f64 * 0.1),
            client_time: None,
            acked: None,
            lead_s: None,
            bytes: 40,
        };
        let (origin, ticks) = (Nanos(1_000_000_000), (0..=10).map(tick).collect());
        Trace { origin, begins: origin, end: Nanos(2_000_000_000), ticks, ..Trace::default() }
    }

    #[track_caller]
    fn check(cadences: &[(u64, f64)], expected_ms: &[u64]) {
        let cadences: Vec<_> =
            cadences.iter().map(|(ms, hz)| (Span(ms * 1_000_000), *hz)).collect();
        let trace = reporting(&trace(), &cadences);
        let at_ms: Vec<_> = trace.ticks.iter().map(|tick| tick.at.0 / 1_000_000 - 1_000).collect();
        assert_eq!(at_ms, expected_ms);
        for tick in &trace.ticks {
            let passed_s = (tick.at.0 - 1_000_000_000) as f64 * 1e-9;
            assert!((tick.position_s.unwrap() - passed_s).abs() < 1e-9, "{tick:?}");
        }
    }

    #[test]
    fn reports_come_as_recorded_until_a_moment_and_then_at_their_cadence() {
        check(&[(450, 5.0)], &[0, 100, 200, 300, 400, 600, 800, 1000]);
        check(&[(850, 20.0)], &[0, 100, 200, 300, 400, 500, 600, 700, 800, 850, 900, 950, 1000]);
        check(&[(0, 4.0), (600, 10.0)], &[0, 250, 500, 600, 700, 800, 900, 1000]);
    }

    #[test]
    fn without_another_cadence_the_trace_stays() {
        let trace = trace();
        let (same, change) = changed(&Scenario::default(), &trace).unwrap();
        assert!(matches!(same, Cow::Borrowed(_)));
        assert_eq!(change, Change::default());
        let mut later = Scenario::default();
        super::super::parse::add_op(&mut later, "450ms:params-hz=5").unwrap();
        let (other, change) = changed(&later, &trace).unwrap();
        assert_eq!((other.ticks.len(), change.mended_from), (8, Some(Span(450_000_000))));
    }
}
