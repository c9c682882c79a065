//! Whether a capture's times, and its audio, can carry a verdict.

use serde::Serialize;

use super::clock::ReportClock;
use crate::capture::ClientKind;
use crate::engine::Engine;
use crate::engine::timing::CLOCK_STEP_S;

/// Share of the server's binary messages that may be without data, as single damage.
pub const MAX_EMPTY_SHARE: f64 = 0.01;

/// What is known of the times that every figure rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeReport {
    /// Whether they carry a verdict.
    pub trust: TimeTrust,
    /// The step that all times are multiples of, 0 where all are one; of corrected ones, the longest
    /// time over which messages were spread. `null` where there are too few messages.
    pub resolution_s: Option<f64>,
    /// What replaced the written times: `client_time` or `playback_pos`.
    pub corrected_by: Option<String>,
    /// What was wrong with the written times.
    pub was: Option<String>,
    /// The unit that they were written in, where it is not seconds.
    pub unit: Option<String>,
    /// Why there is no verdict.
    pub doubts: Vec<String>,
    /// What is odd about the clocks and changes nothing.
    pub notes: Vec<String>,
}

/// How far times can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeTrust {
    /// As they were recorded.
    Good,
    /// Taken from the client's reports when the capture was imported.
    Corrected,
    /// Wrong, with nothing that tells better.
    None,
}

impl TimeReport {
    pub(super) fn of(engine: &Engine, clock: &ReportClock) -> TimeReport {
        let metadata = |key: &str| engine.header()?.metadata.get(key).cloned();
        let corrected_by = metadata("time.corrected_by");
        let corrected_s = metadata("time.resolution_s").and_then(|text| text.parse().ok());
        let (mut doubts, notes) = clocks(engine, clock);
        doubts.extend(metadata("time.doubt"));
        if doubts.is_empty() {
            doubts.extend(engine.time_evidence().doubt());
        }
        let trust = match (doubts.is_empty(), &corrected_by) {
            (false, _) => TimeTrust::None,
            (true, Some(_)) => TimeTrust::Corrected,
            (true, None) => TimeTrust::Good,
        };
        TimeReport {
            trust,
            resolution_s: corrected_s.or_else(|| engine.time_evidence().resolution_s()),
            corrected_by,
            was: metadata("time.was"),
            unit: metadata("time.unit"),
            doubts,
            notes,
        }
    }
}

/// Why there can be no verdict, whatever the figures say.
pub(super) fn no_verdict(engine: &Engine, time: &TimeReport) -> Option<String> {
    let mut doubts = time.doubts.clone();
    doubts.extend(audio_doubt(engine));
    (!doubts.is_empty()).then(|| doubts.join("; "))
}

/// Why nothing can be said of the audio, whatever could be read of it.
pub(super) fn audio_doubt(engine: &Engine) -> Option<String> {
    engine.ready()?;
    no_audio(engine).or_else(|| engine.header()?.metadata.get("audio.doubt").cloned())
}

fn no_audio(engine: &Engine) -> Option<String> {
    let evidence = engine.time_evidence();
    let (empty, all) = (evidence.empty_binaries, evidence.binaries);
    if empty as f64 > all as f64 * MAX_EMPTY_SHARE {
        return Some(format!(
            "{empty} of {all} binary messages of the server have no data: what wrote them down left \
             the audio out"
        ));
    }
    let is_empty = engine.epochs().iter().any(|epoch| epoch.frames == 0);
    is_empty.then(|| "the source buffer is empty".to_owned())
}

/// Doubts and notes from civil time and the client's clock beside that of the records. That of a
/// headless client is the records' own and says nothing of them.
fn clocks(engine: &Engine, clock: &ReportClock) -> (Vec<String>, Vec<String>) {
    let evidence = engine.time_evidence();
    let is_foreign = engine.header().is_none_or(|header| header.client == ClientKind::Foreign);
    let has_client_clock = is_foreign && evidence.has_client_clock();
    let (mut doubts, mut notes) = (Vec::new(), Vec::new());
    let mut slept = false;
    match evidence.civil_step {
        Some((t, step_s)) if step_s < 0.0 => notes.push(format!(
            "civil time was set back by {:.1} s at {:.1} s; times here are from a clock that cannot \
             be set",
            -step_s,
            clock.s(t)
        )),
        Some((t, step_s)) => {
            let client_s = evidence.client_step().map_or(0.0, |(_, step_s)| -step_s);
            slept = !has_client_clock || (client_s - step_s).abs() <= CLOCK_STEP_S;
            let at_s = clock.s(t);
            match slept {
                true => doubts.push(format!(
                    "the recording machine slept, or its clock was set: until {at_s:.1} s civil time \
                     went on by {step_s:.1} s more than the clock of the records"
                )),
                false => notes.push(format!(
                    "civil time was set forward by {step_s:.1} s at {at_s:.1} s; the client's clock \
                     shows that the times are right"
                )),
            }
        }
        None => {}
    }
    if let Some((t, step_s)) = evidence.client_step().filter(|_| !slept) {
        let (at_s, by_s) = (clock.s(t), step_s.abs());
        match evidence.has_civil() {
            true => notes.push(format!(
                "the client's clock went wrong by {by_s:.1} s at {at_s:.1} s: it was set, or its \
                 machine slept"
            )),
            false => doubts.push(format!(
                "times part from the client's clock by {by_s:.1} s at {at_s:.1} s, and nothing says \
                 which of the two is right"
            )),
        }
    }
    (doubts, notes)
}
