//! Reports: what was found, as plain data, then one file for each form of it.
//!
//! Enters: an [`Engine`] after its last record. Leaves: an [`Analysis`], which serialises to the
//! JSON of `lagtape analyze --json`; [`text`] prints it for a person, [`wav`] writes audio, [`compare`]
//! puts two side by side.
//! Times are seconds from the initial buffer's arrival, rounded to the microsecond; `*_ns` are on
//! the capture's own clock. Nothing here computes a figure that the engine could have kept.

pub mod compare;
mod damage;
pub mod divergence;
#[cfg(feature = "cli")]
pub mod plot;
mod round_trip;
pub mod sweep;
pub mod text;
pub mod timeline;
pub mod wav;
pub mod what_if;

pub use damage::{Damage, Place};
pub use round_trip::RoundTripReport;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::capture::{ClientKind, Direction, Marker};
use crate::engine::{Engine, Epoch, Facts, OddityKind, PlayheadSource, Traffic};
use crate::lag::stats::round;
use crate::lag::{LagReport, ReportArgs};
use crate::time::Nanos;
use crate::verdict::What;

/// Version of the JSON that `--json` prints; a field may be added without a new one.
pub const SCHEMA: u32 = 1;

/// Everything that `lagtape analyze` says about one capture.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// The reference's report of the session since the last swap; `null` when no buffer came.
    pub lag: Option<LagReport>,
    /// Whether a listener heard lag, over the whole capture.
    pub verdict: Verdict,
    /// One entry for each source buffer.
    pub epochs: Vec<EpochReport>,
    /// What the session was.
    pub session: Session,
    /// The playhead that the reports measure against.
    pub playhead: PlayheadUse,
    /// When the report was made, in seconds from the initial buffer.
    pub report_at_s: f64,
    /// The same on the capture's clock.
    pub report_ns: u64,
    /// Slices were read by their headers only.
    pub headers_only: bool,
    /// The capture ends with its end record.
    pub complete: bool,
    /// What of the capture is damaged; everything else was analysed.
    pub damage: Option<Damage>,
    /// Messages and bytes each way.
    pub traffic: TrafficReport,
    /// How long messages travel, there and back; `null` where no ping of the client was answered.
    pub round_trip: Option<RoundTripReport>,
    /// Per second of the stream, from the initial buffer to the report.
    pub rates: Rates,
    /// Slices applied, of the whole session.
    pub slices: u64,
    /// Ticks, of the whole session.
    pub ticks: u64,
    /// Swaps done.
    pub swaps: u64,
    /// Messages that could not be used; each stands among `events`.
    pub decode_errors: u64,
    /// Events of the server, oldest first.
    pub events: Vec<EventReport>,
    /// Events left out before the first of `events`.
    pub events_dropped: u64,
    /// Close frames.
    pub closes: Vec<CloseReport>,
    /// What was accepted but odd, and what limits the figures.
    pub warnings: Vec<Warning>,
    /// Shape of lead and staleness over time, for the text report.
    #[serde(skip)]
    pub shape: Shape,
}

/// Pass or fail, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "mcp", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// A listener heard lag.
    pub lag: bool,
    /// `stale_ticks`, `slices_behind`.
    pub reasons: Vec<&'static str>,
    /// Seconds covered by episodes.
    pub lag_s: f64,
    /// The spells of lag.
    pub episodes: Vec<EpisodeReport>,
}

/// One spell of lag.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "mcp", derive(schemars::JsonSchema))]
pub struct EpisodeReport {
    /// Beginning.
    pub from_s: f64,
    /// End.
    pub to_s: f64,
    /// What was wrong.
    #[serde(flatten)]
    pub what: What,
}

/// The report of one source buffer.
#[derive(Debug, Clone, Serialize)]
pub struct EpochReport {
    /// When the buffer arrived.
    pub from_s: f64,
    /// When the next one did, or the time of the report.
    pub to_s: f64,
    /// Length of the loop.
    pub loop_s: f64,
    /// The same in frames.
    pub frames: u64,
    /// Channels.
    pub channels: u16,
    /// The reference's report of it, at its end.
    pub lag: LagReport,
}

