//! `what-if`: a recorded session under a change, or under several, and how far the answers can be
//! trusted.

mod derived;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::derived::{Derived, Marks, sound_of};
use super::advice::worded;
use super::audio::Sound;
use super::part::SessionPart;
use super::recording;
use crate::lag::ReportArgs;
use crate::parse::Misuse;
use crate::report::SCHEMA;
use crate::report::what_if::{Alternative, ModelUse, WhatIf, WhatIfSide};
use crate::scenario::NamedScenario;
use crate::scenario::advice::Wording;
use crate::scenario::answer::{AskOptions, NoAnswer, Prepared, Recording, ScenarioAnswer};
use crate::scenario::open_loop::Scratch;
use crate::scenario::{Scenario, Tier};
use crate::sweep;
use crate::time::Offset;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct WhatIfVerb {
    /// What would have been different.
    pub scenario: Scenario,
    /// Keep the recorded slices, whatever the server would have done.
    pub open_loop: bool,
    pub members: usize,
    /// Only this part of the session, as if it had been cut out.
    pub part: SessionPart,
    pub report: ReportArgs,
    /// Where to write what would have been heard, as WAV; of several scenarios a folder.
    pub audio: Option<PathBuf>,
    /// Where to write the counterfactual session, as a capture; of several scenarios a folder.
    pub capture: Option<PathBuf>,
    pub force: bool,
    /// How reasons say what to do.
    pub wording: Wording,
}

/// Asks what would have been.
pub fn what_if(path: &Path, verb: &WhatIfVerb) -> Result<WhatIf> {
    let is_modelled = is_modelled(verb, &[&verb.scenario])?;
    let derived = Derived::create(path, verb)?;
    AskedCapture::read(path, verb, is_modelled)?.answer(verb, derived)
}

/// Asks the same capture what would have been under each of several scenarios, in their order. What
/// `verb` has for a scenario is not asked. One that has no answer does not keep the others from theirs.
pub fn what_ifs(
    path: &Path,
    verb: &WhatIfVerb,
    scenarios: &[NamedScenario],
) -> Result<Vec<Alternative>> {
    check_names(scenarios)?;
    let asked: Vec<_> = scenarios.iter().map(|it| &it.scenario).collect();
    let is_modelled = is_modelled(verb, &asked)?;
    for folder in verb.audio.iter().chain(&verb.capture) {
        let failed = || format!("cannot make the folder {}", folder.display());
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    let mut all = Vec::new();
    for NamedScenario { name, scenario } in scenarios {
        let file = |folder: &Option<PathBuf>, ending| {
            folder.as_ref().map(|folder| folder.join(format!("{name}.{ending}")))
        };
        let verb = WhatIfVerb {
            scenario: scenario.clone(),
            audio: file(&verb.audio, "wav"),
            capture: file(&verb.capture, "lagtape"),
            ..verb.clone()
        };
        let derived = Derived::create(path, &verb)?;
        all.push((name, verb, derived));
    }
    let asked = AskedCapture::read(path, verb, is_modelled)?;
    // Only the runs take time, and what is written is written one after another.
    let answers = sweep::map_in_order(&all, 0, |(_, verb, _)| {
        asked.prepared(verb).answer(&verb.scenario, &mut Scratch::default())
    })?;
    let alternatives = all.into_iter().zip(answers).map(|((name, verb, derived), answer)| {
        let answered = asked.told(&verb, answer, derived);
        let answer = answered.map_err(|error| worded(&error, verb.wording));
        Alternative::of(name, &asked.path.display().to_string(), &verb.scenario, answer)
    });
    Ok(alternatives.collect())
}

/// What would have been heard, to be put beside what was.
pub(super) fn sound(path: &Path, verb: &WhatIfVerb) -> Result<(WhatIf, Sound)> {
    let asked = AskedCapture::read(path, verb, is_modelled(verb, &[&verb.scenario])?)?;
    let prepared = asked.prepared(verb);
    let answer =
        prepared.answer(&verb.scenario, &mut Scratch::default()).map_err(asked.no_answer())?;
    let story = prepared.story(&verb.scenario, &answer)?;
    let sound = sound_of(path, asked.part, &story, asked.recording.columns().report_at)?;
    Ok((asked.told(verb, Ok(answer), None)?, sound))
}

/// Whether the model may be asked, or why no capture could answer.
fn is_modelled(verb: &WhatIfVerb, scenarios: &[&Scenario]) -> Result<bool> {
    verb.report.check(0.0)?;
    let mut is_modelled = false;
    for scenario in scenarios {
        let need = scenario.needs(verb.open_loop);
        if need.tier == Tier::Refused {
            return Err(NoAnswer::Question(need.reason).into());
        }
        is_modelled |= need.tier == Tier::Model;
    }
    Ok(is_modelled)
}

/// Names become names of files, and each is that of one scenario.
fn check_names(scenarios: &[NamedScenario]) -> Result<()> {
    for (number, NamedScenario { name, .. }) in scenarios.iter().enumerate() {
        let is_plain = |c: char| !c.is_control() && !"/\\:*?\"<>|".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            bail!(Misuse(format!(
                "\"{}\" is no name for a scenario, whose files have it; write letters, digits, - or _",
                name.escape_debug()
            )));
        }
        if scenarios[..number].iter().any(|before| before.name == *name) {
            bail!(Misuse(format!(
                "two scenarios are named \"{name}\"; name one of them otherwise, with name = in its file"
            )));
        }
    }
    Ok(())
}

