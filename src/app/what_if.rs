//! `what-if`: a recorded session under a change, and how far the answer can be trusted.

mod derived;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::derived::{Derived, Marks};
use super::recording;
use crate::lag::ReportArgs;
use crate::report::SCHEMA;
use crate::report::what_if::{ModelUse, WhatIf, WhatIfSide};
use crate::scenario::advice::Wording;
use crate::scenario::answer::{AskOptions, ScenarioAnswer};
use crate::scenario::open_loop::Scratch;
use crate::scenario::{Scenario, Tier};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct WhatIfVerb {
    /// What would have been different.
    pub scenario: Scenario,
    /// Keep the recorded slices, whatever the server would have done.
    pub open_loop: bool,
    pub members: usize,
    pub report: ReportArgs,
    /// Where to write what would have been heard, as WAV.
    pub audio: Option<PathBuf>,
    /// Where to write the counterfactual session, as a capture.
    pub capture: Option<PathBuf>,
    pub force: bool,
    /// How reasons say what to do.
    pub wording: Wording,
}

/// Asks what would have been.
pub fn what_if(path: &Path, verb: &WhatIfVerb) -> Result<WhatIf> {
    verb.report.check(0.0)?;
    let need = verb.scenario.needs(verb.open_loop);
    if need.tier == Tier::Refused {
        bail!(need.reason);
    }
    let derived = Derived::create(path, verb)?;
    let recording = recording::read(path, need.tier == Tier::Model)?;
    let prepared = recording.prepare(AskOptions {
        open_loop: verb.open_loop,
        members: verb.members.max(1),
        report: verb.report,
        heard: true,
        wording: verb.wording,
    });
    let mut scratch = Scratch::default();
    let factual = prepared.factual(&mut scratch)?;
    let answer = prepared
        .answer(&verb.scenario, &mut scratch)
        .with_context(|| format!("no answer from {}", path.display()))?;
    let end = recording.columns().report_at;
    if let Some(derived) = derived {
        let story = prepared.story(&verb.scenario, &answer)?;
        derived.write(path, &story, end, &Marks::of(path, verb, &answer)?)?;
    }
    let model = match answer.tier {
        Tier::Model => {
            let (trace, fit) = recording.model()?;
            Some(ModelUse::of(trace, fit))
        }
        _ => None,
    };
    let (factual, counterfactual) = (WhatIfSide::of(&factual), WhatIfSide::of(&answer));
    let ScenarioAnswer { tier, reason, valid_until_s, beyond_share, outcomes, .. } = answer;
    Ok(WhatIf {
        schema: SCHEMA,
        capture: path.display().to_string(),
        scenario: verb.scenario.clone(),
        tier,
        reason,
        valid_until_s,
        beyond_share,
        factual,
        counterfactual,
        outcomes,
        members: if tier == Tier::Model { verb.members.max(1) } else { 0 },
        model,
        audio: verb.audio.as_ref().map(|audio| audio.display().to_string()),
        derived: verb.capture.as_ref().map(|capture| capture.display().to_string()),
    })
}
