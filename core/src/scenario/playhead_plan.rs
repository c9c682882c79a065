//! Where the listener would have been.
//!
//! Enters: the recorded ops and a scenario's [`Playback`]. Leaves: [`Piece`]s, each a playhead that
//! nobody commands between two places among the events. Ops are ordered by their times, and one at
//! time t comes after every event up to t.

use super::Playback;
use super::columns::{Columns, Place, RecordedOp};
use crate::capture::Marker;
use crate::peer::script::ScriptedOp;
use crate::playhead::PlayheadSim;
use crate::time::Nanos;

/// A playhead from one place among the events up to the next piece's.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub from: Place,
    pub playhead: PlayheadSim,
}

/// Something that happens to a playhead.
struct Happening<'a> {
    at: Nanos,
    place: Place,
    op: Op<'a>,
}

enum Op<'a> {
    Reset(u64),
    Marker(&'a Marker),
}

/// Fills `pieces` with the playhead of a scenario, from where the columns begin to their end.
pub(super) fn pieces(columns: &Columns, playback: &Playback, pieces: &mut Vec<Piece>) {
    pieces.clear();
    let mut playhead = first(columns, playback);
    pieces.push(Piece { from: Place::default(), playhead: playhead.clone() });
    for Happening { at, place, op } in happenings(columns, playback) {
        match op {
            Op::Reset(frames) => playhead.reset(frames, at.seconds()),
            Op::Marker(op) => playhead.operate(&skewed(op, playback), at.seconds()),
        }
        pieces.push(Piece { from: place, playhead: playhead.clone() });
    }
}

/// The first place at which this playhead may be elsewhere than the recorded one; `None` where it
/// never is.
pub(super) fn diverges(columns: &Columns, playback: &Playback) -> Option<Place> {
    let Playback { rate, skew_ppm, start_offset_s, quantum_frames, ops, replace_ops } = playback;
    if rate.is_some()
        || skew_ppm.is_some()
        || start_offset_s.is_some()
        || quantum_frames.is_some_and(|quantum| quantum > 1)
    {
        return Some(Place::default());
    }
    let replaced = columns.ops.first().filter(|_| *replace_ops).map(|op| op.place);
    ops.iter()
        .filter_map(|op| Some(columns.place_at(columns.origin.checked_add(op.at)?)))
        .chain(replaced)
        .min()
}

fn first(columns: &Columns, playback: &Playback) -> PlayheadSim {
    let mut playhead = columns.playhead.clone();
    let ops = first_ops(playback, &playhead);
    ops.for_each(|op| playhead.operate(&op, columns.begins.seconds()));
    playhead
}

/// Swaps, recorded ops and the scenario's in their order.
fn happenings<'a>(columns: &'a Columns, playback: &'a Playback) -> Vec<Happening<'a>> {
    let mut all = Vec::new();
    for (number, epoch) in columns.epochs.iter().enumerate().skip(1) {
        let place = Place { epoch: number, ..Place::default() };
        let reset = Happening { at: epoch.began, place, op: Op::Reset(epoch.frames) };
        all.push((place, epoch.latest, reset));
    }
    for MovingOp { at, latest, place, op, .. } in moving_ops(columns, playback) {
        all.push((place, latest, Happening { at, place, op: Op::Marker(op) }));
    }
    all.sort_by_key(|(place, latest, _)| (*place, *latest));
    all.into_iter().map(|(_, _, happening)| happening).collect()
}

/// An op of a scenario's listener.
pub(super) struct MovingOp<'a> {
    pub at: Nanos,
    /// The latest time of any record up to then.
    pub latest: Nanos,
    pub place: Place,
    /// Its number, where it was recorded.
    pub recorded: Option<usize>,
    pub op: &'a Marker,
}

/// The recorded ops that stay, then the scenario's in any order.
pub(super) fn moving_ops<'a>(
    columns: &'a Columns,
    playback: &'a Playback,
) -> impl Iterator<Item = MovingOp<'a>> {
    let stays = |(_, recorded): &(usize, &RecordedOp)| stays(&recorded.op, playback);
    let recorded = columns.ops.iter().enumerate().filter(stays).map(|(number, recorded)| {
        let RecordedOp { t: at, latest, place, ref op } = *recorded;
        MovingOp { at, latest, place, recorded: Some(number), op }
    });
    let scripted = playback.ops.iter().filter_map(|ScriptedOp { at, op }| {
        let at = columns.origin.checked_add(*at)?;
        Some(MovingOp { at, latest: at, place: columns.place_at(at), recorded: None, op })
    });
    recorded.chain(scripted)
}

/// What the scenario does to the playhead with which a recording begins, in its order.
pub(super) fn first_ops(
    playback: &Playback,
    recorded: &PlayheadSim,
) -> impl Iterator<Item = Marker> + use<> {
    let seek = playback.start_offset_s.map(|to_s| Marker::Seek { to_s });
    // Setting a rate rounds the position, so one that stays is not set.
    let is_set = playback.rate.is_some() || playback.skew_ppm.is_some();
    let rate = playback.rate.unwrap_or(recorded.state().rate) * skew(playback);
    seek.into_iter().chain(is_set.then_some(Marker::Rate { rate }))
}

/// An op as it happens to a listener whose clock may be fast.
pub(super) fn skewed(op: &Marker, playback: &Playback) -> Marker {
    match op {
        Marker::Rate { rate } => Marker::Rate { rate: rate * skew(playback) },
        other => other.clone(),
    }
}

/// Whether a recorded op still happens.
pub(super) fn stays(op: &Marker, playback: &Playback) -> bool {
    let replaced = playback.rate.is_some() && matches!(op, Marker::Rate { .. });
    !playback.replace_ops && !replaced
}

fn skew(playback: &Playback) -> f64 {
    playback.skew_ppm.map_or(1.0, |ppm| 1.0 + ppm * 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_ops_stay_unless_others_take_their_place() {
        let all = Playback::default();
        let other_rate = Playback { rate: Some(1.5), ..Playback::default() };
        let none = Playback { replace_ops: true, ..Playback::default() };
        let rate = Marker::Rate { rate: 2.0 };
        let stay = |playback: &Playback| [&rate, &Marker::Pause].map(|op| stays(op, playback));
        assert_eq!(stay(&all), [true, true]);
        assert_eq!(stay(&other_rate), [false, true]);
        assert_eq!(stay(&none), [false, false]);
    }
}
