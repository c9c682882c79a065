//! What was heard, against a loop of write times that is walked frame by frame.

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};

use super::*;
use crate::capture::{Excuses, Marker, PlayheadLine, TickReport};
use crate::playhead::PlayheadSim;
use crate::time::Nanos;

/// A frame is a millisecond long, so that the brute force has little to walk.
const SAMPLE_RATE: u32 = 1_000;
const THRESHOLD_NS: u64 = 700_000_000;

fn rule() -> HeardRule {
    HeardRule { threshold_ns: THRESHOLD_NS, behind: BehindRule::default() }
}

#[derive(Clone, Debug)]
enum Event {
    Slice { start: u64, frames: u64 },
    Tick,
    Change,
    Op(Marker),
    Swap { frames: u64 },
}

/// Sums of nanoseconds.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    heard: u64,
    stale: u64,
    raw: u64,
    old_track: u64,
    excused: u64,
    oldest: u64,
    episodes: Vec<(u64, u64, u64)>,
}

/// The same measure without regions and without a walk over them.
struct BruteForce {
    playhead: PlayheadSim,
    /// When each frame was written and whether by a slice.
    loop_writes: Vec<(u64, Option<bool>)>,
    excuses: Excuses,
    swapping_until: u64,
    now: u64,
    sums: Sums,
}

impl BruteForce {
    fn new(frames: u64) -> Self {
        BruteForce {
            playhead: PlayheadSim::new(frames, SAMPLE_RATE, 0.0),
            loop_writes: vec![(0, None); frames as usize],
            excuses: Excuses::new(Nanos(0), frames * 1_000_000),
            swapping_until: 0,
            now: 0,
            sums: Sums::default(),
        }
    }

    /// Listens, one frame after the other, up to two laps.
    fn listen(&mut self, to: u64) {
        let from = std::mem::replace(&mut self.now, to);
        let state = self.playhead.state();
        let speed = state.rate * f64::from(SAMPLE_RATE);
        if state.paused || speed == 0.0 {
            return;
        }
        let anchored = (state.anchored_s * 1e9).round() as u64;
        let n = self.loop_writes.len() as f64;
        let origin = if speed < 0.0 { n - state.anchor } else { state.anchor };
        let reached =
            |frame: f64| anchored + ((frame - origin) * (1e9 / speed.abs())).ceil().max(0.0) as u64;
        let mut frame = (origin + (from - anchored) as f64 / 1e9 * speed.abs()).floor() - 2.0;
        while reached(frame + 1.0) <= from {
            frame += 1.0;
        }
        let ends = reached(frame + 2.0 * n).min(to);
        let mut at = from;
        while at < ends {
            let leaves = reached(frame + 1.0).min(ends);
            let place =
                if speed < 0.0 { n - 1.0 - frame.rem_euclid(n) } else { frame.rem_euclid(n) };
            if leaves - at > 1_000 {
                let seen = self.playhead.frame((at + leaves) as f64 / 2e9);
                assert_eq!(seen, place as u64, "the playhead is elsewhere at {at}");
            }
            self.hear(at, leaves, place as usize);
            (at, frame) = (leaves, frame + 1.0);
        }
    }

    fn hear(&mut self, from: u64, to: u64, frame: usize) {
        let (written, by_slice) = self.loop_writes[frame];
        let excused_until = self.excuses.until().0;
        let sums = &mut self.sums;
        sums.heard += to - from;
        if to > excused_until {
            sums.oldest = sums.oldest.max(to.saturating_sub(written));
        }
        let (sum, bad_from) = match by_slice {
            None => (&mut sums.raw, from),
            Some(true) => (&mut sums.stale, from.max(written + THRESHOLD_NS)),
            Some(false) => (&mut sums.old_track, from),
        };
        if bad_from >= to {
            return;
        }
        *sum += to - bad_from;
        let counted_from = bad_from.max(excused_until.min(to));
        sums.excused += counted_from - bad_from;
        if counted_from == to {
            return;
        }
        match sums.episodes.last_mut().filter(|last| counted_from - last.1 <= JOIN_NS) {
            Some(last) => *last = (last.0, to, last.2 + to - counted_from),
            None => sums.episodes.push((counted_from, to, to - counted_from)),
        }
    }

