//! When the server worked on what, as far as the arrivals of its slices tell.
//!
//! Enters: a trace. Leaves: one [`Generation`] per slice, on the clock of arrivals: the moment of a
//! hand-over is the moment at which its slice would have arrived over the fastest way. Durations are
//! those that headers declare, which lag one generation behind.

use super::trace::{Trace, TracedSlice};
use crate::lag::stats::percentile;
use crate::peer::pacing::Region;
use crate::time::Nanos;
use crate::wire::slice::{HEADER_LEN, SliceHeader};

/// Two figures go together where so little of them goes apart.
const TOGETHER: f64 = 0.01;

/// One turn of the loop that generates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Generation {
    /// From the hand-over before it to the beginning of its tick, in nanoseconds; of the first, from
    /// the arrival of the initial buffer, which may have taken longer than a slice.
    pub rest_ns: i64,
    pub tick_ns: i64,
    pub decode_ns: i64,
    /// By how much its slice travelled longer than the fastest ones.
    pub transit_ns: i64,
    /// Bytes of its message for each frame, without the header and beside what new frames cost.
    pub bytes_per_frame: f64,
    pub coverage: Coverage,
    /// Bytes on the wire of the texts that followed.
    pub text_bytes: u32,
    /// The tick that its header declared, in milliseconds.
    pub tick_ms: f32,
    /// The decode that its header declared, in milliseconds.
    pub dec_ms: f32,
    /// The count that its header declared.
    pub generations: u32,
    /// Bytes of the messages of its slices.
    pub bytes: u32,
    pub shed: bool,
    /// Whether nobody knows when it was, because its slice waited for a link or was shed for it.
    pub anew: bool,
}

impl Generation {
    /// From the hand-over before it to its own, in nanoseconds.
    pub(super) fn length_ns(&self) -> i64 {
        self.rest_ns + self.tick_ns + self.decode_ns
    }
}

/// No turn is shorter, whatever its slices say, in nanoseconds.
pub(super) const SHORTEST_TURN_NS: i64 = 1_000_000;
/// No tick and no decode counts as longer than this, against absurd headers, in nanoseconds.
const LONGEST_WORK_NS: f64 = 10e9;
/// Slices closer to the one before than this belong to the same turn if they begin the loop, in
/// nanoseconds.
const SPILL_NS: u64 = 5_000_000;

/// A slice that is not the spill of the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leading {
    /// Its first frame.
    pub start: u32,
    pub arrived: Nanos,
    /// Tick and decode of the turn before, as its header declares, in nanoseconds.
    pub before_ns: (i64, i64),
}

impl Leading {
    fn of(slice: &TracedSlice) -> Self {
        let SliceHeader { start, tick_ms, dec_ms, .. } = slice.header;
        Self { start, arrived: slice.at, before_ns: (work_ns(tick_ms), work_ns(dec_ms)) }
    }
}

fn work_ns(ms: f32) -> i64 {
    let ns = f64::from(ms) * 1e6;
    if ns > 0.0 { ns.min(LONGEST_WORK_NS) as i64 } else { 0 }
}

/// What a recording tells of the loop that generates.
pub(super) struct Generations {
    /// Its turns, as if nothing had waited or been shed on the way.
    pub turns: Vec<Generation>,
    /// The slice of each turn.
    pub leading: Vec<Leading>,
    /// Whether slices that pass the end of the loop go on at 0.
    pub spills: bool,
    /// What new frames cost.
    pub new_frames: NewFrames,
}

