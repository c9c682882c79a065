//! Where the listener would have been.
//!
//! Enters: what they would have done, and for a playhead known only from its reports those reports.
//! Leaves: positions. A simulated playhead is moved by the ops alone; a reported one follows its
//! recording at the distance to which the ops have brought it.

use crate::capture::Marker;
use crate::playhead::{PlayheadSim, PlayheadWalk, ReportedPlayhead, wrapped};
use crate::time::Nanos;

use super::trace::Trace;

pub(super) struct Listener {
    playhead: Playhead,
    /// Positions are whole multiples of this many frames.
    quantum: u64,
    sample_rate: f64,
}

enum Playhead {
    Simulated(PlayheadSim, PlayheadWalk),
    Reported(Box<Follower>),
}

struct Follower {
    playhead: ReportedPlayhead,
    loop_s: f64,
    ahead_s: f64,
    rate: f64,
    paused: bool,
    moved_at: Nanos,
}

impl Listener {
    pub fn new(trace: &Trace, quantum: Option<u64>) -> Self {
        Listener {
            playhead: Playhead::new(trace),
            quantum: quantum.unwrap_or(1).max(1),
            sample_rate: f64::from(trace.sample_rate),
        }
    }

    pub fn operate(&mut self, now: Nanos, op: &Marker) {
        self.playhead.operate(now, op);
    }

    /// A report goes out; `recorded_s` is the position that the recording has for that moment, and
    /// `client_s` the client's time.
    pub fn report(&mut self, now: Nanos, recorded_s: Option<f64>, client_s: Option<f64>) {
        if let Playhead::Reported(follower) = &mut self.playhead
            && let Some(recorded_s) = recorded_s
        {
            follower.advance(now);
            let position_s = wrapped(recorded_s + follower.ahead_s, follower.loop_s);
            follower.playhead.report(position_s, client_s, now.seconds());
        }
    }

    /// The position that was reported last; a simulated playhead has its own.
    pub fn reported_s(&self) -> Option<f64> {
        match &self.playhead {
            Playhead::Simulated(..) => None,
            Playhead::Reported(follower) => Some(follower.playhead.reported_s()),
        }
    }

    pub fn frame(&mut self, now_s: f64) -> u64 {
        let frame = match &mut self.playhead {
            Playhead::Simulated(_, walk) => walk.frame(now_s),
            Playhead::Reported(follower) => follower.playhead.frame(now_s),
        };
        self.rounded_down(frame)
    }

    /// The frame, and the position in seconds, which only a simulated playhead has between frames.
    pub fn place(&mut self, now_s: f64) -> (u64, f64) {
        if let (1, Playhead::Simulated(_, walk)) = (self.quantum, &mut self.playhead) {
            let position = walk.position(now_s);
            // A loop is shorter than 2³² frames, and an i64 is made in one step.
            return (position as i64 as u64, position / self.sample_rate);
        }
        let frame = self.frame(now_s);
        (frame, frame as f64 / self.sample_rate)
    }

    fn rounded_down(&self, frame: u64) -> u64 {
        // The division costs more than all the rest.
        if self.quantum > 1 { frame - frame % self.quantum } else { frame }
    }
}

impl Playhead {
    fn new(trace: &Trace) -> Self {
        if !trace.reported_playhead {
            let playhead = trace.simulated();
            let walk = PlayheadWalk::new(&playhead);
            return Playhead::Simulated(playhead, walk);
        }
        Playhead::Reported(Box::new(Follower {
            playhead: trace.reported(),
            loop_s: trace.loop_s(),
            ahead_s: 0.0,
            rate: 1.0,
            paused: false,
            moved_at: trace.begins,
        }))
    }

    fn operate(&mut self, now: Nanos, op: &Marker) {
        let (playhead, walk) = match self {
            Playhead::Simulated(playhead, walk) => (playhead, walk),
            Playhead::Reported(follower) => return follower.operate(now, op),
        };
        playhead.operate(op, now.seconds());
        *walk = PlayheadWalk::new(playhead);
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
