//! The gate of a server that only appends, as its recording shows it.

use super::super::gate::{Gate, appended};
use super::super::generations::NewFrames;
use super::super::hypothesis::Hypothesis;
use super::clues::Clues;
use super::{Fit, FitError, checked};

/// The server with the gate of its family that explains its chunks best, if it repeats the recording.
pub(super) fn fit(clues: &Clues<'_>) -> Result<Fit, FitError> {
    let round_trip_ns = clues.known_way_ns();
    let gate = Gate::of(clues.trace, round_trip_ns);
    let period_ns = gate.period_ns();
    let server = Hypothesis {
        round_trip_ns,
        generations: appended(&clues.trace.slices),
        new_frames: NewFrames::default(),
        gate: Some(gate),
        mean_transit_ns: 0,
        ..clues.plain.clone()
    };
    let (server, factual_error) = checked(clues, server)?;
    Ok(Fit { server, period_ns, tick_s: clues.tick_s, factual_error })
}
