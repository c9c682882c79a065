//! Why a capture's times, or its audio, cannot carry a verdict.
//!
//! Enters: an engine after its last record. Leaves: sentences.

use super::Engine;
use super::timing::CLOCK_STEP_S;
use crate::capture::ClientKind;
use crate::lag::stats::round;
use crate::time::Nanos;

/// Share of the server's binary messages that may be without data, as single damage.
pub const MAX_EMPTY_SHARE: f64 = 0.01;

/// What speaks against a verdict, whatever the figures say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doubts {
    pub times: Vec<String>,
    /// What is odd about the clocks and changes nothing.
    pub notes: Vec<String>,
    pub audio: Option<String>,
    pub listener: Option<String>,
}

impl Doubts {
    pub(super) fn of(engine: &Engine) -> Doubts {
        let (mut times, notes) = clocks(engine);
        let metadata = engine.header().map(|header| &header.metadata);
        times.extend(metadata.and_then(|metadata| metadata.get("time.doubt")).cloned());
        if times.is_empty() {
            times.extend(engine.time_evidence().doubt());
        }
        Doubts { times, notes, audio: audio(engine), listener: no_listener(engine) }
    }

    /// Why there is no verdict, if there is none.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let all: Vec<_> = self
            .times
            .iter()
            .chain(&self.audio)
            .chain(&self.listener)
            .map(String::as_str)
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// Why nobody is known to have listened.
fn no_listener(engine: &Engine) -> Option<String> {
    let is_silent = engine.origin().is_some() && engine.listens_from().is_none();
    is_silent.then(|| {
        "the client never reported where it listens, so nobody is known to have heard anything"
            .to_owned()
    })
}

/// Why nothing can be said of the audio, whatever could be read of it.
fn audio(engine: &Engine) -> Option<String> {
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
fn clocks(engine: &Engine) -> (Vec<String>, Vec<String>) {
    let origin =
        engine.origin().or(engine.facts().span.map(|(first, _)| first)).unwrap_or_default();
    let s = |t: Nanos| round(t.seconds_since(origin), 6);
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
            s(t)
        )),
        Some((t, step_s)) => {
            let client_s = evidence.client_step().map_or(0.0, |(_, step_s)| -step_s);
            slept = !has_client_clock || (client_s - step_s).abs() <= CLOCK_STEP_S;
            let at_s = s(t);
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
        let (at_s, by_s) = (s(t), step_s.abs());
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
