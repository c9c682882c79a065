//! When nothing could have happened: the spells of a recording without a stream.
//!
//! Enters: an engine that has seen all of a capture, and when slices and reports came. Leaves:
//! [`Quiet`]s. Nobody can tell what a seek or another link would have done in one: the session was
//! over, nobody sent anything, records are missing, or the server rested.

use std::fmt;

use crate::engine::{EndKind, Engine, SILENT_AFTER_S};
use crate::time::Nanos;

/// A spell without a stream, in seconds from the initial buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quiet {
    pub from_s: f64,
    pub to_s: f64,
    pub why: QuietWhy,
}

/// Why there was no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuietWhy {
    /// The session had been closed, lost or refused.
    Over,
    /// Neither a slice nor a report came.
    Silent,
    /// Records are missing.
    Lost,
    /// The server rested, because nothing had changed for long.
    Rests,
}

impl QuietWhy {
    /// A word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            QuietWhy::Over => "over",
            QuietWhy::Silent => "silent",
            QuietWhy::Lost => "lost",
            QuietWhy::Rests => "rests",
        }
    }

    /// Which time to give instead.
    pub(super) fn other_time(self) -> &'static str {
        match self {
            QuietWhy::Over => "give an earlier time",
            _ => "give a time before or after that",
        }
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quiet { from_s, to_s, why } = self;
        match why {
            QuietWhy::Over => write!(f, "the session was over at {from_s:.2} s"),
            QuietWhy::Silent => {
                write!(f, "neither a slice nor a report came from {from_s:.2} s to {to_s:.2} s")
            }
            QuietWhy::Lost => {
                write!(f, "records are missing from {from_s:.2} s to {to_s:.2} s")
            }
            QuietWhy::Rests => {
                write!(f, "the server rested from {from_s:.2} s to {to_s:.2} s")
            }
        }
    }
}

/// The spells of a recording, those that say more first. Slices and reports `came`; `lost` are those in which records are
/// missing.
pub(super) fn spells(
    engine: &Engine,
    came: impl Iterator<Item = Nanos>,
    (begins, report_at): (Nanos, Nanos),
    lost: &[(Nanos, Nanos)],
) -> Vec<Quiet> {
    let origin = engine.origin().unwrap_or_default();
    let spell = |why| {
        move |&(from, to): &(Nanos, Nanos)| {
            let (from_s, to_s) = (from.seconds_since(origin), to.seconds_since(origin));
            Quiet { from_s, to_s, why }
        }
    };
    let over = over_at(engine, report_at).map(|at| (at, report_at));
    let silent = silences(came, begins, report_at);
    // What is over falls silent, too, and the first sentence that fits is said.
    let mut all: Vec<Quiet> = over.iter().map(spell(QuietWhy::Over)).collect();
    all.extend(lost.iter().map(spell(QuietWhy::Lost)));
    all.extend(engine.idle_spans().iter().map(spell(QuietWhy::Rests)));
    all.extend(silent.iter().map(spell(QuietWhy::Silent)));
    all
}

/// When the session was over, if it was. Of a side that fell silent its messages tell.
fn over_at(engine: &Engine, report_at: Nanos) -> Option<Nanos> {
    let ending = engine.ending(report_at);
    let goes_on = matches!(ending.kind, EndKind::Open | EndKind::RecorderStopped);
    (!goes_on && !ending.kind.is_silence() && ending.t < report_at).then_some(ending.t)
}

/// Spells in which neither slices nor reports came for longer than any healthy side is silent.
fn silences(
    came: impl Iterator<Item = Nanos>,
    begins: Nanos,
    report_at: Nanos,
) -> Vec<(Nanos, Nanos)> {
    let mut came: Vec<_> = came.chain([begins, report_at]).collect();
    came.sort_unstable();
    let pairs = came.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.filter(|(from, to)| to.seconds_since(*from) > SILENT_AFTER_S).collect()
}
