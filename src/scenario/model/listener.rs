//! Where the listener would have been.
//!
//! Enters: what they would have done, and for a playhead known only from its reports those reports.
//! Leaves: positions. A simulated playhead is moved by the ops alone; a reported one follows its
//! recording at the distance to which the ops have brought it.

use crate::capture::Marker;
use crate::playhead::{PlayheadSim, ReportedPlayhead};
use crate::time::Nanos;

use super::trace::Trace;

pub(super) enum Listener {
    Simulated(PlayheadSim),
    Reported(Box<Follower>),
}

pub(super) struct Follower {
    playhead: ReportedPlayhead,
    loop_s: f64,
    ahead_s: f64,
    rate: f64,
    paused: bool,
    moved_at: Nanos,
}

impl Listener {
    pub fn new(trace: &Trace) -> Self {
        let (frames, rate, now_s) = (trace.frames, trace.sample_rate, trace.origin.seconds());
        if !trace.reported_playhead {
            return Listener::Simulated(PlayheadSim::new(frames, rate, now_s));
        }
        Listener::Reported(Box::new(Follower {
            playhead: ReportedPlayhead::new(frames, rate, now_s),
            loop_s: trace.loop_s(),
            ahead_s: 0.0,
            rate: 1.0,
            paused: false,
            moved_at: trace.origin,
        }))
    }

    pub fn operate(&mut self, now: Nanos, op: &Marker) {
        let now_s = now.seconds();
        match (self, op) {
            (Listener::Simulated(playhead), &Marker::Seek { to_s }) => playhead.seek(to_s, now_s),
            (Listener::Simulated(playhead), &Marker::Rate { rate }) => {
                playhead.set_rate(rate, now_s);
            }
            (Listener::Simulated(playhead), Marker::Pause) => playhead.set_paused(true, now_s),
            (Listener::Simulated(playhead), Marker::Resume) => playhead.set_paused(false, now_s),
            (Listener::Reported(follower), op) => follower.operate(now, op),
            (_, Marker::Point { .. }) => {}
        }
    }

    /// A report goes out; `recorded_s` is the position that the recording has for that moment.
    pub fn report(&mut self, now: Nanos, recorded_s: Option<f64>) {
        if let Listener::Reported(follower) = self
            && let Some(recorded_s) = recorded_s
        {
            follower.advance(now);
            let position_s = (recorded_s + follower.ahead_s).rem_euclid(follower.loop_s);
            follower.playhead.report(position_s, now.seconds());
        }
    }

    /// The position that was reported last; a simulated playhead has its own.
    pub fn reported_s(&self) -> Option<f64> {
        match self {
            Listener::Simulated(_) => None,
            Listener::Reported(follower) => Some(follower.playhead.reported_s()),
        }
    }

    pub fn frame(&self, now: Nanos) -> u64 {
        match self {
            Listener::Simulated(playhead) => playhead.frame(now.seconds()),
            Listener::Reported(follower) => follower.playhead.frame(now.seconds()),
        }
    }

    pub fn seconds(&self, now: Nanos) -> f64 {
        match self {
            Listener::Simulated(playhead) => playhead.seconds(now.seconds()),
            Listener::Reported(follower) => follower.playhead.seconds(now.seconds()),
        }
    }
}

impl Follower {
    fn operate(&mut self, now: Nanos, op: &Marker) {
        self.advance(now);
        match *op {
            Marker::Seek { to_s } => self.ahead_s += to_s - self.playhead.seconds(now.seconds()),
            Marker::Rate { rate } => self.rate = rate,
            Marker::Pause => self.paused = true,
            Marker::Resume => self.paused = false,
            Marker::Point { .. } => {}
        }
    }

    fn advance(&mut self, now: Nanos) {
        let rate = if self.paused { 0.0 } else { self.rate };
        self.ahead_s += now.seconds_since(self.moved_at) * (rate - 1.0);
        self.moved_at = now;
    }
}
