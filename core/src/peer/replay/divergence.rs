//! How far a live client and the clock strayed from the recording.
//!
//! Positions are compared only at rate 1 and up to the first jump. A difference in time is the live
//! client's time less the recorded one's. Audio is never kept.

use serde::Serialize;

use super::pace::Pace;
use super::sequence_diff::{Difference, SequenceDiff};
use super::tape::{ClientAction, KnobChanges, Tick};
use crate::lag::stats::round;
use crate::playhead::{JUMP_S, ReportedPlayhead};
use crate::time::Nanos;
use crate::wire::message::Params;

/// How a replay went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// The live client did exactly what the recorded one did, as far as the tape was played.
    pub same: bool,
    /// The first thing that it did differently.
    pub first_difference: Option<Difference>,
    /// Configuration, uploads and commands.
    #[serde(rename = "deeds")]
    pub actions: ActionCounts,
    /// Changes of knobs in reports.
    pub knobs: ActionCounts,
    /// Reports of the playhead.
    pub ticks: TickCounts,
    /// Distance of the live playhead from the recorded one; `null` where they cannot be compared.
    pub position: Option<Drift>,
    /// How the clock kept time.
    pub time: TimeKept,
    /// The live playhead was elsewhere than the recorded one, in a replay from the beginning: leads and
    /// ages are not those of the recording.
    pub strayed: bool,
    /// Where the replay began, in seconds from the session's initial buffer.
    pub from_s: f64,
    /// How much of the tape was played from there, in seconds.
    pub played_s: f64,
    /// The tape came to its end.
    pub whole: bool,
    /// How often it began again.
    pub rounds: u64,
    /// What unsent replies still wait for, in a causal replay.
    pub unanswered: Vec<String>,
    /// Messages that could not be sent because the recording does not have them whole.
    pub left_out: u64,
}

/// Actions of both clients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ActionCounts {
    /// The recorded client's, as far as the tape was played.
    pub recorded: u64,
    /// The live client's.
    pub live: u64,
    /// Those that are equal, up to the first that is not.
    pub equal: u64,
    /// Largest distance in time of equal ones; negative where the live one came earlier.
    pub most_apart_s: f64,
}

/// Reports of both clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TickCounts {
    /// The recorded client's, as far as the tape was played.
    pub recorded: u64,
    /// The live client's.
    pub live: u64,
}

/// Distance of the live playhead from the recorded one, folded to half a loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drift {
    /// At the first report.
    pub first_s: f64,
    /// At the last.
    pub last_s: f64,
    /// The largest, with its sign.
    pub most_s: f64,
    /// Reports that were compared, …
    pub reports: u64,
    /// … and those that lay farther apart than a seek may.
    pub apart: u64,
}

/// One report in so many may be apart, as around a seek that came a little earlier or later.
const APART_SHARE: u64 = 20;

impl Drift {
    /// Whether the client was elsewhere than the recorded one: what is sent is then not meant for it.
    #[must_use]
    pub fn has_strayed(&self) -> bool {
        self.apart > 1 && self.apart * APART_SHARE > self.reports
    }
}

/// How the clock of the replay kept time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimeKept {
    /// Seconds of the tape in a second, as last asked for; `null`: as fast as possible.
    pub asked_rate: Option<f64>,
    /// The rate that was achieved, without pauses, jumps and waiting for the client.
    pub achieved_rate: Option<f64>,
    /// Messages sent.
    pub sent: u64,
    /// How late they were on average.
    pub late_mean_ms: f64,
    /// How late the latest was.
    pub late_max_ms: f64,
    /// By how much everything was slowed because client or machine did not keep up.
    pub slowed_s: f64,
    /// By how much everything was delayed for messages of the client.
    pub waited_s: f64,
    /// How long the clock was paused.
    pub paused_s: f64,
}

/// Compares a live client with the recorded one.
#[derive(Debug, Default)]
pub(super) struct Comparer {
    pub actions: SequenceDiff,
    pub knobs: SequenceDiff,
    pub ticks: TickCounts,
    live_knobs: KnobChanges,
    recorded_playhead: Option<ReportedPlayhead>,
    recorded_reports: u64,
    loop_s: f64,
    pub position: Option<Drift>,
    is_over: bool,
}

impl Comparer {
    /// Ends the comparison, as a jump does.
    pub fn stop(&mut self) {
        self.is_over = true;
    }

    /// Takes a buffer on which both playheads start at `tape`.
    pub fn buffer(&mut self, tape: Nanos, frames: u64, sample_rate: Option<u32>) {
        self.recorded_reports = 0;
        match (&mut self.recorded_playhead, sample_rate) {
            (playhead, Some(rate)) => {
                *playhead = Some(ReportedPlayhead::new(frames, rate, tape.seconds()));
                self.loop_s = frames as f64 / f64::from(rate);
            }
            (Some(playhead), None) => {
                let rate = playhead.sample_rate();
                playhead.reset(frames, tape.seconds());
                self.loop_s = frames as f64 / f64::from(rate);
            }
            (None, None) => {}
        }
    }

    pub fn recorded_action(&mut self, at_s: f64, action: ClientAction) {
        if !self.is_over {
            self.actions.recorded(at_s, action);
        }
    }

    pub fn live_action(&mut self, at_s: f64, action: ClientAction) {
        if !self.is_over {
            self.actions.live(at_s, action);
        }
    }

