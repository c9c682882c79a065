//! A client that reports without breaks, by a clock that is right.

use super::super::spell::Spell;
use super::super::trace::{Trace, TracedTick};
use crate::capture::Marker;
use crate::heard::HITCH_NS;
use crate::lag::stats::percentile;
use crate::playhead::wrapped;
use crate::time::Nanos;

/// Reports a second of a client whose own cadence is all breaks.
const USUAL_HZ: f64 = 30.0;
/// A step of the position that is off by a larger share than this is no clock that goes wrong but a
/// jump: clocks are off by some percent.
const JUMP_SHARE: f64 = 0.1;
/// Positions are rounded to the client's callback, in seconds: the coarsest known is 4,096 frames.
const JUMP_S: f64 = 0.1;
/// A rate is measured over this long, in seconds, so that rounding is less than a percent of it.
const RATE_OVER_S: f64 = 10.0;

/// Puts reports into breaks through which the listener went on listening.
pub(super) fn fill_breaks(trace: &mut Trace, spell: Spell) {
    let period_ns = period_ns(&trace.ticks);
    let loop_s = trace.loop_s();
    let mut ticks: Vec<TracedTick> = Vec::with_capacity(trace.ticks.len());
    for &tick in &trace.ticks {
        if let Some(&before) = ticks.last()
            && spell.meets(before.at, tick.at)
            && tick.at.0.saturating_sub(before.at.0) > HITCH_NS
            && goes_on(&before, &tick, loop_s)
        {
            let moments = (1..).map(|step| before.at.0.saturating_add(step * period_ns));
            let until = tick.at.0.saturating_sub(period_ns / 2);
            ticks.extend(
                moments.take_while(|at| *at < until).map(|at| later(&before, Nanos(at), loop_s)),
            );
        }
        ticks.push(tick);
    }
    trace.ticks = ticks;
}

/// The usual time between two reports, in nanoseconds.
fn period_ns(ticks: &[TracedTick]) -> u64 {
    let steps = ticks.windows(2).map(|pair| (pair[1].at.0 - pair[0].at.0) as f64);
    let usual_ns = percentile(&mut steps.collect::<Vec<_>>(), 0.5);
    let is_cadence = usual_ns >= 1e6 && usual_ns <= HITCH_NS as f64;
    if is_cadence { usual_ns as u64 } else { (1e9 / USUAL_HZ) as u64 }
}

/// Whether the listener listened from one report to the next.
fn goes_on(before: &TracedTick, after: &TracedTick, loop_s: f64) -> bool {
    listened_s(before, after, loop_s).is_some()
}

/// By how much the position moved, within one lap.
fn step_s(before: &TracedTick, after: &TracedTick, loop_s: f64) -> Option<f64> {
    Some(wrapped(after.position_s? - before.position_s?, loop_s))
}

fn jumps(step_s: f64, passed_s: f64, loop_s: f64) -> bool {
    let off_s = wrapped(step_s - passed_s + loop_s / 2.0, loop_s) - loop_s / 2.0;
    off_s.abs() > JUMP_SHARE * passed_s + JUMP_S
}

/// The report that the client would have made at that moment.
fn later(before: &TracedTick, at: Nanos, loop_s: f64) -> TracedTick {
    let passed_s = at.seconds_since(before.at);
    TracedTick {
        at,
        position_s: before.position_s.map(|position_s| wrapped(position_s + passed_s, loop_s)),
        client_time: before.client_time.map(|time| time + passed_s),
        lead_s: None,
        ..*before
    }
}

/// The listener's clock goes as fast as the others, in the ops of a simulated playhead and in the
/// positions that are reported.
pub(super) fn set_clock_right(trace: &mut Trace) {
    for (_, op) in &mut trace.ops {
        if let Marker::Rate { rate } = op {
            *rate = 1.0;
        }
    }
    let loop_s = trace.loop_s();
    let Some(rate) = rate(&trace.ticks, loop_s) else { return };
    let mut behind_s = 0.0;
    let mut before: Option<TracedTick> = None;
    for tick in &mut trace.ticks {
        let recorded = *tick;
        if let Some(step_s) = before.and_then(|before| listened_s(&before, &recorded, loop_s)) {
            behind_s += step_s / rate - step_s;
        }
        tick.position_s = recorded.position_s.map(|s| wrapped(s + behind_s, loop_s));
        before = Some(recorded);
    }
}

