//! Which questions a recording can answer, said before anybody asks them.
//!
//! Enters: a [`Prepared`] recording. Leaves: [`Askable`], in which every knob and every op stands once
//! from the beginning on and once at a time, with the tier of its answers or the sentence that refuses
//! it. What decides is [`Prepared::tier`], which every answer goes through; nothing is run.

use serde::Serialize;

use super::advice::Wording;
use super::answer::{NoAnswer, Prepared};
use super::error::UNANSWERABLE;
use super::knobs::{AnsweredBy, KNOBS, Knob};
use super::open_loop::Scratch;
use super::quiet::Quiet;
use super::{Scenario, Tier, TimedChange, parse};
use crate::parse::Unit;
use crate::time::Span;

/// What can be asked of a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Askable {
    /// Why nothing can be asked; then nothing else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// From when on something can happen, in seconds from the initial buffer, …
    pub from_s: f64,
    /// … and up to when.
    pub to_s: f64,
    /// When nothing can happen in between, and why: over, silent, lost or rests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<AskableQuiet>,
    /// Questions that are answered alike, the most trusted first.
    pub answers: Vec<AskableGroup>,
}

/// When nothing can happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AskableQuiet {
    pub from_s: f64,
    pub to_s: f64,
    pub why: &'static str,
}

/// Questions that are answered alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AskableGroup {
    /// How far their answers can be trusted, at least.
    pub tier: Tier,
    /// Why they are refused, and what to do instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Knobs that hold from the beginning on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knobs: Vec<String>,
    /// Ops, and knobs that are turned at a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at_a_time: Vec<String>,
}

/// What the listener may do at a time.
const OPS: [(&str, &str); 3] = [("seek", "seek=0.7s"), ("pause", "pause"), ("rate", "rate=0.93")];

impl Askable {
    /// Of a capture that cannot be asked at all.
    #[must_use]
    pub fn nothing(why_not: String) -> Askable {
        let (from_s, to_s) = (0.0, 0.0);
        let (quiet, answers) = (Vec::new(), Vec::new());
        Askable { why_not: Some(why_not), from_s, to_s, quiet, answers }
    }

    /// What `prepared` answers. The model is fitted, where it can be.
    #[must_use]
    pub fn of(prepared: &Prepared<'_>, wording: Wording) -> Askable {
        let columns = prepared.recording().columns();
        let from_s = columns.begins.seconds_since(columns.origin);
        let to_s = columns.report_at.seconds_since(columns.origin);
        let spell = |quiet: &Quiet| {
            let Quiet { from_s, to_s, why } = *quiet;
            AskableQuiet { from_s, to_s, why: why.word() }
        };
        let mut quiet: Vec<_> = columns.quiet.iter().map(spell).collect();
        quiet.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        let mut askable = Askable { why_not: None, from_s, to_s, quiet, answers: Vec::new() };
        let mut scratch = Scratch::default();
        for knob in KNOBS.iter().filter(|knob| knob.answered_by != AnsweredBy::Every) {
            for (name, value) in probes(knob) {
                let tier = prepared.tier(&knob.alone(value), &mut scratch);
                askable.put(tier, wording).knobs.push(name);
            }
        }
        let Some(at) = askable.moment() else { return askable.finished(wording) };
        for (name, op) in OPS {
            let mut scenario = Scenario::default();
            let read = parse::add_op(&mut scenario, &format!("{at}:{op}"));
            debug_assert!(read.is_ok(), "{op}");
            let tier = prepared.tier(&scenario, &mut scratch);
            askable.put(tier, wording).at_a_time.push(name.to_owned());
        }
        for knob in KNOBS.iter().filter(|knob| knob.is_condition()) {
            for (name, value) in probes(knob) {
                let conditions = knob.alone(value).conditions;
                let timed = vec![TimedChange { at, conditions }];
                let scenario = Scenario { timed, ..Scenario::default() };
                let tier = prepared.tier(&scenario, &mut scratch);
                askable.put(tier, wording).at_a_time.push(name);
            }
        }
        askable.finished(wording)
    }

    /// The group of those that are answered in that tier or refused with that sentence.
    fn put(&mut self, answered: Result<Tier, NoAnswer>, wording: Wording) -> &mut AskableGroup {
        let (tier, why) = match answered {
            Ok(tier) => (tier, None),
            Err(why) => (Tier::Refused, Some(why.worded(wording))),
        };
        let known = self.answers.iter().position(|group| (group.tier, &group.why) == (tier, &why));
        let number = known.unwrap_or_else(|| {
            let (knobs, at_a_time) = (Vec::new(), Vec::new());
            self.answers.push(AskableGroup { tier, why, knobs, at_a_time });
            self.answers.len() - 1
        });
        &mut self.answers[number]
    }

    /// A moment at which something can happen: the middle of the longest spell with a stream.
    fn moment(&self) -> Option<Span> {
        let mut spells = Vec::new();
        let mut from_s = self.from_s;
        for quiet in &self.quiet {
            spells.push((from_s, quiet.from_s));
            from_s = from_s.max(quiet.to_s);
        }
        spells.push((from_s, self.to_s));
        let longest = spells.into_iter().max_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)))?;
        let middle_s = longest.0.midpoint(longest.1);
        (longest.1 > longest.0).then(|| Span((middle_s * 1e3).round() as u64 * 1_000_000))
    }

    fn finished(mut self, wording: Wording) -> Askable {
        self.answers.sort_by_key(|group| group.tier);
        for (names, why, advice) in UNANSWERABLE {
            let refused = AskableGroup {
                tier: Tier::Refused,
                why: Some(advice.after(why, wording)),
                knobs: names.iter().map(|name| (*name).to_owned()).collect(),
                at_a_time: Vec::new(),
            };
            self.answers.push(refused);
        }
        self
    }
}

/// Values that stand for all values of a knob, with the names of the questions: of a switch both.
fn probes(knob: &Knob) -> Vec<(String, f64)> {
    if knob.answered_by == AnsweredBy::ModelIfOn {
        let of = |(word, value)| (format!("{}={word}", knob.name), value);
        return [("on", 1.0), ("off", 0.0)].map(of).into();
    }
    let value = match knob.unit {
        Unit::Switch => 1.0 - knob.neutral,
        _ => knob.within_tries(),
    };
    vec![(knob.name.to_owned(), value)]
}
