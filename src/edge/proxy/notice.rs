//! Notices of how the proxy's sessions go, as plain data; the doors word them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::impair::Impairment;
use crate::capture::Direction;
use crate::diagnosis::{Class, Diagnosis, Finding, Subsystem};
use crate::engine::Engine;
use crate::heard::{HeardEpisode, LagKind};
use crate::lag::ReportArgs;
use crate::report::{EndingReport, LeadsReport};
use crate::time::Nanos;
use crate::wire::websocket::Deflate;

/// Time between two status notices of a session.
pub const STATUS_PERIOD: Duration = Duration::from_millis(250);
/// How far back the figures of a status reach, in seconds.
pub const WINDOW_S: f64 = 10.0;

/// What is known of a WebSocket session when it begins.
#[derive(Debug)]
pub(super) struct SessionOpening {
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
pub enum ProxyNotice {
    /// A WebSocket session begins.
    Opened {
        /// Number of the session; the first is 1.
        session: u64,
        client: SocketAddr,
        /// The address that was asked for, without secrets.
        url: String,
    },
    /// Its capture is being written.
    Recording {
        session: u64,
        capture: PathBuf,
        /// The file that it begins with; `None` where a trigger decides about that.
        #[serde(skip)]
        first: Option<PathBuf>,
    },
    /// Something about its files: a part, an incident, a deletion.
    Recorder {
        session: u64,
        sentence: String,
        /// The file that begins.
        #[serde(skip)]
        begun: Option<PathBuf>,
    },
    /// How a session is, a few times a second once its initial buffer is there.
    Status(SessionStatus),
    /// The listener begins to hear lag.
    LagBegan {
        session: u64,
        /// In seconds from the initial buffer.
        at_s: f64,
        what: LagKind,
    },
    /// The listener hears no lag any more.
    LagEnded {
        session: u64,
        /// In seconds from the initial buffer.
        at_s: f64,
        lasted_s: f64,
        /// Seconds of bad audio in between.
        bad_s: f64,
    },
    /// Messages were forwarded but not recorded, because the observer had fallen behind.
    Lost {
        session: u64,
        messages: u64,
        /// On the wire.
        bytes: u64,
    },
    /// Something is wrong with the recording or the server.
    Trouble {
        /// The session, where the notice is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<u64>,
        /// What is wrong, and what to do.
        sentence: String,
    },
    /// A session is over.
    Closed {
        session: u64,
        reason: String,
        /// Seconds from the initial buffer to the end, if there was a buffer.
        #[serde(skip_serializing_if = "Option::is_none")]
        streamed_s: Option<f64>,
        /// Messages up and down.
        messages: u64,
        /// How often there was lag.
        episodes: usize,
        /// Seconds of bad audio heard.
        bad_s: f64,
        ending: EndingReport,
        /// The capture, its parts, or the incidents that were not deleted.
        captures: Vec<PathBuf>,
    },
}

/// How a session is at a moment; figures are of the last [`WINDOW_S`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionStatus {
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
    /// What is wrong at present, as far as the evidence goes; withdrawn when more evidence disproves it.
    pub finding: Option<PresentFinding>,
    /// Messages not recorded so far.
    pub lost: u64,
}

/// The worst finding of a moment, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PresentFinding {
    pub class: Class,
    pub subsystem: Subsystem,
    /// Seconds from the initial buffer.
    pub from_s: f64,
    pub audible: bool,
    pub confidence: f64,
    pub sentence: String,
}

impl PresentFinding {
    fn of(engine: &Engine, now: Nanos) -> Option<PresentFinding> {
        let Finding { class, subsystem, from_s, audible, confidence, sentence, .. } =
            Diagnosis::present(engine, now)?;
        Some(PresentFinding { class, subsystem, from_s, audible, confidence, sentence })
    }
}

impl SessionStatus {
    /// The status of a session; `None` before its initial buffer.
    pub(super) fn of(session: u64, engine: &Engine, now: Nanos) -> Option<SessionStatus> {
        let at_s = now.seconds_since(engine.origin()?);
        let args = ReportArgs { window_s: Some(WINDOW_S), ..ReportArgs::default() };
        let report = engine.report(now, &args)?;
        let tracker = &engine.epochs().last()?.tracker;
        let window_s = at_s.clamp(0.1, WINDOW_S);
        let facts = engine.facts();
        let acknowledged = engine.last_report().slice_bytes_rx.filter(|bytes| *bytes >= 0.0);
        let listens = engine.listens_from();
        let event = facts.events.back().and_then(|event| event.fields.get("type")?.as_str());
        Some(SessionStatus {
            session,
            at_s,
            lead_s: listens.and_then(|_| Some(tracker.slices().next_back()?.lead_s)),
            lead_p5_s: LeadsReport::of(engine, now, &args).arrival.map(|lead| lead.p5),
            staleness_s: tracker.ticks().next_back().map(|tick| tick.staleness_s),
            slices_per_s: report.slices.count as f64 / window_s,
            in_flight_bytes: acknowledged
                .map(|bytes| facts.slice_bytes.saturating_sub(bytes as u64)),
            params_per_s: report.ticks.count as f64 / window_s,
            last_event: event.map(str::to_owned),
            is_lagging: false,
            finding: PresentFinding::of(engine, now),
            lost: facts.gaps.iter().map(|(_, gap)| gap.count).sum(),
        })
    }
}

