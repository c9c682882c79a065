//! The signatures: what each class of incident leaves in the evidence.
//!
//! Enters: a [`View`]. Leaves: suspects and notes. A signature looks for the mechanism of its class, not
//! for its symptom: which of generation, link, server clock and client did not keep its rate, while the
//! others did.

mod asked;
mod burst;
mod client;
mod clock;
mod content;
mod generation;
mod link;
mod load;
mod pace;
mod tape;
#[cfg(test)]
mod tests;

use super::finding::DiagnosisNote;
use super::suspect::Suspect;
use super::view::View;

pub use client::{AudioClock, audio_clock};
pub use pace::Step;

/// Slope and depth of the deepest fall of the leads.
pub fn deepest_fall(view: &View, paces: &[Step]) -> Option<(f64, f64)> {
    let falls = clock::falls(view, paces);
    let deepest = falls.iter().min_by(|one, two| one.lowest_s.total_cmp(&two.lowest_s))?;
    Some((deepest.slope, view.usual.lead_s - deepest.lowest_s))
}

/// What several signatures measure.
pub struct SharedMeasures {
    pub paces: Vec<Step>,
    pub clock: Option<AudioClock>,
}

impl SharedMeasures {
    pub fn of(view: &View) -> SharedMeasures {
        SharedMeasures { paces: pace::paces(view), clock: audio_clock(view) }
    }
}

/// Everything that the signatures see.
pub fn all(view: &View, measured: &SharedMeasures) -> (Vec<Suspect>, Vec<DiagnosisNote>) {
    if view.is_tape {
        // Its portions have other cadences, and nothing on it is placed.
        let stalls = generation::suspects(view, &tape::standstills(view), &[]);
        return (tape::suspects(view, stalls), Vec::new());
    }
    let SharedMeasures { paces, clock } = measured;
    let client = client::suspects(view, clock.as_ref());
    let content = content::suspects(view);
    let spells = load::spells(view);
    let mut suspects = generation::suspects(view, &spells, &content);
    suspects.extend(clock::suspects(view, paces, &spells, &content));
    let link = link::suspects(view, paces, &spells, &suspects, &client, &content);
    suspects.extend(link);
    suspects.extend(asked::suspect(view, paces));
    suspects.extend(content);
    suspects.extend(client);
    (suspects, content::notes(view))
}
