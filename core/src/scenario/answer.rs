//! One recording, and which tier answers a question about it.
//!
//! Enters: the records of a capture, once, through [`RecordingBuilder`]; then any number of
//! scenarios. Leaves: for each a [`ScenarioAnswer`], or a [`NoAnswer`] that says why: exact where no
//! report would have differed, else the model, else, where only the listener moves, the recorded
//! slices as they were. Nothing else chooses a tier. The model is fitted once, when it is first
//! needed. Never decodes audio.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::advice::{Advice, Wording};
use super::cadence::changed;
use super::columns::{Columns, ColumnsBuilder};
use super::derive::Counterfactual;
use super::heard_again;
use super::knobs::{Knob, RecordedFacts};
use super::model::{self, Bottleneck, Change, Emitted, Fit, FitError, ModelOutcome, Question};
use super::model::{Relinked, Trace, TraceError, Tracer};
use super::open_loop::{self, OpenLoop, OpenLoopAnswer, Scratch};
pub use super::refusal::NoAnswer;
use super::{Playback, Scenario, Tier};
use crate::capture::Record;
use crate::engine::{Engine, Options};
use crate::heard::{BehindRule, HeardRule};
use crate::lag::{LagReport, ReportArgs};
use crate::time::{Nanos, Span};
use crate::verdict::{HeardUse, Verdict};

/// A recording that was read.
#[derive(Debug)]
pub struct Recording {
    columns: Columns,
    trace: Result<Trace, TraceError>,
    fit: OnceLock<Result<Fit, FitError>>,
    /// The same with its link run anew, if slices waited for it.
    relinked: OnceLock<Result<Option<Relinked>, FitError>>,
}

/// Reads a recording.
#[derive(Debug)]
pub struct RecordingBuilder {
    engine: Engine,
    columns: ColumnsBuilder,
    tracer: Tracer,
}

/// How scenarios are to be answered.
#[derive(Clone, Copy, Debug)]
pub struct AskOptions {
    /// Keep the recorded slices, whatever the server would have done.
    pub open_loop: bool,
    /// Runs of the model, at least 1.
    pub members: usize,
    pub report: ReportArgs,
    /// Measure what would have been heard, and give verdicts. It takes longer than the report.
    pub heard: bool,
    /// How reasons say what to do.
    pub wording: Wording,
}

/// A recording that is ready for scenarios.
#[derive(Clone, Debug)]
pub struct Prepared<'a> {
    recording: &'a Recording,
    open_loop: OpenLoop<'a>,
    options: AskOptions,
}

/// How a scenario is answered.
enum AnswerWay<'a> {
    /// With the recorded slices as they were, and why.
    Moved(Box<OpenLoopAnswer>, String),
    /// By runs of the model.
    Modelled(Box<Modelled<'a>>, &'static str),
}

/// What answers by the model start from, before anything changes.
#[derive(Clone, Copy, Debug)]
pub struct FittedModel<'a> {
    pub trace: &'a Trace,
    pub fit: &'a Fit,
    /// The link that slices waited for, which is run anew; `None` where they waited for none, or what
    /// became of them is kept.
    pub link: Option<&'a Bottleneck>,
}

/// What a run of the model starts from.
struct Modelled<'a> {
    trace: Cow<'a, Trace>,
    fit: Cow<'a, Fit>,
    change: Change,
}

/// What would have been.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioAnswer {
    /// How far it can be trusted, …
    pub tier: Tier,
    pub reason: String,
    /// Until when it is exact, in seconds from the initial buffer; `None`: to the end, or nowhere
    /// in the model tier.
    pub valid_until_s: Option<f64>,
    /// Share of the report's slices that came later.
    pub beyond_share: f64,
    /// The report; of the likeliest outcome in the model tier.
    pub lag: LagReport,
    /// What would have been heard there, over the whole session; `None` where nobody asked.
    pub heard: Option<HeardUse>,
    pub verdict: Option<Verdict>,
    /// In the model tier: what could have been, the likeliest first.
    pub outcomes: Vec<ModelOutcome>,
}

impl Default for AskOptions {
    fn default() -> Self {
        let (report, wording) = (ReportArgs::default(), Wording::default());
        AskOptions { open_loop: false, members: 1, report, heard: true, wording }
    }
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
    pub fn finish(self) -> Result<Recording, NoAnswer> {
        self.finish_at(None)
    }

    /// The same of a part of a session, which ends at that moment.
    ///
    /// # Errors
    /// Where no initial buffer came.
    pub fn finish_at(self, ends_at: Option<Nanos>) -> Result<Recording, NoAnswer> {
        let facts = self.engine.facts();
        let last = facts.span.map_or(Nanos(0), |(_, last)| last);
        let at = ends_at.unwrap_or(facts.end.as_ref().map_or(last, |(t, _)| *t));
        Ok(Recording {
            columns: self.columns.finish(&self.engine, at).ok_or(NoAnswer::NoBuffer)?,
            trace: self.tracer.finish(),
            fit: OnceLock::new(),
            relinked: OnceLock::new(),
        })
    }
}

