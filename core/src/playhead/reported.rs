//! The playhead of a foreign client, as far as its reports show.
//!
//! Between reports the position is extrapolated at 1×; while reports repeat, it stands still.

use super::wrapped;
use crate::capture::{ClientClockState, ReportedState};

/// A jump of the reported position by more than this, against the extrapolation, is a seek.
pub const JUMP_S: f64 = 0.25;

/// A position held for this long is a paused player; coarse ones stand still for 0.1 s at most.
pub const PAUSED_AFTER_S: f64 = 0.5;

/// How a report lies against the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// It went on.
    Moved,
    /// The same position again.
    Held,
    /// It is somewhere else: a seek.
    Jumped,
}

/// What a report says of the playhead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedReport {
    pub movement: Movement,
    /// How long ago it was there: 0, or how late the report came where the client's clock says so.
    pub late_s: f64,
}

/// The last report, extrapolated.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedPlayhead {
    frames: u64,
    sample_rate: u32,
    position_s: f64,
    at_s: f64,
    held_since_s: Option<f64>,
    reports: u64,
    client: Option<ClientClock>,
}

impl ReportedPlayhead {
    /// Starts at 0 with a buffer of `frames` that arrived at `now_s`.
    #[must_use]
    pub fn new(frames: u64, sample_rate: u32, now_s: f64) -> Self {
        ReportedPlayhead {
            frames: frames.max(1),
            sample_rate,
            position_s: 0.0,
            at_s: now_s,
            held_since_s: None,
            reports: 0,
            client: None,
        }
    }

    /// A playhead that goes on from a state, in a loop of this length.
    #[must_use]
    pub fn resume(state: &ReportedState, frames: u64, sample_rate: u32) -> Self {
        ReportedPlayhead {
            frames: frames.max(1),
            sample_rate,
            position_s: state.position_s,
            at_s: state.at_s,
            held_since_s: state.held_since_s,
            reports: state.reports,
            client: state.client.map(ClientClock),
        }
    }

    /// All that the next positions follow from.
    #[must_use]
    pub fn state(&self) -> ReportedState {
        ReportedState {
            position_s: self.position_s,
            at_s: self.at_s,
            held_since_s: self.held_since_s,
            reports: self.reports,
            client: self.client.map(|clock| clock.0),
        }
    }

    /// A new buffer; the playhead restarts at 0.
    pub fn reset(&mut self, frames: u64, now_s: f64) {
        let without_track =
            |clock: ClientClock| ClientClock(ClientClockState { track: None, ..clock.0 });
        let client = self.client.map(without_track);
        *self = ReportedPlayhead { client, ..Self::new(frames, self.sample_rate, now_s) };
    }

    /// Frames per second.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Takes a report that arrived at `now_s`, and that the client made at `client_s` on its own clock.
    /// One that came late, as those that wait behind a stalled link do, says where the playhead was; it
    /// is no seek, and neither is a position that goes on from an earlier one by the client's clock.
    pub fn report(&mut self, position_s: f64, client_s: Option<f64>, now_s: f64) -> PlacedReport {
        if !position_s.is_finite() {
            return PlacedReport { movement: Movement::Held, late_s: 0.0 };
        }
        let late_s = client_s.map_or(0.0, |client_s| {
            let clock = self.client.get_or_insert_with(|| ClientClock::new(client_s, now_s));
            clock.late_s(client_s, now_s)
        });
        let is_first = self.reports == 0;
        let is_near = |at_s| self.distance_s(position_s, at_s) <= JUMP_S;
        let placed = |movement, late_s| PlacedReport { movement, late_s };
        let placed = if !is_first && position_s == self.position_s {
            placed(Movement::Held, 0.0)
        } else if is_first || is_near(now_s) {
            placed(Movement::Moved, 0.0)
        } else if late_s > JUMP_S && is_near(now_s - late_s) {
            placed(Movement::Moved, late_s)
        } else if self.goes_on(position_s, client_s) {
            placed(Movement::Moved, 0.0)
        } else {
            placed(Movement::Jumped, 0.0)
        };
        self.held_since_s = match placed.movement {
            Movement::Held => self.held_since_s.or(Some(now_s)),
            Movement::Moved | Movement::Jumped => None,
        };
        if let (Movement::Moved, Some(client_s), Some(clock)) =
            (placed.movement, client_s, &mut self.client)
        {
            clock.0.track = Some((position_s, client_s));
        }
        self.position_s = position_s;
        self.at_s = now_s - placed.late_s;
        self.reports += 1;
        placed
    }

    /// Whether a position is where the client's own clock has it by now.
    fn goes_on(&self, position_s: f64, client_s: Option<f64>) -> bool {
        let track = self.client.and_then(|clock| clock.0.track);
        let Some(((was_s, then_s), client_s)) = track.zip(client_s) else { return false };
        let passed_s = client_s - then_s;
        passed_s > 0.0 && self.apart_s(position_s, was_s + passed_s) <= JUMP_S
    }

    /// Whether the position has been held for so long that the player must be paused.
    #[must_use]
    pub fn paused(&self, now_s: f64) -> bool {
        self.held_since_s.is_some_and(|since_s| now_s - since_s >= PAUSED_AFTER_S)
    }

    /// The position of the last report, as it was given; 0 before the first.
    #[must_use]
    pub fn reported_s(&self) -> f64 {
        self.position_s
    }

