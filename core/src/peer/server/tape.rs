//! The tape of a family that only appends: how far it is, when the next commit may be made, and when
//! the piece is over.
//!
//! Enters: the positions that the client reports, its knobs, and what is wrong with the server. Leaves:
//! how long the next commit takes, or that the gate is shut, and the slices of a commit that is made.
//! The rules are those of `mrt2/backend.py`@0aa43c8, `minimax_backend.py`@13e5f84 and
//! `engine/minimax_render.py`@6436add, the numbers those of [`server_profile`].

use serde_json::{Map, Value, json};

use super::faults::ServerFaults;
use super::knobs::KnobBank;
use super::profile::{ServerProfile, server_profile};
use crate::family::{Family, FamilyKind};
use crate::lag::stats::round;
use crate::peer::pacing::Region;
use crate::time::DEFAULT_SAMPLE_RATE;

/// Frames that a slice repeats of the one before.
const REPEAT_FRAMES: u64 = 1_200;
/// How long a shut gate waits before it looks again.
pub(super) const GATE_S: f64 = 0.02;

/// The slowest generator there is.
const MIN_REAL_TIME: f64 = 0.01;
/// What minimax composes for a second of audio, one after the other, before it renders it.
const MODEL_FRAMES_PER_S: f64 = 25.0;
/// When the model ends the piece by itself: 47 s for the default prompt and seed (docs/MINIMAX.md).
const PIECE_FRAMES: u64 = 1_175;
/// When the server ends it: 360 s.
const MOST_FRAMES: u64 = 9_000;
/// Time of one model frame and of rendering a commit, in milliseconds, and what both become when the
/// memory is oversubscribed and paged (docs/MINIMAX.md).
const HEALTHY_MS: (f64, f64) = (23.0, 513.0);
const PAGED_MS: (f64, f64) = (69.0, 1_106.0);

/// What comes next on a tape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// A commit, which takes so many seconds.
    Makes(f64),
    /// The listener has enough.
    Waits,
    /// The piece is over.
    Over,
}

/// A tape that is being written.
#[derive(Clone, Debug)]
pub(super) struct WrittenTape {
    family: Family,
    profile: ServerProfile,
    frames: u64,
    /// End of the newest audio, unwrapped.
    frontier: u64,
    laps: u64,
    position_s: f64,
    commits: u64,
    /// Time of a model frame and of rendering, of the newest commit.
    model_ms: f64,
    render_ms: f64,
    is_over: bool,
}

impl WrittenTape {
    /// The tape of a window of so many frames, if the family has one.
    pub fn of(family: Family, frames: u32) -> Option<Self> {
        let appends = family.traits().kind == FamilyKind::AppendOnlyTape;
        appends.then(|| WrittenTape {
            family,
            profile: server_profile(family),
            frames: u64::from(frames.max(1)),
            frontier: 0,
            laps: 0,
            position_s: 0.0,
            commits: 0,
            model_ms: HEALTHY_MS.0,
            render_ms: HEALTHY_MS.1,
            is_over: false,
        })
    }

    /// The client is there. A position that drops by more than half the window is the next lap's.
    pub fn report(&mut self, position_s: f64) {
        if self.position_s - position_s > seconds(self.frames) / 2.0 {
            self.laps += 1;
        }
        self.position_s = position_s;
    }

    /// What comes next, so many seconds after the initial buffer.
    pub fn next(&mut self, at_s: f64, knobs: &KnobBank, faults: &ServerFaults) -> Next {
        let is_endless = knobs.value("minimax_endless").is_some_and(|value| value > 0.0);
        self.is_over |= self.family == Family::Minimax && !self.goes_on(is_endless);
        if self.is_over {
            return Next::Over;
        }
        let knob = if self.family == Family::Mrt2 { "mrt2_lead" } else { "minimax_lead" };
        let lead_s = knobs.value(knob).unwrap_or(self.profile.lead_s);
        // A gate that forgets how long a commit takes opens too late.
        let is_long = self.family == Family::Minimax && !faults.gates_on_lead_alone;
        let ahead_s = if is_long { self.profile.commit_s } else { 0.0 };
        if self.lead_s() > lead_s + ahead_s {
            return Next::Waits;
        }
        Next::Makes(self.makes_s(at_s, faults))
    }

