//! `sweep`: many scenarios with many captures, and the search for the smallest change that would
//! have helped.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::advice::worded;
use super::part::SessionPart;
use super::recording;
use crate::lag::ReportArgs;
use crate::parse::{Misuse, shell};
use crate::report::SCHEMA;
use crate::report::sweep::{Find, Sweep, SweptAxis, SweptCapture};
use crate::report::what_if::ModelUse;
use crate::scenario::advice::Wording;
use crate::scenario::answer::{AskOptions, NoAnswer, Prepared, Recording};
use crate::scenario::model::DEFAULT_MEMBERS;
use crate::scenario::open_loop::Scratch;
use crate::scenario::{Scenario, Tier};
use crate::sweep::axis::{Axis, MAX_SCENARIOS, Point, points_from};
use crate::sweep::rows::{Predicate, SweepRow, SweepSummary};
use crate::sweep::search::{SearchResult, search};
use crate::sweep::{Progress, answer_all, map_in_order};
use crate::time::Span;

/// What is tried.
#[derive(Debug, Clone, Default)]
pub struct SweepVerb {
    /// What is different in all scenarios.
    pub scenario: Scenario,
    /// When it begins, with what is varied, if not from the beginning on.
    pub at: Option<Span>,
    /// What is varied; the last runs fastest.
    pub axes: Vec<Axis>,
    /// Keep the recorded slices, whatever the server would have done.
    pub open_loop: bool,
    /// Measure nothing that would have been heard, and so give no verdicts.
    pub reference_only: bool,
    /// Runs of the model for each scenario; 0 is 1.
    pub members: usize,
    /// Only this part of each session, as if it had been cut out.
    pub part: SessionPart,
    pub report: ReportArgs,
    /// Threads; 0 is one for each core.
    pub threads: usize,
    /// The words that say [`SweepVerb::scenario`] on a command line, for commands to try next.
    pub typed: Vec<String>,
    /// How reasons say what to do.
    pub wording: Wording,
}

/// The progress callback ended the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped before all scenarios were done")]
pub struct Stopped;

impl SweepVerb {
    fn options(&self) -> AskOptions {
        let SweepVerb { open_loop, report, wording, .. } = *self;
        let (members, heard) = (self.members.max(1), !self.reference_only);
        AskOptions { open_loop, members, report, heard, wording }
    }

    /// All scenarios, none of them impossible.
    fn points(&self, captures: usize) -> Result<Vec<Point>> {
        self.report.check(0.0)?;
        let points = self.points_of(&self.axes)?;
        let rows = points.len().saturating_mul(captures);
        if rows > MAX_SCENARIOS {
            let each = points.len();
            bail!(Misuse(format!(
                "{captures} captures with {each} scenarios each are more than {MAX_SCENARIOS} \
                 rows; take fewer captures or larger steps"
            )));
        }
        let needs = points.iter().map(|point| point.scenario.needs(self.open_loop));
        if let Some(need) = needs.into_iter().find(|need| need.tier == Tier::Refused) {
            return Err(NoAnswer::Question(need.reason).into());
        }
        Ok(points)
    }

    /// The scenarios of these axes.
    fn points_of(&self, axes: &[Axis]) -> Result<Vec<Point>> {
        Ok(points_from(&self.scenario, axes, self.at)?)
    }

    /// The scenario without what is varied.
    fn unvaried(&self) -> Result<Scenario> {
        let mut points = self.points_of(&[])?;
        Ok(points.remove(0).scenario)
    }
}

/// Captures that were read, and what became of each.
struct Captures {
    all: Vec<SweptCapture>,
    usable: Vec<(usize, Recording)>,
}

