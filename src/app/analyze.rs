//! `analyze`: replay captures through the engine and report.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use super::index::{self, Recalled};
use super::part::SessionPart;
use crate::capture::Record;
use crate::edge::files;
use crate::engine::doubts::MAX_EMPTY_SHARE;
use crate::engine::{Engine, Options};
use crate::lag::ReportArgs;
use crate::parse::Misuse;
use crate::playhead::PlayheadSource;
use crate::report::{Analysis, CaptureDescription};
use crate::review::{CaptureReplay, Inflating, playheads};
use crate::sweep;
use crate::time::{Nanos, Offset, Span};

/// Time before and after an episode that belongs to its part.
const AROUND_S: f64 = 1.0;

/// How to look at a capture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AnalyzeOptions {
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    pub headers_only: bool,
    /// Window, stale threshold and timeline of the lag reports.
    pub report: ReportArgs,
    /// Time of the report from the initial buffer on; `None` is the end record's.
    pub at: Option<Span>,
    /// Only this part, as if it had been cut out: its end goes before `at`.
    pub part: SessionPart,
    /// Most slices and most ticks kept per source buffer; `None` is unbounded.
    pub tracker_bound: Option<usize>,
    /// Take lag and verdict from the checkpoints, where these cover the capture: neither payloads
    /// nor JSON are read, so events, knobs and oddities are left out.
    pub quick: bool,
    /// Whether another thread inflates slices ahead of their turn.
    pub inflating: Inflating,
}

/// A report, and what was picked up on the way to it.
pub(super) struct Analyzed<C> {
    pub analysis: Analysis,
    pub engine: Engine,
    /// The time of the report.
    pub at: Nanos,
    pub collected: C,
    /// Only checkpoints were read, and nothing was picked up.
    pub quick: bool,
}

/// Replays one capture and reports on it.
pub fn analyze(path: &Path, options: &AnalyzeOptions) -> Result<Analysis> {
    let step = |(): &mut (), engine: &mut Engine, record: &Record<'_>| engine.handle(record);
    Ok(analyzed(path, options, || (), step)?.analysis)
}

/// The same, with something that follows the engine: `begin` makes what picks up, and `step` gives the
/// engine a record and it what it needs of that.
pub(super) fn analyzed<C>(
    path: &Path,
    options: &AnalyzeOptions,
    begin: impl Fn() -> C,
    step: impl Fn(&mut C, &mut Engine, &Record<'_>),
) -> Result<Analyzed<C>> {
    let part = options.part.resolved(path)?;
    let reading = Reading { path, options, from: part.from, at: part.until().or(options.at) };
    let play = |engine_options: Options| -> Result<_> {
        let mut collected = begin();
        let step = |engine: &mut Engine, record: &Record<'_>| step(&mut collected, engine, record);
        Ok((reading.played(engine_options, step)?, collected))
    };
    let recalled = reading.recalled(reading.engine_options())?;
    // Checkpoints do not know every message, and a silence has to be one of all of them.
    let recalled = recalled.filter(|it| !it.engine.ending(it.at).kind.is_silence());
    let quick = recalled.is_some();
    let replay = match recalled {
        Some(replay) => Ok((replay, begin())),
        None => play(reading.engine_options()),
    };
    let again = |playhead, headers_only: bool| {
        let headers_only = headers_only || options.headers_only;
        let playhead = Some(playhead);
        let engine_options = Options { playhead, headers_only, ..reading.engine_options() };
        match quick.then(|| reading.recalled(engine_options.clone())).transpose()?.flatten() {
            Some(replay) => Ok((replay, begin())),
            None => play(engine_options),
        }
    };
    let ((replay, collected), playheads) = replay
        .and_then(|replay| playheads::settle(replay, |(replay, _)| &replay.engine, again))
        .and_then(|(replay, playheads)| {
            options.report.check(replay.0.longest_epoch_s())?;
            Ok((replay, playheads))
        })
        .with_context(|| format!("cannot analyse {}", path.display()))?;
    let about = CaptureDescription {
        headers_only: options.headers_only,
        tracker_bound: options.tracker_bound,
        quick,
        ..replay.described(path.display(), playheads)
    };
    let analysis = Analysis::of(&replay.engine, about, &options.report);
    let CaptureReplay { engine, at, .. } = replay;
    Ok(Analyzed { analysis, engine, at, collected, quick })
}

/// A capture, and what of it is read how.
struct Reading<'a> {
    path: &'a Path,
    options: &'a AnalyzeOptions,
    from: Option<Offset>,
    at: Option<Span>,
}

