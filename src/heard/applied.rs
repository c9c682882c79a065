//! When slices count: from the moment at which the client applied them.
//!
//! Enters: slices as they come, the client's reports, what moves the playhead. Leaves: a
//! [`HeardReport`]. A client that records itself applies what it records. Of a foreign client only
//! its reports tell, so what came since the last report waits for the next one:
//!
//! - A report that acknowledges fewer bytes than have come says that the slices beyond them are not
//!   applied yet. They count from that report on, at the earliest. An acknowledgement that is the
//!   end of no slice counts something else and is not believed.
//! - Known clients report every 8 to 100 ms, from the thread that applies slices. One that was
//!   silent for longer than the shortest lead of a server and whose position went on meanwhile was
//!   blocked, and applied what had come when it reported again; unless the lead that it reports
//!   (its worst since the report before) fits better to slices that were applied as they came.
//! - A silence after which the position is elsewhere was a pause or a seek. What was heard in it is
//!   not known, and after the last report nobody is known to listen.
//! - In all other cases slices count from their arrival.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::excuses::Excuses;
use super::meter::{Meter, Patch};
use super::path::Line;
use super::tally::HeardReport;
use crate::time::Nanos;

/// A silence of the client that is longer than this is no cadence: the shortest lead of a server,
/// and more than twice the slowest cadence of a known client.
pub const HITCH_NS: u64 = 250_000_000;
/// Events that wait for a report at most; a server sheds long before.
const MAX_WAITING: usize = 1 << 14;

/// How it is known when slices were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppliedBy {
    /// The recorder is the client.
    Handling,
    /// The client acknowledged them.
    Acknowledgement,
    /// It did not, and they count from their arrival or from the end of a silence.
    Arrival,
}

/// What a client says of itself in a report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientReport {
    /// Bytes of slice messages that it has taken.
    pub slice_bytes_rx: Option<f64>,
    /// Its smallest lead since the report before, in seconds.
    pub slice_lead_s: Option<f64>,
}

/// How the playhead goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steering {
    /// From where, and how fast.
    pub line: Line,
    /// It is not where it should have been.
    pub jumped: bool,
    /// It stands still, and nothing is heard.
    pub paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    Slice { at: Nanos, patch: Patch, received_to: u64 },
    Excuse { at: Nanos, until: Nanos },
    Forgive,
}

/// Measures what is heard of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardMeter {
    origin: Nanos,
    sample_rate: u32,
    foreign: bool,
    excuses: Excuses,
    meter: Meter,
    waiting: VecDeque<Waiting>,
    reported_at: Nanos,
    acknowledged: u64,
    paused: bool,
    held_back: u64,
}

impl HeardMeter {
    /// The initial buffer came. A foreign client applies slices when its reports say so.
    #[must_use]
    pub fn new(at: Nanos, frames: u64, sample_rate: u32, threshold_ns: u64, foreign: bool) -> Self {
        let excuses = Excuses::new(at, loop_ns(frames, sample_rate));
        let mut meter = Meter::new(at, frames, sample_rate, threshold_ns);
        meter.excuse(at, excuses.until());
        HeardMeter {
            origin: at,
            sample_rate,
            foreign,
            excuses,
            meter,
            waiting: VecDeque::new(),
            reported_at: at,
            acknowledged: 0,
            paused: false,
            held_back: 0,
        }
    }

    /// A slice came, with which the client has received so many bytes of slices.
    pub fn on_slice(&mut self, at: Nanos, start: u64, frames: u64, received_to: u64) {
        self.waiting.push_back(Waiting::Slice { at, patch: Patch { start, frames }, received_to });
        let started = self.excuses.on_slice(at);
        if started {
            self.waiting.push_back(Waiting::Forgive);
        }
        self.excuse(at);
    }

    /// A knob or another command changed what the server renders.
    pub fn on_change(&mut self, at: Nanos) {
        self.excuses.on_change(at);
        self.excuse(at);
    }

    /// The client reported; its playhead goes on like this, if the report says so.
    pub fn on_report(&mut self, at: Nanos, said: &ClientReport, steering: Option<Steering>) {
        if self.foreign {
            self.settle(at, said, steering.is_some_and(|steering| steering.jumped));
        }
        self.reported_at = at;
        self.meter.advance(at);
        if let Some(steering) = steering {
            self.on_steering(at, steering);
        }
    }

    /// The playhead goes on like this.
    pub fn on_steering(&mut self, at: Nanos, steering: Steering) {
        self.meter.steer(at, steering.line, steering.jumped);
        let resumed = std::mem::replace(&mut self.paused, steering.paused) && !steering.paused;
        if steering.jumped || resumed {
            self.excuses.unsettle(at);
        }
        self.meter.listen(!steering.paused);
        self.meter.excuse(at, self.excuses.until());
    }

