//! The report of a capture, and what to try after it.

use std::io::Read;

use super::playheads;
use super::replay::{CaptureReplay, ReviewError};
use crate::capture::Salvage;
use crate::engine::Options;
use crate::lag::ReportArgs;
use crate::parse::shell;
use crate::report::Analysis;

/// Replays the capture of this name and reports on it, as `lagtape analyze` does.
///
/// # Errors
/// It cannot be opened or read.
pub fn analysis<R: Read, E: From<ReviewError>>(
    open: impl Fn() -> Result<Salvage<R>, E>,
    name: &str,
) -> Result<Analysis, E> {
    let play = |playhead, headers_only| -> Result<CaptureReplay, E> {
        let options = Options { playhead, headers_only, ..Options::default() };
        Ok(CaptureReplay::of(open()?, options, None)?)
    };
    let replay = play(None, false)?;
    let again = |playhead, headers_only| play(Some(playhead), headers_only);
    let (replay, playheads) = playheads::settle(replay, |replay| &replay.engine, again)?;
    Ok(Analysis::of(&replay.engine, replay.described(name, playheads), &ReportArgs::default()))
}

/// Commands worth trying after `analysis`.
#[must_use]
pub fn next_commands(analysis: &Analysis) -> Vec<String> {
    let capture = shell::file(&analysis.capture);
    match analysis.verdict.episodes.first() {
        Some(first) => vec![
            format!("lagtape diagnose {capture}"),
            format!("lagtape audio {capture} -o heard.wav"),
            format!("lagtape cat {capture} --from {:.1} --to {:.1}", first.from_s, first.to_s),
        ],
        None if analysis.lag.is_none() => vec![format!("lagtape cat {capture}")],
        None => vec![format!("lagtape analyze {capture} --timeline")],
    }
}