impl Recording {
    /// A recording of which only the columns are known: the model cannot be asked.
    #[must_use]
    pub fn of_columns(columns: Columns) -> Recording {
        Recording {
            columns,
            trace: Err(TraceError::ColumnsOnly),
            fit: OnceLock::new(),
            relinked: OnceLock::new(),
        }
    }

    /// Slices, ticks and ops as columns.
    #[must_use]
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// What was heard.
    #[must_use]
    pub fn heard(&self, rule: HeardRule) -> HeardUse {
        heard_again::of_moved(&self.columns, &Playback::default(), rule)
    }

    /// What the recording fixes, and the model that was fitted to it.
    pub fn model(&self) -> Result<(&Trace, &Fit), NoAnswer> {
        let trace = self.trace.as_ref().map_err(Clone::clone)?;
        let fit = self.fit.get_or_init(|| Fit::of(trace)).as_ref().map_err(Clone::clone)?;
        Ok((trace, fit))
    }

    /// What the recording fixes, and its server with the link run anew that slices waited for; `None`
    /// where they waited for none.
    ///
    /// # Errors
    /// Where the recording cannot be modelled, or not its link.
    pub fn relinked(&self) -> Result<Option<(&Trace, &Relinked)>, NoAnswer> {
        let trace = self.trace.as_ref().map_err(Clone::clone)?;
        let relinked = self.relinked.get_or_init(|| Relinked::of(trace));
        let relinked = relinked.as_ref().map_err(Clone::clone)?.as_ref();
        Ok(relinked.map(|relinked| (trace, relinked)))
    }

    /// What answers by the model start from.
    ///
    /// # Errors
    /// Where the recording cannot be modelled.
    pub fn fitted(&self) -> Result<FittedModel<'_>, NoAnswer> {
        if let Ok(Some((trace, relinked))) = self.relinked() {
            let link = Some(&relinked.bottleneck);
            return Ok(FittedModel { trace, fit: &relinked.fit, link });
        }
        let (trace, fit) = self.model()?;
        Ok(FittedModel { trace, fit, link: None })
    }

    /// What the recording fixes, and the server that its slices declare.
    pub(super) fn declared(&self) -> Result<(&Trace, Cow<'_, Fit>), NoAnswer> {
        let trace = self.trace.as_ref().map_err(Clone::clone)?;
        Ok((trace, Cow::Owned(Fit::of_declared_work(trace))))
    }

    /// The run of an outcome of `scenario` anew, with all that would stand in a capture.
    fn emitted(&self, scenario: &Scenario, outcome: &ModelOutcome) -> Result<Emitted, NoAnswer> {
        let Modelled { trace, fit, change } = self.modelled(scenario)?;
        let policy = change.policy(fit.policy());
        Ok(model::emit(&trace, &fit.server, &policy, &change, &outcome.perturbation))
    }

    /// What a run of `scenario` starts from.
    fn modelled(&self, scenario: &Scenario) -> Result<Modelled<'_>, NoAnswer> {
        let relinked = match self.relinked() {
            // What is known of the recorded slices suffices for another listener.
            Err(NoAnswer::Fit(_)) if scenario.only_moves_playhead() => None,
            relinked => relinked?,
        };
        if let Some((trace, relinked)) = relinked {
            let (trace, change) = changed(scenario, trace)?;
            let (fit, change) = relinked.under(&trace, &change);
            return Ok(Modelled { trace, fit: Cow::Owned(fit), change });
        }
        let (trace, fit) = self.model()?;
        if let Some(queue) = fit.server.queue
            && !scenario.only_moves_playhead()
        {
            return Err(NoAnswer::Kept(queue.cause));
        }
        let (trace, change) = changed(scenario, trace)?;
        Ok(Modelled { trace, fit: Cow::Borrowed(fit), change })
    }

    /// The value of a knob in the recording, as far as it tells; else the one that changes nothing.
    #[must_use]
    pub fn recorded(&self, knob: &Knob) -> f64 {
        let Ok(FittedModel { trace, fit, link }) = self.fitted() else { return knob.neutral };
        let facts = RecordedFacts {
            policy: fit.policy(),
            reports_per_s: reports_per_s(trace),
            acknowledges: trace.acknowledges(),
            down_bytes_per_s: link.map(Bottleneck::narrowest),
        };
        (knob.recorded)(&facts).unwrap_or(knob.neutral)
    }

    /// Whether all that is to happen lies within the recording, where it has a stream.
    pub fn knows(&self, scenario: &Scenario) -> Result<(), NoAnswer> {
        let Columns { origin, begins, report_at, ref quiet, .. } = self.columns;
        let (begins_s, ends_s) = (begins.seconds_since(origin), report_at.seconds_since(origin));
        for at_s in scenario.moments_s() {
            if at_s < begins_s {
                return Err(NoAnswer::BeforeItBegins { at_s, begins_s });
            }
            if at_s > ends_s {
                return Err(NoAnswer::AfterItEnds { at_s, ends_s });
            }
            let of = |quiet: &&super::quiet::Quiet| quiet.from_s < at_s && at_s <= quiet.to_s;
            if let Some(quiet) = quiet.iter().find(of).copied() {
                return Err(NoAnswer::NoStream { at_s, quiet });
            }
        }
        Ok(())
    }

    /// Prepares answers.
    #[must_use]
    pub fn prepare(&self, options: AskOptions) -> Prepared<'_> {
        let open_loop = OpenLoop::new(&self.columns, options.report);
        Prepared { recording: self, open_loop, options }
    }
}

