//! A capture through an engine, to its end or to a moment of it.

use std::fmt;
use std::io::Read;

use super::ahead::each_ahead;
use super::before::Before;
use super::playheads;
use crate::capture::{Ending, ReadError, Record, Salvage};
use crate::engine::{Engine, Options};
use crate::report::{CaptureDescription, DamageReport, PlayheadDecision};
use crate::time::{Nanos, Offset, Span};

/// Why a capture cannot be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The part that was asked for is empty.
    #[error("it holds no record in that time; see lagtape info")]
    NothingThere,
}

/// When slices are inflated. The result is the same to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inflating {
    /// When their turn comes, on the same thread.
    #[default]
    InTurn,
    /// Before it, on another thread as well.
    Ahead,
}

/// An engine that has seen a capture.
pub struct CaptureReplay {
    pub engine: Engine,
    pub at: Nanos,
    pub complete: bool,
    pub damage: Option<DamageReport>,
}

impl CaptureReplay {
    /// Feeds a capture to an engine, up to and including `at`, or to its end. Records
    /// after `at` are read only to see whether the capture is whole.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(
        records: Salvage<impl Read>,
        options: Options,
        at: Option<Span>,
    ) -> Result<CaptureReplay, ReviewError> {
        Self::of_part(records, options, None, at, Inflating::InTurn, Engine::handle)
    }

    /// The same of the part that begins at `from`: the engine goes on from the state of that moment, as
    /// it does with what was cut out. `step` gives the engine every record of the part.
    ///
    /// # Errors
    /// It cannot be read, or there is nothing in that part.
    pub fn of_part(
        mut records: Salvage<impl Read>,
        options: Options,
        from: Option<Offset>,
        at: Option<Span>,
        inflating: Inflating,
        mut step: impl FnMut(&mut Engine, &Record<'_>),
    ) -> Result<CaptureReplay, ReviewError> {
        let mut engine = Engine::new(options);
        let Some(from) = from.filter(|from| from.0 > 0) else {
            return Replaying { engine, at, over: false }.finish(records, inflating, &mut step);
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
            return replay.finish(records, inflating, &mut step);
        }
        Err(ReviewError::NothingThere)
    }

    /// What is said of the capture of this name, whose every record the engine has seen.
    #[must_use]
    pub fn described(
        &self,
        name: impl fmt::Display,
        playheads: PlayheadDecision,
    ) -> CaptureDescription {
        CaptureDescription {
            complete: self.complete,
            damage: self.damage.clone(),
            playheads,
            ..CaptureDescription::live(name.to_string(), self.at)
        }
    }

    /// The time that the longest of the reports covers.
    #[must_use]
    pub fn longest_epoch_s(&self) -> f64 {
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
        mut records: Salvage<impl Read>,
        inflating: Inflating,
        step: &mut impl FnMut(&mut Engine, &Record<'_>),
    ) -> Result<CaptureReplay, ReviewError> {
        match inflating {
            Inflating::InTurn => {
                while let Some(record) = records.next_record()? {
                    self.see(&record, step);
                }
            }
            Inflating::Ahead => each_ahead(&mut records, |record, ahead| {
                let offered = ahead.map(|ahead| self.engine.offer(ahead));
                self.see(record, step);
                offered.and_then(|()| self.engine.take_spare())
            })?,
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

/// Replays a capture, from one moment and up to another where these are given. `begin` makes what picks up, and `step` gives the engine a record and it what it
/// needs of that. Where the reports contradict the playhead that the capture is said to have, it is
/// replayed once more, and what was picked up then counts.
///
/// # Errors
/// It cannot be opened or read.
pub fn collected<R: Read, C, E: From<ReviewError>>(
    open: impl Fn() -> Result<Salvage<R>, E>,
    options: &Options,
    (from, at): (Option<Offset>, Option<Span>),
    begin: impl Fn() -> C,
    step: impl Fn(&mut C, &mut Engine, &Record<'_>),
) -> Result<(CaptureReplay, C, PlayheadDecision), E> {
    let play = |options| -> Result<_, E> {
        let mut collected = begin();
        let step = |engine: &mut Engine, record: &Record<'_>| step(&mut collected, engine, record);
        let replay = CaptureReplay::of_part(open()?, options, from, at, Inflating::InTurn, step)?;
        Ok((replay, collected))
    };
    let again = |source| play(Options { playhead: Some(source), ..options.clone() });
    let played = play(options.clone())?;
    let ((replay, collected), playheads) =
        playheads::by_evidence(played, |(replay, _)| &replay.engine, again)?;
    Ok((replay, collected, playheads))
}
