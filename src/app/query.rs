//! `query`: a question about the rows of a capture, and `cat --timeline`: what happened in it.

use std::path::Path;

use anyhow::{Context, Result};

use super::collected::{cannot_replay, collected};
use super::part::SessionPart;
use crate::engine::Options;
use crate::lag::ReportArgs;
use crate::parse::Misuse;
use crate::playhead::PlayheadSource;
use crate::report::moments::{Moment, MomentCollector, Moments};
use crate::report::page::PageCollector;
use crate::report::query::{Query, QueryAnswer, QueryWords};
use crate::report::table::SessionTables;
use crate::report::{Analysis, DamageReport};
use crate::time::Offset;

/// What is asked, and how many rows of the answer are wanted.
#[derive(Debug, Clone, Default)]
pub struct QueryVerb {
    pub words: QueryWords,
    /// Only rows of this part.
    pub part: SessionPart,
    /// `None`: what suits the client that made the capture.
    pub playhead: Option<PlayheadSource>,
    /// Rows of the answer before the first that is wanted.
    pub skip: usize,
    /// Rows at most.
    pub limit: usize,
}

/// The answer, and where the capture is damaged: what is lost has no rows.
pub fn query(path: &Path, verb: &QueryVerb) -> Result<(QueryAnswer, Option<DamageReport>)> {
    let part = verb.part.resolved(path)?;
    let mut words = verb.words.clone();
    let bounds = [(">=", part.from), ("<=", part.to)];
    let bounds = bounds.into_iter().filter_map(|(sign, moment)| Some((sign, moment?)));
    words.conditions.extend(bounds.map(|(sign, at)| format!("t_s {sign} {}", at.seconds())));
    // What is wrong with a question is known before a long capture is read.
    let query = Query::of(&words).map_err(|error| Misuse(error.to_string()))?;
    let options = Options { playhead: verb.playhead, ..Options::default() };
    let (replay, collected, _) = collected(
        path,
        SessionPart::default(),
        &options,
        PageCollector::default,
        |collected, engine, record| {
            engine.handle(record);
            collected.see(engine, record);
        },
    )
    .with_context(|| cannot_replay(path))?;
    let session = SessionTables::of(&replay.engine, replay.at, collected);
    let answer = query.ask(&session, verb.skip, verb.limit);
    Ok((answer.map_err(|error| Misuse(error.to_string()))?, replay.damage))
}

/// What happened in a part of a session, and where the capture is damaged.
pub fn timeline(path: &Path, part: SessionPart) -> Result<(Moments, Option<DamageReport>)> {
    let part = part.resolved(path)?;
    let (replay, collected, playheads) = collected(
        path,
        SessionPart::default(),
        &Options::default(),
        MomentCollector::default,
        |collected, engine, record| {
            engine.handle(record);
            collected.see(engine, record);
        },
    )
    .with_context(|| cannot_replay(path))?;
    let about = replay.described(path.display(), playheads);
    let analysis = Analysis::of(&replay.engine, about, &ReportArgs::default());
    let mut all = Moments::of(&replay.engine, collected, &analysis);
    let [from_s, to_s] = [part.from, part.to].map(|at| at.map(Offset::seconds));
    let is_inside = |moment: &Moment| {
        from_s.is_none_or(|from_s| moment.t_s >= from_s)
            && to_s.is_none_or(|to_s| moment.t_s <= to_s)
    };
    all.moments.retain(is_inside);
    Ok((all, replay.damage))
}
