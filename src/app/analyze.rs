//! `analyze`: replay captures through the engine and report.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::before::Before;
use super::index::{self, Recalled};
use super::outcome::Outcome;
use super::part::SessionPart;
use super::whose;
use crate::capture::{Ending, Record, Salvage};
use crate::edge::files::{self, CaptureFile};
use crate::engine::doubts::MAX_EMPTY_SHARE;
use crate::engine::{Engine, Options};
use crate::lag::ReportArgs;
use crate::parse::Misuse;
use crate::playhead::PlayheadSource;
use crate::report::{Analysis, CaptureDescription, DamageReport, PlayheadDecision};
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
}

/// An engine that has seen a capture.
pub(super) struct CaptureReplay {
    pub engine: Engine,
    pub at: Nanos,
    pub complete: bool,
    pub damage: Option<DamageReport>,
}

impl CaptureReplay {
    /// Feeds a capture to an engine, up to and including `at`, or to its end. Records
    /// after `at` are read only to see whether the capture is whole.
    pub fn of(
        records: Salvage<CaptureFile>,
        options: Options,
        at: Option<Span>,
    ) -> Result<CaptureReplay> {
        Self::of_part(records, options, None, at, Engine::handle)
    }

    /// The same of the part that begins at `from`: the engine goes on from the state of that moment, as
    /// it does with what was cut out. `step` gives the engine every record of the part.
    pub fn of_part(
        mut records: Salvage<CaptureFile>,
        options: Options,
        from: Option<Offset>,
        at: Option<Span>,
        mut step: impl FnMut(&mut Engine, &Record<'_>),
    ) -> Result<CaptureReplay> {
        let mut engine = Engine::new(options);
        let Some(from) = from.filter(|from| from.0 > 0) else {
            return Replaying { engine, at, over: false }.finish(records, &mut step);
        };
        let mut before = Before::new();
        while let Some(record) = records.next_record()? {
            if before.takes(&record, from) {
                continue;
            }
            engine.handle(&before.header(record.t));
            engine.handle(&before.engine.context());
            let mut replay = Replaying { engine, at, over: false };
            replay.see(&record, &mut step);
            return replay.finish(records, &mut step);
        }
        bail!("it holds no record in that time; see lagtape info")
    }

    /// What is said of the capture at `path`, whose every record the engine has seen.
    pub fn described(&self, path: &Path, playheads: PlayheadDecision) -> CaptureDescription {
        CaptureDescription {
            complete: self.complete,
            damage: self.damage.clone(),
            playheads,
            ..CaptureDescription::live(path.display().to_string(), self.at)
        }
    }

    /// The time that the longest of the reports covers.
    fn longest_epoch_s(&self) -> f64 {
        let epochs = self.engine.epochs().iter();
        let spans = epochs.map(|e| e.ended.unwrap_or(self.at).seconds_since(e.began));
        spans.fold(0.0, f64::max)
    }
}

/// A replay under way.
struct Replaying {
    engine: Engine,
    at: Option<Span>,
    /// A record came that is later than `at`.
    over: bool,
}

impl Replaying {
    fn see(&mut self, record: &Record<'_>, step: &mut impl FnMut(&mut Engine, &Record<'_>)) {
        self.over |= self.moment().is_some_and(|until| record.t > until);
        if !self.over {
            step(&mut self.engine, record);
        }
    }

    /// The moment up to which records count, once the initial buffer is there.
    fn moment(&self) -> Option<Nanos> {
        let (at, origin) = self.at.zip(self.engine.origin())?;
        Some(origin.checked_add(at).unwrap_or(Nanos(u64::MAX)))
    }

    fn finish(
        mut self,
        mut records: Salvage<CaptureFile>,
        step: &mut impl FnMut(&mut Engine, &Record<'_>),
    ) -> Result<CaptureReplay> {
        while let Some(record) = records.next_record()? {
            self.see(&record, step);
        }
        let facts = self.engine.facts();
        let last = facts.span.map_or(Nanos(0), |(_, last)| last);
        let ended = facts.end.as_ref().map_or(last, |(t, _)| *t);
        let at = self.moment().unwrap_or(ended);
        let damage = DamageReport::of(records.losses());
        let complete = records.ending() == Some(Ending::Complete);
        Ok(CaptureReplay { engine: self.engine, at, complete, damage })
    }
}

/// Replays one capture and reports on it.
pub fn analyze(path: &Path, options: &AnalyzeOptions) -> Result<Analysis> {
    let engine_options = Options {
        playhead: options.playhead,
        headers_only: options.headers_only,
        heard: None,
        stale_threshold_s: options.report.stale_threshold_s,
        tracker_bound: options.tracker_bound,
        ..Options::default()
    };
    let recalled = |engine_options: Options| -> Result<Option<CaptureReplay>> {
        let Some(Recalled { engine, ended, .. }) = index::recall(path, engine_options, |_, _| ())?
        else {
            return Ok(None);
        };
        if !tells_all(&engine) {
            return Ok(None);
        }
        Ok(Some(CaptureReplay { engine, at: ended, complete: true, damage: None }))
    };
    let part = options.part.resolved(path)?;
    let (from, at) = (part.from, part.until().or(options.at));
    let from_checkpoints = match options.quick && at.is_none() && from.is_none() {
        true => recalled(engine_options.clone())?,
        false => None,
    };
    // Checkpoints do not know every message, and a silence has to be one of all of them.
    let is_told = |replay: &CaptureReplay| !replay.engine.ending(replay.at).kind.is_silence();
    let from_checkpoints = from_checkpoints.filter(is_told);
    let quick = from_checkpoints.is_some();
    let replay = match from_checkpoints {
        Some(replay) => Ok(replay),
        None => files::open_capture(path).and_then(|records| {
            CaptureReplay::of_part(records, engine_options.clone(), from, at, Engine::handle)
        }),
    };
    let again = |playhead, headers_only: bool| {
        let headers_only = headers_only || options.headers_only;
        let playhead = Some(playhead);
        let engine_options = Options { playhead, headers_only, ..engine_options.clone() };
        if quick && let Some(replay) = recalled(engine_options.clone())? {
            return Ok(replay);
        }
        CaptureReplay::of_part(files::open_capture(path)?, engine_options, from, at, Engine::handle)
    };
    let (replay, playheads) = replay
        .and_then(|replay| whose::settle(replay, |replay| &replay.engine, again))
        .and_then(|(replay, playheads)| {
            options.report.check(replay.longest_epoch_s())?;
            Ok((replay, playheads))
        })
        .with_context(|| format!("cannot analyse {}", path.display()))?;
    let about = CaptureDescription {
        headers_only: options.headers_only,
        tracker_bound: options.tracker_bound,
        quick,
        ..replay.described(path, playheads)
    };
    Ok(Analysis::of(&replay.engine, about, &options.report))
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
    Ok(sweep::map_in_order(paths, threads, |path| analyze(path, options))?)
}

impl Analysis {
    /// What this analysis means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match (&self.damage, self.verdict.lag) {
            (Some(_), _) => Outcome::Damaged,
            (None, Some(true)) => Outcome::Lag,
            (None, _) if self.ending.abnormal => Outcome::EndedAbnormally,
            (None, Some(false)) => Outcome::Healthy,
            // Where no stream came, none could be judged, and the first line says so.
            (None, None) if self.lag.is_none() && !self.audio_is_missing => Outcome::Healthy,
            (None, None) => Outcome::Failed,
        }
    }
}

/// Commands worth trying after `analysis`.
#[must_use]
pub fn next_commands(analysis: &Analysis) -> Vec<String> {
    let capture = &analysis.capture;
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