    /// Whether the model composes another whole commit; what it composes beyond the last is lost.
    fn goes_on(&self, is_endless: bool) -> bool {
        let end = if is_endless { MOST_FRAMES } else { PIECE_FRAMES };
        (self.commits + 1) * self.commit_model_frames() <= end
    }

    /// How long the next commit takes.
    fn makes_s(&mut self, at_s: f64, faults: &ServerFaults) -> f64 {
        let ServerProfile { commit_s, real_time, first_audio_s, cold_s, .. } = self.profile;
        let real_time = faults.real_time_at(at_s).unwrap_or(real_time);
        let mut makes_s = commit_s / real_time.max(MIN_REAL_TIME) * faults.slow_factor(at_s);
        if self.family == Family::Minimax {
            makes_s = self.composes_s(makes_s, faults.is_paging(at_s));
        }
        match self.commits {
            0 if faults.cold && cold_s > 0.0 => cold_s,
            0 => first_audio_s,
            _ => makes_s,
        }
    }

    /// minimax composes the frames of a commit and then renders them. Notes how long either takes.
    fn composes_s(&mut self, makes_s: f64, is_paging: bool) -> f64 {
        let ServerProfile { commit_s, real_time, .. } = self.profile;
        let frames = self.commit_model_frames() as f64;
        // What a healthy commit takes beside both.
        let rest_ms = commit_s / real_time * 1e3 - frames * HEALTHY_MS.0 - HEALTHY_MS.1;
        (self.model_ms, self.render_ms) = match is_paging {
            true => PAGED_MS,
            false => ((makes_s * 1e3 - HEALTHY_MS.1 - rest_ms) / frames, HEALTHY_MS.1),
        };
        (self.model_ms * frames + self.render_ms + rest_ms) / 1e3
    }

    /// A commit is made: its slices. None crosses the end of the window.
    pub fn append(&mut self) -> Vec<Region> {
        let frames_of = |s: f64| (s * f64::from(DEFAULT_SAMPLE_RATE)).round() as u64;
        self.commits += 1;
        let mut left = frames_of(self.profile.commit_s);
        let mut slices = Vec::new();
        while left > 0 {
            let at = self.frontier % self.frames;
            let longest = frames_of(self.family.traits().window_s);
            let fresh = left.min(longest).min(self.frames - at);
            let repeat = REPEAT_FRAMES.min(at);
            slices.push(Region { start: (at - repeat) as u32, frames: (fresh + repeat) as u32 });
            self.frontier += fresh;
            left -= fresh;
        }
        slices
    }

    /// What `params_update` says of it. `ar_finished` is never seen to be true: it would follow a
    /// slice, and none comes any more.
    pub fn telemetry(&self) -> Map<String, Value> {
        if self.family != Family::Minimax {
            return Map::new();
        }
        let fields = [
            ("frontier_lead_s", json!(round(self.lead_s(), 2))),
            ("ar_finished", json!(self.is_over)),
            ("ar_frames", json!(self.commits * self.commit_model_frames())),
            ("ar_ms_per_frame", json!(round(self.model_ms, 2))),
            ("ar_realtime", json!(round(1e3 / MODEL_FRAMES_PER_S / self.model_ms, 2))),
            ("chunks", json!(self.commits)),
            ("chunk_render_ms", json!(round(self.render_ms, 1))),
            ("minimax_ar_seed", json!(0)),
        ];
        fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
    }

    /// How far ahead of the listener the newest audio ends.
    fn lead_s(&self) -> f64 {
        seconds(self.frontier) - self.position_s - self.laps as f64 * seconds(self.frames)
    }

    fn commit_model_frames(&self) -> u64 {
        (self.profile.commit_s * MODEL_FRAMES_PER_S).round() as u64
    }
}