    /// Whether the position of the last report was that of the one before.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held_since_s.is_some()
    }

    /// The position in frames of the loop.
    #[must_use]
    pub fn position(&self, now_s: f64) -> f64 {
        let elapsed_s = if self.is_held() { 0.0 } else { (now_s - self.at_s).max(0.0) };
        let position = (self.position_s + elapsed_s) * f64::from(self.sample_rate);
        wrapped(position, self.frames as f64)
    }

    /// The frame under the listener.
    #[must_use]
    pub fn frame(&self, now_s: f64) -> u64 {
        (self.position(now_s) as u64).min(self.frames - 1)
    }

    /// The position in seconds from the start of the loop.
    #[must_use]
    pub fn seconds(&self, now_s: f64) -> f64 {
        self.frame(now_s) as f64 / f64::from(self.sample_rate)
    }

    /// How far a position lies from the extrapolated one, either way round the loop.
    fn distance_s(&self, position_s: f64, at_s: f64) -> f64 {
        self.apart_s(position_s, self.frame(at_s) as f64 / f64::from(self.sample_rate))
    }

    fn apart_s(&self, position_s: f64, expected_s: f64) -> f64 {
        let loop_s = self.frames as f64 / f64::from(self.sample_rate);
        let ahead_s = wrapped(position_s - expected_s, loop_s);
        ahead_s.min(loop_s - ahead_s)
    }
}

/// How long the least distance between arrival and the client's time counts at most, twice: the clocks
/// part by some ten milliseconds in that time, and one that was set back is believed again after it.
const CLOCK_SPAN_S: f64 = 60.0;

/// The client's clock beside that of the records.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ClientClock(ClientClockState);

impl ClientClock {
    fn new(client_s: f64, now_s: f64) -> Self {
        let least_s = now_s - client_s;
        ClientClock(ClientClockState {
            least_s,
            before_s: least_s,
            since_s: now_s,
            ..Default::default()
        })
    }

    /// How much longer a report took than those that took least.
    fn late_s(&mut self, client_s: f64, now_s: f64) -> f64 {
        let ClientClockState { least_s, before_s, since_s, .. } = &mut self.0;
        let took_s = now_s - client_s;
        if now_s - *since_s > CLOCK_SPAN_S {
            (*before_s, *least_s, *since_s) = (*least_s, took_s, now_s);
        }
        *least_s = least_s.min(took_s);
        took_s - least_s.min(*before_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(playhead: &mut ReportedPlayhead, position_s: f64, now_s: f64) -> Movement {
        playhead.report(position_s, None, now_s).movement
    }

    #[test]
    fn extrapolates_holds_and_sees_jumps() {
        let mut playhead = ReportedPlayhead::new(480_000, 48_000, 100.0);
        assert_eq!(playhead.frame(100.5), 24_000);
        assert_eq!(moves(&mut playhead, 0.6, 100.5), Movement::Moved);
        assert_eq!(playhead.frame(101.5), 76_800);
        assert_eq!(moves(&mut playhead, 0.6, 101.5), Movement::Held);
        assert_eq!(playhead.frame(102.0), 28_800);
        assert!(!playhead.paused(101.9) && playhead.paused(102.0));
        assert_eq!(moves(&mut playhead, 0.7, 102.1), Movement::Moved);
        assert_eq!(moves(&mut playhead, 5.0, 102.2), Movement::Jumped);
        assert_eq!(moves(&mut playhead, 9.9, 107.1), Movement::Moved);
        assert_eq!(moves(&mut playhead, 0.05, 107.2), Movement::Moved, "the lap wrap is no seek");
        assert_eq!(moves(&mut playhead, f64::NAN, 107.3), Movement::Held);
    }
    /// Reports of (position, client's time, arrival), the last of which is this.
    #[track_caller]
    fn check(reports: &[(f64, f64, f64)], movement: Movement, late_s: f64, now_at_s: f64) {
        let mut playhead = ReportedPlayhead::new(960_000, 48_000, 100.0);
        let placed = reports.iter().map(|&(position_s, client_s, now_s)| {
            let placed = playhead.report(position_s, Some(client_s), now_s);
            (placed, playhead.seconds(now_s))
        });
        let (placed, seconds) = placed.last().unwrap();
        assert_eq!(placed.movement, movement);
        assert!((placed.late_s - late_s).abs() < 1e-9, "{placed:?}");
        assert!((seconds - now_at_s).abs() < 1e-3, "{seconds}");
    }

    #[test]
    fn a_report_that_comes_late_is_no_seek() {
        let (moved, jumped) = (Movement::Moved, Movement::Jumped);
        // Ten seconds after the one before, and made right after that.
        check(&[(1.0, 7.0, 101.0), (1.1, 7.1, 111.0)], moved, 9.9, 11.0);
        check(&[(1.0, 7.0, 101.0), (1.1, 7.1, 111.0), (1.2, 7.2, 111.0)], moved, 9.8, 11.0);
        check(&[(1.0, 7.0, 101.0), (1.1, 7.1, 111.0), (11.1, 17.1, 111.1)], moved, 0.0, 11.1);
        // A seek is one, whenever it comes.
        check(&[(1.0, 7.0, 101.0), (5.0, 7.1, 101.1)], jumped, 0.0, 5.0);
        check(&[(1.0, 7.0, 101.0), (5.0, 7.1, 111.0)], jumped, 0.0, 5.0);
        // A position that was behind for once, and catches up.
        check(&[(1.0, 7.0, 101.0), (1.05, 9.0, 103.0)], jumped, 0.0, 1.05);
        check(&[(1.0, 7.0, 101.0), (1.05, 9.0, 103.0), (3.1, 9.1, 103.1)], moved, 0.0, 3.1);
        // A clock that is set back is not believed where the position went on.
        check(&[(1.0, 7.0, 101.0), (1.1, 2.1, 101.1), (1.2, 2.2, 101.2)], moved, 0.0, 1.2);
    }
}
