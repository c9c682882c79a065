//! When the server stops because nobody turns a knob.
//!
//! The end of the pause needs no rule: the long gap fills the stall reserve, so slices resume with the
//! largest lead.

use crate::peer::policy::IdlePolicy;
use crate::time::Nanos;

/// What the server has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Generate and send.
    Live,
    /// Send what is already generated: generations stand still, slices go on.
    Reuse,
    /// Nothing: the whole loop has been sent since it settled.
    Stopped,
}

/// The idle rule.
#[derive(Clone, Debug)]
pub struct IdleGate {
    after_s: Option<f64>,
    last_change: Nanos,
}

impl IdleGate {
    /// A session that began at `now`.
    #[must_use]
    pub fn new(policy: &IdlePolicy, now: Nanos) -> Self {
        Self { after_s: policy.after_s, last_change: now }
    }

    /// Somebody turned a knob, or asked for something else that changes the sound.
    pub fn stir(&mut self, now: Nanos) {
        self.last_change = now;
    }

    /// What there is to do on a loop of that length.
    #[must_use]
    pub fn activity(&self, now: Nanos, loop_s: f64) -> Activity {
        let Some(after_s) = self.after_s else { return Activity::Live };
        let quiet_s = now.seconds_since(self.last_change);
        if quiet_s <= after_s {
            Activity::Live
        } else if quiet_s <= after_s + loop_s {
            Activity::Reuse
        } else {
            Activity::Stopped
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(after_s: Option<f64>, stirred_s: u64, at_s: u64, expected: Activity) {
        let mut gate = IdleGate::new(&IdlePolicy { after_s }, Nanos(0));
        gate.stir(Nanos(stirred_s * 1_000_000_000));
        assert_eq!(gate.activity(Nanos(at_s * 1_000_000_000), 12.0), expected);
    }

    #[test]
    fn a_quiet_session_settles_and_stops() {
        check(Some(20.0), 0, 20, Activity::Live);
        check(Some(20.0), 0, 21, Activity::Reuse);
        check(Some(20.0), 0, 32, Activity::Reuse);
        check(Some(20.0), 0, 33, Activity::Stopped);
        check(Some(20.0), 30, 33, Activity::Live);
        check(None, 0, 3_600, Activity::Live);
    }
}