/// The generations of a trace.
pub(super) fn generations(trace: &Trace) -> Generations {
    let slices = &trace.slices;
    let spilled: Vec<bool> = (0..slices.len()).map(|i| is_spill(trace, i)).collect();
    let leading: Vec<usize> = (0..slices.len()).filter(|&i| !spilled[i]).collect();
    let works = works(trace, &leading);
    let arrivals: Vec<i64> =
        leading.iter().map(|&i| slices[i].at.0 as i64 - trace.begins.0 as i64).collect();
    let handed_over = hand_overs(&arrivals, &works);
    let sizes = Sizes::of(slices);
    let spill_bytes = |index: usize| match spilled.get(index + 1) {
        Some(true) => slices[index + 1].bytes,
        _ => 0,
    };
    let mut before = 0;
    let turn = |(turn, &index): (usize, &usize)| {
        let (slice, (tick_ns, decode_ns)) = (&slices[index], works[turn]);
        let rest_ns = handed_over[turn] - before - tick_ns - decode_ns;
        before = handed_over[turn];
        Generation {
            rest_ns,
            tick_ns,
            decode_ns,
            transit_ns: arrivals[turn] - handed_over[turn],
            bytes_per_frame: sizes.per_frame[index],
            coverage: sizes.coverages[index],
            text_bytes: slice.text_bytes,
            tick_ms: slice.header.tick_ms,
            dec_ms: slice.header.dec_ms,
            generations: slice.header.generations,
            bytes: slice.bytes + spill_bytes(index),
            shed: false,
            anew: false,
        }
    };
    let turns = leading.iter().enumerate().map(turn).collect();
    let leading = leading.iter().map(|&i| Leading::of(&slices[i])).collect();
    let spills = spilled.contains(&true);
    Generations { turns, leading, spills, new_frames: sizes.new_frames }
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
    let mut works: Vec<(i64, i64)> = leading
        .iter()
        .skip(1)
        .map(|&next| &trace.slices[next].header)
        .map(|next| (work_ns(next.tick_ms), work_ns(next.dec_ms)))
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

/// Frames of a slice by what went before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Frames that the slice before did not cover.
    pub new: u32,
    /// Frames that it covered and the one before it did not: they were rendered once, and the second
    /// rendering changes them more than any later one.
    pub once: u32,
}

/// The regions of the last two slices that were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Covered {
    last: Option<Region>,
    before: Option<Region>,
}

impl Covered {
    /// A slice is sent there.
    #[inline]
    pub fn send(&mut self, region: Region) -> Coverage {
        let within = |of: Option<Region>| {
            let of = of.map_or((0, 0), |of| (of.start, of.end()));
            let from = of.0.max(region.start);
            (from, of.1.min(region.end()).max(from))
        };
        let (last, before) = (within(self.last), within(self.before));
        let both = last.1.min(before.1).saturating_sub(last.0.max(before.0));
        (self.before, self.last) = (self.last, Some(region));
        let covered = (last.1 - last.0).min(region.frames);
        Coverage { new: region.frames - covered, once: covered - both.min(covered) }
    }
}

/// What frames cost by their coverage, beside what every frame costs. Frames that were rendered often
/// change little, so that their delta is short.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NewFrames {
    /// Bytes of each new frame, while there are few.
    per_frame: f64,
    /// Bytes of each that it costs more, or less, when all are new.
    more_if_all: f64,
    /// Bytes of each frame that was rendered once.
    per_once: f64,
}

impl NewFrames {
    /// Bytes that they cost in a slice of so many `frames`.
    #[inline]
    pub(super) fn cost(self, coverage: Coverage, frames: u32) -> f64 {
        let new = f64::from(coverage.new);
        let share = new / f64::from(frames.max(1));
        new * (self.per_frame + self.more_if_all * share * share)
            + self.per_once * f64::from(coverage.once)
    }
}

/// How long the messages of slices are. A slice that goes elsewhere has another length.
struct Sizes {
    new_frames: NewFrames,
    /// Of each slice, what its frames cost beside that.
    per_frame: Vec<f64>,
    coverages: Vec<Coverage>,
}

struct Size {
    frames: u32,
    coverage: Coverage,
    bytes_per_frame: f64,
}

impl Size {
    /// The shortest slices tell more about their zstd frame than about their audio.
    fn tells(&self) -> bool {
        self.frames >= 8_192
    }

    fn share(&self, of: u32) -> f64 {
        f64::from(of) / f64::from(self.frames)
    }
}

