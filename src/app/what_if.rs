//! `what-if`: a recorded session under a change, and how far the answer can be trusted.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::capture::Records;
use crate::edge::files::{self, CaptureFile};
use crate::engine::{Engine, Options};
use crate::lag::ReportArgs;
use crate::report::SCHEMA;
use crate::report::what_if::{ModelUse, Side, WhatIf};
use crate::scenario::columns::{Columns, ColumnsBuilder};
use crate::scenario::model::{self, Change, Fit, Trace, Tracer};
use crate::scenario::open_loop::{OpenLoop, Scratch};
use crate::scenario::{Scenario, Tier};
use crate::time::Nanos;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct WhatIfVerb {
    /// What would have been different.
    pub scenario: Scenario,
    /// Keep the recorded slices, whatever the server would have done.
    pub open_loop: bool,
    /// Runs of the model.
    pub members: usize,
    /// What the reports cover.
    pub report: ReportArgs,
}

/// A capture as the walkers of what-ifs need it, made in one pass.
struct Recording {
    columns: Columns,
    trace: Result<Trace, model::TraceError>,
}

/// Asks what would have been.
pub fn what_if(path: &Path, verb: &WhatIfVerb) -> Result<WhatIf> {
    verb.report.check(0.0)?;
    let need = verb.scenario.needs(verb.open_loop);
    if need.tier == Tier::Refused {
        bail!(need.reason);
    }
    let recording = files::open_capture(path)
        .and_then(|records| read(records, verb.report))
        .with_context(|| format!("cannot replay {}", path.display()))?;
    let open = OpenLoop::new(&recording.columns, verb.report);
    let mut scratch = Scratch::default();
    let factual = open.answer(&Scenario::default(), &mut scratch)?;
    let mut answer = WhatIf {
        schema: SCHEMA,
        capture: path.display().to_string(),
        scenario: verb.scenario.clone(),
        tier: need.tier,
        reason: need.reason.to_owned(),
        valid_until_s: None,
        beyond_share: 0.0,
        counterfactual: Side { lag: factual.lag.clone() },
        factual: Side { lag: factual.lag },
        outcomes: Vec::new(),
        model: None,
    };
    if need.tier == Tier::Model {
        match by_model(&mut answer, &recording, verb) {
            Ok(()) => return Ok(answer),
            Err(refusal) if verb.scenario.only_moves_playhead() => {
                answer.reason = format!("{refusal:#}; so recorded slices stay as they were.");
            }
            Err(refusal) => return Err(refusal),
        }
    }
    let moved = open.answer(&verb.scenario, &mut scratch)?;
    answer.tier = moved.tier;
    answer.valid_until_s = moved.valid_until_s;
    answer.beyond_share = moved.beyond_share;
    answer.counterfactual = Side { lag: moved.lag };
    Ok(answer)
}

fn read(mut records: Records<CaptureFile>, report: ReportArgs) -> Result<Recording> {
    let options = Options {
        headers_only: true,
        stale_threshold_s: report.stale_threshold_s,
        ..Options::default()
    };
    let mut engine = Engine::new(options);
    let (mut columns, mut tracer) = (ColumnsBuilder::new(), Tracer::new());
    while let Some(record) = records.next_record()? {
        engine.handle(&record);
        columns.see(&engine, &record);
        tracer.handle(&record);
    }
    let last = engine.facts().span.map_or(Nanos(0), |(_, last)| last);
    let at = engine.facts().end.as_ref().map_or(last, |(t, _)| *t);
    let Some(columns) = columns.finish(&engine, at) else {
        bail!("the initial buffer never came, so there is nothing to ask about");
    };
    Ok(Recording { columns, trace: tracer.finish() })
}

/// Answers by the model, or says why it cannot.
fn by_model(answer: &mut WhatIf, recording: &Recording, verb: &WhatIfVerb) -> Result<()> {
    let trace = match &recording.trace {
        Ok(trace) => trace,
        Err(error) => bail!("{error}"),
    };
    let change = Change::of(&verb.scenario, trace)?;
    let fit = Fit::of(trace)?;
    let modelled = model::answer(&model::Question {
        trace,
        fit: &fit,
        change: &change,
        args: verb.report,
        members: verb.members,
        seed: verb.scenario.seed,
    })?;
    let Some(likeliest) = modelled.outcomes.first() else { bail!("the model has no outcome") };
    answer.tier = Tier::Model;
    answer.counterfactual = Side { lag: likeliest.lag.clone() };
    answer.outcomes = modelled.outcomes;
    answer.model = Some(ModelUse { parameters: fit.policy, factual_error: fit.factual_error });
    Ok(())
}

/// Reads a scenario file: TOML with the keys of [`Scenario`].
pub fn read_scenario(path: &Path) -> Result<Scenario> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let document = toml::from_str(&text).with_context(|| format!("{name} is no TOML"))?;
    Scenario::from_value(document).with_context(|| format!("{name} is no scenario"))
}