/// A capture that was read for questions.
struct AskedCapture<'a> {
    path: &'a Path,
    /// The part of it that was read.
    part: SessionPart,
    recording: Recording,
    factual: ScenarioAnswer,
}

impl<'a> AskedCapture<'a> {
    /// Reads a capture, and its messages where the model may be asked.
    fn read(path: &'a Path, verb: &WhatIfVerb, is_modelled: bool) -> Result<AskedCapture<'a>> {
        let part = verb.part.resolved(path)?;
        let recording = recording::read_part(path, part, is_modelled)?;
        let factual = recording.prepare(options(verb)).factual(&mut Scratch::default())?;
        Ok(AskedCapture { path, part, recording, factual })
    }

    fn prepared(&self, verb: &WhatIfVerb) -> Prepared<'_> {
        self.recording.prepare(options(verb))
    }

    fn no_answer(&self) -> impl Fn(NoAnswer) -> anyhow::Error {
        let context = format!("no answer from {}", self.path.display());
        move |why| anyhow::Error::from(why).context(context.clone())
    }

    fn answer(&self, verb: &WhatIfVerb, derived: Option<Derived>) -> Result<WhatIf> {
        let answer = self.prepared(verb).answer(&verb.scenario, &mut Scratch::default());
        self.told(verb, answer, derived)
    }

    /// An answer beside the recording, with its files written.
    fn told(
        &self,
        verb: &WhatIfVerb,
        answer: Result<ScenarioAnswer, NoAnswer>,
        derived: Option<Derived>,
    ) -> Result<WhatIf> {
        let answer = answer.map_err(self.no_answer())?;
        if let Some(derived) = derived {
            let story = self.prepared(verb).story(&verb.scenario, &answer)?;
            let end = self.recording.columns().report_at;
            let marks = Marks::of(self.path, self.part, verb, &answer)?;
            derived.write(self.path, self.part, &story, end, &marks)?;
        }
        let model = match answer.tier {
            Tier::Model => Some(ModelUse::of(&self.recording.fitted()?)),
            _ => None,
        };
        let columns = self.recording.columns();
        let begins_s = columns.begins.seconds_since(columns.origin);
        let (factual, counterfactual) = (WhatIfSide::of(&self.factual), WhatIfSide::of(&answer));
        let ScenarioAnswer { tier, reason, valid_until_s, beyond_share, outcomes, .. } = answer;
        Ok(WhatIf {
            schema: SCHEMA,
            capture: self.path.display().to_string(),
            from_s: self.part.from.map(Offset::seconds),
            to_s: self.part.to.map(Offset::seconds),
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
            audio_from_s: verb.audio.as_ref().map(|_| begins_s).filter(|from_s| *from_s > 0.0),
            derived: verb.capture.as_ref().map(|capture| capture.display().to_string()),
        })
    }
}

fn options(verb: &WhatIfVerb) -> AskOptions {
    AskOptions {
        open_loop: verb.open_loop,
        members: verb.members.max(1),
        report: verb.report,
        heard: true,
        wording: verb.wording,
    }
}
