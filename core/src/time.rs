//! Time and its notations.
//!
//! Enters: integer nanoseconds of one monotonic clock, or what a person typed (`500ms`, `30s`).
//! Leaves: [`Nanos`], and seconds as `f64` for the formulas of the reference.
//! Never reads a clock: time is always an argument.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Sample rate that the protocol assumes where a session declares none, in frames per second.
pub const DEFAULT_SAMPLE_RATE: u32 = 48_000;

/// A moment in nanoseconds on the clock of one capture; also a length of time between two of them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The moment in seconds, as the reference computes it: `ns as f64 / 1e9`.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Signed seconds from `origin` to `self`, exact to the nanosecond before the one conversion.
    #[must_use]
    pub fn seconds_since(self, origin: Nanos) -> f64 {
        // The magnitude fits in 64 bits, which processors convert at once.
        let magnitude_s = self.0.abs_diff(origin.0) as f64 / 1e9;
        if self >= origin { magnitude_s } else { -magnitude_s }
    }

    /// `self + span`, or `None` past the end of the clock.
    #[must_use]
    pub fn checked_add(self, span: Span) -> Option<Nanos> {
        self.0.checked_add(span.0).map(Nanos)
    }
}

/// A length of time as people write it: a bare number is seconds; `ns`, `us`, `ms`, `s`, `min` and
/// `h` are accepted as units. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Span {
    /// The length in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// Why a text is not a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a length of time; write seconds (2.5) or a unit (500ms, 30s, 10min)")]
pub struct SpanError {
    text: String,
}

/// Units with their length in nanoseconds; longer suffixes stand before those they end with.
const UNITS: [(&str, f64); 6] =
    [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("min", 60e9), ("s", 1e9), ("h", 3600e9)];

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refuse = || SpanError { text: text.to_owned() };
        let trimmed = text.trim();
        let (number, unit_ns) = UNITS
            .iter()
            .find_map(|&(unit, ns)| trimmed.strip_suffix(unit).map(|number| (number, ns)))
            .unwrap_or((trimmed, 1e9));
        let value: f64 = number.trim_end().parse().map_err(|_| refuse())?;
        let nanos = (value * unit_ns).round();
        if !nanos.is_finite() || nanos < 0.0 || nanos >= u64::MAX as f64 {
            return Err(refuse());
        }
        Ok(Span(nanos as u64))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.seconds())
    }
}

/// A moment relative to the initial buffer's arrival, as people write it: a [`Span`], with a minus
/// sign for what came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(pub i64);

impl Offset {
    /// The moment itself, given when the buffer arrived; clamped to the clock.
    #[must_use]
    pub fn from(self, origin: Nanos) -> Nanos {
        Nanos(origin.0.saturating_add_signed(self.0))
    }

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", Span(self.0.unsigned_abs()))
    }
}

impl FromStr for Offset {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let (sign, span) = match text.trim().strip_prefix(['-', '−']) {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let refuse = || SpanError { text: text.to_owned() };
        let Span(nanos) = span.parse().map_err(|_| refuse())?;
        Ok(Offset(sign * i64::try_from(nanos).map_err(|_| refuse())?))
    }
}

/// Seconds from 1970 to a moment in UTC as RFC 3339 writes it, `2026-11-22T15:00:00.25Z`.
#[must_use]
pub fn utc_seconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    // Years begin in March, so that the day that may be missing is their last.
    let years = if month > 2 { year } else { year - 1 };
    let month_days = (153 * ((month + 9) % 12) + 2) / 5;
    let days = 365 * years + years / 4 - years / 100 + years / 400 + month_days + day - 719_469;
    Some(days as f64 * 86_400.0 + hours * 3_600.0 + minutes * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_ns: Option<u64>) {
        assert_eq!(text.parse::<Span>().ok(), expected_ns.map(Span), "{text:?}");
    }

    #[test]
    fn spans_as_people_write_them() {
        check("2.5", Some(2_500_000_000));
        check("500ms", Some(500_000_000));
        check("30s", Some(30_000_000_000));
        check("10min", Some(600_000_000_000));
        check(" 1 h ", Some(3_600_000_000_000));
        check("40us", Some(40_000));
        check("0", Some(0));
        check("-1", None);
        check("", None);
        check("s", None);
        check("NaN", None);
        check("inf", None);
        check("1e300", None);
        check("3 parsecs", None);
    }

    #[test]
    fn offsets_may_lie_before_the_buffer() {
        assert_eq!("-500ms".parse(), Ok(Offset(-500_000_000)));
        assert_eq!("−2".parse(), Ok(Offset(-2_000_000_000)));
        assert_eq!("1.5s".parse(), Ok(Offset(1_500_000_000)));
        assert!("--1".parse::<Offset>().is_err());
        assert_eq!(Offset(-5).from(Nanos(3)), Nanos(0));
    }

    #[test]
    fn utc_is_read_as_seconds_from_1970() {
        assert_eq!(utc_seconds("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(utc_seconds("2000-03-01T00:00:00Z"), Some(951_868_800.0));
        assert_eq!(utc_seconds("2025-10-09T08:53:20.250Z"), Some(1_760_000_000.25));
        for wrong in ["", "Z", "2025-10-09", "2025-13-09T00:00:00Z", "2025-10-09T08:53Z"] {
            assert_eq!(utc_seconds(wrong), None, "{wrong}");
        }
    }
}