    pub fn recorded_tick(&mut self, at_s: f64, tape: Nanos, tick: Tick) {
        if self.is_over {
            return;
        }
        self.ticks.recorded += 1;
        if let Some((playhead, position_s)) = self.recorded_playhead.as_mut().zip(tick.position_s) {
            playhead.report(position_s, None, tape.seconds());
            self.recorded_reports += 1;
        }
        if let Some(knobs) = tick.knobs {
            self.knobs
                .recorded(at_s, ClientAction { kind: "knobs".to_owned(), value: knobs.into() });
        }
    }

    /// Takes a report of the live client at `tape`; its position counts while `pace` runs at rate 1.
    pub fn live_tick(&mut self, at_s: f64, tape: Nanos, params: &Params<'_>, pace: Option<&Pace>) {
        if self.is_over {
            return;
        }
        self.ticks.live += 1;
        if let Some(knobs) = self.live_knobs.turned(params.raw.as_deref()) {
            self.knobs.live(at_s, ClientAction { kind: "knobs".to_owned(), value: knobs.into() });
        }
        let is_comparable = pace.is_some_and(|pace| pace.rate() == 1.0 && !pace.is_paused());
        if let (true, Some(playhead), Some(live_s)) = (
            is_comparable && self.recorded_reports > 0,
            &self.recorded_playhead,
            params.playback_pos,
        ) && live_s.is_finite()
        {
            let apart_s = folded(live_s - playhead.seconds(tape.seconds()), self.loop_s);
            let drift = self.position.get_or_insert(Drift {
                first_s: apart_s,
                last_s: apart_s,
                most_s: apart_s,
                reports: 0,
                apart: 0,
            });
            drift.reports += 1;
            drift.apart += u64::from(apart_s.abs() > JUMP_S);
            drift.last_s = apart_s;
            if apart_s.abs() > drift.most_s.abs() {
                drift.most_s = apart_s;
            }
        }
    }

    pub fn first_difference(&self) -> Option<Difference> {
        let both = [self.actions.first_difference(), self.knobs.first_difference()];
        both.into_iter().flatten().min_by(|one, other| one.at_s.total_cmp(&other.at_s))
    }
}

impl ActionCounts {
    pub(super) fn of(diff: &SequenceDiff) -> ActionCounts {
        ActionCounts {
            recorded: diff.recorded_count,
            live: diff.live_count,
            equal: diff.equal,
            most_apart_s: round(diff.most_apart_s, 6),
        }
    }
}

impl Drift {
    pub(super) fn rounded(self) -> Drift {
        let figure = |s| round(s, 6);
        Drift {
            first_s: figure(self.first_s),
            last_s: figure(self.last_s),
            most_s: figure(self.most_s),
            ..self
        }
    }
}

/// Measures what was sent, and how late.
#[derive(Debug, Default)]
pub(super) struct TimeKeeper {
    sent: u64,
    paced: u64,
    late_ns: u64,
    latest_ns: u64,
    pub slowed_ns: u64,
    pub waited_ns: u64,
    pub paused_ns: u64,
    /// Tape and driver's clock at the last message, and what the clock stood still since.
    mark: Option<(Nanos, Nanos)>,
    still_ns: u64,
    tape_ns: u64,
    real_ns: u64,
}

impl TimeKeeper {
    /// Counts a message; `late_ns` is given where it was timed.
    pub fn sent(&mut self, tape: Nanos, now: Nanos, late_ns: Option<u64>) {
        self.sent += 1;
        if let Some(late_ns) = late_ns {
            self.paced += 1;
            self.late_ns = self.late_ns.saturating_add(late_ns);
            self.latest_ns = self.latest_ns.max(late_ns);
        }
        if let Some((last_tape, last_now)) = self.mark.replace((tape, now)) {
            self.tape_ns += tape.0.saturating_sub(last_tape.0);
            let real_ns = now.0.saturating_sub(last_now.0);
            self.real_ns += real_ns.saturating_sub(std::mem::take(&mut self.still_ns));
        }
    }

    /// Counts a message that was sent while catching up.
    pub fn sent_at_once(&mut self) {
        self.sent += 1;
    }

    /// Leaves out time in which the clock stood still on purpose.
    pub fn stood(&mut self, ns: u64) {
        self.still_ns = self.still_ns.saturating_add(ns);
    }

    /// Measures what follows independently of what was before.
    pub fn jump(&mut self) {
        self.mark = None;
        self.still_ns = 0;
    }

    pub fn kept(&self, asked_rate: Option<f64>) -> TimeKept {
        let achieved = (self.real_ns > 0).then(|| self.tape_ns as f64 / self.real_ns as f64);
        TimeKept {
            asked_rate,
            achieved_rate: achieved.map(|rate| round(rate, 4)),
            sent: self.sent,
            late_mean_ms: round(self.late_ns as f64 / self.paced.max(1) as f64 / 1e6, 3),
            late_max_ms: round(self.latest_ns as f64 / 1e6, 3),
            slowed_s: round(self.slowed_ns as f64 / 1e9, 6),
            waited_s: round(self.waited_ns as f64 / 1e9, 6),
            paused_s: round(self.paused_ns as f64 / 1e9, 6),
        }
    }
}

fn folded(apart_s: f64, loop_s: f64) -> f64 {
    if loop_s > 0.0 { (apart_s + loop_s / 2.0).rem_euclid(loop_s) - loop_s / 2.0 } else { apart_s }
}
