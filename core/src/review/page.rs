//! A session for a page.

use std::fmt;
use std::io::{Cursor, Read};

use super::analysis::next_commands;
use super::listening::SessionFollower;
use super::replay::{ReviewError, collected};
use super::request::PageRequest;
use super::tunnel::tunnel;
use crate::capture::Salvage;
use crate::engine::{Engine, Options};
use crate::heard::SessionAudio;
use crate::report::page::{PageCollector, PageExtras, PageSession, PageSound};
use crate::report::wav::WavError;
use crate::report::{Analysis, wav};

/// Why a capture cannot be heard.
const NO_PAYLOADS: &str =
    "what was heard: the capture holds no audio, as its payloads were left out";

/// The capture of this name for a page; the analysis says what it shows. `further` makes a sound of one's
/// own for a session with a stream, or says why it could not.
///
/// # Errors
/// It cannot be opened or read.
pub fn page_session<R: Read, E: From<ReviewError> + fmt::Display>(
    open: impl Fn() -> Result<Salvage<R>, E>,
    name: &str,
    request: &PageRequest,
    further: impl FnOnce() -> Option<Result<PageSound, String>>,
) -> Result<(PageSession, Analysis), E> {
    let options = Options {
        playhead: request.playhead,
        stale_threshold_s: request.report.stale_threshold_s,
        headers_only: false,
        ..Options::default()
    };
    let begin = || (PageCollector::default(), request.audio.then(|| SessionFollower::new(None)));
    let (replay, (collected, follower), playheads) = collected(
        &open,
        &options,
        (None, None),
        begin,
        |(collected, follower), engine, record| {
            follower.iter_mut().for_each(|follower| follower.before(engine, record));
            engine.handle(record);
            collected.see(engine, record);
        },
    )?;
    let heard = follower.and_then(|follower| follower.end(&replay.engine, replay.at));
    let about = replay.described(name, playheads);
    let analysis = Analysis::of(&replay.engine, about, &request.report);
    let has_stream = analysis.lag.is_some();
    let runs = request.tunnel.of(analysis.report_at_s).filter(|_| has_stream);
    let is_asked = has_stream && (runs.is_some() || request.what_if.is_some());
    let tunnel = is_asked.then(|| tunnel(open, name, request, runs, &analysis));
    let (mut sounds, mut missing) = (Vec::new(), Vec::new());
    let is_to_be_heard = request.audio && has_stream;
    match is_to_be_heard.then(|| heard_and_loop(&replay.engine, heard)) {
        Some(Ok(made)) if made.is_empty() => missing.push(NO_PAYLOADS.to_owned()),
        Some(Ok(made)) => sounds.extend(made),
        Some(Err(error)) => missing.push(format!("what was heard: {error}")),
        None => {}
    }
    match has_stream.then(further).flatten() {
        Some(Ok(sound)) => sounds.push(sound),
        Some(Err(why)) => missing.push(why),
        None => {}
    }
    let extras = PageExtras { next: next_commands(&analysis), tunnel, sounds, missing };
    let session = PageSession::of(&replay.engine, collected, &analysis, &extras);
    Ok((session, analysis))
}

/// What was heard, second by second, and the loop as it stood at the end.
fn heard_and_loop(
    engine: &Engine,
    heard: Option<SessionAudio>,
) -> Result<Vec<PageSound>, WavError> {
    let (Some(mirror), Some(heard)) = (engine.mirror(), heard) else { return Ok(Vec::new()) };
    let sound = |label, from_s, samples: &[f32], channels| -> Result<_, WavError> {
        let mut file = Cursor::new(Vec::new());
        wav::write(&mut file, samples, channels, engine.sample_rate(), &[])?;
        Ok(PageSound::new(label, from_s, file.into_inner()))
    };
    let (channels, from_s) = (heard.channels(), heard.begins_s());
    let heard = sound("as heard", Some(from_s), &heard.into_samples(), channels)?;
    let buffer = sound("the loop at the end", None, mirror.samples(), mirror.channels())?;
    Ok(vec![heard, buffer])
}
