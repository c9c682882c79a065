//! Scripted playback: what a listener does and when, as people type it (`6s:seek=30s`).
//!
//! Times are from the initial buffer.

use std::str::FromStr;

use crate::capture::Marker;
use crate::time::{Offset, Span};

/// Enough of a session after something in it to see what comes of that, in seconds.
pub const ROOM_S: f64 = 15.0;

/// One thing that the listener does.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedOp {
    /// When, from the initial buffer on.
    pub at: Span,
    pub op: Marker,
}

impl ScriptedOp {
    /// Why a session that is over so long after the initial buffer lacks it, if it does.
    #[must_use]
    pub fn left_out(&self, run_for: Span) -> Option<String> {
        let (at_s, end_s) = (self.at.seconds(), run_for.seconds());
        (self.at > run_for).then(|| {
            format!(
                "an op of {at_s} s after the initial buffer is left out, since the session is over \
                 after {end_s} s; write --for {}s",
                at_s.ceil() + ROOM_S
            )
        })
    }
}

/// Why a text is not a [`ScriptedOp`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is not an op: {reason}; write 6s:seek=30s, 10s:pause, 12s:resume or 15s:rate=0.98"
)]
pub struct OpError {
    text: String,
    reason: String,
}

impl FromStr for ScriptedOp {
    type Err = OpError;

    fn from_str(text: &str) -> Result<Self, OpError> {
        let refuse = |reason: &str| OpError { text: text.to_owned(), reason: reason.to_owned() };
        let (at, what) = text.split_once(':').ok_or_else(|| refuse("the time is missing"))?;
        let at: Span = at.parse().map_err(|_| match at.parse::<Offset>() {
            Ok(_) => refuse("nothing happens before the initial buffer, from which times count"),
            Err(_) => refuse("its time is no length of time"),
        })?;
        let (name, value) = match what.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (what, None),
        };
        let op = match (name, value) {
            ("seek", Some(value)) => {
                let to: Span = value.parse().map_err(|_| refuse("no position to seek to"))?;
                Marker::Seek { to_s: to.seconds() }
            }
            ("rate", Some(value)) => Marker::Rate {
                rate: value
                    .parse()
                    .ok()
                    .filter(|rate: &f64| rate.is_finite())
                    .ok_or_else(|| refuse("a rate is a number such as 0.98"))?,
            },
            ("pause", None) => Marker::Pause,
            ("resume", None) => Marker::Resume,
            ("mark", Some(name)) => Marker::Point { name: name.to_owned() },
            ("seek" | "rate" | "mark", None) => return Err(refuse("it needs a value")),
            ("pause" | "resume", Some(_)) => return Err(refuse("it takes no value")),
            _ => return Err(refuse("there is no such op")),
        };
        Ok(ScriptedOp { at, op })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, at_ns: u64, op: Marker) {
        assert_eq!(text.parse(), Ok(ScriptedOp { at: Span(at_ns), op }));
    }

    #[track_caller]
    fn check_refused(text: &str, reason: &str) {
        assert_eq!(text.parse::<ScriptedOp>().unwrap_err().reason, reason, "{text}");
    }

    #[test]
    fn ops_as_people_write_them() {
        check("6s:seek=30s", 6_000_000_000, Marker::Seek { to_s: 30.0 });
        check("500ms:pause", 500_000_000, Marker::Pause);
        check("12:resume", 12_000_000_000, Marker::Resume);
        check("15s:rate=0.98", 15_000_000_000, Marker::Rate { rate: 0.98 });
        check("1:mark=here", 1_000_000_000, Marker::Point { name: "here".to_owned() });
        check_refused("seek=30s", "the time is missing");
        check_refused("x:pause", "its time is no length of time");
        check_refused(
            "-1s:pause",
            "nothing happens before the initial buffer, from which times count",
        );
        check_refused("6s:seek", "it needs a value");
        check_refused("6s:seek=there", "no position to seek to");
        check_refused("6s:pause=1", "it takes no value");
        check_refused("6s:rate=NaN", "a rate is a number such as 0.98");
        check_refused("6s:jump", "there is no such op");
    }

    #[test]
    fn an_op_that_comes_when_the_session_is_over_is_told() {
        let op: ScriptedOp = "6500ms:pause".parse().unwrap();
        // At the last moment it is still done.
        assert_eq!(op.left_out(Span(6_500_000_000)), None);
        let told = op.left_out(Span(6_499_999_999)).unwrap();
        assert!(told.starts_with("an op of 6.5 s") && told.ends_with("write --for 22s"), "{told}");
    }
}