fn seconds(frames: u64) -> f64 {
    frames as f64 / f64::from(DEFAULT_SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs(family: Family, name: &str, value: f64) -> KnobBank {
        let mut knobs = KnobBank::new(false, family);
        knobs.turn([(name.to_owned(), value.into())].into_iter().collect());
        knobs
    }

    /// Commits at once, for a listener who is always at the frontier.
    fn commits(tape: &mut WrittenTape, knobs: &KnobBank) -> u64 {
        let faults = ServerFaults::default();
        for second in 0..1_000 {
            if tape.next(f64::from(second), knobs, &faults) == Next::Over {
                break;
            }
            tape.append();
            tape.laps = tape.frontier / tape.frames;
            tape.position_s = seconds(tape.frontier % tape.frames);
        }
        tape.commits
    }

    #[test]
    fn a_piece_of_minimax_ends_with_its_last_whole_commit() {
        let tape = || WrittenTape::of(Family::Minimax, 2_880_000).unwrap();
        assert_eq!(commits(&mut tape(), &knobs(Family::Minimax, "x", 0.0)), 11);
        assert_eq!(commits(&mut tape(), &knobs(Family::Minimax, "minimax_endless", 1.0)), 90);
        let mut endless = WrittenTape::of(Family::Mrt2, 2_880_000).unwrap();
        assert_eq!(commits(&mut endless, &knobs(Family::Mrt2, "x", 0.0)), 1_000);
    }

    #[track_caller]
    fn check(faults: &ServerFaults, makes_s: f64, model_ms: f64, render_ms: f64) {
        let mut tape = WrittenTape::of(Family::Minimax, 2_880_000).unwrap();
        let knobs = KnobBank::new(false, Family::Minimax);
        assert!(matches!(tape.next(0.0, &knobs, faults), Next::Makes(6.0 | 34.0)));
        tape.append();
        let Next::Makes(found) = tape.next(7.0, &knobs, faults) else { panic!("the gate is open") };
        assert!((found - makes_s).abs() < 1e-9, "{found} s");
        let said = tape.telemetry();
        assert_eq!(said["ar_ms_per_frame"], model_ms);
        assert_eq!(said["chunk_render_ms"], render_ms);
    }

    #[test]
    fn what_is_wrong_shows_in_the_parts_of_a_commit() {
        use super::super::faults::{BelowRealTime, Paging};
        use crate::peer::interval::Interval;
        let interval = Interval { at_s: 5.0, for_s: 60.0 };
        let healthy = ServerFaults::default();
        check(&healthy, 4.0 / 1.29, 23.0, 513.0);
        check(&ServerFaults { cold: true, ..healthy.clone() }, 4.0 / 1.29, 23.0, 513.0);
        let paging =
            ServerFaults { paging: Some(Paging { interval, factor: 2.5 }), ..healthy.clone() };
        check(&paging, 4.0 / 1.29 + 4.6 + 0.593, 69.0, 1_106.0);
        let slow = BelowRealTime { interval, real_time: 0.93 };
        check(&ServerFaults { below_real_time: Some(slow), ..healthy }, 4.0 / 0.93, 35.0, 513.0);
    }

    #[test]
    fn the_gate_counts_a_commit_of_minimax_and_the_lead_of_mrt2() {
        let shuts = |family: Family, knobs: &KnobBank, faults: &ServerFaults| {
            let mut tape = WrittenTape::of(family, 2_880_000).unwrap();
            while tape.next(1.0, knobs, faults) != Next::Waits {
                tape.append();
            }
            tape.lead_s()
        };
        let healthy = ServerFaults::default();
        let forgets = ServerFaults { gates_on_lead_alone: true, ..healthy.clone() };
        let plain = |family| KnobBank::new(false, family);
        assert_eq!(shuts(Family::Minimax, &plain(Family::Minimax), &healthy), 8.0);
        assert_eq!(shuts(Family::Minimax, &plain(Family::Minimax), &forgets), 4.0);
        assert_eq!(
            shuts(Family::Minimax, &knobs(Family::Minimax, "minimax_lead", 99.0), &healthy),
            16.0
        );
        assert_eq!(shuts(Family::Mrt2, &plain(Family::Mrt2), &healthy), 0.76);
        assert_eq!(shuts(Family::Mrt2, &knobs(Family::Mrt2, "mrt2_lead", 0.3), &healthy), 0.32);
    }
}