/// How many seconds of audio the client usually plays in one.
fn rate(ticks: &[TracedTick], loop_s: f64) -> Option<f64> {
    let mut rates = Vec::new();
    let (mut played_s, mut passed_s) = (0.0, 0.0);
    for pair in ticks.windows(2) {
        played_s += listened_s(&pair[0], &pair[1], loop_s).unwrap_or(f64::NAN);
        passed_s += pair[1].at.seconds_since(pair[0].at);
        if passed_s >= RATE_OVER_S {
            rates.push(played_s / passed_s);
            (played_s, passed_s) = (0.0, 0.0);
        }
    }
    rates.retain(|rate| (1.0 - JUMP_SHARE..1.0 + JUMP_SHARE).contains(rate));
    (!rates.is_empty()).then(|| percentile(&mut rates, 0.5))
}

/// By how much the position moved between two reports, if nobody moved it.
fn listened_s(before: &TracedTick, after: &TracedTick, loop_s: f64) -> Option<f64> {
    let passed_s = after.at.seconds_since(before.at);
    let step_s = step_s(before, after, loop_s)?;
    (!jumps(step_s, passed_s, loop_s)).then_some(step_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP_FRAMES: u64 = 480_000;

    /// Reports every 50 ms, each at the position that `position_s` has for its moment.
    fn trace(moments_ms: impl Iterator<Item = u64>, position_s: impl Fn(f64) -> f64) -> Trace {
        let tick = |ms: u64| TracedTick {
            at: Nanos(ms * 1_000_000),
            position_s: Some(position_s(ms as f64 / 1e3)),
            client_time: None,
            acked: None,
            lead_s: None,
            bytes: 100,
        };
        let ticks = moments_ms.map(tick).collect();
        Trace { ticks, frames: LOOP_FRAMES, sample_rate: 48_000, ..Trace::default() }
    }

    const ALWAYS: Spell = Spell { from: Nanos(0), to: Nanos(u64::MAX) };

    #[track_caller]
    fn check_breaks(mut trace: Trace, spell: Spell, expected: usize) {
        fill_breaks(&mut trace, spell);
        assert_eq!(trace.ticks.len(), expected);
        let in_order = trace.ticks.windows(2).all(|pair| pair[0].at < pair[1].at);
        assert!(in_order, "{:?}", trace.ticks);
    }

    #[test]
    fn breaks_are_filled_where_the_listener_went_on() {
        let steady = || (0..=20).map(|step| 50 * step);
        let broken = || steady().chain((40..=60).map(|step| 50 * step));
        check_breaks(trace(broken(), |t| t), ALWAYS, 61);
        let early = Spell { from: Nanos(0), to: Nanos(500_000_000) };
        check_breaks(trace(broken(), |t| t), early, 42);
        // The player was paused, or somebody moved it.
        check_breaks(trace(broken(), |t| if t > 1.0 { t - 1.0 } else { t }), ALWAYS, 42);
        check_breaks(trace(broken(), |t| if t > 1.0 { t + 4.0 } else { t }), ALWAYS, 42);
    }

    #[test]
    fn a_clock_that_is_fast_goes_right_and_pauses_and_seeks_stay() {
        // Fast by 2 %, paused from 20 to 25 s, moved by 3 s at 40 s.
        let listened_s = |t: f64| if t > 20.0 { (t - 5.0).max(20.0) } else { t };
        let moved_s = |t: f64| if t > 40.0 { 3.0 } else { 0.0 };
        let position =
            |rate: f64| move |t: f64| (rate * listened_s(t) + moved_s(t)).rem_euclid(10.0);
        let moments = || (0..1_200).map(|step| 50 * step);
        let mut fast = trace(moments(), position(1.02));
        set_clock_right(&mut fast);
        let right = trace(moments(), position(1.0));
        for (is, should) in fast.ticks.iter().zip(&right.ticks) {
            let off_s = is.position_s.unwrap() - should.position_s.unwrap();
            let off_s = off_s.abs().min(10.0 - off_s.abs());
            assert!(off_s < 0.08, "{off_s} s at {:?}", is.at);
        }
    }
}
