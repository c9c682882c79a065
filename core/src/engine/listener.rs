//! The listener: both playheads of a session, of which one counts.
//!
//! Both are kept going, so that a capture that is cut can later be read with either of them.

use crate::capture::{
    Marker, PlayheadLine, ReportedState, SimulatedState, StreamState, TickReport,
};
use crate::heard::Steering;
use crate::playhead::{Movement, Playhead, PlayheadSim, PlayheadSource, ReportedPlayhead};
use crate::time::Nanos;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listener {
    heard: Playhead,
    other: Playhead,
}

impl Listener {
    pub fn new(source: PlayheadSource, frames: u64, sample_rate: u32, now_s: f64) -> Self {
        Self::of(
            source,
            PlayheadSim::new(frames, sample_rate, now_s),
            ReportedPlayhead::new(frames, sample_rate, now_s),
        )
    }

    pub fn resume(source: PlayheadSource, state: &StreamState, sample_rate: u32) -> Self {
        Self::of(
            source,
            PlayheadSim::resume(&state.simulated, state.frames, sample_rate),
            ReportedPlayhead::resume(&state.reported, state.frames, sample_rate),
        )
    }

    fn of(source: PlayheadSource, simulated: PlayheadSim, reported: ReportedPlayhead) -> Self {
        let (simulated, reported) = (Playhead::Simulated(simulated), Playhead::Reported(reported));
        match source {
            PlayheadSource::Simulated => Listener { heard: simulated, other: reported },
            PlayheadSource::Reported => Listener { heard: reported, other: simulated },
        }
    }

    pub fn frame(&self, now_s: f64) -> u64 {
        self.heard.frame(now_s)
    }

    pub fn seconds(&self, now_s: f64) -> f64 {
        self.heard.seconds(now_s)
    }

    pub fn paused(&self, now_s: f64) -> bool {
        self.heard.paused(now_s)
    }

    pub fn source(&self) -> PlayheadSource {
        self.heard.source()
    }

    pub fn line(&self, at: Nanos) -> PlayheadLine {
        self.heard.line(at)
    }

    pub fn reset(&mut self, frames: u64, now_s: f64) {
        self.heard.reset(frames, now_s);
        self.other.reset(frames, now_s);
    }

    /// Applies an op of the capture; says how the listener goes on, if that moves the listener.
    pub fn operate(&mut self, op: &Marker, at: Nanos) -> Option<Steering> {
        self.other.operate(op, at.seconds());
        let movement = self.heard.operate(op, at.seconds())?;
        Some(self.steering(at, movement))
    }

    /// Takes a reported position and the client's time; says how the listener goes on and since when, if
    /// that moves the listener.
    pub fn report(&mut self, report: &TickReport, at: Nanos) -> Option<Steering> {
        let (position_s, client_s) = (report.playback_pos?, report.client_time);
        self.other.report(position_s, client_s, at.seconds());
        let placed = self.heard.report(position_s, client_s, at.seconds())?;
        let late_ns = (placed.late_s * 1e9).round() as u64;
        Some(self.steering(Nanos(at.0.saturating_sub(late_ns)), placed.movement))
    }

    fn steering(&self, at: Nanos, movement: Movement) -> Steering {
        Steering {
            line: self.heard.line(at),
            jumped: movement == Movement::Jumped,
            paused: self.heard.paused(at.seconds()),
        }
    }

    /// How far a position lies from the simulated playhead, either way round the loop.
    pub fn apart_s(&self, position_s: f64, now_s: f64) -> f64 {
        self.simulated().map_or(0.0, |playhead| playhead.distance_s(position_s, now_s))
    }

    pub fn simulated(&self) -> Option<&PlayheadSim> {
        self.heard.simulated().or(self.other.simulated())
    }

    /// The state of both.
    pub fn state(&self) -> (SimulatedState, ReportedState) {
        let reported = self.heard.reported().or(self.other.reported());
        (
            self.simulated().map(PlayheadSim::state).unwrap_or_default(),
            reported.map(ReportedPlayhead::state).unwrap_or_default(),
        )
    }
}
