//! One recording, and which tier answers a question about it.
//!
//! Enters: the records of a capture, once, through [`RecordingBuilder`]; then any number of
//! scenarios. Leaves: for each a [`Reply`], or a [`Refusal`] that says why there is none: exact where
//! no report would have differed, else the model, else, where only the listener moves, the recorded
//! slices as they were. This decision stands here and nowhere else. The fit of the model is made
//! once, when it is first needed. Never decodes audio.

use std::sync::OnceLock;

use super::columns::{Columns, ColumnsBuilder};
use super::derive::Counterfactual;
use super::keys::Key;
use super::model::{self, Cause, Change, ChangeError, Fit, FitError, Outcome, Question};
use super::model::{Trace, TraceError, Tracer, UnknownToModel};
use super::open_loop::{self, OpenLoop, OpenLoopError, Scratch};
use super::{Playback, Scenario, Tier};
use crate::capture::Record;
use crate::engine::{Engine, Options};
use crate::lag::{LagReport, ReportArgs};
use crate::time::Nanos;

/// A recording that was read.
#[derive(Debug)]
pub struct Recording {
    columns: Columns,
    trace: Result<Trace, TraceError>,
    fit: OnceLock<Result<Fit, FitError>>,
}

/// Reads a recording.
#[derive(Debug)]
pub struct RecordingBuilder {
    engine: Engine,
    columns: ColumnsBuilder,
    tracer: Tracer,
}

/// How scenarios are to be answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// Keep the recorded slices, whatever the server would have done.
    pub open_loop: bool,
    /// Runs of the model, at least 1.
    pub members: usize,
    /// What the reports cover.
    pub report: ReportArgs,
}

/// A recording that is ready to be asked.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    recording: &'a Recording,
    open_loop: OpenLoop<'a>,
    manner: Manner,
}

/// What would have been.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// How far it can be trusted, …
    pub tier: Tier,
    /// … and why.
    pub reason: String,
    /// Until when it is exact, in seconds from the initial buffer; `None`: to the end, or nowhere
    /// in the model tier.
    pub valid_until_s: Option<f64>,
    /// Share of the report's slices that came later.
    pub beyond_share: f64,
    /// The report; of the likeliest outcome in the model tier.
    pub lag: LagReport,
    /// In the model tier: what could have been, the likeliest first.
    pub outcomes: Vec<Outcome>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The question itself.
    #[error("{0}")]
    Question(&'static str),
    /// The recording holds no stream.
    #[error("the initial buffer never came, so there is nothing to ask about")]
    NoBuffer,
    /// An op comes before anything that the recording knows.
    #[error(
        "the capture begins {begins_s:.2} s into its session, and nothing can happen at {at_s} s; \
         times count from the session's initial buffer"
    )]
    BeforeItBegins {
        /// When the op would be, in seconds from the initial buffer.
        at_s: f64,
        /// When the capture begins.
        begins_s: f64,
    },
    /// The recorded slices cannot stay.
    #[error(transparent)]
    OpenLoop(#[from] OpenLoopError),
    /// The recording cannot be modelled.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The model does not repeat the recording.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// What waited or was shed in the recording is kept, and not only the listener is to move.
    #[error(
        "slices of the recording {0}; the model keeps that, and so knows only what becomes of \
         another playhead: ask with --op, --rate or --skew-ppm alone"
    )]
    Kept(Cause),
    /// The model cannot change that.
    #[error(transparent)]
    Unknown(#[from] UnknownToModel),
    /// The policy has no such constant.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Default for RecordingBuilder {
    fn default() -> Self {
        // Columns look at the newest slice and tick only.
        let options = Options { headers_only: true, tracker_bound: Some(1), ..Options::default() };
        RecordingBuilder {
            engine: Engine::new(options),
            columns: ColumnsBuilder::new(),
            tracer: Tracer::new(),
        }
    }
}

impl RecordingBuilder {
    /// Takes the next record.
    pub fn handle(&mut self, record: &Record<'_>) {
        self.engine.handle(record);
        self.columns.see(&self.engine, record);
        self.tracer.handle(record);
    }

    /// The recording of what was handled.
    ///
    /// # Errors
    /// Where no initial buffer came.
    pub fn finish(self) -> Result<Recording, Refusal> {
        let facts = self.engine.facts();
        let last = facts.span.map_or(Nanos(0), |(_, last)| last);
        let at = facts.end.as_ref().map_or(last, |(t, _)| *t);
        Ok(Recording {
            columns: self.columns.finish(&self.engine, at).ok_or(Refusal::NoBuffer)?,
            trace: self.tracer.finish(),
            fit: OnceLock::new(),
        })
    }
}

impl Recording {
    /// A recording of which only the columns are known: the model cannot be asked.
    #[must_use]
    pub fn of_columns(columns: Columns) -> Recording {
        Recording { columns, trace: Err(TraceError::ColumnsOnly), fit: OnceLock::new() }
    }

    /// Slices, ticks and ops as columns.
    #[must_use]
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// What the recording fixes, and the model that was fitted to it.
    pub fn model(&self) -> Result<(&Trace, &Fit), Refusal> {
        let trace = self.trace.as_ref().map_err(Clone::clone)?;
        let fit = self.fit.get_or_init(|| Fit::of(trace)).as_ref().map_err(Clone::clone)?;
        Ok((trace, fit))
    }

