//! What an onlooker hears of the sessions.
//!
//! Enters: the engine of a session at a moment, its episodes. Leaves: notices as plain data; how
//! they are said is for the doors.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use super::impair::Impairment;
use crate::capture::Direction;
use crate::engine::Engine;
use crate::lag::ReportArgs;
use crate::time::Nanos;
use crate::verdict::{Episode, LagKind};
use crate::wire::websocket::Deflate;

/// How far back the figures of a status reach, in seconds.
pub const WINDOW_S: f64 = 10.0;
/// Lag is said to be over when there was none for this long, in seconds.
pub const CLEAR_AFTER_S: f64 = 2.0;

/// A WebSocket session that begins.
#[derive(Debug)]
pub(super) struct Opening {
    pub session: u64,
    pub at: Nanos,
    pub utc: String,
    pub client: SocketAddr,
    /// Without secrets.
    pub url: String,
    pub user_agent: Option<String>,
    pub extensions: String,
    pub deflate: Option<Deflate>,
    pub impairment: Option<Impairment>,
}

/// Something about a session, or about the proxy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// A WebSocket session begins.
    Opened {
        /// Its number; the first is 1.
        session: u64,
        /// Where its client is.
        client: SocketAddr,
        /// What it asked for, without secrets.
        url: String,
    },
    /// Its capture is being written.
    Recording {
        /// The session.
        session: u64,
        /// The capture.
        capture: PathBuf,
    },
    /// Something about its files: a part, an incident, a deletion.
    Recorder {
        /// The session.
        session: u64,
        /// What.
        sentence: String,
    },
    /// How a session is, a few times a second once its initial buffer is there.
    Status(Status),
    /// The listener begins to hear lag.
    LagBegan {
        /// The session.
        session: u64,
        /// When, in seconds from the initial buffer.
        at_s: f64,
        /// What is wrong.
        what: LagKind,
    },
    /// The listener hears no lag any more.
    LagEnded {
        /// The session.
        session: u64,
        /// When it ended, in seconds from the initial buffer.
        at_s: f64,
        /// How long it lasted, in seconds.
        lasted_s: f64,
    },
    /// Messages were forwarded and not recorded, for want of room.
    Lost {
        /// The session.
        session: u64,
        /// How many messages.
        messages: u64,
        /// Their bytes on the wire.
        bytes: u64,
    },
    /// Something is wrong with the recording or the server.
    Trouble {
        /// The session, if it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<u64>,
        /// What, and what to do.
        sentence: String,
    },
    /// A session is over.
    Closed {
        /// The session.
        session: u64,
        /// Why, in a few words.
        reason: String,
        /// How long it streamed, in seconds from the initial buffer, if there was one.
        #[serde(skip_serializing_if = "Option::is_none")]
        streamed_s: Option<f64>,
        /// Messages up and down.
        messages: u64,
        /// Spells of lag.
        episodes: usize,
        /// The capture, its parts, or the incidents that were not deleted.
        captures: Vec<PathBuf>,
    },
}

/// How a session is at a moment; figures are of the last [`WINDOW_S`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The session.
    pub session: u64,
    /// Seconds from the initial buffer.
    pub at_s: f64,
    /// The lead of the newest slice.
    pub lead_s: Option<f64>,
    /// The lead that one slice in twenty stays below.
    pub lead_p5_s: Option<f64>,
    /// Age of the audio under the listener at the newest report.
    pub staleness_s: Option<f64>,
    /// Slices a second.
    pub slices_per_s: f64,
    /// Bytes of slices that the client has not acknowledged, if it acknowledges.
    pub in_flight_bytes: Option<u64>,
    /// Reports of the playhead a second.
    pub params_per_s: f64,
    /// The newest event of the server.
    pub last_event: Option<String>,
    /// The listener hears lag.
    pub is_lagging: bool,
    /// Messages not recorded so far.
    pub lost: u64,
}