impl Sizes {
    fn of(slices: &[TracedSlice]) -> Self {
        let mut covered = Covered::default();
        let size = |slice: &TracedSlice| {
            let frames = slice.header.frames.max(1);
            let coverage = covered.send(Region { start: slice.header.start, frames });
            let bytes = slice.bytes.saturating_sub(HEADER_LEN as u32);
            Size { frames, coverage, bytes_per_frame: f64::from(bytes) / f64::from(frames) }
        };
        let sizes: Vec<Size> = slices.iter().map(size).collect();
        let telling = || sizes.iter().filter(|size| size.tells());
        let points: Vec<[f64; 3]> = telling()
            .filter(|size| size.coverage.new < size.frames)
            .map(|size| {
                let Coverage { new, once } = size.coverage;
                [size.share(new), size.share(once), size.bytes_per_frame]
            })
            .collect();
        let (per_frame, per_once) = slopes(&points);
        let mut bases: Vec<f64> =
            points.iter().map(|[new, once, y]| y - per_frame * new - per_once * once).collect();
        let mut whole: Vec<f64> = telling()
            .filter(|size| size.coverage.new == size.frames)
            .map(|size| size.bytes_per_frame)
            .collect();
        let more_if_all = if whole.is_empty() || bases.is_empty() {
            0.0
        } else {
            percentile(&mut whole, 0.5) - percentile(&mut bases, 0.5) - per_frame
        };
        let new_frames =
            NewFrames { per_frame, more_if_all: more_if_all.max(-per_frame), per_once };
        let own = |size: &Size| {
            let new = new_frames.cost(size.coverage, size.frames) / f64::from(size.frames);
            // Below 0 where a slice goes where much was rendered before, and costs less than new frames do.
            size.bytes_per_frame - new
        };
        let mut known: Vec<f64> = telling().map(own).collect();
        if known.is_empty() {
            known = sizes.iter().map(own).collect();
        }
        let usual = percentile(&mut known, 0.5);
        let per_frame =
            sizes.iter().map(|size| if size.tells() { own(size) } else { usual }).collect();
        Self { new_frames, per_frame, coverages: sizes.iter().map(|size| size.coverage).collect() }
    }
}

/// The slopes along both of the plane through points that lies nearest to them, neither of which falls;
/// 0 where there is none.
fn slopes(points: &[[f64; 3]]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let mean = |i: usize| points.iter().map(|point| point[i]).sum::<f64>() / count;
    let means = [mean(0), mean(1), mean(2)];
    let joint = |i: usize, j: usize| {
        points.iter().map(|point| (point[i] - means[i]) * (point[j] - means[j])).sum::<f64>()
    };
    let alone =
        |i: usize| if joint(i, i) > 0.0 { (joint(i, 2) / joint(i, i)).max(0.0) } else { 0.0 };
    let (xx, yy, xy) = (joint(0, 0), joint(1, 1), joint(0, 1));
    let determinant = xx * yy - xy * xy;
    // Where both always go together nobody knows which of them costs.
    if determinant <= TOGETHER * xx * yy {
        return (alone(0), 0.0);
    }
    let first = (joint(0, 2) * yy - joint(1, 2) * xy) / determinant;
    let second = (joint(1, 2) * xx - joint(0, 2) * xy) / determinant;
    if second <= 0.0 {
        (alone(0), 0.0)
    } else if first <= 0.0 {
        (0.0, alone(1))
    } else {
        (first, second)
    }
}