    /// What counted so far was the transient of the start.
    fn forgive(&mut self) {
        let all: u64 = self.sums.episodes.drain(..).map(|episode| episode.2).sum();
        self.sums.excused += all;
        self.sums.oldest = 0;
    }

    /// The session is over; its start may not have been.
    fn end(&mut self) {
        if self.excuses.starting(Nanos(self.now)) {
            self.forgive();
        }
    }

    fn take(&mut self, at: u64, event: &Event) {
        self.listen(at);
        let now_s = Nanos(at).seconds();
        match event {
            Event::Slice { start, frames } => {
                let n = self.loop_writes.len() as i64;
                // Positions are rounded.
                let playhead = (self.playhead.position(now_s) + 1e-5) as i64;
                let ahead = (*start as i64 - playhead).rem_euclid(n);
                let lead = if ahead >= (n + 1) / 2 { ahead - n } else { ahead };
                let placed = at >= self.swapping_until || (-50..=4350).contains(&lead);
                let end = start.saturating_add(*frames).min(n as u64) as usize;
                let start = (*start as usize).min(end);
                self.loop_writes[start..end].fill((at, Some(placed)));
                if self.excuses.on_slice(Nanos(at)) {
                    self.forgive();
                }
            }
            Event::Tick => {}
            Event::Change => self.excuses.on_change(Nanos(at)),
            Event::Op(marker) => {
                let paused = self.playhead.paused() || self.playhead.rate() == 0.0;
                self.playhead.operate(marker, now_s);
                let resumed = paused && !(self.playhead.paused() || self.playhead.rate() == 0.0);
                if resumed || matches!(marker, Marker::Seek { .. }) {
                    self.excuses.unsettle(Nanos(at));
                }
            }
            Event::Swap { frames } => {
                self.playhead.reset(*frames, now_s);
                self.loop_writes = vec![(at, None); *frames as usize];
                self.excuses.on_swap(Nanos(at), frames * 1_000_000);
                self.swapping_until = self.excuses.until().0;
            }
        }
    }
}

/// The measure, driven as an engine would.
struct Measured {
    playhead: PlayheadSim,
    meter: HeardMeter,
}

impl Measured {
    fn new(frames: u64) -> Self {
        Measured {
            playhead: PlayheadSim::new(frames, SAMPLE_RATE, 0.0),
            meter: HeardMeter::new(Nanos(0), frames, SAMPLE_RATE, rule(), false),
        }
    }

    fn take(&mut self, at: u64, event: &Event) {
        let (now, now_s) = (Nanos(at), Nanos(at).seconds());
        match event {
            Event::Slice { start, frames } => {
                self.meter.on_slice(now, *start, *frames, 0);
            }
            Event::Tick => self.meter.on_report(now, &TickReport::default(), None),
            Event::Change => self.meter.on_change(now),
            Event::Op(marker) => {
                self.playhead.operate(marker, now_s);
                let jumped = matches!(marker, Marker::Seek { .. });
                self.meter.on_op(now, Steering { jumped, ..self.steering(now) });
            }
            Event::Swap { frames } => {
                self.playhead.reset(*frames, now_s);
                self.meter.on_swap(now, *frames, self.steering(now).line);
            }
        }
    }

    fn steering(&self, at: Nanos) -> Steering {
        let paused = self.playhead.paused() || self.playhead.rate() == 0.0;
        let speed = if paused { 0.0 } else { self.playhead.rate() * f64::from(SAMPLE_RATE) };
        let line = PlayheadLine { at, position: self.playhead.position(at.seconds()), speed };
        Steering { line, jumped: false, paused }
    }