/// What the session was.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// What wrote the capture.
    pub software: String,
    /// Version of the capture format.
    pub format: u32,
    /// Whose client it was.
    pub client: Option<ClientKind>,
    /// Where it connected, without secrets.
    pub url: Option<String>,
    /// When it connected, UTC.
    pub start_utc: Option<String>,
    /// The same on the capture's clock.
    pub start_ns: u64,
    /// When the initial buffer came; `null` when none did.
    pub initial_buffer_ns: Option<u64>,
    /// From connecting to the initial buffer.
    pub startup_s: Option<f64>,
    /// Where the capture begins in the middle of its session, from the initial buffer on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begins_s: Option<f64>,
    /// Frames per second.
    pub sample_rate: Option<u32>,
    /// What the client sent first.
    pub config: Option<Value>,
    /// The server's refusal, if it refused.
    pub refusal: Option<String>,
    /// Key=value metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Which playhead was used.
#[derive(Debug, Clone, Serialize)]
pub struct PlayheadUse {
    /// `simulated` or `reported`.
    pub source: PlayheadSource,
    /// The capture's ops.
    pub ops: Vec<OpReport>,
}

/// One op of the capture.
#[derive(Debug, Clone, Serialize)]
pub struct OpReport {
    /// When.
    pub t_s: f64,
    /// What.
    #[serde(flatten)]
    pub op: Marker,
}

/// Messages and bytes each way.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TrafficReport {
    /// What the client sent.
    pub client_to_server: Traffic,
    /// What the server sent.
    pub server_to_client: Traffic,
}

/// Per second of the stream.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// Slices.
    pub slices_per_s: f64,
    /// Ticks.
    pub ticks_per_s: f64,
    /// Bytes of the server, handshake included.
    pub down_bytes_per_s: f64,
    /// Bytes of the client, handshake included.
    pub up_bytes_per_s: f64,
}

/// One event of the server.
#[derive(Debug, Clone, Serialize)]
pub struct EventReport {
    /// When.
    pub t_s: f64,
    /// The record that holds it.
    pub seq: u64,
    /// `type` and the fields that were kept, apart so that none can pass for the two above.
    pub event: Map<String, Value>,
}

/// A close frame.
#[derive(Debug, Clone, Serialize)]
pub struct CloseReport {
    /// When.
    pub t_s: f64,
    /// Who closed.
    pub by: &'static str,
    /// Status code.
    pub code: Option<u16>,
    /// Reason text.
    pub reason: String,
}

/// Something odd, or a limit of the figures, with what it means.
#[derive(Debug, Clone, Serialize)]
pub struct Warning {
    /// A word for programs.
    pub kind: WarningKind,
    /// How many records it concerns.
    pub count: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_t_s: Option<f64>,
    /// A sentence for people.
    pub message: String,
}

/// What a [`Warning`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum WarningKind {
    /// Something in the stream.
    Oddity(OddityKind),
    /// Something about the capture.
    Capture(CaptureWarning),
}

/// Doubts about a whole capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureWarning {
    /// The end record is missing.
    Incomplete,
    /// No initial buffer came, or none that could be used.
    NoBuffer,
    /// No slice came.
    NoSlices,
    /// No tick came.
    NoTicks,
    /// Each tracker kept its newest records only.
    BoundedRecords,
    /// The capture begins in the middle of its session.
    Part,
    /// The figures come from the capture's checkpoints.
    Quick,
}

/// Lead and staleness over time in equal columns: lowest lead and highest staleness of each.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Lowest lead in seconds; `None` where no slice landed.
    pub lead_s: Vec<Option<f64>>,
    /// Highest staleness in seconds; `None` where no tick came.
    pub staleness_s: Vec<Option<f64>>,
}

/// Columns of a [`Shape`].
const SHAPE_COLUMNS: usize = 24;

/// What the caller knows of a capture beside what the engine does.
#[derive(Debug, Clone)]
pub struct About {
    /// The capture as it was named.
    pub capture: String,
    /// The time of the report.
    pub at: Nanos,
    /// Slices were read by their headers only.
    pub headers_only: bool,
    /// Most records that each tracker kept.
    pub tracker_bound: Option<usize>,
    /// The capture ends with its end record.
    pub complete: bool,
    /// What of the capture is damaged.
    pub damage: Option<Damage>,
    /// The engine knows the capture from its checkpoints only.
    pub quick: bool,
}

