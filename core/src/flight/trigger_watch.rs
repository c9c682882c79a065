//! Detects the incidents that are worth keeping.
//!
//! The watch has an engine of its own with the thresholds of the triggers, so everything that the
//! verdict excuses is excused here too. An episode of lag is reported once, as soon as it counts.

use std::fmt;
use std::str::FromStr;

use crate::capture::{Direction, Record};
use crate::engine::{Engine, Options};
use crate::heard::{BEHIND_LEAD_S, BEHIND_SUSTAINED_S, BehindRule, HeardEpisode, LagKind};
use crate::lag::DEFAULT_STALE_THRESHOLD_S;
use crate::time::{Offset, Span};

/// What makes an incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trigger {
    /// Slices land with less lead than this, for at least so long.
    Lead {
        /// The lead in seconds, negative behind the listener.
        under_s: f64,
        for_s: f64,
    },
    /// The audio heard is older than this, was never patched, or is that of the track before.
    Stale {
        /// In seconds.
        over_s: f64,
    },
    /// The connection ends otherwise than by the client's own wish.
    Close,
}

/// Why a text is no trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no trigger; write lead=-0.05:1s (under that lead for that long), stale=3s or close"
)]
pub struct TriggerError(String);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TriggerReason {
    /// Slices landed behind the listener.
    Behind {
        /// The lowest lead so far.
        lead_s: f64,
    },
    /// The listener heard old audio.
    Stale { staleness_s: f64 },
    /// The connection was closed, with this code.
    Closed(Option<u16>),
    /// The connection broke without a close.
    Lost,
    /// A person asked for it.
    Asked,
}

impl Trigger {
    /// The triggers of a recording that names none: what the verdict calls lag, and every close.
    #[must_use]
    pub fn defaults() -> Vec<Trigger> {
        vec![
            Trigger::Lead { under_s: BEHIND_LEAD_S, for_s: BEHIND_SUSTAINED_S },
            Trigger::Stale { over_s: DEFAULT_STALE_THRESHOLD_S },
            Trigger::Close,
        ]
    }
}

impl FromStr for Trigger {
    type Err = TriggerError;

    fn from_str(text: &str) -> Result<Self, TriggerError> {
        let refuse = || TriggerError(text.to_owned());
        match text.split_once('=') {
            None if text == "close" => Ok(Trigger::Close),
            Some(("stale", over)) => {
                let over: Span = over.parse().map_err(|_| refuse())?;
                Ok(Trigger::Stale { over_s: over.seconds() })
            }
            Some(("lead", rule)) => {
                let (under, sustained) = rule.split_once(':').ok_or_else(refuse)?;
                let under: Offset = under.parse().map_err(|_| refuse())?;
                let sustained: Span = sustained.parse().map_err(|_| refuse())?;
                Ok(Trigger::Lead { under_s: under.0 as f64 / 1e9, for_s: sustained.seconds() })
            }
            _ => Err(refuse()),
        }
    }
}

impl TriggerReason {
    /// A word for file names and programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            TriggerReason::Behind { .. } => "behind",
            TriggerReason::Stale { .. } => "stale",
            TriggerReason::Closed(_) => "closed",
            TriggerReason::Lost => "lost",
            TriggerReason::Asked => "asked",
        }
    }
}

impl fmt::Display for TriggerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TriggerReason::Behind { lead_s } => {
                write!(f, "slices land behind the listener, down to a lead of {lead_s:.2} s")
            }
            TriggerReason::Stale { staleness_s } => {
                write!(f, "the audio heard is {staleness_s:.2} s old")
            }
            TriggerReason::Closed(Some(code)) => {
                write!(f, "the connection was closed with code {code}")
            }
            TriggerReason::Closed(None) => f.write_str("the connection was closed without a code"),
            TriggerReason::Lost => f.write_str("the connection broke"),
            TriggerReason::Asked => f.write_str("somebody asked for it"),
        }
    }
}

/// Slices and reports remembered, for what an incident is due to.
const REMEMBERED: usize = 4096;

/// Watches a stream for its triggers.
#[derive(Debug)]
pub struct TriggerWatch {
    engine: Engine,
    watches_stale: bool,
    stale_over_s: f64,
    watches_behind: bool,
    watches_close: bool,
    /// When the episode that was reported last began.
    stale_from_s: Option<f64>,
    behind_from_s: Option<f64>,
    closed: bool,
}

