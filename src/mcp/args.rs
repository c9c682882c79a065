//! Arguments that several tools share, and the checks of their values.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::SessionPart;
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::playhead::PlayheadSource;
use crate::time::{Offset, Span};

/// Longest length of time that is accepted, in seconds: more than a year.
const MAX_SECONDS: f64 = 1e8;

/// How much an answer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// What is needed to decide what to do next.
    #[default]
    Concise,
    /// With everything that is known, as far as it fits.
    Detailed,
}

/// Which playhead reports measure against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlayheadChoice {
    /// The reference's, moved by the capture's own seeks, pauses and rates.
    Simulated,
    /// What the client reported.
    Reported,
}

impl From<PlayheadChoice> for PlayheadSource {
    fn from(playhead: PlayheadChoice) -> Self {
        match playhead {
            PlayheadChoice::Simulated => PlayheadSource::Simulated,
            PlayheadChoice::Reported => PlayheadSource::Reported,
        }
    }
}

/// Which part of a session is asked about.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
pub struct TimeRange {
    /// From then on
    from_s: Option<f64>,
    /// Up to then
    to_s: Option<f64>,
}

impl TimeRange {
    /// The part, in moments from the initial buffer on.
    pub fn part(self) -> Result<SessionPart> {
        Ok(SessionPart {
            from: self.from_s.map(|s| offset("from_s", s)).transpose()?,
            to: self.to_s.map(|s| offset("to_s", s)).transpose()?,
            episode: None,
        })
    }

    /// The same as a command line has it, with a space before.
    pub fn flags(self) -> Result<String> {
        Ok(self.part()?.flags().iter().map(|word| format!(" {word}")).collect())
    }
}

/// A report's arguments out of those of a tool.
pub fn report_args(
    window_s: Option<f64>,
    stale_threshold_s: Option<f64>,
    timeline_step_s: Option<f64>,
) -> Result<ReportArgs> {
    for (name, value) in [("window_s", window_s), ("stale_threshold_s", stale_threshold_s)] {
        if let Some(value) = value {
            ensure!(value >= 0.0, "{name} is {value}; give 0 or more seconds");
        }
    }
    let args = ReportArgs {
        window_s,
        stale_threshold_s: stale_threshold_s.unwrap_or(DEFAULT_STALE_THRESHOLD_S),
        timeline_step_s,
    };
    args.check(0.0)?;
    Ok(args)
}

/// A length of time.
pub fn span(name: &str, seconds: f64) -> Result<Span> {
    ensure!(
        (0.0..=MAX_SECONDS).contains(&seconds),
        "{name} is {seconds}; give seconds from 0 to {MAX_SECONDS}"
    );
    Ok(Span((seconds * 1e9).round() as u64))
}

/// A moment from the initial buffer on, or before it.
pub fn offset(name: &str, seconds: f64) -> Result<Offset> {
    ensure!(
        (-MAX_SECONDS..=MAX_SECONDS).contains(&seconds),
        "{name} is {seconds}; give seconds from the initial buffer"
    );
    Ok(Offset((seconds * 1e9).round() as i64))
}

/// A number of items, at least one.
pub fn limit(given: Option<u64>, usual: usize, most: usize) -> usize {
    given.map_or(usual, |given| usize::try_from(given).unwrap_or(most).clamp(1, most))
}

/// A number within bounds.
pub fn within(name: &str, value: f64, least: f64, most: f64) -> Result<f64> {
    ensure!((least..=most).contains(&value), "{name} is {value}; give from {least} to {most}");
    Ok(value)
}