/// Reports each episode of lag once when it begins and once when it is over.
#[derive(Debug, Default)]
pub(super) struct LagAlarm {
    /// Those that may go on.
    open: Vec<HeardEpisode>,
    /// The beginning of the newest that was reported, bad audio and slices behind apart.
    said: [Option<f64>; 2],
}

/// What an alarm reports; times are seconds from the initial buffer.
#[derive(Debug, PartialEq)]
pub(super) enum AlarmChange {
    Began { at_s: f64, what: LagKind },
    Ended { at_s: f64, lasted_s: f64, bad_s: f64 },
}

impl LagAlarm {
    pub fn is_on(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes all episodes, and those among them that may yet become longer.
    pub fn update(&mut self, episodes: &[HeardEpisode], open: &[HeardEpisode]) -> Vec<AlarmChange> {
        let mut changes = Vec::new();
        for episode in episodes {
            let said = &mut self.said[usize::from(episode.what.is_behind())];
            if said.is_none_or(|from_s| from_s < episode.from_s) {
                *said = Some(episode.from_s);
                self.open.push(*episode);
                changes.push(AlarmChange::Began { at_s: episode.from_s, what: episode.what });
            }
        }
        for known in &mut self.open {
            if let Some(episode) = episodes.iter().find(|episode| is_same(episode, known)) {
                *known = *episode;
            }
        }
        let is_over = |known: &HeardEpisode| !open.iter().any(|episode| is_same(episode, known));
        changes.extend(self.open.iter().filter(|known| is_over(known)).map(ended));
        self.open.retain(|known| !is_over(known));
        changes
    }
}

/// Whether it is the same episode, perhaps at another moment.
fn is_same(one: &HeardEpisode, other: &HeardEpisode) -> bool {
    one.from_s == other.from_s && one.what.is_behind() == other.what.is_behind()
}

fn ended(episode: &HeardEpisode) -> AlarmChange {
    AlarmChange::Ended {
        at_s: episode.to_s,
        lasted_s: episode.to_s - episode.from_s,
        bad_s: episode.bad_s,
    }
}

/// Index of a direction in a pair.
pub(super) fn index(direction: Direction) -> usize {
    match direction {
        Direction::ClientToServer => 0,
        Direction::ServerToClient => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(from_s: f64, to_s: f64) -> HeardEpisode {
        let what = LagKind::Behind { slices: 1, of: 1, worst_lead_s: -1.0 };
        HeardEpisode { from_s, to_s, bad_s: 0.5, alarm: true, what }
    }

    #[test]
    fn an_alarm_reports_each_episode_twice() {
        let mut alarm = LagAlarm::default();
        let mut said = Vec::new();
        for tenth in 0..200 {
            let now_s = f64::from(tenth) / 10.0;
            // Two episodes a second apart, and a third that lasts to the end.
            let episodes: Vec<_> = [(2.0, 4.0), (5.0, 6.0), (15.0, 30.0)]
                .into_iter()
                .filter(|(from_s, _)| from_s + 1.0 <= now_s)
                .map(|(from_s, to_s): (f64, f64)| episode(from_s, to_s.min(now_s)))
                .collect();
            let mut open = episodes.clone();
            open.retain(|episode| now_s - episode.to_s <= 0.5 && tenth < 199);
            let changes = alarm.update(&episodes, &open);
            said.extend(changes.into_iter().map(|change| match change {
                AlarmChange::Began { at_s, .. } => (tenth, "began", at_s, 0.0),
                AlarmChange::Ended { at_s, lasted_s, .. } => (tenth, "ended", at_s, lasted_s),
            }));
        }
        assert_eq!(
            said,
            [
                (30, "began", 2.0, 0.0),
                (46, "ended", 4.0, 2.0),
                (60, "began", 5.0, 0.0),
                (66, "ended", 6.0, 1.0),
                (160, "began", 15.0, 0.0),
                (199, "ended", 19.9, 19.9 - 15.0),
            ]
        );
        assert!(!alarm.is_on());
    }
}
