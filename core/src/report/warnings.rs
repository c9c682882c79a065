//! Doubts about a report: what was odd in the stream, and what limits the figures.

use serde::Serialize;

use super::clock::ReportClock;
use super::description::CaptureDescription;
use super::format::Figure;
use super::time_report::TimeReport;
use crate::engine::{Engine, Facts, OddityKind};
use crate::playhead::PlayheadSource;

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
    /// Its context does not say when each frame was written last.
    CoarseAges,
    /// The figures come from the capture's checkpoints.
    Quick,
    /// A clock beside that of the records was set, or stood still.
    ClockStepped,
    /// The times are not those that were written.
    TimesCorrected,
    /// The other playhead would give the other verdict.
    PlayheadsDisagree,
}

/// Everything that a reader should know before trusting the figures.
pub(super) fn warnings(
    engine: &Engine,
    about: &CaptureDescription,
    clock: &ReportClock,
) -> Vec<Warning> {
    let mut warnings = oddities(engine.facts(), clock);
    if !about.complete && about.damage.is_none() {
        let message = "the capture has no end record: the recording was cut short";
        warnings.push(capture(CaptureWarning::Incomplete, message));
    }
    if engine.speaks_otherwise() {
        return warnings;
    }
    if engine.origin().is_none() {
        let message = "no usable initial buffer came, so there is nothing to measure";
        warnings.push(capture(CaptureWarning::NoBuffer, message));
        return warnings;
    }
    warnings.extend(of_stream(engine, about, clock));
    warnings.extend(of_times(engine));
    if let Some(lags) = about.playheads.other_lags {
        let message = playheads_disagree(engine.playhead_source(), lags);
        warnings.push(capture(CaptureWarning::PlayheadsDisagree, message));
    }
    let is_full = |bound: &usize| {
        let mut epochs = engine.epochs().iter().map(|epoch| &epoch.tracker);
        epochs.any(|tracker| tracker.slices().len().max(tracker.ticks().len()) >= *bound)
    };
    if let Some(bound) = about.tracker_bound.filter(is_full) {
        let message =
            format!("reports cover the newest {bound} slices and ticks of each source buffer");
        warnings.push(capture(CaptureWarning::BoundedRecords, message));
    }
    warnings
}

fn capture(kind: CaptureWarning, message: impl Into<String>) -> Warning {
    Warning {
        kind: WarningKind::Capture(kind),
        count: 1,
        first_seq: None,
        first_t_s: None,
        message: message.into(),
    }
}

/// What was odd about messages.
fn oddities(facts: &Facts, clock: &ReportClock) -> Vec<Warning> {
    let odd = |kind, count, (seq, t), message: &str| Warning {
        kind: WarningKind::Oddity(kind),
        count,
        first_seq: Some(seq),
        first_t_s: Some(clock.s(t)),
        message: message.to_owned(),
    };
    let seen = facts.oddities.iter().map(|oddity| {
        let first = (oddity.first_seq, oddity.first_t);
        odd(oddity.kind, oddity.count, first, oddity_sentence(oddity.kind))
    });
    let awaited = facts.awaited_bounce.map(|first| {
        let message = "bounce_ready announced a buffer that never came";
        odd(OddityKind::NeverCame, 1, first, message)
    });
    seen.chain(awaited).collect()
}

/// What a stream lacks.
fn of_stream(engine: &Engine, about: &CaptureDescription, clock: &ReportClock) -> Vec<Warning> {
    let facts = engine.facts();
    let mut warnings = Vec::new();
    if facts.slices == 0 {
        warnings.push(capture(CaptureWarning::NoSlices, "no slice came"));
    }
    if facts.ticks == 0 {
        let message = "no tick came, so nobody can tell how old the audio was that was heard";
        warnings.push(capture(CaptureWarning::NoTicks, message));
    }
    if let Some(resumed) = facts.resumed {
        let message = format!(
            "the capture begins {} s into its session: reports cover what follows",
            Figure(clock.s(resumed))
        );
        warnings.push(capture(CaptureWarning::Part, message));
    }
    if engine.ages_are_coarse() {
        let message = "the context at the capture's beginning is of an earlier version: what was \
                       heard of audio from before it is known to a quarter of a second";
        warnings.push(capture(CaptureWarning::CoarseAges, message));
    }
    if about.quick {
        let message =
            "taken from the capture's checkpoints: events, knobs and oddities are left out";
        warnings.push(capture(CaptureWarning::Quick, message));
    }
    warnings
}

/// What is odd about the clocks.
fn of_times(engine: &Engine) -> Vec<Warning> {
    let TimeReport { was, corrected_by, notes, .. } = TimeReport::of(engine);
    let corrected = was.zip(corrected_by).map(|(was, by)| {
        let message = format!("the times were wrong ({was}) and are taken from the client's {by}");
        capture(CaptureWarning::TimesCorrected, message)
    });
    let stepped = notes.into_iter().map(|note| capture(CaptureWarning::ClockStepped, note));
    corrected.into_iter().chain(stepped).collect()
}

