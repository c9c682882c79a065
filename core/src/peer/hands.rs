//! Somebody at the knobs: a knob is turned now and then, so that a server that is used does not idle.

use serde_json::{Map, json};

use super::client::ClientCommand;
use super::rng::{Rng, Stream};
use crate::time::Span;

/// Mean time between two turns, in seconds; of the recordings of the real server.
const TURN_EVERY_S: f64 = 7.0;
/// Turns lie within this share of it, uniformly.
const TURN_SPREAD: f64 = 0.4;
/// Turns at most: two hours.
const MAX_TURNS: usize = 1_024;

/// A turn of the knob that listeners turn most.
#[must_use]
pub fn turn_knob(value: f64) -> ClientCommand {
    let mut knobs = Map::new();
    knobs.insert("denoise".to_owned(), json!(value));
    ClientCommand::Knobs(knobs)
}

/// The turns of a session of that length, in seconds from the initial buffer.
#[must_use]
pub fn knob_turns(seed: u64, run_for: Span) -> Vec<(Span, ClientCommand)> {
    let mut rng = Rng::new(seed, Stream::Client);
    let mut at_s = 0.0;
    let turns = std::iter::from_fn(|| {
        at_s += rng.around(TURN_EVERY_S, TURN_SPREAD);
        let value = (rng.around(0.6, 0.5) * 1e3).round() / 1e3;
        Some((Span((at_s * 1e9) as u64), turn_knob(value)))
    });
    turns.take_while(|(at, _)| *at < run_for).take(MAX_TURNS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_turns_are_so_far_apart_that_a_server_idles() {
        let turns = knob_turns(3, Span(600_000_000_000));
        assert_eq!(turns, knob_turns(3, Span(600_000_000_000)));
        assert!((70..=100).contains(&turns.len()), "{}", turns.len());
        let gaps = turns.windows(2).map(|pair| pair[1].0.seconds() - pair[0].0.seconds());
        assert!(gaps.into_iter().all(|gap_s| gap_s < 10.0));
    }
}
