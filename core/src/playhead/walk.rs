//! Repeated queries of a simulated playhead that receives no commands in between.
//!
//! The results equal [`PlayheadSim::position`] and [`PlayheadSim::frame`] bit for bit, without a
//! division for each query: the walk remembers where the lap began. Below 2⁵² frames that is a whole
//! number, so the subtraction rounds exactly as the modulo does.

use super::PlayheadSim;

/// Positions below this many frames are told apart to the frame and better.
const EXACT_BELOW: f64 = (1_u64 << 52) as f64;

/// Many looks at a playhead that nobody commands meanwhile.
#[derive(Clone, Debug)]
pub struct PlayheadWalk {
    playhead: PlayheadSim,
    sample_rate: f64,
    frames: f64,
    /// Frames walked when the present lap began; not a number while that is not known exactly.
    lap_from: f64,
}

impl PlayheadWalk {
    /// Looks at `playhead` as it is now.
    #[must_use]
    pub fn new(playhead: &PlayheadSim) -> Self {
        PlayheadWalk {
            sample_rate: f64::from(playhead.sample_rate),
            frames: playhead.frames as f64,
            lap_from: f64::NAN,
            playhead: playhead.clone(),
        }
    }

    /// The frame that is heard.
    #[must_use]
    #[inline]
    pub fn frame(&mut self, now_s: f64) -> u64 {
        let position = self.lap_position(now_s);
        if position >= 0.0 && position < self.frames {
            // A lap is known only of loops below 2⁵² frames, and an i64 is made in one step.
            return position as i64 as u64;
        }
        self.enter_lap(self.walked(now_s));
        self.playhead.frame(now_s)
    }

    /// The position in frames, in `[0, frames)`.
    #[must_use]
    #[inline]
    pub fn position(&mut self, now_s: f64) -> f64 {
        let position = self.lap_position(now_s);
        if position >= 0.0 && position < self.frames {
            // The playhead has no zero with a sign.
            return position.abs();
        }
        self.enter_lap(self.walked(now_s));
        self.playhead.position(now_s)
    }

    /// Frames since the beginning of the lap that [`PlayheadWalk::frame`] last saw. Inside the loop
    /// this is the position, of which the frame is the whole part; outside of it, or not a number,
    /// it means another lap, or one that is not known exactly.
    #[must_use]
    #[inline]
    pub fn lap_position(&self, now_s: f64) -> f64 {
        self.walked(now_s) - self.lap_from
    }

    #[inline]
    fn walked(&self, now_s: f64) -> f64 {
        let PlayheadSim { rate, paused, anchor, anchored_s, .. } = self.playhead;
        if paused {
            return anchor;
        }
        anchor + (now_s - anchored_s).max(0.0) * rate * self.sample_rate
    }

    #[cold]
    fn enter_lap(&mut self, walked: f64) {
        let lap_from = (walked / self.frames).floor() * self.frames;
        let longest = walked.abs().max(lap_from.abs()).max(self.frames);
        let exact = longest < EXACT_BELOW;
        self.lap_from = if exact { lap_from } else { f64::NAN };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_walk_sees_what_the_playhead_shows(
            frames in prop_oneof![1_u64..100, 1_u64..1_000_000, Just(u64::MAX)],
            rate in prop_oneof![-3.0..3.0, Just(1.0), Just(0.0), Just(f64::NAN), Just(1e300)],
            seek_s in prop_oneof![-1e3..1e3, Just(f64::INFINITY)],
            paused: bool,
            times_s in proptest::collection::vec(-10.0..1e5, 1..50),
        ) {
            let mut playhead = PlayheadSim::new(frames, 48_000, 1.0);
            playhead.seek(seek_s, 2.0);
            playhead.set_rate(rate, 3.0);
            playhead.set_paused(paused, 4.0);
            let mut walk = PlayheadWalk::new(&playhead);
            for t_s in times_s {
                for near_s in [t_s, t_s + 1e-6, t_s + 0.02] {
                    prop_assert_eq!(walk.frame(near_s), playhead.frame(near_s));
                    let (ours, theirs) = (walk.position(near_s), playhead.position(near_s));
                    prop_assert_eq!(ours.to_bits(), theirs.to_bits());
                }
            }
        }
    }
}