impl Captures {
    /// Reads all captures in parallel, with the model fitted where it will be needed.
    fn read(paths: &[PathBuf], verb: &SweepVerb, points: &[Point]) -> Result<Captures> {
        let modelled =
            (points.iter()).any(|point| point.scenario.needs(verb.open_loop).tier == Tier::Model);
        let only_by_model = points.iter().all(|point| !point.scenario.only_moves_playhead());
        let unvaried = verb.unvaried()?;
        let recordings = map_in_order(paths, verb.threads, |path| {
            let recording = recording::read_part(path, verb.part.resolved(path)?, modelled)?;
            // What refuses every row of this capture is said once.
            let all_by_model = || modelled && only_by_model && recording.fitted().is_err();
            let refused = recording.knows(&unvaried).and_then(|()| match points.first() {
                Some(point) if all_by_model() => {
                    let prepared = recording.prepare(verb.options());
                    prepared.tier(&point.scenario, &mut Scratch::default()).map(drop)
                }
                _ => Ok(()),
            });
            if let Err(refusal) = refused {
                let context = format!("no answer from {}", path.display());
                return Err(anyhow::Error::from(refusal).context(context));
            }
            anyhow::Ok(recording)
        })?;
        let (mut all, mut usable) = (Vec::new(), Vec::new());
        for (number, (path, recording)) in paths.iter().zip(recordings).enumerate() {
            let mut capture = SweptCapture::new(path.display().to_string());
            match recording {
                Ok(recording) => {
                    let fitted = modelled.then(|| recording.fitted().ok()).flatten();
                    capture.model = fitted.map(|fitted| ModelUse::of(&fitted));
                    let prepared = recording.prepare(verb.options());
                    let factual = prepared.factual(&mut Scratch::default())?;
                    capture.factual = Some(factual.lag);
                    (capture.heard, capture.verdict) = (factual.heard, factual.verdict);
                    usable.push((number, recording));
                }
                Err(error) => capture.failure = Some(worded(&error, verb.wording)),
            }
            all.push(capture);
        }
        Ok(Captures { all, usable })
    }

    fn prepare(&self, options: AskOptions) -> Vec<(usize, Prepared<'_>)> {
        let usable = self.usable.iter();
        usable.map(|(number, recording)| (*number, recording.prepare(options))).collect()
    }
}

/// Tries every scenario with every capture. A capture that cannot be used is named in the result.
pub fn sweep(paths: &[PathBuf], verb: &SweepVerb, progress: Progress<'_>) -> Result<Sweep> {
    let points = verb.points(paths.len())?;
    let captures = Captures::read(paths, verb, &points)?;
    let prepared = captures.prepare(verb.options());
    let rows = answer_all(&prepared, &points, verb.threads, progress)?.ok_or(Stopped)?;
    Ok(report(verb, &verb.axes, captures.all, rows))
}

fn report(
    verb: &SweepVerb,
    axes: &[Axis],
    captures: Vec<SweptCapture>,
    rows: Vec<SweepRow>,
) -> Sweep {
    Sweep {
        schema: SCHEMA,
        scenario: verb.scenario.clone(),
        axes: axes.iter().map(SweptAxis::of).collect(),
        open_loop: verb.open_loop,
        members: verb.members.max(1),
        captures,
        summary: SweepSummary::of(&rows),
        rows,
    }
}

/// Searches the one axis of `verb` for the value nearest to the recorded one at which `condition`
/// holds for every capture, in all runs that were asked for. Where it holds already, nothing is
/// searched.
pub fn find(
    paths: &[PathBuf],
    verb: &SweepVerb,
    condition: &Predicate,
    progress: Progress<'_>,
) -> Result<Find> {
    let [axis] = verb.axes.as_slice() else {
        bail!("a search varies one key, and these are {}", verb.axes.len());
    };
    if verb.reference_only && condition.is_about_verdicts() {
        bail!("{} is a figure of verdicts, and none were to be given", condition.figure());
    }
    let points = verb.points(paths.len())?;
    let captures = Captures::read(paths, verb, &points)?;
    let prepared = captures.prepare(verb.options());
    let unvaried = Point { values: Vec::new(), scenario: verb.unvaried()? };
    let mut find = Find {
        condition: condition.to_string(),
        figure: *condition,
        recorded_value: captures.usable.first().map_or(0.0, |(_, first)| first.recorded(axis.knob)),
        holds_already: false,
        unvaried: answer_all(&prepared, &[unvaried], verb.threads, progress)?.ok_or(Stopped)?,
        value: None,
        runs: 0,
        shares: Vec::new(),
        command: None,
        sweep: report(verb, &[], captures.all.clone(), Vec::new()),
    };
    find.holds_already =
        !prepared.is_empty() && find.unvaried.iter().all(|row| row.satisfies(condition));
    if !prepared.is_empty() && !find.holds_already {
        try_values(&mut find, axis, verb, &prepared, progress)?;
    }
    if let Some(value) = find.value {
        let rows = confirm(verb, axis, value, &captures, progress)?;
        find.runs = rows.iter().map(|row| runs(row, verb)).max().unwrap_or(0);
        find.shares = rows.iter().map(|row| row.share(condition)).collect();
        find.command = Some(command(verb, axis, value, &captures));
    }
    Ok(find)
}