impl Status {
    /// Looks at a session; `None` before its initial buffer.
    pub(super) fn of(session: u64, engine: &Engine, now: Nanos) -> Option<Status> {
        let at_s = now.seconds_since(engine.origin()?);
        let args = ReportArgs { window_s: Some(WINDOW_S), ..ReportArgs::default() };
        let report = engine.report(now, &args)?;
        let tracker = &engine.epochs().last()?.tracker;
        let window_s = at_s.clamp(0.1, WINDOW_S);
        let facts = engine.facts();
        let acknowledged = engine.last_report().slice_bytes_rx.filter(|bytes| *bytes >= 0.0);
        let event = facts.events.back().and_then(|event| event.fields.get("type")?.as_str());
        Some(Status {
            session,
            at_s,
            lead_s: tracker.slices().next_back().map(|slice| slice.lead_s),
            lead_p5_s: report.slices.lead_s.map(|lead| lead.p5),
            staleness_s: tracker.ticks().next_back().map(|tick| tick.staleness_s),
            slices_per_s: report.slices.count as f64 / window_s,
            in_flight_bytes: acknowledged
                .map(|bytes| facts.slice_bytes.saturating_sub(bytes as u64)),
            params_per_s: report.ticks.count as f64 / window_s,
            last_event: event.map(str::to_owned),
            is_lagging: false,
            lost: facts.gaps.iter().map(|(_, gap)| gap.count).sum(),
        })
    }
}

/// Says once when lag begins and once when it ends.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// Since when, on the capture's clock.
    since_s: Option<f64>,
    /// What ended before is over for good.
    over_until_s: f64,
}

/// A change that is worth saying.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    Began { at_s: f64, what: LagKind },
    Ended { at_s: f64, lasted_s: f64 },
}

impl Alarm {
    pub fn is_on(&self) -> bool {
        self.since_s.is_some()
    }

    /// Looks at the episodes as of now; all times are of the capture's clock.
    pub fn look(&mut self, episodes: &[Episode], now_s: f64) -> Option<Change> {
        let newest = episodes.iter().max_by(|a, b| a.to_s.total_cmp(&b.to_s))?;
        let is_recent = now_s - newest.to_s < CLEAR_AFTER_S;
        match self.since_s {
            None if is_recent && newest.to_s > self.over_until_s => {
                self.since_s = Some(newest.from_s);
                Some(Change::Began { at_s: newest.from_s, what: newest.what.clone() })
            }
            Some(since_s) if !is_recent => {
                self.since_s = None;
                self.over_until_s = newest.to_s;
                Some(Change::Ended { at_s: newest.to_s, lasted_s: newest.to_s - since_s })
            }
            _ => None,
        }
    }
}

/// The place of a direction in a pair.
pub(super) fn index(direction: Direction) -> usize {
    match direction {
        Direction::ClientToServer => 0,
        Direction::ServerToClient => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(from_s: f64, to_s: f64) -> Episode {
        Episode { from_s, to_s, what: LagKind::Behind { slices: 1, of: 1, worst_lead_s: -1.0 } }
    }

    #[test]
    fn an_alarm_speaks_twice() {
        let mut alarm = Alarm::default();
        let mut said = Vec::new();
        for tenth in 0..200 {
            let now_s = f64::from(tenth) / 10.0;
            // Two spells a second apart, and a third much later.
            let episodes: Vec<_> = [(2.0, 4.0), (5.0, 6.0), (15.0, 16.0)]
                .into_iter()
                .filter(|(from_s, _)| from_s + 1.0 <= now_s)
                .map(|(from_s, to_s): (f64, f64)| episode(from_s, to_s.min(now_s)))
                .collect();
            said.extend(alarm.look(&episodes, now_s).map(|change| match change {
                Change::Began { at_s, .. } => (tenth, "began", at_s, 0.0),
                Change::Ended { at_s, lasted_s } => (tenth, "ended", at_s, lasted_s),
            }));
        }
        assert_eq!(
            said,
            [
                (30, "began", 2.0, 0.0),
                (80, "ended", 6.0, 4.0),
                (160, "began", 15.0, 0.0),
                (180, "ended", 16.0, 1.0),
            ]
        );
    }
}