impl About {
    /// A session that the engine saw live, to its end record at `at`.
    #[must_use]
    pub fn live(capture: String, at: Nanos) -> About {
        About {
            capture,
            at,
            headers_only: false,
            tracker_bound: None,
            complete: true,
            damage: None,
            quick: false,
        }
    }
}

impl Analysis {
    /// Looks at an engine after its last record.
    #[must_use]
    pub fn of(engine: &Engine, about: About, args: &ReportArgs) -> Analysis {
        let facts = engine.facts();
        let clock = Clock::of(engine, about.at);
        Analysis {
            schema: SCHEMA,
            lag: engine.report(about.at, args),
            verdict: verdict(engine, &clock),
            epochs: engine
                .epochs()
                .iter()
                .map(|epoch| epoch_report(engine, epoch, &clock, args))
                .collect(),
            session: session(engine),
            playhead: PlayheadUse {
                source: engine.playhead_source(),
                ops: facts
                    .markers
                    .iter()
                    .map(|(t, op)| OpReport { t_s: clock.s(*t), op: op.clone() })
                    .collect(),
            },
            report_at_s: clock.s(about.at),
            report_ns: about.at.0,
            headers_only: about.headers_only,
            complete: about.complete,
            traffic: TrafficReport {
                client_to_server: *facts.traffic(Direction::ClientToServer),
                server_to_client: *facts.traffic(Direction::ServerToClient),
            },
            round_trip: RoundTripReport::of(facts.pings.round_trips()),
            rates: rates(
                facts,
                clock.s(about.at) - facts.resumed.map_or(0.0, |t| clock.s(t).max(0.0)),
            ),
            slices: facts.slices,
            ticks: facts.ticks,
            swaps: facts.swaps,
            decode_errors: facts.decode_errors,
            events: facts
                .events
                .iter()
                .map(|event| EventReport {
                    t_s: clock.s(event.t),
                    seq: event.seq,
                    event: event.fields.clone(),
                })
                .collect(),
            events_dropped: facts.events_dropped,
            closes: closes(facts, &clock),
            warnings: warnings(engine, &about, &clock),
            shape: shape(engine, about.at),
            capture: about.capture,
            damage: about.damage,
        }
    }
}

/// The clock that people read: seconds from the initial buffer, or from the first record of a
/// capture in which none came.
struct Clock {
    origin: Nanos,
    at: Nanos,
}

impl Clock {
    fn of(engine: &Engine, at: Nanos) -> Clock {
        let first = engine.facts().span.map_or(at, |(first, _)| first);
        Clock { origin: engine.origin().unwrap_or(first), at }
    }

    fn s(&self, t: Nanos) -> f64 {
        round(t.seconds_since(self.origin), 6)
    }

    fn s_of(&self, seconds: f64) -> f64 {
        round(seconds - self.origin.seconds(), 6)
    }
}

fn verdict(engine: &Engine, clock: &Clock) -> Verdict {
    let episodes: Vec<_> = engine
        .episodes()
        .into_iter()
        .map(|episode| EpisodeReport {
            from_s: clock.s_of(episode.from_s),
            to_s: clock.s_of(episode.to_s),
            what: episode.what,
        })
        .collect();
    let stale = episodes.iter().any(|episode| matches!(episode.what, What::Stale { .. }));
    let behind = episodes.iter().any(|episode| matches!(episode.what, What::Behind { .. }));
    let reasons = [(stale, "stale_ticks"), (behind, "slices_behind")];
    Verdict {
        lag: stale || behind,
        reasons: reasons
            .into_iter()
            .filter_map(|(is_so, reason)| is_so.then_some(reason))
            .collect(),
        lag_s: round(covered_s(&episodes), 6),
        episodes,
    }
}

