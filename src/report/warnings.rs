//! Doubts about a report: what was odd in the stream, and what limits the figures.

use serde::Serialize;

use super::build::CaptureDescription;
use super::clock::ReportClock;
use super::format::Figure;
use crate::engine::{Engine, OddityKind};

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

/// Everything that a reader should know before trusting the figures.
pub(super) fn warnings(
    engine: &Engine,
    about: &CaptureDescription,
    clock: &ReportClock,
) -> Vec<Warning> {
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
            Figure(clock.s(resumed))
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