fn playheads_disagree(used: PlayheadSource, other_lags: bool) -> String {
    let (other, option) = match used {
        PlayheadSource::Simulated => ("the position that the client reports", "reported"),
        PlayheadSource::Reported => ("the simulated playhead", "simulated"),
    };
    let verdict = if other_lags { "lag" } else { "healthy" };
    format!("measured against {other}, the verdict would be {verdict} (--playhead {option})")
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
        OddityKind::BehindFrontier => {
            "slices behind the frontier of an append-only session: taken as written again"
        }
        OddityKind::OtherFamily => {
            "the backend that config asks for and what ready says of refines_audio do not go together"
        }
        OddityKind::NeverCame => {
            "a binary message that stem_assets or bounce_ready announced never came: the slices count"
        }
        OddityKind::TextForPcm => {
            "text in the place of the PCM that a command announced: the server takes it for that"
        }
        OddityKind::PositionKept => {
            "reports without a position: the server keeps the one before, as since October 2026"
        }
        OddityKind::PositionZeroed => {
            "reports without a position: a server of June 2026 takes the listener to be at 0"
        }
        OddityKind::UnknownRecord => "records of a type that this version does not know: skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Body, Direction, Gap, Message, Opcode, Record};
    use crate::engine::Options;
    use crate::time::Nanos;

    const UP: Direction = Direction::ClientToServer;
    const DOWN: Direction = Direction::ServerToClient;

    fn message<'a>(direction: Direction, opcode: Opcode, payload: &'a str) -> Body<'a> {
        Body::Message(Message::new(direction, opcode, payload.as_bytes()))
    }

    /// A handshake up to the initial buffer.
    fn handshake() -> Vec<Body<'static>> {
        vec![
            message(UP, Opcode::Text, "{}"),
            message(DOWN, Opcode::Text, r#"{"type":"ready"}"#),
            message(DOWN, Opcode::Binary, "sixteen bytes of"),
        ]
    }

    #[track_caller]
    fn check(bodies: Vec<Body<'_>>, change: fn(&mut CaptureDescription), expected: &[&str]) {
        let mut engine = Engine::new(Options::default());
        for (seq, body) in (0..).zip(bodies) {
            engine.handle(&Record { seq, t: Nanos(seq * 1_000), conn: 0, body });
        }
        let mut description = CaptureDescription::live("test".to_owned(), Nanos(1_000_000));
        change(&mut description);
        let clock = ReportClock::of(&engine, description.at);
        let found = warnings(&engine, &description, &clock);
        let kinds: Vec<_> =
            found.iter().map(|warning| serde_json::to_value(warning.kind).unwrap()).collect();
        assert_eq!(kinds, expected);
    }

    #[test]
    fn warnings_about_a_capture() {
        check(Vec::new(), |_| (), &["no_buffer"]);
        check(Vec::new(), |it| it.complete = false, &["incomplete", "no_buffer"]);
        check(handshake(), |_| (), &["no_slices", "no_ticks"]);
        check(handshake(), |it| it.quick = true, &["no_slices", "no_ticks", "quick"]);
        check(handshake(), |it| it.tracker_bound = Some(1), &["no_slices", "no_ticks"]);
        let mut bodies = handshake();
        bodies.push(message(UP, Opcode::Text, r#"{"type":"params","playback_pos":0}"#));
        check(bodies, |it| it.tracker_bound = Some(1), &["no_slices", "bounded_records"]);
    }

    #[test]
    fn warnings_about_the_stream_come_first() {
        let mut bodies = handshake();
        let gap = Gap { first_seq: 3, count: 0, ..Gap::default() };
        bodies.extend([Body::Gap(gap), Body::Other(99)]);
        check(bodies, |_| (), &["gap", "unknown_record", "no_slices", "no_ticks"]);
    }

    #[test]
    fn warnings_say_how_often_and_where_first() {
        let mut engine = Engine::new(Options::default());
        for seq in 0..3 {
            let t = Nanos(seq * 1_000_000_000);
            engine.handle(&Record { seq, t, conn: 0, body: Body::Other(99) });
        }
        let description = CaptureDescription::live("test".to_owned(), Nanos(3_000_000_000));
        let clock = ReportClock::of(&engine, description.at);
        let found = warnings(&engine, &description, &clock);
        assert_eq!(found[0].kind, WarningKind::Oddity(OddityKind::UnknownRecord));
        assert_eq!(
            (found[0].count, found[0].first_seq, found[0].first_t_s),
            (3, Some(0), Some(0.0))
        );
    }
}