    /// Another buffer came, and its playhead goes on like this.
    pub fn on_swap(&mut self, at: Nanos, frames: u64, line: Line) {
        self.apply_waiting(None, None);
        self.excuses.on_swap(at, loop_ns(frames, self.sample_rate));
        self.meter.swap(at, frames, self.excuses.until());
        self.meter.steer(at, line, true);
        self.meter.excuse(at, self.excuses.until());
        self.reported_at = at;
    }

    /// What was heard up to the last event that tells.
    #[must_use]
    pub fn report(&self) -> HeardReport {
        self.meter.report(self.origin)
    }

    /// How it is known when slices were applied.
    #[must_use]
    pub fn applied_by(&self) -> AppliedBy {
        match (self.foreign, self.acknowledged) {
            (false, _) => AppliedBy::Handling,
            (true, 0) => AppliedBy::Arrival,
            (true, _) => AppliedBy::Acknowledgement,
        }
    }

    /// Slices that were applied later than they came, as far as is known.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Puts down what is excused from now on, and goes on at once if nothing has to wait.
    fn excuse(&mut self, at: Nanos) {
        self.waiting.push_back(Waiting::Excuse { at, until: self.excuses.until() });
        if !self.foreign || self.waiting.len() > MAX_WAITING {
            self.apply_waiting(None, None);
        }
    }

    /// Decides when what came since the last report was applied.
    fn settle(&mut self, at: Nanos, said: &ClientReport, jumped: bool) {
        let silent = at.0.saturating_sub(self.reported_at.0) > HITCH_NS;
        if silent && jumped {
            self.meter.listen(false);
        }
        let late = silent && !jumped && !self.applied_in_time(at, said.slice_lead_s);
        let acknowledged = self.acknowledged_by(said.slice_bytes_rx);
        self.apply_waiting(late.then_some(at), acknowledged.map(|bytes| (bytes, at)));
    }

    /// Whether the client's own worst lead is that of slices applied as they came.
    fn applied_in_time(&self, at: Nanos, lead_s: Option<f64>) -> bool {
        let worst_ns = |late: bool| {
            let slices = self.waiting.iter().filter_map(|waiting| match *waiting {
                Waiting::Slice { at: came, patch, .. } => {
                    Some(self.meter.lead_ns(if late { at } else { came }, patch).0)
                }
                _ => None,
            });
            slices.min()
        };
        let (Some(lead_s), Some(in_time), Some(late)) = (lead_s, worst_ns(false), worst_ns(true))
        else {
            return false;
        };
        let off_s = |ns: i64| (lead_s - ns as f64 / 1e9).abs();
        off_s(in_time) <= off_s(late)
    }

    /// The acknowledgement, if it is one of slices that came.
    fn acknowledged_by(&mut self, bytes: Option<f64>) -> Option<u64> {
        let bytes = bytes.filter(|bytes| *bytes > 0.0)? as u64;
        let is_end = |waiting: &Waiting| {
            matches!(waiting, Waiting::Slice { received_to, .. } if *received_to == bytes)
        };
        let known = bytes == self.acknowledged || self.waiting.iter().any(is_end);
        if known {
            self.acknowledged = bytes;
        }
        known.then_some(bytes)
    }

    /// Does what waits: slices at their time, or all of them at `late`, but for those beyond what
    /// the client acknowledged, which were not applied before that report.
    fn apply_waiting(&mut self, late: Option<Nanos>, acknowledged: Option<(u64, Nanos)>) {
        let mut late_patches = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Excuse { at, until } => self.meter.excuse(at, until),
                Waiting::Forgive => self.meter.forgive(),
                Waiting::Slice { at, patch, received_to } => match acknowledged {
                    Some((bytes, reported)) if received_to > bytes => {
                        self.held_back += u64::from(at < reported);
                        let at = reported;
                        self.waiting.push_back(Waiting::Slice { at, patch, received_to });
                    }
                    _ if late.is_some() => late_patches.push(patch),
                    _ => self.meter.apply(at, patch),
                },
            }
        }
        self.held_back += late_patches.len() as u64;
        for (patch, at) in late_patches.into_iter().zip(std::iter::repeat(late).flatten()) {
            self.meter.apply(at, patch);
        }
    }
}

fn loop_ns(frames: u64, sample_rate: u32) -> u64 {
    (frames as f64 / f64::from(sample_rate.max(1)) * 1e9) as u64
}