impl TriggerWatch {
    /// A watch for these triggers; of several of one kind the last counts.
    #[must_use]
    pub fn new(triggers: &[Trigger]) -> Self {
        // Payloads say nothing about leads and ages.
        let mut options =
            Options { headers_only: true, tracker_bound: Some(REMEMBERED), ..Options::default() };
        let (mut watches_stale, mut watches_behind, mut watches_close) = (false, false, false);
        let mut stale_over_s = DEFAULT_STALE_THRESHOLD_S;
        for trigger in triggers {
            match *trigger {
                Trigger::Lead { under_s, for_s } => {
                    watches_behind = true;
                    options.behind = BehindRule { lead_s: under_s, sustained_s: for_s };
                }
                Trigger::Stale { over_s } => {
                    watches_stale = true;
                    options.stale_threshold_s = over_s;
                    stale_over_s = over_s;
                }
                Trigger::Close => watches_close = true,
            }
        }
        TriggerWatch {
            engine: Engine::new(options),
            watches_stale,
            stale_over_s,
            watches_behind,
            watches_close,
            stale_from_s: None,
            behind_from_s: None,
            closed: false,
        }
    }

    /// Takes the next record, and says whether it makes an incident.
    pub fn see(&mut self, record: &Record<'_>) -> Option<TriggerReason> {
        self.engine.handle(record);
        self.new_close().or_else(|| self.new_spell())
    }

    /// All that is known of the session by now.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    fn new_close(&mut self) -> Option<TriggerReason> {
        let close = self.engine.facts().closes.first().filter(|_| !self.closed)?;
        self.closed = true;
        let leaves = matches!(close.code, Some(1000 | 1001) | None);
        let wished = close.direction == Direction::ClientToServer && leaves;
        (self.watches_close && !wished).then_some(TriggerReason::Closed(close.code))
    }

    /// Whoever waits for older audio than the verdict does waits for it of the source too.
    fn is_old(&self, age_s: f64) -> bool {
        let over_s = self.stale_over_s;
        over_s <= DEFAULT_STALE_THRESHOLD_S || age_s > over_s
    }

    fn new_spell(&mut self) -> Option<TriggerReason> {
        for HeardEpisode { from_s, what, .. } in self.engine.latest_episodes() {
            let (watched, last_s, why) = match what {
                LagKind::Stale(old)
                | LagKind::Raw(old)
                | LagKind::OldTrack(old)
                | LagKind::PastFrontier(old)
                | LagKind::Hole(old) => {
                    let why = TriggerReason::Stale { staleness_s: old.worst_staleness_s };
                    let counts = self.watches_stale && self.is_old(old.worst_staleness_s);
                    (counts, &mut self.stale_from_s, why)
                }
                LagKind::Behind { worst_lead_s, .. } => {
                    let why = TriggerReason::Behind { lead_s: worst_lead_s };
                    (self.watches_behind, &mut self.behind_from_s, why)
                }
            };
            if watched && last_s.replace(from_s) != Some(from_s) {
                return Some(why);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Body, Message, Opcode};
    use crate::time::Nanos;

    /// What a watch for closes says of one by this side, and of another one after it.
    #[track_caller]
    fn check_close(direction: Direction, code: Option<u16>, expected: Option<TriggerReason>) {
        let mut watch = TriggerWatch::new(&Trigger::defaults());
        let payload = code.map_or(Vec::new(), |code| code.to_be_bytes().to_vec());
        let mut see = |seq| {
            let body = Body::Message(Message::new(direction, Opcode::Close, &payload));
            watch.see(&Record { seq, t: Nanos(seq), conn: 0, body })
        };
        assert_eq!(see(0), expected, "{direction:?} {code:?}");
        assert_eq!(see(1), None, "one end is one incident");
    }

    #[test]
    fn only_a_client_that_leaves_makes_no_incident() {
        let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
        for leaves in [None, Some(1000), Some(1001)] {
            check_close(up, leaves, None);
            check_close(down, leaves, Some(TriggerReason::Closed(leaves)));
        }
        for other in [1002, 1006, 1011, 4001] {
            check_close(up, Some(other), Some(TriggerReason::Closed(Some(other))));
            check_close(down, Some(other), Some(TriggerReason::Closed(Some(other))));
        }
    }

    #[test]
    fn who_waits_for_older_audio_waits_for_it_of_the_source_too() {
        let old =
            |over_s: f64, age_s: f64| TriggerWatch::new(&[Trigger::Stale { over_s }]).is_old(age_s);
        // Whatever the verdict has found bad is old for those who wait for no more.
        assert!(old(1.0, 0.5) && old(DEFAULT_STALE_THRESHOLD_S, 0.5));
        assert!(!old(9.0, 0.5) && !old(9.0, 9.0) && old(9.0, 9.1));
    }
}