/// Searches and fills in what was tried.
fn try_values(
    find: &mut Find,
    axis: &Axis,
    verb: &SweepVerb,
    prepared: &[(usize, Prepared<'_>)],
    progress: Progress<'_>,
) -> Result<()> {
    let condition = find.figure;
    let mut rows: Vec<SweepRow> = Vec::new();
    let judge = |values: &[f64]| {
        let points =
            verb.points_of(&[Axis { knob: axis.knob, values: values.to_vec(), step: None }])?;
        let before = rows.len();
        let progress = &|done, total| progress(before + done, before + total);
        let Some(more) = answer_all(prepared, &points, verb.threads, progress)? else {
            return Ok(None);
        };
        let holds = (0..values.len())
            .map(|value| more.iter().skip(value).step_by(values.len()))
            .map(|mut of_value| of_value.all(|row| row.satisfies(&condition)))
            .collect();
        rows.extend(more);
        anyhow::Ok(Some(holds))
    };
    let found: SearchResult = search(axis, find.recorded_value, judge)?.ok_or(Stopped)?;
    find.value = found.value;
    let mut values: Vec<f64> = found.tried.iter().map(|(value, _)| *value).collect();
    values.sort_by(f64::total_cmp);
    rows.sort_by(|a, b| a.capture.cmp(&b.capture).then(a.values[0].total_cmp(&b.values[0])));
    let tried = Axis { knob: axis.knob, values, step: axis.step };
    find.sweep = report(verb, &[tried], find.sweep.captures.clone(), rows);
    Ok(())
}

/// What a whole ensemble says about the value that was found with few runs.
fn confirm(
    verb: &SweepVerb,
    axis: &Axis,
    value: f64,
    captures: &Captures,
    progress: Progress<'_>,
) -> Result<Vec<SweepRow>> {
    let options = AskOptions { members: verb.members.max(DEFAULT_MEMBERS), ..verb.options() };
    let points = verb.points_of(&[Axis { knob: axis.knob, values: vec![value], step: None }])?;
    Ok(answer_all(&captures.prepare(options), &points, verb.threads, progress)?.ok_or(Stopped)?)
}

fn runs(row: &SweepRow, verb: &SweepVerb) -> usize {
    if row.tier == Tier::Model { verb.members.max(DEFAULT_MEMBERS) } else { 1 }
}

/// The command that shows what was found, for the first capture.
fn command(verb: &SweepVerb, axis: &Axis, value: f64, captures: &Captures) -> String {
    let capture = captures.usable.first().map_or("", |(n, _)| captures.all[*n].capture.as_str());
    let mut words = verb.typed.clone();
    words.extend(verb.part.flags());
    words.extend([format!("--{}", axis.knob.name), axis.knob.unit.write(value)]);
    if verb.open_loop {
        words.push("--open-loop".to_owned());
    }
    let words: Vec<_> = words.iter().map(|word| shell::word(word)).collect();
    format!("lagtape what-if {} {}", shell::file(capture), words.join(" "))
}