/// Seconds that lie within at least one episode. The episodes are sorted by their beginnings.
fn covered_s(episodes: &[EpisodeReport]) -> f64 {
    let mut covered = 0.0;
    let mut until = f64::NEG_INFINITY;
    for episode in episodes {
        covered += (episode.to_s - episode.from_s.max(until)).max(0.0);
        until = until.max(episode.to_s);
    }
    covered
}

fn epoch_report(engine: &Engine, epoch: &Epoch, clock: &Clock, args: &ReportArgs) -> EpochReport {
    let sample_rate =
        engine.ready().map_or(crate::time::DEFAULT_SAMPLE_RATE, |ready| ready.sample_rate);
    let ended = epoch.ended.unwrap_or(clock.at);
    EpochReport {
        from_s: clock.s(epoch.began),
        to_s: clock.s(ended),
        loop_s: epoch.frames as f64 / f64::from(sample_rate),
        frames: epoch.frames,
        channels: epoch.channels,
        lag: epoch.tracker.report(ended.seconds(), args),
    }
}

fn session(engine: &Engine) -> Session {
    let header = engine.header();
    let start = header.map_or(Nanos(0), |header| header.start);
    let refusal = engine.facts().refusal.as_ref().map(|(code, message)| {
        let parts = [code.as_deref(), message.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    });
    Session {
        software: header.map(|header| header.software.clone()).unwrap_or_default(),
        format: header.map_or(crate::capture::FORMAT_VERSION, |header| header.format),
        client: header.map(|header| header.client),
        url: header.and_then(|header| header.url.clone()),
        start_utc: header.and_then(|header| header.start_utc.clone()),
        start_ns: start.0,
        initial_buffer_ns: engine.origin().map(|origin| origin.0),
        startup_s: engine.origin().map(|origin| round(origin.seconds_since(start), 6)),
        begins_s: engine
            .facts()
            .resumed
            .zip(engine.origin())
            .map(|(begins, origin)| round(begins.seconds_since(origin).max(0.0), 6)),
        sample_rate: engine.ready().map(|ready| ready.sample_rate),
        config: header
            .and_then(|header| header.config.as_deref())
            .and_then(|config| serde_json::from_str(config).ok()),
        refusal,
        metadata: header.map(|header| header.metadata.clone()).unwrap_or_default(),
    }
}

fn rates(facts: &Facts, stream_s: f64) -> Rates {
    let per_second =
        |count: u64| if stream_s > 0.0 { round(count as f64 / stream_s, 3) } else { 0.0 };
    Rates {
        slices_per_s: per_second(facts.slices),
        ticks_per_s: per_second(facts.ticks),
        down_bytes_per_s: per_second(facts.traffic(Direction::ServerToClient).bytes),
        up_bytes_per_s: per_second(facts.traffic(Direction::ClientToServer).bytes),
    }
}

fn closes(facts: &Facts, clock: &Clock) -> Vec<CloseReport> {
    let by = |direction| match direction {
        Direction::ClientToServer => "client",
        Direction::ServerToClient => "server",
    };
    facts
        .closes
        .iter()
        .map(|close| CloseReport {
            t_s: clock.s(close.t),
            by: by(close.direction),
            code: close.code,
            reason: close.reason.clone(),
        })
        .collect()
}

fn warnings(engine: &Engine, about: &About, clock: &Clock) -> Vec<Warning> {
    let facts = engine.facts();
    let mut warnings: Vec<_> = facts
        .oddities
        .iter()
        .map(|oddity| Warning {
            kind: WarningKind::Oddity(oddity.kind),
            count: oddity.count,
            first_seq: Some(oddity.first_seq),
            first_t_s: Some(clock.s(oddity.first_t)),
            message: oddity_sentence(oddity.kind).to_owned(),
        })
        .collect();
    let capture = |kind, message: String| Warning {
        kind: WarningKind::Capture(kind),
        count: 1,
        first_seq: None,
        first_t_s: None,
        message,
    };
    if !about.complete && about.damage.is_none() {
        warnings.push(capture(
            CaptureWarning::Incomplete,
            "the capture has no end record: the recording was cut short".to_owned(),
        ));
    }
    if engine.origin().is_none() {
        warnings.push(capture(
            CaptureWarning::NoBuffer,
            "no usable initial buffer came, so there is nothing to measure".to_owned(),
        ));
        return warnings;
    }
    if facts.slices == 0 {
        warnings.push(capture(CaptureWarning::NoSlices, "no slice came".to_owned()));
    }
    if facts.ticks == 0 {
        warnings.push(capture(
            CaptureWarning::NoTicks,
            "no tick came, so nobody can tell how old the audio was that was heard".to_owned(),
        ));
    }
    if let Some(resumed) = facts.resumed {
        let message = format!(
            "the capture begins {} s into its session: reports cover what follows",
            text::Figure(clock.s(resumed))
        );
        warnings.push(capture(CaptureWarning::Part, message));
    }
    if about.quick {
        let message =
            "taken from the capture's checkpoints: events, knobs and oddities are left out";
        warnings.push(capture(CaptureWarning::Quick, message.to_owned()));
    }
    let is_full = |bound: &usize| {
        let mut epochs = engine.epochs().iter().map(|epoch| &epoch.tracker);
        epochs.any(|tracker| tracker.slices().len().max(tracker.ticks().len()) >= *bound)
    };
    if let Some(bound) = about.tracker_bound.filter(is_full) {
        warnings.push(capture(
            CaptureWarning::BoundedRecords,
            format!("reports cover the newest {bound} slices and ticks of each source buffer"),
        ));
    }
    warnings
}

/// What an oddity means for the reader of the report.
fn oddity_sentence(kind: OddityKind) -> &'static str {
    match kind {
        OddityKind::UnknownFlags => {
            "slice flags other than 0 and 1: read raw and added, as the reference client does"
        }
        OddityKind::ChannelBroadcast => {
            "slices with another channel count than the buffer: one channel went onto all, or nothing was patched"
        }
        OddityKind::StartPastEnd => {
            "slices that start past the end of the loop: counted, but they patch nothing"
        }
        OddityKind::TrailingBytes => "bytes after a slice's zstd frame: ignored",
        OddityKind::UndeclaredLength => "slices whose zstd frame declares no length: accepted",
        OddityKind::SampleRate => {
            "a sample rate other than 48000: the reference client refuses such a session"
        }
        OddityKind::LenientJson => {
            "JSON that only Python accepts (NaN, Infinity or half a surrogate pair)"
        }
        OddityKind::OtherConnection => {
            "messages of another connection in the same capture: counted as traffic only"
        }
        OddityKind::PayloadLeftOut => {
            "payloads left out of the capture: slices are read by their headers, and audio is unknown"
        }
        OddityKind::KeptCompressed => {
            "messages kept as they were compressed: what they refer back to was lost, so they are not read"
        }
        OddityKind::ClockBackwards => "records whose time lies before the one before them",
        OddityKind::Gap => "records lost while recording: figures around them are incomplete",
        OddityKind::MissingRecords => {
            "records whose numbers do not follow on each other: some are missing from the file"
        }
        OddityKind::UnknownRecord => "records of a type that this version does not know: skipped",
    }
}

/// Lowest lead and highest staleness in equal columns from the initial buffer to the report.
fn shape(engine: &Engine, at: Nanos) -> Shape {
    let mut shape =
        Shape { lead_s: vec![None; SHAPE_COLUMNS], staleness_s: vec![None; SHAPE_COLUMNS] };
    let Some(from) = engine.begins() else { return shape };
    let column_s = at.seconds_since(from) / SHAPE_COLUMNS as f64;
    if column_s <= 0.0 {
        return shape;
    }
    let column = |t_s: f64| (((t_s - from.seconds()) / column_s) as usize).min(SHAPE_COLUMNS - 1);
    for epoch in engine.epochs() {
        for slice in epoch.tracker.slices() {
            let lowest = &mut shape.lead_s[column(slice.t_s)];
            *lowest = Some(lowest.map_or(slice.lead_s, |lead_s| lead_s.min(slice.lead_s)));
        }
        for tick in epoch.tracker.ticks() {
            let highest = &mut shape.staleness_s[column(tick.t_s)];
            *highest = Some(highest.map_or(tick.staleness_s, |s| s.max(tick.staleness_s)));
        }
    }
    shape
}