/// That moment, earlier or later.
pub(super) fn shifted(at: Nanos, by_ns: i64) -> Nanos {
    Nanos(at.0.saturating_add_signed(by_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(start: u32, bytes: u32) -> TracedSlice {
        let header = SliceHeader { start, frames: 17_280, ..SliceHeader::default() };
        TracedSlice { at: Nanos(0), header, bytes: bytes + HEADER_LEN as u32, text_bytes: 0 }
    }

    #[test]
    fn frames_are_new_or_were_rendered_once_or_more_often() {
        let coverage = |before: &[(u32, u32)]| {
            let mut covered = Covered::default();
            for &(start, frames) in before {
                covered.send(Region { start, frames });
            }
            let Coverage { new, once } = covered.send(Region { start: 100, frames: 50 });
            (new, once)
        };
        assert_eq!(coverage(&[]), (50, 0));
        assert_eq!(coverage(&[(60, 50)]), (40, 10));
        assert_eq!(coverage(&[(120, 50)]), (20, 30));
        assert_eq!(coverage(&[(400, 50)]), (50, 0));
        assert_eq!(coverage(&[(80, 50), (90, 50)]), (10, 10));
        assert_eq!(coverage(&[(0, 300), (90, 50)]), (10, 0));
        assert_eq!(coverage(&[(100, 50), (400, 50)]), (50, 0));
    }

    /// Every slice costs 5,000 bytes, each new frame half of one, and a slice of new frames alone
    /// 20,000 in all.
    #[test]
    fn a_slice_that_goes_elsewhere_has_another_length() {
        let steps = [1_920, 0, 3_840, 1_920, 3_840, 0, 1_920];
        let mut start = 9_600;
        let mut slices = vec![slice(start, 20_000)];
        for step in steps {
            start += step;
            slices.push(slice(start, 5_000 + step / 2));
        }
        let Sizes { new_frames, per_frame, .. } = Sizes::of(&slices);
        let bytes = |new| {
            let coverage = Coverage { new, once: 0 };
            per_frame[1] * 17_280.0 + new_frames.cost(coverage, 17_280)
        };
        // The bend towards slices that are all new shows in the others a little.
        for (new, expected) in [(0, 5_000.0), (1_920, 5_960.0), (17_280, 20_000.0)] {
            assert!((bytes(new) - expected).abs() < 200.0, "{new}: {}", bytes(new));
        }
    }

    const MS: u64 = 1_000_000;

    /// Slices of 10 s each turn, of a loop of 30, that came at these times in ms and declare what they
    /// took: 30 ms and 8. Begins where the server did.
    fn trace(begins_ms: u64, slices: &[(u64, u32)]) -> Trace {
        let slice = |&(at, start): &(u64, u32)| {
            let header = SliceHeader {
                start,
                frames: 10_000,
                tick_ms: 30.0,
                dec_ms: 8.0,
                generations: at as u32 / 39,
                ..SliceHeader::default()
            };
            TracedSlice { at: Nanos(at * MS), header, bytes: 1_000, text_bytes: 7 }
        };
        let slices = slices.iter().map(slice).collect();
        Trace { begins: Nanos(begins_ms * MS), frames: 30_000, slices, ..Trace::default() }
    }

    #[test]
    fn turns_are_what_lies_between_hand_overs() {
        let even: Vec<_> = (1..=8).map(|turn| (1_000 + 39 * turn, 10_000)).collect();
        let Generations { turns, leading, spills, .. } = generations(&trace(1_000, &even));
        assert_eq!((turns.len(), leading.len(), spills), (8, 8, false));
        for turn in &turns {
            let Generation { rest_ns, tick_ns, decode_ns, transit_ns, .. } = *turn;
            assert_eq!((rest_ns, tick_ns, decode_ns), (1_000_000, 30_000_000, 8_000_000));
            assert_eq!((transit_ns, turn.length_ns()), (0, 39_000_000));
            assert_eq!((turn.bytes, turn.text_bytes, turn.shed), (1_000, 7, false));
        }
        assert_eq!(leading[2].arrived, Nanos(1_117 * MS));
        assert_eq!(leading[2].before_ns, (30_000_000, 8_000_000));
        assert!(generations(&trace(0, &[])).turns.is_empty());
    }

    #[test]
    fn a_slice_that_travelled_longer_is_no_longer_turn() {
        let mut slices: Vec<_> = (1..=8).map(|turn| (1_000 + 39 * turn, 10_000)).collect();
        slices[2].0 += 20;
        let Generations { turns, .. } = generations(&trace(1_000, &slices));
        // Known up to half of what usually lies between two turns.
        let transits: Vec<_> = turns.iter().map(|turn| turn.transit_ns).collect();
        assert_eq!(transits, [0, 0, 19_500_000, 0, 0, 0, 0, 0]);
        // What all later ones have too was no way, but a turn.
        slices.iter_mut().skip(3).for_each(|slice| slice.0 += 20);
        let Generations { turns, .. } = generations(&trace(1_000, &slices));
        assert!(turns.iter().all(|turn| turn.transit_ns == 0), "{turns:?}");
        assert_eq!(turns[2].rest_ns, 21_000_000);
    }

    #[test]
    fn a_spill_belongs_to_the_slice_that_reached_the_end() {
        // The fourth comes 2 ms after the third and begins the loop.
        let at = [(1_039, 0), (1_078, 10_000), (1_117, 20_000), (1_119, 0), (1_156, 500)];
        let mut spilled = trace(1_000, &at);
        spilled.slices[3].header.generations = spilled.slices[2].header.generations;
        let Generations { turns, leading, spills, .. } = generations(&spilled);
        assert!(spills);
        let bytes: Vec<_> = turns.iter().map(|turn| turn.bytes).collect();
        assert_eq!(bytes, [1_000, 1_000, 2_000, 1_000]);
        assert_eq!(
            leading.iter().map(|slice| slice.start).collect::<Vec<_>>(),
            [0, 10_000, 20_000, 500]
        );
        let no_spill = |change: fn(&mut [TracedSlice])| {
            let mut trace = spilled.clone();
            change(&mut trace.slices);
            assert!(!generations(&trace).spills);
        };
        no_spill(|slices| slices[3].header.start = 1);
        no_spill(|slices| slices[3].header.generations += 1);
        no_spill(|slices| slices[3].header.tick_ms += 1.0);
        no_spill(|slices| slices[2].header.start -= 1);
        no_spill(|slices| slices[2].header.frames += 1);
        no_spill(|slices| slices[3].at.0 = slices[2].at.0 + SPILL_NS);
    }

    #[test]
    fn absurd_works_are_bounded() {
        assert_eq!((work_ns(30.0), work_ns(0.0), work_ns(-1.0)), (30_000_000, 0, 0));
        assert_eq!((work_ns(f32::NAN), work_ns(f32::INFINITY)), (0, 10_000_000_000));
    }

    #[test]
    fn moments_do_not_leave_time() {
        assert_eq!((shifted(Nanos(5), 3), shifted(Nanos(5), -3)), (Nanos(8), Nanos(2)));
        assert_eq!(
            (shifted(Nanos(5), -9), shifted(Nanos(u64::MAX), 9)),
            (Nanos(0), Nanos(u64::MAX))
        );
    }

    #[test]
    fn the_shortest_slices_tell_nothing_of_their_audio() {
        let of = |frames| {
            let mut slices = vec![slice(9_600, 20_000), slice(9_600, 5_000)];
            slices[1].header.frames = frames;
            let found = Sizes::of(&slices);
            found.per_frame[1] * f64::from(frames)
        };
        // From 8,192 frames on a slice is as long as it is, else as long as others are.
        assert!((of(8_192) - 5_000.0).abs() < 1e-6);
        assert!((of(8_191) - 20_000.0 * 8_191.0 / 17_280.0).abs() < 1e-6, "{}", of(8_191));
    }

    #[test]
    fn a_plane_has_two_slopes() {
        let along_first = |points: &[(f64, f64)]| {
            slopes(&points.iter().map(|(x, y)| [*x, 0.0, *y]).collect::<Vec<_>>())
        };
        assert_eq!(along_first(&[(1.0, 5.0), (2.0, 7.0), (3.0, 9.0)]), (2.0, 0.0));
        assert_eq!(along_first(&[]), (0.0, 0.0));
        assert_eq!(along_first(&[(1.0, 5.0), (1.0, 9.0)]), (0.0, 0.0));
        // 3 for each of the first and 5 for each of the second.
        let plane = [[0.0, 0.0, 1.0], [1.0, 0.0, 4.0], [0.0, 1.0, 6.0], [2.0, 1.0, 12.0]];
        assert_eq!(slopes(&plane), (3.0, 5.0));
        let together = [[0.0, 0.0, 1.0], [1.0, 2.0, 4.0], [2.0, 4.0, 7.0]];
        assert_eq!(slopes(&together), (3.0, 0.0), "nobody knows which of them it is");
        let falling = [[0.0, 0.0, 1.0], [1.0, 0.0, 4.0], [0.0, 1.0, -4.0], [1.0, 1.0, -1.0]];
        assert_eq!(slopes(&falling), (3.0, 0.0));
    }
}