impl Reading<'_> {
    fn engine_options(&self) -> Options {
        Options {
            playhead: self.options.playhead,
            headers_only: self.options.headers_only,
            heard: None,
            stale_threshold_s: self.options.report.stale_threshold_s,
            tracker_bound: self.options.tracker_bound,
            ..Options::default()
        }
    }

    /// From its checkpoints, where that was asked for and they tell all of it.
    fn recalled(&self, engine_options: Options) -> Result<Option<CaptureReplay>> {
        if !self.options.quick || self.from.is_some() || self.at.is_some() {
            return Ok(None);
        }
        let recalled = index::recall(self.path, engine_options, |_, _| ())?;
        Ok(recalled.filter(|it| tells_all(&it.engine)).map(|Recalled { engine, ended, .. }| {
            CaptureReplay { engine, at: ended, complete: true, damage: None }
        }))
    }

    /// From its records, of which `step` gives each to the engine.
    fn played(
        &self,
        engine_options: Options,
        step: impl FnMut(&mut Engine, &Record<'_>),
    ) -> Result<CaptureReplay> {
        let records = files::open_capture(self.path)?;
        let is_inflated = !engine_options.headers_only;
        let inflating = if is_inflated { self.options.inflating } else { Inflating::InTurn };
        let (from, at) = (self.from, self.at);
        Ok(CaptureReplay::of_part(records, engine_options, from, at, inflating, step)?)
    }
}

impl SessionPart {
    /// The same part by its moments: of an episode, the second before and after it too.
    pub fn resolved(self, path: &Path) -> Result<SessionPart> {
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            bail!(Misuse::new("the part ends before it begins; give a --to after the --from"));
        }
        let Some(number) = self.episode else { return Ok(self) };
        let options = AnalyzeOptions { headers_only: true, ..AnalyzeOptions::default() };
        let episodes = analyze(path, &options)?.verdict.episodes;
        let Some(episode) = number.checked_sub(1).and_then(|index| episodes.get(index)) else {
            let name = path.display();
            bail!(Misuse(match episodes.len() {
                0 => format!("{name} has no episode of lag; give --from and --to"),
                1 => format!("{name} has 1 episode of lag, and --episode {number} is none"),
                count => format!("{name} has {count} episodes of lag; --episode {number} is none"),
            }));
        };
        let moment = |s: f64| Some(Offset((s * 1e9) as i64));
        let (from, to) = (episode.from_s - AROUND_S, episode.to_s + AROUND_S);
        Ok(SessionPart { from: moment(from.max(0.0)), to: moment(to), episode: None })
    }
}

/// Whether the rows of checkpoints tell of a session what its records do. They do not say what was wrong
/// with binary messages that could not be used, nor what came where no stream did.
fn tells_all(engine: &Engine) -> bool {
    let facts = engine.facts();
    let used = facts.slices + facts.swaps + 1;
    let is_sound = facts.decode_errors as f64 <= used as f64 * MAX_EMPTY_SHARE;
    is_sound && engine.origin().is_some()
}

/// Analyses several captures in parallel; results come in the order of the paths.
pub fn analyze_all(
    paths: &[PathBuf],
    options: &AnalyzeOptions,
    threads: usize,
) -> Result<Vec<Result<Analysis>>> {
    // One capture alone has all threads for itself.
    let has_others = paths.len() == 1
        && threads != 1
        && thread::available_parallelism().is_ok_and(|it| it.get() > 1);
    let inflating = if has_others { Inflating::Ahead } else { Inflating::InTurn };
    let options = &AnalyzeOptions { inflating, ..options.clone() };
    Ok(sweep::map_in_order(paths, threads, |path| analyze(path, options))?)
}
