//! When the server worked on what, as far as the arrivals of its slices tell.
//!
//! Enters: a trace. Leaves: one [`Generation`] per slice, on the clock of arrivals: the moment of a
//! hand-over is the moment at which its slice would have arrived over the fastest way. Durations are
//! those that headers declare, which lag one generation behind.

use super::trace::{Trace, TracedSlice};
use crate::lag::stats::percentile;
use crate::time::Nanos;
use crate::wire::slice::HEADER_LEN;

/// One turn of the loop that generates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Generation {
    /// From the hand-over before it to the beginning of its tick, in nanoseconds; of the first, from
    /// the arrival of the initial buffer, which may have taken longer than a slice.
    pub rest_ns: i64,
    /// Its tick.
    pub tick_ns: i64,
    /// Its decode.
    pub decode_ns: i64,
    /// By how much its slice travelled longer than the fastest ones.
    pub transit_ns: i64,
    /// Bytes of its message for each frame, without the header.
    pub bytes_per_frame: f64,
    /// Bytes on the wire of the texts that followed.
    pub text_bytes: u32,
    /// The tick that its header declared, in milliseconds.
    pub tick_ms: f32,
    /// The decode that its header declared, in milliseconds.
    pub dec_ms: f32,
    /// The count that its header declared.
    pub generations: u32,
}

/// No tick and no decode counts as longer than this, against absurd headers, in nanoseconds.
const LONGEST_WORK_NS: f64 = 10e9;
/// Slices closer to the one before than this belong to the same turn if they begin the loop, in
/// nanoseconds.
const SPILL_NS: u64 = 5_000_000;

/// The generations of a trace and whether slices that pass the end of the loop go on at 0.
pub(super) fn generations(trace: &Trace) -> (Vec<Generation>, bool) {
    let slices = &trace.slices;
    let spilled: Vec<bool> = (0..slices.len()).map(|i| is_spill(trace, i)).collect();
    let leading: Vec<usize> = (0..slices.len()).filter(|&i| !spilled[i]).collect();
    let works = works(trace, &leading);
    let arrivals: Vec<i64> =
        leading.iter().map(|&i| slices[i].at.0 as i64 - trace.origin.0 as i64).collect();
    let handed_over = hand_overs(&arrivals, &works);
    let usual_bytes = usual_bytes_per_frame(slices);
    let mut before = 0;
    let turn = |(turn, &slice): (usize, &usize)| {
        let (slice, (tick_ns, decode_ns)) = (&slices[slice], works[turn]);
        let rest_ns = handed_over[turn] - before - tick_ns - decode_ns;
        before = handed_over[turn];
        Generation {
            rest_ns,
            tick_ns,
            decode_ns,
            transit_ns: arrivals[turn] - handed_over[turn],
            bytes_per_frame: own_bytes_per_frame(slice).unwrap_or(usual_bytes),
            text_bytes: slice.text_bytes,
            tick_ms: slice.header.tick_ms,
            dec_ms: slice.header.dec_ms,
            generations: slice.header.generations,
        }
    };
    let turns = leading.iter().enumerate().map(turn).collect();
    (turns, spilled.contains(&true))
}

fn is_spill(trace: &Trace, index: usize) -> bool {
    let Some(before) = index.checked_sub(1).and_then(|before| trace.slices.get(before)) else {
        return false;
    };
    let slice = &trace.slices[index];
    slice.header.start == 0
        && slice.header.generations == before.header.generations
        && slice.header.tick_ms == before.header.tick_ms
        && u64::from(before.header.start) + u64::from(before.header.frames) == trace.frames
        && slice.at.0 - before.at.0 < SPILL_NS
}

/// Tick and decode of each turn, in nanoseconds, from the header of the next one.
fn works(trace: &Trace, leading: &[usize]) -> Vec<(i64, i64)> {
    let ns = |ms: f32| {
        let ns = f64::from(ms) * 1e6;
        if ns > 0.0 { ns.min(LONGEST_WORK_NS) as i64 } else { 0 }
    };
    let mut works: Vec<(i64, i64)> = leading
        .iter()
        .skip(1)
        .map(|&next| &trace.slices[next].header)
        .map(|next| (ns(next.tick_ms), ns(next.dec_ms)))
        .collect();
    // Nothing declares the last one: it is like the one before.
    works.extend(works.last().copied());
    works
}

/// The moments of the hand-overs. What lies between two of them beyond the declared work only adds
/// up, while a longer way delays one slice alone: so the latest course that no arrival contradicts.
fn hand_overs(arrivals: &[i64], works: &[(i64, i64)]) -> Vec<i64> {
    let mut worked = 0;
    let mut excess: Vec<i64> = Vec::with_capacity(arrivals.len());
    let mut worked_until = Vec::with_capacity(arrivals.len());
    for (arrival, (tick_ns, decode_ns)) in arrivals.iter().zip(works) {
        worked += tick_ns + decode_ns;
        excess.push(arrival - worked);
        worked_until.push(worked);
    }
    let mut steps: Vec<f64> = excess.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    // Half of the usual overhead: a bound from below that most turns keep.
    let least_step = (percentile(&mut steps, 0.5) / 2.0).clamp(0.0, 5e6) as i64;
    // The work of the last turn is a guess, so its arrival binds no other.
    let bound = excess.len().saturating_sub(1);
    if let Some(last) = excess.last_mut() {
        *last = i64::MAX;
    }
    for i in (1..bound).rev() {
        excess[i - 1] = excess[i - 1].min(excess[i] - least_step);
    }
    let mut handed_over: Vec<i64> = excess
        .iter()
        .take(bound)
        .zip(&worked_until)
        .map(|(excess, worked)| excess + worked)
        .collect();
    handed_over.extend(arrivals.last());
    handed_over
}

fn own_bytes_per_frame(slice: &TracedSlice) -> Option<f64> {
    let frames = slice.header.frames;
    // The shortest slices tell more about their zstd frame than about their audio.
    let bytes = f64::from(slice.bytes.saturating_sub(HEADER_LEN as u32));
    (frames >= 8_192).then(|| bytes / f64::from(frames))
}

fn usual_bytes_per_frame(slices: &[TracedSlice]) -> f64 {
    let mut known: Vec<f64> = slices.iter().filter_map(own_bytes_per_frame).collect();
    if known.is_empty() {
        known = slices
            .iter()
            .map(|slice| f64::from(slice.bytes) / f64::from(slice.header.frames.max(1)))
            .collect();
    }
    percentile(&mut known, 0.5)
}

/// That moment, earlier or later.
pub(super) fn shifted(at: Nanos, by_ns: i64) -> Nanos {
    Nanos(at.0.saturating_add_signed(by_ns))
}