    /// The value of a key in the recording, as far as it tells; else the one that changes nothing.
    #[must_use]
    pub fn recorded(&self, key: &Key) -> f64 {
        let Ok((trace, fit)) = self.model() else { return key.neutral };
        match key.name {
            "lead-floor" => fit.policy().lead.floor_s,
            "lead-ceiling" => fit.policy().lead.ceiling_s,
            "flow-window" => fit.policy().flow.window_bytes as f64,
            "params-hz" => reports_per_s(trace).unwrap_or(key.neutral),
            "acks" => f64::from(u8::from(trace.acknowledges())),
            "transport" => f64::from(u8::from(fit.policy().lead.transport.is_some())),
            "staleness-compensation" => f64::from(u8::from(fit.policy().clock.use_client_time)),
            "newest-wins" => f64::from(u8::from(fit.policy().intake.backlog_per_s.is_none())),
            _ => key.neutral,
        }
    }

    /// Whether all that the listener is to do comes after the recording begins.
    fn knows(&self, playback: &Playback) -> Result<(), Refusal> {
        let Columns { origin, begins, .. } = self.columns;
        let begins_s = begins.seconds_since(origin);
        let early = playback.ops.iter().find(|op| op.at.seconds() < begins_s);
        early.map_or(Ok(()), |op| Err(Refusal::BeforeItBegins { at_s: op.at.seconds(), begins_s }))
    }

    /// Prepares answers.
    #[must_use]
    pub fn asked(&self, manner: Manner) -> Asked<'_> {
        let open_loop = OpenLoop::new(&self.columns, manner.report);
        Asked { recording: self, open_loop, manner }
    }
}

fn reports_per_s(trace: &Trace) -> Option<f64> {
    let (first, last) = (trace.ticks.first()?, trace.ticks.last()?);
    let spanned_s = last.at.seconds_since(first.at);
    (spanned_s > 0.0).then(|| (trace.ticks.len() - 1) as f64 / spanned_s)
}

impl Asked<'_> {
    /// The report of the recording itself.
    pub fn factual(&self, scratch: &mut Scratch) -> Result<LagReport, Refusal> {
        Ok(self.open_loop.answer(&Scenario::default(), scratch)?.lag)
    }

    /// What would have been under `scenario`.
    pub fn answer(&self, scenario: &Scenario, scratch: &mut Scratch) -> Result<Reply, Refusal> {
        let need = scenario.needs(self.manner.open_loop);
        if need.tier == Tier::Refused {
            return Err(Refusal::Question(need.reason));
        }
        self.recording.knows(&scenario.playback)?;
        let moved = scenario
            .only_moves_playhead()
            .then(|| self.open_loop.answer(scenario, scratch))
            .transpose();
        match moved {
            Ok(Some(moved)) if moved.tier == Tier::Exact => {
                Ok(Reply::of(moved, "Nothing that the server saw changes."))
            }
            Ok(Some(moved)) if need.tier == Tier::Horizon => Ok(Reply::of(moved, need.reason)),
            Err(error) if need.tier == Tier::Horizon => Err(error.into()),
            moved => match (self.modelled(scenario, need.reason), moved) {
                (Err(refusal), Ok(Some(moved))) => {
                    let reason =
                        format!("The model has no answer ({refusal}), so recorded slices stay.");
                    Ok(Reply::of(moved, &reason))
                }
                (modelled, _) => modelled,
            },
        }
    }

    /// What happened in an answer to `scenario`, to be told as a capture: in the model tier in the
    /// run of its likeliest outcome.
    pub fn story(&self, scenario: &Scenario, reply: &Reply) -> Result<Counterfactual, Refusal> {
        let Some(likeliest) = reply.outcomes.first() else {
            return Ok(Counterfactual::Moved(scenario.playback.clone()));
        };
        let (trace, fit) = self.recording.model()?;
        let change = Change::of(scenario, trace)?;
        let (server, policy) = (&fit.server, change.policy(fit.policy())?);
        let emitted = model::emit(trace, server, &policy, &change, &likeliest.perturbation);
        Ok(Counterfactual::Modelled(emitted))
    }

    fn modelled(&self, scenario: &Scenario, reason: &str) -> Result<Reply, Refusal> {
        let (trace, fit) = self.recording.model()?;
        if let Some(queue) = fit.server.queue
            && !scenario.only_moves_playhead()
        {
            return Err(Refusal::Kept(queue.cause));
        }
        let change = Change::of(scenario, trace)?;
        let Manner { report: args, members, .. } = self.manner;
        let question = Question { trace, fit, change: &change, args, members, seed: scenario.seed };
        let outcomes = model::answer(&question)?.outcomes;
        let likeliest = outcomes.first().expect("an ensemble has a member and so an outcome");
        Ok(Reply {
            tier: Tier::Model,
            reason: reason.to_owned(),
            valid_until_s: None,
            beyond_share: 0.0,
            lag: likeliest.lag.clone(),
            outcomes,
        })
    }
}

impl Reply {
    /// A reply without a model.
    #[must_use]
    pub fn of(moved: open_loop::Answer, reason: &str) -> Reply {
        let open_loop::Answer { tier, valid_until_s, beyond_share, lag } = moved;
        let (reason, outcomes) = (reason.to_owned(), Vec::new());
        Reply { tier, reason, valid_until_s, beyond_share, lag, outcomes }
    }

    /// The report of each outcome with its share of the runs; without a model there is one.
    pub fn reports(&self) -> impl Iterator<Item = (f64, &LagReport)> {
        let alone = self.outcomes.is_empty().then_some((1.0, &self.lag));
        alone.into_iter().chain(self.outcomes.iter().map(|outcome| (outcome.share, &outcome.lag)))
    }
}
