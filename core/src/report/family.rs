//! Which family served the session, and what its own measures say.

use serde::Serialize;

use crate::engine::{EndKind, Engine};
use crate::family::{Family, FamilyKind, FamilyUse};
use crate::heard::TapeReport;
use crate::time::Nanos;

use super::format::{Figure, OneLine, plural};

/// The family of a session, beside the reference's report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FamilyReport {
    #[serde(flatten)]
    pub of: FamilyUse,
    /// The piece is over: the playhead passed the newest audio, no slice came any more, and the server
    /// lives.
    pub ended: bool,
    /// What is healthy of the family, in seconds; 0 where it has none.
    pub healthy: HealthySilence,
    /// The figures of an append-only session; `null` of others, and where no buffer came.
    pub frontier: Option<TapeReport>,
}

/// Silences that are healthy of a family.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthySilence {
    /// From `ready` to the first audio.
    pub first_audio_s: f64,
    /// Between two bursts of slices.
    pub burst_s: f64,
    /// The longest within a session.
    pub silence_s: f64,
}

impl FamilyReport {
    pub(super) fn of(engine: &Engine, at: Nanos) -> FamilyReport {
        let of = engine.family().clone();
        let traits = of.name.traits();
        let frontier = engine.heard_meter().zip(engine.origin());
        let frontier = frontier.and_then(|(meter, origin)| meter.tape_report(origin));
        let kind = engine.ending(at).kind;
        let lives = !matches!(kind, EndKind::PipelineError | EndKind::Cut | EndKind::ServerSilent);
        let is_over = frontier.as_ref().is_some_and(|tape| tape.ended_s.is_some());
        let is_finished = || engine.facts().last_params_update().get("ar_finished")?.as_bool();
        let is_finished = frontier.is_some() && is_finished() == Some(true);
        FamilyReport {
            ended: lives && (is_over || is_finished),
            healthy: HealthySilence {
                first_audio_s: traits.first_audio_s,
                burst_s: traits.burst_s,
                silence_s: traits.silence_s,
            },
            frontier,
            of,
        }
    }

    /// The answer of a session whose piece is over and that was healthy until then.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        let ended_s = self.frontier.as_ref()?.ended_s;
        let at = ended_s.map_or(String::new(), |s| format!(" at {} s", Figure(s)));
        self.ended
            .then(|| format!("ended: the piece was over{at}; nothing stale or late was heard"))
    }

    /// A line for people; none where the session is of the usual family and says nothing else.
    pub(super) fn line(&self) -> Option<String> {
        let FamilyUse { name, kind, .. } = &self.of;
        if *name == Family::Acestep && *kind == FamilyKind::RefiningLoop {
            return None;
        }
        Some(format!("family: {}", OneLine(&self.of.note())))
    }

    /// The figures of a tape, in lines.
    pub(super) fn figures(&self) -> Vec<String> {
        let Some(tape) = &self.frontier else { return Vec::new() };
        let lowest =
            tape.lowest_frontier_s.map_or(String::new(), |s| format!(", lowest {} s", Figure(s)));
        let mut lines = vec![format!(
            "frontier   {} s ahead of the playhead{lowest}   {} burst{}, longest silence {} s",
            Figure(tape.frontier_s),
            tape.bursts,
            plural(tape.bursts as usize),
            Figure(tape.longest_silence_s)
        )];
        if tape.previous_lap_s + tape.initial_zeros_s > 0.0 {
            lines.push(format!(
                "heard      {} s of the lap before, {} s of the initial zeros",
                Figure(tape.previous_lap_s),
                Figure(tape.initial_zeros_s)
            ));
        }
        if tape.holes > 0 {
            lines.push(format!("holes      {}, heard for {} s", tape.holes, Figure(tape.hole_s)));
        }
        lines
    }
}