fn reports_per_s(trace: &Trace) -> Option<f64> {
    let (first, last) = (trace.ticks.first()?, trace.ticks.last()?);
    let spanned_s = last.at.seconds_since(first.at);
    (spanned_s > 0.0).then(|| (trace.ticks.len() - 1) as f64 / spanned_s)
}

impl Prepared<'_> {
    /// The recording that is asked.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        self.recording
    }

    /// Why there is no answer and what to do, in the words of whoever asks.
    #[must_use]
    pub fn worded(&self, why: &NoAnswer) -> String {
        why.worded(self.options.wording)
    }

    /// The recording itself.
    pub fn factual(&self, scratch: &mut Scratch) -> Result<ScenarioAnswer, NoAnswer> {
        self.answer(&Scenario::default(), scratch)
    }

    /// What would have been under `scenario`.
    pub fn answer(
        &self,
        scenario: &Scenario,
        scratch: &mut Scratch,
    ) -> Result<ScenarioAnswer, NoAnswer> {
        let mut answer = self.reported(scenario, scratch)?;
        if self.options.heard {
            self.listen(scenario, &mut answer)?;
        }
        Ok(answer)
    }

    /// Measures what would have been heard in an answer to `scenario`.
    fn listen(&self, scenario: &Scenario, answer: &mut ScenarioAnswer) -> Result<(), NoAnswer> {
        let (recording, columns) = (self.recording, self.recording.columns());
        let rule = HeardRule::new(self.options.report.stale_threshold_s, BehindRule::default());
        let verdict = |heard: &HeardUse| Verdict::of(&heard.report, columns.no_verdict.clone());
        if answer.outcomes.is_empty() {
            let heard = heard_again::of_moved(columns, &scenario.playback, rule);
            answer.verdict = Some(verdict(&heard));
            answer.heard = Some(heard);
            return Ok(());
        }
        for outcome in &mut answer.outcomes {
            let emitted = recording.emitted(scenario, outcome)?;
            let heard = heard_again::of_run(columns, &emitted, rule);
            outcome.verdict = Some(verdict(&heard));
            outcome.heard = Some(heard);
        }
        let likeliest = &answer.outcomes[0];
        (answer.heard, answer.verdict) = (likeliest.heard.clone(), likeliest.verdict.clone());
        Ok(())
    }

    /// In which tier `scenario` is answered, before any run; every answer goes this way.
    pub fn tier(&self, scenario: &Scenario, scratch: &mut Scratch) -> Result<Tier, NoAnswer> {
        Ok(match self.way(scenario, scratch)? {
            AnswerWay::Moved(moved, _) => moved.tier,
            AnswerWay::Modelled(..) => Tier::Model,
        })
    }

    fn reported(
        &self,
        scenario: &Scenario,
        scratch: &mut Scratch,
    ) -> Result<ScenarioAnswer, NoAnswer> {
        Ok(match self.way(scenario, scratch)? {
            AnswerWay::Moved(moved, reason) => ScenarioAnswer::of(*moved, &reason),
            AnswerWay::Modelled(from, reason) => self.modelled(scenario, &from, reason),
        })
    }

    /// Chooses how a scenario is answered.
    fn way(&self, scenario: &Scenario, scratch: &mut Scratch) -> Result<AnswerWay<'_>, NoAnswer> {
        let need = scenario.needs(self.options.open_loop);
        if need.tier == Tier::Refused {
            return Err(NoAnswer::Question(need.reason));
        }
        self.recording.knows(scenario)?;
        if let Some(rejoined) = self.recording.columns.rejoined {
            let to_s = rejoined.seconds_since(self.recording.columns.origin);
            return Err(NoAnswer::Hole { to_s, behind: self.behind(rejoined) });
        }
        let moved = scenario
            .only_moves_playhead()
            .then(|| self.open_loop.answer(scenario, scratch))
            .transpose();
        match moved {
            Ok(Some(moved)) if moved.tier == Tier::Exact => Ok(AnswerWay::Moved(
                Box::new(moved),
                "Nothing that the server saw changes.".to_owned(),
            )),
            Ok(Some(moved)) if need.tier == Tier::Horizon => {
                Ok(AnswerWay::Moved(Box::new(moved), need.reason.to_owned()))
            }
            Err(error) if need.tier == Tier::Horizon => Err(error.into()),
            moved => match (self.by_model(scenario, need.reason), moved) {
                (Err(why), Ok(Some(moved))) => {
                    let why = why.worded(self.options.wording);
                    let reason =
                        format!("The model has no answer ({why}), so recorded slices stay.");
                    Ok(AnswerWay::Moved(Box::new(moved), reason))
                }
                (Err(why), _) => Err(self.only_by_model(why, scenario)),
                (modelled, _) => modelled,
            },
        }
    }

    /// What to do where only the model could answer, and it is not to be had.
    fn only_by_model(&self, why: NoAnswer, scenario: &Scenario) -> NoAnswer {
        let instead = match &why {
            NoAnswer::Trace(TraceError::Unknown { what }) if what.contains("swap") => {
                Some(Advice::AskPart(self.behind(self.recording.columns.last().began)))
            }
            NoAnswer::Trace(TraceError::Unknown { what }) if what.contains("gap") => {
                let missing_until = self.recording.columns.missing_until();
                missing_until.map(|until| Advice::AskPart(self.behind(until)))
            }
            NoAnswer::Trace(TraceError::TooShort { .. }) if !scenario.only_moves_playhead() => {
                Some(Advice::RecordForSeconds)
            }
            NoAnswer::Fit(_) | NoAnswer::Trace(TraceError::Unknown { .. })
                if !scenario.only_moves_playhead() =>
            {
                Some(Advice::OnlyMoveListenerOpenLoop)
            }
            _ => None,
        };
        match instead {
            Some(instead) => NoAnswer::OnlyByModel { why: Box::new(why), instead },
            None => why,
        }
    }

    /// When a part begins that lies behind `at`: to the millisecond, as it is typed.
    fn behind(&self, at: Nanos) -> Span {
        let since_origin = at.0.saturating_sub(self.recording.columns.origin.0);
        Span((since_origin / 1_000_000 + 1) * 1_000_000)
    }

    /// What happened in an answer to `scenario`, to be told as a capture: in the model tier in the
    /// run of its likeliest outcome.
    pub fn story(
        &self,
        scenario: &Scenario,
        answer: &ScenarioAnswer,
    ) -> Result<Counterfactual, NoAnswer> {
        let Some(likeliest) = answer.outcomes.first() else {
            return Ok(Counterfactual::Moved(scenario.playback.clone()));
        };
        Ok(Counterfactual::Modelled(self.recording.emitted(scenario, likeliest)?))
    }

    fn by_model(
        &self,
        scenario: &Scenario,
        reason: &'static str,
    ) -> Result<AnswerWay<'_>, NoAnswer> {
        Ok(AnswerWay::Modelled(Box::new(self.recording.modelled(scenario)?), reason))
    }

    fn modelled(&self, scenario: &Scenario, from: &Modelled<'_>, reason: &str) -> ScenarioAnswer {
        let Modelled { trace, fit, change } = from;
        let AskOptions { report: args, members, .. } = self.options;
        let question = Question { trace, fit, change, args, members, seed: scenario.seed };
        let outcomes = model::answer(&question).outcomes;
        let likeliest = outcomes.first().expect("an ensemble has a member and so an outcome");
        let reason = if trace.appends() {
            "The gate of a server that only appends opens by other reports, or its slices travel \
             otherwise, so they come at other times."
        } else {
            reason
        };
        ScenarioAnswer {
            tier: Tier::Model,
            reason: reason.to_owned(),
            valid_until_s: None,
            beyond_share: 0.0,
            lag: likeliest.lag.clone(),
            heard: None,
            verdict: None,
            outcomes,
        }
    }
}

impl ScenarioAnswer {
    /// An answer without a model.
    #[must_use]
    pub fn of(moved: open_loop::OpenLoopAnswer, reason: &str) -> ScenarioAnswer {
        let open_loop::OpenLoopAnswer { tier, valid_until_s, beyond_share, lag } = moved;
        let (reason, outcomes) = (reason.to_owned(), Vec::new());
        let (heard, verdict) = (None, None);
        ScenarioAnswer { tier, reason, valid_until_s, beyond_share, lag, heard, verdict, outcomes }
    }
}
