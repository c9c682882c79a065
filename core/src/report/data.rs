//! The report as plain data: what `--json` prints, field by field.
//!
//! Times without a unit of their own in the name are seconds (`_s`) from the initial buffer.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::arrivals::ArrivalsReport;
use super::damage::DamageReport;
use super::ending::EndingReport;
use super::family::FamilyReport;
use super::leads::LeadsReport;
use super::playhead_use::PlayheadUse;
use super::round_trip::RoundTripReport;
use super::time_report::TimeReport;
use super::warnings::Warning;
use crate::capture::ClientKind;
use crate::diagnosis::Diagnosis;
use crate::engine::Traffic;
use crate::lag::LagReport;
use crate::verdict::{HeardUse, Verdict};

/// Version of the JSON that `--json` prints; a field may be added without a new one.
pub const SCHEMA: u32 = 1;

/// Everything that `lagtape analyze` says about one capture.
#[derive(Debug, Clone, Serialize)]
pub struct Analysis {
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// The reference's report of the session since the last swap; `null` when no buffer came.
    pub lag: Option<LagReport>,
    /// Whether a listener heard lag, over the whole capture.
    pub verdict: Verdict,
    /// Which part was at fault, and what shows it: `findings`, `notes`, `ended_as`, `ambiguity` and
    /// `estimates`.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    /// What the listener heard, to the frame, over the whole capture; `null` when no buffer came.
    pub heard: Option<HeardUse>,
    /// How far ahead of the listener slices were, when they came and when the client applied them.
    pub leads: LeadsReport,
    /// One entry for each source buffer.
    pub epochs: Vec<EpochReport>,
    pub session: SessionReport,
    /// The playhead that the reports measure against.
    pub playhead: PlayheadUse,
    /// What is known of the times that every figure rests on.
    pub time: TimeReport,
    /// When the report was made, in seconds from the initial buffer.
    pub report_at_s: f64,
    /// The same on the capture's clock.
    pub report_ns: u64,
    /// Slices were read by their headers only.
    pub headers_only: bool,
    /// The capture ends with its end record.
    pub complete: bool,
    /// What of the capture is damaged; everything else was analysed.
    pub damage: Option<DamageReport>,
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
    /// What came and when; only where there is no DEMON session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalsReport>,
    /// Events of the server, oldest first.
    pub events: Vec<EventReport>,
    /// Events left out before the first of `events`.
    pub events_dropped: u64,
    /// Close frames.
    pub closes: Vec<CloseReport>,
    /// When the server rested because nothing was changed; what is heard then is finished, not stale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<IdleSpan>,
    /// How the session ended, and what is missing of the client's reports.
    pub ending: EndingReport,
    /// The family that served it, and its own measures.
    pub family: FamilyReport,
    /// What was accepted but odd, and what limits the figures.
    pub warnings: Vec<Warning>,
    /// What wrote the capture down left audio out.
    #[serde(skip)]
    pub audio_is_missing: bool,
    /// Trend of lead and staleness over time, for the text report.
    #[serde(skip)]
    pub trend: Trend,
}

/// A span in which the server rested.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IdleSpan {
    /// When its last slice came.
    pub from_s: f64,
    /// The last report before it went on.
    pub to_s: f64,
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
    pub channels: u16,
    /// The reference's report of it, at its end.
    pub lag: LagReport,
}

/// What the session was.
#[derive(Debug, Clone, Serialize)]
pub struct SessionReport {
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
    pub slices_per_s: f64,
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

/// Lead and staleness over time in equal columns: lowest lead and highest staleness of each.
#[derive(Debug, Clone, Default)]
pub struct Trend {
    /// Lowest lead in seconds; `None` where no slice landed.
    pub lead_s: Vec<Option<f64>>,
    /// Highest staleness in seconds; `None` where no tick came.
    pub staleness_s: Vec<Option<f64>>,
}
