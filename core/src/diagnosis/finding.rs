//! What a diagnosis says: findings, notes, what cannot be told, and the figures behind them.

use serde::Serialize;

use super::class::{Class, Subsystem};
use super::figures::Estimates;
use super::proof::Proof;

/// The cause of what was heard, and everything that was found beside it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// Worst first: the audible ones by their bad seconds, then the others by confidence.
    pub findings: Vec<Finding>,
    /// What looks like an incident and is healthy.
    pub notes: Vec<DiagnosisNote>,
    /// How the session ended, where it should not have ended like that: the class of the finding.
    pub ended_as: Option<Class>,
    /// What cannot be told apart with the evidence there is.
    pub ambiguity: Vec<Ambiguity>,
    /// What is left of the lag when all causes that can be taken away are; `null` where these are fewer
    /// than two.
    pub together: Option<Proof>,
    /// The figures behind it.
    pub estimates: Estimates,
    /// A knob, and what to turn it to, that the recording was found to answer what-ifs of.
    #[serde(skip)]
    pub question: Option<(&'static str, &'static str)>,
}

/// A named cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    pub class: Class,
    pub subsystem: Subsystem,
    /// What happened, with its figures.
    pub sentence: String,
    /// When it began and ended, in seconds from the initial buffer.
    pub from_s: f64,
    pub to_s: f64,
    /// Seconds of bad audio that were heard because of it: the sum of the next three.
    pub bad_s: f64,
    /// Of these, old audio.
    pub stale_s: f64,
    /// Audio of the source that no slice had covered.
    pub raw_s: f64,
    /// Silence, and audio of the track before.
    pub missing_s: f64,
    /// A listener heard it.
    pub audible: bool,
    /// 0 to 1: how much of what the class should show was seen.
    pub confidence: f64,
    /// Cause, mechanism, symptom.
    pub chain: Vec<ChainLink>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// What it was told apart from, and by what.
    pub told_apart: Vec<ToldApart>,
    /// What is left of the lag when the model takes the cause away; `null` where the finding rests on
    /// signatures alone.
    pub proof: Option<Proof>,
    /// Why there is no proof, where one was looked for.
    pub unproven: Option<String>,
    pub mitigation: &'static str,
    /// The command to run next.
    pub next: String,
}

#[cfg(test)]
impl Finding {
    /// A finding that says nothing but its class.
    pub(crate) fn of(class: Class) -> Finding {
        Finding {
            class,
            subsystem: class.subsystem(),
            sentence: String::new(),
            from_s: 0.0,
            to_s: 0.0,
            bad_s: 0.0,
            stale_s: 0.0,
            raw_s: 0.0,
            missing_s: 0.0,
            audible: false,
            confidence: 0.0,
            chain: Vec::new(),
            against: Vec::new(),
            told_apart: Vec::new(),
            proof: None,
            unproven: None,
            mitigation: "",
            next: String::new(),
        }
    }
}

/// One step from the cause to what was heard.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChainLink {
    pub what: String,
    pub figures: Vec<MeasuredFigure>,
    /// Numbers of records that show it; empty where only checkpoints were read.
    pub records: Vec<u64>,
}

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeasuredFigure {
    /// Its name, which ends in its unit.
    pub name: &'static str,
    pub value: f64,
}

/// A class that looks like the finding's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToldApart {
    pub from: Class,
    /// What was seen that the other would not show.
    pub by: String,
}

/// Something that looks like an incident and is healthy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiagnosisNote {
    pub what: HealthyPattern,
    pub from_s: f64,
    pub to_s: f64,
    pub sentence: String,
}

/// The healthy look-alikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HealthyPattern {
    /// The server rests since nothing changed.
    IdlePause,
    /// The player is paused.
    PausedPlayer,
    /// Old audio for about the lead after a seek.
    SeekTransient,
    /// The same after a swap.
    SwapTransient,
    /// One gap at a change of chunk.
    ChunkChange,
    /// No new generation in a loop that has settled.
    SettledLoop,
    /// Times of arrival vary, and leads allow for it.
    Jitter,
}

/// Classes that the evidence cannot tell apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ambiguity {
    pub classes: Vec<Class>,
    /// What is missing.
    pub missing: &'static str,
    /// What to record next time.
    pub record_next: &'static str,
}