    fn sums(&self) -> Sums {
        let report = self.meter.report(Nanos(0));
        let ns = |s: f64| (s * 1e9).round() as u64;
        Sums {
            heard: ns(report.s),
            stale: ns(report.stale_s),
            raw: ns(report.raw_s),
            old_track: ns(report.old_track_s),
            excused: ns(report.excused_s),
            oldest: ns(report.oldest_s),
            episodes: report
                .episodes
                .iter()
                .filter(|episode| !episode.what.is_behind())
                .map(|e| (ns(e.from_s), ns(e.to_s), ns(e.bad_s)))
                .collect(),
        }
    }
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let slice = (0_u64..900, 0_u64..150).prop_map(|(start, frames)| Event::Slice { start, frames });
    let rate = prop_oneof![-2.0..3.0, Just(1.0), Just(0.0), Just(1.03)];
    let op = prop_oneof![
        (-2.0..2.0).prop_map(|to_s| Marker::Seek { to_s }),
        rate.prop_map(|rate| Marker::Rate { rate }),
        Just(Marker::Pause),
        Just(Marker::Resume),
    ];
    let event = prop_oneof![
        30 => slice,
        30 => Just(Event::Tick),
        1 => Just(Event::Change),
        4 => op.prop_map(Event::Op),
        1 => (20_u64..900).prop_map(|frames| Event::Swap { frames }),
    ];
    // Times of a nanosecond's resolution, mostly close together, with silences among them.
    let step = prop_oneof![9 => 0_u64..120_000_000, 1 => 0_u64..4_000_000_000, 2 => Just(0)];
    proptest::collection::vec((step, event), 1..150)
}

/// Everything that is tried follows from these.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=24;
const CASES: u32 = 50;

#[track_caller]
fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    for seed in SEEDS {
        let config = ProptestConfig {
            cases: CASES,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let tried = TestRunner::new(config).run(&strategy, &test);
        tried.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn heard_is_what_a_walk_from_frame_to_frame_hears() {
    check((20_u64..900, events()), |(frames, events)| {
        let mut brute_force = BruteForce::new(frames);
        let mut measured = Measured::new(frames);
        let mut at = 0;
        for (step, event) in events.iter().chain([&(50_000_000, Event::Tick)]) {
            at += step;
            brute_force.take(at, event);
            measured.take(at, event);
        }
        brute_force.end();
        prop_assert_eq!(measured.sums(), brute_force.sums);
        Ok(())
    });
}

#[test]
fn heard_goes_on_from_a_state_as_if_it_had_not_been_cut() {
    check((20_u64..900, events(), 0_usize..150), |(frames, events, cut)| {
        let mut whole = Measured::new(frames);
        let mut rest: Option<Measured> = None;
        let (mut before, mut walked_to) = (Sums::default(), 0);
        let mut at = 0;
        for (i, (step, event)) in events.iter().enumerate() {
            if i == cut {
                before = whole.sums();
                let line = whole.steering(Nanos(at)).line;
                let state = whole.meter.state();
                walked_to = state.meter.walked_to.0;
                let meter = HeardMeter::resume(&state, SAMPLE_RATE, rule(), false, line);
                rest = Some(Measured { playhead: whole.playhead.clone(), meter: meter.unwrap() });
            }
            at += step;
            whole.take(at, event);
            if let Some(rest) = &mut rest {
                rest.take(at, event);
            }
        }
        let Some(rest) = rest else { return Ok(()) };
        prop_assert_eq!(rest.meter.state(), whole.meter.state());
        let (rest, whole) = (rest.sums(), whole.sums());
        prop_assert_eq!(before.heard + rest.heard, whole.heard);
        prop_assert_eq!(before.stale + rest.stale, whole.stale);
        prop_assert_eq!(before.raw + rest.raw, whole.raw);
        // Of the episodes before the cut the rest has the one that went on.
        let goes_on = |episode: &(u64, u64, u64)| episode.1 > walked_to;
        let expected: Vec<_> = whole.episodes.into_iter().filter(goes_on).collect();
        prop_assert_eq!(rest.episodes, expected);
        Ok(())
    });
}
